# SPDX-License-Identifier: Apache-2.0
"""objpool new plugin: what it writes builds, is tested, and runs, with an installed objpool and with a checkout."""
import os
import subprocess

import pytest

from harness import BUILD, DEADLINE, ROOT, needs

ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "OBJPOOL_ADDRESS", "CFLAGS", "CPPFLAGS", "LDFLAGS")}
checkout = pytest.mark.skipif(BUILD != ROOT / "build", reason="another build than a checkout's own")


def new(place, *words):
    return subprocess.run([BUILD / "objpool", "new", *words], cwd=place, text=True, capture_output=True, timeout=DEADLINE)


@pytest.fixture
def installed(place):
    """The environment where the programs are in PATH, and the header is where pkg-config says."""
    place.chmod(0o755)
    (place / "objpool.pc").write_text(f"Name: objpool\nDescription: here\nVersion: 0\nCflags: -I{ROOT}/plugins/include\n")
    return {**ENVIRONMENT, "PATH": f"{BUILD}:{ENVIRONMENT['PATH']}", "PKG_CONFIG_PATH": f"{place}:{os.environ.get('PKG_CONFIG_PATH', '')}"}


def make(folder, environment, *words):
    done = subprocess.run(["make", "-C", folder, *words], text=True, capture_output=True, env=environment, timeout=6 * DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("language", ["c", pytest.param("python", marks=needs("python"))])
def test_with_an_installed_objpool(place, installed, language):
    assert new(place, "plugin", "my-adder", "--lang", language).returncode == 0
    assert "my-adder: all tests passed\n" in make(place / "my-adder", installed, "check")


@checkout
@pytest.mark.parametrize("language", ["c", "python"])
def test_with_a_checkout(place, language):
    place.chmod(0o755)
    assert new(place, "plugin", "queue", "--lang", language).returncode == 0     # also the name of a module of Python
    environment = {**ENVIRONMENT, "PKG_CONFIG_PATH": os.environ.get("PKG_CONFIG_PATH", "")}
    assert "queue: all tests passed\n" in make(place / "queue", environment, "check", f"OBJPOOL={ROOT}")


def test_a_test_that_fails_says_why(place, installed):
    assert new(place, "plugin", "adder", "-l", "c").returncode == 0
    source = place / "adder/adder.c"
    source.write_text(source.read_text().replace("own->value = sum;", ""))
    done = subprocess.run(["make", "-C", place / "adder", "check"], text=True, capture_output=True, env=installed, timeout=6 * DEADLINE)
    assert done.returncode == 2 and "test.sh: adder:all.add 1: expected [16, 11], got [11, 11]\n" in done.stderr


def test_what_is_refused(place):
    (place / "there").mkdir()
    for words, status, error in ((["plugin", "there"], 1, "there: File exists"), (["plugin", "../up"], 2, "a plugin's name has small letters"),
                                 (["plugin", "None"], 2, "a plugin's name"), (["plugin", "none"], 2, "is not objpool, none"), (["plugin", "x" * 41], 2, "40 characters"),
                                 (["plugin", "a", "--lang", "cobol"], 2, "new: --lang takes c or python, not cobol"), (["pool", "a"], 2, "new makes a plugin, and no pool"),
                                 (["plugin"], 2, "usage: objpool new")):
        done = new(place, *words)
        assert (done.returncode, done.stdout) == (status, "") and error in done.stderr
    assert [path.name for path in place.iterdir()] == ["there"] and list((place / "there").iterdir()) == []


def test_a_full_disk_is_told(place):
    done = subprocess.run(["sh", "-c", f"ulimit -f 1; trap '' XFSZ; exec '{BUILD}/objpool' new plugin adder"], cwd=place, text=True, capture_output=True, timeout=DEADLINE)
    assert done.returncode == 1 and done.stderr.startswith("objpool: adder/") and done.stderr.endswith(": File too large\n")


def test_all_names_build(place):
    """Words of C and of Python among them."""
    names = ["int", "class", "a_-b", "y" * 40, "import"]
    for language in "c", "python":
        folder = place / language
        folder.mkdir()
        for name in names:
            assert new(folder, "plugin", name, "--lang", language).returncode == 0
    sources = [next((place / "c" / name).glob("*.c")) for name in names]
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/plugins/include", *sources], check=True)
    for name in names:
        subprocess.run(["/usr/bin/python3", "-m", "unittest", "-q", *(path.stem for path in (place / "python" / name).glob("test_*.py"))],
                       cwd=place / "python" / name, check=True, capture_output=True)
