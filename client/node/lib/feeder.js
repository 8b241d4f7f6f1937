// SPDX-License-Identifier: Apache-2.0
"use strict";
/* The input of a streamed map. It is read as there is credit for it: never further than the daemon has given credit, nor than a
 * window beyond the results that were taken. So an endless input runs in constant memory, however slow the daemon or the reader
 * is. */
const { Writer } = require("./encode.js");
const { ObjpoolError } = require("./errors.js");
const { Unsendable } = require("./unsendable.js");

const FIRST_SIZE = 1 << 12;
const BATCH = 1 << 17; // bytes of items that are sent together

/** Items that are packed as one message objpool.feed, while they come. */
class Batch {
	constructor(msgid) {
		this.writer = new Writer(FIRST_SIZE);
		this.writer.raw(Buffer.from([0x93, 2]));
		this.writer.text("objpool.feed");
		this.writer.byte(0x92);
		this.writer.head(0xce, 4, msgid);
		this.start = this.writer.position;
		this.clear();
	}

	clear() {
		this.count = 0;
		this.writer.position = this.start;
		this.writer.head(0xdd, 4, 0); // of the array of items: set when they are known
	}

	get size() {
		return this.writer.position;
	}

	/** Throws, and stays as it is, if the item can't be sent. */
	add(item, limit, number) {
		const before = this.writer.position;
		try {
			this.writer.value(item, 0);
			if (this.writer.position - before + this.start + 5 > limit)
				throw too_large(limit, number);
		} catch (error) {
			this.writer.position = before;
			throw Unsendable.refused(error, `items[${number}]`);
		}
		this.count++;
	}

	message() {
		this.writer.buffer.writeUInt32BE(this.count, this.start + 1);
		return this.writer.buffer.subarray(0, this.writer.position);
	}
}

const too_large = (limit, number) =>
	new ObjpoolError("TOO_LARGE", `items[${number}] is over the daemon's limit of ${limit} bytes`, { ran: "no" });

class Feeder {
	/** `source`: an iterator, asynchronous or not. `reader.received`, `reader.taken`: how many results have come, and were
	 * taken. */
	constructor(source, is_async, reader) {
		this.source = source;
		this.is_async = is_async;
		this.reader = reader;
		this.connection = null;
		this.msgid = 0;
		this.batch = null;
		this.granted = 0; // items that the daemon has given credit for
		this.fed = 0; // items that were read
		this.window = 1; // how many items may be ahead of the results that were taken
		this.is_busy = false;
		this.is_planned = false;
		this.has_ended = false;
		this.fault = undefined; // what has ended the input, if it was an exception
		this.has_failed = false;
	}

	begin(connection, msgid) {
		this.connection = connection;
		this.msgid = msgid;
		this.batch = new Batch(msgid);
	}

	credit(items) {
		this.granted += items;
		this.window = Math.max(this.window, this.granted - this.reader.received);
		this.pump();
	}

	allowed() {
		if (this.has_ended || this.connection.lost)
			return 0;
		return Math.min(this.granted - this.fed, this.window - (this.fed - this.reader.taken));
	}

	/** Reads and sends what may be sent; a few items only where the reader has nothing else to take. */
	pump() {
		if (this.is_busy || !this.batch)
			return;
		const least = this.reader.taken === this.reader.received ? 1 : Math.max(1, this.window >> 2);
		if (this.allowed() < least)
			return;
		this.is_busy = true;
		(this.is_async ? this.read_async() : this.read()).catch((error) => this.fail(error)).finally(() => {
			this.is_busy = false;
			this.flush();
			if (this.allowed() > 0)
				this.pump();
		});
	}

	async read() {
		while (this.allowed() > 0) {
			const { done, value } = this.source.next();
			if (done)
				return this.end();
			this.add(value);
			if (this.batch.size >= BATCH)
				await this.send();
		}
	}

	async read_async() {
		while (this.allowed() > 0) {
			const { done, value } = await this.source.next();
			if (this.has_ended)
				return;
			if (done)
				return this.end();
			this.add(value);
			if (this.batch.size >= BATCH)
				await this.send();
			else
				this.plan_flush();
		}
	}

	add(item) {
		this.batch.add(item, this.connection.limit, this.fed);
		this.fed++;
	}

	/** The source may take its time for the next item: what is there goes out. */
	plan_flush() {
		if (this.is_planned)
			return;
		this.is_planned = true;
		setImmediate(() => {
			this.is_planned = false;
			this.flush();
		});
	}

	flush() {
		if (this.batch.count === 0 || this.connection.lost)
			return;
		this.connection.send_packed(this.batch.message());
		this.batch.clear();
	}

	async send() {
		this.flush();
		await this.connection.drained();
	}

	fail(error) {
		if (this.has_ended)
			return;
		this.fault = error;
		this.has_failed = true;
		this.end(`${error?.name ?? "Error"}: ${error?.message ?? error}`);
	}

	/** There are no more items, or there is an error in place of the next. */
	end(...error) {
		if (this.has_ended)
			return;
		this.flush();
		this.has_ended = true;
		if (!this.connection.lost)
			this.connection.notify("objpool.feed_end", [this.msgid, ...error]);
	}

	/** Ends reading: the call has ended. */
	close() {
		if (this.has_ended)
			return;
		this.has_ended = true;
		Promise.resolve(this.source.return?.()).catch(() => {}); // nobody waits for what the source does at its end
	}
}

module.exports = { Feeder };
