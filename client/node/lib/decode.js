// SPDX-License-Identifier: Apache-2.0
"use strict";
/* msgpack, read from one buffer. What lies beyond its end is never read: SHORT is thrown then. */
const { ARRAY, Ext, NdArray } = require("./values.js");

const SHORT = new RangeError("the value goes on beyond the bytes that are there");
const DEPTH_MAX = 128; // results have 32 levels; this one is for bytes that are nonsense
const SHORT_TEXT = 16;
const OWN_MEMORY = 1 << 15; // bytes of a bin from which on it is a view of what was read, and no copy
const TIMESTAMP = 255;
const TEXTS = 512; // a power of two
const TEXT_REMEMBERED = 12;

/* Short texts come again and again: keys of maps, names. Each has its place by a hash of its bytes. */
const texts = new Array(TEXTS).fill("");

class Reader {
	constructor() {
		this.set(Buffer.alloc(0), 0, 0);
	}

	set(buffer, position, end) {
		this.buffer = buffer;
		this.position = position;
		this.end = end;
		this.depth = 0;
	}

	/** The place of so many bytes, which are passed over. */
	pass(size) {
		const at = this.position;
		if (size > this.end - at)
			throw SHORT;
		this.position = at + size;
		return at;
	}

	natural(size) {
		const at = this.pass(size);
		const b = this.buffer;
		if (size === 1)
			return b[at];
		if (size === 2)
			return b[at] << 8 | b[at + 1];
		return b[at] * 0x1000000 + (b[at + 1] << 16 | b[at + 2] << 8 | b[at + 3]);
	}

	/** 64 bits: a number where that is exact, else a bigint. */
	wide(signed) {
		const at = this.pass(8);
		const high = signed ? this.buffer.readInt32BE(at) : this.buffer.readUInt32BE(at);
		const value = high * 0x100000000 + this.buffer.readUInt32BE(at + 4);
		if (Number.isSafeInteger(value))
			return value;
		return signed ? this.buffer.readBigInt64BE(at) : this.buffer.readBigUInt64BE(at);
	}

	text(size) {
		const at = this.pass(size);
		if (size > SHORT_TEXT)
			return this.buffer.toString("utf8", at, at + size);
		const buffer = this.buffer;
		let hash = size;
		for (let i = at; i < at + size; i++) {
			if (buffer[i] >= 0x80)
				return buffer.toString("utf8", at, at + size);
			hash = hash * 31 + buffer[i] | 0;
		}
		const known = texts[hash & TEXTS - 1];
		if (is_same(known, buffer, at, size))
			return known;
		const made = buffer.toString("latin1", at, at + size);
		if (size <= TEXT_REMEMBERED)
			texts[hash & TEXTS - 1] = made;
		return made;
	}

	bin(size) {
		const at = this.pass(size);
		const bytes = this.buffer.subarray(at, at + size);
		return size >= OWN_MEMORY ? bytes : Buffer.from(bytes);
	}

	array(count) {
		this.enter(count);
		const array = [];
		for (let i = 0; i < count; i++)
			array.push(this.value());
		this.depth--;
		return array;
	}

	/** An object if all keys are texts, else a Map. */
	map(count) {
		this.enter(2 * count);
		const object = {};
		for (let i = 0; i < count; i++) {
			const key = this.value();
			if (typeof key !== "string")
				return this.foreign_map(object, key, count - i);
			set_property(object, key, this.value());
		}
		this.depth--;
		return object;
	}

	/** The rest of a map, after a first key that is no text. */
	foreign_map(before, key, left) {
		const map = new Map(Object.entries(before));
		map.set(key, this.value());
		for (let i = 1; i < left; i++) {
			key = this.value();
			map.set(key, this.value());
		}
		this.depth--;
		return map;
	}

	/** Each value has a byte at least: a count of more is not believed. */
	enter(values) {
		if (values > this.end - this.position)
			throw SHORT;
		if (++this.depth > DEPTH_MAX)
			throw new RangeError("a value is nested too deeply");
	}

	ext(size) {
		const type = this.buffer[this.pass(1)];
		const at = this.pass(size);
		const body = this.buffer.subarray(at, at + size);
		if (type === TIMESTAMP)
			return timestamp(body) ?? new Ext(-1, Buffer.from(body));
		if (type === ARRAY)
			return ndarray(body) ?? new Ext(ARRAY, Buffer.from(body));
		return new Ext(type << 24 >> 24, size >= OWN_MEMORY ? body : Buffer.from(body));
	}

	value() {
		const first = this.buffer[this.pass(1)];
		if (first < 0x80)
			return first;
		if (first < 0x90)
			return this.map(first & 0x0f);
		if (first < 0xa0)
			return this.array(first & 0x0f);
		if (first < 0xc0)
			return this.text(first & 0x1f);
		return first < 0xe0 ? this.long(first) : first - 0x100;
	}

	/** The number of values of an array, which follow. */
	count() {
		const first = this.natural(1);
		if (first >= 0x90 && first < 0xa0)
			return first & 0x0f;
		if (first !== 0xdc && first !== 0xdd)
			throw new RangeError("an array must stand here");
		return this.natural(first === 0xdc ? 2 : 4);
	}

	long(first) {
		switch (first) {
		case 0xc0: return null;
		case 0xc2: return false;
		case 0xc3: return true;
		case 0xc4: return this.bin(this.natural(1));
		case 0xc5: return this.bin(this.natural(2));
		case 0xc6: return this.bin(this.natural(4));
		case 0xc7: return this.ext(this.natural(1));
		case 0xc8: return this.ext(this.natural(2));
		case 0xc9: return this.ext(this.natural(4));
		case 0xca: return this.buffer.readFloatBE(this.pass(4));
		case 0xcb: return this.buffer.readDoubleBE(this.pass(8));
		case 0xcc: return this.natural(1);
		case 0xcd: return this.natural(2);
		case 0xce: return this.natural(4);
		case 0xcf: return this.wide(false);
		case 0xd0: return this.natural(1) << 24 >> 24;
		case 0xd1: return this.natural(2) << 16 >> 16;
		case 0xd2: return this.natural(4) | 0;
		case 0xd3: return this.wide(true);
		case 0xd9: return this.text(this.natural(1));
		case 0xda: return this.text(this.natural(2));
		case 0xdb: return this.text(this.natural(4));
		case 0xdc: return this.array(this.natural(2));
		case 0xdd: return this.array(this.natural(4));
		case 0xde: return this.map(this.natural(2));
		case 0xdf: return this.map(this.natural(4));
		case 0xc1: throw new RangeError("the byte 0xc1 is no msgpack");
		default: return this.ext(1 << first - 0xd4); // 0xd4 to 0xd8
		}
	}
}

function is_same(text, buffer, at, size) {
	if (text.length !== size)
		return false;
	for (let i = 0; i < size; i++)
		if (text.charCodeAt(i) !== buffer[at + i])
			return false;
	return true;
}

function set_property(object, key, value) {
	if (key === "__proto__")
		Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
	else
		object[key] = value;
}

/** The Date of a timestamp; undefined: it is none, or no Date can have it. */
function timestamp(body) {
	let seconds, nanoseconds = 0;
	if (body.length === 4) {
		seconds = body.readUInt32BE(0);
	} else if (body.length === 8) {
		nanoseconds = body.readUInt32BE(0) >>> 2;
		seconds = (body[3] & 3) * 0x100000000 + body.readUInt32BE(4);
	} else if (body.length === 12) {
		nanoseconds = body.readUInt32BE(0);
		seconds = Number(body.readBigInt64BE(4));
	} else {
		return undefined;
	}
	const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6));
	return Number.isNaN(date.getTime()) ? undefined : date;
}

/** The NdArray of an ext of type 81; undefined: it is none. */
function ndarray(body) {
	const from = body.length >= 2 ? 2 + body.readUInt16BE(0) : Infinity;
	if (from > body.length)
		return undefined;
	let header;
	try {
		header = decode(body.subarray(2, from), true);
	} catch {
		return undefined;
	}
	if (!Array.isArray(header) || header.length !== 3 || !Array.isArray(header[1]))
		return undefined;
	const data = body.subarray(from);
	return new NdArray(data.length >= OWN_MEMORY ? data : new Uint8Array(data), header[1], header[0], header[2]);
}

/** The value of these bytes. `padded`: more bytes may follow. */
function decode(bytes, padded = false) {
	const reader = new Reader();
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	reader.set(buffer, 0, buffer.length);
	const value = reader.value();
	if (!padded && reader.position !== reader.end)
		throw new RangeError("there are bytes after the value");
	return value;
}

module.exports = { Reader, SHORT, decode };
