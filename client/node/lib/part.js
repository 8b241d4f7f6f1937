// SPDX-License-Identifier: Apache-2.0
"use strict";
/* A pool, or a part of it, as an object whose attributes are the methods of its instances. */
const { inspect } = require("node:util");
const { Time, call, reach, aborted } = require("./call.js");
const { error_of, here } = require("./errors.js");
const { Feeder } = require("./feeder.js");
const { arrays_of, items_of } = require("./input.js");
const { merge, to_wire } = require("./options.js");
const { Results } = require("./results.js");
const { on_abort } = require("./signals.js");
const { Stream } = require("./stream.js");
const { Method } = require("./target.js");

/* Names that JavaScript itself looks up: they are no methods. */
const NEVER = new Set(["then", "toJSON", "constructor", "prototype"]);

class Part {
	/** `source` has the connection, or reaches for one (Link, or a lease). `mode`: "one", "all", "map" or "scatter". */
	constructor(source, target, mode, options) {
		this.source = source;
		this.target = target;
		this.mode = mode;
		this.given = options;
		this.methods = new Map();
	}

	/** What a user can ask of it by name. */
	static surface = new Set(["options", "method", "call", "target", "toString"]);

	/** The same part with other options. */
	options(more) {
		return face(this.with(merge(this.given, more)));
	}

	with(options) {
		return new this.constructor(this.source, this.target, this.mode, options);
	}

	/** A method by its name, for names that a pool has itself. */
	method(name) {
		let method = this.methods.get(name);
		if (!method) {
			method = make_method(this, String(name));
			this.methods.set(name, method);
		}
		return method;
	}

	/** Calls a method by its name. */
	call(name, ...args) {
		return this.method(name)(...args);
	}

	toString() {
		return this.target;
	}

	/** For console.log, which calls it on the face. */
	[inspect.custom]() {
		return `[objpool ${this.target}]`;
	}

	async invoke(method, args) {
		try {
			const [whole, params] = this.request(method, args);
			const result = await call(this.source, whole, params, this.given);
			return this.collects ? collected(result) : result;
		} catch (error) {
			throw here(error);
		}
	}

	get collects() {
		return this.mode !== "one" && this.given.errors === "collect" && !this.given.raw;
	}

	request(method, args, more) {
		if (this.mode !== "map" && this.mode !== "scatter")
			return method.request(args, to_wire(this.given, more));
		const [arrays, options] = arrays_of(args, this.given);
		return method.request(arrays, to_wire(options, more));
	}

	/** Resolves when the socket has taken it. Nothing answers it. */
	async notify(method, args) {
		const { signal } = this.given;
		if (signal?.aborted)
			throw aborted(signal, "no");
		const request = this.request(method, args);
		for (;;) {
			const connection = this.source.connection ?? await reach(this.source, this.given);
			const chunk = connection.notify(...request);
			await connection.drained();
			if (!connection.has_kept(chunk))
				return;
		}
	}

	stream(method, args) {
		const stream = new Stream(this.given);
		const { signal } = this.given;
		if (signal?.aborted) {
			stream.give_up(aborted(signal, "no"));
			return new Results(stream);
		}
		on_abort(signal, stream.on_abort);
		try {
			if (this.mode === "map")
				this.stream_map(stream, method, args);
			else
				this.stream_others(stream, method, args);
		} catch (error) {
			stream.give_up(error);
		}
		return new Results(stream);
	}

	stream_map(stream, method, args) {
		const { source, is_async, args_as } = items_of(args, this.given);
		stream.feeder = new Feeder(source, is_async, stream);
		const { kwargs, ...options } = this.given;
		const request = method.request(null, to_wire(options, { stream: "runs", args_as }));
		const time = new Time(this.given);
		const begin_later = () => reach(this.source, time.left()).then(
			(connection) => stream.begin(connection, ...time.left_of(request)), (error) => stream.give_up(error));
		if (!this.source.connection) {
			begin_later();
			return;
		}
		stream.again = this.source.reach ? begin_later : null;
		stream.begin(this.source.connection, ...request);
	}

	/** Only the reader holds up what comes here: it gets a connection of its own. */
	stream_others(stream, method, args) {
		const request = this.request(method, args, { stream: "runs" });
		if (!this.source.lend) {
			stream.begin(this.source.connection, ...request);
			return;
		}
		const time = new Time(this.given);
		const begin = () => reach(this.source, time.left()).then(() => this.source.lend()).then(
			(connection) => stream.begin(connection, ...time.left_of(request), () => this.source.give_back(connection)),
			(error) => stream.give_up(error));
		stream.again = begin;
		begin();
	}
}

/** The results of a call with collected errors: values, and ObjpoolErrors in the places of those that failed. With labels: behind the
 * host and the slot. */
function collected(rows) {
	const result = ([error, value]) => (error === null ? value : error_of(error));
	return rows.map((row) => (row.length === 2 ? result(row) : [row[0], row[1], result(row[2])]));
}

function make_method(part, name) {
	const named = new Method(part.target, name);
	const method = (...args) => part.invoke(named, args);
	method.stream = (...args) => part.stream(named, args);
	method.notify = (...args) => part.notify(named, args);
	return method;
}

const traps = {
	get(part, name) {
		if (typeof name === "symbol" || part.constructor.surface.has(name)) {
			const value = part[name];
			return typeof value === "function" ? value.bind(part) : value;
		}
		return NEVER.has(name) ? undefined : part.method(name);
	},
	has(part, name) {
		return typeof name === "symbol" ? name in part : !NEVER.has(name);
	},
	set(part, name) {
		throw new TypeError(`${part.target}.${String(name)}: attributes of a pool can't be set`);
	},
};

/** What a user sees of a part. */
function face(part) {
	return new Proxy(part, traps);
}

module.exports = { Part, face };
