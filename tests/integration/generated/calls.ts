// SPDX-License-Identifier: Apache-2.0
/* Calls each method of class Types by its typed client. test_generate.py makes the client, and compiles and runs this. */
import { connect, NdArray } from "objpool";
import { Types, type Point, type Path, type Tree } from "./types";

declare function require(name: string): any;
const assert = require("node:assert");

async function main(): Promise<void> {
	const client = await connect();
	const types = new Types(client.pool("types"));
	const point: Point = { x: 1.5, y: 2.5, label: "here" };
	const path: Path = { points: [point], bounds: null };
	const tree: Tree = { value: 1, children: [{ value: 2 }] };

	assert.equal(await types.none(null), null);
	assert.equal(await types.boolean(true), true);
	assert.equal(await types.integer(-5), -5);
	assert.equal(await types.number(2.5), 2.5);
	assert.equal(await types.text("ä"), "ä");
	assert.deepEqual([...await types.data(new Uint8Array([1, 255]))], [1, 255]);
	assert.deepEqual(await types.anything([1, null]), [1, null]);
	assert.equal(await types.byte(255), 255);
	assert.equal(await types.choice("x"), "x");
	assert.deepEqual(await types.integers([1, 2]), [1, 2]);
	assert.deepEqual(await types.table({ a: 1.5 }), { a: 1.5 });
	assert.deepEqual(await types.pair([1, "x"]), [1, "x"]);
	assert.deepEqual(await types.row([1.5, 2]), [1.5, 2]);
	const when = new Date(5000);
	assert.equal((await types.when(when)).getTime(), 5000);
	const array = new NdArray(new Float64Array([1, 2]));
	for (const got of [await types.array(array), await types.samples(array), await types.image(array), await types.volume(array)])
		assert.deepEqual(got.shape, [2]);
	assert.deepEqual(await types.point(point), point);
	assert.deepEqual(await types.path(path), path);
	assert.deepEqual(await types.tree(tree), tree);
	assert.deepEqual(await types.points({ a: [point] }), { a: [point] });
	assert.deepEqual(await types.count(3).toArray(), [0, 1, 2]);
	assert.deepEqual(await types.numbered(["a", "b"]).toArray(), [[0, "a"], [1, "b"]]);
	assert.deepEqual(await types.kinds(1, 0.5), { places: [1], keywords: { third: 0.5 } });
	assert.deepEqual(await types.kinds(1, 0.5, { second: 3, fourth: "x" }), { places: [1], keywords: { third: 0.5, second: 3, fourth: "x" } });
	assert.deepEqual(await types.kinds(1, 0.5, { rest: [7], more: { a: true } }), { places: [1, 2, 7], keywords: { third: 0.5, a: true } });
	const made = await Types.create(client, "made", { workers: 1 }, { origin: point, secret: "s" });
	assert.equal(await made.integer(7), 7);
	await assert.rejects(types.byte(256), { code: "BAD_ARGUMENT" });
	client.close();
	console.log("done");
}

main();
