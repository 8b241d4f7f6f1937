# SPDX-License-Identifier: Apache-2.0
"""What `make` has built, looked at from outside; and what it says where something is missing."""
import os
import re
import subprocess

import pytest
from harness import BUILD, FOUND, ROOT

PROGRAMS = ["objpoold", "objpool-worker", "objpool", *(["objpool-backtrace"] if "WITH_backtrace" in FOUND else [])]
LIBRARIES = ["libobjpool.so", "plugins/probe.so"]


PROGRAM = """
#include <objpool/client.h>
#include <stdio.h>

static void scan(void) {}  /* a name that the library has, too */
void scan_run(void) { scan(); }

int main(void)
{
	struct objpool_client *client = NULL;
	scan_run();
	puts(objpool_connect(&client, "no-address", NULL) < 0 ? "no address" : "connected");
	return 0;
}
"""


def run(*command, **environment):
    return subprocess.run([str(c) for c in command], env={**os.environ, "LC_ALL": "C", **environment}, text=True, capture_output=True,
                          check=True, timeout=60).stdout


# ---- hardening ----


@pytest.mark.skipif("-" in BUILD.name, reason="a build with sanitizers has checks of its own")
@pytest.mark.parametrize("name", PROGRAMS + LIBRARIES)
def test_hardened(name):
    told = run("readelf", "-W", "-h", "-l", "-d", "--dyn-syms", BUILD / name)
    assert re.search(r"Type: +DYN ", told)
    assert re.search(r"^ +GNU_RELRO ", told, re.M) and re.search(r"FLAGS.* (BIND_)?NOW", told)
    assert re.search(r"^ +GNU_STACK .* RW +0x", told, re.M)
    if name in PROGRAMS:
        assert re.search(r"FLAGS_1.* PIE", told)
    if name != "objpool-backtrace":  # which has no array on its stack
        assert "__stack_chk_fail" in told
    assert name in LIBRARIES or re.search(r"\b__\w+_chk\b", told)


def test_libevent_is_there_once():
    """Its parts, and not the library that has all of them besides."""
    assert not re.search(r"NEEDED.*\blibevent-[\d.]+so", run("readelf", "-d", BUILD / "objpoold"))


# ---- libobjpool.a ----


def test_global_symbols_have_the_prefix():
    names = {line.split()[-1] for line in run("nm", "--defined-only", "--extern-only", BUILD / "libobjpool.a").splitlines() if " " in line}
    ours = ("objpool_", "__x86.get_pc_thunk.")  # gcc puts the others into any program for i386, hidden
    assert "objpool_connect" in names and not [name for name in names if not name.startswith(ours)]


@pytest.mark.skipif("-" in BUILD.name, reason="sanitizers can't be linked statically")
def test_static_program(place):
    """As pkg-config says after `make install`, with these folders in the place of the installed ones."""
    found = run("pkg-config", "--static", "--cflags", "--libs", f"--define-variable=libdir={BUILD}",
                f"--define-variable=includedir={ROOT}/client/include", BUILD / "packaging/objpool.pc").split()
    (place / "first.c").write_text(PROGRAM)
    run("cc", "-static", place / "first.c", "-o", place / "first", *found)
    assert run(place / "first") == "no address\n"
    assert "INTERP" not in run("readelf", "-l", "-W", place / "first")


# ---- what is found, and what is missing ----


PLAIN = {"CC": "cc", "PKG_CONFIG": "pkg-config", "CFLAGS": "-O2", "CPPFLAGS": "", "SANITIZE": "", "WITHOUT": ""}


def needs(place, *libraries, **environment):
    """What scripts/needs.sh prints where pkg-config knows these libraries only."""
    for library in libraries:
        name, _, link = library.partition("=")
        (place / f"{name}.pc").write_text(f"Name: {name}\nDescription: {name}\nVersion: 99\nLibs: -l{link or name}\n")
    told = run("sh", ROOT / "scripts/needs.sh", PKG_CONFIG_LIBDIR=str(place), **{**PLAIN, **environment})
    return dict(re.findall(r"^(\w+) := *(.*?) *$", told, re.M))


ALL = ["libevent_core", "libevent_extra", "libevent_openssl", "inih", "jansson", "openssl", "libcrypto"]


@pytest.mark.parametrize("name, link", [("msgpack-c", "msgpack-c"), ("msgpack", "msgpackc"), ("msgpackc", "msgpackc")])
def test_names_of_msgpack(place, name, link):
    found = needs(place, *ALL, f"{name}={link}")
    assert not found["MISSING"] and found["MSGPACK"] == name and found["MSGPACK_LIBS"] == f"-l{link}"


def test_missing_libraries_are_named(place):
    found = needs(place, *ALL[1:])
    assert "libevent_core 2.1 or later is not found" in found["MISSING"]
    assert "neither as msgpack-c nor msgpack nor msgpackc" in found["MISSING"]


def test_a_msgpack_that_is_too_old(place):
    (place / "msgpack.pc").write_text("Name: msgpack\nDescription: old\nVersion: 1.0\nLibs: -lmsgpackc\n")
    assert "msgpack-c 3.1 or later" in needs(place, *ALL)["MISSING"]


def needs_with_old(place, name, version):
    """What scripts/needs.sh prints where pkg-config knows this version of one library, and the newest of all others."""
    needs(place, *ALL, "msgpack=msgpackc")
    (place / f"{name}.pc").write_text(f"Name: {name}\nDescription: old\nVersion: {version}\nLibs: -l{name}\n")
    return needs(place)


@pytest.mark.parametrize("name, old, least", [
    ("libevent_core", "2.0.22", "2.1"), ("libevent_openssl", "2.0.22", "2.1"), ("inih", "43", "44"), ("jansson", "2.9", "2.10"),
    ("openssl", "1.1.0", "1.1.1")])
def test_a_library_that_is_too_old(place, name, old, least):
    assert needs_with_old(place, name, old)["MISSING"].startswith(f"{name} {least} or later is not found by pkg-config (Debian: lib")


@pytest.mark.parametrize("name, old, told", [
    ("libseccomp", "2.4.4", "the filter of system calls (cages): libseccomp >= 2.5 is not found"),
    ("python3-embed", "3.8", "the plugin python: python3-embed >= 3.9 is not found")])
def test_an_optional_library_that_is_too_old(place, name, old, told):
    found = needs_with_old(place, name, old)
    assert told in found["WITHOUT_PARTS"] and not found["MISSING"]


@pytest.mark.parametrize("header, text, told", [
    ("features.h", "#include_next <features.h>\n#undef __GLIBC_MINOR__\n#define __GLIBC_MINOR__ 29\n",
     "The C library is older than glibc 2.30."),
    ("linux/landlock.h", "#error\n",
     "The kernel's headers have no linux/landlock.h (those of Linux 5.13 or later have; Debian: linux-libc-dev).")])
def test_headers_that_are_too_old(place, header, text, told):
    (place / header).parent.mkdir(exist_ok=True)
    (place / header).write_text(text)
    assert needs(place, *ALL, "msgpack=msgpackc", CC=f"cc -I{place}")["MISSING"] == told


def test_a_compiler_that_is_too_old(place):
    old = place / "old-cc"
    old.write_text("#!/bin/sh\nexec cc -U__GNUC__ -D__GNUC__=8 \"$@\"\n")
    old.chmod(0o755)
    found = needs(place, *ALL, "msgpack=msgpackc", CC=str(old))
    assert found["MISSING"] == f"{old} is too old: objpool is compiled by gcc 9 or clang 11 or later."


def test_no_compiler(place):
    found = needs(place, *ALL, "msgpack=msgpackc", CC="no-such-cc")
    assert found["MISSING"] == "No C compiler: no-such-cc is not installed (Debian: build-essential)."


def test_what_is_missing_stops_the_build(place):
    """With one sentence, and not before something is compiled: `make help` and `make clean` need nothing."""
    make = ["make", "-C", ROOT, f"B={place}/build", "PKG_CONFIG=no-such-pkg-config"]
    failed = subprocess.run([*make, f"{place}/build/proto/scan.o"], text=True, capture_output=True, timeout=60)
    assert failed.returncode == 2 and "objpool can not be built here. no-such-pkg-config is not installed" in failed.stderr
    assert run(*make, "help").count("no-such-pkg-config") == 0


def test_optional_parts(place):
    found = needs(place, *ALL, "msgpack=msgpackc", "libdw=dw", "libseccomp=seccomp", WITHOUT="seccomp")
    assert found["WITH_backtrace"] == "1" and found["LIBS_OF_backtrace"] == "-ldw"
    assert "WITH_seccomp" not in found and "system calls (cages), left out (WITHOUT=seccomp)" in found["WITHOUT_PARTS"]
    assert "the plugin spell: hunspell is not found" in found["WITHOUT_PARTS"]


def test_packagers_flags_win(place):
    """Their level of _FORTIFY_SOURCE, and a build without optimization, which can't have it."""
    assert "-D_FORTIFY_SOURCE=3" in needs(place)["HARDEN"]
    assert "_FORTIFY_SOURCE" not in needs(place, CPPFLAGS="-D_FORTIFY_SOURCE=2")["HARDEN"]
    assert "_FORTIFY_SOURCE" not in needs(place, CFLAGS="-O0")["HARDEN"]
    assert needs(place, SANITIZE="address")["HARDEN"] == ""
