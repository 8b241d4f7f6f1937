// SPDX-License-Identifier: Apache-2.0
// Plays what a program asks in a dialogue of tests/wire, and compares what the library gives. tests/wire/README.md has the form.
import assert from "node:assert/strict";
import fs from "node:fs";
import { Ext, Float, ObjpoolError } from "objpool";

/** A dialogue, with numbers that JSON.parse would change as {$big} and {$float}. */
export function read(path) {
	const text = fs.readFileSync(path, "utf8");
	return JSON.parse(text.replace(/(?<=[[:,]\s*)(-?\d{16,}|-?\d+\.0+)(?=\s*[,\]}])/g,
		(number) => (number.includes(".") ? `{"$float": ${number}}` : `{"$big": "${number}"}`)));
}

const bytes_of = (hex) => Buffer.from(hex.replaceAll(" ", ""), "hex");
const SPECIAL = {
	$bin: bytes_of,
	$ext: ([type, hex]) => new Ext(type, bytes_of(hex)),
	$counting: (size) => Buffer.from(Array.from({ length: size }, (_, i) => i & 255)),
	$big: BigInt,
	$float: (number) => new Float(number),
};

/** The special form that a map is: its name and what it holds. */
function special(told) {
	const entries = told !== null && typeof told === "object" && !Array.isArray(told) ? Object.entries(told) : [];
	return entries.length === 1 && entries[0][0].startsWith("$") ? entries[0] : [];
}

export function value_of(told) {
	const [name, held] = special(told);
	if (name)
		return SPECIAL[name](held);
	if (Array.isArray(told))
		return told.map(value_of);
	if (told === null || typeof told !== "object")
		return told;
	return Object.fromEntries(Object.entries(told).map(([key, value]) => [key, value_of(value)]));
}

const KINDS = {
	nil: (value) => value === null, bool: (value) => typeof value === "boolean", str: (value) => typeof value === "string",
	int: (value) => Number.isInteger(value) || typeof value === "bigint", float: (value) => typeof value === "number",
	bin: Buffer.isBuffer, ext: (value) => value instanceof Ext, array: Array.isArray,
	map: (value) => typeof value === "object" && value !== null, value: () => true,
};

export function check(told, value) {
	const [name, held] = special(told);
	if (name === "$any")
		assert.ok(KINDS[held](value), `${value} is no ${held}`);
	else if (name === "$starts")
		assert.ok(value.startsWith(held), `${value} does not begin with ${held}`);
	else if (name === "$float")
		assert.equal(value, held);
	else if (name)
		assert.deepEqual(value, SPECIAL[name](held));
	else if (Array.isArray(told))
		check_each(told, value);
	else if (told !== null && typeof told === "object")
		check_map(told, value);
	else
		assert.equal(value, told);
}

function check_each(told, value) {
	assert.equal(value.length, told.length);
	told.forEach((one, i) => check(one, value[i]));
}

function check_map(told, value) {
	assert.deepEqual(Object.keys(value).sort(), Object.keys(told).sort());
	for (const [key, one] of Object.entries(told))
		check(one, value[key]);
}

const FIELDS = { exit_status: "exitStatus", retry_after_ms: "retryAfterMs", message: null };

function check_error(told, error) {
	assert.ok(error instanceof ObjpoolError, String(error));
	for (const [key, wanted] of Object.entries(told)) {
		if (FIELDS[key] === null) // it has the type and the number of the item, too
			assert.ok(special(wanted)[0] || error.message.endsWith(wanted), error.message);
		else
			check(wanted, error[FIELDS[key] ?? key] ?? null);
	}
}

function check_collected(told, results) {
	assert.equal(results.length, told.length);
	told.forEach(([error, value], i) => (error ? check_error(error, results[i]) : check(value, results[i])));
}

const OPTIONS = {
	timeout_ms: "timeoutMs", bind_kwargs: "bindKwargs", args_as: "argsAs", kwargs: "kwargs", bind: "bind", errors: "errors",
	chunk: "chunk", idempotent: "idempotent", ordered: "ordered", window: "window", sync: "sync", labels: "labels",
	sticky: "sticky", traceparent: "traceparent",
};

/** The part of the pools that a target names; undefined: the library can't express it. */
function part_of(client, target) {
	const [, name, selector] = /^([\w@*-]+)(?::(.*))?$/s.exec(target) ?? [];
	if (name === undefined)
		return undefined;
	const pool = client.pool(name);
	if (selector === undefined)
		return pool;
	if (selector.startsWith("key="))
		return pool.key(selector.slice(4));
	if (/^(0|[1-9]\d*)$/.test(selector))
		return pool.slot(Number(selector));
	return ["all", "map", "scatter"].includes(selector) ? pool[selector] : undefined;
}

export class Player {
	constructor(client) {
		this.client = client;
		this.begun = new Map(); // what steps have named: a promise, or a stream
		this.steps = new Map(); // the steps that have begun these
		this.progress = new Map();
		this.leases = new Map();
		this.failed = new Set(); // streams of which an item has failed
	}

	async play(steps) {
		for (const [at, step] of steps.entries()) {
			try {
				if (step.do && step.do !== "connect" && step.do !== "close")
					this[step.do](step);
				else if ("gives" in step)
					await this.check(step);
			} catch (error) {
				error.message = `step ${at + 1}, ${JSON.stringify(step).slice(0, 200)}: ${error.message}`;
				throw error;
			}
		}
	}

	begin(step, what) {
		if (what instanceof Promise)
			what.catch(() => {}); // a later step looks at it
		this.begun.set(step.as, what);
		this.steps.set(step.as, step);
	}

	/** The method that a step calls, and its arguments; undefined: it goes as the wire has it. */
	asked(step) {
		const part = part_of(this.client, step.target);
		const { stream: _, progress, ...told } = step.options ?? {};
		if (!part || Object.keys(told).some((name) => !OPTIONS[name]))
			return undefined;
		const options = Object.fromEntries(Object.entries(told).map(([name, value]) => [OPTIONS[name], value_of(value)]));
		if (progress) {
			this.progress.set(step.as, []);
			options.progress = (...step_of) => this.progress.get(step.as).push(step_of);
		}
		const stop = new AbortController();
		if (step.as !== undefined)
			this.begun.set(`stop ${step.as}`, stop);
		const args = value_of(step.args ?? []);
		const method = part.options({ ...options, signal: stop.signal }).method(step.method);
		return { method, args: (told.args_as ?? "zip") === "zip" ? args : [args] };
	}

	call(step) {
		const { method, args } = this.asked(step) ?? {};
		const params = [step.target, step.method, value_of(step.args), value_of(step.options ?? {})];
		this.begin(step, method ? method(...args) : this.client.request("objpool.call", params));
	}

	notify(step) {
		const { method, args } = this.asked(step);
		this.begin(step, method.notify(...args));
	}

	stream(step) {
		const { method, args } = this.asked(step);
		this.begin(step, method.stream(...("feed" in step ? [value_of(step.feed)] : args)));
	}

	cancel(step) {
		this.begun.get(`stop ${step.call}`).abort();
	}

	ask(step) {
		this.begin(step, this.client.request(`objpool.${step.method}`, value_of(step.params)));
	}

	lease(step) {
		const { slot, timeout_ms: timeoutMs, lease_ms: leaseMs } = step.options ?? {};
		const lease = this.client.pool(step.pool).lease({ slot, timeoutMs, leaseMs });
		this.leases.set(step.as, lease);
		this.begin(step, lease.then((one) => ({ slot: one.slot, generation: one.generation })));
	}

	release(step) {
		this.begin(step, this.leases.get(step.lease).then((one) => one.release()));
	}

	async check(step) {
		const begun = this.begun.get(step.gives);
		if (!(begun instanceof Promise))
			await this.check_stream(step, begun);
		else if ("progress" in step)
			await this.check_progress(step, begun);
		else
			await this.check_answer(step, begun);
	}

	async check_progress(step, promise) {
		await promise.catch(() => {});
		assert.ok(this.progress.get(step.gives).some((told) => JSON.stringify(told) === JSON.stringify(step.progress)));
	}

	async check_answer(step, promise) {
		const [error, value] = await promise.then((result) => [null, result], (failure) => [failure]);
		if (step.error)
			check_error(step.error, error);
		else if (error)
			throw error;
		else if (this.steps.get(step.gives).do === "call" && this.steps.get(step.gives).options?.errors === "collect")
			check_collected(step.value, value);
		else
			check(step.value, value);
	}

	async check_stream(step, stream) {
		const [error, { done, value } = {}] = await stream.next().then((got) => [null, got], (failure) => [failure]);
		if ("item" in step) {
			assert.ifError(error);
			check(step.item, value);
		} else if ("failure" in step) {
			this.failed.add(step.gives);
			check_error(step.failure, error ?? value);
		} else if ("error" in step && !this.failed.has(step.gives)) {
			check_error(step.error, error);
		} else {
			assert.ifError(error);
			assert.equal(done, true);
			if (step.end && stream.summary)
				check(step.end, { items: stream.summary.items, failed: stream.summary.failed });
		}
	}
}
