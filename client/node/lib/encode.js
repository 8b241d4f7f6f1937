// SPDX-License-Identifier: Apache-2.0
"use strict";
/* msgpack, written one value after the other into one buffer. */
const { types } = require("node:util");
const { Unsendable, no_form } = require("./unsendable.js");
const { ARRAY, Ext, Float, NdArray, bytes_of, dtype_of, elements_size, header_size, is_shape } = require("./values.js");

const DEPTH_MAX = 64; // the daemon's limit is lower; this one ends circles
const SHORT_TEXT = 24;
const FIRST_SIZE = 1 << 16;
const SMALL_SIZE = 256; // of a writer for one value
const TIMESTAMP = 0xff;

class Writer {
	constructor(size = FIRST_SIZE) {
		this.buffer = Buffer.allocUnsafeSlow(size);
		this.position = 0;
	}

	/** Gives what was written away, and begins anew with `next`, a buffer that is not used any more, or one of its own. */
	take(next) {
		const written = this.buffer.subarray(0, this.position);
		this.buffer = next ?? Buffer.allocUnsafeSlow(FIRST_SIZE);
		this.position = 0;
		return written;
	}

	room(size) {
		const needed = this.position + size;
		if (needed <= this.buffer.length)
			return;
		const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.buffer.length));
		this.buffer.copy(grown, 0, 0, this.position);
		this.buffer = grown;
	}

	byte(value) {
		this.room(1);
		this.buffer[this.position++] = value;
	}

	/** A first byte, and a number of 1, 2 or 4 bytes. */
	head(first, size, value) {
		this.room(1 + size);
		this.buffer[this.position++] = first;
		for (let shift = 8 * (size - 1); shift >= 0; shift -= 8)
			this.buffer[this.position++] = value >>> shift;
	}

	raw(bytes) {
		this.room(bytes.length);
		this.buffer.set(bytes, this.position);
		this.position += bytes.length;
	}

	array(count) {
		if (count < 16)
			this.byte(0x90 | count);
		else if (count < 0x10000)
			this.head(0xdc, 2, count);
		else
			this.head(0xdd, 4, count);
	}

	map(count) {
		if (count < 16)
			this.byte(0x80 | count);
		else if (count < 0x10000)
			this.head(0xde, 2, count);
		else
			this.head(0xdf, 4, count);
	}

	number(value) {
		if (Number.isSafeInteger(value) && !Object.is(value, -0))
			this.integer(value);
		else
			this.float(value);
	}

	float(value) {
		this.room(9);
		this.buffer[this.position] = 0xcb;
		this.buffer.writeDoubleBE(value, this.position + 1);
		this.position += 9;
	}

	integer(value) {
		if (value >= 0 && value < 0x80)
			this.byte(value);
		else if (value >= 0)
			this.natural(value);
		else
			this.negative(value);
	}

	natural(value) {
		if (value < 0x100)
			this.head(0xcc, 1, value);
		else if (value < 0x10000)
			this.head(0xcd, 2, value);
		else if (value < 0x100000000)
			this.head(0xce, 4, value);
		else
			this.wide(0xcf, Math.floor(value / 0x100000000), value);
	}

	negative(value) {
		if (value >= -32)
			this.byte(value);
		else if (value >= -0x80)
			this.head(0xd0, 1, value);
		else if (value >= -0x8000)
			this.head(0xd1, 2, value);
		else if (value >= -0x80000000)
			this.head(0xd2, 4, value);
		else
			this.wide(0xd3, Math.floor(value / 0x100000000), value);
	}

	wide(first, high, low) {
		this.head(first, 4, high);
		this.room(4);
		this.position = this.buffer.writeUInt32BE(low >>> 0, this.position);
	}

	bigint(value) {
		if (value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)) {
			this.integer(Number(value));
			return;
		}
		if (value < -(1n << 63n) || value >= 1n << 64n)
			throw new Unsendable(`${value} has more than 64 bits`);
		this.room(9);
		this.buffer[this.position] = value < 0n ? 0xd3 : 0xcf;
		this.buffer.writeBigUInt64BE(BigInt.asUintN(64, value), this.position + 1);
		this.position += 9;
	}

	text(value) {
		const length = value.length;
		if (length <= SHORT_TEXT && this.ascii(value, length))
			return;
		const size = Buffer.byteLength(value);
		if (size < 32)
			this.byte(0xa0 | size);
		else
			this.sized(size, 0xd9, 0xda, 0xdb);
		this.room(size);
		this.buffer.write(value, this.position, size, "utf8");
		this.position += size;
	}

	/** False, with nothing written: it is not ASCII. */
	ascii(value, length) {
		this.room(1 + length);
		const buffer = this.buffer;
		let at = this.position;
		buffer[at++] = 0xa0 | length;
		for (let i = 0; i < length; i++) {
			const code = value.charCodeAt(i);
			if (code >= 0x80)
				return false;
			buffer[at++] = code;
		}
		this.position = at;
		return true;
	}

	sized(size, one, two, four) {
		if (size < 0x100)
			this.head(one, 1, size);
		else if (size < 0x10000)
			this.head(two, 2, size);
		else if (size < 0x100000000)
			this.head(four, 4, size);
		else
			throw new Unsendable("it has more than 4 GiB");
	}

	bin(bytes) {
		this.sized(bytes.length, 0xc4, 0xc5, 0xc6);
		this.raw(bytes);
	}

	ext(type, size) {
		const fixed = [1, 2, 4, 8, 16].indexOf(size);
		if (fixed >= 0)
			this.byte(0xd4 + fixed);
		else
			this.sized(size, 0xc7, 0xc8, 0xc9);
		this.byte(type);
	}

	ndarray(array) {
		const header = array_header(array);
		const size = header_size(header.length);
		this.ext(ARRAY, size + array.bytes.length);
		this.head((size - 2) >>> 8, 1, size - 2);
		this.raw(header);
		this.raw(Buffer.alloc(size - 2 - header.length));
		this.raw(array.bytes);
	}

	/** A Date, in the shortest form that has it. */
	timestamp(date) {
		const time = date.getTime();
		if (Number.isNaN(time))
			throw new Unsendable("an invalid Date has no form on the wire");
		const seconds = Math.floor(time / 1000);
		const nanoseconds = (time - seconds * 1000) * 1e6;
		if (seconds >= 0 && seconds < 0x100000000 && nanoseconds === 0) {
			this.ext(TIMESTAMP, 4);
			this.room(4);
			this.position = this.buffer.writeUInt32BE(seconds, this.position);
		} else {
			this.ext(TIMESTAMP, 12);
			this.room(12);
			this.position = this.buffer.writeUInt32BE(nanoseconds, this.position);
			this.position = this.buffer.writeBigInt64BE(BigInt(seconds), this.position);
		}
	}

	/** The array of a message's parameters: an Unsendable is thrown for one that can't be sent. */
	params(values) {
		this.elements(values, 0);
	}

	/** Any value. What was written of one that can't be sent is to be taken back by the caller (`position`). */
	value(value, depth) {
		switch (typeof value) {
		case "number":
			return this.number(value);
		case "string":
			return this.text(value);
		case "boolean":
			return this.byte(value ? 0xc3 : 0xc2);
		case "undefined":
			return this.byte(0xc0);
		case "bigint":
			return this.bigint(value);
		case "object":
			return value === null ? this.byte(0xc0) : this.object(value, depth);
		default:
			throw no_form(value);
		}
	}

	object(value, depth) {
		if (depth >= DEPTH_MAX)
			throw new Unsendable("it is nested too deeply, or contains itself");
		if (Array.isArray(value))
			this.elements(value, depth + 1);
		else if (Object.getPrototypeOf(value) === Object.prototype)
			this.properties(value, depth);
		else
			this.instance(value, depth);
	}

	elements(values, depth) {
		this.array(values.length);
		let at = 0;
		try {
			for (; at < values.length; at++)
				this.value(values[at], depth);
		} catch (error) {
			throw Unsendable.within(error, at);
		}
	}

	properties(value, depth) {
		const keys = Object.keys(value).filter((key) => value[key] !== undefined);
		this.map(keys.length);
		let at = 0;
		try {
			for (; at < keys.length; at++) {
				this.text(keys[at]);
				this.value(value[keys[at]], depth + 1);
			}
		} catch (error) {
			throw Unsendable.within(error, keys[at]);
		}
	}

	/** What has another prototype than objects have here: also a plain object of another realm. */
	instance(value, depth) {
		if (ArrayBuffer.isView(value))
			this.view(value);
		else if (types.isAnyArrayBuffer(value))
			this.bin(new Uint8Array(value));
		else if (types.isMap(value))
			this.entries(value, depth);
		else if (value instanceof Float)
			this.float(Number(value.value));
		else if (value instanceof NdArray)
			this.ndarray(value);
		else if (types.isDate(value))
			this.timestamp(value);
		else if (value instanceof Ext)
			this.foreign(value);
		else if (is_record(value))
			this.properties(value, depth);
		else
			throw no_form(value);
	}

	/** Bytes as bin, other typed arrays as an ARRAY of one dimension. */
	view(value) {
		if (value instanceof Uint8Array || value instanceof Uint8ClampedArray || !dtype_of(value))
			this.bin(bytes_of(value));
		else
			this.ndarray(new NdArray(value));
	}

	entries(value, depth) {
		this.map(value.size);
		let at;
		try {
			for (const [key, held] of value) {
				at = key;
				this.value(key, depth + 1);
				this.value(held, depth + 1);
			}
		} catch (error) {
			throw Unsendable.within(error, at);
		}
	}

	foreign(value) {
		this.ext(value.type & 0xff, value.data.length);
		this.raw(value.data);
	}
}

/** The packed header of an array, whose bytes are as many as it says. */
function array_header({ dtype, shape, order, bytes }) {
	if (!is_shape(shape))
		throw new Unsendable("the shape of an NdArray is an array of whole numbers");
	const header = encode([dtype, [...shape], order]);
	const size = elements_size(dtype, shape);
	if (size === bytes.length || Number.isNaN(size))
		return header;
	const type = typeof dtype === "string" ? dtype : JSON.stringify(dtype);
	throw new Unsendable(`an NdArray of dtype ${type} and shape [${shape}] has ${size} bytes, and not ${bytes.length}`);
}

/** Whether an object is what its own properties say: a plain object, or an instance of a program's class. JavaScript's own
 * objects keep what they are elsewhere, and would arrive empty. */
function is_record(value) {
	const prototype = Object.getPrototypeOf(value);
	if (prototype === null || Object.getPrototypeOf(prototype) === null)
		return true;
	return Object.keys(value).length > 0 && !types.isNativeError(value) && !types.isBoxedPrimitive(value)
		&& !types.isSet(value) && !types.isRegExp(value) && typeof value.then !== "function";
}

/** The bytes of one value. */
function encode(value) {
	const writer = new Writer(SMALL_SIZE);
	try {
		writer.value(value, 0);
	} catch (error) {
		throw Unsendable.refused(error, "value");
	}
	return writer.take();
}

module.exports = { Writer, encode };
