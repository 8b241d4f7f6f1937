# SPDX-License-Identifier: Apache-2.0
"""How the daemon stops: what it answers meanwhile, what the service manager hears, and what it leaves behind."""
import concurrent.futures
import json
import signal
import socket
import subprocess
import time

import msgpack
import pytest

from harness import BUILD, DEADLINE, is_alive, wait_for
from test_python import CLASSES

SLOW = {"workers": 1, "kwargs": '{"sleep": 60}'}  # a constructor that takes a minute
FAMILY = {"plugin": "python", "class": "family:Family", "python_path": json.dumps([str(CLASSES)]), "workers": 1}


def said(daemon):
    """The states that the service manager has been told of, in order."""
    states = []
    daemon.notify.setblocking(False)
    while True:
        try:
            states += [line for line in daemon.notify.recv(4096).decode().split("\n") if line.endswith("=1")]
        except BlockingIOError:
            return states


def cli(daemon, *words):
    return subprocess.run([BUILD / "objpool", "-s", daemon.address, *words], text=True, capture_output=True, timeout=DEADLINE)


# ---- while it drains ----


@pytest.fixture
def draining(start):
    """A daemon that waits for a call, until the test has that call cancelled."""
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("p.sleep", 60)
        wait_for(lambda: c.value("objpool.status")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        daemon.signal(signal.SIGTERM)
        daemon.wait_notify("STOPPING=1")
        yield daemon
        c.notify("objpool.cancel", running)
        assert c.wait(running)[0].startswith("CANCELLED")
        assert daemon.process.wait(DEADLINE) == 0
        assert not daemon.socket_path.exists()


def test_one_can_ask_what_a_draining_daemon_waits_for(draining):
    with draining.client() as c:
        status = c.value("objpool.status")
        assert status["state"] == "draining" and status["pools"][0]["slots"][0]["running"] == "sleep"
        assert c.value("objpool.pools")[0]["name"] == "p" and c.value("objpool.ping", 1) == [1]
        assert "objpool_draining 1" in c.value("objpool.metrics")
    for words in (["ping"], ["pools"], ["status"], ["status", "p"], ["top", "-b", "-n", "1"]):
        done = cli(draining, *words)
        assert done.returncode == 0, (words, done.stderr)
    assert "draining" in cli(draining, "status").stdout


def test_a_draining_daemon_tells_systemd_what_it_waits_for(draining):
    draining.wait_notify("STATUS=1 pool, 1 of 1 instances ready, draining: 1 call left")


def test_a_draining_daemon_begins_nothing(draining):
    with draining.client() as c:
        c.maps()
        for method, *arguments in (["p.echo", 1], ["objpool.lease", "p"], ["objpool.scale", "p", 2], ["objpool.restart", "p"], ["objpool.reload"],
                                   ["objpool.create", {"pool": "q", "plugin": "probe", "class": "Probe"}]):
            error = c.error(method, *arguments)
            assert (error["code"], error["ran"]) == ("UNAVAILABLE", "no") and "stopping" in error["message"], method
    assert cli(draining, "call", "p.echo", "1").returncode == 75


def test_the_first_call_of_a_client_that_had_connected_is_taken(start):
    """It could not know that the daemon was about to stop. Its next call goes to the next daemon."""
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as busy, daemon.client() as plain, daemon.client() as greeting, daemon.client() as full, daemon.client() as asking:
        running = busy.start("p.sleep", 60)
        asking.value("objpool.ping")
        greeting.maps()
        wait_for(lambda: len(asking.value("objpool.clients")) == 5, lambda: "the connections")
        daemon.signal(signal.SIGTERM)
        daemon.wait_notify("STOPPING=1")
        for c in (plain, greeting):
            assert c.value("p.echo", 1) == 1 and "UNAVAILABLE" in str(c.error("p.echo", 2))
        assert full.full("p", "echo", [3]) == (None, 3)
        assert "UNAVAILABLE" in asking.error("p.echo", 4)
        busy.notify("objpool.cancel", running)
        assert busy.wait(running)[0].startswith("CANCELLED")
        assert daemon.process.wait(DEADLINE) == 0


def test_an_idle_daemon_waits_for_such_a_call(start):
    """For half a second: a test that is held up for longer begins again."""
    while True:
        daemon = start({"p": {"workers": 1}})
        with daemon.client() as c, daemon.client() as other:
            wait_for(lambda: len(other.value("objpool.clients")) == 2, lambda: "the connection")
            begun = time.monotonic()
            daemon.signal(signal.SIGTERM)
            daemon.wait_notify("STOPPING=1")
            try:
                assert c.value("p.echo", 1) == 1
                break
            except (ConnectionError, EOFError):
                assert time.monotonic() - begun > 0.4
            finally:
                assert daemon.process.wait(DEADLINE) == 0


def test_leases_do_not_hold_a_draining_daemon_back(start):
    """Their holders can call no more: what they have called is finished, then what waits behind the lease."""
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as holder, daemon.client() as c:
        holder.value("objpool.lease", "p")
        own = holder.start("p:0.sleep", 0.1)
        lease, waiting = c.start("objpool.lease", "p"), c.start("p.echo", 1)
        c.value("objpool.ping")
        daemon.signal(signal.SIGTERM)
        error, _ = c.wait(lease)
        assert error.startswith("UNAVAILABLE: ") and "stopping" in error
        assert holder.wait(own)[0] is None and c.wait(waiting) == (None, 1)
        assert daemon.process.wait(DEADLINE) == 0


# ---- before it is ready ----


def check_end_before_ready(daemon):
    assert daemon.process.wait(DEADLINE) == 0, daemon.log()
    states = said(daemon)
    assert states.index("READY=1") < states.index("STOPPING=1")  # else systemd takes it for a start that failed


def test_a_signal_before_it_is_ready(start):
    daemon = start({"p": SLOW}, expect_ready=False)
    daemon.wait_log("listening on unix:")
    with daemon.client() as c:
        c.value("objpool.ping")
        daemon.signal(signal.SIGTERM)
        check_end_before_ready(daemon)


def test_a_request_before_it_is_ready(start):
    daemon = start({"p": SLOW}, expect_ready=False)
    daemon.wait_log("listening on unix:")
    with daemon.client() as c:
        assert c.value("objpool.shutdown") is True
        check_end_before_ready(daemon)


# ---- what it leaves ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_process_is_left(start, number):
    daemon = start({"p": FAMILY, **{f"p{i}": {"workers": 1} for i in range(8)}})
    with daemon.client() as c:
        c.value("p.fork")
        c.value("p.run")
        pids = daemon.children()
        assert len(pids) > 2 * 9
        daemon.signal(number)
        assert daemon.process.wait(DEADLINE) == 0
    assert not [pid for pid in pids if is_alive(pid)]


# ---- the last requests ----


def ask_to_the_end(path, answered):
    """Adds itself to those that have had an answer, and asks until the daemon goes. How many requests were sent and have no answer:
    nobody could know whether they have run."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(DEADLINE)
        connection.connect(str(path))
        for number in range(1 << 30):
            try:
                connection.sendall(msgpack.packb([0, number, "p.echo", [number]]))
            except BrokenPipeError:
                return 0
            try:
                if not connection.recv(4096):
                    return 1
            except ConnectionResetError:
                return 1
            answered.add(connection)


def test_what_was_sent_is_answered_to_the_end(start):
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        for _ in range(4):
            daemon = start({"p": {"workers": 2}})
            answered = set()
            clients = [executor.submit(ask_to_the_end, daemon.socket_path, answered) for _ in range(8)]
            wait_for(lambda: len(answered) == len(clients), lambda: "clients to call")
            begun = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(DEADLINE) == 0
            assert time.monotonic() - begun < 2, "it has waited for what can't come"
            assert [client.result() for client in clients] == [0] * len(clients)
