// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A socket that is connected to a daemon. */
const net = require("node:net");
const tls = require("node:tls");
const { parse } = require("./address.js");
const { ObjpoolError } = require("./errors.js");

const KEEPALIVE_MS = 30_000;

function begin(where, credentials) {
	if (where.kind === "unix")
		return [net.connect({ path: where.path }), "connect"];
	if (where.kind === "tcp")
		return [net.connect({ host: where.host, port: where.port }), "connect"];
	return [tls.connect({ host: where.host, port: where.port, ...credentials.tls(where.host) }), "secureConnect"];
}

function cant_connect(address, cause) {
	return new ObjpoolError("NO_DAEMON", `can't connect to ${address}: ${cause.message || cause.code}`, { cause });
}

/** A connected socket. `limit` is an AbortSignal that ends the attempt. */
function open_socket(address, credentials, limit) {
	const where = parse(address);
	const [socket, connected] = begin(where, credentials);
	if (where.kind !== "unix") {
		socket.setNoDelay(true);
		socket.setKeepAlive(true, KEEPALIVE_MS);
	}
	socket.on("error", () => {}); // that it has ended is said by the others
	return new Promise((resolve, reject) => {
		const fail = (error) => {
			socket.destroy();
			reject(cant_connect(address, error));
		};
		const on_limit = () => fail(limit.reason);
		const on_close = () => fail(new Error("it has closed the connection"));
		socket.once("error", fail);
		socket.once("close", on_close);
		limit?.addEventListener("abort", on_limit, { once: true });
		socket.once(connected, () => {
			socket.off("error", fail);
			socket.off("close", on_close);
			limit?.removeEventListener("abort", on_limit);
			resolve(socket);
		});
	});
}

module.exports = { cant_connect, open_socket };
