// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Which instances of a pool a call is for, and the name of that on the wire. */

const POOL = /^[A-Za-z0-9_-]+$/;

function pool_target(name) {
	if (typeof name !== "string" || !POOL.test(name))
		throw new TypeError(`"${name}" is no name of a pool: it has letters, digits, _ and - only`);
	return name;
}

function slot_target(pool, slot) {
	if (!Number.isInteger(slot) || slot < 0)
		throw new RangeError(`a slot is a number from 0 on, and not ${slot}`);
	return `${pool}:${slot}`;
}

/** The method string and the parameters of a call. */
function request_of(target, method, args, wire) {
	if (wire === null && !target.includes("."))
		return [`${target}.${method}`, args];
	return ["objpool.call", wire === null ? [target, method, args] : [target, method, args, wire]];
}

module.exports = { pool_target, slot_target, request_of };
