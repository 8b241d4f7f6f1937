# SPDX-License-Identifier: Apache-2.0
"""objpool describe --generate: typed clients that compile without a warning, and call each method of the probe's class Types."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import strange_classes
from harness import BUILD, DEADLINE, MSGPACK, ROOT

SANITIZE = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []
POOLS = {"types": {"plugin": "probe", "class": "Types"}, "default": {"plugin": "python", "class": "names:Promise", "args": "[1, \"\", [], \"\", 1, 1]",
                    "python_path": f'["{ROOT}/tests/integration/classes"]'},
         "probe": {}, "queue": {"plugin": "queue", "class": "Queue"},
         "words": {"plugin": "spell", "class": "Dictionary"}, "dice": {"plugin": "sampler", "class": "Sampler"},
         "knots": {"plugin": "python", "class": "knots:Knots", "python_path": f'["{ROOT}/tests/integration/classes"]'},
         "gaps": {"plugin": "python", "class": "gaps:Gaps", "python_path": f'["{ROOT}/tests/integration/classes"]'},
         "py": {"plugin": "python", "class": "typed:Typed", "python_path": f'["{ROOT}/tests/integration/classes"]'}}
HERE = pathlib.Path(__file__).parent / "generated"


@pytest.fixture
def daemon(start):
    return start({name: {**keys, "workers": 1} for name, keys in POOLS.items()})


def generate(address, pool, language, path):
    text = subprocess.run([BUILD / "objpool", "-s", getattr(address, "address", address), "describe", pool, "--generate", language], check=True, text=True,
                          capture_output=True, timeout=DEADLINE).stdout
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def run(*command, **keywords):
    done = subprocess.run(command, text=True, capture_output=True, timeout=6 * DEADLINE, **keywords)
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout


MYPY = os.environ.get("OBJPOOL_MYPY") or shutil.which("mypy")
CONFIGURATION = "[mypy]\nstrict = true\n[mypy-objpool.*]\nfollow_imports = silent\n[mypy-numpy]\nignore_missing_imports = true\n"


@pytest.fixture
def strange(place):
    """strange(seed): the address of a server that describes three classes with strange names, of which one has 200 arguments; and their pools."""
    listeners = []

    def serve(seed):
        class_ = strange_classes.Strange(seed)
        descriptions = {"one": class_.description("one"), "two": class_.description("two"), "wide": class_.wide("wide"), "empty": {"pool": "empty"}}
        listeners.append(strange_classes.serve(place / "strange", descriptions))
        return f"unix:{place}/strange", list(descriptions)
    yield serve
    for listener in listeners:
        listener.close()


# ---- each makes clients of these pools, and compiles them ----


def python_compiles(address, pools, place):
    for pool in pools:
        run(sys.executable, "-W", "error", "-c", f"import {generate(address, pool, 'python', place / f'{pool}_client.py').stem}", cwd=place,
            env={**os.environ, "PYTHONPATH": f"{ROOT}/client/python"})
    if MYPY:
        (place / "mypy.ini").write_text(CONFIGURATION)
        run(MYPY, "--no-incremental", *(f"{pool}_client.py" for pool in pools), cwd=place, env={**os.environ, "MYPYPATH": f"{ROOT}/client/python"})


def c_compiles(address, pools, place, compiler):
    for pool in pools:
        path = generate(address, pool, "c", place / f"{pool}.h")
        run(*compiler, "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Wconversion", "-Werror", f"-I{ROOT}/client/include", "-fsyntax-only", path)


def ts_compiles(address, pools, place, *more):
    modules = place / "node_modules"
    modules.mkdir()
    (modules / "objpool").symlink_to(ROOT / "client/node")
    sources = [generate(address, pool, "ts", place / f"{pool}.ts") for pool in pools]
    strict = ["--strict", "--noUnusedLocals", "--noUnusedParameters", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess",
              "--noImplicitReturns", "--noImplicitOverride", "--noPropertyAccessFromIndexSignature", "--isolatedModules"]
    run(TSC, *strict, "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10", "--outDir", place, *sources, *more)


def go_compiles(address, pools, place):
    shutil.copy(ROOT / "client/go/go.sum", place)
    for pool in pools:
        generate(address, pool, "go", place / pool / "client.go")
    (place / "go.mod").write_text("module example.org/generated\n\ngo 1.19\n\nrequire objpool.dev/go v0.0.0\n\nrequire (\n"
                                  "\tgithub.com/vmihailenco/msgpack/v5 v5.4.1 // indirect\n\tgithub.com/vmihailenco/tagparser/v2 v2.0.0 // indirect\n)\n\n"
                                  f"replace objpool.dev/go => {ROOT}/client/go\n")
    run(GO, "vet", "./...", cwd=place, env={**os.environ, "GOFLAGS": "-mod=mod"})
    assert run(pathlib.Path(GO).resolve().with_name("gofmt"), "-d", ".", cwd=place) == ""


def rust_compiles(address, pools, place):
    for pool in pools:
        source = generate(address, pool, "rust", place / f"{pool}.rs")
        run("rustc", "--edition", "2021", "--crate-type", "lib", "--emit=metadata", "-D", "warnings", "-o", place / "lib.rmeta", source)


def java_compiles(address, pools, place):
    for pool in pools:
        source = generate(address, pool, "java", place / f"{pool}.java")
        name = re.search(r"^public final class (\w+)", source.read_text(), re.M)[1]
        (place / pool).mkdir()
        source.rename(place / pool / f"{name}.java")
        run("javac", "-encoding", "utf-8", "-Xlint:all", "-Werror", "-d", place / pool / "classes", place / pool / f"{name}.java")


# ---- Python and C ----


def test_python(daemon, place):
    python_compiles(daemon, POOLS, place)
    environment = {**os.environ, "PYTHONPATH": f"{place}:{ROOT}/client/python", "OBJPOOL_ADDRESS": daemon.address, "PYTHONWARNINGS": "error"}
    assert run(sys.executable, HERE / "calls.py", env=environment) == "done\n"


def test_python_of_strange_names(strange, place):
    python_compiles(*strange(1), place)


compilers = pytest.mark.parametrize("compiler", [("cc", "-xc", "-std=c11"), ("c++", "-xc++", "-std=c++11")], ids=["C", "C++"])


@compilers
def test_c_compiles(daemon, place, compiler):
    c_compiles(daemon, POOLS, place, compiler)


@compilers
def test_c_of_strange_names(strange, place, compiler):
    c_compiles(*strange(1), place, compiler)


@pytest.mark.parametrize("pool, source", [("types", "calls.c"), ("gaps", "gaps.c")])
def test_c(daemon, place, pool, source):
    generate(daemon, pool, "c", place / f"{pool}.h")
    run("cc", "-std=c11", *SANITIZE, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror", f"-I{place}", f"-I{ROOT}/client/include", HERE / source,
        "-o", place / "calls", BUILD / "libobjpool.a", *MSGPACK)
    assert run(place / "calls", env={**os.environ, "OBJPOOL_ADDRESS": daemon.address}) == "done\n"


# Of each language: how the method begins, what stands before the name that it calls, and how the argument is sent.
@pytest.mark.parametrize("language, own, begin, before, sent", [
    ("ts", "aB", "\taB(", '.call<any>("', 'call.keyword("aB", aB);'),
    ("go", "aB", ") AB(", '(&call), "', 'call.keyword("aB", aB)'),
    ("java", "aB", "    public Object aB(", 'transport.call("', 'call.required("aB", aB);'),
    ("rust", "a_b", "    pub fn a_b(", 'transport.call("', 'call.keyword("a_b", Some(a_b.pack()));'),
    ("c", "a_b", " n_a_b(", 'n_internal_call(client, target, "', '"a_b"), call.keywords++;\n\tobjpool_pack_int(&call.kwargs, a_b);')], ids=["ts", "go", "java", "rust", "c"])
def test_a_name_that_has_the_languages_form_stays(place, language, own, begin, before, sent):
    names = ["A_b", "a_B", "Ab_", "aB", "a_b"]
    methods = [{"name": name, "params": [{"name": name, "kind": "keyword", "type": "int"} for name in names], "returns": "any"} for name in names]
    with strange_classes.serve(place / "names", {"n": {"pool": "n", "plugin": "p", "class": "N", "methods": methods}}):
        text = generate(f"unix:{place}/names", "n", language, place / "client").read_text()
    method = text[text.index(begin):]
    assert sent in method.split(before)[0] and method.split(before)[1].split('"')[0] == own


def test_an_unknown_language(daemon):
    done = subprocess.run([BUILD / "objpool", "-s", daemon.address, "describe", "types", "--generate", "cobol"], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (2, "") and "describe: --generate takes python, ts, go, rust, java or c, not cobol" in done.stderr


def test_what_describe_shows_people(daemon):
    shown = run(BUILD / "objpool", "-s", daemon.address, "describe", "types")
    assert "\nclass Types(origin: Point | None = None, *, names: list[str]" in shown
    assert "\n  byte(value: int[0, 255]) -> int[0, 255]   (changes nothing)\n      Gives back a value of type int[0, 255].\n" in shown
    assert ("\nrecord Path\n    points: list[Point]\n    closed: bool = False\n    bounds: tuple[Point, Point] | None = None\n"
            "\nrecord Tree\n    value: int\n    children: list[Tree] = ...\n") in shown


# Other languages than C and Python are for make check-languages, which installs what they need.
other_language = pytest.mark.skipif(not os.environ.get("OBJPOOL_LANGUAGES"), reason="make check-languages")
TSC = ROOT / "client/node/node_modules/.bin/tsc"
UNKNOWN = "a has to be given with the arguments behind it: its default is not known"
GO = shutil.which("go") or "/usr/local/go/bin/go"


@other_language
def test_ts(daemon, place):
    shutil.copy(HERE / "calls.ts", place)
    shutil.copy(HERE / "gaps.ts", place / "gaps_calls.ts")
    ts_compiles(daemon, POOLS, place, place / "calls.ts", place / "gaps_calls.ts")
    for program in "calls.js", "gaps_calls.js":
        assert run("node", place / program, env={**os.environ, "OBJPOOL_ADDRESS": daemon.address}) == "done\n"


@other_language
def test_go(daemon, place):
    for program, source in ("calls", "calls.go.txt"), ("gaps_calls", "gaps.go.txt"):
        (place / program).mkdir()
        shutil.copy(HERE / source, place / program / "main.go")
    go_compiles(daemon, POOLS, place)
    for program in "./calls", "./gaps_calls":
        assert run(GO, "run", program, cwd=place, env={**os.environ, "GOFLAGS": "-mod=mod", "OBJPOOL_ADDRESS": daemon.address}) == "done\n"


@other_language
def test_rust(daemon, place):
    rust_compiles(daemon, POOLS, place)
    generate(daemon, "gaps", "rust", place / "client.rs")
    shutil.copy(HERE / "gaps.rs", place / "calls.rs")
    run("rustc", "--edition", "2021", "-D", "warnings", "-o", place / "calls", place / "calls.rs")
    assert run(place / "calls").splitlines() == [
        "[Int(5), Int(7), Int(1), Int(2)]",
        '[Bool(true), Float(1.5), Str("\u00e4\\"\\\\\\n??/"), Bin([0, 255]), Array([Int(1), Array([Nil])]), Map([(Str("k"), Array([Int(1)]))]), Nil, '
        "Int(-9223372036854775808), Array([]), Map([]), Int(1), Int(2)]", UNKNOWN]


@other_language
def test_java(daemon, place):
    java_compiles(daemon, POOLS, place)
    classes = place / "gaps/classes"
    run("javac", "-encoding", "utf-8", "-Xlint:all", "-Werror", "-cp", classes, "-d", classes, HERE / "CallGaps.java")
    assert run("java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", classes, "CallGaps").splitlines() == [
        "[5, 7, 1, 2]", '[true, 1.5, \u00e4"\\', "??/, [0, -1], [1, [null]], {k=[1]}, null, -9223372036854775808, [], {}, 1, 2]", UNKNOWN]


@other_language
@pytest.mark.parametrize("compiles", [go_compiles, rust_compiles, java_compiles, ts_compiles, python_compiles])
def test_strange_names(strange, place, compiles):
    compiles(*strange(2), place)
