# SPDX-License-Identifier: Apache-2.0
"""Cages: what the configuration asks for holds in the workers, or the pool says why it can't. A class tries to break out."""
import ctypes
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess
import sysconfig

import pytest

from harness import BUILD, is_alive, needs, wait_for

pytestmark = needs("seccomp")

CLASSES = pathlib.Path(__file__).parent / "classes"
LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)
# What Landlock does not hold back, a filter of system calls denies altogether: signals before Linux 6.12, truncation before 6.2.
OWN_SIGNAL = "done" if LANDLOCK >= 6 else "EPERM"
# Where libc makes sockets by socketcall, whose arguments no filter sees, a class without network makes no pairs either.
OWN_PAIR = "EPERM" if sysconfig.get_config_var("MULTIARCH") in ("i386-linux-gnu", "s390x-linux-gnu") else "done"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")
SANITIZED = "address" in BUILD.name or "thread" in BUILD.name
CPUS = sorted(os.sched_getaffinity(0))


def of_truncation(outcome):
    return outcome if LANDLOCK >= 3 else "EPERM"


def section(**keys):
    return {"plugin": "python", "class": "cage:Prisoner", "python_path": json.dumps([str(CLASSES)]), "workers": 1, **keys}


@pytest.fixture
def caged(start):
    """caged(key=value, …): a client of a daemon with the pool `p` that has this cage, and the pool `free`, which has none."""
    def begin(**keys):
        daemon = start({"p": section(**keys), "free": section()})
        client = daemon.client()
        client.daemon = daemon
        return client

    return begin


def why_not(start, **keys):
    """Why the pool can't be had, as its status and the log say."""
    daemon = start({"p": section(**keys)})
    client = daemon.client()
    error = client.error("p.pid")
    reason = client.value("objpool.status", "p")["pools"][0]["slots"][0]["last_failure"]
    assert reason in error
    daemon.wait_log(re.escape(reason))
    return reason


# ---- resources, environment, place ----


def test_a_worker_has_its_place(caged, place):
    (place / "d").mkdir()
    client = caged(directory=place / "d", umask="0077", nice=19, cpus=CPUS[0],
                   env=json.dumps({"COLOUR": "blue", "EMPTY": ""}))
    assert client.value("p.place") == [str(place / "d"), 0o077, 19, CPUS[:1]]
    assert [client.value("p.variable", name) for name in ("COLOUR", "EMPTY", "NONE")] == ["blue", "", None]
    assert client.value("free.place")[1:] != client.value("p.place")[1:]


def test_slots_have_their_own(start):
    cpus = [str(CPUS[0]), str(CPUS[-1])]
    daemon = start({"p": section(workers=2, slot_cpus=json.dumps(cpus), slot_env='[{"GPU": "0"}, {"GPU": "1"}]',
                                 env='{"GPU": "none"}')})
    client = daemon.client()
    for slot in (0, 1):
        assert client.value(f"p:{slot}.variable", "GPU") == str(slot)
        assert client.value(f"p:{slot}.native_variable", "GPU") == str(slot).encode()
        assert client.value(f"p:{slot}.place")[3] == [int(cpus[slot])]


@pytest.mark.parametrize("key, items", [("slot_env", [{"GPU": "0"}, {"GPU": "1"}]), ("slot_cpus", [str(CPUS[0])] * 2)])
def test_no_slot_beyond_those_that_have_their_own(start, key, items):
    daemon = start({"p": section(workers=2, **{key: json.dumps(items)}), "free": section(workers=1)})
    client = daemon.client()
    assert client.error("objpool.scale", "p", 3) == (
        f"BAD_ARGUMENT: pool p can't have 3 workers: its {key} has an item for each of 2 slots, and none for more")
    for size in (1, 2):
        assert client.value("objpool.scale", "p", size) == {"workers": size}
    # A size that was set before ends with a reload that brings such a key.
    assert client.value("objpool.scale", "free", 2) == {"workers": 2}
    daemon.pools["free"][key] = json.dumps(items[:1])
    daemon.write_config()
    assert "scaled" not in client.value("objpool.reload")
    wait_for(lambda: len(daemon.pids(client, "free")) == 1, lambda: "the pool to have one slot")
    assert client.value("free.pid")


def test_limits_of_a_process(caged):
    client = caged(limit_files=77, limit_cpu=3600)
    _, files, cpu, _ = client.value("p.limits")
    assert files == [77, 77] and cpu == [3600, 3605]


@pytest.mark.skipif(SANITIZED, reason="a sanitizer reserves terabytes of addresses")
def test_a_limit_of_memory(caged):
    client = caged(limit_memory="1G")
    assert client.value("p.eats", 1 << 20) == 1 << 20
    assert client.error("p.eats", (2 << 30) - 1) == "FAILED: out of memory in the worker"
    assert client.value("p.limits")[0] == [1 << 30, 1 << 30]


def test_a_limit_of_time(start):
    client = start({"p": {"limit_cpu": 1, "workers": 1}}).client()
    assert "killed by signal 24 (CPU time limit exceeded)" in client.error("p.spin", 1000)


# ---- user and group ----


@AS_ROOT
def test_workers_of_another_user(caged, place):
    user = pwd.getpwnam("nobody")
    place.chmod(0o755)
    client = caged(user="nobody", limit_processes=500)
    groups = os.getgrouplist("nobody", user.pw_gid)
    assert client.value("p.account") == [[user.pw_uid] * 3, [user.pw_gid] * 3, groups, user.pw_dir]
    assert [client.value("p.status", key) for key in ("CapPrm", "CapEff", "NoNewPrivs")] == ["0" * 16, "0" * 16, "1"]
    assert client.value("p.limits")[3] == [500, 500]
    # The daemon still measures and kills it, and large values go both ways.
    slot = client.value("objpool.status", "p")["pools"][0]["slots"][0]
    assert slot["rss"] > 0 and os.stat(f"/proc/{slot['pid']}").st_uid == user.pw_uid
    assert client.value("p.eats", 5) == 5
    assert client.value("objpool.restart", "p") is not None
    assert client.value("p.pid") != slot["pid"]


@AS_ROOT
def test_what_another_user_can_do_to_the_daemon(caged, place):
    client = caged(user="nobody")
    daemon = client.daemon.process.pid
    place.chmod(0o755)
    for method, of_free in (("signals", "done"), ("traces", "done")):
        assert client.value(f"p.{method}", daemon) == "EPERM"
        assert client.value(f"free.{method}", client.value("p.pid")) == of_free
    assert client.value("p.reads", f"/proc/{daemon}/environ") == "EACCES"


@AS_ROOT
def test_a_group_alone(caged):
    client = caged(group="nogroup")
    gid = pwd.getpwnam("nobody").pw_gid
    assert client.value("p.account")[:3] == [[0] * 3, [gid] * 3, [gid]]


@AS_ROOT
def test_a_limit_that_the_kernel_does_not_keep(start):
    reason = "limit_processes = 5: the kernel does not bound the processes of root"
    assert why_not(start, user="root", limit_processes=5) == reason


@AS_ROOT
@pytest.mark.parametrize("keys, groups", [({"group": "root"}, [0]), ({"user": "root"}, os.getgrouplist("root", 0))])
def test_groups_of_the_daemon_stay_behind(caged, keys, groups):
    before = os.getgroups()
    os.setgroups([0, pwd.getpwnam("nobody").pw_gid, 54321])
    try:
        client = caged(**keys)
    finally:
        os.setgroups(before)
    assert client.value("p.account")[:3] == [[0] * 3, [0] * 3, groups]
    assert 54321 in client.value("free.account")[2]


@AS_ROOT
def test_a_worker_of_another_user_ends_with_the_daemon(caged):
    client = caged(user="nobody")
    assert client.value("p.pid") and client.value("free.pid")
    children = client.daemon.children()
    assert len(children) >= 4
    client.daemon.kill()
    wait_for(lambda: not [pid for pid in children if is_alive(pid)], lambda: "the end of all processes")


# ---- files ----


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_read_and_write(caged, place):
    for name in ("open", "shut", "own"):
        (place / name).mkdir()
        (place / name / "file").write_text("text")
    client = caged(read=json.dumps([str(place / "open")]), write=json.dumps([str(place / "own")]))
    for directory, read, write in (("open", "done", "EACCES"), ("shut", "EACCES", "EACCES"), ("own", "done", "done")):
        file = str(place / directory / "file")
        assert client.value("p.reads", file) == read
        for method in ("writes", "truncates", "removes"):
            expected = of_truncation(write) if method == "truncates" else write
            assert client.value(f"p.{method}", file) == expected, (method, directory)
        assert client.value("p.creates", str(place / directory / "new")) == write
    assert client.value("p.opens_truncated", str(place / "open/file")) == of_truncation("EACCES")
    assert (place / "open/file").read_text() == "text"
    assert client.value("p.writes", "/dev/null") == "done" and client.value("p.reads", "/dev/urandom") == "done"
    assert client.value("p.runs", "/usr/bin/true") == "done"
    assert client.value("free.writes", str(place / "open/file")) == "done"


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_write_alone_leaves_reading_free(caged, place):
    (place / "file").write_text("text")
    client = caged(write="[]")
    assert client.value("p.reads", str(place / "file")) == "done"
    assert client.value("p.writes", str(place / "file")) == "EACCES"
    assert client.value("p.creates", str(place / "new")) == "EACCES"


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_workers_are_strangers_to_each_other(start):
    daemon = start({"p": section(workers=2, write="[]"), "free": section(workers=2)})
    client = daemon.client()
    for pool, wrong in (("free", None), ("p", ("EPERM", "EACCES"))):
        sibling, daemons = client.value(f"{pool}:1.pid"), daemon.process.pid
        tried = {
            "ptrace": client.value(f"{pool}:0.traces", sibling),
            "memory": client.value(f"{pool}:0.reads_memory", sibling, client.value(f"{pool}:1.address")),
            "descriptors": client.value(f"{pool}:0.takes_descriptor", sibling),
            "environ": client.value(f"{pool}:0.reads", f"/proc/{sibling}/environ"),
            "maps": client.value(f"{pool}:0.reads", f"/proc/{sibling}/maps"),
            "descriptor 1": client.value(f"{pool}:0.reads", f"/proc/{sibling}/fd/0"),
            "ptrace of the daemon": client.value(f"{pool}:0.traces", daemons),
            "environ of the daemon": client.value(f"{pool}:0.reads", f"/proc/{daemons}/environ"),
        }
        if LANDLOCK >= 6:
            tried["signal"] = client.value(f"{pool}:0.signals", sibling)
            tried["signal to the daemon"] = client.value(f"{pool}:0.signals", daemons)
        for attempt, outcome in tried.items():
            assert outcome == "done" if wrong is None else outcome in wrong, (pool, attempt, outcome)
    assert client.value("p.status", "CapEff") == "0" * 16 and client.value("p.signals_itself") == OWN_SIGNAL


# ---- the network, and system calls ----


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_no_network(caged, place):
    client = caged(network="no")
    daemon = client.daemon
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(place / "datagrams"))
        for pool, wrong in (("free", "done"), ("p", "EPERM")):
            assert client.value(f"{pool}.connects", str(daemon.socket_path)) == wrong
            assert client.value(f"{pool}.sends_on_pair", str(place / "datagrams")) == wrong
            assert client.value(f"{pool}.listens_on", str(place / f"listener-{pool}")) == wrong
            for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
                assert client.value(f"{pool}.makes_socket", int(family), int(socket.SOCK_DGRAM)) == wrong
            assert client.value(f"{pool}.makes_pair", int(socket.SOCK_DGRAM)) == wrong
            assert client.value(f"{pool}.makes_pair", int(socket.SOCK_STREAM)) == (OWN_PAIR if pool == "p" else "done")
    assert client.value("p.makes_ring") == "EPERM"
    assert (OWN_PAIR == "EPERM" or client.value("p.waits") == "waited") and client.value("p.runs", "/usr/bin/true") == "done"


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
@pytest.mark.parametrize("syscalls", ["default", "strict"])
def test_system_calls(start, syscalls):
    daemon = start({"p": section(workers=2, syscalls=syscalls), "free": section(workers=2)})
    client = daemon.client()
    for pool, wrong in (("free", "done"), ("p", "EPERM")):
        sibling = client.value(f"{pool}:1.pid")
        for attempt in ("traces", "limits_another", "pins_another", "slows_another", "takes_descriptor"):
            assert client.value(f"{pool}:0.{attempt}", sibling) == wrong, attempt
        assert client.value(f"{pool}:0.reads_memory", sibling, client.value(f"{pool}:1.address")) == wrong
        if os.geteuid() == 0:
            assert client.value(f"{pool}:0.has_namespace") == wrong
    strictly = "EPERM" if syscalls == "strict" else "done"
    assert client.value("p.makes_ring") == "EPERM"
    assert client.value("p.runs", "/usr/bin/true") == strictly
    assert client.value("p.makes_socket", int(socket.AF_UNIX), int(socket.SOCK_STREAM)) == strictly
    # A computation has what it needs.
    assert client.value("p.counts", 10) == 45 and client.value("p.forks") == 7
    assert OWN_PAIR == "EPERM" or client.value("p.waits") == "waited"
    assert client.value("p.signals_itself") == OWN_SIGNAL and client.value("p.place")
    assert client.value("p.eats", 10 << 20) == 10 << 20


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_all_of_a_cage_at_once(caged, place):
    client = caged(network="no", syscalls="strict", read=json.dumps([str(CLASSES)]), write=json.dumps([str(place)]), workers=2,
                   limit_files=100, umask="077", directory=place)
    assert client.value("p.counts", 10) == 45 and client.value("p.creates", "new") == "done"
    assert client.value("p.reads", str(CLASSES / "sample.py")) == "done"
    assert client.value("p.connects", str(client.daemon.socket_path)) == "EPERM"
    assert client.value("p.reads", "/etc/passwd") == "EACCES"
    assert client.value("p:0.reads", f"/proc/{client.value('p:1.pid')}/stat") == "EACCES"
    # Large values and a direct channel go by descriptors.
    assert client.value("p.length", bytes(1 << 20)) == 1 << 20


@pytest.mark.skipif(LANDLOCK < 1, reason="no Landlock here")
def test_instances_that_are_threads(start):
    daemon = start({"p": {"isolation": "thread", "network": "no", "syscalls": "default", "workers": 3}})
    client = daemon.client()
    assert client.value("p:all.echo", 5) == [5, 5, 5]
    status = pathlib.Path(f"/proc/{daemon.pids(client)[0]}/status").read_text()
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status


# ---- what can't be had ----


@pytest.mark.parametrize("keys, reason", [
    ({"directory": "/nowhere"}, "directory = /nowhere: No such file or directory"),
    ({"cpus": "0-1000"}, "cpus = 0-1000: not all of these CPUs can be used here"),
    ({"slot_cpus": '["1023"]'}, "slot_cpus = 1023: not all of these CPUs can be used here"),
    ({"user": "no-such-user"}, "user = no-such-user: there is no such user of this machine"),
    ({"group": "no-such-group"}, "group = no-such-group: there is no such group of this machine"),
    ({"read": '["/nowhere"]'}, "read: /nowhere: No such file or directory"),
    ({"write": '["/nowhere"]'}, "write: /nowhere: No such file or directory"),
])
def test_what_can_not_be_had(start, keys, reason):
    assert why_not(start, **keys) == reason


def check_as(place, as_user, **keys):
    """What objpoold --check says of such a pool, as another user."""
    config = place / "objpoold.conf"
    place.chmod(0o755)
    lines = [f"{key} = {value}" for key, value in section(**keys).items()]
    config.write_text(f"[daemon]\nplugin_dir = {BUILD}/plugins\n[pool p]\n" + "\n".join(lines) + "\n")
    return subprocess.run([BUILD / "objpoold", "--config", config, "--check", *(["--user", as_user] if as_user else [])],
                          capture_output=True, text=True)


def test_the_check_tries_the_cage(place):
    done = check_as(place, None, directory="/nowhere")
    assert done.returncode != 0 and "pool p: directory = /nowhere: No such file or directory" in done.stderr


@AS_ROOT
def test_the_check_becomes_the_user_of_the_cage(place):
    done = check_as(place, None, user="nobody")
    assert done.returncode == 0, done.stderr
    done = check_as(place, None, user="nobody", directory=place / "shut")
    assert done.returncode == 1 and f"directory = {place}/shut: No such file" in done.stderr
    assert check_as(place, None, user="no-such-user").returncode == 1


@pytest.mark.parametrize("keys, reason", [
    ({"limit_processes": 5}, "limit_processes counts the processes of a user: it needs user"),
    ({"env": '["A"]'}, "env must be an object, from names of variables to strings"),
    ({"env": '{"A=B": "1"}'}, "env must be an object, from names of variables to strings"),
    ({"env": '{"A": 1}'}, "env must be an object, from names of variables to strings"),
    ({"slot_env": "[{}, {}]"}, "slot_env must be an array of 1 item, one per slot"),
    ({"slot_env": "[1]"}, "slot_env must be an array of objects, from names of variables to strings"),
    ({"slot_cpus": '["x"]'}, 'slot_cpus must be an array of strings, as in ["0-3", "4-7"]'),
    ({"slot_env": "[{}]", "isolation": "thread"}, "slot_env is of a process: it needs isolation = process"),
    ({"read": '"/tmp"'}, "read must be an array of paths"),
    ({"write": '[""]'}, "write must be an array of paths"),
    ({"cpus": "3-1"}, "cpus = 3-1: must be numbers of CPUs, as in 0-3,8"),
    ({"cpus": "1024"}, "cpus = 1024: must be numbers of CPUs, as in 0-3,8"),
    ({"cpus": "0,"}, "cpus = 0,: must be numbers of CPUs, as in 0-3,8"),
    ({"syscalls": "all"}, "syscalls = all: must be none, default or strict"),
    ({"nice": "20"}, "nice = 20: must be a number from -20 to 19"),
    ({"umask": "9"}, "umask = 9: must be an octal mode, as in 0660"),
])
def test_mistakes(place, keys, reason):
    done = check_as(place, None, **keys)
    assert done.returncode == 1 and reason in done.stderr, done.stderr


def test_cages_are_for_who_may_choose_code(start):
    daemon = start({"free": section()}, users="[user *]\ncreate = *\ncall = *.*\n[user me]\nuid = 0\ncreate = *\n")
    client = daemon.client()
    error = client.error("objpool.create", {"pool": "q", "plugin": "probe", "class": "Probe", "umask": "0"})
    assert 'may not "code" q' in error
    assert client.value("objpool.create", {"pool": "q", "plugin": "probe", "class": "Probe"}) is not None


def test_a_reload_puts_workers_into_their_cage(start):
    daemon = start({"p": section()})
    client = daemon.client()
    before = client.value("p.place")[1]
    daemon.pools["p"]["umask"] = "0057"
    daemon.write_config()
    client.value("objpool.reload")
    assert client.value("p.place")[1] == 0o057 != before


# ---- memory of a pool. Here the cgroup is a directory with what the kernel would have in it. ----


@pytest.fixture
def tree(place, monkeypatch):
    base = place / "cgroup"
    base.mkdir()
    (base / "cgroup.controllers").write_text("cpu io memory pids\n")
    (base / "cgroup.procs").write_text("")
    monkeypatch.setenv("OBJPOOL_CGROUP", str(base))
    return base


def test_a_pool_has_a_cgroup_of_its_own(start, tree):
    daemon = start({"p": section(memory_max="256M"), "free": section()})
    client = daemon.client()
    assert client.value("p.pid") and client.value("free.pid")
    (pool,) = tree.glob("p.*")
    assert (tree / "cgroup.subtree_control").read_text() == (pool / "cgroup.subtree_control").read_text() == "+memory"
    assert (pool / "memory.max").read_text() == str(256 << 20)
    # Who writes 0 enters.
    assert sorted((entry.name, (entry / "cgroup.procs").read_text()) for entry in pool.iterdir() if entry.is_dir()) == [
        ("0.1", "0"), ("template", "0")]
    assert not list(tree.glob("free*"))


def test_the_processes_of_the_daemon_make_room(start, tree):
    (tree / "cgroup.procs").write_text("12345\n")
    client = start({"p": section(memory_max="256M")}).client()
    assert client.value("p.pid")
    assert (tree / "daemon/cgroup.procs").read_text() == "12345"


@pytest.mark.parametrize("kills, verdict", [
    (1, "killed by signal 9 (Killed): killed by the kernel's out-of-memory killer: memory_max = 256M"),
    (0, "killed by signal 9 (Killed); "),
])
def test_the_kernels_verdict(start, tree, kills, verdict):
    daemon = start({"p": section(memory_max="256M")})
    client = daemon.client()
    pid = client.value("p.pid")
    (leaf,) = tree.glob("p.*/0.1")
    (leaf / "memory.events").write_text(f"low 0\nhigh 0\nmax 12\noom 1\noom_kill {kills}\noom_group_kill 0\n")
    call = client.start("p.spins")
    wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
    os.kill(pid, signal.SIGKILL)
    error, _ = client.wait(call)
    assert error.startswith("WORKER_LOST") and verdict in error, error
    assert client.value("p.pid") != pid


def test_the_kernels_verdict_of_threads(start, tree):
    """They are in their template's cgroup. A kill that was before this process is not its end."""
    daemon = start({"p": {"isolation": "thread", "workers": 2, "memory_max": "256M"}})
    client = daemon.client()
    for kills, verdict in ((1, True), (1, False), (2, True)):
        pid = client.value("p:0.pid")
        (leaf,) = tree.glob("p.*/template")
        (leaf / "memory.events").write_text(f"oom 1\noom_kill {kills}\n")
        call = client.start("p:0.sleep_hard", 1000)
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        os.kill(pid, signal.SIGKILL)
        error, _ = client.wait(call)
        assert error.startswith("WORKER_LOST") and ("out-of-memory killer: memory_max = 256M" in error) == verdict, (kills, error)


def test_no_memory_controller(start, tree, place):
    (tree / "cgroup.controllers").write_text("cpu io memory_not pids\n")
    reason = why_not(start, memory_max="256M")
    assert reason == f"memory_max needs the memory controller of cgroup v2, which {tree}/cgroup.controllers does not name"
    done = check_as(place, None, memory_max="256M")
    assert done.returncode == 1 and reason in done.stderr


def test_a_cgroup_that_can_not_be_made(start, tree):
    (tree / "cgroup.subtree_control").mkdir()
    assert why_not(start, memory_max="256M") == (
        f"memory_max: cgroup {tree} can't be used: Is a directory: it must be delegated to the daemon (Delegate=)")
