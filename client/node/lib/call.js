// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A call with one answer: deadline, AbortSignal, progress, attempts. */
const timers = require("node:timers/promises");
const { ObjpoolError } = require("./errors.js");

const SLACK_MS = 5_000; // after the deadline, of which the daemon tells, until the daemon counts as gone
const CANCEL_MS = 1_000; // that a cancelled call waits for the daemon to say whether it ran

/** The error of a call whose signal was aborted, before it was sent or with no answer since. */
function aborted(signal, ran) {
	return by_signal(new ObjpoolError("CANCELLED", "the call was cancelled by its AbortSignal", { ran }), signal);
}

/** The error, marked as that of an AbortSignal where it came of one. */
function by_signal(error, signal) {
	if (error.code !== "CANCELLED" || !signal?.aborted)
		return error;
	error.name = "AbortError";
	error.cause = signal.reason;
	return error;
}

/** What waits for the answer. */
class Call {
	constructor(connection, options, resolve, reject) {
		this.connection = connection;
		this.options = options;
		this.raw = options.raw === true;
		this.resolve = resolve;
		this.reject = reject;
		this.timer = undefined;
		this.msgid = 0;
		this.cancel = null;
	}

	send(method, params) {
		const { signal, timeoutMs } = this.options;
		this.msgid = this.connection.request(method, params, this);
		if (timeoutMs !== undefined)
			this.give_up_after(timeoutMs + SLACK_MS, new ObjpoolError("TIMEOUT", "the daemon does not answer"));
		if (signal) {
			this.cancel = () => this.on_abort();
			signal.addEventListener("abort", this.cancel, { once: true });
		}
	}

	on_abort() {
		if (!this.connection.lost)
			this.connection.notify("objpool.cancel", [this.msgid]);
		this.give_up_after(CANCEL_MS, aborted(this.options.signal, "maybe"));
	}

	give_up_after(milliseconds, error) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.reject(error), Math.min(milliseconds, 2 ** 31 - 1)).unref();
	}

	answer(error, value) {
		const { signal } = this.options;
		clearTimeout(this.timer);
		if (this.cancel)
			signal.removeEventListener("abort", this.cancel);
		if (error)
			this.reject(by_signal(error, signal));
		else
			this.resolve(value);
	}

	notice(name, params) {
		if (name === "objpool.progress")
			this.options.progress?.(...params);
	}
}

function call_on(connection, method, params, options) {
	return new Promise((resolve, reject) => new Call(connection, options, resolve, reject).send(method, params));
}

/** The signal of a call that waits for a connection; undefined: nothing bounds that wait. */
function limit_of({ signal, timeoutMs }) {
	if (timeoutMs === undefined)
		return signal;
	const late = new AbortController();
	const end = () => late.abort(new ObjpoolError("TIMEOUT", "there is no connection to the daemon", { ran: "no" }));
	setTimeout(end, timeoutMs).unref();
	signal?.addEventListener("abort", () => late.abort(aborted(signal, "no")), { once: true });
	return late.signal;
}

async function call_when_reached(reach, method, params, options) {
	const connection = await reach(limit_of(options)).catch((error) => {
		throw options.signal?.aborted ? aborted(options.signal, "no") : error;
	});
	return call_on(connection, method, params, options);
}

function attempt(source, method, params, options) {
	if (options.signal?.aborted)
		return Promise.reject(aborted(options.signal, "no"));
	if (source.connection)
		return call_on(source.connection, method, params, options);
	return call_when_reached((limit) => source.reach(limit), method, params, options);
}

async function attempts(source, method, params, options) {
	const end = options.timeoutMs === undefined ? Infinity : performance.now() + options.timeoutMs;
	for (let made = 1; ; made++) {
		const left = end === Infinity ? undefined : Math.max(0, Math.ceil(end - performance.now()));
		if (left !== undefined)
			params[3].timeout_ms = left;
		try {
			return await attempt(source, method, params, { ...options, timeoutMs: left });
		} catch (error) {
			const pause = options.retry.pause(made, error, options.idempotent);
			if (pause === undefined || performance.now() + pause > end)
				throw error;
			await timers.setTimeout(pause, undefined, { signal: options.signal }).catch(() => {
				throw aborted(options.signal, "no");
			});
		}
	}
}

/** The promise of a call's result. `source` has the connection, or reaches for one. */
function call(source, method, params, options) {
	return options.retry ? attempts(source, method, params, options) : attempt(source, method, params, options);
}

module.exports = { call, aborted, by_signal };
