# SPDX-License-Identifier: Apache-2.0
"""max_memory: whatever clients do, the daemon holds little more than that, and those who want little are served."""
import fcntl
import os
import re
import socket
import struct
import threading

import msgpack
import pytest

from harness import wait_for
from test_payloads import FdsClient

MIB = 1 << 20


class Watch:
    """A client that wants little, and looks at what the daemon holds."""

    def __init__(self, daemon, pool="q"):
        self.daemon, self.pool = daemon, pool
        self.client = daemon.client()
        self.client.value(f"{pool}:all.echo", b"")
        self.rss, self.peak = daemon.rss(), 0

    def status(self):
        return self.client.value("objpool.status")

    def memory(self):
        memory = self.status()["memory"]
        self.peak = max(self.peak, memory["used"])
        return memory

    def served(self):
        assert self.client.value(f"{self.pool}.echo", b"x" * 100_000) == b"x" * 100_000

    def wait(self, check, what):
        """Until the check of the status holds; meanwhile, and then, small calls are answered."""
        def look():
            self.served()
            self.memory()
            return check(self.status())
        return wait_for(look, lambda: f"{what}: {self.status()['memory']}")

    def held_at_most(self, limit):
        assert self.peak < limit, self.peak
        if "address" not in self.daemon.process.args[0].parent.name:
            assert self.daemon.rss() - self.rss < 2 * limit + 16 * MIB

    def nothing_left(self):
        """But for idle payloads: at most an eighth of max_memory."""
        self.wait(lambda status: status["memory"]["used"] < (64 << 10) + status["memory"]["max"] // 8, "the memory to be free again")


POOLS = {"p": {"workers": 2}, "q": {"workers": 1}}


def pool_of(status, name):
    return next(pool for pool in status["pools"] if pool["name"] == name)


def refusals(client):
    """How many calls were refused for want of memory, by the metrics and the status, which agree."""
    counted = re.search(r"^objpool_memory_refused_calls_total (\d+)", client.value("objpool.metrics"), re.M)
    assert int(counted.group(1)) == client.value("objpool.status")["memory"]["refused"]
    return int(counted.group(1))


@pytest.mark.parametrize("payload_min", ["0", "64K"])
def test_clients_that_never_read(start, payload_min):
    daemon = start(POOLS, {"max_memory": "16M", "payload_min": payload_min})
    watch = Watch(daemon)
    clients = [daemon.client() for _ in range(12)]
    for c in clients:
        for _ in range(50):
            c.start("p.blob", 200_000)
    def settled(status):
        pool = pool_of(status, "p")
        return pool["running"] == 0 and pool["queue"] > 0
    watch.wait(settled, "what is held back to be all that is left")
    watch.held_at_most(40 * MIB)  # of 114; how far it is over the limit for a moment is a matter of time
    for c in clients:
        c.close()
    watch.nothing_left()


@pytest.mark.parametrize("payload_min", ["0", "64K"])
def test_messages_that_stay_unfinished(start, payload_min):
    daemon = start(POOLS, {"max_memory": "8M", "max_message": "16M", "payload_min": payload_min})
    watch = Watch(daemon)
    clients = [daemon.client() for _ in range(4)]
    message = msgpack.packb([0, 7, "p.sum", [bytes(3 * MIB)]])
    senders = [threading.Thread(target=c.send_raw, args=(message[:5 * MIB // 2],)) for c in clients]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        watch.served()
        watch.memory()
    watch.held_at_most(12 * MIB)
    refused = 0
    for c in clients:
        c.send_raw(message[5 * MIB // 2:])
        error, value = c.wait(7)
        assert error.startswith("OVERLOADED: ") if error else value == 0
        refused += error is not None
        assert c.value("objpool.ping", 1) == [1] # each connection lives on
        assert c.call("p.echo", b"small") == (None, b"small")
    assert 1 <= refused < len(clients)
    assert refusals(clients[0]) == refused
    for c in clients:
        c.close()
    watch.nothing_left()


def memfd(size):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def stands_for(size):
    return msgpack.ExtType(112, struct.pack(">QQ", 0, size))


def test_large_descriptors_of_many_sessions(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, {"max_memory": "64M"})
    watch = Watch(daemon)
    busy = daemon.client()
    busy.start("p.sleep", 60)
    before = daemon.descriptors()
    clients = [FdsClient(daemon.address) for _ in range(12)]
    calls = []
    for c in clients:
        for _ in range(2):
            calls.append((c, c.start_with("p.echo", [stands_for(4 * MIB)] * 4, [memfd(4 * MIB) for _ in range(4)])))
    watch.wait(lambda status: status["memory"]["refused"] >= len(calls) - 4, "most to be refused")
    watch.held_at_most(70 * MIB) # of 384
    assert watch.memory()["used"] < 70 * MIB
    wait_for(lambda: daemon.descriptors() - before < len(clients) + 20, lambda: "what was refused to be closed")
    busy.close()
    outcomes = [c.wait(call)[0] for c, call in calls[:2]]
    assert None in outcomes
    assert all(error is None or error.startswith("OVERLOADED: ") for error in outcomes)
    for c in clients:
        c.close()
    watch.nothing_left()


def test_a_session_above_its_share_waits_then_is_refused_and_can_cancel(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, {"max_memory": "8M"})
    watch = Watch(daemon)
    with daemon.client() as c:
        c.maps()
        running = c.start("p.sleep", 60)
        waiting = [c.start("p.echo", bytes(MIB)) for _ in range(8)]
        error, _ = c.wait(waiting.pop())
        assert error["code"] == "OVERLOADED" and error["ran"] == "no"
        assert watch.memory()["refused"] >= 1
        watch.served()
        for call in (running, *waiting):
            c.notify("objpool.cancel", call)
        assert {c.wait(call)[0]["code"] for call in (running, *waiting)} == {"CANCELLED"}
        assert c.value("p.echo", bytes(MIB)) == bytes(MIB) # once it holds little, it is served
    watch.nothing_left()


def test_a_session_far_above_its_share_is_closed(start):
    daemon = start(POOLS, {"max_memory": "8M"})
    watch = Watch(daemon)
    with daemon.client() as c:
        for slot in range(2): # the second comes when the first is there already, and nothing could refuse it
            c.start(f"p:{slot}.blob", 6 * MIB)
        daemon.wait_log(r"session \d+ holds \d+ bytes, the daemon \d+, and max_memory is 8388608: closing the connection")
        watch.nothing_left()


def test_descriptors_of_an_unfinished_message(start):
    daemon = start(POOLS, {"max_memory": "8M"})
    watch = Watch(daemon)
    before = daemon.descriptors()
    message = msgpack.packb([0, 5, "p.echo", [stands_for(4 * MIB)] * 4])
    with FdsClient(daemon.address) as c:
        c.send_fds(message[:-1], [memfd(4 * MIB) for _ in range(4)])
        assert c.wait(5)[0].startswith("OVERLOADED: ")
        wait_for(lambda: daemon.descriptors() == before + 1 and watch.memory()["used"] < MIB, lambda: "what was refused to be closed")
        c.send_raw(message[-1:])
        assert c.call_with("p.echo", [stands_for(1000)], [memfd(1000)]) == (None, bytes(1000))


def test_results_that_are_never_given_back(start):
    daemon = start({"p": {"workers": 2}, "q": {"workers": 1}}, {"max_memory": "16M"})
    watch = Watch(daemon)
    with FdsClient(daemon.address, give_back=False) as greedy, FdsClient(daemon.address) as other:
        expected = greedy.value("p.blob", MIB)
        for _ in range(20):
            assert greedy.value("p.blob", MIB) == expected
        assert 1 <= greedy.descriptors <= 8
        assert watch.memory()["used"] <= 9 * MIB
        got = other.descriptors
        assert other.value("p.blob", MIB) == expected
        assert other.descriptors == got + 1 # there is something left for who gives back
        for _ in range(20):
            assert other.value("p.blob", MIB) == expected
    watch.nothing_left()


def test_results_that_are_never_given_back_are_bounded_by_max_pending(start):
    daemon = start({"p": {"workers": 2}, "q": {"workers": 1}}, {"max_pending": "5M", "max_memory": 0})
    with FdsClient(daemon.address, give_back=False) as c:
        for _ in range(4):
            assert len(c.value("p.blob", 3 * MIB)) == 3 * MIB # in a file of 4 MiB
        assert c.descriptors == 1
        assert len(c.value("p.blob", 6 * MIB)) == 6 * MIB
        assert c.descriptors == 1


@pytest.mark.parametrize("errors", ["wait", "first", "collect"])
def test_gathered_results_are_bounded_as_they_come(start, errors):
    daemon = start(POOLS, {"max_message": "1M", "payload_min": 0})
    watch = Watch(daemon)
    with daemon.client() as c:
        c.maps()
        call = c.start("objpool.call", "p:map", "blob", [[500000] * 300], {"errors": errors})
        watch.wait(lambda status: not pool_of(status, "p")["running"] and not pool_of(status, "p")["queue"], "the call to end")
        error, _ = c.wait(call)
        assert error["code"] == "TOO_LARGE" and error["ran"] == "maybe"
        watch.held_at_most(8 * MIB)
        assert c.full("p:all", "blob", [600000])[0]["code"] == "TOO_LARGE"
        assert c.full("p:scatter", "blob", [[600000, 600000]])[0]["code"] == "TOO_LARGE"
        assert c.full("p:all", "blob", [600000], sticky="replace")[0]["code"] == "TOO_LARGE"
        assert len(c.full("p:all", "blob", [500000])[1]) == 2
    watch.nothing_left()


def test_what_is_gathered_fails_when_memory_is_short(start):
    daemon = start(POOLS, {"max_memory": "8M", "payload_min": 0})
    watch = Watch(daemon)
    with daemon.client() as c:
        c.maps()
        error, _ = c.full("p:map", "blob", [[500000] * 300])
        assert error["code"] == "OVERLOADED" and error["ran"] == "maybe"
        watch.memory()
        watch.held_at_most(16 * MIB)
        assert c.value("p.echo", 1) == 1
    watch.nothing_left()


def test_what_pools_keep_is_bounded(start):
    """Sticky calls and constructors' arguments: no more than what is left for others."""
    daemon = start({**POOLS, **{f"s{i}": {"workers": 1} for i in range(3)}}, {"max_memory": "12M", "payload_min": 0})
    watch = Watch(daemon)
    with daemon.client() as c:
        large = bytes(1_500_000)
        assert c.full("s0:all", "set", [large], sticky="append")[0] is None
        assert c.full("s1:all", "set", [large], sticky="append")[0] is None
        error, _ = c.full("s2:all", "set", [large], sticky="append")
        assert error.startswith("OVERLOADED: pools keep "), error
        assert refusals(c) == 1
        error = c.error("objpool.create", {"pool": "made", "plugin": "probe", "class": "Probe", "kwargs": {"tag": large}})
        assert error.startswith("OVERLOADED: pools keep "), error
        assert c.value("objpool.forget", "s0") == 1
        c.value("objpool.create", {"pool": "made", "plugin": "probe", "class": "Probe", "kwargs": {"tag": large}})
        assert watch.memory()["used"] > 3_000_000
        watch.served()
        assert c.value("objpool.forget", "s1") == 1
        c.value("objpool.drop", "made")
    watch.nothing_left()


def test_what_metrics_and_status_say(start):
    daemon = start({"p": {"workers": 1}}, {"max_memory": "2M"})
    with daemon.client() as c:
        memory = c.value("objpool.status")["memory"]
        assert memory["max"] == 2 * MIB and memory["refused"] == 0 and 0 <= memory["used"] < MIB
        text = c.value("objpool.metrics")
        assert "objpool_memory_limit_bytes 2097152\n" in text
        assert "objpool_memory_refused_calls_total 0\n" in text
