// SPDX-License-Identifier: Apache-2.0
// The dialogues of tests/wire, against a daemon, and against a server that answers from the file, in pieces.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { connect } from "objpool";
import { BUILD, ROOT } from "./daemon.mjs";
import { Player, read } from "./dialogue.mjs";

const WIRE = path.join(ROOT, "tests/wire");
const asks = (name) => name.endsWith(".json") && read(path.join(WIRE, name)).steps.some((step) => step.do);
const FILES = fs.readdirSync(WIRE).filter(asks);
const PYTHON = fs.existsSync("/usr/bin/python3") ? "/usr/bin/python3" : "python3"; // Debian's has msgpack
const OVER_NETWORK = ["call_any.json", "errors_map.json", "feed.json", "stream.json"]; // these are played over TCP and TLS, too
const DEADLINE_MS = 30_000;

/** A server that is a process; it prints its address. */
async function serve(t, script, ...args) {
	const env = { ...process.env, OBJPOOL_BUILD: BUILD };
	const server = spawn(PYTHON, [path.join(WIRE, script), ...args], { stdio: ["pipe", "pipe", "pipe"], env });
	t.after(() => server.kill());
	const ended = once(server, "close");
	let complaint = "";
	server.stderr.on("data", (data) => {
		complaint += data;
	});
	const [address] = await Promise.race([once(server.stdout, "data"), ended.then(() => assert.fail(complaint))]);
	const end = async () => {
		server.stdin.end();
		const [status] = await ended;
		assert.equal(status, 0, complaint);
	};
	return { address: address.toString().trim(), end, complaint: () => complaint };
}

async function play(steps, server, options = {}) {
	const { token } = steps.find((step) => step.do === "connect");
	const client = await connect(server.address, { token, streamConnections: 0, ...options });
	try {
		await new Player(client).play(steps);
	} catch (error) {
		error.message += `\nthe server: ${server.complaint()}`;
		throw error;
	} finally {
		client.close();
	}
	await server.end();
}

for (const name of FILES) {
	const file = path.join(WIRE, name);
	if (read(file).steps.some((step) => step.direct)) {
		test(name, { skip: "Node can't take descriptors from a socket: the library has no direct channels" }, () => {});
		continue;
	}
	const served = (...server) => async (t) => play(read(file).steps, await serve(t, ...server));
	test(`${name} against a daemon`, { timeout: DEADLINE_MS }, served("real_server.py", file));
	test(`${name} in pieces of 1`, { timeout: DEADLINE_MS }, served("fake_server.py", file, "--piece", "1"));
	test(`${name} in pieces of 3 over TCP`, { timeout: DEADLINE_MS }, served("fake_server.py", file, "--piece", "3", "--tcp"));
	test(`${name} in pieces of 4096`, { timeout: DEADLINE_MS }, served("fake_server.py", file, "--piece", "4096"));
	if (!OVER_NETWORK.includes(name))
		continue;
	test(`${name} over TCP`, { timeout: DEADLINE_MS }, served("real_server.py", file, "--tcp"));
	test(`${name} over TLS`, { timeout: DEADLINE_MS }, async (t) => {
		const folder = fs.mkdtempSync("/tmp/objpool-node-");
		t.after(() => fs.rmSync(folder, { recursive: true }));
		const server = await serve(t, "real_server.py", file, "--tls", `${folder}/ca.pem`);
		await play(read(file).steps, server, { tlsCa: `${folder}/ca.pem` });
	});
}
