# SPDX-License-Identifier: Apache-2.0
"""Large values: they travel beside the socket, arrive whole, and nothing of them stays behind."""
import os
import pathlib
import resource
import signal

import msgpack
import pytest

from harness import DEADLINE, wait_for

MIN = 64 << 10
MIB = 1 << 20


def pattern(size, seed=1):
    """Bytes of which no two places look alike."""
    block = bytes((i * 131 + (i >> 8) * 7 + seed * 29) & 0xff for i in range(65521))
    return (block * (size // len(block) + 1))[:size]


def files(pid):
    """What a process has open that was made for payloads."""
    found = []
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            found += ["objpool-payload"] if "objpool-payload" in os.readlink(entry.path) else []
        except FileNotFoundError:
            pass
    return len(found)


def mapped(pid):
    """How many mappings a process has of payloads."""
    return pathlib.Path(f"/proc/{pid}/maps").read_text().count("/memfd:objpool-payload")


def living(daemon, client, pool="p"):
    """The pids of the pool's workers, once all of them live."""
    return wait_for(lambda: (lambda pids: pids if all(pids) else None)(daemon.pids(client, pool)), lambda: "all workers to live")


class Census:
    """Descriptors and payloads of the daemon and of its workers: all go back to what they were."""

    def __init__(self, daemon, client, pool="p"):
        self.daemon, self.client, self.pool = daemon, client, pool
        self.before = self.count()

    def count(self):
        pids = [self.daemon.process.pid, *living(self.daemon, self.client, self.pool)]
        try:
            return [(self.daemon.descriptors(pid), files(pid), mapped(pid)) for pid in pids]
        except (FileNotFoundError, ProcessLookupError):
            return None

    def check(self):
        wait_for(lambda: self.count() == self.before, lambda: f"{self.before} descriptors, payloads and mappings, not {self.count()}")


@pytest.mark.parametrize("size", [MIN - 1, MIN, MIN + 1, 200 << 10, MIB, 64 * MIB])
def test_there_and_back(start, size):
    daemon = start()
    with daemon.client() as c:
        data = pattern(size)
        assert c.value("p.echo", data) == data
        assert c.value("p.sum", data) == sum(data)


def test_it_is_a_descriptor_that_goes_to_the_worker(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        pid = c.value("p.pid")
        assert mapped(pid) == 0
        assert c.value("p.sum", pattern(MIB)) == sum(pattern(MIB))
        assert mapped(pid) > 0 and mapped(daemon.process.pid) > 0


def test_payload_min_zero_never_makes_one(start):
    daemon = start({"p": {"workers": 1}}, {"payload_min": 0})
    with daemon.client() as c:
        assert c.value("p.echo", pattern(MIB)) == pattern(MIB)
        assert mapped(daemon.process.pid) == 0 and mapped(c.value("p.pid")) == 0


def test_the_message_behind_a_large_one_is_not_lost(start):
    daemon = start()
    with daemon.client() as c:
        large = [pattern(size, i) for i, size in enumerate((MIB, 100 << 10, 3 * MIB + 1, 70000, 5))]
        messages = b"".join(msgpack.packb([0, 100 + i, "p.echo", [data, i]]) + msgpack.packb([0, 200 + i, "objpool.ping", [i]])
                            for i, data in enumerate(large))
        c.send_raw(messages)
        for i, data in enumerate(large):
            assert c.wait(100 + i) == (None, [data, i])
            assert c.wait(200 + i) == (None, [i])


def test_a_large_message_in_small_pieces(start):
    daemon = start()
    with daemon.client() as c:
        value = [{"name": "x" * 50, "data": pattern(100 << 10, i), "list": list(range(300))} for i in range(5)]
        message = msgpack.packb([0, 1, "p.echo", [value]])
        for at in range(0, len(message), 7777):
            c.send_raw(message[at:at + 7777])
        assert c.wait(1) == (None, value)


def test_a_broadcast_gives_each_the_right_bytes(start):
    daemon = start({"p": {"workers": 4}})
    with daemon.client() as c:
        for i in range(3):
            data = pattern(3 * MIB, i)
            assert c.value("p:all.sum", data) == [sum(data)] * 4
            assert c.value("p:all.echo", data[:MIB]) == [data[:MIB]] * 4


def test_maps_with_large_items(start):
    daemon = start({"p": {"workers": 3}})
    with daemon.client() as c:
        items = [pattern(size, size) for size in (1, MIN, 300 << 10, 10, MIB, MIN - 1, 2 * MIB)] * 3
        assert c.value("p:map.sum", items) == [sum(i) for i in items]
        assert c.value("p:map.echo", items, list(range(len(items)))) == [[item, i] for i, item in enumerate(items)]
        assert c.value("p:scatter.echo", items[:3]) == items[:3]
        bound = pattern(5 * MIB)
        assert c.full("p:map", "echo", [[1, 2, 3]], bind=[bound]) == (None, [[bound, i] for i in (1, 2, 3)])
        assert c.full("p:map", "echo", [[1, 2]], bind_kwargs={"b": bound}, kwargs={"k": items[3:5]}) == (
            None, [{"args": [i], "kwargs": {"b": bound, "k": k}} for i, k in zip((1, 2), items[3:5])])
        assert c.full("p", "echo", [items[4]], kwargs={"k": bound, "n": 1}, timeout_ms=20000, bind=[7]) == (
            None, {"args": [7, items[4]], "kwargs": {"k": bound, "n": 1}})
        many = list(range(300_000))
        assert c.value("p:map.echo", many) == many


def test_a_fed_stream_of_large_items(start):
    daemon = start()
    with daemon.client() as c:
        call = c.start("objpool.call", "p:map", "sum", None, {"stream": True})
        assert c.receive()[1] == "objpool.credit"
        items = [pattern(500_000, i) for i in range(2)]
        c.notify("objpool.feed", call, items)
        c.notify("objpool.feed_end", call)
        results = {}
        while True:
            message = c.receive()
            if message[0] == 1:
                break
            if message[1] == "objpool.result":
                results[message[2][1]] = message[2][3]
        assert results == {0: sum(items[0]), 1: sum(items[1])}


def test_fifty_large_calls_leave_nothing(start):
    daemon = start()
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        for i in range(50):
            data = pattern((i % 7 + 1) * 300_000, i)
            assert c.value("p.echo", data) == data
        census.check()


def test_workers_killed_with_payloads(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as c, daemon.client() as other:
        c.value("p:all.calls")
        census = Census(daemon, other)
        data = pattern(2 * MIB)
        for method, arguments in (("sleep_hard", [60]), ("sum", [data])):
            pids = living(daemon, other)
            calls = [c.start(f"p:{i % 2}.sleep_hard", 60) for i in range(2)]
            calls += [c.start(f"p:{i % 2}.echo", data) for i in range(6)]
            calls += [c.start(f"p.{method}", *arguments)] if method == "sum" else []
            wait_for(lambda: all(slot["running"] for slot in other.value("objpool.status", "p")["pools"][0]["slots"]), lambda: "calls to run")
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            answers = [c.wait(call) for call in calls]
            assert all("WORKER_LOST" in answer[0] for answer in answers[:2])
            assert all(answer == (None, data) or "WORKER_LOST" in answer[0] for answer in answers[2:8])
        for _ in range(3):
            pids = living(daemon, other)
            calls = [c.start("p.sum", data) for _ in range(8)]
            os.kill(pids[0], signal.SIGKILL)
            assert all(value == sum(data) or "WORKER_LOST" in error for error, value in map(c.wait, calls))
            wait_for(lambda: pids[0] not in daemon.pids(other), lambda: "a new worker")
        assert other.value("p:all.sum", data) == [sum(data)] * 2
        census.check()


def test_clients_that_vanish_in_a_large_message(start):
    daemon = start()
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        message = msgpack.packb([0, 1, "p.echo", [pattern(8 * MIB)]])
        for cut in (70_000, 300_000, MIB, 5 * MIB, len(message) - 1, len(message)):
            with daemon.client() as gone:
                gone.send_raw(message[:cut])
        census.check()


def test_refused_late_and_cancelled(start):
    daemon = start({"p": {"workers": 1, "cancel_grace": 0.1}})
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        data = pattern(MIB)
        for _ in range(5):
            assert "NO_SUCH_METHOD" in c.error("p.nonsense", data)
            assert "NO_SUCH_POOL" in c.error("nowhere.echo", data)
            assert "BAD_ARGUMENT" in c.error("p.add", data, data, data)
        for _ in range(3):
            busy = c.start("p.sleep", 60)
            late = c.start("objpool.call", "p", "echo", [data], {"timeout_ms": 50})
            assert "TIMEOUT" in c.wait(late)[0]
            c.notify("objpool.cancel", busy)
            assert "CANCELLED" in c.wait(busy)[0]
        assert c.value("p.sum", data) == sum(data)
        census.check()


def test_a_client_that_never_reads_large_results(start):
    daemon = start({"p": {"workers": 2}}, {"max_unsent": "4M"})
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        with daemon.client() as deaf:
            for i in range(200):
                deaf.start("p.blob", MIB)
            assert c.value("p.echo", pattern(MIB)) == pattern(MIB)
            assert daemon.rss() < 200 * MIB
        census.check()


def test_without_descriptors_it_goes_by_bytes(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        c.value("p.calls")
        spare = daemon.descriptors()
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (spare, resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[1]))
        assert c.value("p.sum", pattern(MIB)) == sum(pattern(MIB))
        assert c.value("p.echo", pattern(MIB)) == pattern(MIB)
        assert files(daemon.process.pid) == 0


def test_a_worker_without_descriptors_says_so(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        pid = c.value("p.pid")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 4096))
        assert c.value("p.sum", pattern(MIB)) == sum(pattern(MIB))  # it had not begun: another worker does it
        daemon.wait_log("descriptors that came for this worker were lost: it has too many files open")
        assert c.value("p.pid") != pid
