# SPDX-License-Identifier: Apache-2.0
"""docs/tutorial-*.md: each block of commands is run, one after the other in one shell, and prints what the block of text below it
says; `…` stands for anything."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import BUILD, DEADLINE, ROOT, SLOW, needs

TUTORIALS = {path.stem.removeprefix("tutorial-"): path.read_text() for path in sorted((ROOT / "docs").glob("tutorial-*.md"))}
STEP = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.S | re.M)


def environment_of(place):
    """Programs of this build, and the Python that the package's modules were built for."""
    (place / "bin").mkdir()
    (place / "bin/python3").symlink_to("/usr/bin/python3")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("OBJPOOL_", "PYTHON", "MAKE", "MFLAGS", "CFLAGS", "CPPFLAGS", "LDFLAGS"))}
    return {**inherited, "PATH": f"{place}/bin:{BUILD}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}/client/python",
            "OBJPOOL_BIN": str(BUILD), "XDG_RUNTIME_DIR": str(place), "HOME": str(place)}


def run(name, place, **environment):
    """What each block of the tutorial prints, as (commands, printed, expected)."""
    steps = STEP.findall(TUTORIALS[name])
    end = "trap 'status=$?; kill $(jobs -p) 2>/dev/null || true; wait || true; exit $status' EXIT\n"      # the daemon of a step that failed
    script = "set -e\n" + end + "".join(f"{commands}\necho '@done {i}'\n" for i, (commands, _) in enumerate(steps))
    with (place / "out").open("w+") as out:
        shell = subprocess.Popen(["bash", "-c", script], cwd=place, env={**environment_of(place), **environment}, stdout=out,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = shell.wait(3 * DEADLINE)
        finally:
            shell.poll() is None and os.killpg(shell.pid, signal.SIGKILL)
        printed = (place / "out").read_text()
    texts = re.split(r"^@done \d+\n", printed, flags=re.M)
    assert status == 0 and len(texts) == len(steps) + 1, printed
    return [(commands, text, expected) for (commands, expected), text in zip(steps, texts)]


def check(steps):
    for commands, text, expected in steps:
        pattern = ".*".join(re.escape(part) for part in expected.split("…"))
        assert re.fullmatch(pattern, text, re.S), f"{commands}\nprints\n{text}\nand not\n{expected}"


def test_all_commands_are_run():
    for name, text in TUTORIALS.items():
        assert len(STEP.findall(text)) == len(re.findall("^```(?!text|$)", text, re.M)) > 2, name


@needs("python")
def test_the_scientist(place):
    check(run("scientist", place))


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_admin(place):
    check(run("admin", place))


@pytest.mark.skipif(SLOW, reason="a program that is not built with sanitizers cannot load this libobjpool")
def test_the_c_programmer(place):
    (place / "objpool.pc").write_text(f"Name: objpool\nDescription: here\nVersion: 0\n"
                                      f"Cflags: -I{ROOT}/plugins/include -I{ROOT}/client/include\nLibs: -L{BUILD} -lobjpool -Wl,-rpath,{BUILD}\n")
    check(run("c", place, PKG_CONFIG_PATH=f"{place}:{os.environ.get('PKG_CONFIG_PATH', '')}"))


@needs("python")
@pytest.mark.skipif("OBJPOOL_LANGUAGES" not in os.environ, reason="make check-languages runs it: npm needs the network")
def test_the_web_developer(place):
    check(run("web", place, OBJPOOL=str(ROOT), npm_config_cache=str(place / "npm")))
