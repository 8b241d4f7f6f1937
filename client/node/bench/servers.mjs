// SPDX-License-Identifier: Apache-2.0
// Servers for measurements, on sockets of their own: objpoold with pools of Probes, redis, NATS.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BUILD = path.resolve(ROOT, process.env.OBJPOOL_BUILD ?? "build");

export const folder = fs.mkdtempSync(path.join(os.tmpdir(), "objpool-bench-"));
const processes = [];

process.on("exit", stop);
for (const signal of ["SIGINT", "SIGTERM"])
	process.on(signal, () => process.exit(1));

/** Ends all of them. */
export function stop() {
	for (const one of processes)
		one.kill();
	fs.rmSync(folder, { recursive: true, force: true });
}

/** Starts a program, and waits for a line of its output like that. */
export async function start(command, args, pattern) {
	const program = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
	processes.push(program);
	program.on("error", () => {});
	const lines = [readline.createInterface({ input: program.stdout }), readline.createInterface({ input: program.stderr })];
	return new Promise((resolve, reject) => {
		program.once("exit", () => reject(new Error(`${command} has ended`)));
		program.once("error", reject);
		for (const from of lines)
			from.on("line", (line) => pattern.test(line) && resolve(program));
	});
}

export async function objpoold() {
	const address = `unix:${folder}/objpool`;
	fs.writeFileSync(`${folder}/conf`, `[daemon]\nlisten = ${address}\nplugin_dir = ${BUILD}/plugins\n
[pool echo]\nplugin = probe\nclass = Probe\nworkers = 1\n[pool probe]\nplugin = probe\nclass = Probe\nworkers = 1\n`);
	await start(`${BUILD}/objpoold`, ["--config", `${folder}/conf`], /ready/);
	return address;
}

export async function redis() {
	const socket = `${folder}/redis`;
	await start("redis-server", ["--port", "0", "--unixsocket", socket, "--save", ""], /eady to accept/);
	return socket;
}

async function free_port() {
	const server = net.createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address();
	server.close();
	return port;
}

export async function nats() {
	const port = await free_port();
	await start("nats-server", ["-a", "127.0.0.1", "-p", String(port)], /Server is ready/);
	return `127.0.0.1:${port}`;
}
