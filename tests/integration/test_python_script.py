# SPDX-License-Identifier: Apache-2.0
"""The plugin python as the package for pip has it: a script, which is run by the Python that the pool's classes are for."""
import os
import signal
import sys

import pytest
from harness import BUILD, ROOT, needs, wait_for

sys.path.insert(0, str(ROOT / "scripts"))
import pythons  # noqa: E402

pytestmark = needs("python")

MINE = """
import __main__, os, signal, sys
class Mine:
    def told(self):
        return {"version": "%d.%d" % sys.version_info[:2], "main": "CHANNEL" in vars(__main__),
                "argv": sys.argv, "path": sys.path[0], "isolated": sys.flags.isolated, "utf8": sys.flags.utf8_mode,
                "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_DFL, "options": sorted(sys._xoptions)}
    def pid(self):
        return os.getpid()
    def executable(self):
        return sys.executable
"""


def interpreter(version):
    """One that extension modules are built for."""
    modules = {path.name.split(".")[1].split("-")[1] for path in (BUILD / "python").glob("objpool_forked.*")}
    found = next(iter(pythons.pyenv(version)), None)
    if found is None and "3.%d" % sys.version_info[1] == version:
        found = "/usr/bin/python3"
    if found is None or version.replace(".", "") not in modules:
        pytest.skip(f"no Python {version}, or no modules for it")
    return found


@pytest.fixture
def plugins(place):
    """A folder of plugins whose `python` is the script; beside it the extension modules."""
    (place / "python").symlink_to((BUILD / "python").resolve())
    (place / "plugins").mkdir()
    (place / "plugins" / "python.py").symlink_to(ROOT / "plugins" / "python" / "template.py")
    (place / "mine.py").write_text(MINE)
    return place / "plugins"


@pytest.fixture
def pool(place):
    return {"plugin": "python", "class": "mine:Mine", "python_path": [str(place)]}


@pytest.mark.parametrize("version", pythons.VERSIONS)
def test_classes_run_in_the_python_that_is_named(start, place, plugins, pool, monkeypatch, version):
    monkeypatch.setenv("OBJPOOL_PYTHON", interpreter(version))
    daemon = start(pools={}, daemon={"plugin_dir": plugins})
    with daemon.client() as client:
        client.value("objpool.create", {"pool": "p", **pool, "workers": 2})
        told = client.value("p.told")
        assert told == {"version": version, "main": False, "argv": [""], "path": str(place), "isolated": 1, "utf8": 1,
                        "interrupt": True, "options": []}
        first, second = client.value("p:all.pid")
        assert {first, second} <= set(daemon.children())
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: first not in client.value("p:all.pid") and len(client.value("p:all.pid")) == 2, lambda: "a new worker")


def test_a_virtual_environment_has_its_own_python(start, place, plugins, pool):
    (place / "venv" / "bin").mkdir(parents=True)
    (place / "venv" / "pyvenv.cfg").write_text(f"home = {os.path.dirname(os.path.realpath(sys.executable))}\n")
    (place / "venv" / "bin" / "python3").symlink_to(os.path.realpath(sys.executable))
    (place / "venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages").mkdir(parents=True)
    with start(pools={}, daemon={"plugin_dir": plugins}).client() as client:
        client.value("objpool.create", {"pool": "p", **pool, "virtualenv": str(place / "venv"), "python_options": ["-X", "dev"]})
        assert client.value("p.executable") == f"{place}/venv/bin/python3"
        assert client.value("p.told")["options"] == ["dev"]


def test_the_hash_seed(start, plugins, pool, monkeypatch, place):
    monkeypatch.setenv("OBJPOOL_PYTHON", "/usr/bin/python3")
    (place / "mine.py").write_text("class Mine:\n def told(self): return hash('objpool')\n")
    seeded = {"plugin": "python", "class": "mine:Mine", "python_path": [str(place)], "python_options": ["PYTHONHASHSEED=5"]}
    with start(pools={}, daemon={"plugin_dir": plugins}).client() as client:
        client.value("objpool.create", {"pool": "p", **seeded})
        client.value("objpool.create", {"pool": "q", **seeded})
        assert client.value("p.told") == client.value("q.told")


@pytest.mark.parametrize("python, keys, words", [
    (None, {}, "plugins/python.py needs a Python: give the pool a virtualenv, or set OBJPOOL_PYTHON"),
    ("/nowhere/python3", {}, "/nowhere/python3 can't run "),
    ("/usr/bin/python3", {"python_options": ["x.py"]}, 'python_options: "x.py" is no option of Python'),
    ("/usr/bin/python3", {"nice": 5}, "the plugin python of a package for pip can have no cage"),
    ("/usr/bin/python3", {"plugin": "other"}, "/usr/bin/python3, can't run classes: "),
])
def test_what_can_not_run_is_told(start, plugins, pool, place, monkeypatch, python, keys, words):
    if python is None:
        monkeypatch.delenv("OBJPOOL_PYTHON", raising=False)
    else:
        monkeypatch.setenv("OBJPOOL_PYTHON", python)
    (place / "lonely" / "plugins").mkdir(parents=True)
    (place / "lonely" / "plugins" / "python.py").write_text((ROOT / "plugins" / "python" / "template.py").read_text())
    folder = place / "lonely" / "plugins" if keys.get("plugin") else plugins
    with start(pools={}, daemon={"plugin_dir": folder}).client() as client:
        assert words in str(client.error("objpool.create", {"pool": "p", **pool, **keys, "plugin": "python"}))
