// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The options of calls: what they are on the wire, and which are for this side alone. */
const { Retry } = require("./retry.js");

const WIRE = new Map(Object.entries({
	timeoutMs: "timeout_ms", kwargs: "kwargs", bind: "bind", bindKwargs: "bind_kwargs", argsAs: "args_as", errors: "errors",
	chunk: "chunk", idempotent: "idempotent", ordered: "ordered", window: "window", sync: "sync", sticky: "sticky",
	traceparent: "traceparent", priority: "priority",
}));
const LOCAL = new Set(["signal", "progress", "raw", "retry"]);

/** The options with those of `more`, which are looked at. An undefined one takes away what was given before. */
function merge(options, more) {
	const merged = { ...options };
	for (const [name, value] of Object.entries(more ?? {})) {
		if (!WIRE.has(name) && !LOCAL.has(name))
			throw new TypeError(`there is no option "${name}"`);
		if (value === undefined || value === null)
			delete merged[name];
		else
			merged[name] = name === "retry" ? Retry.of(value) : value;
	}
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

module.exports = { merge, to_wire };
