// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Results one by one. */
const { aborted, by_signal, tell } = require("./call.js");
const { error_of, here } = require("./errors.js");
const { off_abort } = require("./signals.js");

const HELD = 1 << 20; // bytes of results that nobody has taken, from which on no more are read

/** A failed item. */
class Failure {
	constructor(error) {
		this.error = error;
	}
}

const NONE = { first: 0, values: [], size: 0 };

class Stream {
	/** `collect`: errors of items are items, too. */
	constructor(options) {
		this.options = options;
		this.raw = options.raw === true;
		this.collect = options.errors === "collect";
		this.feeder = null;
		this.connection = null;
		this.give_back = null; // for a connection that only this stream has
		this.runs = []; // that have come and were not begun
		this.run = NONE;
		this.at = 0; // the next value of run
		this.received = 0;
		this.taken = 0;
		this.unread = 0; // bytes of runs, where no feeder bounds them
		this.waiters = [];
		this.msgid = 0;
		this.chunk = 0;
		this.again = null; // begins it on another connection
		this.is_answered = false;
		this.is_over = false; // nothing more is given
		this.failure = null;
		/** {items, failed, itemNs}, once the stream has ended; undefined before. */
		this.summary = undefined;
		this.on_abort = () => this.give_up(aborted(options.signal, this.msgid ? "maybe" : "no"));
	}

	begin(connection, method, params, give_back) {
		this.connection = connection;
		this.give_back = give_back;
		if (this.is_over) {
			give_back?.();
			return;
		}
		try {
			connection.request(method, params, this);
		} catch (error) {
			give_back?.();
			this.give_up(error);
			return;
		}
		if (this.waiters.length === 0)
			connection.unwatch(this);
		this.feeder?.begin(connection, this.msgid);
	}

	/* What comes. */

	notice(name, values, size) {
		this.again = null; // the daemon has it: its arguments need not be kept
		if (name === "objpool.progress")
			tell(this.options.progress, values);
		else if (this.is_over)
			return;
		else if (name === "objpool.credit")
			this.feeder?.credit(values[0]);
		else if (name === "objpool.results")
			this.add({ first: values[0], values: values[1], size });
		else if (name === "objpool.result")
			this.add({ first: values[0], values: [values[1] === null ? values[2] : this.failed_item(values)], size });
	}

	failed_item([index, wire]) {
		const error = error_of(wire);
		if (this.feeder?.has_failed && index === this.feeder.fed)
			return new Failure(this.collect ? Object.assign(error, { cause: this.feeder.fault }) : this.feeder.fault);
		return new Failure(error);
	}

	add(run) {
		this.received += run.values.length;
		this.runs.push(run);
		if (!this.feeder) {
			this.unread += run.size;
			if (this.unread > HELD)
				this.connection.hold(this);
		}
		this.settle();
	}

	/** Its connection was lost before it was made: it begins on the next one, but only once. */
	unsent(error) {
		if (this.is_over || !this.again) {
			this.answer(error, null);
			return;
		}
		const { again } = this;
		this.give_back?.();
		this.again = null;
		this.msgid = 0;
		again();
	}

	answer(error, value) {
		this.is_answered = true;
		this.feeder?.close();
		this.connection.release(this);
		this.give_back?.();
		off_abort(this.options.signal, this.on_abort);
		if (!this.is_over)
			this.failure = error && by_signal(error, this.options.signal);
		if (value)
			this.summary = { items: value.items, failed: value.failed, itemNs: value.item_ns };
		this.settle();
	}

	/* What is taken. */

	next_run() {
		if (this.at < this.run.values.length)
			return true;
		if (this.runs.length === 0)
			return false;
		this.run = this.runs.shift();
		this.at = 0;
		if (!this.feeder) {
			this.unread -= this.run.size;
			if (this.unread <= HELD / 2)
				this.connection.release(this);
		}
		return true;
	}

	/** [index, value] of the next item. The caller knows that there is one. */
	take() {
		const index = this.run.first + this.at;
		const item = this.run.values[this.at++];
		this.taken++;
		if (this.feeder && this.at === this.run.values.length)
			this.feeder.pump();
		if (!(item instanceof Failure))
			return [index, item];
		if (this.collect)
			return [index, item.error];
		this.leave(this.feeder !== null); // else each task of the call is at work already
		this.failure = null; // that of the call, which is the same
		throw item.error;
	}

	get is_ready() {
		return this.is_over || this.is_answered || this.at < this.run.values.length || this.runs.length > 0;
	}

	settle() {
		while (this.waiters.length > 0 && this.is_ready) {
			const { resolve, reject, shape } = this.waiters.shift();
			try {
				resolve(this.step(shape));
			} catch (error) {
				reject(error);
			}
		}
		if (this.waiters.length === 0 && this.is_pending)
			this.connection.unwatch(this);
	}

	get is_pending() {
		return this.msgid !== 0 && !this.is_answered && !this.connection.lost;
	}

	/** What next() gives, where that is known now. */
	step(shape) {
		if (!this.is_over && this.next_run())
			return { done: false, value: shape(...this.take()) };
		if (this.is_answered || this.is_over) {
			const error = this.failure;
			this.failure = null;
			this.stop();
			if (error)
				throw error;
			return { done: true, value: undefined };
		}
		return undefined;
	}

	/** The promise of the next step. `face` must live until then. */
	advance(shape, face) {
		if (this.waiters.length === 0) {
			try {
				const step = this.step(shape);
				if (step)
					return Promise.resolve(step);
			} catch (error) {
				return Promise.reject(here(error));
			}
			this.feeder?.pump();
			if (this.is_pending)
				this.connection.watch(this);
		}
		return new Promise((resolve, reject) => this.waiters.push({ resolve, reject, shape, face }));
	}

	/** Ends it with an error for whoever asks next. */
	give_up(error) {
		if (this.is_over || this.is_answered)
			return;
		this.failure = error;
		this.stop();
	}

	/** Gives nothing more; cancels the call if it is under way. */
	stop() {
		this.leave(true);
	}

	leave(cancels) {
		if (this.is_over)
			return;
		this.is_over = true;
		this.runs = [];
		this.run = NONE;
		this.at = 0;
		this.feeder?.close();
		off_abort(this.options.signal, this.on_abort);
		if (this.is_pending) {
			this.connection.release(this);
			if (cancels)
				this.connection.notify("objpool.cancel", [this.msgid]);
		}
		this.settle();
	}
}

module.exports = { Stream };
