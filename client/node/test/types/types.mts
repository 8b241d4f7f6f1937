// SPDX-License-Identifier: Apache-2.0
// What must compile, and what must not (@ts-expect-error). Nothing runs it.
import { connect, ObjpoolError, type Pool } from "objpool";

interface Sim {
	step(dt: number): number;
	name(): string;
	rows(n: number): AsyncIterableIterator<{ id: number }>;
}

export async function typed(): Promise<void> {
	await using client = await connect("unix:/tmp/s", { retry: 3 });
	const sim: Pool<Sim> = client.pool<Sim>("sim");
	const one: number = await sim.step(0.5);
	const all: string[] = await sim.all.name();
	const mapped: number[] = await sim.map.step([1, 2]);
	const slot: number = await sim.slot(1).options({ timeoutMs: 5 }).step(1);
	for await (const row of sim.rows.stream(5))
		console.log(row.id.toFixed());
	for await (const [index, value] of sim.map.step.stream(lazy()).entries())
		console.log(index.toFixed(), value.toFixed());
	const rows: { id: number }[] = await sim.rows(5);
	await using lease = await sim.lease({ slot: 0 });
	const leased: number = await lease.step(lease.slot);
	const got: string = await sim.lease(async (object) => object.name());
	const collected: (number | ObjpoolError)[] = await sim.map.options({ errors: "collect" }).step([1]);
	const same: (string | ObjpoolError)[] = await sim.options({ errors: "collect", timeoutMs: 5 }).all.name();
	// @ts-expect-error: errors are among the results
	const numbers: number[] = await sim.map.options({ errors: "collect" }).step([1]);
	// @ts-expect-error: an argument of another type
	await sim.step("0.5");
	// @ts-expect-error: no such method
	await sim.stop();
	// @ts-expect-error: a map takes iterables
	await sim.map.step(1);
	// @ts-expect-error: no such option
	sim.options({ timeout: 5 });
	console.log(one, all, mapped, slot, rows, leased, got, collected, same, numbers);
}

export async function untyped(): Promise<void> {
	const client = await connect();
	const pool = client.pool("sim");
	console.log((await pool.anything(1, "x")).length, await pool.map.anything([1]), pool.name.length);
	try {
		await pool.call("step", 1);
	} catch (error) {
		if (error instanceof ObjpoolError && error.code === "TIMEOUT")
			console.log(error.ran, error.index?.toFixed());
	}
	client.close();
}

async function* lazy(): AsyncGenerator<number> {
	yield 1;
}

export async function watched(): Promise<void> {
	await using client = await connect("unix:/tmp/s");
	for await (const event of client.events({ kinds: ["slot.died"], since: new Date(), last: 0 }))
		console.log(event.kind.length, event.slot?.toFixed(), event.last_words ?? "");
	const texts: string[] = (await client.logs("p", 5)).lines.map((line) => line.text);
	// @ts-expect-error: no such option
	client.events({ kind: "slot" });
	console.log(texts);
}
