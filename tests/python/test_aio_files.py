# SPDX-License-Identifier: Apache-2.0
"""Large values beside the socket, for asyncio: as test_files.py, and nothing stays behind of calls that were given up."""
import array
import asyncio
import functools
import gc
import os
import socket

import msgpack
import pytest

import objpool
import objpool.aio
from harness import DEADLINE
from objpool.aio import _connection

numpy = pytest.importorskip("numpy")
MIB = 1 << 20
KEPT = 8  # memory that is kept to be filled again


def with_client(test):
    """Runs the coroutine with a client of the test's daemon."""
    @functools.wraps(test)
    def run(daemon):
        async def main():
            async with objpool.aio.connect(daemon.address) as client:
                await asyncio.wait_for(test(client, daemon), DEADLINE)
        asyncio.run(main())
    del run.__wrapped__
    return run


def pattern(size, seed=1):
    return numpy.random.default_rng(seed).bytes(size)


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)


async def several(items):
    for item in items:
        yield item


@with_client
async def test_bytes_there_and_back(client, daemon):
    pool = client.pool("p")
    for size in (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 3 * MIB + 7:
        data = pattern(size)
        assert await pool.echo(data) == data
        assert await pool.echo(bytearray(data), x=[1, {"k": data}]) == {"args": [data], "kwargs": {"x": [1, {"k": data}]}}
        assert await pool.all.echo(data) == [data, data]
        assert await pool.map.echo([data, b"small", data]) == [data, b"small", data]
        assert await pool.options(errors="collect").map.echo([data, b"small"]) == [data, b"small"]


@with_client
async def test_they_go_beside_the_socket_with_every_kind_of_call(client, daemon):
    """What goes through the socket is short, both ways."""
    pool, connection, data = client.pool("p"), client._connection, pattern(MIB)
    sizes, steps, receive, send = [], [], connection._receive, connection.send

    def received():
        came = receive()
        sizes.append(len(came[0]))
        return came

    connection._receive = received
    connection.send = lambda message, outgoing=None: (sizes.append(len(message)), send(message, outgoing))
    assert await pool.echo(data) == data and await pool.all.echo(data) == [data, data]
    assert await pool.map.echo([data, data]) == [data, data] and await pool.scatter.echo([data, data]) == [data, data]
    collected = pool.options(progress=lambda *step: steps.append(step))
    assert await collected.map.echo([data, data]) == [data, data] and steps
    async with pool.lease() as lease:
        assert await lease.echo(data) == data
    for items in [data] * 3, iter([data] * 3), several([data] * 3):
        assert [value async for value in pool.map.echo.stream(items)] == [data] * 3
    assert max(sizes) < 4000


@with_client
async def test_what_is_sent_is_what_it_was_when_it_was_sent(client, daemon):
    values, calls = numpy.zeros(MIB, numpy.uint8), []
    for i in range(20):
        values[:] = i
        calls.append(client.pool("p").echo.future(values))
        await asyncio.sleep(0)
    for i, call in enumerate(calls):
        assert (await call == i).all()


@with_client
async def test_more_than_the_daemon_lends(client, daemon):
    values = numpy.arange(MIB // 8, dtype=float)
    kept = [await client.pool("p").echo(values + i) for i in range(40)]
    assert all((each == values + i).all() for i, each in enumerate(kept))


@with_client
async def test_results_are_given_back(client, daemon):
    for _ in range(24):  # 16 is the most that a connection may have at a time
        assert len(await client.pool("p").blob(MIB)) == MIB
    await until(lambda: daemon.memory_files() < 8)


@with_client
async def test_calls_that_were_given_up_leave_nothing(client, daemon):
    pool, data = client.pool("p"), pattern(MIB)
    await pool.echo(data)
    before = descriptors()
    for turns in range(12):  # before it is sent, on its way, when its result has come
        task = pool.echo.future(data)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        with pytest.raises(objpool.ObjpoolError):
            await pool.sleep(data)
        async for _ in pool.map.echo.stream(several([data] * 4)):
            break
    await pool.all.echo(1)
    del task
    await until(lambda: descriptors() <= before + KEPT)


@pytest.mark.parametrize("kind", ["closed", "lost"])
def test_a_connection_that_has_ended_keeps_nothing(daemon, kind):
    """Not even while its client is still there."""
    async def main():
        before, data = descriptors(), pattern(MIB)
        client = await objpool.aio.connect(daemon.address)
        calls = [client.pool("p").echo.future(data) for _ in range(10)]
        done = client.pool("p").echo.future(data)
        await done
        if kind == "closed":
            await client.close()
        else:
            client._connection._socket.shutdown(socket.SHUT_RDWR)
            await until(lambda: client._connection.lost is not None)
        await asyncio.wait(calls)
        assert {type(call.exception()) for call in calls} <= {type(None), objpool.ConnectionLost}
        del calls, done
        await until(lambda: descriptors() == before)
        assert client.address
    asyncio.run(asyncio.wait_for(main(), DEADLINE))


def test_a_loop_that_has_no_add_reader(daemon):
    """It can't receive descriptors: large values go through the socket."""
    class Loop(asyncio.SelectorEventLoop):
        def add_reader(self, *_):
            raise NotImplementedError

        add_writer = add_reader

    async def main():
        data = pattern(3 * MIB)
        async with objpool.aio.connect(daemon.address) as client:
            pool = client.pool("p")
            assert await asyncio.gather(*(pool.echo(data) for _ in range(8))) == [data] * 8
            assert await pool.options(direct=True).echo(data) == data
    loop = Loop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), DEADLINE))
    finally:
        loop.close()


def test_what_nobody_asked_for_is_closed():
    """Descriptors from a daemon that has not been told that the client takes any."""
    async def main():
        ours, theirs = socket.socketpair()
        connection = _connection.Connection(ours, "unix:test", False)
        before = descriptors()
        with open(os.devnull, "rb") as null:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * 3))]
            theirs.sendmsg([msgpack.packb([2, "objpool.progress", [1]])], rights)
        entry = connection.call("objpool.ping", [])
        task = asyncio.ensure_future(entry)
        await asyncio.sleep(0)
        theirs.sendall(msgpack.packb([1, 1, None, True]))
        assert await task is True and descriptors() == before
        connection.fail(objpool.ConnectionLost("the test is over"))
        theirs.close()
    asyncio.run(asyncio.wait_for(main(), DEADLINE))
