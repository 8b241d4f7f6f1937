// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Calls that are sent again, because they have not run. */
const { ObjpoolError } = require("./errors.js");

/* Errors that may pass. All others would come again. */
const PASSING = new Set(["OVERLOADED", "UNAVAILABLE", "WORKER_LOST", "HOST_LOST", "UNREACHABLE", "CONNECTION_LOST", "NO_DAEMON"]);

class Retry {
	constructor(attempts = 5, { delayMs = 50, maxDelayMs = 2000 } = {}) {
		if (!Number.isInteger(attempts) || attempts < 1)
			throw new RangeError("a Retry has at least one attempt");
		this.attempts = attempts;
		this.delayMs = delayMs;
		this.maxDelayMs = maxDelayMs;
	}

	/** The policy for an option `retry`: true, a number of attempts, {attempts, delayMs, maxDelayMs}. */
	static of(value) {
		if (value instanceof Retry)
			return value;
		if (value === true)
			return new Retry();
		return typeof value === "number" ? new Retry(value) : new Retry(value.attempts, value);
	}

	/** Milliseconds until the next attempt after `made` have failed, the last with `error`; undefined: there is none. */
	pause(made, error, idempotent) {
		if (made >= this.attempts || !may_pass(error, idempotent))
			return undefined;
		const pause = Math.min(this.maxDelayMs, this.delayMs * 2 ** (made - 1)) * (0.5 + Math.random() / 2);
		return Math.max(pause, (error.retryAfterMs ?? 0) * (1 + Math.random() / 4));
	}
}

function may_pass(error, idempotent) {
	if (!(error instanceof ObjpoolError) || !PASSING.has(error.code))
		return false;
	return idempotent || (error.ran === "no" && error.index === undefined);
}

module.exports = { Retry };
