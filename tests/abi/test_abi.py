# SPDX-License-Identifier: Apache-2.0
"""Programs that were built with the headers of ABI 1 run with the daemon and the library of today.

tests/abi/1 holds copies of the public headers, as they were when ABI 1 was frozen. These copies never change.
"""
import os
import pathlib
import re
import subprocess

import pytest
from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER

HERE = pathlib.Path(__file__).parent
FROZEN = [f"-I{HERE / '1'}"]
TODAY = [f"-I{ROOT / 'plugins/include'}", f"-I{ROOT / 'client/include'}"]
SANITIZE = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []
STRICT = ["-Wall", "-Wextra", "-Werror"]


def compiled(place, source, includes, *more, compiler=("cc", "-std=gnu11"), name="program"):
    """Builds a source of this folder with such headers, as a program."""
    subprocess.run([*compiler, *SANITIZE, *includes, HERE / source, "-o", place / name, *more], check=True, timeout=DEADLINE)
    return place / name


@pytest.fixture(scope="session")
def plugin(tmp_path_factory):
    """plugin.c, built with the headers of ABI 1."""
    return compiled(tmp_path_factory.mktemp("plugin"), "plugin.c", FROZEN, "-fPIC", "-shared", *MSGPACK, *STRICT, name="old.so")


@pytest.fixture
def daemon(start, plugin):
    """A daemon with a pool p of two instances of that plugin's class."""
    return start({"p": {"plugin": plugin, "class": "Old"}})


SHARED = [f"-L{BUILD}", "-lobjpool", f"-Wl,-rpath,{BUILD.resolve()}"]
STATIC = [BUILD / "libobjpool.a", *MSGPACK]


@pytest.mark.parametrize("library", [SHARED, STATIC], ids=["shared", "static"])
def test_a_client_of_abi_1(daemon, place, library):
    program = compiled(place, "client.c", FROZEN, *library)
    done = subprocess.run([*UNDER, program], env={**os.environ, "OBJPOOL_ADDRESS": daemon.address}, text=True,
                          capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_plugin_of_abi_1(daemon):
    """What client.c does not ask of it: hooks, deferred answers, calls of its own, memory that it keeps, a state handed over."""
    with daemon.client() as c:
        assert c.value("p:0.caught") == "caught" and "NO_SUCH_METHOD" in c.error("p:0.other")
        described = c.value("objpool.describe", "p")
        assert described["doc"] == "described in preload" and {"name": "caught"} in described["methods"]
        assert "NO_SUCH_METHOD: none is called so" in c.error("p:0.fail", "with a code")
        put_off = c.start("p:0.later")
        assert c.value("p:0.answer") == 1 and c.wait(put_off) == (None, "answered")
        assert c.value("p:0.later", 1) == "woken"
        put_off = c.start("p:0.later")
        assert c.value("p:0.get") == 0  # it has been put off by then
        assert c.value("objpool.cancel", put_off) is True and "CANCELLED" in c.wait(put_off)[0]
        assert c.value("p:0.ask", "p:1.get") == 0 and "FAILED" in c.error("p:0.ask", "p:1.kept")
        assert c.value("p:0.keep", b"k" * 200000) is True and c.value("p:0.kept") == [ord("k"), 200000]
        assert c.value("p:0.commit") == 0
        c.value("objpool.lease", "p", {"slot": 0})
        c.value("objpool.release", "p", 0)
        c.value("p:0.set", 77)
        with daemon.client() as other:
            other.value("p:0.get")
        about = c.value("p:0.about")
        while about["sessions_ended"] == 0:
            about = c.value("p:0.about")
        assert about == {"value": 77, "slot": 0, "slots": 2, "generation": 1, "sessions_ended": 1, "leases": 1, "releases": 1,
                         "wakes": 1, "gone": 1, "max_message": 256 << 20, "class": "Old", "preloaded elsewhere": True, "idle was called": True}
        c.value("objpool.restart", "p", 0)
        about = c.value("p:0.about")
        assert about["value"] == 77 and about["generation"] == 2


def test_a_plugin_of_abi_1_waits_yields_and_tells_of_progress(daemon):
    with daemon.client() as c:
        assert "TIMEOUT" in c.full("p", "wait", timeout_ms=10)[0]
        c.start("objpool.call", "p", "count", [2], {"stream": True}, msgid=90)
        assert [c.receive() for _ in range(3)] == [[2, "objpool.result", [90, 0, None, 0]], [2, "objpool.result", [90, 1, None, 1]],
                                                   [1, 90, None, {"items": 2, "failed": 0}]]
        c.start("objpool.call", "p", "half", [], {"progress": True}, msgid=91)
        assert [c.receive() for _ in range(2)] == [[2, "objpool.progress", [91, 1, 2, "half"]], [1, 91, None, 0]]
        assert c.full("p:map", "add", [[1, 2], [3, 4]]) == (None, [4, 6]) and c.full("p", "add", [1], kwargs={"b": 2}) == (None, 3)
        assert "FAILED: it is 7" in c.error("p.fail", "plainly")
        error = c.maps().error("p:1.fail", "with everything")
        assert error == {"code": "FAILED", "message": "out of paper", "ran": "yes", "type": "PrinterError", "traceback": "line 7",
                         "pool": "p", "slot": 1, "generation": 1, "data": b"A4"}


def test_members_and_constants_are_where_they_were(place):
    def says(includes, name):
        program = compiled(place, "layout.c", includes, name=name)
        return subprocess.run([program], check=True, text=True, capture_output=True).stdout

    assert says(TODAY, "today") == says(FROZEN, "frozen")


def test_no_function_of_the_library_is_missing():
    declared = re.findall(r"^OBJPOOL_API [^;]*?\b(objpool_\w+)\(", (HERE / "1/objpool/client.h").read_text(), re.MULTILINE)
    symbols = subprocess.run(["nm", "-D", "--defined-only", BUILD / "libobjpool.so"], check=True, text=True, capture_output=True).stdout
    assert len(declared) > 60 and set(declared) <= set(re.findall(r" T (objpool_\w+)", symbols))


def test_the_list_of_the_package_names_all_functions():
    """dpkg-gensymbols refuses to build a package of a library that has others than its list."""
    listed = re.findall(r"^ (objpool_\w+)@LIBOBJPOOL_0 ", (ROOT / "packaging/debian/libobjpool0.symbols").read_text(), re.MULTILINE)
    symbols = subprocess.run(["nm", "-D", "--defined-only", BUILD / "libobjpool.so"], check=True, text=True, capture_output=True).stdout
    assert sorted(listed) == sorted(re.findall(r" T (objpool_\w+)", symbols))


COMPILERS = [("cc", "-std=c11"), ("cc", "-std=gnu11"), ("c++", "-xc++", "-std=c++11"), ("c++", "-xc++", "-std=c++20")]


@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
def test_sources_of_abi_1_compile_with_the_headers_of_today(place, compiler):
    sources = ["client.c"] if "-xc++" in compiler else ["client.c", "plugin.c"]
    for source in sources:
        subprocess.run([*compiler, "-D_GNU_SOURCE", *STRICT, *TODAY, "-fsyntax-only", HERE / source], check=True, timeout=DEADLINE)


TWO_NAMES = """
#include <objpool/client.h>
struct objpool;
int greet(struct objpool *old);
int greet(struct objpool *old)
{
	struct objpool_client *client = old, *other;
	struct objpool **out = &other;
	return objpool_connect(&client, 0, 0) + objpool_connect(out, 0, 0) + (objpool_close(client) == old);
}
"""


@pytest.mark.parametrize("compiler", COMPILERS, ids=" ".join)
def test_a_client_has_its_old_name_and_its_new_one(place, compiler):
    (place / "names.c").write_text(TWO_NAMES)
    subprocess.run([*compiler, *STRICT, "-Wshadow", "-Wpedantic", *TODAY, "-fsyntax-only", place / "names.c"], check=True, timeout=DEADLINE)
