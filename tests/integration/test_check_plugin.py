# SPDX-License-Identifier: Apache-2.0
"""objpool check-plugin: all that is wrong with a plugin, and nothing that a bad plugin does hurts."""
import os
import subprocess

import pytest

from harness import BUILD, DEADLINE, MSGPACK, ROOT

WHOLE = '''#include <objpool/plugin.h>
static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	(void)call, (void)args;
	*self = (void *)1;
	return 0;
}
static int run(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call, (void)args, (void)result;
	return 0;
}
'''
HEAD = "OBJPOOL_CLASS_HEAD, .doc = \"A class.\", .create = create, .methods = methods"
END = '''static const struct objpool_class *const classes[] = {%s, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "p", .classes = classes};
'''
METHOD = '{.name = "f", .signature = "(x: int)", .doc = "Does it.", .call = run, .min_args = 1, .max_args = 1}'


def source(methods, classes, more=""):
    tables = "".join(f"static const struct objpool_class c{i} = {{{text}}};\n" for i, text in enumerate(classes))
    return f"{WHOLE}{more}static const struct objpool_method methods[] = {{{methods}, {{0}}}};\n{tables}" + END % ", ".join(f"&c{i}" for i in range(len(classes)))


@pytest.fixture
def check(place):
    """check(file) -> (exit status, lines)."""
    place.chmod(0o755)

    def run(name, *words):
        done = subprocess.run([BUILD / "objpool", "check-plugin", *words, name], cwd=place, text=True, capture_output=True, timeout=3 * DEADLINE)
        assert done.stderr == ""
        return done.returncode, [line.removeprefix(f"{name}: ") for line in done.stdout.splitlines()]
    return run


@pytest.fixture
def build(place):
    def run(text, name="p.so", *flags):
        subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-xnone", "-o", place / name, f"-I{ROOT}/plugins/include", *flags, *MSGPACK], input=text, text=True, check=True)
        return name
    return run


def test_nothing_is_wrong(check, build):
    assert check(build(source(METHOD, [f'{HEAD}, .name = "A", .signature = "(n: int = 0)"']))) == (0, ["class A(n: int = 0): 1 method"])


def test_all_faults_are_told(check, build, place):
    methods = ", ".join([METHOD, METHOD, '{.name = "g", .doc = "No function."}', '{.name = "h", .signature = "(x: number)", .call = run, .max_args = 1}',
                         '{.name = "i", .signature = "(x) -> int", .doc = "Counts.", .call = run, .min_args = 3, .max_args = 1}'])
    classes = [f'{HEAD}, .name = "A", .types = types, .snapshot = (void *)1', f'{HEAD.replace("= methods", "= ok")}, .name = "B", .signature = "(x: "',
               'OBJPOOL_CLASS_HEAD, .name = "B"', '.name = "C"', f'{HEAD}']
    more = f'static const char *const types[] = {{"P(x: flo)", "Q(", "Q(x)", NULL}};\nstatic const struct objpool_method ok[] = {{{METHOD}, {{0}}}};\n'
    status, lines = check(build(source(methods, classes, more)))
    assert status == 1
    path = place / "p.so"
    assert [line.removeprefix("error: ") for line in lines if line.startswith("error: ")] == [
        "method g of class A has no function", "class A has only one of .snapshot and .restore: it needs both, or none", "class A has two methods f",
        "method i of class A has min_args 3, which is more than its max_args 1", "class A has two records of this name: Q(x)",
        'a record of class A, column 6: there is no type "flo": P(x: flo)', "a record of class A, column 3: the name of a field must stand here: Q(",
        'the signature of method h of class A, column 5: there is no type "number": (x: number)',
        "the signature of method i of class A needs 1 arguments by place, its min_args is 3: (x) -> int",
        "the signature of the constructor of class B, column 5: a type must stand here: (x: ", "the plugin has two classes B",
        f"class B of plugin {path} has no constructor: set .create", f"class B of plugin {path} has no methods: set .methods or .dispatch",
        f"class C of plugin {path} has no size: it must begin with OBJPOOL_CLASS_HEAD", "class number 5 of the plugin has no name: set .name"]
    assert [line for line in lines if line.startswith("warning: ")] == [
        "warning: method g of class A has no signature: clients are told that it takes anything", "warning: method h of class A has no doc", "warning: class B has no doc"]


def test_what_is_missing_is_told(check, build, place):
    build("int of_library(void) { return 1; }", "libgone.so", "-Wl,-soname,libgone.so")
    more = "int of_library(void), nowhere(void), objpool_later(void);\nint use(void);\nint use(void) { return of_library() + nowhere() + objpool_later(); }\n"
    build(source(METHOD, [f'{HEAD}, .name = "A"'], more), "p.so", f"-L{place}", "-lgone")
    (place / "libgone.so").unlink()
    status, lines = check("p.so")
    assert status == 1 and lines[0].startswith("error: can't load plugin: libgone.so: cannot open shared object file")
    assert sorted(lines[1:]) == ["error: it needs the function objpool_later, which this objpool does not have",
                                 "error: it needs the library libgone.so, which is not found",
                                 "error: it needs the symbol nowhere, which no library that it is linked with has",
                                 "error: it needs the symbol of_library, which no library that it is linked with has"]


def test_what_is_no_plugin(check, build, place):
    (place / "text.so").write_text("text")
    whole = (place / build("int x;", "x.so")).read_bytes()
    for i, cut in enumerate([whole[:70], whole[:len(whole) // 2], whole[:len(whole) - 1000], whole[:40] + b"\xff" * 24 + whole[64:],
                             whole[:40] + (int.from_bytes(whole[40:48], "little") + 4).to_bytes(8, "little") + whole[48:-64]]):
        (place / f"cut{i}.so").write_bytes(cut)
        assert check(f"cut{i}.so")[0] == 1
    assert check("text.so") == (1, ["error: can't load plugin: " + str(place / "text.so") + ": file too short"])
    assert check("x.so") == (1, [f"error: {place}/x.so is a shared object, but no plugin: it exports no objpool_plugin"])
    assert check("nothing.so") == (1, ["error: No such file or directory"])
    build('#include <objpool/plugin.h>\nstatic const struct objpool_class *const classes[] = {NULL};\n'
          'const struct objpool_plugin objpool_plugin = {.abi = OBJPOOL_ABI + 1, .classes = classes};', "abi.so")
    assert check("abi.so")[1][0].startswith(f"error: plugin {place}/abi.so is built for plugin ABI ")
    build(source(METHOD, []).replace("{, NULL}", "{NULL}"), "empty.so")
    assert check("empty.so") == (1, ["error: the plugin has no class: .classes is empty"])


def test_a_bad_plugin_hurts_nothing(check, build, place):
    """It crashes, says what acts on a terminal, exits, leaves a process behind, or asks for the network."""
    for name, code, said in (("crash", "*(volatile int *)0 = 1;", "error: the template process "),
                             ("exit", "_exit(0);", "error: the template process exited with status 0"),
                             ("print", 'puts("\\033[31mred"); fflush(stdout); abort();', "printed: \\e[31mred"),
                             ("fork", "if (fork() == 0) for (;;) pause(); _exit(3);", "error: the template process exited with status 3"),
                             ("net", "_exit(socket(AF_INET, SOCK_STREAM, 0) < 0 ? 7 : 8);", "error: the template process exited with status 7")):
        build("#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <sys/socket.h>\n__attribute__((constructor)) static void f(void) { %s }\n" % code, name + ".so")
        status, lines = check(name + ".so")
        assert status == 1 and any(line.startswith(said) for line in lines), (name, lines)


def test_files_of_python(check, place):
    (place / "good.py").write_text("class A:\n    def f(self, x: int) -> int:\n        return x\nclass B(A):\n    class Inner: pass\nclass _Own: pass\n")
    (place / "syntax.py").write_text("class A:\n    def f(self:\n")
    (place / "missing.py").write_text("import nothing_there\nclass A: pass\nclass B: pass\n")
    (place / "odd.py").write_text("class A:\n    def f(self, x: complex): pass\n")
    (place / "none.py").write_text("x = 1\n")
    assert check("good.py") == (0, ["class A: it can be loaded", "class B: it can be loaded"])
    assert check("odd.py") == (0, ["printed: annotations that clients are told as any: f(x): complex", "class A: it can be loaded"])
    for name, error in (("syntax", "SyntaxError: '(' was never closed (syntax.py, line 2)"), ("missing", "ModuleNotFoundError: No module named 'nothing_there'")):
        status, lines = check(name + ".py")
        assert status == 1 and [line for line in lines if not line.startswith("printed: ")] == [f"error: preload of class {name}:A failed: {name}:A: {error}"]
    assert check("none.py") == (1, ['error: it defines no class: no line begins with "class " and a name'])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_what_another_user_can_not_read(check, build, place):
    build("int x;", "x.so")
    (place / "x.so").chmod(0o600)
    ((status, (line,))) = check("x.so", "--user", "nobody")
    assert (status, line) == (1, "error: Permission denied, for user nobody")


def test_usage(place):
    def run(*words):
        return subprocess.run([BUILD / "objpoold", *words], text=True, capture_output=True, timeout=DEADLINE)

    assert "exclude each other" in run("--check-plugin", "x", "--check").stderr and run("--check-plugin").returncode == 2
    assert run("--user", "nobody").stderr.startswith("objpoold: --user goes with --check and --check-plugin\n")
    if os.geteuid() == 0:
        assert "root" in run("--check-plugin", "x", "--user", "root").stderr


def test_the_plugins_that_come_with_objpool_are_good(place):
    for path in sorted((BUILD / "plugins").glob("*.so")):
        done = subprocess.run([BUILD / "objpoold", "--check-plugin", path], text=True, capture_output=True, timeout=3 * DEADLINE)
        assert (done.returncode, done.stderr) == (0, "") and "warning" not in done.stdout, done.stdout
