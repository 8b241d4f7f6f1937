# SPDX-License-Identifier: Apache-2.0
"""Large values: they travel beside the socket, arrive whole, and nothing of them stays behind."""
import fcntl
import itertools
import mmap
import os
import pathlib
import resource
import signal
import socket
import struct
import time

import msgpack
import pytest

from harness import Client, wait_for

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


def living(client, pool="p"):
    """The pids of the pool's workers, once all of them are ready: one that is killed before that has failed to start."""
    def look():
        slots = client.value("objpool.status", pool)["pools"][0]["slots"]
        return [slot["pid"] for slot in slots] if all(slot["state"] == "ready" for slot in slots) else None
    return wait_for(look, lambda: "all workers to be ready")


class Census:
    """Descriptors and payloads of the daemon and of its workers: all go back to what they were."""

    def __init__(self, daemon, client, pool="p"):
        self.daemon, self.client, self.pool = daemon, client, pool
        self.before = self.count()

    def count(self):
        pids = [self.daemon.process.pid, *living(self.client, self.pool)]
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


def test_arguments_that_outlive_their_call(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as c:
        living(c)
        census = Census(daemon, c)
        first, second = pattern(MIB, 1), pattern(MIB, 2)
        assert c.value("p:all.hold", first) == [True, True]
        for i in range(3, 6):  # the same memory is filled anew
            assert c.value("p:all.sum", pattern(MIB, i)) == [sum(pattern(MIB, i))] * 2
        assert c.value("p:all.held") == [first] * 2
        assert c.value("p:map.hold", [second, second, second]) == [True] * 3
        assert set(c.value("p:all.held")) <= {first, second}
        assert c.value("p:all.hold", b"small") == [False, False]
        assert c.value("p:all.held") == [b"small"] * 2
        census.check()


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


def test_what_is_bound_goes_with_its_call(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        pid, counts = c.value("p.pid"), []
        for i in range(5):
            bound = pattern(MIB, i)
            assert c.full("p:map", "echo", [[1]], bind=[bound]) == (None, [[bound, 1]])
            c.value("p.calls")  # behind the word that the call has ended
            counts.append(daemon.descriptors(pid))
        assert counts[1:] == [counts[1]] * 4


def test_workers_killed_with_payloads(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as c, daemon.client() as other:
        c.value("p:all.calls")
        census = Census(daemon, other)
        data = pattern(2 * MIB)
        for method, arguments in (("sleep_hard", [60]), ("sum", [data])):
            pids = living(other)
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
            pids = living(other)
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
            deaf.send_raw(b"".join(msgpack.packb([0, i, "p.blob", [MIB]]) for i in range(200)))  # at once: soon it is not read any more
            assert c.value("p.echo", pattern(MIB)) == pattern(MIB)
            assert daemon.rss() < 200 * MIB
        census.check()


def test_without_descriptors_it_goes_by_bytes(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        c.value("p.calls")
        taken = set(map(int, os.listdir(f"/proc/{daemon.process.pid}/fd")))
        free = min(set(range(len(taken) + 1)) - taken)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (free, resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)[1]))
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


# ---- descriptors of clients


def memfd(data, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, before=b""):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, before)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def ref(offset, length, ext=None):
    """What stands for a bin, or an ext of that type, whose bytes are in a descriptor."""
    kind = 0 if ext is None else 0x100 | ext & 0xFF
    return msgpack.ExtType(112, struct.pack(">QQ", offset, kind << 48 | length))


class FdsClient(Client):
    """A client that hands over descriptors and gets them; it gives each back when it has read it."""

    def __init__(self, address, give_back=True):
        super().__init__(address)
        self.got, self.numbers, self.give_back = [], itertools.count(), give_back
        self.descriptors = 0
        self.mark = None
        hello = self.value("objpool.hello", {"fds": True})
        assert hello["fds"] is True
        self.mark = hello["fds_mark"]

    def close(self):
        for fd in self.got:
            os.close(fd)
        super().close()

    def send_fds(self, message, fds, close=True):
        sent = socket.send_fds(self.socket, [message], fds)
        self.socket.sendall(message[sent:])
        for fd in fds if close else ():
            os.close(fd)

    def start_with(self, method, params, fds):
        msgid = next(self.ids)
        self.send_fds(msgpack.packb([0, msgid, method, params]), fds)
        return msgid

    def call_with(self, method, params, fds):
        return self.wait(self.start_with(method, params, fds))

    def receive(self):
        until = time.monotonic() + self.deadline
        while True:
            for message in self.unpacker:
                return self.fill(message)
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                data, fds, flags, _ = socket.recv_fds(self.socket, 1 << 18, 64)
            except ConnectionResetError:
                return None
            self.got += fds
            if not data:
                return None
            self.unpacker.feed(data)

    def fill(self, value):
        """The value with bins in place of what stands for them."""
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if not isinstance(value, msgpack.ExtType) or value.code != 112 or len(value.data) != 16:
            return value
        place, size = struct.unpack(">QQ", value.data)
        if place >> 48 != self.mark:
            return value
        offset, kind, length = place & (1 << 48) - 1, size >> 48, size & (1 << 48) - 1
        fd, number = self.got.pop(0), next(self.numbers)
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        data = os.pread(fd, length, offset)
        os.close(fd)
        self.descriptors += 1
        if self.give_back:
            self.notify("objpool.give_back", number)
        return msgpack.ExtType((kind & 0xFF ^ 0x80) - 0x80, data) if kind else data


def test_only_who_may_gets_descriptors(start):
    daemon = start()
    with daemon.client() as c:
        assert "fds" not in c.value("objpool.hello")
        assert c.value("objpool.hello", {"fds": False})["fds"] is False
        assert "BAD_ARGUMENT" in c.error("objpool.hello", {"fds": 1})
        # Who has not said so has his own ext of that type, and his descriptors are nobody's.
        value = ref(0, 70000)
        before = daemon.descriptors()
        message = msgpack.packb([0, 99, "p.echo", [value]])
        fd = memfd(bytes(70000))
        socket.send_fds(c.socket, [message], [fd])
        os.close(fd)
        assert c.wait(99) == (None, value)
        wait_for(lambda: daemon.descriptors() == before, lambda: "the descriptors to be closed")
    with daemon.client(daemon.tcp) as c:
        assert c.value("objpool.hello", {"fds": True})["fds"] is False
        assert c.value("p.echo", pattern(MIB)) == pattern(MIB)


@pytest.mark.parametrize("size", [1, MIN - 1, MIN, MIB, 64 * MIB])
def test_descriptors_there_and_back(start, size):
    daemon = start()
    with FdsClient(daemon.address) as c:
        data = pattern(size)
        for i in range(3):
            before = b"x" * (i * 1234)
            assert c.call_with("p.echo", [ref(len(before), size)], [memfd(data, before=before)]) == (None, data)
            assert c.call_with("p.sum", [ref(len(before), size)], [memfd(data, before=before)]) == (None, sum(data))
        assert c.descriptors == (3 if size >= MIN else 0)


@pytest.mark.parametrize("before", [0, 4096, 5000])
def test_arguments_that_are_written_to(start, before):
    """Who writes to them sees that, and nobody else; what was not written to outlives the call as well."""
    daemon = start({"p": {"workers": 2}})
    with FdsClient(daemon.address) as c:
        data, other = pattern(MIB + 7, 1), pattern(MIB + 7, 2)
        changed = bytes([data[0] ^ 0xFF]) + data[1:]
        fd = memfd(data, before=bytes(before))
        with open(os.dup(fd), "r+b", buffering=0) as file:
            for _ in range(2):
                assert c.call_with("p:all.hold_changed", [ref(before, len(data))], [os.dup(fd)]) == (None, [True, True])
                assert c.call_with("p:all.sum", [ref(before, len(data))], [os.dup(fd)]) == (None, [sum(data)] * 2)
            os.pwrite(file.fileno(), other, before)
        assert c.call_with("p:all.sum", [ref(before, len(data))], [fd]) == (None, [sum(other)] * 2)
        assert c.call("p:all.held") == (None, [changed] * 2)
        assert c.value("p:all.hold_changed", data) == [True, True]
        assert c.value("p:all.sum", other) == [sum(other)] * 2
        assert c.call("p:all.held") == (None, [changed] * 2)
        assert c.value("p:all.hold_changed", b"small") == [False, False]


def test_many_descriptors_at_many_places(start):
    daemon = start({"p": {"workers": 2}})
    with FdsClient(daemon.address) as c:
        data = [pattern(100_000 + i, i) for i in range(6)]
        fds = lambda: [memfd(d) for d in data]
        refs = [ref(0, len(d)) for d in data]
        assert c.call_with("p.echo", [refs, 7], fds()) == (None, [data, 7])
        assert c.call_with("p.echo", [{"a": refs[0], "b": [refs[1]]}], fds()[:2]) == (None, {"a": data[0], "b": [data[1]]})
        assert c.call_with("p:map.echo", [refs], fds()) == (None, data)
        assert c.call_with("p:all.echo", refs[:1], fds()[:1]) == (None, data[:1] * 2)
        assert c.call_with("objpool.call", ["p:map", "echo", [[1, 2]], {"bind": refs[:1], "kwargs": {"k": refs[1:3]}}], fds()[:3]) == (
            None, [{"args": [data[0], i], "kwargs": {"k": k}} for i, k in ((1, data[1]), (2, data[2]))])
        assert c.call_with("objpool.call", ["p", "echo", [1], {"bind": refs[:1], "timeout_ms": 20000}], fds()[:1]) == (None, [data[0], 1])
        assert c.call_with("p.echo", [refs[0], data[1]], fds()[:1]) == (None, data[:2])
        assert c.value("p.echo", data[0]) == data[0]
        calls = [c.start_with("p.echo", [r], [fd]) for r, fd in zip(refs, fds())]
        assert [c.wait(call) for call in calls] == [(None, d) for d in data]


def test_exts_by_descriptor(start):
    daemon = start({"p": {"workers": 2}})
    with FdsClient(daemon.address) as c:
        for code in (0, 1, 81, 127):
            data = pattern(100_000, code)
            ext = msgpack.ExtType(code, data)
            assert c.call_with("p.echo", [ref(0, len(data), code)], [memfd(data)]) == (None, ext)
            assert c.call_with("p.echo", [[1, ref(5, 7, code)]], [memfd(data)]) == (None, [1, msgpack.ExtType(code, data[5:12])])
            assert c.call_with("p:all.echo", [ref(0, len(data), code)], [memfd(data)]) == (None, [ext, ext])
        assert c.descriptors > 0


def test_a_value_that_looks_like_a_descriptor_is_a_value(start):
    daemon = start({"p": {}})
    look_alike = ref(0, 8)
    with FdsClient(daemon.address) as c, daemon.client() as other:
        assert other.value("p.set", look_alike) is None
        assert c.value("p.get") == other.value("p.get") == look_alike
        assert c.value("p.blob", 100_000) == other.value("p.blob", 100_000)
        assert c.descriptors == 1


def test_what_a_client_does_wrong_with_descriptors(start):
    daemon = start()
    with FdsClient(daemon.address) as c, daemon.client() as other:
        other.value("p:all.calls")
        census = Census(daemon, other)
        data = pattern(100_000)
        good = lambda: memfd(data)
        echo = lambda r, fds: c.call_with("p.echo", [r], fds)
        pipe = os.pipe()
        wrong = [memfd(data, 0), memfd(data, fcntl.F_SEAL_GROW), os.open("/dev/zero", os.O_RDONLY), os.open(__file__, os.O_RDONLY), *pipe]
        for fd in wrong:
            error, _ = echo(ref(0, 1000), [fd])
            assert "BAD_ARGUMENT" in error
        for place in ((1, 100_000), (100_001, 0), (2**63, 1), (0, 2**63), (2**48, 10), (2**64 - 1, 2)):
            error, _ = echo(ref(*place), [good()])
            assert "BAD_ARGUMENT" in error or "TOO_LARGE" in error
        assert "BAD_REQUEST" in echo(ref(0, 10), [])[0]
        assert "BAD_REQUEST" in c.call_with("p.echo", [ref(0, 10), ref(0, 10)], [good()])[0]
        assert "BAD_REQUEST" in c.call_with("p.echo", [ref(0, 10)] * 65, [good() for _ in range(65)])[0]
        assert echo(ref(0, 10), [good(), good(), good()]) == (None, data[:10])
        assert echo(5, [good()]) == (None, 5)
        assert echo(ref(0, 11), [good()]) == (None, data[:11])
        assert "BAD_ARGUMENT" in c.call_with("objpool.ping", [ref(0, 10)], [good()])[0]
        assert "NO_SUCH_METHOD" in c.call_with("p.nonsense", [ref(0, 10)], [good()])[0]
        assert "BAD_ARGUMENT" in c.call_with("objpool.call", ["p:all", "echo", [ref(0, 10)], {"sticky": "append"}], [good()])[0]
        c.send_fds(msgpack.packb([2, "p.echo", [ref(0, 10)]]), [good()])
        c.notify("objpool.give_back", 12345, "x")
        assert echo(ref(0, 100_000), [good()]) == (None, data)
        census.check()


def test_the_log_tells_of_notifications_that_are_dropped(start):
    daemon = start(daemon={"log_level": "debug"})
    with FdsClient(daemon.address) as c:
        c.notify("objpool.give_back", [0])
        c.notify("objpool.drop")
        daemon.wait_log("session 1: the notification objpool.give_back is dropped")
        daemon.wait_log("session 1 notification 0, objpool.drop: refused: BAD_ARGUMENT: ")
        assert c.value("objpool.ping", 1) == [1]


def test_a_message_with_too_many_descriptors_is_refused_and_takes_all_of_them(start):
    data = [pattern(100, i) for i in range(65)]
    with FdsClient(start({"p": {"workers": 1}}).address) as c:
        for count in 64, 65:
            error, value = c.call_with("p.echo", [[ref(0, 100) for _ in data[:count]]], [memfd(d) for d in data[:count]])
            assert value == data[:64] if count == 64 else error == "BAD_REQUEST: more than 64 descriptors in a message"
            assert c.call_with("p.echo", [ref(0, 7)], [memfd(b"the one")]) == (None, b"the one")


def test_a_descriptor_that_a_message_had_no_value_for_is_not_the_nexts(start):
    with FdsClient(start({"p": {"workers": 1}}).address) as c:
        for _ in range(3):
            assert c.call_with("p.echo", [1], [memfd(b"nobody's")]) == (None, 1)
            assert c.call_with("p.echo", [ref(0, 7)], [memfd(b"the one")]) == (None, b"the one")


def test_too_many_descriptors_end_the_connection(start):
    daemon = start()
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        with FdsClient(daemon.address) as greedy:
            fd = memfd(b"x")
            message = msgpack.packb([0, 1, "p.echo", ["x" * 100]])
            try:
                for byte in message[:-1]:
                    socket.send_fds(greedy.socket, [bytes([byte])], [fd] * 100)
                assert greedy.wait(0)[0]
            except (BrokenPipeError, ConnectionResetError, EOFError):
                pass
            os.close(fd)
        census.check()


def test_clients_that_vanish_with_descriptors(start):
    daemon = start()
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        data = pattern(MIB)
        for _ in range(5):
            gone = FdsClient(daemon.address, give_back=False)
            for _ in range(4):
                gone.start_with("p.echo", [ref(0, MIB)], [memfd(data)])
            message = msgpack.packb([0, 1000, "p.echo", [ref(0, MIB), bytes(300_000)]])
            gone.send_fds(message[:200_000], [memfd(data)])
            gone.close()
        census.check()


def test_workers_killed_with_a_clients_descriptors(start):
    daemon = start({"p": {"workers": 2}})
    with FdsClient(daemon.address) as c, daemon.client() as other:
        other.value("p:all.calls")
        census = Census(daemon, other)
        data = pattern(MIB)
        for _ in range(3):
            pids = living(other)
            calls = [c.start_with("p.echo", [ref(0, MIB)], [memfd(data)]) for _ in range(8)]
            os.kill(pids[0], signal.SIGKILL)
            assert all(value == data or "WORKER_LOST" in error for error, value in map(c.wait, calls))
            wait_for(lambda: pids[0] not in daemon.pids(other), lambda: "a new worker")
        census.check()


def test_results_that_are_not_given_back(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as other:
        other.value("p:all.calls")
        census = Census(daemon, other)
        with FdsClient(daemon.address, give_back=False) as c:
            for i in range(40):
                data = pattern(MIB, i)
                assert c.value("p.echo", data) == data
            assert 0 < c.descriptors <= 16
            assert other.value("p.echo", data) == data
        census.check()


class Spy(FdsClient):
    """Keeps a descriptor of each file that it gets."""

    def __init__(self, address):
        self.seen = []
        super().__init__(address)

    def fill(self, value):
        self.seen += [os.dup(fd) for fd in self.got]
        return super().fill(value)

    def close(self):
        for fd in self.seen:
            os.close(fd)
        super().close()


@pytest.mark.parametrize("kind", [Client, FdsClient])
def test_nobody_sees_what_others_were_answered(start, kind):
    """All of a descriptor's file, not only what was answered in it: the worker fills the same file again, but not to its end."""
    daemon = start({"p": {"workers": 1}})
    secret, shown = b"secret" * 166_000, b"public" * 100_000
    with kind(daemon.address) as c, Spy(daemon.address) as spy:
        for _ in range(3):
            assert c.value("p.echo", secret) == secret
            assert spy.value("p.echo", shown) == shown
        assert spy.value("p.blob", 3 * MIB)
        assert c.value("p.echo", secret) == secret
        assert spy.seen
        for fd in spy.seen:
            assert b"secret" not in os.pread(fd, 4 * MIB, 0)


def test_nobody_can_change_what_was_answered(start):
    """By none of the ways to a file's bytes. Else a client could change what the worker answers next, in the same file."""
    with Spy(start({"p": {"workers": 1}}).address) as c:
        c.value("p.blob", MIB)
        assert c.seen
        fd = c.seen[0]
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        assert seals & fcntl.F_SEAL_SHRINK and seals & fcntl.F_SEAL_GROW and seals & fcntl.F_SEAL_SEAL
        for write in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 64 * MIB),
                      lambda: mmap.mmap(fd, MIB, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)):
            with pytest.raises(PermissionError):
                write()
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        with pytest.raises(PermissionError):
            os.pwrite(again, b"x", 0)
        os.close(again)


class Spy(FdsClient):
    """Keeps every descriptor that it gets."""

    def __init__(self, address):
        self.seen = []
        super().__init__(address)

    def fill(self, value):
        self.seen += [os.dup(fd) for fd in self.got]
        return super().fill(value)

    def files(self):
        files = [os.pread(fd, 8 * MIB, 0) for fd in self.seen]
        for fd in self.seen:
            os.close(fd)
        return files


def test_nobody_sees_what_others_are_answered_later(start):
    """He has the file still, although he has given it back."""
    daemon = start({"p": {"workers": 1}})
    secret, shown = b"secret" * (MIB // 6), b"public" * (MIB // 6)
    with FdsClient(daemon.address) as c, daemon.client() as plain, Spy(daemon.address) as spy:
        for other in c, plain:
            assert spy.value("p.echo", shown) == shown
            spy.value("objpool.ping")  # behind what it gives back
            assert other.value("p.echo", secret) == secret
        files = spy.files()
        assert files and not any(b"secret" in file for file in files)


def test_nobody_sees_what_others_were_answered_by_bytes(start):
    daemon = start({"p": {"workers": 1}})
    secret, shown = b"secret" * (MIB * 19 // 60), b"public" * (MIB * 11 // 60)
    with daemon.client() as plain, Spy(daemon.address) as spy:
        for _ in range(3):
            assert plain.value("p.echo", secret) == secret
            assert spy.value("p.echo", shown) == shown
        assert not any(b"secret" in file for file in spy.files())


def test_streams_and_fed_items_with_descriptors(start):
    daemon = start()
    with FdsClient(daemon.address) as c:
        data = [pattern(200_000, i) for i in range(2)]
        call = c.start("objpool.call", "p:map", "echo", None, {"stream": True, "errors": "collect"})
        assert c.receive()[1] == "objpool.credit"
        c.send_fds(msgpack.packb([2, "objpool.feed", [call, [ref(0, len(d)) for d in data]]]), [memfd(d) for d in data])
        c.notify("objpool.feed_end", call)
        results = {}
        while (message := c.receive())[0] != 1:
            if message[1] == "objpool.result":
                results[message[2][1]] = message[2][3]
        assert message[3] == {"items": 2, "failed": 0} and results == dict(enumerate(data))
        for errors in ("wait", "collect"):
            got = c.full("p:all", "echo", [data[0]], errors=errors)
            assert got == (None, [data[0]] * 2 if errors == "wait" else [[None, data[0]]] * 2)
        assert c.descriptors > 0
