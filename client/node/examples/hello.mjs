// SPDX-License-Identifier: Apache-2.0
// The pool `dice` of the project's README, called in each way: node hello.mjs [ADDRESS]
import { connect } from "objpool";

const client = await connect(process.argv[2]);
const dice = client.pool("dice");
console.log("any", await dice.get_normal_sample());
console.log("all", await dice.all.set_property(40));
console.log("slot 1", await dice.slot(1).add_and_get_property(2));
console.log("map", await dice.map.add_and_get_property([1, 2, 3]));
let sum = 0;
for await (const value of dice.map.add_and_get_property.stream([1, 2, 3]))
	sum += value;
console.log("stream", sum > 0);
console.log("lease", await dice.lease(async (one) => one.get_property()));
await dice.roll().catch((error) => console.log(error.code, error.ran));
