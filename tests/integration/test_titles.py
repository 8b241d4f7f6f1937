# SPDX-License-Identifier: Apache-2.0
"""What ps, top and pgrep show of templates and workers."""
import os
import pathlib
import sys

import pytest
from harness import BUILD, ROOT

LONG = "a-pool-with-a-name-that-is-long"


def line(pid):
    """As ps shows it."""
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()


def name(pid, thread=None):
    return pathlib.Path(f"/proc/{pid}/task/{thread or pid}/comm").read_text().rstrip("\n")


def templates(daemon, workers):
    return [pid for pid in daemon.children() if pid not in workers]


@pytest.mark.parametrize("pool, short", [("sim", "sim"), (LONG, LONG)])
def test_processes_name_their_pool_and_slot(start, pool, short):
    daemon = start({pool: {}})
    with daemon.client() as client:
        pids = daemon.pids(client, pool)
        template, = templates(daemon, pids)
        assert [line(pid) for pid in pids] == [f"objpool: {pool} slot {i} gen 1" for i in range(2)]
        assert [name(pid) for pid in pids] == [f"{short[:13]}:{i}" for i in range(2)]
        assert (line(template), name(template)) == (f"objpool: template of {pool}", f"{short[:6]}:template")
        client.value("objpool.restart", pool, 1)
        assert line(daemon.pids(client, pool)[1]) == f"objpool: {pool} slot 1 gen 2"


def test_the_longest_title_is_shown_whole(start):
    with start({LONG * 2: {"workers": 1}}).client() as client:
        pid = client.value(LONG * 2 + ".pid")
        assert line(pid) == f"objpool: {LONG * 2} slot 0 gen 1"
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"PATH=" in file.read()  # the environment lies behind the command line


def test_threads_have_names(start):
    daemon = start({"sim": {"isolation": "thread"}})
    with daemon.client() as client:
        pid = client.value("sim.pid")
        assert line(pid) == "objpool: threads of sim"
        assert {"sim:0", "sim:1"} <= {name(pid, thread) for thread in os.listdir(f"/proc/{pid}/task")}


ARGUED = """
import sys
class Argued:
    def told(self):
        return [sys.argv, sys.executable, sys.prefix]
    def pid(self):
        import os
        return os.getpid()
"""


def test_the_embedded_python_keeps_what_it_knows(start, place):
    (place / "argued.py").write_text(ARGUED)
    daemon = start({"py": {"plugin": "python", "class": "argued:Argued", "workers": 1, "python_path": f'["{place}"]'}})
    with daemon.client() as client:
        assert line(client.value("py.pid")) == "objpool: py slot 0 gen 1"
        argv, executable, _ = client.value("py.told")
        assert argv == [""] and os.access(executable, os.X_OK)


def test_a_python_that_runs_the_script_has_a_title(start, place, monkeypatch):
    if not list((BUILD / "python").glob("objpool_forked.cpython-%d%d-*" % sys.version_info[:2])):
        pytest.skip("no modules for this Python")
    (place / "python").symlink_to((BUILD / "python").resolve())
    (place / "plugins").mkdir()
    (place / "plugins" / "python.py").symlink_to(ROOT / "plugins" / "python" / "template.py")
    (place / "argued.py").write_text(ARGUED)
    monkeypatch.setenv("OBJPOOL_PYTHON", sys.executable)
    daemon = start({"py": {"plugin": "python", "class": "argued:Argued", "workers": 1, "python_path": f'["{place}"]'}},
                   {"plugin_dir": place / "plugins"})
    with daemon.client() as client:
        pid = client.value("py.pid")
        template, = templates(daemon, [pid])
        assert (line(pid), name(pid)) == ("objpool: py slot 0 gen 1", "py:0")
        assert (line(template), name(template)) == ("objpool: template of py", "py:template")
        assert client.value("py.told") == [[""], sys.executable, sys.prefix]
