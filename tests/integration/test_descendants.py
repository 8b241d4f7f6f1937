# SPDX-License-Identifier: Apache-2.0
"""What a worker has forked ends with it, however it ends, and with the daemon; but for what has left its process group on purpose."""
import json
import os
import pathlib
import signal

import pytest

from harness import DEADLINE, is_alive, wait_for
from test_python import CLASSES

FAMILY = {"plugin": "python", "class": "family:Family", "python_path": json.dumps([str(CLASSES)]), "workers": 1, "stop_timeout": 5}


def processes():
    """{pid: (name, parent)} of all that live."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                head, fields = pathlib.Path(entry.path, "stat").read_text(errors="replace").rsplit(")", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields.split()[0] != "Z":
                found[int(entry.name)] = head.split("(", 1)[1], int(fields.split()[1])
    return found


def child_of(pid):
    return next((child for child, (_, parent) in processes().items() if parent == pid), None)


def is_socket(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
    except FileNotFoundError: # the process has closed it since the folder was read
        return False


def has_channel(pid):
    return any(is_socket(pid, fd) for fd in os.listdir(f"/proc/{pid}/fd"))


def gone(*pids):
    for pid in pids:
        wait_for(lambda pid=pid: not is_alive(pid), lambda pid=pid: f"process {pid} to end")


@pytest.fixture
def family(start):
    """A daemon whose worker has a child and a grandchild, a program, two pools, and a child that has left with its own."""
    daemon = start({"p": FAMILY})
    client = daemon.client()
    child = client.value("p.fork")
    daemon.family = [child, wait_for(lambda: child_of(child), lambda: "a grandchild"), client.value("p.run"), *client.value("p.pool")]
    left = client.value("p.fork", True)
    daemon.left = [left, wait_for(lambda: child_of(left), lambda: "its child")]
    daemon.worker, = daemon.pids(client)
    yield daemon
    client.close()
    for pid in daemon.left:
        os.kill(pid, signal.SIGKILL)
    gone(*daemon.left)


def check(daemon):
    gone(daemon.worker, *daemon.family)
    assert all(is_alive(pid) for pid in daemon.left)


def test_children_have_no_channel(family):
    assert has_channel(family.worker) and not any(has_channel(pid) for pid in family.family[:3] + family.left)


@pytest.mark.parametrize("end", ["p.leave", "objpool.restart", "objpool.drop", "kill"])
def test_the_worker_ends(family, end):
    with family.client() as client:
        if end == "kill":
            os.kill(family.worker, signal.SIGKILL)
        else:
            client.call(end, *["p"] * end.startswith("objpool."))
        check(family)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_daemon_ends(family, number):
    family.process.send_signal(number)
    family.process.wait(DEADLINE)
    check(family)


def keeper_of(daemon):
    return next((pid for pid, (name, parent) in processes().items() if parent == daemon.process.pid and name == "objpool-keeper"), None)


def test_a_keeper_that_is_killed_comes_back(family):
    first = keeper_of(family)
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: keeper_of(family) not in (None, first) and keeper_of(family), lambda: "another keeper")
    family.kill()
    check(family)
    gone(second)


def test_threads_lead_a_group(start):
    with start({"p": {"isolation": "thread"}}).client() as client:
        pid = client.value("p.pid")
        assert os.getpgid(pid) == os.getsid(pid) == pid


def test_a_template_is_replaced_though_what_it_has_forked_holds_its_channel(start):
    daemon = start({"p": {**FAMILY, "class": "leaver:Leaver", "preload": json.dumps(["leaver"])}})
    with daemon.client() as client:
        first = client.value("p.left")
        template = next(pid for pid, (name, parent) in processes().items() if parent == daemon.process.pid and name == "p:template")
        os.kill(template, signal.SIGKILL)
        daemon.wait_log("template process died")
        client.value("objpool.restart", "p")
        second = client.value("p.left")
        assert second != first and is_alive(first)
    for pid in (first, second):
        os.kill(pid, signal.SIGKILL)
