# SPDX-License-Identifier: Apache-2.0
"""The wire, byte by byte: framing, msgids, limits, and what is no MessagePack-RPC."""
import socket
import struct
import time

import msgpack
import pytest
from harness import Client, wait_for


def nested(levels):
    return b"\x91" * levels + b"\x01"


def read_to_end(client):
    data = b""
    while True:
        piece = client.socket.recv(1 << 16)
        if not piece:
            return data
        data += piece


@pytest.mark.parametrize("msgid", [b"\x00", b"\x07", b"\xcc\x07", b"\xcd\x00\x07", b"\xce\xff\xff\xff\xff",
                                   b"\xcf" + struct.pack(">Q", 2 ** 32 - 1), b"\xd3" + struct.pack(">q", 9)])
def test_any_encoding_of_a_msgid(start, msgid):
    with start().client() as c:
        c.send_raw(b"\x94\x00" + msgid + b"\xa6p.echo\x91\x2a")
        assert c.receive() == [1, msgpack.unpackb(msgid), None, 42]


def test_method_as_bin_and_first_byte(start):
    with start().client() as c:
        c.send_raw(b"\x94\x00\x01\xc4\x06p.echo\x91\x2a")
        assert c.socket.recv(100) == b"\x94\x01\x01\xc0\x2a"


def test_pieces_of_three_bytes_on_both_sockets(start):
    daemon = start()
    items = list(range(300))
    message = msgpack.packb([0, 9, "p:map.add", [items, items]])
    for address in (daemon.address, daemon.tcp):
        with Client(address) as c:
            for i in range(0, len(message), 3):
                c.send_raw(message[i:i + 3])
            assert c.receive() == [1, 9, None, [2 * i for i in items]]


def test_pipelined_calls_are_answered_as_they_finish(start):
    with start().client() as c:
        slow = c.start("p.sleep", 0.5)
        fast = [c.start("p.echo", i) for i in range(200)]
        assert [c.wait(i)[1] for i in fast] == list(range(200))
        assert c.wait(slow) == (None, 0.5)
        assert c.order[-1] == slow


def test_a_duplicate_msgid_closes_the_connection(start):
    daemon = start()
    for duplicate in (("p.echo", 1), ("objpool.ping",), ("nowhere.x",), ("objpool.call", "p", "echo")):
        with daemon.client() as c:
            c.start("p.sleep", 5, msgid=3)
            c.start(*duplicate, msgid=3)
            kind, msgid, error, result = c.receive()
            assert (kind, msgid, result) == (1, 0, None) and error.startswith("BAD_REQUEST: msgid 3 is in use")
            assert c.receive() is None
    daemon.wait_log("msgid 3 is in use")
    daemon = start()  # whose workers are free
    with daemon.client().maps() as c:  # the call with msgid 0 has one response, and that is true
        running = c.start("p.sleep", 5, msgid=0)
        wait_for(lambda: any(slot["running"] for slot in c.value("objpool.status", "p")["pools"][0]["slots"]), lambda: "the call to run")
        c.start("p.echo", 1, msgid=running)
        error = c.receive()[2]
        assert error["code"] == "BAD_REQUEST" and error["ran"] == "maybe"
        assert c.receive() is None
    with daemon.client() as c:
        assert c.value("objpool.ping", 1) == [1]


def test_a_msgid_can_be_used_again_once_answered(start):
    with start().client() as c:
        for _ in range(3):
            assert c.wait(c.start("p.echo", "x", msgid=1)) == (None, "x")


@pytest.mark.parametrize("garbage", [b"\xc1", b"\x01", b"\x80", b"GET / HTTP/1.0\r\n\r\n", b"\x94\x05\x01\xa1x\x90",
                                     b"\x93\x00\x01\xa1x", b"\x94\x00\xff\xa1x\x90", b"\x94\x00\x01\x05\x90"])
def test_garbage_gets_one_error_and_the_end(start, garbage):
    daemon = start()
    with daemon.client() as c:
        c.send_raw(garbage)
        answer = msgpack.unpackb(read_to_end(c))
        assert answer[:2] == [1, 0] and answer[2].startswith("BAD_REQUEST: ") and answer[3] is None
    with daemon.client() as c:
        assert c.value("p.echo", 1) == 1


def test_whole_numbers_may_be_floats_and_nil_is_not_given(start):
    with start(daemon={"create": "all"}).client() as c:
        single = msgpack.packb([0, 7, "objpool.call", ["p", "sleep", [9], {"timeout_ms": 50.0}]], use_single_float=True)
        c.send_raw(single)
        assert c.wait(7)[0].startswith("TIMEOUT")
        assert c.full("p", "sleep", [9], timeout_ms=20.0)[0].startswith("TIMEOUT")
        for wrong in (50.5, -1.0, 1e30, float("nan"), "50", True):
            assert "timeout_ms must be a whole number" in c.full("p", "echo", [1], timeout_ms=wrong)[0]
        names = ("kwargs bind bind_kwargs args_as errors timeout_ms chunk idempotent stream ordered window sync progress sticky").split()
        for name in names:
            assert c.full("p", "echo", [1], **{name: None}) == (None, 1), name
        assert "there is no option" in c.full("p", "echo", [1], nothing=None)[0]
        assert c.full("p:map", "echo", [[1, 2]], chunk=1.0, window=3.0) == (None, [1, 2])
        assert c.value("objpool.hello", {"client": None, "errors": None, "fds": None})["server"] == "objpool"
        lease = c.value("objpool.lease", "p", {"slot": 1.0, "lease_ms": None, "timeout_ms": 1000.0})
        assert lease["slot"] == 1 and c.value("objpool.release", "p", 1.0) is True
        assert c.value("objpool.scale", "p", 3.0) == {"workers": 3}
        assert c.value("objpool.restart", "p", 2.0) == {"restarted": 1}
        pool = {"pool": "new", "plugin": "probe", "class": "Probe", "workers": 2.0, "max_queue": None, "owner": None, "args": None}
        assert c.value("objpool.create", pool) == {"workers": 2}


def test_a_lease_that_is_released_before_it_is_granted(start):
    with start(pools={"p": {"workers": 1}}).client() as c:
        running = c.start("p.sleep", 0.1)
        first, second = c.start("objpool.lease", "p"), c.start("objpool.lease", "p", {"slot": 0})
        assert c.value("objpool.release", "p") is True
        assert c.value("objpool.release", "p", 0) is True
        assert c.value("objpool.release", "p") is False
        for lease in (first, second):
            assert c.wait(lease)[0].startswith("CANCELLED: the lease was released before it was granted")
        assert c.wait(running)[0] is None
        slot = c.value("objpool.status", "p")["pools"][0]["slots"][0]
        assert slot["leased"] is None and c.value("p.echo", 1) == 1


def test_notifications_are_silent(start):
    with start(pools={"p": {"workers": 1}}).client() as c:
        c.notify("p.set", "kept")
        c.notify("nowhere.set", 1)
        c.notify("objpool.nothing")
        c.notify("p.fail", "x")
        assert c.value("p.get") == "kept"
        assert c.order == [1]


def test_a_half_closed_unix_client_gets_its_answers(start):
    with start().client() as c:
        a, b = c.start("p.sleep", 0.2), c.start("p.echo", 1)
        c.socket.shutdown(socket.SHUT_WR)
        assert c.wait(a) == (None, 0.2) and c.wait(b) == (None, 1)
        assert c.receive() is None


@pytest.mark.parametrize("levels, good", [(31, True), (32, True), (33, False), (34, False), (60, False), (5000, False)])
def test_nesting(start, levels, good):
    with start().client() as c:
        c.send_raw(b"\x94\x00\x01\xa6p.echo\x91" + nested(levels))
        if good:
            expected = b"\x94\x01\x01\xc0" + nested(levels)
            got = b""
            while len(got) < len(expected):
                got += c.socket.recv(len(expected) - len(got))
            assert got == expected
        else:
            assert c.receive()[2].startswith("BAD_REQUEST: ")
        assert c.value("p.echo", 2) == 2


def test_an_error_may_be_too_large(start):
    with start(pools={"p": {"workers": 1}}, daemon={"max_message": "64K"}).client() as c:
        assert c.error("p.fail", "x" * 65515) == "FAILED: the method failed; its error is 65543 bytes, over max_message"
        assert c.value("p.echo", 1) == 1
        assert c.value("objpool.status", "p")["pools"][0]["slots"][0]["generation"] == 1


def test_too_large_is_skipped_and_the_connection_lives(start):
    with start(daemon={"max_message": "64K"}).client() as c:
        c.send_raw(b"\x94\x00\x05\xa6p.echo\x91\xc6" + struct.pack(">I", 200000))
        assert c.receive()[:2] == [1, 5]  # told before the rest has come
        c.send_raw(b"x" * 200000)
        assert c.value("p.echo", "after") == "after"
        assert c.error("p.blob", 100000) == "TOO_LARGE: the result is 100005 bytes, over max_message = 65536 bytes"
        assert len(c.value("p.blob", 60000)) == 60000


@pytest.mark.parametrize("bomb", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
                                  b"\xc9\xff\xff\xff\xff\x01", b"\xdd\xff\xff\xff\xff" * 10])
def test_length_bombs_cost_nothing(start, bomb):
    daemon = start()
    before = daemon.rss()
    clients = [daemon.client() for _ in range(20)]
    for c in clients:
        c.send_raw(b"\x94\x00\x05\xa6p.echo\x91" + bomb)
        assert c.receive()[2].startswith("TOO_LARGE: ")
    for c in clients:
        c.send_raw(b"\x94" + bomb)
    with daemon.client() as c:
        assert c.value("objpool.ping") == []
    assert daemon.rss() - before < 64 << 20
    for c in clients:
        c.close()


def test_values_pass_bit_for_bit(start):
    values = [b"\xd3" + bytes(7) + b"\x05", b"\xca\x7f\xc0\x00\x01", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", b"\xc4\x00", b"\xd9\x01a",
              b"\xc7\x03\x05abc", b"\xd4\x01x", b"\xdc\x00\x01\x01", b"\xde\x00\x01\xa1a\x01", b"\xa2\xff\xfe"]
    with start().client() as c:
        for value in values:  # ping is answered by the daemon itself
            c.send_raw(b"\x94\x00\x01\xacobjpool.ping\x91" + value)
            expected = b"\x94\x01\x01\xc0\x91" + value
            assert c.socket.recv(1000) == expected


@pytest.mark.parametrize("size", [1, 1000, 16383, 16384, 70000, 300000, 5000000])
def test_sizes(start, size):
    data = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    daemon = start()
    for address in (daemon.address, daemon.tcp):
        with Client(address) as c:
            assert c.value("p.echo", data[:size]) == data[:size]
            assert c.value("p:all.echo", data[:size]) == [data[:size]] * 2


def test_a_client_that_never_reads_is_not_read(start):
    daemon = start(daemon={"max_unsent": "1M", "max_inflight": 1000})
    with daemon.client() as c, daemon.client() as other:
        c.socket.setblocking(False)
        message = msgpack.packb([2, "p.echo", [1]]) + msgpack.packb([0, 0, "objpool.ping", ["x" * 1000]])
        sent = 0
        try:
            for i in range(100000):
                sent += c.socket.send(message.replace(b"\x94\x00\x00", b"\x94\x00\xce" + struct.pack(">I", i)))
        except BlockingIOError:
            pass
        assert sent < 50 << 20
        began = time.monotonic()
        assert other.value("objpool.ping", 1) == [1]
        assert other.value("p.echo", 1) == 1
        assert time.monotonic() - began < 10
        assert daemon.rss() < 400 << 20


def test_a_call_at_the_limit_of_calls_in_flight_waits(start):
    with start(daemon={"max_inflight": 4}, pools={"p": {"workers": 4}}).client() as c:
        calls = [c.start("p.sleep", 0.01) for _ in range(100)]
        assert all(c.wait(i) == (None, 0.01) for i in calls)


def test_errors_quote_names_that_are_no_utf8_as_utf8(start):
    with start().client() as client:
        client.send_raw(b"\x94\x00\x07\xa6p.\xff\xc3z\xe2\x90")
        error, _ = client.wait(7)
        assert error == 'NO_SUCH_METHOD: pool p has no method "??z?"'
