// SPDX-License-Identifier: Apache-2.0
/* Leaves arguments out before others that come by place. test_generate.py makes the client, and compiles and runs this. */
import { connect } from "objpool";
import { Gaps } from "./gaps";

declare function require(name: string): any;
const assert = require("node:assert");

async function main(): Promise<void> {
	const client = await connect();
	const gaps = new Gaps(client.pool("gaps"));
	const refused = { name: "TypeError", message: "a has to be given with the arguments behind it: its default is not known" };

	assert.deepEqual(await gaps.number(5, { rest: [1, 2] }), [5, 7, 1, 2]);
	assert.equal(await gaps.values({ rest: [1, 2] }), 3);
	assert.deepEqual(await gaps.placed({ b: 5 }), [7, 5]);
	assert.deepEqual(await gaps.each({ rest: [1, 2] }).toArray(), [7, 1, 2]);
	assert.equal(await gaps.unshown(), 0);
	assert.throws(() => gaps.unshown({ rest: [1, 2] }), refused);
	assert.throws(() => gaps.unshownEach({ rest: [1, 2] }), refused);
	client.close();
	console.log("done");
}

main();
