// SPDX-License-Identifier: Apache-2.0
// The process that answers requests over NATS, as a worker does over objpool.
import { connect } from "nats";

const connection = await connect({ servers: process.argv[2] });
connection.subscribe("echo", { callback: (_, message) => message.respond(message.data) });
connection.subscribe("items", { callback: (_, message) => connection.publish("results", message.data) });
await connection.flush();
console.log("ready");
