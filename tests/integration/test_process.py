# SPDX-License-Identifier: Apache-2.0
"""What the daemon inherits from whoever starts it: descriptors, signals. And signals that are not meant for it."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness import BUILD, DEADLINE

SOME = (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2, signal.SIGPIPE)


def files(pid):
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def test_closed_standard_descriptors(start):
    daemon = start({"p": {"workers": 1}}, preexec=lambda: os.closerange(0, 3))
    assert {files(daemon.process.pid)[number] for number in range(3)} == {"/dev/null"}
    with daemon.client() as client:
        before = daemon.pids(client)
        for byte in ("\f\n", "\x0f\n"):  # what a pipe of signals would take for 12 and 15
            client.value("p.print", byte)
        assert client.value("p.add", 1, 2) == 3 and daemon.pids(client) == before


def block():
    signal.pthread_sigmask(signal.SIG_BLOCK, SOME)


def ignore():
    for number in SOME:
        signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("inherit", (block, ignore))
def test_inherited_signals(start, inherit):
    daemon = start({"p": {"workers": 1}}, preexec=inherit)
    with daemon.client() as client:
        status = pathlib.Path(f"/proc/{daemon.pids(client)[0]}/status").read_text()
        of_libc = 3 << 31  # 32 and 33, which posix_spawn ignores in the new process
        for mask in ("SigBlk", "SigIgn"):
            assert int(re.search(rf"{mask}:\t([0-9a-f]+)", status).group(1), 16) & ~of_libc == 0
        assert client.error("p.crash", signal.SIGKILL).startswith("WORKER_LOST: ")
        assert client.value("p.add", 1, 2) == 3
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded")
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(DEADLINE) == 0


def test_signals_of_no_meaning(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        before = daemon.pids(client)
        for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR, signal.SIGRTMIN,
                       signal.SIGRTMAX):
            daemon.signal(number)
            daemon.wait_log(rf"signal {int(number)} \([^)]+\) of process {os.getpid()}, user {os.getuid()}, is ignored")
        assert client.value("p.add", 1, 2) == 3 and daemon.pids(client) == before


def test_open_descriptors_reach_no_worker(start, place):
    with open(place / "lock", "w") as lock:
        daemon = start({"p": {"workers": 1}}, pass_fds=(lock.fileno(),))
        with daemon.client() as client:
            worker = daemon.pids(client)[0]
            others = [pid for pid in daemon.children() if pid != worker]
            assert str(place / "lock") in files(daemon.process.pid).values()
            for pid in (worker, *others):
                assert str(place / "lock") not in files(pid).values()


def test_backtraces_of_a_program_without_standard_descriptors(place):
    """Its output is lost, and written to nothing else."""
    done = subprocess.run([BUILD / "objpool-backtrace", str(os.getpid())], preexec_fn=lambda: os.closerange(0, 3), timeout=DEADLINE)
    assert done.returncode in (0, 3)
