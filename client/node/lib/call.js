// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A call with one answer: deadline, AbortSignal, progress, attempts. */
const timers = require("node:timers/promises");
const { ObjpoolError } = require("./errors.js");
const { on_abort, off_abort } = require("./signals.js");

const SLACK_MS = 5_000; // after the deadline, of which the daemon tells, until the daemon counts as gone
const TIMER_MAX = 2 ** 31 - 1;
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

/** Calls a user's function, after what is going on here: what it throws is its own affair. */
function tell(progress, params) {
	if (progress)
		queueMicrotask(() => progress(...params));
}

/** What waits for the answer. `source` gives another connection for a call that has not left this process; null: it fails. */
class Call {
	constructor(source, method, params, options, resolve, reject) {
		this.source = source;
		this.method = method;
		this.params = params;
		this.options = options;
		this.raw = options.raw === true;
		this.resolve = resolve;
		this.reject = reject;
		this.connection = null;
		this.timer = undefined;
		this.msgid = 0;
		this.chunk = 0;
		this.cancel = null;
		this.is_given_up = false;
		this.end = end_of(options);
	}

	send(connection) {
		const { signal, timeoutMs } = this.options;
		this.connection = connection;
		connection.request(this.method, this.params, this);
		if (timeoutMs !== undefined)
			this.give_up_after(timeoutMs + SLACK_MS, new ObjpoolError("TIMEOUT", "the daemon does not answer"));
		if (signal) {
			this.cancel = () => this.on_abort();
			on_abort(signal, this.cancel);
		}
	}

	on_abort() {
		if (!this.connection.lost)
			this.connection.notify("objpool.cancel", [this.msgid]);
		this.give_up_after(CANCEL_MS, aborted(this.options.signal, "maybe"));
	}

	give_up_after(milliseconds, error) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.give_up(error), Math.min(milliseconds, TIMER_MAX)).unref();
	}

	give_up(error) {
		this.is_given_up = true;
		this.reject(error);
	}

	answer(error, value) {
		const { signal } = this.options;
		clearTimeout(this.timer);
		off_abort(signal, this.cancel);
		if (error)
			this.reject(by_signal(error, signal));
		else
			this.resolve(value);
	}

	/** Its connection was lost before it was made: it waits for the next one, as calls do that are made later; but only once. */
	unsent(error) {
		if (this.is_given_up || !this.source?.reach) {
			this.answer(error, null);
			return;
		}
		clearTimeout(this.timer);
		off_abort(this.options.signal, this.cancel);
		const left = with_time_left(this.params, this.options, this.end);
		call_when_reached(this.source, null, this.method, ...left).then(this.resolve, this.reject);
	}

	notice(name, params) {
		if (name === "objpool.progress")
			tell(this.options.progress, params);
	}
}

function call_on(connection, source, method, params, options) {
	return new Promise((resolve, reject) => new Call(source, method, params, options, resolve, reject).send(connection));
}

const end_of = ({ timeoutMs }) => (timeoutMs === undefined ? Infinity : performance.now() + timeoutMs);

/** The parameters and options of a call of which a part of the time is over. */
function with_time_left(params, options, end) {
	if (end === Infinity)
		return [params, options];
	const timeoutMs = Math.max(0, Math.ceil(end - performance.now()));
	const timed = params.map((one, i) => (i === 3 && one?.timeout_ms !== undefined ? { ...one, timeout_ms: timeoutMs } : one));
	return [timed, { ...options, timeoutMs }];
}

/** The time of what waits for a connection before it is sent. */
class Time {
	constructor(options) {
		this.options = options;
		this.end = end_of(options);
	}

	/** The options, with what is left of it. */
	left() {
		return with_time_left([], this.options, this.end)[1];
	}

	/** A request's method and parameters, likewise. */
	left_of([method, params]) {
		return [method, with_time_left(params, this.options, this.end)[0]];
	}
}

/** Waits for a connection; no longer than the call's signal and deadline allow. */
async function reach(source, { signal, timeoutMs }) {
	const limit = new AbortController();
	const give_up = () => limit.abort(aborted(signal, "no"));
	const late = () => limit.abort(new ObjpoolError("TIMEOUT", "there is no connection to the daemon", { ran: "no" }));
	const timer = timeoutMs === undefined ? undefined : setTimeout(late, Math.min(timeoutMs, TIMER_MAX));
	on_abort(signal, give_up);
	try {
		return await source.reach(limit.signal);
	} finally {
		clearTimeout(timer);
		off_abort(signal, give_up);
	}
}

/** `later`: the source of another connection, if this one is lost before the call has left. */
async function call_when_reached(source, later, method, params, options) {
	if (options.signal?.aborted)
		throw aborted(options.signal, "no");
	const end = end_of(options);
	const connection = await reach(source, options);
	return call_on(connection, later, method, ...with_time_left(params, options, end));
}

function attempt(source, method, params, options) {
	if (options.signal?.aborted)
		return Promise.reject(aborted(options.signal, "no"));
	if (source.connection)
		return call_on(source.connection, source, method, params, options);
	return call_when_reached(source, source, method, params, options);
}

async function attempts(source, method, params, options) {
	const end = end_of(options);
	for (let made = 1; ; made++) {
		try {
			return await attempt(source, method, ...with_time_left(params, options, end));
		} catch (error) {
			const pause = options.retry.pause(made, error, options.idempotent);
			if (pause === undefined || source.is_closed || performance.now() + pause > end)
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

module.exports = { Time, call, reach, aborted, by_signal, tell };
