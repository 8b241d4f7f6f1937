# SPDX-License-Identifier: Apache-2.0
"""MessagePack that Python can't represent costs the call that it is for, and nothing else."""
import asyncio
import pathlib
import random
import sys

import msgpack
import pytest

import objpool
import objpool.aio
from objpool import _incoming, _line, _load, _pack, _wire_types

MARK = bytearray(b"@@@@")
BAD = {
    "a timestamp of 3 bytes": b"\xc7\x03\xffabc",
    "a timestamp of 0 bytes": b"\xc7\x00\xff",
    "a timestamp with too many nanoseconds": b"\xd7\xff" + b"\xff" * 8,
    "an array as key": b"\x81\x91\x01\x02",
    "a map as key": b"\x81\x80\x02",
    "an array of numpy as key": b"\x81" + msgpack.packb(msgpack.ExtType(_wire_types.ARRAY, b"\x00\x07\x93\xa3<i1\x90\xa1C" + b"\x05")) + b"\x01",
    "further in": b"\x92\x01\x81\xa1a\x91\xd7\xff" + b"\xff" * 8,
}


@pytest.fixture(params=BAD)
def bad(request, monkeypatch):
    """What is sent for MARK."""
    packed, mark, value = _pack.pack_with, msgpack.packb(MARK), BAD[request.param]

    def pack_with(*arguments, **more):
        data, outgoing = packed(*arguments, **more)
        return bytes(data).replace(mark, value), outgoing

    monkeypatch.setattr(_pack, "pack_with", pack_with)
    monkeypatch.setattr(_line, "line_class", lambda: None)  # it packs by itself
    return value


def test_one_call(bad, client, pool):
    session = client.server["session"]
    others = [pool.echo.future(i) for i in range(20)]
    for call in (lambda: pool.echo(MARK), lambda: pool.echo([1, {"a": MARK}]), lambda: pool.all.echo(MARK), lambda: pool.map.echo([1, MARK]),
                 lambda: pool.options(timeout=60).echo(MARK), lambda: pool.echo.future(MARK).result(60)):
        others.append(pool.echo.future(len(others)))
        with pytest.raises(objpool.BadValue, match="read here|array came") as caught:
            call()
        assert caught.value.ran == "yes"
    assert [other.result(60) for other in others] == [*range(len(others))]
    assert pool.map.options(errors="collect").echo([1, MARK, 2])[::2] == [1, 2]
    assert client.server["session"] == session


def test_one_item_of_a_stream(bad, client, pool):
    session = client.server["session"]
    for stream in (pool.map.echo.stream([1, MARK, 2]), pool.map.echo.stream(x for x in [1, MARK, 2])):
        assert next(stream) == 1
        with pytest.raises(objpool.BadValue) as caught:
            next(stream)
        assert caught.value.index == 1 and list(stream) == [2]
    assert client.server["session"] == session


def test_what_lies_beside_it_in_files(bad, pool):
    """The descriptors that came for the bad message are not the next one's."""
    with pytest.raises(objpool.BadValue):
        pool.echo([MARK, b"x" * 300000])
    for fill in (b"y", b"z"):
        assert pool.echo([fill * 300000]) == [fill * 300000]


def test_asyncio(bad, daemon):
    async def ask():
        async with objpool.aio.connect(daemon.address) as client:
            pool = client.pool("p")
            results = await asyncio.gather(*(pool.echo(x) for x in (1, MARK, 2)), return_exceptions=True)
            assert results[::2] == [1, 2] and type(results[1]) is objpool.BadValue
            got = []
            stream = pool.map.echo.stream([1, MARK, 2])
            while len(got) < 3:
                try:
                    got.append(await stream.__anext__())
                except objpool.BadValue as error:
                    got.append(error.index)
            assert got == [1, 1, 2] and await pool.echo(3) == 3
    asyncio.run(ask())


def test_arguments_of_a_python_class(bad, start):
    folder = pathlib.Path(__file__).parents[1] / "integration" / "classes"
    daemon = start({"w": {"plugin": "python", "class": "sample:Counter", "python_path": f'["{folder}"]', "workers": 1, "unpickle": "yes"}})
    with objpool.connect(daemon.address) as client:
        pool = client.pool("w")
        pool.add()
        for call in (lambda: pool.same(MARK), lambda: pool.echo(a=MARK), lambda: pool.map.same([1, MARK])):
            with pytest.raises(objpool.BadArgument, match="can't be read"):
                call()
        assert pool.get() == 1 and client.status("w")["pools"][0]["restarts"] == 0


# ---- without a daemon ----


def is_unreadable(value):
    try:
        _load.load(value)
    except objpool.BadValue:
        return True
    return False


def some_messages(count):
    chance = random.Random(count)
    bad = [chance.choice([*BAD.values(), None, None]) for _ in range(count)]
    return [b"\x94\x01\xcd" + i.to_bytes(2, "big") + b"\xc0" + (value or b"\xa3abc") for i, value in enumerate(bad)], [value is not None for value in bad]


def check(incoming, expected):
    assert [message[1] for message, _ in incoming.messages] == [*range(len(expected))]
    assert [is_unreadable(message[3]) for message, _ in incoming.messages] == expected


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10000])
def test_pieces_of_any_size(size):
    messages, expected = some_messages(60)
    data, incoming = b"".join(messages), _incoming.Incoming(True)
    for i in range(0, len(data), size):
        incoming.take([data[i:i + size]])
    check(incoming, expected)
    assert not incoming.raw and not incoming._doubtful


def test_interrupted_anywhere():
    """After each line of the module in turn: what is done again then loses nothing."""
    class Interrupt(BaseException):
        pass

    messages, expected = some_messages(12)
    data = b"".join(messages)

    def trace_until(line):
        count = [line]

        def trace(frame, event, _):
            if frame.f_code.co_filename != _incoming.__file__:
                return None
            count[0] -= 1
            if count[0] == 0:
                raise Interrupt
            return trace
        return trace

    for line in range(1, 10000):
        incoming, interrupted = _incoming.Incoming(True), False
        for chunks in ([data[:31]], [data[31:90]], [data[90:]]):
            sys.settrace(None if interrupted else trace_until(line))
            try:
                incoming.take(chunks)
            except Interrupt:
                interrupted = True
            finally:
                sys.settrace(None)
            if interrupted:
                incoming.take(chunks)
        check(incoming, expected)
        if not interrupted:
            break
    else:
        pytest.fail("it does not end")


def test_what_is_no_message_pack_is_told():
    with pytest.raises(ValueError):
        _incoming.Incoming(True).take([b"\x94\x01\x02\xc0\xc1"])
