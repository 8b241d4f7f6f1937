# SPDX-License-Identifier: Apache-2.0
"""Sessions that send more than a turn's work at once: the others have their turns meanwhile.

The daemon is stopped until all has been sent, so that it finds both in the same turn of its loop.
"""
import contextlib
import signal
import socket
import urllib.request

import msgpack
import pytest
from harness import is_alive, wait_for


@contextlib.contextmanager
def stopped(daemon):
    daemon.signal(signal.SIGSTOP)
    wait_for(lambda: "T (stopped)" in open(f"/proc/{daemon.process.pid}/status", encoding="ascii").read(), lambda: "it to stop")
    yield
    daemon.signal(signal.SIGCONT)


def pipelined(method, count, *params):
    return b"".join(msgpack.packb([0, i, method, list(params)]) for i in range(count))


@pytest.mark.parametrize("method", ["objpool.status", "objpool.metrics", "objpool.pools", "objpool.describe", "objpool.hello"])
def test_a_flood_of_own_methods(start, method):
    daemon = start(pools={"p": {"workers": 8}}, daemon={"max_unsent": "1G"})
    params = {"objpool.describe": ["p"], "objpool.hello": [{"client": "x"}]}.get(method, [])
    with daemon.client() as flood, daemon.client() as c:
        c.value("p:all.echo", 1)
        flood.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        with stopped(daemon):
            flood.send_raw(pipelined(method, 4000, *params))
            flood.notify("p:0.append", "the flood")
            c.notify("p:0.append", "the other")
        wait_for(lambda: len(c.value("p:0.list")) == 2, lambda: "both to be done")
        assert c.value("p:0.list") == ["the other", "the flood"]


def test_many_floods_have_their_turns(start):
    """Of 30 sessions with much to do none is done before all have begun."""
    daemon = start(pools={"p": {"workers": 2}}, daemon={"max_unsent": "1G"})
    with contextlib.ExitStack() as stack:
        floods = [stack.enter_context(daemon.client()) for _ in range(30)]
        c = stack.enter_context(daemon.client())
        with stopped(daemon):
            for i, flood in enumerate(floods):
                flood.notify("p:0.append", ["first", i])
                flood.send_raw(pipelined("objpool.metrics", 300))
                flood.notify("p:0.append", ["last", i])
        wait_for(lambda: len(c.value("p:0.list")) == 60, lambda: "all to be done")
        order = c.value("p:0.list")
        assert [kind for kind, _ in order[:30]] == ["first"] * 30


def test_a_large_message_behind_a_turn(start):
    """What is left of a read is kept, however large and in whatever pieces."""
    daemon = start(pools={"p": {"workers": 1}}, daemon={"max_unsent": "1G"})
    large = bytes(range(256)) * 1000
    with daemon.client() as c:
        ids = []
        data = b""
        for i in range(1, 40):
            data += msgpack.packb([0, 2 * i, "objpool.metrics", []])
            data += msgpack.packb([0, 2 * i + 1, "p.echo", [large if i % 10 == 0 else i]])
            ids += [2 * i, 2 * i + 1]
        c.send_raw(data)
        for i in ids:
            error, value = c.wait(i)
            assert error is None and (i % 2 == 0 or value == (large if i // 2 % 10 == 0 else i // 2))


def test_a_flood_that_is_half_closed_gets_all_answers(start):
    daemon = start(pools={"p": {"workers": 1}}, daemon={"max_unsent": 20000})
    with daemon.client() as c:
        c.send_raw(pipelined("objpool.status", 500) + msgpack.packb([0, 500, "p.echo", [1]]))
        c.socket.shutdown(socket.SHUT_WR)
        for i in range(501):
            assert c.wait(i)[0] is None
        assert c.receive() is None


def test_pages_of_one_turn_are_one_text(start):
    daemon = start(pools={"p": {"workers": 2}}, daemon={"http": "tcp:127.0.0.1:0"})
    address = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1)
    with daemon.client() as c:
        for i in range(3):  # what has been answered is counted
            assert c.value("p.echo", i) == i
            text = urllib.request.urlopen(f"http://{address}/metrics", timeout=20).read().decode()
            assert f'objpool_method_duration_seconds_count{{pool="p",method="echo"}} {i + 1}\n' in text
    assert is_alive(daemon.process.pid)


def test_a_client_with_many_calls_to_all_vanishes(start):
    """What it costs to drop a call doesn't depend on how many others there are: else this would take half a minute."""
    many = 80_000
    daemon = start(pools={"p": {"workers": 2, "max_queue": 3 * many}}, daemon={"max_inflight": 2 * many})
    with daemon.client() as c:
        with daemon.client() as flood:
            flood.send_raw(pipelined("p:all.sleep", many, 1000))
            wait_for(lambda: c.value("objpool.status", "p")["pools"][0]["queue"] > 2 * many - 100, lambda: "all to wait")
        assert c.value("objpool.ping", 1) == [1]
        assert c.value("p:all.echo", 1) == [1, 1]
