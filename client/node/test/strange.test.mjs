// SPDX-License-Identifier: Apache-2.0
// Servers that are not what they should be. Each is a function of what has come, which gives what it answers.
import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import { connect, encode } from "objpool";

const { Incoming } = createRequire(import.meta.url)("../lib/incoming.js");

const HELLO = { server: "objpool", version: "0", protocol: [1, 2], session: 1, pools: [], limits: { max_message: 1000 } };

/** Serves `talk(socket, message)` for each message that comes, `greet(socket)` for each connection. Gives the address. */
async function serve(t, talk, greet = () => {}) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), "objpool-node-"));
	const sockets = new Set();
	const server = net.createServer((socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		const incoming = new Incoming((reader) => talk(socket, reader.value()));
		socket.on("data", (data) => incoming.add(data));
		greet(socket);
	}).listen(`${folder}/s`);
	await once(server, "listening");
	t.after(() => {
		sockets.forEach((socket) => socket.destroy());
		server.close();
		fs.rmSync(folder, { recursive: true, force: true });
	});
	return `unix:${folder}/s`;
}

/** Says hello as the daemon does, and then what `answer` says. */
const after_hello = (answer) => (socket, message) => {
	if (message[2] === "objpool.hello")
		socket.write(encode([1, message[1], null, HELLO]));
	else
		answer(socket, message);
};

async function client_of(t, ...how) {
	const client = await connect(await serve(t, ...how), { reconnect: false });
	t.after(() => client.close());
	return client;
}

test("one that accepts and says nothing", async (t) => {
	const address = await serve(t, () => {});
	await assert.rejects(connect(address, { connectTimeoutMs: 30 }), { code: "NO_DAEMON", ran: "no" });
});

test("one that is full says so before it closes", async (t) => {
	const full = encode([1, 0, "OVERLOADED: the daemon has all its connections", null]);
	const address = await serve(t, () => {}, (socket) => socket.end(full));
	await assert.rejects(connect(address), { code: "OVERLOADED", ran: "no" });
});

const NONSENSE = {
	"no msgpack": "c1", "no message": "9305c0c0", "text": "48545450", "a map": "80", "an endless nest": "91".repeat(5000),
};

for (const [what, bytes] of Object.entries(NONSENSE)) {
	test(`one that sends what is ${what}`, async (t) => {
		const client = await client_of(t, after_hello((socket) => socket.end(Buffer.from(bytes, "hex"))));
		await assert.rejects(client.pool("p").echo(1), { code: "CONNECTION_LOST", ran: "maybe" });
	});
}

test("one that ends in the middle of an answer", async (t) => {
	const half = (msgid) => encode([1, msgid, null, "x".repeat(100)]).subarray(0, 50);
	const client = await client_of(t, after_hello((socket, message) => socket.end(half(message[1]))));
	await assert.rejects(Promise.all([client.pool("p").echo(1), client.pool("p").echo(2)]), { code: "CONNECTION_LOST" });
});

test("one that answers what nobody has asked, and then what was asked", async (t) => {
	const client = await client_of(t, after_hello((socket, message) => {
		socket.write(encode([1, 4_000_000_000, null, "nobody's"]));
		socket.write(encode([2, "objpool.result", [77, 0, null, 1]]));
		socket.write(encode([2, "objpool.news", []]));
		socket.write(encode([1, message[1], null, "answer"]));
	}));
	assert.equal(await client.pool("p").echo(1), "answer");
});

test("what is over its limit is not sent", async (t) => {
	const small = (msgid) => encode([1, msgid, null, "small"]);
	const client = await client_of(t, after_hello((socket, message) => socket.write(small(message[1]))));
	await assert.rejects(client.pool("p").echo("x".repeat(1000)), { code: "TOO_LARGE", ran: "no" });
	assert.equal(await client.pool("p").echo("x".repeat(900)), "small");
	await assert.rejects(client.pool("p").echo(Symbol("x")), { code: "BAD_VALUE", ran: "no" });
	assert.equal(await client.pool("p").echo(1), "small");
});

test("one that does not answer a cancel", async (t) => {
	const client = await client_of(t, after_hello(() => {}));
	const control = new AbortController();
	const call = client.pool("p").options({ signal: control.signal }).echo(1);
	control.abort();
	await assert.rejects(call, { code: "CANCELLED", name: "AbortError", ran: "maybe" });
});

test("a call that could not leave has the rest of its time on the next connection", async (t) => {
	const limits = { max_message: 1 << 26 };
	const calls = [];
	const sockets = [];
	let connections = 0;
	const address = await serve(t, (socket, message) => {
		if (message[2] === "objpool.hello") {
			socket.write(encode([1, message[1], null, { ...HELLO, limits }]));
			if (++connections === 1)
				socket.pause(); // all that comes then fills the socket
		} else {
			calls.push(message[3]);
			socket.write(encode([1, message[1], null, 1]));
		}
	}, (socket) => sockets.push(socket));
	const client = await connect(address);
	t.after(() => client.close());
	const pool = client.pool("p");
	const large = assert.rejects(pool.echo(Buffer.alloc(1 << 24)), { code: "CONNECTION_LOST", ran: "maybe" });
	await setImmediate();
	const call = pool.options({ timeoutMs: 60_000 }).echo(1);
	const called = performance.now();
	await setTimeout(20);
	const most = 60_001 - (performance.now() - called);
	sockets[0].destroy();
	await large;
	assert.equal(await call, 1);
	assert.ok(calls[0][3].timeout_ms <= most, `${calls[0][3].timeout_ms} ms of ${most}`);
});

test("streams and leases that wait for a connection have the rest of their time on it", async (t) => {
	const sockets = [];
	const times = [];
	const address = await serve(t, async (socket, message) => {
		const [, msgid, method, params] = message;
		if (method === "objpool.hello") {
			if (socket !== sockets[0])
				await setTimeout(20);
			socket.write(encode([1, msgid, null, HELLO]));
		} else {
			times.push(params.at(-1).timeout_ms);
			socket.write(encode([1, msgid, "NO: nothing is here", null]));
		}
	}, (socket) => sockets.push(socket));
	const client = await connect(address);
	t.after(() => client.close());
	const gone = once(client, "disconnect");
	sockets[0].destroy();
	await gone;
	const pool = client.pool("p").options({ timeoutMs: 60_000 });
	const calls = [pool.echo.stream(1).toArray(), pool.map.echo.stream([1]).toArray(), pool.lease({ timeoutMs: 60_000 })];
	await Promise.all(calls.map((call) => assert.rejects(call, { code: "NO" })));
	assert.equal(times.length, 3);
	assert.ok(times.every((time) => time <= 59_990), `${times}`);
});
