// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The connection that a client has, made anew when a call needs one after it was lost. */
const { EventEmitter } = require("node:events");
const timers = require("node:timers/promises");
const { Connection } = require("./connection.js");
const { ObjpoolError } = require("./errors.js");

const TIMER_MAX = 2 ** 31 - 1;
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
		this.live = null; // the connection; null: there is none now
		this.reaching = null; // the promise of one
		this.begun = new Set(); // promises of connections for what was taken on
		this.idle = []; // connections of streams that have ended
		this.lent = new Set();
		this.borrowed = 0; // how many are lent, or are about to be
		this.is_ending = false;
		this.is_closed = false;
		this.ended = null; // the promise of its end
	}

	/** The connection for what is made now; null: there is none. */
	get connection() {
		return this.is_ending ? null : this.live;
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
		const { address } = this.adopt(await this.open());
		this.addresses = [address];
	}

	adopt(connection) {
		this.live = connection;
		connection.once("lost", (error) => {
			this.live = null;
			if (!this.is_closed)
				process.nextTick(() => this.emit("disconnect", error)); // what is pending fails first
		});
		this.emit("connect");
		return connection;
	}

	/** The promise of a connection; `limit` (AbortSignal) ends the wait. */
	reach(limit) {
		if (this.is_ending)
			return Promise.reject(closed());
		if (this.live)
			return Promise.resolve(this.live);
		if (!this.reconnect)
			return Promise.reject(new ObjpoolError("CONNECTION_LOST", "the connection is lost", { ran: "no" }));
		this.reaching ??= this.try_again().finally(() => {
			this.reaching = null;
		});
		return this.track(limit ? until(this.reaching, limit) : this.reaching);
	}

	track(promise) {
		const settle = () => this.begun.delete(promise);
		this.begun.add(promise);
		promise.then(settle, settle);
		return promise;
	}

	async try_again() {
		const { timeoutMs, delayMs, maxDelayMs } = this.reconnect;
		const end = performance.now() + timeoutMs;
		for (let delay = delayMs; ; delay = Math.min(2 * delay, maxDelayMs)) {
			try {
				return this.adopt(await this.open());
			} catch (error) {
				if (!may_pass(error) || this.is_closed || performance.now() + delay > end)
					throw error;
			}
			await timers.setTimeout(delay * (0.5 + Math.random() / 2));
		}
	}

	/** The promise of a connection for a stream alone, so that to read it slowly holds up nothing else. Where there are many,
	 * or the daemon lets this user have no more, it is the common one. */
	lend() {
		return this.track(this.find_own());
	}

	async find_own() {
		const common = this.live ?? await this.reach();
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

	get connections() {
		return [...this.lent, ...this.idle, ...(this.live ? [this.live] : [])];
	}

	/** Resolves when they are closed. */
	close() {
		this.is_ending = true;
		this.is_closed = true;
		return Promise.all(this.connections.map((connection) => connection.close()));
	}

	/** Takes on nothing new, and closes when what is under way has ended, or that time is over. Resolves when it is closed: with
	 * false if something was still under way. */
	end(milliseconds = TIMER_MAX) {
		this.is_ending = true;
		this.ended ??= this.finish(milliseconds);
		return this.ended;
	}

	async finish(milliseconds) {
		if (this.is_closed)
			return true;
		const late = timer(milliseconds);
		const is_done = await Promise.race([this.settled().then(() => !this.is_closed), late.promise.then(() => false)]);
		await Promise.race([this.close(), late.promise]);
		late.clear();
		return is_done;
	}

	/** Resolves when nothing is under way. */
	async settled() {
		do {
			await Promise.allSettled([...this.begun, ...this.connections.map((connection) => connection.idle())]);
			await timers.setImmediate(); // what has got its connection is under way on it now
		} while (this.begun.size > 0 || this.connections.some((connection) => connection.pending.size > 0));
	}
}

/** A promise that is resolved after that time. */
function timer(milliseconds) {
	let clear;
	const promise = new Promise((resolve) => {
		const set = setTimeout(resolve, Math.min(milliseconds, TIMER_MAX));
		clear = () => clearTimeout(set);
	});
	return { promise, clear };
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
