// SPDX-License-Identifier: Apache-2.0
// A batch: lines of standard input go through a pool's method as a stream, in constant memory, and results to standard output.
//     node batch.mjs POOL METHOD [ADDRESS] < in > out
import { once } from "node:events";
import readline from "node:readline";
import { connect, ObjpoolError } from "objpool";

const [pool, method, address] = process.argv.slice(2);
const client = await connect(address);
const lines = readline.createInterface({ input: process.stdin });
const results = client.pool(pool).map.options({ errors: "collect" }).method(method).stream(lines);
for await (const result of results) {
	const text = result instanceof ObjpoolError ? `! ${result.message}` : JSON.stringify(result);
	if (!process.stdout.write(`${text}\n`))
		await once(process.stdout, "drain");
}
console.error(results.summary);
