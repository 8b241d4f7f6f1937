// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The options of calls: what they are on the wire, and which are for this side alone. */
const { Retry } = require("./retry.js");

const WIRE = new Map(Object.entries({
	timeoutMs: "timeout_ms", kwargs: "kwargs", bind: "bind", bindKwargs: "bind_kwargs", argsAs: "args_as", errors: "errors",
	chunk: "chunk", idempotent: "idempotent", ordered: "ordered", window: "window", sync: "sync", labels: "labels", sticky: "sticky",
	traceparent: "traceparent", priority: "priority",
}));
const LOCAL = new Set(["signal", "progress", "raw", "retry"]);

/** A time as the wire has it, rounded up; undefined: for ever. */
function milliseconds(name, value) {
	if (value === undefined || value === Infinity)
		return undefined;
	if (typeof value !== "number" || Number.isNaN(value))
		throw new TypeError(`${name} is a number of milliseconds`);
	return Math.max(0, Math.ceil(value));
}

function read(name, value) {
	if (name === "timeoutMs")
		return milliseconds(name, value ?? undefined);
	return name === "retry" && value ? Retry.of(value) : value;
}

/** The options with those of `more`, which are looked at. An undefined one takes away what was given before. */
function merge(options, more) {
	const merged = { ...options };
	for (const [name, value] of Object.entries(more ?? {})) {
		if (!WIRE.has(name) && !LOCAL.has(name))
			throw new TypeError(`there is no option "${name}"`);
		merged[name] = read(name, value);
	}
	for (const name of Object.keys(merged))
		if (merged[name] === undefined || merged[name] === null)
			delete merged[name];
	if (merged.progress !== undefined && typeof merged.progress !== "function")
		throw new TypeError("the option progress is a function of (done, total, text)");
	return merged;
}

/** The map of options for objpool.call; null: none is needed. */
function to_wire(options, more) {
	let wire = more ?? null;
	for (const name in options) {
		if (WIRE.has(name)) {
			wire ??= {};
			wire[WIRE.get(name)] ??= options[name];
		}
	}
	if (options.progress)
		(wire ??= {}).progress = true;
	return wire;
}

module.exports = { merge, milliseconds, to_wire };
