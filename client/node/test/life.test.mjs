// SPDX-License-Identifier: Apache-2.0
// Leases, connections that are lost, tokens and TLS.
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import fs from "node:fs";
import { test } from "node:test";
import { connect } from "objpool";
import { Daemon } from "./daemon.mjs";

const start = async (t, setup) => {
	const daemon = await Daemon.start(t, setup);
	const client = await daemon.client(t);
	return { daemon, client, pool: client.pool("p") };
};

test("a lease gives one instance to one client, until it is released", async (t) => {
	const { pool, client } = await start(t);
	const one = await pool.lease({ slot: 1 });
	assert.deepEqual([one.slot, one.generation, await one.call("slot")], [1, 1, 1]);
	const status = await client.status("p");
	assert.equal(status.pools[0].slots[1].leased, client.hello.session);
	assert.deepEqual(await one.series.stream(3).toArray(), [0, 1, 2]);
	await assert.rejects(pool.lease({ slot: 1, timeoutMs: 10 }), { code: "TIMEOUT" });
	assert.equal(await one.release(), true);
	assert.equal(await one.release(), false);
	await assert.rejects(one.echo(1), { code: "CONNECTION_LOST", ran: "no" });
});

test("a lease as a function, as a resource, and one that is given up while it waits", async (t) => {
	const { pool } = await start(t, { pools: { p: { workers: 1 } } });
	assert.equal(await pool.lease(async (one) => one.add(1, 2)), 3);
	await assert.rejects(pool.lease({}, async () => {
		throw new Error("inside");
	}), /inside/);
	const one = await pool.lease();
	const control = new AbortController();
	const waits = pool.lease({ signal: control.signal });
	control.abort();
	await assert.rejects(waits, { code: "CANCELLED" });
	await one[Symbol.asyncDispose]();
	const again = await pool.lease({ timeoutMs: 5000 });
	assert.equal(await again.options({ kwargs: { b: 1 } }).add(1), 2);
	await again.release();
});

test("calls of a lease whose worker died fail", async (t) => {
	const { pool } = await start(t);
	const one = await pool.lease();
	await assert.rejects(one.crash(9), { code: "WORKER_LOST", signal: 9 });
	await assert.rejects(one.echo(1), { code: "WORKER_LOST", ran: "no" });
	assert.equal(await one.release(), false);
});

test("what was under way when the daemon dies fails, and later calls connect anew", async (t) => {
	const { daemon, client, pool } = await start(t);
	const lease = await pool.lease();
	const failures = [pool.sleep(60), pool.sleep(60)].map((call) => call.catch((error) => error));
	await client.ping();
	const gone = once(client, "disconnect");
	await daemon.kill();
	const [one, other] = await Promise.all(failures);
	assert.deepEqual([one.code, one.ran, other.code, other.ran], ["CONNECTION_LOST", "maybe", "CONNECTION_LOST", "maybe"]);
	assert.notEqual(one, other);
	assert.equal((await gone)[0].code, "CONNECTION_LOST");
	await assert.rejects(lease.echo(1), { code: "CONNECTION_LOST", ran: "no" });
	const later = pool.echo("anew"); // waits, with pauses between its attempts, until there is a daemon
	await daemon.run();
	assert.equal(await later, "anew");
	assert.equal(await pool.echo("and so on"), "and so on");
});

/** Kills the daemon, and returns when it is dead: this process has not had time to notice. */
function kill_unnoticed(daemon) {
	daemon.process.kill("SIGKILL");
	const folder = `/proc/${daemon.process.pid}`;
	const lives = () => fs.readFileSync(`${folder}/stat`, "utf8").split(") ")[1][0] !== "Z" // its first thread
		|| fs.readdirSync(`${folder}/task`).length > 1;
	for (const end = Date.now() + 20_000; lives();)
		assert.ok(Date.now() < end);
}

test("what has not left the process when the daemon dies is sent to the next one", async (t) => {
	const { daemon, pool } = await start(t);
	const never = (await daemon.client(t, { reconnect: false })).pool("p");
	const control = new AbortController();
	kill_unnoticed(daemon);
	const calls = [
		pool.echo(1), pool.options({ timeoutMs: 20_000 }).echo(2), pool.options({ retry: 2 }).echo(3), pool.map.echo([4]),
		pool.map.echo.stream([5]).toArray(), pool.lease({ slot: 1, timeoutMs: 20_000 }), pool.slot(0).set.notify(6),
	];
	const fails = assert.rejects(never.echo(1), { code: "CONNECTION_LOST", ran: "no" });
	const cancelled = assert.rejects(pool.options({ signal: control.signal }).echo(1), { code: "CANCELLED", ran: "no" });
	await fails;
	control.abort();
	await cancelled;
	await daemon.exit;
	await daemon.run();
	const [one, other, third, map, stream, lease] = await Promise.all(calls);
	assert.deepEqual([one, other, third, map, stream], [1, 2, 3, [4], [5]]);
	assert.equal(await lease.slot, 1);
	assert.equal(await pool.slot(0).get(), 6);
});

test("the end waits for calls and streams that are under way, and refuses new ones", async (t) => {
	const { daemon, client, pool } = await start(t);
	const other = await daemon.client(t);
	const got = [];
	const loop = (async () => {
		for await (const value of pool.map.echo.stream([1, 2, 3])) {
			got.push(value);
			await other.ping();
		}
	})();
	const calls = [pool.sleep(0.01), pool.echo(2), pool.series.stream(3).toArray(), pool.slot(0).set.notify(7)];
	const ended = client.end();
	await assert.rejects(pool.echo(1), { code: "CONNECTION_LOST", message: "the client has been closed", ran: "no" });
	assert.equal(await ended, true);
	assert.deepEqual(await Promise.all(calls), [0.01, 2, [0, 1, 2], undefined]);
	await loop;
	assert.deepEqual(got, [1, 2, 3]);
	assert.equal(await other.pool("p").slot(0).get(), 7);
	assert.equal(await client.end(), true);
});

test("the end has a deadline, and close() is the end of it", async (t) => {
	const { daemon, client, pool } = await start(t);
	const call = assert.rejects(pool.sleep(60), { code: "CONNECTION_LOST", ran: "maybe" });
	assert.equal(await client.end({ timeoutMs: 20 }), false);
	await call;
	const other = await daemon.client(t);
	const fails = assert.rejects(other.pool("p").sleep(60), { code: "CONNECTION_LOST" });
	const ended = other[Symbol.asyncDispose]();
	other.close();
	await Promise.all([fails, ended]);
	await assert.rejects(other.end({ timeoutMs: "1s" }), { name: "TypeError" });
});

test("the end waits for calls that wait for a connection", async (t) => {
	const { daemon, client, pool } = await start(t);
	const gone = once(client, "disconnect");
	await daemon.kill();
	await gone;
	const call = pool.echo(1);
	const ended = client.end();
	await daemon.run();
	assert.deepEqual(await Promise.all([call, ended]), [1, true]);
});

test("a call does not wait for a connection beyond its deadline, its signal, or reconnect.timeoutMs", async (t) => {
	const { daemon, client, pool } = await start(t);
	const impatient = await daemon.client(t, { reconnect: { timeoutMs: 30, delayMs: 10 } });
	const never = await daemon.client(t, { reconnect: false });
	const losses = [client, impatient, never].map((one) => once(one, "disconnect"));
	await daemon.kill();
	await Promise.all(losses);
	await assert.rejects(pool.options({ timeoutMs: 30 }).echo(1), { code: "TIMEOUT", ran: "no" });
	const control = new AbortController();
	const call = pool.options({ signal: control.signal }).echo(1);
	control.abort();
	await assert.rejects(call, { code: "CANCELLED", ran: "no" });
	await assert.rejects(impatient.pool("p").echo(1), { code: "NO_DAEMON", ran: "no" });
	await assert.rejects(never.pool("p").echo(1), { code: "CONNECTION_LOST", ran: "no" });
	await assert.rejects(pool.options({ timeoutMs: 30 }).series.stream().next(), { code: "TIMEOUT", ran: "no" });
	client.close();
	await assert.rejects(pool.options({ retry: { delayMs: 60_000 } }).echo(1), { code: "CONNECTION_LOST", ran: "no" });
});

test("a call that has not run is sent again where retry says so", async (t) => {
	const { pool } = await start(t, { pools: { p: { workers: 1, max_queue: 1 } } });
	const careful = pool.options({ retry: { attempts: 100, delayMs: 5, maxDelayMs: 10 }, timeoutMs: 20_000 });
	const calls = [pool.sleep(0.1), pool.echo(1), careful.echo(2)];
	await assert.rejects(pool.echo(3), { code: "OVERLOADED", ran: "no" });
	assert.deepEqual(await Promise.all(calls), [0.1, 1, 2]);
});

test("a program ends when it waits for nothing, though it has closed neither its client nor a stream", async (t) => {
	const { daemon } = await start(t);
	const program = `import { connect } from "objpool";
		const pool = (await connect("${daemon.address}")).pool("p");
		const stream = pool.slot(0).series.stream();
		await stream.next();
		const map = pool.map.echo.stream([1]);
		console.log(await pool.slot(1).add(1, 2));`;
	const cwd = new URL(".", import.meta.url).pathname;
	const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd, timeout: 20_000 });
	assert.equal(run.stdout.toString(), "3\n", run.stderr.toString());
});

test("a token says who the client is", async (t) => {
	const token = "secret-of-ci";
	const sha = createHash("sha256").update(token).digest("hex");
	const users = `[user ci]\ntoken_sha256 = ${sha}\ncall = p.echo\n[user *]\ndescribe = *\n`;
	const daemon = await Daemon.start(t, { more: users });
	const client = await daemon.client(t, { token });
	assert.equal((await client.whoami()).user, "ci");
	await assert.rejects(client.pool("p").add(1, 2), { code: "DENIED", user: "ci", right: "call" });
	const file = `${daemon.folder}/token`;
	fs.writeFileSync(file, `${token}\n`, { mode: 0o644 });
	await assert.rejects(daemon.client(t, { tokenFile: file }), { code: "BAD_ARGUMENT" });
	fs.chmodSync(file, 0o600);
	assert.equal((await (await daemon.client(t, { tokenFile: file })).whoami()).user, "ci");
	await assert.rejects(daemon.client(t, { token: "wrong" }), { code: "DENIED" });
	await assert.rejects(connect(await daemon.tcp(), { token }), { code: "BAD_ARGUMENT" });
});

const openssl = (folder, ...args) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });

function certificates(folder) {
	const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
	openssl(folder, "req", "-x509", ...curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca");
	for (const [name, more] of [["server", "subjectAltName=DNS:pool.test"], ["client", "extendedKeyUsage=clientAuth"]]) {
		openssl(folder, "req", ...curve, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
		fs.writeFileSync(`${folder}/${name}.ext`, more);
		openssl(folder, "x509", "-req", "-in", `${name}.csr`, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
			"-days", "2", "-extfile", `${name}.ext`, "-out", `${name}.pem`);
	}
}

test("TLS with certificates of both sides", async (t) => {
	const folder = fs.mkdtempSync("/tmp/objpool-node-tls-");
	t.after(() => fs.rmSync(folder, { recursive: true }));
	certificates(folder);
	const daemon = await Daemon.start(t, { daemon: { listen: ["tls:127.0.0.1:0"], tls_cert: `${folder}/server.pem`,
		tls_key: `${folder}/server.key`, tls_client_ca: `${folder}/ca.pem` } });
	const address = `tls:${(await daemon.logged(/listening on tls:(\S+)/))[1]}`;
	const known = { tlsCa: `${folder}/ca.pem`, tlsName: "pool.test" };
	const client = await connect(address, { ...known, tlsCert: `${folder}/client.pem`, tlsKey: `${folder}/client.key` });
	t.after(() => client.close());
	assert.equal(await client.pool("p").echo("over TLS"), "over TLS");
	assert.equal((await client.pool("p").blob(300_000)).length, 300_000);
	assert.deepEqual(await client.pool("p").series.stream(3).toArray(), [0, 1, 2]);
	await assert.rejects(connect(address, known), { code: "NO_DAEMON", ran: "no" }); // a certificate is asked for
	await assert.rejects(connect(address, { ...known, tlsName: "other.test" }), { code: "NO_DAEMON" });
	await assert.rejects(connect(address, { tlsName: "pool.test" }), { code: "NO_DAEMON" });
});

test("what a user's function throws is its own affair: the connection lives on", async (t) => {
	const { daemon } = await start(t);
	const program = `import { connect } from "objpool";
		process.on("uncaughtException", (error) => console.log(error.message));
		const pool = (await connect("${daemon.address}")).pool("p");
		await pool.options({ progress() { process.exitCode = 3; throw new Error("in progress"); } }).progress(1, 0.01);
		console.log(await pool.add(1, 2));`;
	const cwd = new URL(".", import.meta.url).pathname;
	const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd, timeout: 20_000 });
	assert.match(run.stdout.toString(), /^(in progress\n)+3\n$/, run.stderr.toString());
});

test("streams and leases that are forgotten end", async (t) => {
	const { daemon, client } = await start(t);
	const program = `import { connect } from "objpool";
		const pool = (await connect("${daemon.address}", { streamConnections: 0 })).pool("p");
		await pool.lease({ slot: 0 });
		await pool.slot(1).series.stream().next();
		globalThis.forget = setInterval(gc, 10);
		process.stdin.on("end", () => process.exit()).resume();`;
	const cwd = new URL(".", import.meta.url).pathname;
	const stdio = ["pipe", "inherit", "inherit"];
	const other = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", program], { cwd, stdio });
	t.after(() => other.kill());
	const one = await client.pool("p").lease({ slot: 0, timeoutMs: 20_000 });
	assert.equal(await client.pool("p").slot(1).options({ timeoutMs: 20_000 }).echo("free"), "free");
	await one.release();
});
