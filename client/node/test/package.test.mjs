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

/** A folder outside of the checkout, with what npm packs installed. Gives the folder, and the names of the files packed. */
async function install(t) {
	const folder = fs.mkdtempSync(path.join(os.tmpdir(), "objpool-packed-"));
	t.after(() => fs.rmSync(folder, { recursive: true }));
	const quiet = ["--cache", `${folder}/cache`, "--offline", "--no-audit", "--no-fund", "--loglevel=error"];
	const npm = (args, cwd) => run("npm", [...args, ...quiet], { cwd });
	const [{ filename, files }] = JSON.parse(await npm(["pack", "--json", "--pack-destination", folder], HERE));
	fs.mkdirSync(`${folder}/program`);
	fs.writeFileSync(`${folder}/program/package.json`, '{"private": true}');
	await npm(["install", `../${filename}`], `${folder}/program`);
	return { folder: `${folder}/program`, packed: files.map((file) => file.path) };
}

const STRICT = ["--noEmit", "--strict", "--noUnusedLocals", "--noUnusedParameters", "--exactOptionalPropertyTypes",
	"--noUncheckedIndexedAccess", "--noImplicitReturns", "--target", "es2022"];

/** Compiles files of that folder as strictly as the compiler can. */
async function compile(folder, files, ...options) {
	await run(TSC, [...STRICT, ...options, ...files], { cwd: folder }).catch((error) => assert.fail(error.stdout || error));
}

const as_commonjs = (esm) => esm.replace('import { connect } from "objpool"', 'const { connect } = require("objpool")')
	.replace(/^const client/m, "(async () => {\nconst client") + "})();";

/* A program in TypeScript as CommonJS has it: with `import`, which the compiler makes a require, or with `import = require`. */
const COMMONJS = `import { connect, ObjpoolError, type Client } from "objpool";
export async function program(): Promise<number> {
	const client: Client = await connect();
	return client.pool<{ add(a: number, b: number): number }>("p").add(1, 2).catch((error) => {
		throw error instanceof ObjpoolError ? error.code : error;
	});
}
`;

test("the packed library works in a fresh folder: as an ES module, in CommonJS, and with each way to find types", async (t) => {
	const daemon = await Daemon.start(t, DICE);
	const { folder, packed } = await install(t);
	for (const name of ["LICENSE", "README.md", "package.json", "index.js", "index.mjs", "index.d.ts", "index.d.mts"])
		assert.ok(packed.includes(name), name);
	assert.deepEqual(packed.filter((name) => /^(test|bench|examples)\//.test(name)), []);

	const [first] = blocks("js");
	const esm = first.replace("unix:/tmp/objpool.sock", daemon.address);
	const [typed] = blocks("ts");
	const equals = COMMONJS.replace(/^import .*$/m, 'import objpool = require("objpool");')
		.replace(/\b(Client|connect|ObjpoolError)\b/g, "objpool.$&");
	const programs = {
		"first.mjs": esm, "first.cjs": as_commonjs(esm), "typed.mts": typed, "untyped.mts": esm,
		"first.cts": COMMONJS, "equals.cts": equals, "module.ts": typed, "commonjs.ts": COMMONJS,
	};
	for (const [name, text] of Object.entries(programs))
		fs.writeFileSync(`${folder}/${name}`, text);
	for (const name of ["first.mjs", "first.cjs"])
		assert.match(await run(process.execPath, [name], { cwd: folder }), /^-?\d+\.\d+/);
	const dom = ["--lib", "es2022,dom"];
	const resolve = (module, resolution) => [...dom, "--module", module, "--moduleResolution", resolution];
	await Promise.all([
		compile(folder, ["typed.mts", "untyped.mts", "first.cts", "equals.cts"], ...resolve("node16", "node16")),
		compile(folder, ["module.ts"], ...resolve("es2022", "bundler")),
		compile(folder, ["commonjs.ts"], ...resolve("commonjs", "node10")),
	]);
});

test("types of what a user writes", async () => {
	await run(TSC, ["-p", "test/types"], { cwd: HERE }).catch((error) => assert.fail(error.stdout));
});

/* What the README's programs take for granted. */
const GIVEN = `import type { Client, Pool } from "objpool";
declare global {
	const client: Client, pool: Pool, model: object, items: number[];
	const process: { once(signal: string, act: () => void): void };
	function rows(): AsyncIterable<number[]>;
}
`;

test("every program of the README compiles", async (t) => {
	const folder = fs.mkdtempSync(`${HERE}test/readme-`); // where the library and its types are found as a user finds them
	t.after(() => fs.rmSync(folder, { recursive: true }));
	fs.writeFileSync(`${folder}/given.d.mts`, GIVEN);
	const names = [...blocks("js"), ...blocks("ts")].map((text, i) => {
		fs.writeFileSync(`${folder}/block${i}.mts`, `${text}\nexport {};\n`);
		return `block${i}.mts`;
	});
	assert.ok(names.length >= 8);
	await compile(folder, ["given.d.mts", ...names], "--lib", "es2022,esnext.disposable,dom", "--module", "node16",
		"--noUnusedLocals", "false");
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
