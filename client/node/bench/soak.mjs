// SPDX-License-Identifier: Apache-2.0
// Ten million items each way: as a map with a lazy input, from a method that yields, and as single calls. Memory must stay flat.
//     node --expose-gc soak.mjs [ITEMS]
import { connect } from "../index.mjs";
import { objpoold, stop } from "./servers.mjs";

const ITEMS = Number(process.argv[2] ?? 10_000_000);
const GROWTH_MAX = 32 << 20;

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

function memory() {
	globalThis.gc();
	globalThis.gc();
	return process.memoryUsage.rss();
}

for (const part of [map, yields, calls]) {
	await part(ITEMS / 20); // what is made once
	const before = memory();
	let most = 0;
	const watch = setInterval(() => {
		most = Math.max(most, process.memoryUsage.rss());
	}, 20);
	const begun = performance.now();
	await part(ITEMS);
	clearInterval(watch);
	const growth = memory() - before;
	const seconds = ((performance.now() - begun) / 1000).toFixed(1);
	const mib = [before, most, before + growth].map((bytes) => bytes >> 20);
	console.log(`${part.name}: ${ITEMS} in ${seconds} s; ${mib[0]} MiB before, ${mib[1]} at most, ${mib[2]} after`);
	if (growth > GROWTH_MAX)
		process.exitCode = 1;
}
client.close();
stop();
