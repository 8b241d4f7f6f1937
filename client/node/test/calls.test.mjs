// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { connect, ObjpoolError } from "objpool";
import { Daemon } from "./daemon.mjs";

const start = async (t, setup) => {
	const daemon = await Daemon.start(t, setup);
	const client = await daemon.client(t);
	return { daemon, client, pool: client.pool("p") };
};

test("a call on any instance, on one, by key, on all, as a map and scattered", async (t) => {
	const { pool } = await start(t);
	assert.equal(await pool.add(1, 2), 3);
	assert.equal(await pool.slot(1).slot(), 1);
	const at = await pool.key("a.b").slot();
	assert.equal(await pool.key("a.b").slot(), at);
	assert.deepEqual(await pool.all.slot(), [0, 1]);
	assert.deepEqual(await pool.map.add([1, 2, 3], new Set([10, 20, 30, 40])), [11, 22, 33]);
	assert.deepEqual(await pool.scatter.add([1, 2], [3, 4]), [4, 6]);
	assert.equal(await pool.call("add", 2, 3), 5);
	assert.equal(await pool.method("slot")() < 2, true);
});

test("many calls at once are answered each with its own result", async (t) => {
	const { pool } = await start(t);
	const results = await Promise.all(Array.from({ length: 20_000 }, (_, i) => pool.echo(i)));
	assert.deepEqual(results, Array.from({ length: 20_000 }, (_, i) => i));
});

test("options go to the daemon, and unknown ones are refused here", async (t) => {
	const { pool } = await start(t);
	assert.equal(await pool.options({ kwargs: { b: 2 } }).add(1), 3);
	assert.deepEqual(await pool.map.options({ bind: [100] }).add([1, 2]), [101, 102]);
	assert.deepEqual(await pool.map.options({ argsAs: "keyword" }).add([{ a: 1, b: 2 }]), [3]);
	assert.deepEqual(await pool.map.options({ kwargs: { b: new Set([5, 6]) } }).add([1, 2]), [6, 8]);
	assert.throws(() => pool.options({ timeout: 1 }), /there is no option "timeout"/);
	assert.throws(() => pool.options({ constructor: 1 }), /there is no option "constructor"/);
	await assert.rejects(connect({ tlsCA: "ca.pem" }), { name: "TypeError", message: 'connect has no option "tlsCA"' });
	const collected = await pool.map.options({ errors: "collect" }).add([1, "x"], [2, 3]);
	assert.equal(collected[0], 3);
	assert.equal(collected[1].code, "BAD_ARGUMENT");
	assert.equal(collected[1].index, 1);
});

test("an error has all that the daemon says", async (t) => {
	const { pool } = await start(t);
	const error = await pool.slot(0).fail("out of paper", "PrinterError", "at line 3").catch((e) => e);
	assert.ok(error instanceof ObjpoolError && error instanceof Error);
	const { code, ran, type, slot, generation, message } = error;
	assert.deepEqual([code, ran, type, slot, generation, message],
		["FAILED", "yes", "PrinterError", 0, 1, "PrinterError: out of paper"]);
	assert.equal(error.pool, "p");
	assert.equal(error.cause.name, "PrinterError");
	assert.match(error.cause.stack, /at line 3/);
	assert.match(error.stack, /calls\.test\.mjs/); // where it was awaited
	assert.doesNotMatch(JSON.stringify(error), /at line 3/);
	assert.match(error.traceback, /at line 3/);
	const failed = await pool.map.fail.stream(["x"]).toArray().catch((e) => e);
	assert.match(failed.message, /^item 0: ProbeError: x$/);
	const lost = await pool.slot(1).crash(9).catch((e) => e);
	assert.deepEqual([lost.code, lost.signal, lost.ran], ["WORKER_LOST", 9, "maybe"]);
	await assert.rejects(pool.no_such(), { code: "NO_SUCH_METHOD", ran: "no" });
	await assert.rejects(pool.relay("p.fail", "inner"), { code: "FAILED" });
});

test("calls have priorities", async (t) => {
	const { pool } = await start(t);
	assert.equal(await pool.options({ priority: -10 }).echo(1), 1);
	await assert.rejects(pool.options({ priority: 11 }).echo(1), { code: "BAD_REQUEST" });
});

test("deadlines and AbortSignals end calls, also those that have not been sent", async (t) => {
	const { client, pool } = await start(t);
	await assert.rejects(pool.options({ timeoutMs: 20 }).sleep(60), { code: "TIMEOUT" });
	const control = new AbortController();
	const call = pool.options({ signal: control.signal }).sleep(60);
	await client.ping();
	control.abort(new Error("enough"));
	const error = await call.catch((e) => e);
	assert.deepEqual([error.code, error.name, error.cause.message], ["CANCELLED", "AbortError", "enough"]);
	await assert.rejects(pool.options({ signal: control.signal }).echo(1), { code: "CANCELLED", ran: "no" });
	assert.equal(await pool.options({ signal: new AbortController().signal }).echo(1), 1);
});

test("one AbortSignal serves many calls and streams", async (t) => {
	const { client, pool } = await start(t);
	const warnings = [];
	const note = (warning) => warnings.push(warning.message);
	process.on("warning", note);
	t.after(() => process.off("warning", note));
	const control = new AbortController();
	const many = pool.options({ signal: control.signal });
	const numbers = Array.from({ length: 50 }, (_, i) => i);
	assert.deepEqual(await Promise.all(numbers.map((i) => many.echo(i))), numbers);
	assert.deepEqual(await Promise.all(numbers.map(async (i) => (await many.map.echo.stream([i]).toArray())[0])), numbers);
	const calls = numbers.map(() => assert.rejects(many.sleep(60), { code: "CANCELLED" }));
	await client.ping();
	control.abort();
	await Promise.all(calls);
	assert.deepEqual(warnings, []);
});

test("times are rounded up to whole milliseconds", async (t) => {
	const { pool } = await start(t);
	assert.equal(await pool.options({ timeoutMs: 19_999.5 }).echo(1), 1);
	assert.equal(await pool.options({ timeoutMs: Infinity }).echo(1), 1);
	await assert.rejects(pool.options({ timeoutMs: -3.2 }).sleep(1), { code: "TIMEOUT" });
	assert.throws(() => pool.options({ timeoutMs: "5s" }), /timeoutMs is a number of milliseconds/);
	await (await pool.lease({ timeoutMs: 1999.5, leaseMs: 1999.5 })).release();
});

test("progress is told, and a raw result is the bytes of msgpack", async (t) => {
	const { pool } = await start(t);
	const steps = [];
	await pool.options({ progress: (...step) => steps.push(step) }).progress(3, 0.01, "x");
	assert.ok(steps.length > 0);
	for (const [done, total, text] of steps)
		assert.ok(done <= 3 && total === 3 && text === "x");
	assert.deepEqual([...await pool.options({ raw: true }).echo([1, "a"])], [0x92, 1, 0xa1, 0x61]);
});

test("a notification is carried out", async (t) => {
	const { pool } = await start(t, { pools: { p: { workers: 1 } } });
	await pool.set.notify(42);
	assert.equal(await pool.get(), 42);
});

test("the daemon's own methods", async (t) => {
	const { client } = await start(t);
	assert.deepEqual(await client.ping("a", 1), ["a", 1]);
	assert.deepEqual(await client.request("objpool.ping", ["b"], { timeoutMs: 20_000, retry: 2 }), ["b"]);
	assert.equal((await client.pools())[0].name, "p");
	assert.equal((await client.status("p")).pools[0].slots.length, 2);
	assert.deepEqual(await client.scale("p", 3), { workers: 3 });
	assert.deepEqual(await client.restart("p", 2), { restarted: 1 });
	assert.equal(await client.pause("p"), true);
	assert.equal(await client.resume("p"), true);
	assert.equal((await client.whoami()).by.length > 0, true);
	assert.match(await client.metrics(), /objpool_/);
	assert.ok((await client.describe("p")).methods.length > 5);
	const settings = { plugin: "sampler", class: "Sampler", workers: 2, kwargs: { mean: 5, std: 0 } };
	const made = await client.createPool("dice", settings);
	assert.equal(await made.get_normal_sample(), 5);
	assert.equal(await made.drop(), true);
	await assert.rejects(made.get_property(), { code: "NO_SUCH_POOL" });
});

test("a pool is no promise, and shows what it is", async (t) => {
	const { pool } = await start(t);
	assert.equal(await pool, pool);
	assert.equal(`${pool.slot(1)}`, "p:1");
	assert.equal(inspect(pool.all), "[objpool p:all]");
	assert.equal(JSON.stringify(pool.toJSON), undefined);
	assert.throws(() => {
		pool.rate = 5;
	}, TypeError);
	assert.throws(() => pool.slot(-1), RangeError);
});

test("all kinds of addresses, and where nobody answers", async (t) => {
	const { daemon } = await start(t);
	const client = await connect(await daemon.tcp());
	t.after(() => client.close());
	assert.equal(await client.pool("p").echo(5), 5);
	await assert.rejects(connect(`unix:${daemon.folder}/none`), { code: "NO_DAEMON", ran: "no" });
	await assert.rejects(connect("http://x"), { code: "BAD_ARGUMENT" });
	process.env.OBJPOOL_ADDRESS = daemon.address;
	t.after(() => delete process.env.OBJPOOL_ADDRESS);
	const other = await connect({ name: "by the environment" });
	t.after(() => other.close());
	assert.equal(other.address, daemon.address);
});
