// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Which instances of a pool a call is for, and the name of that on the wire. */

const POOL = /^[A-Za-z0-9_-]+(@([A-Za-z0-9_-]+|\*))?$/;

function pool_target(name) {
	if (typeof name !== "string" || !POOL.test(name))
		throw new TypeError(`"${name}" is no name of a pool: it has letters, digits, _ and - only, and may end in @HOST or @*`);
	return name;
}

function slot_target(pool, slot) {
	if (!Number.isInteger(slot) || slot < 0)
		throw new RangeError(`a slot is a number from 0 on, and not ${slot}`);
	return `${pool}:${slot}`;
}

/** A method of a target. `whole`: how a call without options names both; null: it can't. */
class Method {
	constructor(target, name) {
		this.target = target;
		this.name = name;
		this.whole = target.includes(".") ? null : `${target}.${name}`;
	}

	/** The method string and the parameters of a call. `wire`: options, or null. */
	request(args, wire) {
		if (wire !== null)
			return ["objpool.call", [this.target, this.name, args, wire]];
		return this.whole === null ? ["objpool.call", [this.target, this.name, args]] : [this.whole, args];
	}
}

module.exports = { Method, pool_target, slot_target };
