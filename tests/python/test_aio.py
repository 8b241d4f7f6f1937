# SPDX-License-Identifier: Apache-2.0
"""The same for asyncio."""
import asyncio
import functools
import gc
import itertools
import os
import select

import pytest

import objpool
import objpool.aio
from harness import DEADLINE, wait_for


def with_client(test):
    """Runs the coroutine with a client of the test's daemon."""
    @functools.wraps(test)
    def run(daemon):
        async def main():
            async with objpool.aio.connect(daemon.address) as client:
                await asyncio.wait_for(test(client), DEADLINE)
        asyncio.run(main())
    del run.__wrapped__
    return run


async def until_idle(client):
    while (await client.status("p"))["pools"][0]["running"]:
        await asyncio.sleep(0.005)


@with_client
async def test_every_target(client):
    pool = client.pool("p")
    assert await pool.echo(1) == 1 and await pool[1].slot() == 1 and await pool.all.slot() == [0, 1]
    assert await pool.map.add([1, 2], [3, 4]) == [4, 6] and await pool.scatter.echo([1, 2]) == [1, 2]
    assert await pool.key("a.b").echo({1}) == {1} and await pool.call("echo", a=1) == {"args": [], "kwargs": {"a": 1}}
    assert await pool.size() == 2 and await client.describe(pool) and await client.ping() is None
    assert await asyncio.gather(*(pool.echo(i) for i in range(1000))) == list(range(1000))
    assert await pool.echo.future(3) == 3


@with_client
async def test_errors(client):
    pool = client.pool("p")
    with pytest.raises(objpool.CallFailed):
        await pool.fail("x")
    with pytest.raises(AttributeError):
        await pool.nothing()
    with pytest.raises(TimeoutError):
        await pool.options(timeout=0.02).sleep(60)
    with pytest.raises(objpool.BadValue):
        await pool.echo(asyncio.get_running_loop())
    first, second = await pool.options(errors="collect").map.add([1, 2], [1, "x"])
    assert first == 2 and isinstance(second, objpool.BadArgument)


@with_client
async def test_cancelling_the_task_cancels_the_call(client):
    pool = client.pool("p")
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(pool.all.sleep(60), 0.02)
    await until_idle(client)
    assert await pool.all.echo(1) == [1, 1]


@with_client
async def test_leases(client):
    pool = client.pool("p")
    async with pool.lease() as mine:
        assert await mine.call("slot") == mine.slot and await mine.options(timeout=DEADLINE).echo(1) == 1
    with pytest.raises(objpool.ConnectionLost):
        await mine.echo(1)
    mine = await pool.lease(1)
    assert mine.slot == 1 and await mine.release()


@with_client
async def test_pools_come_and_go(client):
    async with await client.create_pool("Probe", 1, plugin="probe", kwargs={"tag": 5}) as pool:
        assert await pool.tag() == 5
    with pytest.raises(objpool.NoSuchPool):
        await pool.echo(1)


async def numbers(n):
    for i in range(n):
        yield i


@with_client
async def test_streams(client):
    pool = client.pool("p")
    for items in (range(3000), (i for i in range(3000)), numbers(3000)):
        assert [value async for value in pool.map.echo.stream(items)] == list(range(3000))
    assert [value async for value in pool.all.slot.stream()] == [0, 1]
    assert len(pool.map.echo.stream([1, 2])) == 2
    async for value in pool.options(chunk=1).map.sleep.stream(itertools.chain([0], itertools.repeat(60))):
        break
    await until_idle(client)


@with_client
async def test_a_streams_input_fails(client):
    async def failing():
        yield 1
        raise KeyError("z")
    found = []
    with pytest.raises(KeyError):
        async for value in client.pool("p").map.echo.stream(failing()):
            found.append(value)
    assert found == [1]


@with_client
async def test_an_async_input_is_not_read_further_than_the_window(client):
    read = 0

    async def endless():
        nonlocal read
        for read in itertools.count(1):
            yield read

    taken = 0
    async with client.pool("p").map.echo.stream(endless(), window=4) as stream:
        async for _ in stream:
            assert read <= taken + 4
            taken += 1
            await asyncio.sleep(0)
            if taken == 200:
                break


@with_client
async def test_a_lease_that_comes_too_late_is_given_back(client):
    pool = client.pool("p")
    for turns in range(5):
        task = asyncio.ensure_future(pool.lease(0)._take())
        await asyncio.sleep(0)
        client._connection._flush()
        select.select([client._connection._socket], [], [], DEADLINE)  # it is granted, and nobody has read that
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await (await task).release()
    assert turns == 4 and task.done()
    async with pool.lease(0, timeout=DEADLINE) as lease:
        assert await lease.echo(1) == 1


@with_client
async def test_a_pool_whose_making_is_cancelled_does_not_stay(client):
    task = asyncio.ensure_future(client.create_pool("Probe", 1, plugin="probe"))
    while not client._connection._out:
        await asyncio.sleep(0)
    client._connection._flush()
    select.select([client._connection._socket], [], [], DEADLINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while len(await client.pools()) > 1:
        await asyncio.sleep(0.005)


@with_client
async def test_an_input_that_waits_for_results(client):
    todo = asyncio.Queue()
    todo.put_nowait(0)

    async def inputs():
        while (item := await todo.get()) is not None:
            yield item

    async for value in client.pool("p").map.echo.stream(inputs()):
        todo.put_nowait(value + 1 if value < 100 else None)
    assert value == 100


@with_client
async def test_large_values_go_beside_the_socket(client):
    numpy, pool, connection = pytest.importorskip("numpy"), client.pool("p"), client._connection
    array, sent = numpy.arange(1 << 20, dtype=float), []
    plain = connection.send
    connection.send = lambda data, outgoing=None: (sent.append((len(data), outgoing is not None)), plain(data, outgoing))
    for echoed in await asyncio.gather(*(pool.echo(array + i, i) for i in range(20)), pool.echo(b"small"), pool.all.echo(array)):
        assert echoed == b"small" or len(echoed) == 2
    assert all(size < 1000 for size, _ in sent) and sum(beside for _, beside in sent) == 21
    kept = [await pool.echo(array + i) for i in range(3)]
    kept[0][:] = 0
    assert (await pool.echo(array) == array).all() and (kept[1] == array + 1).all()
    assert [each async for each in pool.map.echo.stream([bytes([i]) * (200 << 10) for i in range(9)])] == [bytes([i]) * (200 << 10) for i in range(9)]
    given_back = len(sent)
    del kept, echoed
    gc.collect()
    while not any(not beside for _, beside in sent[given_back:]):
        await asyncio.sleep(0)


@with_client
async def test_descriptors_do_not_pile_up(client):
    pool = client.pool("p")
    data = bytes(1 << 20)
    await pool.echo(data)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        assert await pool.echo(data) == data
    assert len(os.listdir("/proc/self/fd")) <= before + 10


def test_results_are_given_back(daemon):
    async def main():
        async with objpool.aio.connect(daemon.address) as client:
            for _ in range(24):  # 16 is the most that a connection may have at a time
                assert len(await client.pool("p").blob(1 << 20)) == 1 << 20
            await client.ping()
            wait_for(lambda: daemon.memory_files() < 8, lambda: f"{daemon.memory_files()} files to be given back")
    asyncio.run(main())


def test_a_lost_connection_fails_all(daemon):
    async def main():
        client = await objpool.aio.connect(daemon.address)
        calls = [client.pool("p").sleep.future(60) for _ in range(3)]
        stream = client.pool("p").map.sleep.stream([60])
        calls.append(asyncio.ensure_future(stream.__anext__()))
        await client.ping()
        daemon.kill()
        results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), DEADLINE)
        assert [type(each) for each in results] == [objpool.ConnectionLost] * 4
        with pytest.raises(objpool.NoDaemon):
            await client.ping()
    asyncio.run(main())


@with_client
async def test_who_is_there_and_what_an_operator_does(client):
    assert (await client.whoami())["rights"]["watch"] == ["*"]
    with pytest.raises(objpool.BadArgument, match="there is no .user nobody."):
        await client.acl("nobody", "call", "p.echo")
    there = await client.clients()
    assert [each["peer"].split(",")[0] for each in there] == [f"process {os.getpid()}"]
    assert await client.kick(there[0]["session"] + 1000) is False
    assert await client.log_level() == "info" and await client.log_level("error") == await client.log_level() == "error"
    assert "[pool p]\n" in await client.config()
    assert (await client.drain())["calls"] == 0
