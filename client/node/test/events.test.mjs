// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import { Daemon } from "./daemon.mjs";

const start = async (t) => {
	const daemon = await Daemon.start(t);
	return { daemon, client: await daemon.client(t) };
};

test("what has happened, and what happens", async (t) => {
	const { daemon, client } = await start(t);
	const kept = await client.events({ follow: false }).toArray();
	assert.deepEqual(kept.map((event) => event.number), kept.map((_, i) => i + 1));
	assert.equal(kept.at(-1).kind, "daemon.started");
	assert.deepEqual(await client.events({ pool: "p", last: 1, follow: false }).toArray(), kept.slice(-2, -1));
	assert.deepEqual(await client.events({ since: new Date(Date.now() - 3_600_000), follow: false }).toArray(), kept);
	assert.deepEqual(await client.events({ since: Date.now() / 1000 + 3600, follow: false }).toArray(), []);
	assert.deepEqual(await client.events({ kinds: ["slot.ready"], after: kept.at(-3).number, follow: false }).toArray(),
		kept.filter(({ kind, number }) => kind === "slot.ready" && number > kept.at(-3).number));
	const events = client.events({ kinds: "slot.died", last: 0 });
	const died = events.next();
	await client.ping();
	await assert.rejects(client.pool("p").slot(1).crash(9), { code: "WORKER_LOST" });
	const { slot, signal, pool } = (await died).value;
	assert.deepEqual([slot, signal, pool], [1, 9, "p"]);
	const end = events.next();
	daemon.process.kill("SIGTERM");
	assert.deepEqual(await end, { done: true, value: undefined });
});

test("a stream of events ends by its signal, and wrong options are refused", async (t) => {
	const { client } = await start(t);
	const abort = new AbortController();
	const next = client.events({ last: 0, signal: abort.signal }).next();
	abort.abort();
	await assert.rejects(next, { name: "AbortError" });
	await assert.rejects(client.events({ kinds: "slo" }).next(), { code: "BAD_ARGUMENT" });
	assert.throws(() => client.events({ kind: "slot" }), /events has no option "kind"/);
});

test("what workers have printed, and changed code", async (t) => {
	const { client } = await start(t);
	await client.pool("p").slot(1).print("one\ntwo");
	let logs;
	do
		logs = await client.logs("p");
	while (logs.last < 2);
	assert.deepEqual(logs.lines.map(({ slot, stream, text }) => [slot, stream, text]), [[1, "stdout", "one"], [1, "stdout", "two"]]);
	assert.deepEqual((await client.logs("p", 1)).lines.map(({ number }) => number), [2]);
	assert.deepEqual((await client.reloadCode("p")).restarted, ["p"]);
	assert.equal(await client.pool("p").slot(0).generation(), 2);
	await assert.rejects(client.reloadCode("none"), { code: "NO_SUCH_POOL" });
});
