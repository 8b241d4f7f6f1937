// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { decode, encode, Ext, Float, NdArray } from "objpool";
import { Daemon } from "./daemon.mjs";

const require = createRequire(import.meta.url);
const { Incoming } = require("../lib/incoming.js");
const { Pending } = require("../lib/pending.js");
const { skip_value } = require("../lib/scan.js");

const VALUES = [
	null, true, false, 0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER,
	-1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, Number.MIN_SAFE_INTEGER,
	2n ** 63n, 2n ** 64n - 1n, -(2n ** 63n), 0.5, -0, 1e300, Infinity, NaN,
	"", "a", "é", "x".repeat(31), "x".repeat(32), "é".repeat(200), "x".repeat(70_000),
	[], [1, [2, [3]]], Array.from({ length: 70_000 }, (_, i) => i),
	{}, { a: 1, "é": { b: [null] } }, JSON.parse('{"__proto__": 1}'), new Map([[1, "a"], ["b", 2]]),
	Buffer.from([0, 255]), Buffer.alloc(70_000, 7), new Date(0), new Date(1234567890123), new Date(-1),
	new Ext(5, Buffer.from([1])), new Ext(-7, Buffer.from([1, 2, 3])), new Ext(112, Buffer.alloc(16)),
	Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, i])),
];

test("each kind of value is itself again, through the daemon, too", async (t) => {
	const daemon = await Daemon.start(t);
	const pool = (await daemon.client(t)).pool("p");
	for (const value of VALUES) {
		assert.deepEqual(decode(encode(value)), value);
		assert.deepEqual(await pool.echo(value), value);
	}
	assert.deepEqual(await pool.echo([undefined, { a: undefined }]), [null, {}]);
	assert.equal(Object.hasOwn(decode(encode(JSON.parse('{"__proto__": 1}'))), "__proto__"), true);
});

test("forms on the wire that are chosen", () => {
	assert.deepEqual([...encode(1.0)], [1]);
	assert.deepEqual([...encode(new Float(1))], [0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
	assert.deepEqual([...encode(5n)], [5]);
	assert.equal(decode(encode("\ud800x")), "\ufffdx"); // half a character
	assert.deepEqual([...encode(new Uint8Array([1]))], [0xc4, 1, 1]);
	assert.equal(decode(Buffer.from("cf0020000000000000", "hex")), 2n ** 53n);
	assert.equal(decode(Buffer.from("ca3fc00000", "hex")), 1.5);
});

class Point {
	constructor(x, y) {
		Object.assign(this, { x, y });
	}
}

test("instances of a program's classes are their own properties, and so are objects of other realms", () => {
	assert.deepEqual(decode(encode(new Point(1, 2))), { x: 1, y: 2 });
	assert.deepEqual(decode(encode(Object.assign(Object.create(null), { a: 1 }))), { a: 1 });
	assert.deepEqual(decode(encode(runInNewContext("({ a: {}, b: new Map([[1, new Date(5)]]) })"))),
		{ a: {}, b: new Map([[1, new Date(5)]]) });
});

/* Each is {} for JSON, or nothing at all. */
const FORMLESS = {
	"a RegExp": /x/, "a Set": new Set([1]), "an Error": Object.assign(new Error("x"), { code: 5 }), "a URL": new URL("unix:/x"),
	"a Promise": Promise.resolve(1), "a WeakMap": new WeakMap(), "a Number": new Number(5), "a String": new String("x"),
	"a symbol": Symbol("x"), "a function": () => 1, "an Empty": new (class Empty {})(), "a Headers": new Headers({ a: "b" }),
	"an invalid Date": new Date(NaN), "a Generator": (function* () {})(), "an Array Iterator": [].values(),
};

test("what has no form on the wire is refused, with its place", async (t) => {
	for (const [name, value] of Object.entries(FORMLESS)) {
		const message = new RegExp(`^value\\[1\\]\\.a: ${name} has no form on the wire`);
		assert.throws(() => encode([0, { a: value }]), { code: "BAD_VALUE", ran: "no", message });
	}
	const pool = (await (await Daemon.start(t)).client(t)).pool("p");
	const refused = (promise, message) => assert.rejects(promise, { code: "BAD_VALUE", ran: "no", message });
	await refused(pool.add(1, { x: /y/ }), "args[1].x: a RegExp has no form on the wire");
	await refused(pool.slot(1).add(1, new Map([[7, { "a b": /y/ }]])), "args[1][7]['a b']: a RegExp has no form on the wire");
	await refused(pool.map.echo([1, new Set()]), "args[0][1]: a Set has no form on the wire: send an array");
	await refused(pool.options({ kwargs: { b: Symbol("x") } }).add(1), "kwargs.b: a symbol has no form on the wire");
	await refused(pool.map.options({ bindKwargs: { b: () => 1 } }).add([1]), "bindKwargs.b: a function has no form on the wire");
	await refused(pool.echo.notify(2n ** 64n), "args[0]: 18446744073709551616 has more than 64 bits");
	await assert.rejects(pool.map.echo.stream([{ x: /y/ }]).next(), { message: "items[0].x: a RegExp has no form on the wire" });
	await assert.rejects(pool.map.echo.stream([1, 2, new Set()]).toArray(),
		{ message: "items[2]: a Set has no form on the wire: send an array" });
	const circle = {};
	circle.next = circle;
	await refused(pool.echo(circle), `args[0]${".next".repeat(7)}…: it is nested too deeply, or contains itself`);
	assert.equal(await pool.echo("alive"), "alive");
});

test("typed arrays are numpy's arrays", () => {
	const bytes = encode(new Float64Array([1.5, 2.5]));
	assert.equal(bytes.subarray(3, 5).toString("hex"), "003e"); // after the head of the ext
	const array = decode(bytes);
	assert.deepEqual([array.dtype, array.shape, array.order], ["<f8", [2], "C"]);
	assert.deepEqual(array.data, new Float64Array([1.5, 2.5]));
	const grid = decode(encode(new NdArray(new Int32Array([1, 2, 3, 4, 5, 6]), [2, 3], undefined, "F")));
	assert.deepEqual([grid.shape, grid.order, [...grid.data]], [[2, 3], "F", [1, 2, 3, 4, 5, 6]]);
	const foreign = decode(encode(new NdArray(Buffer.alloc(8), [1], ">f8")));
	assert.deepEqual([foreign.data, foreign.bytes.length], [undefined, 8]);
	assert.equal(new NdArray(Buffer.alloc(8), [1], "<constructor").data, undefined);
});

test("an array whose bytes are not those of its dtype and shape is refused", () => {
	const whole = (bytes, shape, dtype) => encode(new NdArray(Buffer.alloc(bytes), shape, dtype));
	const pair = [["a", "<i2"], ["", "|V2"], ["b", "<f4", [2, 3]], ["c", [["d", "|u1"]], 2]];
	for (const [bytes, shape, dtype] of [[8, [], "<f8"], [0, [0, 3], "<f8"], [8, new Int32Array([1]), "<f8"], [24, [2], "<U3"],
		[16, [2], "<M8[ns]"], [60, [2], pair], [5, [7], "strange"], [5, [7], [5]], [3, [1], [["a", "|S2"], ["b", "|b1"]]]])
		assert.ok(whole(bytes, shape, dtype).length > bytes);
	assert.throws(() => encode([new NdArray(new Float32Array(3), [2, 2])]), { code: "BAD_VALUE", ran: "no",
		message: "value[0]: an NdArray of dtype <f4 and shape [2,2] has 16 bytes, and not 12" });
	for (const [bytes, shape, dtype] of [[61, [2], pair], [8, [3], "<U1"], [0, [], "<f8"], [8, [-1], "<f8"], [8, [0.5, 2], "<f8"],
		[8, "1", "<f8"], [8, 1, "<f8"]])
		assert.throws(() => whole(bytes, shape, dtype), { code: "BAD_VALUE" });
});

test("messages in pieces of any size are the same messages, and each value ends where its bytes end", () => {
	const messages = VALUES.slice(0, 40).map((value, i) => [1, i, null, value]).concat([[1, 99, null, "x".repeat(5000)]]);
	const bytes = Buffer.concat(messages.map(encode));
	for (const size of [1, 3, 7, 4096, bytes.length]) {
		const got = [];
		const incoming = new Incoming((reader) => got.push(reader.value()));
		for (let at = 0; at < bytes.length; at += size)
			incoming.add(bytes.subarray(at, at + size));
		assert.deepEqual(got, messages);
		assert.equal(incoming.is_within, false);
	}
	for (const value of VALUES) {
		const alone = encode(value);
		assert.equal(skip_value(alone, 0, alone.length), alone.length);
		assert.equal(skip_value(alone, 0, alone.length - 1), -1);
		assert.throws(() => decode(alone.subarray(0, -1)), RangeError);
	}
});

test("nonsense is refused, and no memory is taken for counts that it names", () => {
	for (const hex of ["c1", "dd7fffffff", "df7fffffff", "c6ffffffff00", "9191", "91".repeat(300) + "c0"])
		assert.throws(() => decode(Buffer.from(hex, "hex")), RangeError);
	assert.deepEqual(decode(Buffer.from("d55100ff", "hex")), new Ext(81, Buffer.from([0, 255]))); // an ARRAY that is none
});

test("msgids are given in turn, each to one entry at a time, also beyond the last", () => {
	const pending = new Pending();
	const add = () => {
		const entry = { msgid: pending.new_id(), chunk: 0 };
		assert.equal(pending.get(entry.msgid), undefined);
		pending.add(entry);
		return entry;
	};
	const first = Array.from({ length: 100 }, add);
	assert.deepEqual(first.map(({ msgid }) => msgid), Array.from({ length: 100 }, (_, i) => i + 1));
	pending.next_id = 2 ** 32 - 2;
	const late = [add(), add(), add()];
	assert.deepEqual(late.slice(0, 2).map(({ msgid }) => msgid), [2 ** 32 - 2, 2 ** 32 - 1]);
	assert.ok(late[2].msgid > 100 && late[2].msgid < 300); // 1 to 100 are in use
	for (let i = 0; i < 1000; i++)
		pending.delete(add());
	for (const entry of [...first, ...late])
		assert.equal(pending.get(entry.msgid), entry);
	for (const stranger of [0, -1, 1.5, 2 ** 40, 5n, "1", null, {}, [1]])
		assert.equal(pending.get(stranger), undefined);
	pending.delete(first[5]);
	assert.equal(pending.get(6), undefined);
	assert.deepEqual(pending.clear().length, 102);
	assert.equal(pending.size, 0);
});
