// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The connection that a client has, made anew when a call needs one after it was lost. */
const { EventEmitter } = require("node:events");
const timers = require("node:timers/promises");
const { Connection } = require("./connection.js");
const { ObjpoolError } = require("./errors.js");

const DEFAULTS = { timeoutMs: 10_000, delayMs: 50, maxDelayMs: 2_000 };

class Link extends EventEmitter {
	/** `reconnect`: {timeoutMs, delayMs, maxDelayMs}; false: a client that has lost its connection stays without. */
	constructor(addresses, credentials, { name, reconnect, connectTimeoutMs, streamConnections }) {
		super();
		this.addresses = addresses;
		this.credentials = credentials;
		this.name = name;
		this.reconnect = reconnect === false ? null : { ...DEFAULTS, ...reconnect };
		this.connect_ms = connectTimeoutMs;
		this.lent_max = streamConnections;
		this.connection = null; // null: there is none now
		this.reaching = null; // the promise of one
		this.idle = []; // connections of streams that have ended
		this.lent = new Set();
		this.borrowed = 0; // how many are lent, or are about to be
		this.is_closed = false;
	}

	/** A connection to the first address where a daemon answers. */
	async open() {
		let failure;
		for (const address of this.addresses) {
			try {
				return await this.open_at(address);
			} catch (error) {
				failure = error;
				if (error.code !== "NO_DAEMON")
					break;
			}
		}
		throw failure;
	}

	async open_at(address) {
		const kind = address.slice(0, address.indexOf(":"));
		const introduction = { client: this.name, ...this.credentials.introduction(kind) };
		const limit = AbortSignal.timeout(this.connect_ms);
		const connection = await Connection.open(address, this.credentials, introduction, limit);
		if (!this.is_closed)
			return connection;
		connection.close();
		throw closed();
	}

	/** Makes the first connection: there is one attempt. */
	async begin() {
		this.adopt(await this.open());
		this.addresses = [this.connection.address];
	}

	adopt(connection) {
		this.connection = connection;
		connection.once("lost", (error) => {
			this.connection = null;
			if (!this.is_closed)
				this.emit("disconnect", error);
		});
		this.emit("connect");
	}

	/** The promise of a connection; `limit` (AbortSignal) ends the wait. */
	reach(limit) {
		if (this.is_closed)
			return Promise.reject(closed());
		if (this.connection)
			return Promise.resolve(this.connection);
		if (!this.reconnect)
			return Promise.reject(new ObjpoolError("CONNECTION_LOST", "the connection is lost", { ran: "no" }));
		this.reaching ??= this.try_again().finally(() => {
			this.reaching = null;
		});
		return limit ? until(this.reaching, limit) : this.reaching;
	}

	async try_again() {
		const { timeoutMs, delayMs, maxDelayMs } = this.reconnect;
		const end = performance.now() + timeoutMs;
		for (let delay = delayMs; ; delay = Math.min(2 * delay, maxDelayMs)) {
			try {
				this.adopt(await this.open());
				return this.connection;
			} catch (error) {
				if (!may_pass(error) || this.is_closed || performance.now() + delay > end)
					throw error;
			}
			await timers.setTimeout(delay * (0.5 + Math.random() / 2));
		}
	}

	/** The promise of a connection for a stream alone, so that to read it slowly holds up nothing else. Where there are many,
	 * or the daemon lets this user have no more, it is the common one. */
	async lend() {
		const common = this.connection ?? await this.reach();
		if (this.borrowed >= this.lent_max)
			return common;
		this.borrowed++;
		try {
			const own = await this.own(common.address);
			this.lent.add(own);
			return own;
		} catch (error) {
			this.borrowed--;
			if (error.code === "OVERLOADED")
				return common;
			throw error;
		}
	}

	/** One that another stream has left, or a new one. */
	own(address) {
		const left = this.idle.pop();
		return left && !left.lost ? left : this.open_at(address);
	}

	give_back(connection) {
		if (!this.lent.delete(connection))
			return;
		this.borrowed--;
		if (!connection.lost)
			this.idle.push(connection);
	}

	close() {
		this.is_closed = true;
		for (const connection of [...this.lent, ...this.idle])
			connection.close();
		this.connection?.close();
		this.connection = null;
	}
}

const closed = () => new ObjpoolError("CONNECTION_LOST", "the client has been closed", { ran: "no" });
const may_pass = (error) => ["NO_DAEMON", "CONNECTION_LOST", "OVERLOADED"].includes(error.code);

/** What the promise gives, unless the signal comes first. */
function until(promise, signal) {
	return new Promise((resolve, reject) => {
		const stop = () => reject(signal.reason);
		if (signal.aborted)
			stop();
		signal.addEventListener("abort", stop, { once: true });
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
	});
}

module.exports = { Link };
