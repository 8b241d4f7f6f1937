// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The one class of errors, and how it is made of what the daemon says. */

/** Where an exception came from: the cause of an ObjpoolError that has a type or a traceback. */
class RemoteError extends Error {
	constructor(type, message, traceback) {
		super(message);
		this.name = type || "RemoteError";
		if (traceback)
			this.stack = traceback.trimEnd();
	}
}

/* Codes whose calls have never run, where the daemon does not say it (errors in the form of strings). */
const NEVER_RAN = new Set([
	"BAD_REQUEST", "BAD_TARGET", "NO_SUCH_POOL", "NO_SUCH_SLOT", "NO_SUCH_METHOD", "BAD_VALUE", "DENIED", "OVERLOADED",
	"UNAVAILABLE", "UNREACHABLE", "NO_DAEMON",
]);

const FIELDS = {
	type: "type", traceback: "traceback", pool: "pool", slot: "slot", generation: "generation", index: "index",
	signal: "signal", exit_status: "exitStatus", data: "data", retry_after_ms: "retryAfterMs", user: "user", right: "right",
	host: "host",
};

const LONG = ["traceback", "data"];

class ObjpoolError extends Error {
	constructor(code, message, details = {}) {
		super(message, details.cause === undefined ? undefined : { cause: details.cause });
		this.code = code;
		this.ran = details.ran ?? (code === "FAILED" ? "yes" : NEVER_RAN.has(code) ? "no" : "maybe");
		for (const field of Object.values(FIELDS))
			if (details[field] !== undefined && details[field] !== null)
				this[field] = details[field];
		for (const field of LONG) // console.log shows them, if at all, as the cause
			if (field in this)
				Object.defineProperty(this, field, { enumerable: false });
	}

	/** The same for another call, or as it is thrown in another place. */
	again() {
		return new ObjpoolError(this.code, this.message, this);
	}
}
ObjpoolError.prototype.name = "ObjpoolError";

function from_map(wire) {
	const details = { ran: wire.ran };
	for (const key in FIELDS)
		details[FIELDS[key]] = wire[key];
	const message = String(wire.message ?? "");
	if (wire.type || wire.traceback)
		details.cause = new RemoteError(wire.type, message, wire.traceback);
	const text = wire.type && wire.type !== message ? `${wire.type}: ${message}` : message;
	return new ObjpoolError(String(wire.code), wire.index === undefined ? text : `item ${wire.index}: ${text}`, details);
}

/** The error that the daemon sent: a map, a string "CODE: text", or a pair with such a string. */
function error_of(wire) {
	if (wire !== null && typeof wire === "object" && !Array.isArray(wire))
		return from_map(wire);
	const text = String(Array.isArray(wire) ? wire[1] : wire);
	const at = text.indexOf(": ");
	return new ObjpoolError(at < 0 ? text : text.slice(0, at), at < 0 ? "" : text.slice(at + 2));
}

/** The error, with the stack of whoever waits for it now, where it was made when a message came. */
function here(error) {
	if (error instanceof ObjpoolError)
		Error.captureStackTrace(error, here);
	return error;
}

const bad_value = (message) => new ObjpoolError("BAD_VALUE", message);

module.exports = { ObjpoolError, RemoteError, error_of, here, bad_value };
