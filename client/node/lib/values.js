// SPDX-License-Identifier: Apache-2.0
"use strict";
/* Values that JavaScript has no type for. docs/VALUES.md has the forms of arrays on the wire. */
const { bad_value } = require("./errors.js");

const ARRAY = 81;
const HEADER_ALIGN = 64;

/** A msgpack ext value of a type that means nothing here, such as a pickled object of Python (80). */
class Ext {
	constructor(type, data) {
		this.type = type;
		this.data = data;
	}
}

/** A number that is sent as a float even if it is whole. */
class Float {
	constructor(value) {
		this.value = value;
	}

	valueOf() {
		return this.value;
	}
}

const KINDS = new Map(Object.entries({
	b1: Uint8Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
	i8: BigInt64Array, u8: BigUint64Array, f4: Float32Array, f8: Float64Array,
}));
const DTYPES = new Map([...KINDS].map(([kind, type]) => [type, kind]));
const SIZED = /^[<>|=]([biufcSVUmM])(\d+)(?:\[.*\])?$/; // dtypes of which the size is known
const CHARACTER = 4; // bytes of one, in numpy's texts
const HOST = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? "<" : ">";

const bytes_of = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** numpy's dtype of a typed array; undefined: it has none. */
function dtype_of(view) {
	const kind = DTYPES.get(view.constructor);
	return kind && (kind.endsWith("1") ? "|" : HOST) + kind;
}

/** An array as numpy has it. */
class NdArray {
	/** `data`: a typed array, or bytes with their `dtype`; `shape`: by default one dimension. */
	constructor(data, shape, dtype, order = "C") {
		this.dtype = dtype ?? dtype_of(data);
		if (!this.dtype)
			throw bad_value(`${data?.constructor?.name} has no dtype: name one`);
		this.shape = shape ?? [data.length];
		this.order = order;
		this.bytes = bytes_of(data);
	}

	/** The elements as a typed array, in `order`; undefined if JavaScript has no such type. */
	get data() {
		const [mark, kind] = [String(this.dtype)[0], String(this.dtype).slice(1)];
		const type = typeof this.dtype === "string" && (mark === "|" || mark === HOST) ? KINDS.get(kind) : undefined;
		if (!type)
			return undefined;
		const size = type.BYTES_PER_ELEMENT;
		const from = this.bytes.byteOffset % size === 0 ? this.bytes : this.bytes.slice();
		return new type(from.buffer, from.byteOffset, Math.floor(from.byteLength / size));
	}
}

/** The bytes of an element of a dtype; undefined or NaN: they are not known here. */
function item_size(dtype) {
	if (Array.isArray(dtype))
		return dtype.reduce((sum, field) => sum + field_size(field), 0);
	const [, kind, digits] = SIZED.exec(dtype) ?? [];
	return kind ? Number(digits) * (kind === "U" ? CHARACTER : 1) : undefined;
}

function field_size(field) {
	const [, type, shape = []] = Array.isArray(field) ? field : [];
	return item_size(type) * elements_of([shape].flat());
}

const elements_of = (shape) => shape.reduce((product, length) => product * length, 1);

/** Whether it is the shape of an array: whole numbers. */
function is_shape(shape) {
	const is_list = Array.isArray(shape) || ArrayBuffer.isView(shape);
	return is_list && [...shape].every((length) => Number.isSafeInteger(length) && length >= 0);
}

/** The bytes of an array's elements; NaN: they are not known here. */
const elements_size = (dtype, shape) => item_size(dtype) * elements_of([...shape]);

/** The size of the header with its length and filling, for one whose packed form has so many bytes. */
const header_size = (packed) => Math.ceil((2 + packed) / HEADER_ALIGN) * HEADER_ALIGN;

module.exports = { ARRAY, Ext, Float, NdArray, bytes_of, dtype_of, elements_size, header_size, is_shape };
