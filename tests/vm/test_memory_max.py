# SPDX-License-Identifier: Apache-2.0
"""memory_max by the kernel's own cgroups: what its out-of-memory killer does, and what the daemon says of that."""
import json
import os
import pathlib
import signal

import pytest

from harness import wait_for

CLASSES = pathlib.Path(__file__).resolve().parents[1] / "integration/classes"
ROOT = pathlib.Path("/sys/fs/cgroup")
MIB = 1 << 20
VERDICT = "killed by signal 9 (Killed): killed by the kernel's out-of-memory killer: memory_max = 64M"


def section(**keys):
    return {"plugin": "python", "class": "cage:Prisoner", "python_path": json.dumps([str(CLASSES)]), "workers": 1, **keys}


@pytest.fixture
def group():
    """A cgroup as a service manager delegates one, with 256 MiB."""
    group = ROOT / "objpool-test"
    (ROOT / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    (group / "memory.max").write_text(str(256 * MIB))
    yield group
    for directory in [*sorted(group.rglob("*/"), reverse=True), group]:
        if directory.is_dir():
            directory.rmdir()


@pytest.fixture
def caged(group, start):
    def begin(**pools):
        daemon = start(pools, preexec=lambda: (group / "cgroup.procs").write_text("0"))
        client = daemon.client()
        client.daemon = daemon
        return client

    return begin


def group_of(pid):
    return ROOT / pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::/")


def pools_of(group):
    """The groups of pools, and what is below them."""
    found = [os.path.relpath(directory, group) for directory, _, _ in os.walk(group)]  # one may go meanwhile
    return sorted(name for name in found if name.startswith("p."))


def test_each_process_is_in_its_group(caged, group):
    client = caged(p=section(memory_max="64M", workers=2), free=section())
    pool = group_of(client.value("p:0.pid")).parent
    assert pool.parent == group and pool.name.startswith("p.")
    assert (pool / "memory.max").read_text().strip() == str(64 * MIB)
    assert [group_of(client.value(f"p:{slot}.pid")).name for slot in (0, 1)] == ["0.1", "1.1"]
    assert (pool / "template/cgroup.procs").read_text()
    for pid in (client.daemon.process.pid, client.value("free.pid")):
        assert group_of(pid) == group / "daemon"


def test_the_killer_is_named(caged, group):
    client = caged(p=section(memory_max="64M", workers=2))
    others = client.value("p:1.pid")
    error = client.error("p:0.eats", 200 * MIB)
    assert error.startswith("WORKER_LOST") and VERDICT in error, error
    client.daemon.wait_log(f"pool p slot 0: .*{VERDICT[9:]}".replace("(", r"\(").replace(")", r"\)"))
    # The pool goes on, and so does its other worker.
    assert client.value("p:0.eats", MIB) == MIB and client.value("p:1.pid") == others
    assert group_of(client.value("p:0.pid")).name == "0.2"
    assert not (group_of(others).parent / "0.1").exists()


def test_memory_of_the_pool_together(caged):
    """Each of two workers has less than the bound, both have more."""
    client = caged(p=section(memory_max="64M", workers=2))
    assert client.value("p:0.keeps", 40 * MIB) is None
    client.call("p:1.keeps", 40 * MIB)

    def failures():
        return [slot["last_failure"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"] if slot["last_failure"]]

    wait_for(failures, lambda: "the end of a worker")
    assert all(VERDICT in failure for failure in failures()), failures()


def test_another_signal_is_not_the_killers(caged):
    client = caged(p=section(memory_max="64M"))
    pid = client.value("p.pid")
    call = client.start("p.spins")
    wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
    os.kill(pid, signal.SIGKILL)
    error, _ = client.wait(call)
    assert error.startswith("WORKER_LOST") and "(Killed)" in error and "out-of-memory" not in error, error


def test_a_pool_without_memory_max_is_not_named(caged, group):
    """The killer comes for the whole service: no file tells of that worker."""
    client = caged(free=section(), p=section(memory_max="64M"))
    error = client.error("free.eats", 400 * MIB)
    assert error.startswith("WORKER_LOST") and "(Killed)" in error and "memory_max" not in error, error
    assert client.value("p.pid") and client.value("free.pid")


def test_a_constructor_that_needs_too_much(caged):
    client = caged(p=section(memory_max="64M", **{"class": "cage:Glutton", "args": f"[{200 * MIB}]"}))
    error = client.error("p.pid")
    assert error.startswith("UNAVAILABLE") and "the kernel's out-of-memory killer: memory_max = 64M" in error, error


def test_a_module_that_needs_too_much(caged):
    """The template loads it."""
    client = caged(p=section(memory_max="64M", **{"class": "heavy:Heavy"}))
    error = client.error("p.pid")
    assert "the template process died: killed by the kernel's out-of-memory killer: memory_max = 64M" in error, error


def test_instances_that_are_threads(caged):
    client = caged(p={"isolation": "thread", "workers": 2, "memory_max": "64M"})
    assert client.value("p:all.echo", 1) == [1, 1]
    error = client.error("p:0.allocate", 200 * MIB)
    assert error.startswith("WORKER_LOST") and VERDICT in error, error
    assert client.value("p:all.echo", 1) == [1, 1]


def test_nothing_is_left(caged, group):
    client = caged(p=section(memory_max="64M", workers=2))
    assert client.value("p:all.pid") and client.value("objpool.restart", "p")
    wait_for(lambda: pools_of(group) == ["p.1", "p.1/0.2", "p.1/1.2", "p.1/template"], lambda: pools_of(group))
    client.daemon.pools["p"]["memory_max"] = "96M"
    client.daemon.write_config()
    client.value("objpool.reload")
    pool = group_of(client.value("p:0.pid")).parent
    assert client.value("p:1.pid") and (pool / "memory.max").read_text().strip() == str(96 * MIB)
    wait_for(lambda: len(pools_of(group)) == 4, lambda: f"the groups of one template: {pools_of(group)}")
    assert pools_of(group)[0] == pool.name != "p.1"
    client.daemon.stop()
    assert pools_of(group) == []


def test_a_group_that_is_not_delegated(caged, group):
    """The kernel gives no controllers below a group that has none itself."""
    (ROOT / "cgroup.subtree_control").write_text("-memory")
    client = caged(p=section(memory_max="64M"), free=section())
    error = client.error("p.pid")
    assert "memory_max needs the memory controller of cgroup v2" in error and f"{group}/cgroup.controllers" in error
    assert client.value("free.pid")
