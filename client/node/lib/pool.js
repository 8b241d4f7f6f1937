// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A pool, and an instance of it that one client has for itself. */
const { Time, call, reach, aborted } = require("./call.js");
const { ObjpoolError, here } = require("./errors.js");
const { milliseconds } = require("./options.js");
const { Part, face } = require("./part.js");
const { slot_target } = require("./target.js");

class Pool extends Part {
	static surface = new Set([...Part.surface, "name", "all", "map", "scatter", "slot", "key", "lease", "drop"]);

	part(target, mode) {
		return face(new Part(this.source, target, mode, this.given));
	}

	get name() {
		return this.target;
	}

	/** Each instance. */
	get all() {
		this.all_part ??= this.part(`${this.target}:all`, "all");
		return this.all_part;
	}

	/** One task for each item, on whichever instance is free. */
	get map() {
		this.map_part ??= this.part(`${this.target}:map`, "map");
		return this.map_part;
	}

	/** Item i on slot i. */
	get scatter() {
		this.scatter_part ??= this.part(`${this.target}:scatter`, "scatter");
		return this.scatter_part;
	}

	/** The instance in that slot. */
	slot(number) {
		return this.part(slot_target(this.target, number), "one");
	}

	/** The same instance for the same key. */
	key(key) {
		return this.part(`${this.target}:key=${key}`, "one");
	}

	/** An instance for this client alone. With a function: it gets the instance, which is given back when its promise has
	 * settled. */
	async lease(...given) {
		const use = typeof given.at(-1) === "function" ? given.pop() : null;
		const { lease, one } = await take(this, given[0] ?? {}).catch((error) => {
			throw here(error);
		});
		if (!use)
			return one;
		try {
			return await use(one);
		} finally {
			await lease.release();
		}
	}

	/** Removes the pool. */
	drop() {
		return call(this.source, "objpool.drop", [this.target], {});
	}

	async [Symbol.asyncDispose]() {
		await this.drop();
	}
}

const ended_with = (cause) => new ObjpoolError("CONNECTION_LOST", "the lease ended with its connection", { ran: "no", cause });

/** The connection of a lease. */
class Leased {
	constructor(connection) {
		this.held = connection;
	}

	get connection() {
		if (this.held === null)
			throw new ObjpoolError("CONNECTION_LOST", "the lease has been released", { ran: "no" });
		if (this.held.lost)
			throw ended_with(this.held.lost);
		return this.held;
	}
}

/* Leases that their holder has forgotten are given back when the garbage is collected. */
const forgotten = new FinalizationRegistry(({ connection, pool, slot }) => {
	if (!connection.lost)
		connection.notify("objpool.release", [pool, slot]);
});

class Lease extends Part {
	static surface = new Set([...Part.surface, "slot", "generation", "release"]);

	with(options) {
		const { pool, slot, generation } = this;
		return Object.assign(new Lease(this.source, this.target, this.mode, options), { pool, slot, generation });
	}

	/** Gives the instance back. False: it was not leased any more, as its worker died or the lease's time was over. */
	async release() {
		const connection = this.source.held;
		this.source.held = null;
		forgotten.unregister(this.source);
		if (!connection || connection.lost)
			return false;
		return connection.ask("objpool.release", [this.pool, this.slot]);
	}

	async [Symbol.asyncDispose]() {
		await this.release();
	}
}

/** The connection and the answer. If that is lost before the request has left, it is sent again on the next one. */
async function ask_for(pool, wire, time, is_again = false) {
	const at_once = is_again ? null : pool.source.connection;
	const connection = at_once ?? await reach(pool.source, time.left());
	const { signal, timeoutMs } = time.left();
	const asked = at_once ? wire : { ...wire, timeout_ms: timeoutMs };
	try {
		return { connection, got: await call({ connection }, "objpool.lease", [pool.target, asked], { signal }) };
	} catch (error) {
		if (is_again || error.code !== "CONNECTION_LOST" || error.ran !== "no")
			throw error;
		return ask_for(pool, wire, time, true);
	}
}

/** The pool of the host that has granted the lease: any was asked (sim@*), or those of a section [remote]. */
const granted_by = (name, { host }) => host === undefined ? name : `${name.split("@", 1)[0]}@${host}`;

async function take(pool, { slot, timeoutMs, leaseMs, signal }) {
	if (signal?.aborted)
		throw aborted(signal, "no");
	const wire = { // what is undefined is left out
		slot, timeout_ms: milliseconds("timeoutMs", timeoutMs), lease_ms: milliseconds("leaseMs", leaseMs),
	};
	const { connection, got } = await ask_for(pool, wire, new Time({ signal, timeoutMs }));
	const name = granted_by(pool.target, got);
	if (signal?.aborted) {
		connection.notify("objpool.release", [name, got.slot]);
		throw aborted(signal, "no");
	}
	const leased = new Leased(connection);
	const { retry: _, ...options } = pool.given; // another attempt would get another instance
	const lease = new Lease(leased, slot_target(name, got.slot), "one", options);
	Object.assign(lease, { pool: name, slot: got.slot, generation: got.generation });
	forgotten.register(leased, { connection, pool: name, slot: got.slot }, leased);
	return { lease, one: face(lease) };
}

module.exports = { Pool };
