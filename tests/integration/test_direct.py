# SPDX-License-Identifier: Apache-2.0
"""Direct channels: sockets between a client and one instance's worker, and rings beside them."""
import array
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import random
import re
import signal
import socket
import time

import msgpack
import pytest

from harness import DEADLINE, Client, wait_for
from rings import RingSocket, library, offered
from test_descendants import FAMILY, has_channel
from test_descriptors import lingering, send_with

CLASSES = pathlib.Path(__file__).parent / "classes"
SLOW_END = {"plugin": "python", "class": "slow_end:SlowEnd", "python_path": json.dumps([str(CLASSES)]), "workers": 1}


@pytest.fixture(autouse=True, params=["socket", "rings"])
def through(request, monkeypatch):
    """What bytes of the channels go through."""
    monkeypatch.setattr(Owner, "rings", request.param == "rings")
    library()       # is compiled before something waits for it


class Channel(Client):
    """A direct channel: as a connection, and counts what it sends."""

    def __init__(self, fd, answer, rings):
        self.socket = socket.socket(fileno=fd)
        self.socket = RingSocket(self.socket) if rings else self.socket
        self.deadline = DEADLINE
        self.socket.settimeout(DEADLINE)
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)
        self.answers, self.order, self.notes, self.sent = {}, [], [], 0
        self.ids, self.polite = itertools.count(1), True
        self.slot, self.generation, self.number = answer["slot"], answer["generation"], answer["channel"]

    def start(self, method, *params, msgid=None):
        self.sent += 1
        return super().start(method, *params, msgid=msgid)

    @contextlib.contextmanager
    def together(self):
        """What is sent meanwhile leaves in one piece."""
        pieces, self.send_raw = [], lambda data: pieces.append(data)
        yield
        del self.send_raw
        self.send_raw(b"".join(pieces))

    def notify(self, method, *params):
        self.sent += 1
        super().notify(method, *params)

    def receive(self):
        while (message := super().receive()) is not None and message[0] == 2:
            self.notes.append(message)
            if message[1] == "objpool.closing" and self.polite:
                self.socket.shutdown(socket.SHUT_WR)
        return message

    def receive_note(self):
        """The next thing that comes, which is objpool.closing: its reason."""
        message = Client.receive(self)
        assert message[:2] == [2, "objpool.closing"]
        return message[2][0]

    def full(self, method, *args, **options):
        return self.call("objpool.call", None, method, list(args), options)

    def rest(self):
        """All that still comes."""
        while (message := self.receive()) is not None:
            self.answers[message[1]] = tuple(message[2:])
        return self.answers


class Owner(Client):
    """A client of the daemon that takes descriptors."""

    rings = False

    def __init__(self, daemon, **hello):
        super().__init__(daemon.address)
        self.files = []
        self.value("objpool.hello", {"fds": True, "errors": "map", **hello})

    def receive(self):
        while True:
            for message in self.unpacker:
                return message
            data, control, _, _ = self.socket.recvmsg(1 << 18, socket.CMSG_SPACE(64 * 4))
            for _, _, fds in control:
                got = array.array("i")
                got.frombytes(fds[:len(fds) - len(fds) % got.itemsize])
                self.files += got
            if not data:
                return None
            self.unpacker.feed(data)

    def attach(self, pool, slot=None):
        answer = self.value("objpool.attach", pool, slot, {"rings": self.rings})
        return Channel(self.files.pop(0), answer, self.rings)


def slot_of(client, number=0, pool="p"):
    return client.value("objpool.status", pool)["pools"][0]["slots"][number]


def is_stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def wait_running(client, method, number=0):
    wait_for(lambda: slot_of(client, number)["running"] == method, lambda: f"{method} to run")


def test_calls(start):
    daemon = start({"p": {"workers": 2}})
    with Owner(daemon) as client:
        assert client.value("objpool.hello")["protocol"] == [1, 2]
        with client.attach("p") as channel:
            assert channel.value("echo", 7) == 7
            assert channel.value("slot") == channel.slot
            assert channel.value("session") == client.value("objpool.hello")["session"]
            assert channel.full("echo", 1, kwargs={"a": 2}) == (None, {"args": [1], "kwargs": {"a": 2}})
            assert channel.full("echo", 1, timeout_ms=None) == (None, 1)
            assert channel.value("objpool.ping", "a", [1]) == ["a", [1]]
            channel.notify("set", 5)
            assert channel.value("get") == 5
            ids = [channel.start("add", n, 1) for n in range(1000)]
            assert [channel.wait(i)[1] for i in ids] == [n + 1 for n in range(1000)]
            assert channel.order[-1000:] == ids


def test_errors(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p", 0) as channel:
        place = {"pool": "p", "slot": 0, "generation": 1}
        assert channel.error("fail", "out of paper", "PrinterError") == {
            "code": "FAILED", "message": "out of paper", "ran": "yes", "type": "PrinterError", **place}
        error = channel.error("nothing")
        assert error == {"code": "NO_SUCH_METHOD", "message": 'class Probe has no method "nothing"', "ran": "no", **place}
        assert channel.error("objpool.status")["code"] == "NO_SUCH_METHOD"
        assert channel.error("add", 1, 2, 3)["code"] == "BAD_ARGUMENT"
        assert channel.full("echo", 1, window=3)[0]["message"] == 'there is no option "window" on a direct channel'
        assert channel.error("objpool.call", "p", "echo", [])["code"] == "BAD_REQUEST"
        channel.send_raw(msgpack.packb([0, 77, "echo", 5]))
        assert channel.wait(77)[0]["code"] == "BAD_REQUEST"
        deep = 1
        for _ in range(40):
            deep = [deep]
        assert channel.error("echo", deep)["code"] == "BAD_REQUEST"
        assert channel.value("echo", 1) == 1
    with Owner(daemon, errors="string") as client, client.attach("p") as channel:
        assert channel.error("fail", "no") == "FAILED: no"
    with Owner(daemon, errors="pair") as client, client.attach("p") as channel:
        assert channel.error("fail", "no") == [0, "FAILED: no"]


def test_who_may_attach(start):
    daemon = start({"p": {"workers": 1, "max_direct": 2}, "none": {"max_direct": 0}, "bad": {"kwargs": '{"fail": "no licence"}'}})
    with daemon.client().maps() as plain:
        assert plain.error("objpool.attach", "p")["code"] == "BAD_REQUEST"
    with daemon.client(daemon.tcp) as plain:
        plain.value("objpool.hello", {"fds": True, "errors": "map"})
        assert plain.error("objpool.attach", "p")["code"] == "BAD_REQUEST"
    with Owner(daemon) as client, contextlib.ExitStack() as stack:
        for arguments, code in [(["q"], "NO_SUCH_POOL"), (["p", 1], "NO_SUCH_SLOT"), (["none"], "DENIED"), (["bad"], "UNAVAILABLE"),
                                (["bad", 0], "UNAVAILABLE"), (["p", "x"], "BAD_ARGUMENT"), (["p", None, {"x": 1}], "BAD_ARGUMENT"),
                                ([], "BAD_ARGUMENT")]:
            assert client.error("objpool.attach", *arguments)["code"] == code, arguments
        client.notify("objpool.attach", "p")
        channels = [stack.enter_context(client.attach("p", None)) for _ in range(2)]
        assert client.error("objpool.attach", "p")["code"] == "OVERLOADED"
        error = client.error("objpool.attach", "p", 0)
        assert (error["code"], error["slot"]) == ("OVERLOADED", 0)
        assert slot_of(client)["direct"] == 2
        channels[0].close()
        assert client.value("objpool.detached", channels[0].number) == {"reason": "client", "begun": 0, "error": None}
        with client.attach("p") as channel:
            assert channel.value("echo", 1) == channels[1].value("echo", 1) == 1
        assert client.error("objpool.detached", 999)["code"] == "BAD_ARGUMENT"


def test_the_daemon_chooses_the_instance_with_the_fewest(start):
    daemon = start({"p": {"workers": 3}})
    with Owner(daemon) as client, contextlib.ExitStack() as stack:
        channels = [stack.enter_context(client.attach("p")) for _ in range(6)]
        assert sorted(channel.slot for channel in channels) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("how", ["crash", "kill", "exit"])
def test_the_workers_death(start, how):
    daemon = start({"p": {"workers": 2}})
    with Owner(daemon) as client, client.attach("p", 0) as channel:
        assert channel.value("echo", 1) == 1
        with channel.together():
            ids = [channel.start("echo", n) for n in range(3)]
            last = channel.start(*{"kill": ("sleep", 60), "crash": ("crash", 11), "exit": ("exit", 3)}[how])
            after = channel.start("echo", "never")
        if how == "kill":
            wait_running(client, "sleep")
            os.kill(slot_of(client)["pid"], signal.SIGKILL)
        answers = channel.rest()
        assert [answers[i] for i in ids] == [(None, n) for n in range(3)]
        assert last not in answers and after not in answers
        told = client.value("objpool.detached", channel.number)
        assert (told["reason"], told["begun"]) == ("lost", 5)
        error = told["error"]
        assert (error["code"], error["ran"], error["slot"], error["generation"], error["pool"]) == ("WORKER_LOST", "maybe", 0, 1, "p")
        assert error.get("signal", error.get("exit_status")) == {"crash": 11, "kill": 9, "exit": 3}[how]
        with client.attach("p", 1) as other:
            assert other.value("echo", 2) == 2
    status = wait_for(lambda: slot_of(Owner(daemon))["state"] == "ready", lambda: "the slot to come back")
    assert status


def test_detached_waits(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        waiting = client.start("objpool.detached", channel.number)
        assert client.error("objpool.detached", channel.number)["code"] == "BAD_REQUEST"
        assert channel.value("echo", 1) == 1
        channel.close()
        assert client.wait(waiting) == (None, {"reason": "client", "begun": 1, "error": None})


def test_garbage_closes_that_channel_only(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as good:
        for garbage in [b"\xc1", msgpack.packb({"a": 1}), msgpack.packb([0, -1, "echo", []])]:
            with client.attach("p") as bad:
                bad.send_raw(garbage)
                _, msgid, error, _ = bad.receive()
                assert (msgid, error["code"]) == (0, "BAD_REQUEST")
                assert bad.receive() is None
                assert client.value("objpool.detached", bad.number)["reason"] == "protocol"
            assert good.value("echo", 1) == 1


def test_large_messages(start):
    daemon = start({"p": {"workers": 1}}, daemon={"max_message": "1M"})
    with Owner(daemon) as client, client.attach("p") as channel:
        assert channel.value("sum", bytes(900_000)) == 0
        too_large = channel.start("sum", bytes(3_000_000))
        assert channel.wait(too_large)[0]["code"] == "TOO_LARGE"
        assert channel.value("echo", 1) == 1
        assert len(channel.value("blob", 1_000_000)) == 1_000_000
        error = channel.error("blob", 2_000_000)
        assert (error["code"], error["ran"]) == ("TOO_LARGE", "yes")
        assert channel.value("echo", 1) == 1


def test_half_a_frame_hurts_nobody(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel, client.attach("p") as half:
        message = msgpack.packb([0, 1, "echo", ["x" * 1000]])
        half.send_raw(message[:500])
        assert channel.value("echo", 1) == 1
        assert client.value("p.echo", 2) == 2
        half.send_raw(message[500:])
        assert half.wait(1) == (None, "x" * 1000)


def test_a_reader_that_stalls(start):
    """The worker stops beginning its calls, and serves everybody else."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel, client.attach("p") as other:
        with channel.together():
            for _ in range(100):
                channel.start("blob", 100_000)
        assert other.value("echo", 1) == 1
        assert client.value("p.echo", 2) == 2
        begun = slot_of(client)["calls"]
        assert begun < 60
        for number in range(1, 101):
            assert len(channel.wait(number)[1]) == 100_000


def memory_used(client):
    return client.value("objpool.status")["memory"]["used"]


def test_memory_of_channels_counts(start):
    """What a worker holds for a channel, in and out, counts for its client, as long as it is held."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as writer, client.attach("p") as reader:
        few = memory_used(client)
        message = msgpack.packb([0, 1, "sum", [bytes(20 << 20)]])
        writer.send_raw(message[:-1])
        wait_for(lambda: memory_used(client) > few + (20 << 20), lambda: "half a message to be counted")
        writer.send_raw(message[-1:])
        assert writer.wait(1) == (None, 0)
        wait_for(lambda: memory_used(client) < few + (4 << 20), lambda: "the message to be counted no more")
        blob = reader.start("blob", 20 << 20)
        wait_for(lambda: memory_used(client) > few + (10 << 20), lambda: "an answer that is not read to be counted")
        assert len(reader.wait(blob)[1]) == 20 << 20
        wait_for(lambda: memory_used(client) < few + (4 << 20), lambda: "the answer to be counted no more")
        writer.send_raw(message[:-1])
        wait_for(lambda: memory_used(client) > few + (20 << 20), lambda: "half a message to be counted again")
        writer.close()
        wait_for(lambda: memory_used(client) < few + (4 << 20), lambda: "what was closed to be counted no more")


def test_a_session_whose_channels_hold_too_much_is_closed(start):
    daemon = start({"p": {"workers": 1}}, {"max_memory": "16M"})
    with Owner(daemon) as client, Client(daemon.address) as other:
        channel = client.attach("p")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may be closed before all is sent
            channel.send_raw(msgpack.packb([0, 1, "sum", [bytes(30 << 20)]])[:-1])
        daemon.wait_log(r"session \d+ holds \d+ bytes, the daemon \d+, and max_memory is 16777216: closing the connection")
        assert channel.receive() is None
        channel.close()
        wait_for(lambda: memory_used(other) < 1 << 20, lambda: "what was closed to be counted no more")


def test_deadlines(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        error, left = channel.full("deadline", timeout_ms=5000)
        assert error is None and 1 < left <= 5
        assert channel.value("deadline") is None
        with channel.together():
            slow = channel.start("sleep", 0.05)
            late = channel.start("objpool.call", None, "set", [9], {"timeout_ms": 1})
        assert channel.wait(slow)[0] is None
        error, _ = channel.wait(late)
        assert (error["code"], error["ran"]) == ("TIMEOUT", "no")
        assert channel.full("echo", 1, timeout_ms=0)[0]["code"] == "TIMEOUT"
        assert channel.value("get") is None


def test_a_deadline_passes_also_while_the_class_does_something_that_is_no_call(start):
    daemon = start({"p": SLOW_END})
    with Owner(daemon) as client, client.attach("p") as channel:
        pid = slot_of(client)["pid"]
        with Client(daemon.address) as other:
            assert other.value("p.count") == 0
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: is_stopped(pid), lambda: "the worker to stop")
        wait_for(lambda: client.value("objpool.status", "p")["sessions"] == 1, lambda: "the session to end")
        late = channel.start("objpool.call", None, "count", [], {"timeout_ms": 100})
        os.kill(pid, signal.SIGCONT)
        error, _ = channel.wait(late)
        assert (error["code"], error["ran"]) == ("TIMEOUT", "no")
        assert channel.value("count") == 1


def test_cancel(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        assert channel.value("echo", 1) == 1
        with channel.together():
            running = channel.start("sleep", 60)
            waits, after = channel.start("set", 3), channel.start("get")
        wait_running(client, "sleep")
        assert client.value("objpool.cancel", channel.number, 2) is True
        assert client.value("objpool.cancel", channel.number, 0) is False
        assert client.value("objpool.cancel", channel.number, 1) is True
        assert channel.wait(running)[0]["code"] == "FAILED"
        error, _ = channel.wait(waits)
        assert (error["code"], error["ran"]) == ("CANCELLED", "no")
        assert channel.wait(after) == (None, None)
        assert client.value("objpool.cancel", channel.number, 1) is False
        assert client.error("objpool.cancel", 999, 1)["code"] == "BAD_ARGUMENT"
        for number in [-1, 2**40, 2**64 - 1]:
            assert client.error("objpool.cancel", channel.number, number)["code"] == "BAD_ARGUMENT"
        assert client.value("objpool.cancel", channel.number, 2**40 - 1) is True


def test_too_many_are_cancelled(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        first = channel.start("sleep", 60)
        ids = [channel.start("echo", n) for n in range(40)]
        wait_running(client, "sleep")
        got = [client.call("objpool.cancel", channel.number, n) for n in range(1, 40)]
        assert [error for error, _ in got[:32]] == [None] * 32
        assert got[32][0]["code"] == "OVERLOADED"
        assert client.value("objpool.cancel", channel.number, 0) is True
        channel.wait(first)
        assert [channel.wait(i)[0] is None for i in ids] == [False] * 32 + [True] * 8
        assert channel.value("echo", 1) == 1


def test_cancel_grace(start):
    daemon = start({"p": {"workers": 1, "cancel_grace": 0.05}})
    with Owner(daemon) as client, client.attach("p") as channel:
        channel.start("sleep_hard", 60)
        wait_running(client, "sleep_hard")
        assert client.value("objpool.cancel", channel.number, 0) is True
        assert channel.receive() is None
        error = client.value("objpool.detached", channel.number)["error"]
        assert error["signal"] == 9 and "cancel_grace" in error["message"]


def test_what_runs_is_cancelled_when_its_client_goes(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as other:
        client = Owner(daemon)
        channel = client.attach("p")
        channel.start("sleep", 60)
        channel.notify("set", 4)
        channel.start("set", 5)
        wait_running(other, "sleep")
        client.close()
        channel.close()
        wait_for(lambda: slot_of(other)["direct"] == 0, lambda: "the channel to end")
        assert other.value("p:0.get") == 4  # the notification was carried out, the request was not


def test_a_channel_ends_with_its_session(start):
    """Also when somebody keeps its descriptor."""
    daemon = start({"p": {"workers": 1}})
    client = Owner(daemon)
    channel = client.attach("p")
    assert channel.value("echo", 1) == 1
    client.close()
    assert channel.receive() is None
    with Owner(daemon) as other:
        wait_for(lambda: slot_of(other)["direct"] == 0, lambda: "the channel to end")


def test_status_metrics_and_the_slow_log(start):
    daemon = start({"p": {"workers": 1, "slow_log": 0.05}})
    with Owner(daemon) as client, client.attach("p") as channel:
        for n in range(20):
            channel.value("echo", n)
        channel.error("fail", "no")
        pool = client.value("objpool.status", "p")["pools"][0]
        assert (pool["calls"], pool["failures"], pool["slots"][0]["calls"], pool["slots"][0]["failures"]) == (21, 1, 21, 1)
        assert pool["methods"]["echo"]["calls"] == 20 and pool["methods"]["fail"]["failures"] == 1
        slow = channel.start("sleep", 0.4)
        wait_running(client, "sleep")
        assert client.value("objpool.status", "p")["pools"][0]["running"] == 1
        daemon.wait_log(r"slow: sleep has been running")
        channel.wait(slow)
        daemon.wait_log(r"slow: sleep took")
        text = client.value("objpool.metrics")
        assert re.search(r'objpool_pool_calls_total\{pool="p"\} 22\n', text), text
        assert 'objpool_pool_direct_channels{pool="p"} 1\n' in text


def test_max_calls(start):
    daemon = start({"p": {"workers": 1, "max_calls": 20}})
    with Owner(daemon) as client:
        channel = client.attach("p")
        calls = 0
        while not channel.notes:
            error, value = channel.call("calls")
            assert error is None
            calls += 1
            if calls > 20:
                wait_for(lambda: client.value("objpool.status", "p") and True, lambda: "")
        assert channel.notes == [[2, "objpool.closing", ["replaced"]]]
        assert channel.rest() == {}
        assert 18 <= calls < 2000
        assert client.value("objpool.detached", channel.number)["reason"] == "replaced"
        channel = wait_for(lambda: attach_or_none(client), lambda: "the successor")
        assert channel.value("calls") == 1


def test_restart_under_load(start):
    """A client that follows the protocol loses no call, and none is carried out twice."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, Owner(daemon) as admin:
        channel, restarting, closings, answered, sent = client.attach("p"), None, 0, 0, 0
        while closings < 4:
            if restarting is None:
                restarting = admin.start("objpool.restart", "p")
            ids = [channel.start("echo", n) for n in range(10)]
            sent += 10
            while not channel.notes and len(channel.answers) < 10:
                _, msgid, *answer = channel.receive() or (1, None, None, None)
                channel.answers[msgid] = answer
            if channel.notes:
                channel.rest()
                channel.answers.pop(None, None)
                begun = client.value("objpool.detached", channel.number)["begun"]
                sent -= channel.sent - begun  # these have not run: a client would send them again
                answered += len(channel.answers)
                channel.close()
                closings += 1
                assert admin.wait(restarting)[0] is None
                restarting = None
                channel = wait_for(lambda: attach_or_none(client), lambda: "an instance")
            else:
                assert [channel.answers.pop(i) for i in ids] == [[None, n] for n in range(10)]
                answered += 10
        assert answered == sent
        channel.close()


def attach_or_none(client):
    error, answer = client.call("objpool.attach", "p", None, {"rings": client.rings})
    assert error is None or error["code"] in ("UNAVAILABLE", "OVERLOADED"), error
    return Channel(client.files.pop(0), answer, client.rings) if error is None else None


@pytest.mark.parametrize("what, reason", [("restart", "replaced"), ("scale", "removed"), ("drop", "removed"), ("refuse", "refused"),
                                          ("pause", "paused"), ("stop", "stopping")])
def test_closing(start, what, reason):
    daemon = start({"p": {"workers": 2}})
    with Owner(daemon) as client, Owner(daemon) as admin, client.attach("p", 1) as channel:
        slow = channel.start("sleep", 0.1)
        last = channel.start("echo", "last")
        if what == "restart":
            asked = admin.start("objpool.restart", "p")
        elif what == "scale":
            asked = admin.start("objpool.scale", "p", 1)
        elif what == "drop":
            asked = admin.start("objpool.drop", "p")
        elif what == "pause":
            asked = admin.start("objpool.pause", "p")
        elif what == "refuse":
            daemon.pools["p"]["max_direct"] = 0
            daemon.write_config()
            asked = admin.start("objpool.reload")
        else:
            asked = admin.start("objpool.shutdown")
        detached = client.start("objpool.detached", channel.number)  # now: the daemon may stop right after the channel's end
        answers = channel.rest()
        assert channel.notes == [[2, "objpool.closing", [reason]]]
        assert answers[slow][0] is None and answers[last] == (None, "last")
        assert client.wait(detached) == (None, {"reason": reason, "begun": 2, "error": None})
        assert admin.wait(asked)[0] is None
    if what == "stop":
        assert daemon.process.wait(DEADLINE) == 0


def test_a_client_that_does_not_close(start):
    daemon = start({"p": {"workers": 1, "stop_timeout": 0.1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        channel.polite = False
        assert client.value("objpool.restart", "p") == {"restarted": 1}
        assert channel.rest() == {}
        assert channel.notes == [[2, "objpool.closing", ["replaced"]]]


def test_a_client_that_is_idle_delays_nothing(start):
    """It reads nothing, so it does not hear that the channel closes. What it sent before is answered; what it sends then fails."""
    daemon = start({"p": {"workers": 1, "stop_timeout": 60}})
    with Owner(daemon) as client, client.attach("p") as channel:
        channel.polite = False
        slow = channel.start("sleep", 0.2)
        ids = [channel.start("echo", i) for i in range(20)]
        assert client.value("objpool.restart", "p") == {"restarted": 1}
        with pytest.raises(BrokenPipeError):
            channel.start("echo", 1)
        answers = channel.rest()
        assert [answers[i][1] for i in [slow, *ids]] == [0.2, *range(20)]
        assert client.value("objpool.detached", channel.number)["begun"] == 21


def test_leases(start):
    daemon = start({"p": {"workers": 2}})
    with Owner(daemon) as client, Owner(daemon) as holder, client.attach("p", 0) as channel:
        assert holder.value("objpool.lease", "p")["slot"] == 1  # rather the one without channels
        asked = holder.start("objpool.lease", "p", {"slot": 0})
        assert channel.rest() == {} and channel.notes == [[2, "objpool.closing", ["leased"]]]
        assert holder.wait(asked)[1]["slot"] == 0
        assert client.error("objpool.attach", "p", 0)["code"] == "UNAVAILABLE"
        assert client.error("objpool.attach", "p")["code"] == "UNAVAILABLE"
        with holder.attach("p", 0) as own:
            assert own.value("echo", 1) == 1
            holder.value("objpool.release", "p", 0)
            assert own.value("echo", 1) == 1
        with client.attach("p") as channel:
            assert channel.slot == 0


def test_a_lease_of_any_instance_ends_the_channels_of_one(start):
    daemon = start({"p": {"workers": 3}})
    with Owner(daemon) as client, Owner(daemon) as one, Owner(daemon) as two, contextlib.ExitStack() as stack:
        channels = [stack.enter_context(client.attach("p", n)) for n in range(3)]
        for channel in channels:
            channel.polite = False  # the leases wait
        told = time.monotonic()
        asked = one.start("objpool.lease", "p")
        assert channels[0].receive_note() == "leased"
        assert client.error("objpool.attach", "p", 0)["code"] == "UNAVAILABLE"
        with client.attach("p") as another:
            assert another.slot != 0 and another.value("echo", 1) == 1
        assert [channel.value("echo", 1) for channel in channels[1:]] == [1, 1]
        assert [channel.notes for channel in channels[1:]] == [[], []]
        second = two.start("objpool.lease", "p")
        assert channels[1].receive_note() == "leased"
        assert channels[2].value("echo", 1) == 1 and channels[2].notes == []
        channels[1].close()
        first = one.wait(asked)[1]["slot"]      # it is the older one; a tenth of a second after its note the worker closes channel 0
        assert first == 1 or time.monotonic() - told > 0.1
        channels[0].close()
        assert two.wait(second)[1]["slot"] == 1 - first
        assert channels[2].value("echo", 1) == 1 and channels[2].notes == []


def test_a_lease_that_gives_up_leaves_the_instance_to_others(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, Owner(daemon) as holder, client.attach("p") as channel:
        channel.polite = False
        asked = holder.start("objpool.lease", "p")
        assert channel.receive_note() == "leased"
        assert client.error("objpool.attach", "p")["code"] == "UNAVAILABLE"
        holder.value("objpool.release", "p")
        assert holder.wait(asked)[0]["code"] == "CANCELLED"
        with client.attach("p") as another:
            assert another.value("echo", 1) == 1


def test_a_lease_whose_time_is_over_ends_its_channels(start):
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as holder:
        holder.value("objpool.lease", "p", {"lease_ms": 50})
        with holder.attach("p", 0) as channel:
            assert channel.rest() == {} and channel.notes == [[2, "objpool.closing", ["lease"]]]
        assert holder.error("objpool.attach", "p", 0)["code"] == "WORKER_LOST"


def test_fair_turns(start):
    """A flood on one channel holds up neither other channels nor the daemon's calls."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as flood, client.attach("p") as other:
        flood.send_raw(msgpack.packb([2, "sleep", [0.001]]) * 600)
        assert other.value("echo", 1) == 1
        assert client.value("p.echo", 2) == 2
        ids = [client.start("p.echo", n) for n in range(5)]
        for n in range(5):
            assert other.value("echo", n) == n
        assert [client.wait(i)[1] for i in ids] == list(range(5))
        assert client.value("objpool.status", "p")["pools"][0]["slots"][0]["calls"] < 550


def test_fair_turns_when_no_method_is_called(start):
    if Owner.rings:
        pytest.skip("a ring holds no more than a turn's messages")
    daemon = start({"p": {"workers": 1}})
    nothing = msgpack.packb([1, 1, None, None]) * 25_000  # answers to what nobody has asked
    with Owner(daemon) as client, client.attach("p") as flood, client.attach("p") as other:
        pid = slot_of(client)["pid"]
        assert flood.value("sum", bytes(400_000)) == 0  # its buffer has grown: what follows is read at once
        for _ in range(6):  # who is first changes
            assert other.value("set", None) is None
            os.kill(pid, signal.SIGSTOP)
            wait_for(lambda: is_stopped(pid), lambda: "the worker to stop")
            flood.send_raw(nothing + msgpack.packb([2, "set", [5]]))
            asked = other.start("get")
            os.kill(pid, signal.SIGCONT)
            assert other.wait(asked) == (None, None)
            assert flood.value("get") == 5


def test_a_slow_call_does_not_hold_back_what_another_instance_can_do(start):
    daemon = start({"p": {"workers": 2}})
    with Owner(daemon) as client, client.attach("p", 0) as channel:
        slow = channel.start("sleep", 1)
        wait_running(client, "sleep")
        ids = [client.start("p.slot") for _ in range(50)]
        assert {client.wait(i)[1] for i in ids} == {1}
        assert slow not in channel.answers
        channel.wait(slow)


def test_methods(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        assert channel.value("relay", "q.add", 1, 2) == 3
        error = channel.error("relay", "p.add", 1, 2)
        assert "would wait for itself" in error["message"]
        assert channel.value("relay", "q.echo", 5) == 5
        assert channel.full("progress", 3, 0.2, progress=True) == (None, 3)
        assert channel.notes[-1][:2] == [2, "objpool.progress"] and channel.notes[-1][2][1:] == [3, 3, None]
        waiting = channel.start("relay", "q.sleep", 60)
        wait_for(lambda: client.value("objpool.status", "q")["pools"][0]["slots"][0]["running"], lambda: "the nested call")
        assert client.value("objpool.cancel", channel.number, channel.sent - 1) is True
        assert channel.wait(waiting)[0] is not None


def test_threads(start):
    daemon = start({"p": {"workers": 2, "isolation": "thread"}})
    with Owner(daemon) as client, client.attach("p", 0) as a, client.attach("p", 1) as b:
        assert (a.value("slot"), b.value("slot")) == (0, 1)
        assert a.value("pid") == b.value("pid")


def test_descriptors(start):
    """They are bounded and counted, and a method's children don't inherit them."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client:
        pid = slot_of(client)["pid"]
        client.attach("p").close()
        wait_for(lambda: slot_of(client)["direct"] == 0, lambda: "the channel to end")
        before = daemon.descriptors(), daemon.descriptors(pid)
        channels = [client.attach("p") for _ in range(16)]
        assert [channel.value("echo", 1) for channel in channels] == [1] * 16
        assert daemon.descriptors(pid) == before[1] + 16 * (3 if client.rings else 1)
        assert daemon.descriptors() == before[0]
        for channel in channels:
            channel.close()
        wait_for(lambda: slot_of(client)["direct"] == 0, lambda: "the channels to end")
        assert (daemon.descriptors(), daemon.descriptors(pid)) == before
        for _ in range(100):
            wait_for(lambda: attach_or_none(client), lambda: "room for a channel").close()
        wait_for(lambda: slot_of(client)["direct"] == 0, lambda: "the channels to end")
        assert (daemon.descriptors(), daemon.descriptors(pid)) == before


def test_descriptors_are_not_taken(start):
    """One whose closing takes long holds up nobody."""
    daemon = start({"p": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as good, client.attach("p") as bad:
        assert good.value("echo", 1) == bad.value("echo", 1) == 1
        before = daemon.descriptors(slot_of(client)["pid"])
        sender, reader = lingering()
        with sender, reader:  # the reader is closed first, so that the sender's close does not wait
            try:
                send_with(bad, msgpack.packb([0, 1, "echo", [1]]), sender.fileno())
            except PermissionError:  # since Linux 6.16
                assert bad.value("echo", 1) == 1
            else:
                sender.close()
                assert good.value("echo", 1) == 1
                _, msgid, error, _ = bad.receive()
                assert (msgid, error["code"]) == (0, "BAD_REQUEST")
                assert bad.receive() is None
                assert client.value("objpool.detached", bad.number)["reason"] == "protocol"
        bad.close()
        assert client.value("objpool.detached", bad.number)["reason"] in ["client", "protocol"]
        wait_for(lambda: daemon.descriptors(slot_of(client)["pid"]) == before - (3 if client.rings else 1), lambda: "the descriptors to be closed")


def test_a_methods_children_do_not_inherit_it(start):
    daemon = start({"p": FAMILY})
    with Owner(daemon) as client, client.attach("p") as channel:
        child = channel.value("fork")
        wait_for(lambda: not has_channel(child), lambda: "the child to close what it has inherited")
        channel.close()
        assert client.value("objpool.detached", channel.number)["reason"] == "client"


def test_a_worker_that_does_not_react_is_replaced_all_the_same(start):
    daemon = start({"p": {"workers": 1, "stop_timeout": 0.1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        assert channel.value("echo", 1) == 1
        os.kill(slot_of(client)["pid"], signal.SIGSTOP)
        unanswered = channel.start("echo", 2)
        assert client.value("objpool.restart", "p") == {"restarted": 1}
        assert unanswered not in channel.rest()
        told = client.value("objpool.detached", channel.number)
        assert (told["reason"], told["begun"], told["error"]["signal"]) == ("lost", 1, 9)


def test_an_instance_with_direct_calls_is_not_idle(start):
    daemon = start({"p": {"workers": 2, "workers_min": 1, "workers_max": 2, "idle_timeout": 1}})
    with Owner(daemon) as client, client.attach("p", 0) as other, client.attach("p", 1) as channel:
        asked = other.start("sleep", 1.3)
        channel.value("sleep", 1.3)
        other.wait(asked)
        assert channel.notes == []              # it was told nothing before its answer
        assert channel.rest() == {} and channel.notes == [[2, "objpool.closing", ["removed"]]]  # now it is


def test_hostile_bytes(start):
    """Whatever comes on a channel, the instance lives on."""
    daemon = start({"p": {"workers": 1}})
    dice = random.Random(7)
    messages = [[0, 1, "echo", [1, "x" * 40, {"a": [1.5, None]}]], [2, "set", [b"y" * 30]],
                [0, 2, "objpool.call", [None, "echo", [1], {"kwargs": {"k": 1}, "timeout_ms": 50}]]]
    with Owner(daemon) as client:
        pid = slot_of(client)["pid"]
        for _ in range(150):
            with wait_for(lambda: attach_or_none(client), lambda: "room for a channel") as channel:
                data = bytearray(b"".join(msgpack.packb(message) for message in messages))
                for _ in range(dice.randrange(1, 6)):
                    data[dice.randrange(len(data))] = dice.randrange(256)
                channel.send_raw(bytes(data))
                if dice.random() < 0.5:
                    channel.socket.shutdown(socket.SHUT_WR)
        with wait_for(lambda: attach_or_none(client), lambda: "room for a channel") as channel:
            assert channel.value("echo", 1) == 1
        assert slot_of(client)["pid"] == pid


def test_a_reload_that_takes_the_right_away_closes_the_channel(start):
    token = "secret"
    users = f"[user a]\ntoken_sha256 = {hashlib.sha256(token.encode()).hexdigest()}\ncall = p.* q.*\ndirect = p q\n"
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, users=users)
    with Owner(daemon, token=token) as client, client.attach("p") as closed, client.attach("q") as kept:
        assert closed.value("echo", 1) == 1
        daemon.users = users.replace("direct = p q", "direct = p q\ndeny = p.pid")
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        assert closed.receive_note() == "refused"
        closed.socket.shutdown(socket.SHUT_WR)
        assert client.value("objpool.detached", closed.number)["reason"] == "refused"
        assert kept.value("echo", 2) == 2
        assert client.error("objpool.attach", "p")["right"] == "direct"
        assert client.error("p.pid")["code"] == "DENIED" and client.value("p.echo", 3) == 3
