// SPDX-License-Identifier: Apache-2.0
"use strict";
/* By what a client knows the daemon, and the daemon the client: what is given, or else the environment's. Files are read
 * whenever a connection is made. */
const fs = require("node:fs");
const tls = require("node:tls");
const { ObjpoolError } = require("./errors.js");

const TOKEN_MAX = 4095;
const PROTOCOL = "objpool/1";

const refuse = (text) => new ObjpoolError("BAD_ARGUMENT", text, { ran: "no" });

class Credentials {
	constructor({ tlsCa, tlsCert, tlsKey, tlsName, token, tokenFile } = {}) {
		this.given = { tlsCa, tlsCert, tlsKey, tlsName, tokenFile };
		this.token = token;
	}

	of(option, variable) {
		return this.given[option] || process.env[variable] || undefined;
	}

	/** The options of tls.connect. */
	tls(host) {
		const cert = this.of("tlsCert", "OBJPOOL_TLS_CERT");
		const key = this.of("tlsKey", "OBJPOOL_TLS_KEY") ?? cert;
		const name = this.of("tlsName", "OBJPOOL_TLS_NAME") ?? host;
		const options = {
			ca: read("tlsCa", this.of("tlsCa", "OBJPOOL_TLS_CA")),
			cert: read("tlsCert", cert),
			key: read("tlsKey", key),
			minVersion: "TLSv1.2",
			ALPNProtocols: [PROTOCOL],
			allowPartialTrustChain: true,
			checkServerIdentity: (_, certificate) => tls.checkServerIdentity(name, certificate),
		};
		if (!require("node:net").isIP(name))
			options.servername = name;
		return options;
	}

	/** What objpool.hello is given beside what it always is. */
	introduction(kind) {
		const file = this.of("tokenFile", "OBJPOOL_TOKEN_FILE");
		const token = this.token ?? (file && read_token(file));
		if (!token)
			return {};
		if (kind === "tcp")
			throw refuse("a token goes over TLS or a Unix socket only");
		return { token };
	}
}

function read(option, path) {
	if (!path)
		return undefined;
	try {
		return fs.readFileSync(path);
	} catch (error) {
		throw refuse(`${option}: ${error.message}`);
	}
}

function read_token(path) {
	let text;
	try {
		const { mode, uid } = fs.statSync(path);
		if (process.platform !== "win32" && mode & (uid === 0 ? 0o007 : 0o077))
			throw refuse(`the token file ${path} is open to others (${(mode & 0o777).toString(8)}): chmod 600 it`);
		text = fs.readFileSync(path, "utf8");
	} catch (error) {
		throw error instanceof ObjpoolError ? error : refuse(`the token file: ${error.message}`);
	}
	const token = text.trim();
	if (!token || token.length > TOKEN_MAX || /[\s\0]/.test(token))
		throw refuse(`the token file ${path} must hold a token, and nothing else`);
	return token;
}

module.exports = { Credentials };
