// SPDX-License-Identifier: Apache-2.0
// Small calls and a stream through this library, beside those of redis and NATS, in one run. Rounds of all take turns; of each
// the best counts.
//     node run.mjs [--rounds N] [--markdown FILE]     FILE's section "Node" is written anew
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { connect as nats_connect } from "nats";
import { createClient } from "redis";
import { connect } from "../index.mjs";
import { nats, objpoold, redis, start, stop } from "./servers.mjs";

const { values: options } = parseArgs({ options: { rounds: { type: "string", default: "5" }, markdown: { type: "string" } } });
const ROUNDS = Number(options.rounds);
const SEQUENTIAL = 3000, PIPELINED = 100_000, DEPTH = 1000, ITEMS = 1_000_000;

/** The share of this machine's time that other programs take, in a second in which this one does nothing. */
async function others() {
	const spent = () => os.cpus().map(({ times }) => ({ idle: times.idle, all: Object.values(times).reduce((a, b) => a + b) }));
	const before = spent();
	await new Promise((resolve) => setTimeout(resolve, 1000));
	const gone = spent().map(({ idle, all }, i) => (all > before[i].all ? (idle - before[i].idle) / (all - before[i].all) : 1));
	return 1 - gone.reduce((a, b) => a + b) / gone.length;
}

const busy = await others();
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
const PEERS = ["objpool", "node-redis, GET", "ioredis, GET", "NATS, a process answers"];
const LINES = {
	"a call after the other": [
		() => one_by_one((i) => echo(i)), () => one_by_one(() => node_redis.get("key")),
		() => one_by_one(() => ioredis.get("key")), () => one_by_one(() => broker.request("echo", text)),
	],
	[`small calls, ${DEPTH.toLocaleString("en")} under way`]: [
		() => pipelined((i) => echo(i)), () => pipelined(() => node_redis.get("key")),
		() => pipelined(() => ioredis.get("key")), () => pipelined(() => broker.request("echo", text)),
	],
	"a stream of 1,000,000 items and their results": [
		stream, () => pipelined(() => node_redis.get("key"), ITEMS),
		() => pipelined(() => ioredis.get("key"), ITEMS), nats_stream,
	],
};

/** Microseconds for each of what was done, of time and of this process's CPU. */
async function measured(work) {
	const begun = process.hrtime.bigint(), cpu = process.cpuUsage();
	const count = await work();
	const { user, system } = process.cpuUsage(cpu);
	return { time: Number(process.hrtime.bigint() - begun) / 1000 / count, cpu: (user + system) / count };
}

async function compare(ways) {
	const best = ways.map(() => ({ time: Infinity, cpu: Infinity }));
	for (let round = 0; round < ROUNDS; round++) {
		for (const [i, work] of ways.entries()) {
			const { time, cpu } = await measured(work);
			best[i] = { time: Math.min(best[i].time, time), cpu: Math.min(best[i].cpu, cpu) };
		}
	}
	return best;
}

const significant = (figure) => (figure < 100 ? figure.toPrecision(3) : figure.toFixed());

/** A row of the table. In brackets: how many times as long a call of objpool takes. */
function row(name, figures) {
	const [own, ...peers] = figures;
	const cells = peers.map((figure) => `${significant(figure)} (${(own / figure).toFixed(2)} ×)`);
	return `| ${[name, significant(own), ...cells].join(" | ")} |`;
}

function section(rows) {
	const require = createRequire(import.meta.url);
	const version = (name) => `${name} ${require(`./node_modules/${name}/package.json`).version}`;
	const about = `Written by \`make bench-node\` on ${new Date().toISOString().slice(0, 10)}: ${os.cpus().length} CPUs, \
${os.type()} ${os.release()}; Node ${process.versions.node}; ${["redis", "ioredis", "nats"].map(version).join(", ")}. µs, the \
best of ${ROUNDS} rounds that take turns with the peers' in one run; in brackets the ratio objpool : peer. Other programs had \
${Math.round(100 * busy)}% of this machine's time before it began. A call of objpool runs a method in a worker; redis-server \
answers a GET itself; over NATS another process of Node answers. The peers' stream is so many calls, \
${DEPTH.toLocaleString("en")} of them under way; that of NATS messages to a process and back.`;
	const head = [`| µs | ${PEERS.join(" | ")} |`, `|---|${"---:|".repeat(PEERS.length)}`];
	return ["## Node", "", ...wrapped(about), "", ...head, ...rows, ""].join("\n");
}

function wrapped(text) {
	return text.match(/\S.{0,118}\S(?=\s|$)/g);
}

const rows = [];
for (const [line, ways] of Object.entries(LINES)) {
	const best = await compare(ways);
	console.log(`\n${line.padEnd(50)} time      CPU here`);
	for (const [i, { time, cpu }] of best.entries())
		console.log(`  ${PEERS[i].padEnd(40)} ${time.toFixed(2).padStart(8)} µs ${cpu.toFixed(2).padStart(8)} µs`);
	rows.push(row(line, best.map(({ time }) => time)), row("of that, CPU time of this process", best.map(({ cpu }) => cpu)));
}
if (options.markdown) {
	const tool = fileURLToPath(new URL("../../../bench/sections.py", import.meta.url));
	execFileSync("/usr/bin/python3", [tool, options.markdown], { input: section(rows), stdio: ["pipe", "inherit", "inherit"] });
}
objpool.close();
ioredis.disconnect();
node_redis.destroy();
await broker.close();
stop();
process.exit(0);
