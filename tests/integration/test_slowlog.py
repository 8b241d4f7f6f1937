# SPDX-License-Identifier: Apache-2.0
"""Slow methods in the log, and the backtraces of their workers, made by objpool-backtrace."""
import contextlib
import ctypes
import os
import pathlib
import platform
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest
from harness import BUILD, DEADLINE, is_alive, needs, wait_for

pytestmark = needs("backtrace")
BACKTRACE = BUILD / "objpool-backtrace"
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
SLOW = r"warning pool p slot \d: slow: "
HEAD = r"warning pool p slot \d: thread \d+ \(p:\d\)"


def why_no_ptrace():
    """Is this environment one where a process may trace another? Tries it on a child; None, or the reason."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        LIBC.ptrace.argtypes = [ctypes.c_long] * 4
        if LIBC.ptrace(PTRACE_SEIZE, child.pid, 0, 0) < 0:
            return os.strerror(ctypes.get_errno())
        return None
    finally:
        child.kill()
        child.wait()


@pytest.fixture(scope="session")
def ptrace():
    reason = why_no_ptrace()
    if reason:
        pytest.skip(f"no process may trace another here: {reason}")


@contextlib.contextmanager
def process(*command):
    """A process that is ours to look into; it has printed a line when this returns."""
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        yield child
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def spinning():
    return process(sys.executable, "-c", "print(flush=True)\nwhile True: pass")


def look_at(pid):
    return subprocess.run([BACKTRACE, str(pid)], text=True, capture_output=True, timeout=DEADLINE)


def slow_pool(seconds="0.1", **keys):
    return {"p": {"workers": 1, "slow_log": seconds, **keys}}


def slow_lines(daemon):
    return re.findall(SLOW + ".*", daemon.log())


# ---- the lines ----


def test_a_slow_method_gets_two_lines_and_a_fast_one_none(start):
    daemon = start(pools=slow_pool("0.3"))
    with daemon.client() as c:
        for i in range(100):
            assert c.value("p.echo", i) == i
        c.value("p.spin", 0.01)
        c.value("p.spin", 1.0)
        daemon.wait_log(SLOW + r"spin took \S+ s in all")
        pid = daemon.pids(c)[0]
    lines = slow_lines(daemon)
    assert len(lines) == 2, lines
    place = rf"\(pid {pid}, generation 1, session \d+\)"
    running = re.search(rf"spin has been running for (\d\.\d+) s {place}$", lines[0])
    assert 0.3 <= float(running.group(1)) < 1, lines[0]
    assert re.search(rf"spin took 1\.\d+ s in all {place}$", lines[1]), lines[1]


def test_without_the_key_there_are_none(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        c.value("p.spin", 1.0)
        assert slow_lines(daemon) == []


def test_a_map_says_which_items(start):
    daemon = start(pools=slow_pool())
    with daemon.client() as c:
        c.value("p.echo", 1)
        error, _ = c.full("p:map", "sleep_hard", [[0, 0, 0.01, 0.7]], chunk=4)
        assert error is None
        daemon.wait_log(SLOW + r"sleep_hard of items 0 to 3 has been running for \S+ s, at item 3 \(")
        daemon.wait_log(SLOW + r"sleep_hard of items 0 to 3 took \S+ s in all \(")


def test_a_slow_method_that_is_killed(start):
    daemon = start(pools=slow_pool())
    with daemon.client() as c:
        c.maps()
        call = c.start("p.sleep_hard", 60)
        pid = int(daemon.wait_log(SLOW + r"sleep_hard has been running for .*\(pid (\d+),").group(1))
        os.kill(pid, signal.SIGKILL)
        error, _ = c.wait(call)
        assert error["code"] == "WORKER_LOST"
        daemon.wait_log(SLOW + rf"sleep_hard took \S+ s in all and has ended with its worker: killed by signal 9 .*\(pid {pid},")
        assert c.value("p.echo", 2) == 2
    assert len(slow_lines(daemon)) == 2


def test_reload_changes_it_for_a_running_pool(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        pid = daemon.pids(c)
        c.value("p.spin", 0.4)
        daemon.pools = slow_pool()
        daemon.write_config()
        c.value("objpool.reload")
        c.value("p.spin", 0.5)
        daemon.wait_log(SLOW + r"spin took \S+ s in all")
        daemon.pools = {"p": {"workers": 1}}
        daemon.write_config()
        c.value("objpool.reload")
        c.value("p.spin", 0.6)
        assert daemon.pids(c) == pid
    assert len(slow_lines(daemon)) == 2


def test_the_key_in_the_configuration(place):
    def check(value):
        (place / "x.conf").write_text(f"[pool p]\nplugin = probe\nclass = Probe\nslow_log = {value}\n")
        return subprocess.run([BUILD / "objpoold", "--config", place / "x.conf", "--print-config"], text=True, capture_output=True,
                              timeout=DEADLINE)
    assert "\nslow_log = 0.25\n" in check("0.25").stdout
    assert "\nslow_log = never\n" in check("never").stdout
    for bad in ("0", "-1", "soon"):
        done = check(bad)
        assert done.returncode == 1 and f"x.conf:4: slow_log = {bad}: " in done.stderr


# ---- the backtraces ----


def test_the_backtrace_names_the_method(start, ptrace):
    daemon = start(pools=slow_pool())
    with daemon.client() as c:
        assert c.value("p.spin", 1.0) == 1.0
        daemon.wait_log(SLOW + "spin took")
        log = daemon.log()
        head, end = re.search(HEAD, log), re.search(SLOW + "spin took", log)
        assert re.search(SLOW + "spin has been running", log).start() < head.start() < end.start()
        block = log[head.start():end.start()]
        assert re.search(r"warning pool p slot 0: #\d+ +0x[0-9a-f]{16} probe_spin[\w.]*\+0x[0-9a-f]+ at \S*\w+\.[ch]:\d+ \(probe\.so\)",
                         block), block
        assert re.search(r"#\d+ +0x[0-9a-f]{16} main\+0x[0-9a-f]+ at \S+\.c:\d+ \(objpool-worker\)", block), block
        assert len(re.findall(HEAD, log)) >= 2  # of the thread that sends what is finished, too


def test_a_sleeping_method_sleeps_on(start, ptrace):
    daemon = start(pools=slow_pool())
    with daemon.client() as c:
        assert c.value("p.sleep_hard", 0.8) == 0.8
        took = float(daemon.wait_log(SLOW + r"sleep_hard took (\S+) s in all").group(1))
        assert 0.8 <= took < DEADLINE
        daemon.wait_log(r"#\d+ .*clock_nanosleep\S*\+0x")
        daemon.wait_log(r"#\d+ .*probe_sleep_hard\S*\+0x")


def test_one_backtrace_in_ten_seconds(start, ptrace):
    daemon = start(pools=slow_pool())
    with daemon.client() as c:
        for _ in range(3):
            c.value("p.spin", 0.6)
        daemon.wait_log(SLOW + r"spin has been running .*; no backtrace \(1 left out since the last\)")
        daemon.wait_log(SLOW + r"spin has been running .*; no backtrace \(2 left out since the last\)")
        log = daemon.log()
    assert len(re.findall(SLOW + "spin has been running", log)) == 3
    assert len(re.findall(r" #0 ", log)) == 2, log  # of the worker's two threads, once


def test_without_symbols(start, place, ptrace):
    if not shutil.which("strip"):
        pytest.skip("strip is not installed")
    subprocess.run(["strip", "-o", place / "probe.so", BUILD / "plugins/probe.so"], check=True)
    daemon = start(pools=slow_pool(), daemon={"plugin_dir": place})
    with daemon.client() as c:
        c.value("p.sleep_hard", 0.8)
        daemon.wait_log(r"#\d+ .* clock_nanosleep\S*\+0x\S+ .*\(libc\.so")
        daemon.wait_log(r"#\d+ +0x[0-9a-f]{16} \?\? \(probe\.so\)")


def beside(place, backtrace=None):
    """A directory with objpool-worker, and with this script as objpool-backtrace: the keys that make the daemon use it."""
    (place / "libexec").mkdir()
    (place / "libexec/objpool-worker").symlink_to(BUILD / "objpool-worker")
    if backtrace:
        (place / "libexec/objpool-backtrace").write_text(backtrace)
        (place / "libexec/objpool-backtrace").chmod(0o755)
    return {"worker_program": place / "libexec/objpool-worker"}


def test_the_program_is_missing(start, place):
    daemon = start(pools=slow_pool(), daemon=beside(place))
    with daemon.client() as c:
        c.value("p.spin", 0.4)
        c.value("p.spin", 0.4)
        wait_for(lambda: len(slow_lines(daemon)) == 4, lambda: "the lines")
    daemon.stop()
    assert len(re.findall(r"warning can't run \S*/libexec/objpool-backtrace: No such file", daemon.log())) == 1
    assert "left out" not in daemon.log()


def test_the_program_hangs(start, place):
    daemon = start(pools=slow_pool(), daemon=beside(place, "#!/bin/sh\necho it begins\nexec /bin/sleep 600\n"))
    with daemon.client() as c:
        c.value("p.spin", 0.4)
        daemon.wait_log("warning pool p slot 0: it begins")
        daemon.wait_log("warning pool p slot 0: the backtrace is not complete: objpool-backtrace was killed by signal 9")
        assert c.value("p.echo", 1) == 1


def test_the_program_lacks_a_library(start, place):
    daemon = start(pools=slow_pool(), daemon=beside(place, "#!/bin/sh\nexit 127\n"))
    with daemon.client() as c:
        c.value("p.spin", 0.4)
        daemon.wait_log(r"warning can't run \S*/libexec/objpool-backtrace: Can not access a needed shared library")
        c.value("p.spin", 0.4)
        wait_for(lambda: len(slow_lines(daemon)) == 4, lambda: "the lines")
    assert "left out" not in daemon.log()


def test_the_worker_dies_while_the_program_runs(start, place):
    daemon = start(pools=slow_pool(), daemon=beside(place, "#!/bin/sh\necho $$ begins\nexec /bin/sleep 600\n"))
    with daemon.client() as c:
        call = c.start("p.sleep_hard", 60)
        program = int(daemon.wait_log(r"slot 0: (\d+) begins").group(1))
        os.kill(int(re.search(r"\(pid (\d+),", daemon.log()).group(1)), signal.SIGKILL)
        assert c.wait(call)[0].startswith("WORKER_LOST")
        wait_for(lambda: not is_alive(program), lambda: "the program to be killed")
        assert c.value("p.echo", 1) == 1


class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filters", ctypes.POINTER(Filter))]


def forbid_ptrace():
    """A function that has the kernel refuse ptrace to this process and its children with EPERM."""
    number = {"x86_64": 101, "aarch64": 117}.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of ptrace on {platform.machine()} is not known to this test")
    filters = (Filter * 4)(Filter(0x20, 0, 0, 0), Filter(0x15, 0, 1, number), Filter(0x06, 0, 0, 0x00050001),
                           Filter(0x06, 0, 0, 0x7fff0000))
    program = Program(4, filters)

    def forbid():
        if LIBC.prctl(38, 1, 0, 0, 0) < 0 or LIBC.prctl(22, 2, ctypes.byref(program), 0, 0) < 0:
            raise OSError(ctypes.get_errno(), "seccomp")
    return forbid


@pytest.mark.skipif("address" in BUILD.name, reason="LeakSanitizer in objpool-backtrace needs ptrace itself")
def test_ptrace_is_forbidden(start):
    daemon = start(pools=slow_pool(), preexec=forbid_ptrace())
    with daemon.client() as c:
        c.value("p.spin", 0.5)
        daemon.wait_log("warning pool p slot 0: objpool-backtrace: no backtrace: the system does not permit to trace process")
        daemon.wait_log("warning pool p: slow methods are logged without backtraces until the configuration is reloaded")
        c.value("p.spin", 0.5)
        wait_for(lambda: len(slow_lines(daemon)) == 4, lambda: "the lines")
        assert len(re.findall("does not permit", daemon.log())) == 1
        assert "left out" not in daemon.log()


# ---- the program alone ----


def test_no_such_process():
    with process("/bin/echo") as gone:
        gone.wait()
        done = look_at(gone.pid)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"objpool-backtrace: there is no process {gone.pid}\n"


@pytest.mark.parametrize("arguments", [[], ["x"], ["0"], ["-1"], ["1", "2"], ["99999999999"], ["1x"]])
def test_usage(arguments):
    done = subprocess.run([BACKTRACE, *arguments], text=True, capture_output=True, timeout=DEADLINE)
    assert done.returncode == 2 and done.stderr.startswith("usage: objpool-backtrace PID\n")


def test_deep_stacks_and_many_threads_are_cut(ptrace):
    script = """
import threading
def down(n):
    return down(n - 1) if n else sorted([1, 2], key=lambda _: max([1], key=lambda _: deeper(30)))
def deeper(n):
    return max([1], key=lambda _: deeper(n - 1)) if n else (print(flush=True), input())
for _ in range(20):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
deeper(100)
"""
    with process(sys.executable, "-c", script) as child:
        out = look_at(child.pid).stdout
    assert len(re.findall(r"^thread ", out, re.M)) == 16 and "... and 5 more threads\n" in out
    first = out[:out.index("\nthread ")].splitlines()
    assert first[0].startswith(f"thread {child.pid} (") and first[-1] == "... and so on"
    assert [line.split()[0] for line in first[1:-1]] == [f"#{i}" for i in range(64)]


def test_a_process_that_is_traced_already(ptrace):
    with spinning() as child:
        assert LIBC.ptrace(PTRACE_SEIZE, child.pid, 0, 0) == 0
        done = look_at(child.pid)
    assert done.returncode == 1 and f"is being traced by process {os.getpid()}" in done.stderr


def test_who_is_looked_at_runs_on(ptrace):
    """Whenever the program is killed, the process that it looks at is neither stopped nor traced when it is gone."""
    def state():
        text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        return re.search(r"State:\t(.)", text).group(1) + re.search(r"TracerPid:\t(\d+)", text).group(1)
    chance = random.Random(1)
    with spinning() as child:
        for _ in range(60):
            program = subprocess.Popen([BACKTRACE, str(child.pid)], stdout=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(chance.uniform(0, 0.03))
            program.kill()
            program.wait()
            wait_for(lambda: state() == "R0", lambda: f"R0, not {state()}")
