// SPDX-License-Identifier: Apache-2.0
// Small calls and a stream through this library, beside those of redis and NATS, in one run. Rounds of all take turns; of each
// the best counts.
//     node run.mjs [ROUNDS]
import { Redis } from "ioredis";
import { connect as nats_connect } from "nats";
import { createClient } from "redis";
import { connect } from "../index.mjs";
import { nats, objpoold, redis, start, stop } from "./servers.mjs";

const ROUNDS = Number(process.argv[2] ?? 5);
const SEQUENTIAL = 3000, PIPELINED = 100_000, DEPTH = 1000, ITEMS = 1_000_000;

const objpool = await connect(await objpoold());
const socket = await redis();
const ioredis = new Redis({ path: socket, enableAutoPipelining: false });
const node_redis = await createClient({ socket: { path: socket } }).connect();
const server = await nats();
await start(process.execPath, ["responder.mjs", server], /ready/);
const broker = await nats_connect({ servers: server });
await node_redis.set("key", "value");

async function one_by_one(call) {
	for (let i = 0; i < SEQUENTIAL; i++)
		await call(i);
	return SEQUENTIAL;
}

/** DEPTH calls are under way at any time. */
async function pipelined(call, count = PIPELINED) {
	let next = 0;
	const run = async () => {
		while (next < count)
			await call(next++);
	};
	await Promise.all(Array.from({ length: DEPTH }, run));
	return count;
}

function* numbers() {
	for (let i = 0; i < ITEMS; i++)
		yield i;
}

async function stream() {
	let taken = 0;
	for await (const _ of objpool.pool("echo").map.echo.stream(numbers()))
		taken++;
	return taken;
}

/** Items to a process that answers each by another message; at most 20,000 are under way. */
async function nats_stream() {
	const data = new Uint8Array([49]);
	let sent = 0, taken = 0;
	const results = broker.subscribe("results");
	const feed = () => {
		while (sent < ITEMS && sent - taken < 20_000) {
			broker.publish("items", data);
			sent++;
		}
	};
	feed();
	for await (const _ of results) {
		if (++taken === ITEMS)
			break;
		if (sent - taken < 10_000)
			feed();
	}
	return taken;
}

const { echo } = objpool.pool("echo");
const text = new Uint8Array([49]);
const LINES = {
	"a call after the other": {
		objpool: () => one_by_one((i) => echo(i)),
		"redis (node-redis), GET": () => one_by_one(() => node_redis.get("key")),
		"redis (ioredis), GET": () => one_by_one(() => ioredis.get("key")),
		"NATS, request to a process": () => one_by_one(() => broker.request("echo", text)),
	},
	[`small calls, ${DEPTH} under way`]: {
		objpool: () => pipelined((i) => echo(i)),
		"redis (node-redis), GET": () => pipelined(() => node_redis.get("key")),
		"redis (ioredis), GET": () => pipelined(() => ioredis.get("key")),
		"NATS, request to a process": () => pipelined(() => broker.request("echo", text)),
	},
	"a stream of 1,000,000 items and their results": {
		objpool: stream,
		"redis (node-redis), GETs": () => pipelined(() => node_redis.get("key"), ITEMS),
		"NATS, through a process": nats_stream,
	},
};

/** Microseconds for each of what was done, of time and of this process's CPU. */
async function measured(work) {
	const begun = process.hrtime.bigint(), cpu = process.cpuUsage();
	const count = await work();
	const { user, system } = process.cpuUsage(cpu);
	return { time: Number(process.hrtime.bigint() - begun) / 1000 / count, cpu: (user + system) / count };
}

async function compare(ways) {
	const best = Object.fromEntries(Object.keys(ways).map((way) => [way, { time: Infinity, cpu: Infinity }]));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [way, work] of Object.entries(ways)) {
			const { time, cpu } = await measured(work);
			best[way] = { time: Math.min(best[way].time, time), cpu: Math.min(best[way].cpu, cpu) };
		}
	}
	return best;
}

for (const [line, ways] of Object.entries(LINES)) {
	console.log(`\n${line.padEnd(50)} time      CPU here`);
	for (const [way, { time, cpu }] of Object.entries(await compare(ways)))
		console.log(`  ${way.padEnd(40)} ${time.toFixed(2).padStart(8)} µs ${cpu.toFixed(2).padStart(8)} µs`);
}
objpool.close();
ioredis.disconnect();
node_redis.destroy();
await broker.close();
stop();
process.exit(0);
