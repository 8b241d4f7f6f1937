// SPDX-License-Identifier: Apache-2.0
// A daemon of a test's own, on a socket in a folder of its own. Every wait has a deadline; nothing sleeps.
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";
import objpool from "objpool";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const BUILD = path.resolve(ROOT, process.env.OBJPOOL_BUILD ?? "build");
const DEADLINE_MS = 20_000;

const section = (name, keys) => [`[${name}]`, ...Object.entries(keys).flatMap(
	([key, value]) => (Array.isArray(value) ? value : [value]).map((one) => `${key} = ${one}`)), ""];

export class Daemon {
	/** Starts one. `pools`: keys of sections by name; all are pools of two Probes if they say nothing else. */
	static async start(t, { pools = { p: {} }, daemon = {}, more = "" } = {}) {
		const one = new Daemon();
		one.folder = fs.mkdtempSync(path.join(os.tmpdir(), "objpool-node-"));
		one.address = `unix:${one.folder}/s`;
		one.log = "";
		const usual = { listen: [one.address, "tcp:127.0.0.1:0"], plugin_dir: `${BUILD}/plugins`, log_level: "info" };
		const lines = section("daemon", { ...usual, ...daemon });
		for (const [name, keys] of Object.entries(pools))
			lines.push(...section(`pool ${name}`, { plugin: "probe", class: "Probe", workers: 2, ...keys }));
		fs.writeFileSync(`${one.folder}/conf`, `${lines.join("\n")}\n${more}`);
		t.after(() => one.stop());
		await one.run();
		return one;
	}

	async run() {
		const stdio = ["ignore", "ignore", "pipe"];
		this.process = spawn(`${BUILD}/objpoold`, ["--config", `${this.folder}/conf`], { stdio });
		this.exit = once(this.process, "exit");
		this.lines = readline.createInterface({ input: this.process.stderr });
		this.lines.on("line", (line) => {
			this.log += `${line}\n`;
		});
		await this.logged(/ready/);
	}

	/** Waits until the log has a line like that; resolves with the match. */
	logged(pattern) {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`no ${pattern} in the log:\n${this.log}`)), DEADLINE_MS);
			const look = () => {
				const match = pattern.exec(this.log);
				if (!match)
					return;
				clearTimeout(timer);
				this.lines.off("line", look);
				resolve(match);
			};
			this.lines.on("line", look);
			this.process.once("exit", look);
			look();
		});
	}

	/** The address of its TCP port. */
	async tcp() {
		return `tcp:${(await this.logged(/listening on tcp:(\S+)/))[1]}`;
	}

	/** A client of it, which is closed when the test ends. */
	async client(t, options) {
		const client = await objpool.connect(this.address, options);
		t.after(() => client.close());
		return client;
	}

	async kill(signal = "SIGKILL") {
		this.process.kill(signal);
		await this.exit;
	}

	async stop() {
		if (this.process.exitCode === null && this.process.signalCode === null)
			await this.kill("SIGTERM");
		fs.rmSync(this.folder, { recursive: true, force: true });
	}
}
