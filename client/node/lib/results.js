// SPDX-License-Identifier: Apache-2.0
"use strict";
/* What a user sees of a stream: an asynchronous iterator of its results. */

const only_value = (index, value) => value;
const with_index = (index, value) => [index, value];

/* A stream that its user has forgotten is cancelled when the garbage is collected. */
const forgotten = new FinalizationRegistry((stream) => stream.stop());

class Results {
	#origin; // keeps it from being forgotten
	#stream;
	#shape;

	constructor(stream, shape = only_value, origin = undefined) {
		this.#stream = stream;
		this.#shape = shape;
		this.#origin = origin;
		if (!origin)
			forgotten.register(this, stream);
	}

	/** {items, failed, itemNs}, once the stream has ended. */
	get summary() {
		return this.#stream.summary;
	}

	next() {
		return this.#stream.advance(this.#shape, this);
	}

	/** Cancels the call, if it has not ended. */
	async return(value) {
		this.#stream.stop();
		return { done: true, value };
	}

	async throw(error) {
		this.#stream.stop();
		throw error;
	}

	/** The same stream as pairs [index, value]. */
	entries() {
		return new Results(this.#stream, with_index, this);
	}

	/** All results that are still to come. */
	async toArray() {
		const all = [];
		for await (const value of this)
			all.push(value);
		return all;
	}

	[Symbol.asyncIterator]() {
		return this;
	}

	async [Symbol.asyncDispose]() {
		this.#stream.stop();
	}
}

module.exports = { Results };
