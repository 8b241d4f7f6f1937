// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Addresses of daemons. */
const fs = require("node:fs");
const { ObjpoolError } = require("./errors.js");

const SYSTEM = "/run/objpool/objpool.sock";

const wrong = (address) => new ObjpoolError("BAD_ARGUMENT",
	`${address}: addresses are unix:PATH, tcp:HOST:PORT or tls:HOST:PORT`, { ran: "no" });

/**
 * unix:PATH, tcp:HOST:PORT or tls:HOST:PORT, of the forms in which people write addresses: unix:///PATH, tcp://HOST:PORT,
 * tls://HOST:PORT, a path that begins with /, ./ or ../, and HOST:PORT. Anything else as it is.
 */
function address_form(given) {
	const text = String(given);
	if (text.startsWith("unix://"))
		return text.replace(/^unix:\/+/, "unix:/");
	if (/^t(cp|ls):\/\//.test(text))
		return text.slice(0, 4) + text.slice(6).replace(/\/$/, "");
	if (/^\.{0,2}\//.test(text))
		return `unix:${text}`;
	if (!/^(unix|tcp|tls):/.test(text) && /^(\[[^\]]+\]|[^:/[\]@ \t,]+):[0-9]{1,5}$/.test(text))
		return `tcp:${text}`;
	return text;
}

/** {kind, path} or {kind, host, port} of unix:PATH, tcp:HOST:PORT or tls:HOST:PORT. */
function parse(address) {
	const [, kind, rest] = /^(unix|tcp|tls):(.+)$/s.exec(address) ?? [];
	if (kind === "unix")
		return { kind, path: rest };
	const [, bracketed, host, port] = /^(?:\[(.*)\]|(.*)):(\d{1,5})$/s.exec(rest ?? "") ?? [];
	if (port === undefined || Number(port) > 65535)
		throw wrong(address);
	return { kind, host: bracketed ?? (host || "localhost"), port: Number(port) };
}

/** The addresses to try, best first. If $OBJPOOL_ADDRESS is set, it is the only one. */
function default_addresses(environment = process.env) {
	if (environment.OBJPOOL_ADDRESS)
		return [environment.OBJPOOL_ADDRESS];
	const runtime = environment.XDG_RUNTIME_DIR;
	const paths = runtime ? [`${runtime}/objpool.sock`, SYSTEM] : [SYSTEM];
	const there = paths.filter((path) => fs.existsSync(path));
	return (there.length > 0 ? there : [SYSTEM]).map((path) => `unix:${path}`);
}

module.exports = { address_form, parse, default_addresses };
