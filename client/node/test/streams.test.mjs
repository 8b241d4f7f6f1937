// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "objpool";
import { Daemon } from "./daemon.mjs";

const start = async (t, setup) => {
	const daemon = await Daemon.start(t, setup);
	const client = await daemon.client(t);
	return { daemon, client, pool: client.pool("p") };
};

test("a streamed map gives its results in order, and a summary", async (t) => {
	const { pool } = await start(t);
	const stream = pool.map.add.stream([1, 2, 3], new Set([10, 20, 30, 40]));
	assert.deepEqual(await stream.toArray(), [11, 22, 33]);
	const { items, failed } = stream.summary;
	assert.deepEqual({ items, failed }, { items: 3, failed: 0 });
	assert.deepEqual(await pool.map.options({ bind: [5] }).add.stream(new Set([1])).toArray(), [6]);
	assert.deepEqual(await pool.map.options({ kwargs: { a: [1, 2], b: [3, 4] } }).add.stream().toArray(), [4, 6]);
	assert.deepEqual(await pool.map.options({ argsAs: "positional" }).add.stream([[1, 2]]).toArray(), [3]);
	assert.deepEqual(await pool.map.echo.stream([]).toArray(), []);
});

test("an endless input runs in constant memory: it is read as results are taken", async (t) => {
	const { pool } = await start(t);
	let read = 0, closed = false;
	function* numbers() {
		try {
			for (;;)
				yield read++;
		} finally {
			closed = true;
		}
	}
	let taken = 0;
	for await (const value of pool.map.options({ window: 50 }).echo.stream(numbers())) {
		assert.equal(value, taken++);
		assert.ok(read <= taken + 50, `${read} were read when ${taken} had been taken`);
		if (taken === 2000)
			break;
	}
	assert.equal(closed, true);
	assert.equal(await pool.echo("alive"), "alive");
});

test("an asynchronous input may wait for results of earlier items", async (t) => {
	const { pool } = await start(t);
	const seen = [];
	async function* chain() {
		yield 1;
		while (seen.length < 200) {
			while (seen.length === 0 || seen.at(-1) === chain.last)
				await new Promise((resolve) => {
					chain.wake = resolve;
				});
			chain.last = seen.at(-1);
			yield chain.last + 1;
		}
	}
	for await (const value of pool.map.echo.stream(chain())) {
		seen.push(value);
		chain.wake?.();
	}
	assert.deepEqual(seen, Array.from({ length: seen.length }, (_, i) => i + 1));
	assert.ok(seen.length >= 200);
});

test("an item's failure ends the loop, or is an item where errors are collected", async (t) => {
	const { pool } = await start(t);
	const got = [];
	await assert.rejects(async () => {
		for await (const value of pool.map.options({ bind: [1] }).add.stream([1, 2, "x", 4]))
			got.push(value);
	}, { code: "BAD_ARGUMENT", index: 2 });
	assert.deepEqual(got, [2, 3]);
	const stream = pool.map.options({ bind: [1], errors: "collect" }).add.stream([1, "x", 4]);
	const all = await stream.toArray();
	assert.deepEqual([all[0], all[1].code, all[2]], [2, "BAD_ARGUMENT", 5]);
	assert.equal(stream.summary.failed, 1);
	const failed = pool.all.fail.stream();
	await assert.rejects(failed.next(), { code: "FAILED", index: 0 });
	assert.deepEqual(await failed.next(), { done: true, value: undefined });
});

test("an exception of the input comes in its place", async (t) => {
	const { pool } = await start(t);
	function* broken() {
		yield 1;
		throw new RangeError("no such file");
	}
	const got = [];
	await assert.rejects(async () => {
		for await (const value of pool.map.echo.stream(broken()))
			got.push(value);
	}, RangeError);
	assert.deepEqual(got, [1]);
	const all = await pool.map.options({ errors: "collect" }).echo.stream([1, Symbol("x")]).toArray();
	assert.deepEqual([all[0], all[1].code, all[1].cause.code], [1, "FAILED", "BAD_VALUE"]);
});

test("what a method yields comes one by one, and a slow reader holds up nothing else", async (t) => {
	const { pool } = await start(t);
	assert.deepEqual(await pool.series.stream(5).toArray(), [0, 1, 2, 3, 4]);
	assert.deepEqual(await pool.series.stream(0).toArray(), []);
	const pairs = [];
	for await (const [index, value] of pool.all.slot.stream().entries())
		pairs.push([index, value]);
	assert.deepEqual(pairs, [[0, 0], [1, 1]]);
	const endless = pool.slot(0).series.stream(null, Buffer.alloc(10_000));
	await endless.next();
	for (let i = 0; i < 500; i++)
		assert.equal(await pool.slot(1).echo(i), i);
	await endless.return();
	assert.deepEqual(await endless.next(), { done: true, value: undefined });
	assert.equal(await pool.slot(0).echo("free again"), "free again");
});

test("many streams at once share connections, and leave none behind that nobody uses", async (t) => {
	const { client, pool } = await start(t);
	for (let round = 0; round < 3; round++) {
		const streams = Array.from({ length: 30 }, (_, i) => pool.series.stream(5, i).toArray());
		assert.deepEqual(await Promise.all(streams), Array.from({ length: 30 }, (_, i) => [i, i, i, i, i]));
		assert.ok((await client.status()).sessions <= 1 + 8);
	}
	const poor = await connect(client.address, { streamConnections: 0 });
	t.after(() => poor.close());
	assert.deepEqual(await poor.pool("p").series.stream(3).toArray(), [0, 1, 2]);
});

test("a reader that stops stops the method, which yields for ever", async (t) => {
	const { client, pool } = await start(t, { pools: { p: { workers: 1 }, q: { workers: 1 } } });
	const { count } = client.pool("q"); // which is called after each value
	const stream = pool.options({ kwargs: { value: "x".repeat(100_000), asks: "q.count" } }).series.stream();
	await stream.next();
	let before = 0, now = await count();
	for (; now - before > 1; now = await count())
		before = now;
	assert.ok(now < 1000, `${now} values are under way`);
	await stream.return();
});

test("an AbortSignal, a deadline and the end of the connection end a stream", async (t) => {
	const { client, pool, daemon } = await start(t);
	const control = new AbortController();
	const stream = pool.options({ signal: control.signal }).series.stream();
	await stream.next();
	control.abort();
	await assert.rejects(async () => {
		for await (const _ of stream);
	}, { code: "CANCELLED", name: "AbortError" });
	await assert.rejects(pool.map.options({ timeoutMs: 20 }).sleep.stream([60]).toArray(), { code: "TIMEOUT" });
	const other = pool.map.sleep.stream([60]);
	const fails = assert.rejects(other.next(), { code: "CONNECTION_LOST" });
	await client.ping();
	await daemon.kill();
	await fails;
});

test("unordered results come with their indexes", async (t) => {
	const { pool } = await start(t);
	const pairs = await pool.map.options({ ordered: false }).sleep.stream([0.2, 0]).entries().toArray();
	assert.deepEqual(pairs, [[1, 0], [0, 0.2]]);
});

test("progress of a stream, and raw results", async (t) => {
	const { pool } = await start(t);
	const raw = await pool.map.options({ raw: true }).echo.stream([1, "a"]).toArray();
	assert.deepEqual(raw.map((bytes) => [...bytes]), [[1], [0xa1, 0x61]]);
	const yielded = await pool.options({ raw: true }).series.stream(2).toArray();
	assert.deepEqual(yielded.map((bytes) => [...bytes]), [[0], [1]]);
});
