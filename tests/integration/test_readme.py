# SPDX-License-Identifier: Apache-2.0
"""What the README says, done."""
import os
import re
import shutil
import subprocess

import pytest
from harness import BUILD, ROOT

README = (ROOT / "README.md").read_text()


def block(language, words):
    """The code block of that language that contains the words."""
    found = [b for b in re.findall(rf"```{language}\n(.*?)```", README, re.S) if words in b]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def dice(start):
    daemon = start(pools={"dice": {"plugin": "sampler", "class": "Sampler", "workers": 4}})
    return daemon, {**os.environ, "OBJPOOL_ADDRESS": daemon.address}


def run(*command, **keywords):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=60, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo():
    out = run("sh", ROOT / "scripts/demo.sh", BUILD)
    assert "nieghborhood" in out and out.rstrip().endswith("docs/PLUGINS.md.")


def test_python(dice, place):
    _, environment = dice
    (place / "first.py").write_text(block("python", "msgpack"))
    lines = run("/usr/bin/python3", place / "first.py", env=environment).splitlines()
    assert lines[0] == "[None, None, None, None]" and len(lines) == 2


def test_c(dice, place):
    _, environment = dice
    (place / "first.c").write_text(block("c", "objpool_callf"))
    sanitize = os.environ.get("SANITIZE") or ("address,undefined" if "address" in BUILD.name else "")
    run("cc", *([f"-fsanitize={sanitize}"] if sanitize else []), f"-I{ROOT}/client/include", place / "first.c", BUILD / "libobjpool.a",
        "-lmsgpackc", "-o", place / "first")
    assert run(place / "first", env=environment) == "2\n"


def test_neovim(dice, place):
    if not shutil.which("nvim"):
        pytest.skip("nvim is not installed")
    daemon, environment = dice
    script = block("vim", "sockconnect").replace("/tmp/objpool.sock", str(daemon.socket_path))
    (place / "first.vim").write_text(script + "\nquit\n")
    done = subprocess.run(["nvim", "--headless", "-u", "NONE", "-S", place / "first.vim"], env=environment, text=True,
                          capture_output=True, timeout=60)
    assert "[0, 0, 0, 0]" in done.stderr


def test_every_option_of_the_configuration_is_in_its_manual():
    keys = re.findall(r'^\t\{"([a-z_]+)", T_', (ROOT / "daemon/supervisor/config.c").read_text(), re.M)
    manual = (ROOT / "packaging/objpoold.conf.5").read_text()
    assert len(keys) > 20
    assert [key for key in keys if not re.search(rf"\b{key}\b", manual)] == []
