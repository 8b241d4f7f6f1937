// SPDX-License-Identifier: Apache-2.0
// What npm packs, installed in a folder outside of the checkout; the README's programs; the examples.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Daemon } from "./daemon.mjs";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const TSC = `${HERE}node_modules/.bin/tsc`;
const README = fs.readFileSync(`${HERE}README.md`, "utf8");
const DICE = { pools: { dice: { plugin: "sampler", class: "Sampler" }, echo: { class: "Echo" } } };
const run = async (command, args, options) => (await promisify(execFile)(command, args, { timeout: 60_000, ...options })).stdout;

const blocks = (language) => [...README.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, text]) => text);

test("the packed library works in a fresh folder: ESM, CommonJS, and with strict types", async (t) => {
	const daemon = await Daemon.start(t, DICE);
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), "objpool-packed-"));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	const quiet = ["--cache", `${folder}/cache`, "--offline", "--no-audit", "--no-fund", "--loglevel=error"];
	const npm = (args, cwd) => run("npm", [...args, ...quiet], { cwd });
	const file = (await npm(["pack", "--pack-destination", folder], HERE)).trim().split("\n").at(-1);
	fs.mkdirSync(`${folder}/program`);
	fs.writeFileSync(`${folder}/program/package.json`, '{"private": true}');
	await npm(["install", `../${file}`], `${folder}/program`);

	const [first] = blocks("js");
	const esm = first.replace("unix:/tmp/objpool.sock", daemon.address);
	const cjs = esm.replace('import { connect } from "objpool"', 'const { connect } = require("objpool")')
		.replace(/^const client/m, "(async () => {\nconst client") + "})();";
	const [typed] = blocks("ts");
	for (const [name, text] of [["first.mjs", esm], ["first.cjs", cjs], ["typed.mts", typed], ["untyped.mts", esm]])
		fs.writeFileSync(`${folder}/program/${name}`, text);
	for (const name of ["first.mjs", "first.cjs"])
		assert.match(await run(process.execPath, [name], { cwd: `${folder}/program` }), /^-?\d+\.\d+/);
	const compiler = ["--strict", "--noEmit", "--target", "es2022", "--module", "node16", "--lib", "es2022,dom"];
	await run(TSC, [...compiler, "typed.mts", "untyped.mts"], { cwd: `${folder}/program` })
		.catch((error) => assert.fail(error.stdout));
});

test("types of what a user writes", async () => {
	await run(TSC, ["-p", "test/types"], { cwd: HERE }).catch((error) => assert.fail(error.stdout));
});

test("every JavaScript block of the README is JavaScript", async () => {
	for (const text of blocks("js")) {
		const body = text.replace(/^import .*$/gm, "").replace("await using", "const");
		assert.doesNotThrow(() => new (Object.getPrototypeOf(async () => {}).constructor)(body), text);
	}
});

test("the examples", async (t) => {
	const daemon = await Daemon.start(t, DICE);
	const hello = await run(process.execPath, ["examples/hello.mjs", daemon.address], { cwd: HERE });
	assert.match(hello, /^slot 1 42$/m);
	assert.match(hello, /^NO_SUCH_METHOD no$/m);

	const batch = spawn(process.execPath, ["examples/batch.mjs", "echo", "upper", daemon.address], { cwd: HERE });
	batch.stdin.end("one\ntwo\n");
	let out = "";
	batch.stdout.on("data", (data) => {
		out += data;
	});
	await once(batch, "close");
	assert.equal(out, '"ONE"\n"TWO"\n');

	const web = spawn(process.execPath, ["examples/web.mjs", "echo", "0", daemon.address], { cwd: HERE });
	t.after(() => web.kill());
	const [line] = await once(web.stdout, "data");
	const url = line.toString().trim();
	assert.equal(await (await fetch(`${url}/upper/abc`)).text(), '"ABC"\n');
	assert.equal((await fetch(`${url}/nothing/abc`)).status, 404);
});
