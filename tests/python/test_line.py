# SPDX-License-Identifier: Apache-2.0
"""Small calls by the extension module, and by the Python code alone: what goes and what comes is the same."""
import array
import concurrent.futures
import math
import os
import random
import signal
import socket
import threading
import time

import msgpack
import pytest

import harness
import objpool
from objpool import _connection, _line
from objpool._entry import Entry

pytestmark = pytest.mark.skipif(_line.line_class() is None, reason="there is no objpool_wire for this Python")

VALUES = [
    None, True, False, 0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 2**31, -2**31 - 1, 2**63 - 1, -2**63, 2**63, 2**64 - 1, 2**70,
    0.0, -0.0, 1.5, math.inf, -math.inf, 1e300, "", "a", "é" * 20, "x" * 31, "x" * 32, "x" * 300, "x" * 70000, "\ud800", b"", b"a" * 255,
    b"a" * 256, b"a" * 9000, bytearray(b"ab"), [], [1, "a", None], [[1]] * 20, [[[[[[[[1]]]]]]]], [[[[[[[[[[1]]]]]]]]]], (), (1, (2, 3)), {},
    {"a": 1}, {1: 2, None: 3, True: 4, 1.5: 5, b"k": 6}, {str(i): i for i in range(40)}, list(range(5000)), {(1, 2): 3}, {1, 2}, 1j, [{"a": [{}]}],
]


class Small(int):
    """No plain value."""


@pytest.fixture
def left(monkeypatch):
    """left(connection): the methods of calls that the module has left to the Python code, from now on."""
    def watch(connection):
        line, methods = connection._line, []

        def call(entry, method, params):
            value = line(entry, method, params)
            if value is entry:
                methods.append(method)
            return value
        connection._line = call
        return methods
    return watch


@pytest.fixture
def by_python(monkeypatch, daemon):
    """A client that has no extension module."""
    with monkeypatch.context() as patch:
        patch.setattr(_line, "line_class", lambda: None)
        client = objpool.connect(daemon.address)
    with client:
        assert client._connected()._line is _line.no_line
        yield client


def same(a, b):
    return type(a) is type(b) and repr(a) == repr(b)


def outcome(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except objpool.ObjpoolError as error:
        return type(error), error.ran, error.message


@pytest.mark.parametrize("direct", [False, True])
def test_values_there_and_back(client, by_python, direct):
    ours, theirs = (c.pool("p").options(direct=direct) for c in (client, by_python))
    for value in [*VALUES, Small(5), math.nan]:
        assert same(outcome(ours.echo, value), outcome(theirs.echo, value)), value
        assert same(outcome(ours.echo, [value]), outcome(theirs.echo, [value])), value


def test_small_plain_calls_are_made_in_one_step(client, left):
    pool = client.pool("p")
    methods = left(client._connected())
    for value in (1, -5, 2.5, "text", b"bytes", None, True, [1, [2, (3, 4)]], {"a": {"b": 1}}):
        pool.echo(value)
    assert methods == []
    pool.echo("x" * 10000)
    pool.echo(2**70)
    assert methods == ["p.echo", "p.echo"]


def test_small_plain_calls_on_a_channel_are_made_in_one_step(client, left):
    pool = client.pool("p").options(direct=True)
    assert pool.echo(1) == 1
    methods = left(pool._route().choose())
    assert pool.echo([2]) == [2] and pool.echo(3, k=4) == pool.options(direct=False).echo(3, k=4)
    assert methods == []
    for name in ("no\0name", "no.name"):
        assert outcome(pool.call, name)[0] is objpool.NoSuchMethod


def test_errors(client, by_python):
    for c in (client, by_python):
        with pytest.raises(objpool.NoSuchMethod):
            c.pool("p").no_such_method()
        with pytest.raises(objpool.NoSuchPool):
            c.pool("none").echo(1)
        assert c.pool("p").echo(1) == 1


def test_threads_share_a_connection(client):
    pool = client.pool("p")

    def work(k):
        return all(pool.echo([k, i]) == [k, i] and (i % 3 or pool.echo.future(i).result(harness.DEADLINE) == i) for i in range(100))
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(4)))
    assert client._connected().pending == {}


def test_what_came_for_another_call_is_seen_by_a_thread_that_waits_for_it(play):
    """It lies in the connection, and nothing more comes from the socket."""
    asked = []

    def answer(peer, msgid, method):
        asked.append(msgid)
        if len(asked) == 2:
            peer.sock.send(response(asked[1], "second") + response(asked[0], "first")[:5])
            peer.sock.send(response(asked[0], "first")[5:])
    peer = play(answer)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        first = thread.submit(peer.connection.call, "p.echo", [])
        harness.wait_for(lambda: asked, lambda: "the first call")
        entry = Entry()
        peer.connection.start(entry, "p.echo", [])
        assert peer.connection.wait(entry, time.monotonic() + harness.DEADLINE)
        assert peer.connection.result(entry.message, entry) == "second"
        assert first.result(harness.DEADLINE) == "first"


# ---- a daemon that is played here ----


class Peer:
    """The other end of a connection: answers each request with answer(peer, msgid, method)."""

    def __init__(self, answer, **options):
        ours, self.sock = socket.socketpair()
        for name, value in options.items():
            ours.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        self.connection = _connection.Connection(ours, "unix:played", True)
        self.connection.on_hello({"fds": True, "fds_mark": 7})
        self.connection.open_line()
        self.answer, self.heard = answer, []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        unpacker = msgpack.Unpacker(strict_map_key=False)
        try:
            while data := self.sock.recv(65536):
                unpacker.feed(data)
                for message in unpacker:
                    self.heard.append(message)
                    if message[0] == 0:
                        self.answer(self, *message[1:3])
        except OSError:
            pass

    def close(self):
        self.connection.close()
        self.thread.join(harness.DEADLINE)
        self.sock.close()


@pytest.fixture(params=["module", "python"])
def play(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(_line, "line_class", lambda: None)
    peers = []

    def play(answer, **options):
        peers.append(Peer(answer, **options))
        return peers[-1]
    yield play
    for peer in peers:
        peer.close()


def response(msgid, value, error=None):
    return msgpack.packb([1, msgid, error, value])


def in_pieces(peer, msgid, method):
    """The socket's buffer is read between two pieces: each is sent when the one before has been read."""
    for byte in response(msgid, ["abc", {"k": 1}]):
        peer.sock.send(bytes([byte]))


def behind_others(peer, msgid, method):
    peer.sock.send(msgpack.packb([2, "objpool.progress", [msgid, 1, 2, None]]) + response(12345, "another's") +
                   response(msgid, ["abc", {"k": 1}]))


def with_a_descriptor(peer, msgid, method):
    with open(os.devnull) as file:
        peer.sock.sendmsg([response(msgid, ["abc", {"k": 1}])],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])


def and_the_end(peer, msgid, method):
    peer.sock.send(response(msgid, ["abc", {"k": 1}]))
    peer.sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("answer", [in_pieces, behind_others, with_a_descriptor, and_the_end])
def test_how_an_answer_comes(play, answer):
    peer = play(answer)
    for _ in range(1 if answer is and_the_end else 5):
        assert peer.connection.call("p.echo", [1]) == ["abc", {"k": 1}]
        assert peer.connection.pending == {} and not peer.connection._lead.locked()


ODD = {
    "an error": lambda msgid: response(msgid, None, {"code": "FAILED", "message": "no"}),
    "an object that can't be read": lambda msgid: response(msgid, msgpack.ExtType(80, b"pickle\0rubbish")),
    "a timestamp that is none": lambda msgid: response(msgid, 0)[:-1] + b"\xc7\x03\xffabc",
    "an array as a key": lambda msgid: response(msgid, 0)[:-1] + b"\x81\x91\x01\x02",
    "an unknown ext": lambda msgid: response(msgid, msgpack.ExtType(5, b"x")),
    "a float of 32 bits": lambda msgid: response(msgid, 0)[:-1] + b"\xca\x3f\x80\x00\x00",
    "text that is no UTF-8": lambda msgid: response(msgid, 0)[:-1] + b"\xa3a\xffb",
    "a msgid in 64 bits": lambda msgid: b"\x94\x01\xcf" + msgid.to_bytes(8, "big") + b"\xc0\x05",
    "deep": lambda msgid: response(msgid, 0)[:-1] + b"\x91" * 30 + b"\x01",
    "long": lambda msgid: response(msgid, ["x" * 100] * 1000),
    "no msgpack": lambda msgid: b"\xc1",
    "no response": lambda msgid: b"\x95\x01\x01\xc0\xc0\xc0",
    "the end": lambda msgid: b"",
    "too much at once": lambda msgid: response(msgid, 5) + b"\xc1",
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_answers(monkeypatch, odd):
    outcomes = []
    for by_module in (True, False):
        with monkeypatch.context() as patch:
            if not by_module:
                patch.setattr(_line, "line_class", lambda: None)
            data = ODD[odd]
            peer = Peer(lambda peer, msgid, method: peer.sock.send(data(msgid)) if data(1) else peer.sock.shutdown(socket.SHUT_RDWR))
        try:
            outcomes.append(outcome(peer.connection.call, "p.echo", [1]))
            outcomes.append(peer.connection.lost is None)
        finally:
            peer.close()
    assert repr(outcomes[:2]) == repr(outcomes[2:])


def some_value(chance, levels=4):
    kind = chance.randrange(9 if levels else 7)
    if kind < 7:
        return [None, chance.random() < 0.5, chance.randrange(-2**chance.randrange(1, 63), 2**chance.randrange(1, 64)), chance.uniform(-9, 9),
                "ä" * chance.randrange(40), chance.randbytes(chance.randrange(300)), chance.randrange(-40, 300)][kind]
    inner = [some_value(chance, levels - 1) for _ in range(chance.randrange(20))]
    return inner if kind == 7 else {str(value) if type(value) in (list, dict) else value: i for i, value in enumerate(inner)}


def test_any_plain_answer(play):
    chance, values = random.Random(7), []

    def answer(peer, msgid, method):
        values.append(some_value(chance))
        peer.sock.sendall(msgpack.packb([1, msgid, None, values[-1]], use_single_float=chance.random() < 0.2))
    peer = play(answer)
    for _ in range(300):
        got = peer.connection.call("p.echo", [])
        assert repr(msgpack.unpackb(msgpack.packb(got, use_single_float=True), strict_map_key=False)) == repr(
            msgpack.unpackb(msgpack.packb(values[-1], use_single_float=True), strict_map_key=False))


class Interrupt(Exception):
    pass


def test_an_interrupted_call_is_cancelled(play):
    """The signal comes while the thread waits. The late answer is nobody's."""
    def interrupt(signum, frame):
        raise Interrupt

    def answer(peer, msgid, method):
        if method == "p.slow":
            os.kill(os.getpid(), signal.SIGUSR1)
        else:
            peer.sock.send(response(msgid - 1, "late") + response(msgid, "right"))
    peer = play(answer)
    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(Interrupt):
            peer.connection.call("p.slow", [])
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert peer.connection.pending == {} and not peer.connection._lead.locked()
    assert peer.connection.call("p.echo", []) == "right"
    assert [message[1:] for message in peer.heard if message[0] == 2] == [["objpool.cancel", [peer.heard[0][1]]]]


def test_a_signal_that_raises_nothing_does_not_end_the_wait(play):
    handled = []

    def answer(peer, msgid, method):
        os.kill(os.getpid(), signal.SIGUSR1)
        harness.wait_for(lambda: handled, lambda: "the handler")
        peer.sock.send(response(msgid, "right"))
    peer = play(answer)
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
    try:
        assert peer.connection.call("p.echo", []) == "right"
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_request_that_the_socket_takes_in_parts(play):
    def answer(peer, msgid, method):
        peer.sock.sendall(response(msgid, len(peer.heard[-1][3])))
    peer = play(answer, SO_SNDBUF=2048)
    for _ in range(3):
        assert peer.connection.call("p.echo", ["x" * 100] * 70) == 70
    assert [message[3] for message in peer.heard] == [["x" * 100] * 70] * 3


def test_the_connection_is_lost_while_a_call_waits(play):
    waiting = threading.Event()
    peer = play(lambda *_: waiting.set())
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(outcome(peer.connection.call, "p.echo", [])))
    thread.start()
    assert waiting.wait(harness.DEADLINE)
    peer.connection.close()
    thread.join(harness.DEADLINE)
    assert outcomes == [(objpool.ConnectionLost, "maybe", "the connection was closed")]
    with pytest.raises(objpool.ConnectionLost):
        peer.connection.call("p.echo", [])


def test_a_call_that_waits_is_in_flight(play):
    """So routes see that its channel is not idle."""
    waiting, go_on = threading.Event(), threading.Event()

    def answer(peer, msgid, method):
        waiting.set()
        go_on.wait(harness.DEADLINE)
        peer.sock.send(response(msgid, 1))
    peer = play(answer)
    thread = threading.Thread(target=peer.connection.call, args=("p.echo", []))
    thread.start()
    assert waiting.wait(harness.DEADLINE)
    assert len(peer.connection.pending) == 1
    go_on.set()
    thread.join(harness.DEADLINE)
    assert peer.connection.pending == {}
