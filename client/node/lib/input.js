// SPDX-License-Identifier: Apache-2.0
"use strict";
/* What a map goes over: arrays for a map whose results come together, an iterator for a streamed one. */

const has = (source, name) => source !== null && typeof source === "object" && typeof source[name] === "function";
const is_iterable = (source) => has(source, Symbol.iterator);
const is_async_iterable = (source) => has(source, Symbol.asyncIterator);

/** The items of an argument of a map. */
function array_of(source) {
	if (Array.isArray(source))
		return source;
	if (is_iterable(source))
		return Array.from(source);
	if (is_async_iterable(source))
		throw new TypeError("an argument of a map is an asynchronous iterable: use .stream()");
	throw new TypeError(`an argument of a map is no iterable, but a ${typeof source}`);
}

/** Whether `args` of a map are its items, and not arrays to be zipped. */
const are_items = (options) => options.argsAs !== undefined && options.argsAs !== "zip";

/** The arguments and options of a map or scatter whose results come together. */
function arrays_of(args, options) {
	if (are_items(options)) {
		if (args.length !== 1)
			throw new TypeError(`a map with argsAs "${options.argsAs}" goes over one iterable of items`);
		return [array_of(args[0]), options];
	}
	if (!options.kwargs)
		return [args.map(array_of), options];
	const kwargs = Object.fromEntries(Object.entries(options.kwargs).map(([name, source]) => [name, array_of(source)]));
	return [args.map(array_of), { ...options, kwargs }];
}

/** An iterator of all sources at once, which ends with the shortest. */
function* zip(sources, join) {
	const iterators = sources.map((source) => source[Symbol.iterator]());
	try {
		for (;;) {
			const steps = [];
			for (const iterator of iterators) {
				const step = iterator.next();
				if (step.done)
					return;
				steps.push(step.value);
			}
			yield join(steps);
		}
	} finally {
		for (const iterator of iterators)
			iterator.return?.();
	}
}

async function* zip_async(sources, join) {
	const iterators = sources.map((source) => source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]());
	try {
		for (;;) {
			const steps = await Promise.all(iterators.map((iterator) => iterator.next()));
			if (steps.some((step) => step.done))
				return;
			yield join(steps.map((step) => step.value));
		}
	} finally {
		await Promise.all(iterators.map((iterator) => iterator.return?.()));
	}
}

/** {source, is_async, args_as} of a streamed map: its items, and what one of them is. */
function items_of(args, options) {
	const names = Object.keys(options.kwargs ?? {});
	const sources = [...args, ...names.map((name) => options.kwargs[name])];
	const whole = are_items(options);
	if (sources.length === 0 || (args.length > 0 && names.length > 0) || (whole && sources.length > 1))
		throw new TypeError("a streamed map goes over one iterable, or some that are zipped, or over kwargs");
	const is_async = sources.some(is_async_iterable);
	if (!sources.every((source) => is_iterable(source) || is_async_iterable(source)))
		throw new TypeError("an argument of a map is no iterable");
	if (sources.length === 1 && names.length === 0) {
		const source = is_async ? sources[0][Symbol.asyncIterator]() : sources[0][Symbol.iterator]();
		return { source, is_async, args_as: whole ? options.argsAs : "single" };
	}
	const named = (values) => Object.fromEntries(names.map((name, i) => [name, values[i]]));
	const join = names.length > 0 ? named : (values) => values;
	const source = (is_async ? zip_async : zip)(sources, join);
	return { source, is_async, args_as: names.length > 0 ? "keyword" : "positional" };
}

module.exports = { arrays_of, items_of };
