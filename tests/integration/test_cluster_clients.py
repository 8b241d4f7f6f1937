# SPDX-License-Identifier: Apache-2.0
"""Clients that are not Python's, and the command: targets of other hosts, and what they say of hosts that are not there."""
import json
import os
import shutil
import subprocess
import sys

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import BUILD, DEADLINE, MSGPACK, ROOT, wait_for

pytestmark = needs_cluster


def objpool(host, *words, **keywords):
    return subprocess.run([BUILD / "objpool", "-s", host.daemon.address, *words], text=True, capture_output=True, timeout=3 * DEADLINE,
                          **keywords)


def runs(host):
    with host.client() as client:
        wait_for(lambda: any(slot["running"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"]),
                 lambda: f"a call to run on {host.name}")


# ---- the command ----

def test_the_command(cluster):
    hosts = cluster(("h1", "h2"))
    h1 = hosts["h1"]

    def value(*words, **keywords):
        done = objpool(h1, *words, **keywords)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
    assert value("call", "p@h2.tag") == ["h2"] and value("call", "p@h2:1.slot") == [1]
    assert value("call", "p@*:all.tag") == [["h1", "h1", "h2", "h2"]]
    assert value("call", "p@h2:key=a.tag") == ["h2"]
    assert value("call", "--labels", "p@*:all.slot") == [[["h1", 0, 0], ["h1", 1, 1], ["h2", 0, 0], ["h2", 1, 1]]]
    rows = objpool(h1, "call", "--labels", "--format", "csv", "p@*:all.tag").stdout.splitlines()
    assert rows == ["h1,0,h1", "h1,1,h1", "h2,0,h2", "h2,1,h2"]
    failed = objpool(h1, "call", "--labels", "-e", "collect", "p@*:all.fail", "no")
    assert failed.returncode == 1 and [row[:2] for row in json.loads(failed.stdout)] == [["h1", 0], ["h1", 1], ["h2", 0], ["h2", 1]]
    assert objpool(h1, "call", "--labels", "-e", "collect", "p@*:all.slot").returncode == 0
    assert "option labels is for a target with :all or :scatter only" in objpool(h1, "call", "--labels", "p@h2.slot").stderr
    items = "".join(f"{i}\n" for i in range(500))
    for target in ("p@*.echo", "p@h2.echo", "p@h2:map.echo"):
        assert value("map", target, input=items) == list(range(500))
    assert {name for name in ("h1", "h2") if name in objpool(h1, "hosts").stdout} == {"h1", "h2"}
    for target in ("p@h2", "p@h1", "p@*"):
        assert value("ping", target)[0]["ms"] > 0
    done = objpool(h1, "ping", "p@h9")
    assert done.returncode == 75 and done.stderr.startswith("objpool: UNREACHABLE: host h9 is not known"), done
    described = objpool(h1, "describe", "p@h2")
    assert described.returncode == 0 and "echo" in described.stdout
    done = objpool(h1, "call", "p@h9.echo", "1")
    assert (done.returncode, done.stdout) == (75, "") and "objpool: UNREACHABLE: host h9 is not known" in done.stderr
    done = objpool(h1, "restart", "p@h2")
    assert done.returncode == 1 and 'pool "p@h2" is none of this host: ask the daemon of a host that has it' in done.stderr, done
    done = objpool(h1, "call", "p@h2.fail", "no")
    assert done.returncode == 1 and "(host h2, pool p, slot " in done.stderr, done
    with subprocess.Popen([BUILD / "objpool", "-s", h1.daemon.address, "call", "p@h2.sleep", "1000"], text=True,
                          stderr=subprocess.PIPE) as waiting:
        runs(hosts["h2"])
        hosts["h2"].kill()
        _, told = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 1 and "objpool: HOST_LOST: host h2 " in told, told


def test_what_a_user_of_another_host_may(cluster):
    """Its section is found as for its calls."""
    hosts = cluster(("h1",), sections="\n[user h2/*]\ncall = p.tag\n[user h2/alice]\ncall = p.echo\n")
    for user, method, answer in (("h2/bob", "tag", "may"), ("h2/bob", "echo", "may not"), ("h2/alice", "echo", "may"),
                                 ("h3/bob", "tag", "may not")):
        done = objpool(hosts["h1"], "acl", "check", user, "call", f"p.{method}")
        assert f"user {user} {answer} " in done.stdout + done.stderr, done
        file = hosts["h1"].daemon.config
        checked = subprocess.run([BUILD / "objpoold", "--config", file, "--check", "--acl", user, "call", f"p.{method}"], text=True,
                                 capture_output=True, timeout=DEADLINE)
        assert f"user {user} {answer} " in checked.stdout + checked.stderr, checked


def test_completion(cluster):
    hosts = cluster(("h1", "h2"))

    def offered(line):
        return [row.split("\t")[0] for row in objpool(hosts["h1"], "complete", "--", "-s", hosts["h1"].daemon.address,
                                                      *line.split(" ")).stdout.splitlines()]
    assert offered("call p@") == ["p@*.", "p@h1.", "p@h2."] and offered("call p@h2") == ["p@h2."]
    assert offered("call p@h2.ech") == ["p@h2.echo"] and offered("call p@h2:1.ech") == ["p@h2:1.echo"]
    assert offered("call p@*:a") == ["p@*:all."] and offered("call nothing@") == []
    assert offered("ping ") == ["p@"] and offered("ping p@h") == ["p@h1", "p@h2"]
    script = f"""source {ROOT}/packaging/completions/objpool.bash; COMP_LINE='objpool call p@h2.ec' COMP_POINT=20
        COMP_WORDS=(objpool call p @ h2.ec) COMP_CWORD=4; _objpool {BUILD}/objpool; printf '%s\\n' "${{COMPREPLY[@]}}" """
    told = subprocess.run(["bash", "--norc", "-c", script], text=True, capture_output=True, timeout=DEADLINE,
                          env={**os.environ, "OBJPOOL_ADDRESS": hosts["h1"].daemon.address})
    assert told.stdout.split() == ["h2.echo"], "readline keeps what stands before the @"


# ---- the libraries ----

C = r"""
#include <objpool/client.h>
#include <stdio.h>
#include <string.h>
/* Prints each result of the array, with its label. */
static void print_labelled(struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	const char *host;
	uint32_t count, three;
	size_t size;
	int64_t slot, result;
	for (objpool_read_array(&reader, &count); count > 0; count--)
		if (objpool_read_array(&reader, &three) == 0 && three == 3 && objpool_read_str(&reader, &host, &size) == 0 &&
		    objpool_read_int(&reader, &slot) == 0 && objpool_read_int(&reader, &result) == 0)
			printf("%.*s %d %d\n", (int)size, host, (int)slot, (int)result);
}
static void lease(struct objpool_client *client, const char *pool)
{
	struct objpool_lease_options options = OBJPOOL_LEASE_OPTIONS_INIT;
	struct objpool_lease lease;
	struct objpool_result result = {0};
	char host[OBJPOOL_HOST_SIZE], at[100], method[200];
	options.host = host;
	if (objpool_lease(client, pool, &options, &lease, NULL) < 0)
		return;
	snprintf(at, sizeof at, "p@%s", host);
	snprintf(method, sizeof method, "%s:%d.slot", at, (int)lease.slot);
	if (objpool_callf(client, method, &result, "[]") == 0)
		printf("%s %d\n", at, objpool_release(client, at, lease.slot, NULL));
	objpool_result_free(&result);
}
static void call(struct objpool_client *client, const char *method)
{
	if (strstr(method, ".lease")) {
		lease(client, "p@*");
		return;
	}
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result = {0};
	if ((strstr(method, ".sleep") ? objpool_pack(&args, "[i]", 1000) : objpool_pack(&args, "[]")) < 0)
		return;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	options.labels = strstr(method, ":all.") != NULL;
	if (objpool_call(client, method, objpool_packed(&args), &options, &result) == 0 && options.labels) {
		print_labelled(result.value);
	} else if (!result.error) {
		struct objpool_reader reader = objpool_reader(result.value);
		const char *text;
		size_t size;
		if (objpool_read_str(&reader, &text, &size) == 0)
			printf("%.*s\n", (int)size, text);
	} else if (result.error) {
		printf("%s %s %d\n", result.error->code, result.error->host ? result.error->host : "-", result.error->ran == OBJPOOL_RAN_NO);
	}
	fflush(stdout);
	objpool_result_free(&result);
	objpool_packer_free(&args);
}
int main(int argc, char **argv)
{
	struct objpool_client *client;
	if (argc < 2 || objpool_connect(&client, argv[1], NULL) < 0)
		return 1;
	for (int i = 2; i < argc; i++)
		call(client, argv[i]);
	objpool_close(client);
	return 0;
}
"""
NODE = """
import { connect } from "objpool";
const client = await connect(process.argv[2]);
for (const name of process.argv.slice(3)) {
	const [target, method] = name.split("."), [, pool, all] = /^(.*?)(:all)?$/.exec(target);
	try {
		if (method === "lease") {
			const lease = await client.pool("p@*").lease();
			console.log(`p@${await lease.tag()}`, await lease.release() ? 1 : 0);
			continue;
		}
		if (all && method === "fail") {
			for (const [host, slot, error] of await client.pool(pool).all.options({ labels: true, errors: "collect" }).fail("no"))
				console.log(host, slot, error.code);
			continue;
		}
		if (all) {
			for (const row of await client.pool(pool).all.options({ labels: true })[method]())
				console.log(...row);
			continue;
		}
		console.log(await client.pool(pool).method(method)(...(method === "sleep" ? [1000] : [])));
	} catch (error) {
		console.log(error.code, error.host ?? "-", error.ran === "no" ? 1 : 0);
	}
}
client.close();
"""
GO = """package main
import ("context"; "errors"; "fmt"; "os"; "strings"; "objpool.dev/go")
func main() {
	client, err := objpool.Connect(context.Background(), os.Args[1])
	if err != nil { panic(err) }
	for _, name := range os.Args[2:] {
		pool, method, _ := strings.Cut(name, ".")
		args := []any{}
		if of, all := strings.CutSuffix(pool, ":all"); all {
			rows, err := objpool.Call[[][3]any](context.Background(), client.Pool(of).All().With(objpool.Options{Labels: true}), method)
			if err != nil { panic(err) }
			for _, row := range rows { fmt.Println(row[0], row[1], row[2]) }
			continue
		}
		if method == "lease" {
			lease, err := client.Pool("p@*").Lease(context.Background())
			if err != nil { panic(err) }
			tag, err := objpool.Call[string](context.Background(), lease, "tag")
			if err != nil { panic(err) }
			held, err := lease.Release(context.Background())
			if err != nil || !held { panic("it was not held") }
			fmt.Println("p@" + tag, 1)
			continue
		}
		if method == "sleep" { args = append(args, 1000) }
		value, err := objpool.Call[any](context.Background(), client.Pool(pool), method, args...)
		var failed *objpool.Error
		if errors.As(err, &failed) {
			host, not_run := failed.Host, 0
			if host == "" { host = "-" }
			if failed.Ran == "no" { not_run = 1 }
			fmt.Println(failed.Code, host, not_run)
		} else { fmt.Println(value) }
	}
}
"""


def c_program(place):
    (place / "far.c").write_text(C)
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/client/include", place / "far.c",
                    BUILD / "libobjpool.a", *MSGPACK, "-o", place / "far"], check=True, timeout=3 * DEADLINE)
    return [place / "far"]


def node_program(place):
    if not shutil.which("node"):
        pytest.skip("Node is not installed")
    (place / "node_modules").mkdir()
    (place / "node_modules" / "objpool").symlink_to(ROOT / "client" / "node")
    (place / "far.mjs").write_text(NODE)
    return ["node", place / "far.mjs"]


def go_program(place):
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    return go_built(place, GO)


def go_built(place, source):
    folder = place / "go"
    folder.mkdir(exist_ok=True)
    (folder / "far.go").write_text(source)
    shutil.copy(ROOT / "client/go/go.sum", folder)
    text = (ROOT / "client/go/go.mod").read_text().replace("module objpool.dev/go", "module far")
    (folder / "go.mod").write_text(f"{text}\nrequire objpool.dev/go v0.0.0\n\nreplace objpool.dev/go => {ROOT}/client/go\n")
    subprocess.run(["go", "build", "-mod=mod", "-o", place / "far", "."], cwd=folder, check=True, timeout=20 * DEADLINE)
    return [place / "far"]


TYPED = r"""
#include "typed.h"
#include <stdio.h>
int main(int argc, char **argv)
{
	struct objpool_client *client;
	struct objpool_result result;
	const char *text;
	size_t size;
	if (argc < 2 || objpool_connect(&client, argv[1], NULL) < 0 || probe_tag(client, "p@h2", &result) < 0)
		return 1;
	struct objpool_reader reader = objpool_reader(result.value);
	if (objpool_read_str(&reader, &text, &size) == 0)
		printf("%.*s\n", (int)size, text);
	objpool_result_free(&result);
	objpool_close(client);
	return 0;
}
"""


TYPED_PYTHON = """
import sys, objpool
from typed import Probe
with objpool.connect(sys.argv[1]) as client:
    for pool in client.pool("p", host="h2"), client.pool("p@h2")[1], client.pool("p", host="*").key("k"):
        probe = Probe(pool)
        print(probe.tag(), list(probe.series(3)))
    try:
        Probe(client.pool("p", host="h9")).tag()
    except objpool.errors.Unreachable as error:
        print(error.host, error.ran)
"""
TYPED_TS = """
import { connect, ObjpoolError } from "objpool";
import { Probe } from "./typed";
declare const process: { argv: string[] };
async function main(): Promise<void> {
	const client = await connect(process.argv[2]);
	for (const pool of [client.pool("p@h2"), client.pool("p@h2").slot(1), client.pool("p@*").key("k")]) {
		const probe = new Probe(pool);
		console.log(await probe.tag(), (await probe.series({ n: 3 }).toArray()).join(" "));
	}
	await new Probe(client.pool("p@h9")).tag().catch((error: ObjpoolError) => console.log(error.host, error.ran));
	client.close();
}
main();
"""
TYPED_GO = """package main
import ("context"; "errors"; "fmt"; "os"; "objpool.dev/go"; typed "far/typed")
func main() {
	ctx, three := context.Background(), int64(3)
	client, err := objpool.Connect(ctx, os.Args[1])
	if err != nil { panic(err) }
	for _, pool := range []objpool.Target{client.Pool("p@h2"), client.Pool("p@h2").Slot(1), client.Pool("p@*").Key("k")} {
		probe := typed.New(pool)
		tag, err := probe.Tag(ctx)
		if err != nil { panic(err) }
		fmt.Print(tag)
		for counted := probe.Series(ctx, &typed.ProbeSeriesOptions{N: &three}); counted.Next(); {
			value, err := counted.Value()
			if err != nil { panic(err) }
			fmt.Print(" ", value)
		}
		fmt.Println()
	}
	_, err = typed.New(client.Pool("p@h9")).Tag(ctx)
	var failed *objpool.Error
	if errors.As(err, &failed) { fmt.Println(failed.Host, failed.Ran) }
}
"""


def typed_c(place, generate):
    generate("c", place / "typed.h")
    (place / "typed.c").write_text(TYPED)
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/client/include", place / "typed.c",
                    BUILD / "libobjpool.a", *MSGPACK, "-o", place / "typed"], check=True, timeout=3 * DEADLINE)
    return [place / "typed"]


def typed_python(place, generate):
    generate("python", place / "typed.py")
    (place / "program.py").write_text(TYPED_PYTHON)
    return ["env", f"PYTHONPATH={ROOT}/client/python", sys.executable, place / "program.py"]


def typed_ts(place, generate):
    compiler = ROOT / "client/node/node_modules/.bin/tsc"
    if not compiler.exists():
        pytest.skip("the compiler of TypeScript is not installed (make check-node)")
    (place / "node_modules").mkdir()
    (place / "node_modules" / "objpool").symlink_to(ROOT / "client" / "node")
    generate("ts", place / "typed.ts")
    (place / "program.ts").write_text(TYPED_TS)
    subprocess.run([compiler, "--strict", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10",
                    "--outDir", place, place / "program.ts"], check=True, timeout=6 * DEADLINE)
    return ["node", place / "program.js"]


def typed_go(place, generate):
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    generate("go", place / "go" / "typed" / "typed.go")
    return go_built(place, TYPED_GO)


@pytest.mark.parametrize("program", [typed_c, typed_python, typed_ts, typed_go])
def test_a_typed_client(cluster, place, program):
    """Those for Java and Rust never see a target: it is for who gives them their transport."""
    hosts = cluster(("h1", "h2"))

    def generate(language, path):
        described = objpool(hosts["h1"], "describe", "p@h2", "--generate", language)
        assert described.returncode == 0, described.stderr
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(described.stdout)
    command = program(place, generate)
    done = subprocess.run([*command, hosts["h1"].daemon.address], text=True, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    told = [line.replace("[", "").replace(",", "").replace("]", "") for line in done.stdout.splitlines()]
    with hosts["h1"].client() as client:
        far = client.value("p@*:key=k.tag")
    assert told == (["h2"] if program is typed_c else ["h2 0 1 2", "h2 0 1 2", f"{far} 0 1 2", "h9 no"])


@pytest.mark.parametrize("program", [c_program, node_program, go_program])
def test_a_library(cluster, place, program):
    command = program(place)
    hosts = cluster(("h1", "h2"))
    address = hosts["h1"].daemon.address

    def told(*methods):
        return subprocess.run([*command, address, *methods], text=True, capture_output=True, check=True, timeout=DEADLINE).stdout.splitlines()
    assert told("p@h2.tag", "p@h9.tag") == ["h2", "UNREACHABLE h9 1"]
    assert told("p@*:all.slot") == ["h1 0 0", "h1 1 1", "h2 0 0", "h2 1 1"]
    assert told("p@h2:all.slot") == ["h2 0 0", "h2 1 1"]
    assert set(told(*["p@*.lease"] * 8)) == {"p@h1 1", "p@h2 1"}, "a lease of any host is of the instance that was granted"
    if program is node_program:
        assert told("p@*:all.fail") == [f"{host} {slot} FAILED" for host in ("h1", "h2") for slot in (0, 1)]
    assert told("p@h2.crash")[0].startswith("WORKER_LOST h2 ")
    with subprocess.Popen([*command, address, "p@h2.sleep"], text=True, stdout=subprocess.PIPE) as waiting:
        runs(hosts["h2"])
        hosts["h2"].kill()
        lost, _ = waiting.communicate(timeout=DEADLINE)
    assert lost == "HOST_LOST h2 0\n"


def test_a_lease_of_any_host_in_python(cluster):
    """Calls and the release go to the host that has granted it, also by the plain name of a section [remote]."""
    hosts = cluster(("h1", "h2"))
    hosts.add("h3", pools={}, sections="[remote p]\n")
    hosts.settle()
    code = """if True:
        import asyncio, sys, objpool, objpool.aio
        for address, host in (sys.argv[1], "*"), (sys.argv[2], None):
            seen = set()
            with objpool.connect(address) as client:
                for _ in range(40):
                    with client.pool("p", host=host).lease() as lease:
                        tag = lease.tag()
                        assert lease.options(timeout=60).tag() == tag
                        assert lease.release() is True
                    seen.add(tag)
            assert seen == {"h1", "h2"}, seen

        async def main():
            seen = set()
            async with await objpool.aio.connect(sys.argv[1]) as client:
                for _ in range(40):
                    async with client.pool("p", host="*").lease() as lease:
                        seen.add(await lease.tag())
                        assert await lease.release() is True
                rows = await client.pool("p", host="*").all.options(labels=True, errors="collect").fail("no")
                assert [(*row[:2], row[2].code) for row in rows] == FAILED, rows
            assert seen == {"h1", "h2"}, seen
        FAILED = [(host, slot, "FAILED") for host in ("h1", "h2") for slot in (0, 1)]
        asyncio.run(main())
        with objpool.connect(sys.argv[1]) as client:
            rows = client.pool("p", host="*").all.options(labels=True, errors="collect").fail("no")
            assert [(*row[:2], row[2].code) for row in rows] == FAILED, rows
        """
    subprocess.run([sys.executable, "-c", code, hosts["h1"].daemon.address, hosts["h3"].daemon.address], check=True, timeout=3 * DEADLINE,
                   env={**os.environ, "PYTHONPATH": str(ROOT / "client/python")})
