# SPDX-License-Identifier: Apache-2.0
"""The manual of libobjpool, which scripts/man3.py makes from the header."""
import os
import re
import subprocess

from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER

PAGES = BUILD / "man3"
# These answer with a number that is no error.
NEVER_FAIL = {"objpool_fd", "objpool_events", "objpool_timeout_ms"}


def exported():
    """The functions that the library exports."""
    symbols = subprocess.run(["nm", "-D", "--defined-only", BUILD / "libobjpool.so"], text=True, capture_output=True, check=True,
                             timeout=DEADLINE).stdout
    return re.findall(r" T (objpool_\w+)", symbols)


def page(name):
    """The text of a page, also when the page of this name only refers to another one."""
    text = (PAGES / f"{name}.3").read_text()
    other = re.fullmatch(r"\.so man3/(\w+)\.3\n", text)
    return page(other[1]) if other else text


def test_every_function_has_a_page():
    functions = exported()
    assert len(functions) > 50
    for name in functions:
        text = page(name)
        assert re.search(rf"^\.Nm {name}( ,)?$", text, re.M) and re.search(rf"^\.Fo {name}$", text, re.M), name
    listed = (PAGES / "pages").read_text().split()
    assert listed == sorted(path.name for path in PAGES.glob("*.3")) and {f"{name}.3" for name in functions} < set(listed)


def test_who_can_fail_says_how():
    """A function that returns an int says which errors it has."""
    header = (ROOT / "client/include/objpool/client.h").read_text()
    failing = set(re.findall(r"^OBJPOOL_API int (\w+)\(", header, re.M)) - NEVER_FAIL
    assert len(failing) > 30
    assert [name for name in sorted(failing) if ".Sh RETURN VALUES\n" not in page(name) or ".Sh ERRORS\n" not in page(name)] == []


def test_pages_refer_to_pages():
    for path in PAGES.glob("*.3"):
        for name in re.findall(r"^\.(?:It |Pq )?Xr (\w*objpool_\w+) 3", path.read_text(), re.M):
            assert (PAGES / f"{name}.3").exists(), (path, name)


def test_the_example_of_the_overview(start, place):
    program = re.search(r"^\.Sh EXAMPLES\n.*?^\.Bd -literal\n(.*?)^\.Ed$", page("objpool"), re.S | re.M)[1]
    (place / "example.c").write_text(program.replace(r"\e", "\\").replace(r"\&", ""))
    sanitize = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", *sanitize, f"-I{ROOT}/client/include", place / "example.c",
                    BUILD / "libobjpool.a", *MSGPACK, "-o", place / "example"], check=True, timeout=DEADLINE)
    daemon = start({"p": {"workers": 1}})
    done = subprocess.run([*UNDER, place / "example", "p.echo", "7"], env={**os.environ, "OBJPOOL_ADDRESS": daemon.address},
                          text=True, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")
