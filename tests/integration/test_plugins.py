# SPDX-License-Identifier: Apache-2.0
"""Plugins as their authors write them: what is wrong with one is said; the public headers."""
import os
import shutil
import subprocess

import pytest

from harness import BUILD, MSGPACK, ROOT

INCLUDES = [f"-I{ROOT / 'plugins/include'}", f"-I{ROOT / 'client/include'}"]
SANITIZE = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []

SOURCE = """
#include <objpool/plugin.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *forever(void *unused) { for (;;) pause(); return unused; }
static void *briefly(void *unused) { return unused; }
static void start(void *(*run)(void *)) { pthread_t thread; if (pthread_create(&thread, NULL, run, NULL) != 0) abort(); }
static int create(struct objpool_call *c, const struct objpool_args *a, void **self) { (void)c, (void)a; *self = NULL; return 0; }
static int ping(void *s, struct objpool_call *c, const struct objpool_args *a, msgpack_packer *r)
{ (void)s, (void)c, (void)a, (void)r; return 0; }
static int silent(void *s, struct objpool_call *c, const struct objpool_args *a, msgpack_packer *r)
{ (void)s, (void)c, (void)a, (void)r; return -7; }
static const struct objpool_method methods[] = {{.name = "ping", .call = ping}, {.name = "silent", .call = silent}, {.name = NULL}};
#define HEAD OBJPOOL_CLASS_HEAD
#define CLASS HEAD, .name = "C", .create = create, .methods = methods
%s
#ifndef OWN
static const struct objpool_class class = {CLASS};
static const struct objpool_class *const classes[] = {&class, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "tried", .version = "1", .classes = classes};
#endif
"""
REDEFINE = "#undef CLASS\n#define CLASS "


def compile_plugin(place, more):
    (place / "tried.c").write_text(SOURCE % more)
    subprocess.run(["cc", "-std=gnu11", "-w", "-fPIC", "-shared", *SANITIZE, *INCLUDES, place / "tried.c", "-o", place / "tried.so",
                    *MSGPACK], check=True)
    return {"p": {"plugin": place / "tried.so", "class": "C", "workers": 1}}


@pytest.mark.parametrize("more, error", [
    (REDEFINE + '.name = "C", .create = create, .methods = methods', "class C of plugin .* has no size: it must begin with OBJPOOL_CLASS_HEAD"),
    (REDEFINE + '.size = 24, .name = "C"', "class C of plugin .* says that it has 24 bytes; up to .create it has 48"),
    (REDEFINE + 'HEAD, .name = "C", .methods = methods', "class C of plugin .* has no constructor: set .create"),
    (REDEFINE + 'HEAD, .name = "C", .create = create', "class C of plugin .* has no methods: set .methods or .dispatch"),
    ('#define OWN\nconst struct objpool_plugin objpool_plugin = {.name = "x"};', "must begin with OBJPOOL_PLUGIN_HEAD"),
    ('#define OWN\nconst struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "x"};', "objpool_plugin has no .classes"),
    ('#define OWN\nconst struct objpool_plugin objpool_plugin = {OBJPOOL_ABI, 24, 40, 0, "x", "1", NULL};', "says that it has 24 bytes"),
], ids=["no size", "too short", "no create", "no methods", "no abi", "no classes", "plugin too short"])
def test_what_is_wrong_with_a_plugin_is_said(start, place, more, error):
    daemon = start(compile_plugin(place, more))
    daemon.wait_log(error)


def test_structures_may_end_early(start, place):
    """As those of a plugin that was built when there was less of them."""
    short = """
#define OWN
static const struct { const char *name, *signature, *doc; uint32_t flags; objpool_method_fn *call; } brief[] =
	{{"ping", NULL, NULL, 0, ping}, {NULL, NULL, NULL, 0, NULL}};
static int dispatch(void *s, struct objpool_call *c, const struct objpool_args *a, msgpack_packer *r)
{ (void)s, (void)c, (void)a; return msgpack_pack_int(r, 5); }
static const struct objpool_class class = {.size = offsetof(struct objpool_class, methods) + sizeof(void *), .name = "C", .create = create,
	.methods = (const struct objpool_method *)brief, .dispatch = dispatch};
static const struct objpool_class *const classes[] = {&class, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_ABI, sizeof(struct objpool_plugin), sizeof brief[0], 0, "tried", "1", classes};
"""
    with start(compile_plugin(place, short)).client() as client:
        assert client.value("p.ping") is None
        assert "NO_SUCH_METHOD" in client.error("p.other")  # `dispatch` lies beyond the size


def test_a_method_that_fails_without_a_word(start, place):
    with start(compile_plugin(place, "")).client() as client:
        assert client.error("p.silent") == ("FAILED: silent failed and did not say why: it returned -7 without objpool_fail. What it printed is "
                                            "in the daemon's log")


LOADED = "__attribute__((constructor)) static void load(void) { start(%s); }"
PRELOADED = """static int preload(struct objpool_call *c, const struct objpool_args *a) { (void)c, (void)a; start(%s); return 0; }
""" + REDEFINE + "HEAD, .name = \"C\", .create = create, .methods = methods, .preload = preload"


@pytest.mark.parametrize("code, error", [
    (LOADED % "forever", "loading tried has started 1 thread, which forked workers don't have"),
    (PRELOADED % "forever", "preload of class C has started 1 thread, which forked workers don't have"),
], ids=["loading", "preload"])
def test_threads_before_the_fork(start, place, code, error):
    with start(compile_plugin(place, code)).client() as client:
        assert error in client.error("p.ping")


@pytest.mark.parametrize("code, keys", [
    (LOADED % "briefly", {}), (PRELOADED % "briefly", {}),
    (LOADED % "forever" + REDEFINE.replace("#undef", "\n#undef") + 'HEAD, .flags = OBJPOOL_CLASS_FORK_SAFE, .name = "C", .create = create, '
     '.methods = methods', {}),
    (LOADED % "forever" + REDEFINE.replace("#undef", "\n#undef") + 'HEAD, .flags = OBJPOOL_CLASS_THREAD_SAFE, .name = "C", .create = create, '
     '.methods = methods', {"isolation": "thread"}),
], ids=["short load", "short preload", "fork-safe", "threads"])
def test_threads_that_do_no_harm(start, place, code, keys):
    pools = compile_plugin(place, code)
    pools["p"].update(keys)
    with start(pools).client() as client:
        assert client.value("p.ping") is None


BOTH = """
#include <objpool/%s.h>
#include <objpool/%s.h>
static int ping(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_outcome outcome;
	struct objpool_failure failure;
	struct objpool_result got;
	const struct objpool_error *error = 0;
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	(void)self; (void)call; (void)args; (void)result; (void)outcome; (void)failure; (void)got; (void)error;
	objpool_packer_free(&packer);
	objpool_buffer_free(&buffer);
	return objpool_fail(call, "Type", "%%d", 1);
}
objpool_method_fn *exported(void);
objpool_method_fn *exported(void) { return ping; }
"""


LANGUAGES = [("-xc", "-std=c11"), ("-xc", "-std=gnu11"), ("-xc", "-std=c17"), ("-xc", "-std=c2x"),
             *(("-xc++", f"-std=c++{n}") for n in (11, 14, 17, 20))]


@pytest.mark.parametrize("compiler", ["cc", "clang"])
@pytest.mark.parametrize("language", LANGUAGES, ids=" ".join)
def test_both_headers_in_one_file_without_a_warning(place, compiler, language):
    if not shutil.which(compiler):
        pytest.skip(f"there is no {compiler} here")
    for headers in ("plugin", "client"), ("client", "plugin"):
        (place / "both.c").write_text(BOTH % headers)
        subprocess.run([compiler, *language, "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only", *INCLUDES,
                        place / "both.c"], check=True, env={**os.environ, "LC_ALL": "C"})
