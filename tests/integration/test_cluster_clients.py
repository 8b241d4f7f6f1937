# SPDX-License-Identifier: Apache-2.0
"""Clients that are not Python's, and the command: targets of other hosts, and what they say of hosts that are not there."""
import json
import os
import shutil
import subprocess

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
    items = "".join(f"{i}\n" for i in range(500))
    for target in ("p@*.echo", "p@h2.echo", "p@h2:map.echo"):
        assert value("map", target, input=items) == list(range(500))
    assert {name for name in ("h1", "h2") if name in objpool(h1, "hosts").stdout} == {"h1", "h2"}
    described = objpool(h1, "describe", "p@h2")
    assert described.returncode == 0 and "echo" in described.stdout
    done = objpool(h1, "call", "p@h9.echo", "1")
    assert (done.returncode, done.stdout) == (75, "") and "objpool: UNREACHABLE: host h9 is not known" in done.stderr
    with subprocess.Popen([BUILD / "objpool", "-s", h1.daemon.address, "call", "p@h2.sleep", "1000"], text=True,
                          stderr=subprocess.PIPE) as waiting:
        runs(hosts["h2"])
        hosts["h2"].kill()
        _, told = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 1 and "objpool: HOST_LOST: host h2 " in told, told


def test_completion(cluster):
    hosts = cluster(("h1", "h2"))

    def offered(line):
        return [row.split("\t")[0] for row in objpool(hosts["h1"], "complete", "--", "-s", hosts["h1"].daemon.address,
                                                      *line.split(" ")).stdout.splitlines()]
    assert offered("call p@") == ["p@*.", "p@h1.", "p@h2."] and offered("call p@h2") == ["p@h2."]
    assert offered("call p@h2.ech") == ["p@h2.echo"] and offered("call p@h2:1.ech") == ["p@h2:1.echo"]
    assert offered("call p@*:a") == ["p@*:all."] and offered("call nothing@") == []
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
static void call(struct objpool_client *client, const char *method)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result = {0};
	if ((strstr(method, ".sleep") ? objpool_pack(&args, "[i]", 1000) : objpool_pack(&args, "[]")) < 0)
		return;
	if (objpool_call(client, method, objpool_packed(&args), NULL, &result) == 0) {
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
	const [pool, method] = name.split(".");
	try {
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
    folder = place / "go"
    folder.mkdir()
    (folder / "far.go").write_text(GO)
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


def test_a_typed_client(cluster, place):
    hosts = cluster(("h1", "h2"))
    described = objpool(hosts["h1"], "describe", "p@h2", "--generate", "c")
    assert described.returncode == 0, described.stderr
    (place / "typed.h").write_text(described.stdout)
    (place / "typed.c").write_text(TYPED)
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/client/include", place / "typed.c",
                    BUILD / "libobjpool.a", *MSGPACK, "-o", place / "typed"], check=True, timeout=3 * DEADLINE)
    done = subprocess.run([place / "typed", hosts["h1"].daemon.address], text=True, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (0, "h2\n")


@pytest.mark.parametrize("program", [c_program, node_program, go_program])
def test_a_library(cluster, place, program):
    command = program(place)
    hosts = cluster(("h1", "h2"))
    address = hosts["h1"].daemon.address

    def told(*methods):
        return subprocess.run([*command, address, *methods], text=True, capture_output=True, check=True, timeout=DEADLINE).stdout.splitlines()
    assert told("p@h2.tag", "p@h9.tag") == ["h2", "UNREACHABLE h9 1"]
    assert told("p@h2.crash")[0].startswith("WORKER_LOST h2 ")
    with subprocess.Popen([*command, address, "p@h2.sleep"], text=True, stdout=subprocess.PIPE) as waiting:
        runs(hosts["h2"])
        hosts["h2"].kill()
        lost, _ = waiting.communicate(timeout=DEADLINE)
    assert lost == "HOST_LOST h2 0\n"
