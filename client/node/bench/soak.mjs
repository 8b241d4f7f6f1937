// SPDX-License-Identifier: Apache-2.0
// Ten million items each way: as a map with a lazy input, from a method that yields, and as single calls. Memory must stay flat.
//     node --expose-gc soak.mjs [ITEMS]
import { connect } from "../index.mjs";
import { objpoold, stop } from "./servers.mjs";

const ITEMS = Number(process.argv[2] ?? 10_000_000);
const HELD_MAX = 4 << 20; // bytes of objects that may be more after than before
const PEAK_MAX = 64 << 20; // bytes of memory that may be more meanwhile

const client = await connect(await objpoold());
const probe = client.pool("probe"), echo = client.pool("echo");

function* numbers(count) {
	for (let i = 0; i < count; i++)
		yield i;
}

async function map(count) {
	let sum = 0;
	for await (const value of echo.map.echo.stream(numbers(count)))
		sum += value;
	if (sum !== count * (count - 1) / 2)
		throw new Error(`the sum is ${sum}`);
}

async function yields(count) {
	let taken = 0;
	for await (const value of probe.series.stream(count)) {
		if (value !== taken++)
			throw new Error(`${value} has come as item ${taken - 1}`);
		if (taken % 100_000 === 0)
			await echo.echo(taken); // other calls go on meanwhile
	}
}

async function calls(count) {
	let next = 0;
	await Promise.all(Array.from({ length: 1000 }, async () => {
		while (next < count)
			await echo.echo(next++);
	}));
}

/** Bytes that objects have, and that the process has, when the garbage is collected. */
function memory() {
	globalThis.gc();
	globalThis.gc();
	const { heapUsed, external, rss } = process.memoryUsage();
	return { held: heapUsed + external, rss };
}

for (const part of [map, yields, calls]) {
	await part(ITEMS / 20); // what is made once
	const before = memory();
	let most = before.rss;
	const watch = setInterval(() => {
		most = Math.max(most, process.memoryUsage.rss());
	}, 20);
	const begun = performance.now();
	await part(ITEMS);
	clearInterval(watch);
	const after = memory();
	const seconds = ((performance.now() - begun) / 1000).toFixed(1);
	const [held, still, peak] = [before.held, after.held, most - before.rss].map((bytes) => (bytes / 2 ** 20).toFixed(1));
	console.log(`${part.name}: ${ITEMS} in ${seconds} s; objects have ${held} MiB, ${still} after; ${peak} more at most`);
	if (after.held - before.held > HELD_MAX || most - before.rss > PEAK_MAX)
		process.exitCode = 1;
}
client.close();
stop();
