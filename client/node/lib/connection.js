// SPDX-License-Identifier: Apache-2.0
"use strict";
/* One connection: requests out, in one write for all that a turn of the event loop has made; responses and notifications in.
 *
 * What waits for an answer is an entry of `pending`:
 *     answer(error, value)          its response has come, or never will: error is an ObjpoolError or null
 *     unsent(error)                 the connection has ended before a byte of it left this process
 *     notice(name, params, size)    a notification about it has come, of so many bytes
 *     raw                           its value is wanted as the bytes of msgpack
 *     msgid, chunk                  are set: its request's msgid, and the number of the write that has it
 */
const { EventEmitter } = require("node:events");
const { Writer } = require("./encode.js");
const { ObjpoolError, error_of } = require("./errors.js");
const { Incoming } = require("./incoming.js");
const { Pending } = require("./pending.js");
const { skip_value } = require("./scan.js");
const { cant_connect, open_socket } = require("./socket.js");
const { Unsendable } = require("./unsendable.js");

const RESPONSE = 1;
const BUFFER = 1 << 16; // buffers of this size are used again
const UNSENT_MAX = 1 << 20; // bytes that the socket has not taken, from which on those who can wait do

class Connection extends EventEmitter {
	constructor(socket, address) {
		super();
		this.socket = socket;
		this.address = address;
		this.pending = new Pending();
		this.holders = new Set();
		this.unwatched = new Set(); // of those that are pending
		this.writer = new Writer();
		this.spare = null;
		this.chunk = 1; // the number of the write that is being made
		this.left = 0; // the last one of which bytes may have left
		this.is_flushing = false;
		this.is_paused = false;
		this.on_idle = null; // is called when nothing is pending any more
		this.lost = null; // why it has ended
		this.complaint = null; // what the daemon has said of no request
		this.hello = null; // the daemon's answer to it
		this.limit = Infinity;
		this.flush = this.flush.bind(this);
		this.incoming = new Incoming((reader) => this.on_message(reader));
		socket.on("data", (chunk) => this.on_data(chunk));
		socket.on("error", (error) => this.break_off(error));
		socket.on("close", () => this.end("the daemon has closed the connection"));
		socket.unref();
	}

	/** Connects, and says hello. */
	static async open(address, credentials, introduction, limit) {
		const socket = await open_socket(address, credentials, limit);
		const connection = new Connection(socket, address);
		const on_limit = () => connection.end("the daemon does not answer", limit.reason);
		limit?.addEventListener("abort", on_limit, { once: true });
		try {
			connection.hello = await connection.ask("objpool.hello", [{ ...introduction, errors: "map" }]);
			connection.limit = connection.hello.limits?.max_message ?? Infinity;
		} catch (error) {
			connection.close();
			throw error.code === "CONNECTION_LOST" ? cant_connect(address, error) : error;
		} finally {
			limit?.removeEventListener("abort", on_limit);
		}
		return connection;
	}

	/** The promise of one of the daemon's own methods. */
	ask(method, params) {
		return new Promise((resolve, reject) => this.request(method, params, {
			raw: false,
			msgid: 0,
			chunk: 0,
			answer: (error, value) => (error ? reject(error) : resolve(value)),
			unsent: reject,
			notice: () => {},
		}));
	}

	/** Sends a request; `entry` gets what comes of it. Throws if it can't be sent. */
	request(method, params, entry) {
		if (this.lost)
			throw this.never_sent();
		const msgid = this.pending.new_id();
		const writer = this.writer;
		const before = writer.position;
		try {
			writer.byte(0x94);
			writer.byte(0);
			writer.integer(msgid);
			writer.text(method);
			writer.params(params);
			this.check_size(writer.position - before);
		} catch (error) {
			writer.position = before;
			throw Unsendable.refused_of(error, method);
		}
		entry.msgid = msgid;
		entry.chunk = this.chunk;
		this.pending.add(entry);
		if (this.pending.size === this.unwatched.size + 1)
			this.socket.ref();
		this.plan_flush();
		if (this.holders.size > 0)
			this.set_pace();
	}

	/** Sends a notification. Returns the number of the write that has it. */
	notify(method, params) {
		if (this.lost)
			throw this.never_sent();
		const before = this.writer.position;
		try {
			this.writer.byte(0x93);
			this.writer.byte(2);
			this.writer.text(method);
			this.writer.params(params);
			this.check_size(this.writer.position - before);
		} catch (error) {
			this.writer.position = before;
			throw Unsendable.refused_of(error, method);
		}
		this.plan_flush();
		return this.chunk;
	}

	/** Sends what is packed already. */
	send_packed(bytes) {
		this.writer.raw(bytes);
		this.plan_flush();
	}

	check_size(size) {
		if (size > this.limit) {
			const text = `a message of ${size} bytes is over the daemon's limit of ${this.limit}`;
			throw new ObjpoolError("TOO_LARGE", text, { ran: "no" });
		}
	}

	plan_flush() {
		if (this.is_flushing)
			return;
		this.is_flushing = true;
		process.nextTick(this.flush);
	}

	/** Writes all that this turn has made. */
	flush() {
		this.is_flushing = false;
		if (this.lost || this.writer.position === 0)
			return;
		const buffer = this.writer.buffer;
		const data = this.writer.take(this.spare ?? undefined);
		this.spare = null;
		const chunk = this.chunk++;
		const waits = this.socket.writableLength > 0;
		this.socket.write(data, (error) => {
			if (!error) // what waited behind it has been tried, too
				this.left = this.socket.errored ? Math.max(chunk, this.left) : this.chunk - 1;
			if (buffer.length === BUFFER)
				this.spare = buffer;
		});
		if (this.socket.errored) // at once: nothing of it was taken
			this.break_off(this.socket.errored);
		else if (!waits)
			this.left = chunk;
	}

	/** Resolves when the socket has taken most of what was sent; with false when the connection has ended. */
	drained() {
		if (this.lost)
			return Promise.resolve(false);
		this.flush();
		if (this.socket.writableLength < UNSENT_MAX)
			return Promise.resolve(true);
		return new Promise((resolve) => {
			const settle = () => {
				this.socket.off("drain", settle);
				this.off("lost", settle);
				resolve(!this.lost);
			};
			this.socket.on("drain", settle);
			this.on("lost", settle);
		});
	}

	/** `holder` wants nothing to be read as long as only such ones wait for anything. */
	hold(holder) {
		this.holders.add(holder);
		this.set_pace();
	}

	release(holder) {
		if (this.holders.delete(holder))
			this.set_pace();
	}

	/** Nobody waits for what comes of this entry at the moment: it does not keep the program running. */
	unwatch(entry) {
		if (this.unwatched.has(entry))
			return;
		this.unwatched.add(entry);
		if (this.pending.size === this.unwatched.size)
			this.socket.unref();
	}

	watch(entry) {
		if (this.unwatched.delete(entry) && this.pending.size === this.unwatched.size + 1)
			this.socket.ref();
	}

	/** Resolves when nothing waits for an answer. There may be one such promise at a time. */
	idle() {
		if (this.pending.size === 0)
			return Promise.resolve();
		return new Promise((resolve) => {
			this.on_idle = resolve;
		});
	}

	set_pace() {
		const paused = this.holders.size > 0 && this.holders.size >= this.pending.size;
		if (paused === this.is_paused)
			return;
		this.is_paused = paused;
		if (paused)
			this.socket.pause();
		else
			this.socket.resume();
	}

	on_data(chunk) {
		try {
			this.incoming.add(chunk);
		} catch (error) {
			this.end(`the daemon has sent what is no answer: ${error.message}`, error);
			this.socket.destroy();
		}
	}

	on_message(reader) {
		const from = reader.position;
		const count = reader.natural(1) - 0x90;
		const kind = reader.natural(1);
		if (count === 4 && kind === RESPONSE)
			this.on_response(reader);
		else if (count === 3 && kind === 2)
			this.on_notification(reader, from);
		else
			throw new RangeError("a message is neither a response nor a notification");
	}

	on_response(reader) {
		const msgid = reader.value();
		const entry = this.pending.get(msgid);
		const error = reader.value();
		const value = entry?.raw && error === null ? raw_value(reader) : reader.value();
		if (!entry) {
			if (error !== null)
				this.complaint = error_of(error);
			return;
		}
		this.remove(entry);
		entry.answer(error === null ? null : error_of(error), value);
	}

	remove(entry) {
		this.pending.delete(entry);
		if (this.unwatched.size > 0)
			this.unwatched.delete(entry);
		if (this.pending.size === this.unwatched.size)
			this.socket.unref();
		if (this.holders.size > 0)
			this.set_pace();
		if (this.on_idle && this.pending.size === 0)
			this.on_idle();
	}

	on_notification(reader, from) {
		const name = reader.value();
		const count = reader.count();
		const entry = count > 0 ? this.pending.get(reader.value()) : undefined;
		const raw = entry?.raw && (name === "objpool.result" || name === "objpool.results");
		const params = raw ? raw_results(reader, count) : rest(reader, count);
		entry?.notice(name, params, reader.position - from);
	}

	break_off(error) {
		this.end(`the connection to the daemon broke: ${error.message}`, error);
	}

	/** Ends the connection: all that waits fails. */
	end(text, cause) {
		if (this.lost)
			return;
		this.lost = this.why_lost(text, cause);
		const entries = this.pending.clear();
		this.holders.clear();
		this.unwatched.clear();
		this.socket.unref();
		this.emit("lost", this.lost);
		for (const entry of entries) {
			if (entry.chunk > this.left)
				entry.unsent(this.never_sent());
			else
				entry.answer(this.lost.again(), null);
		}
		this.on_idle?.();
	}

	/** The error for what no byte of has left. */
	never_sent() {
		return Object.assign(this.lost.again(), { ran: "no" });
	}

	/** Whether the connection has ended before a byte of that write left. */
	has_kept(chunk) {
		return this.lost !== null && chunk > this.left;
	}

	why_lost(text, cause) {
		const said = this.complaint;
		if (said && !this.hello)
			return said;
		return new ObjpoolError("CONNECTION_LOST", said ? said.message : text, { cause: said ?? cause });
	}

	/** Closes it when what was sent has left. Resolves then. */
	close() {
		this.flush();
		this.end("the client has been closed");
		this.socket.end(() => this.socket.destroy());
		this.socket.resume();
		return new Promise((resolve) => {
			if (this.socket.closed)
				resolve();
			else
				this.socket.once("close", resolve);
		});
	}
}

/** The bytes of the next value. */
function raw_value(reader) {
	const at = reader.position;
	const end = skip_value(reader.buffer, at, reader.end);
	if (end < 0)
		reader.pass(reader.end - at + 1);
	reader.position = end;
	return Buffer.from(reader.buffer.subarray(at, end));
}

/** The values of a notification after the msgid. */
function rest(reader, count) {
	const values = [];
	for (let i = 1; i < count; i++)
		values.push(reader.value());
	return values;
}

/** Likewise of results: an index, and an error and a value, or an array of values; values as bytes. */
function raw_results(reader, count) {
	const index = reader.value();
	if (count === 4)
		return [index, reader.value(), raw_value(reader)];
	const values = [];
	for (let left = reader.count(); left > 0; left--)
		values.push(raw_value(reader));
	return [index, values];
}

module.exports = { Connection };
