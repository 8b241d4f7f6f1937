// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A client: its pools, and the daemon's own methods. */
const { EventEmitter } = require("node:events");
const { address_form, default_addresses } = require("./address.js");
const { call } = require("./call.js");
const { Credentials } = require("./credentials.js");
const { here } = require("./errors.js");
const { Link } = require("./link.js");
const { merge, milliseconds } = require("./options.js");
const { Part, face } = require("./part.js");
const { Pool } = require("./pool.js");
const { pool_target } = require("./target.js");

const END_MS = 10_000;
const DEFAULTS = { name: "node", connectTimeoutMs: 10_000, streamConnections: 8 };
const OPTIONS = new Set([
	...Object.keys(DEFAULTS), "reconnect", "retry", "tlsCa", "tlsCert", "tlsKey", "tlsName", "token", "tokenFile",
]);

const EVENT_OPTIONS = new Set(["pool", "kinds", "after", "last", "follow"]);

class Client extends EventEmitter {
	#link;
	#options;

	constructor(link, options) {
		super();
		this.#link = link;
		this.#options = options;
		link.on("connect", () => this.emit("connect"));
		link.on("disconnect", (error) => this.emit("disconnect", error));
	}

	/** The address of the daemon. */
	get address() {
		return this.#link.addresses[0];
	}

	/** The daemon's answer to objpool.hello on the present connection; null without one. */
	get hello() {
		return this.#link.live?.hello ?? null;
	}

	/** A pool. Whether there is one of that name shows when it is called. */
	pool(name, options) {
		return face(new Pool(this.#link, pool_target(name), "one", merge(this.#options, options)));
	}

	/** Makes a pool; resolves when every constructor has run. */
	async createPool(name, settings) {
		const section = { ...settings, pool: name };
		await this.request("objpool.create", [section]);
		return this.pool(name);
	}

	dropPool(name) {
		return this.request("objpool.drop", [name]);
	}

	/** Calls a method of the daemon itself. */
	async request(method, params = [], options) {
		try {
			return await call(this.#link, method, params, merge({}, options));
		} catch (error) {
			throw here(error);
		}
	}

	ping(...values) { return this.request("objpool.ping", values); }
	whoami() { return this.request("objpool.whoami"); }
	acl(user, right, name) { return this.request("objpool.acl", [user, right, name]); }
	pools() { return this.request("objpool.pools"); }
	describe(pool) { return this.request("objpool.describe", [pool]); }
	status(pool) { return this.request("objpool.status", given(pool)); }
	metrics() { return this.request("objpool.metrics"); }
	scale(pool, workers) { return this.request("objpool.scale", [pool, workers]); }
	restart(pool, slot) { return this.request("objpool.restart", [pool, ...given(slot)]); }
	pause(pool) { return this.request("objpool.pause", [pool]); }
	resume(pool) { return this.request("objpool.resume", [pool]); }
	forget(pool, method) { return this.request("objpool.forget", [pool, ...given(method)]); }
	clients() { return this.request("objpool.clients"); }
	kick(session) { return this.request("objpool.kick", [session]); }
	reload() { return this.request("objpool.reload"); }
	reloadCode(pool) { return this.request("objpool.reload_code", [pool]); }
	logs(pool, after) { return this.request("objpool.logs", [pool, ...given(after)]); }
	drain() { return this.request("objpool.drain"); }
	shutdown() { return this.request("objpool.shutdown"); }
	logLevel(level) { return this.request("objpool.log_level", given(level)); }
	config() { return this.request("objpool.config"); }

	/** What has happened in the daemon, as far as it is kept, and what happens, one by one. */
	events({ signal, since, ...more } = {}) {
		for (const name of Object.keys(more))
			if (!EVENT_OPTIONS.has(name))
				throw new TypeError(`events has no option "${name}"`);
		const wanted = Object.entries({ ...more, since: since instanceof Date ? since.getTime() / 1000 : since });
		const options = Object.fromEntries(wanted.filter(([, value]) => value !== undefined));
		return new Part(this.#link, "objpool", "one", merge({}, { signal })).method("events").stream(options);
	}

	/** Ends the connection, when what was sent has left. Calls under way fail; pools and leases that were made over it go. */
	close() {
		this.#link.close();
	}

	/** Likewise, but waits for the calls and streams that are under way: resolves with false if they took longer than `timeoutMs`,
	 * and failed. New ones are refused. */
	async end({ timeoutMs = END_MS } = {}) {
		return this.#link.end(milliseconds("timeoutMs", timeoutMs));
	}

	async [Symbol.asyncDispose]() {
		await this.end();
	}
}

const given = (value) => (value === undefined ? [] : [value]);

/** Connects to a daemon: at the address, or where `default_addresses` says. */
async function connect(address, options) {
	if (typeof address === "object" && address !== null)
		return connect(undefined, address);
	for (const name of Object.keys(options ?? {}))
		if (!OPTIONS.has(name))
			throw new TypeError(`connect has no option "${name}"`);
	const { retry, ...more } = options ?? {};
	const addresses = (address ? [address] : default_addresses()).map(address_form);
	const link = new Link(addresses, new Credentials(more), { ...DEFAULTS, ...more });
	await link.begin();
	return new Client(link, merge({}, { retry }));
}

module.exports = { Client, connect };
