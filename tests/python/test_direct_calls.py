# SPDX-License-Identifier: Apache-2.0
"""Direct channels of the Python client, against a daemon. What is in test_direct_wire.py is not here again."""
import asyncio
import os
import signal
import threading

import pytest

import objpool
import objpool.aio
from harness import wait_for

POOLS = {"p": {"workers": 2, "cancel_grace": "0.1"}}


@pytest.fixture
def daemon(start):
    return start(POOLS)


@pytest.fixture
def pool(client):
    return client.pool("p", direct=True)


def slots(client):
    return client.status("p")["pools"][0]["slots"]


def wait_running(client, slot, method="sleep"):
    wait_for(lambda: slots(client)[slot]["running"] == method, lambda: f"{method} to run")


def channels(client, address="p"):
    """The open channels of a route."""
    return [channel for channel in client._connected().routes[address].channels if channel.is_open]


def test_calls(client, pool):
    assert pool.echo(1) == 1 and pool.add(2, b=3) == 5 and pool[1].slot() == 1
    assert len(channels(client)) == 1 and sum(slot["direct"] for slot in slots(client)) == 2
    with pytest.raises(objpool.CallFailed, match="out of paper") as failed:
        pool[1].fail("out of paper", "PrinterError")
    assert (failed.value.type, failed.value.slot, failed.value.generation, failed.value.ran) == ("PrinterError", 1, 1, "yes")
    with pytest.raises(objpool.NoSuchMethod):
        pool.nothing()
    assert pool.echo(b"x" * 300000) == b"x" * 300000 and pool.echo.future(7).result(10) == 7


def descriptors_that_came(client):
    connection = client._connection if isinstance(client, objpool.aio.Client) else client._connected()
    return connection._arrivals._count


def test_a_large_result_comes_beside_the_socket(client, pool):
    """From the second call of the method on."""
    for came in 0, 1, 2:
        assert pool.blob(64 << 20)[-2:] == b"\xfe\xff"
        assert descriptors_that_came(client) == came
    assert pool.blob(2) == b"\0\1" and pool.echo(1) == 1 and len(channels(client)) == 1


def test_more_instances_while_all_are_busy(client, pool):
    futures = [pool.sleep.future(60) for _ in range(2)]
    for slot in range(2):
        wait_running(client, slot)
    assert sorted(channel.slot for channel in channels(client)) == [0, 1]
    for future in futures:
        assert future.cancel()
    wait_for(lambda: not any(slot["running"] for slot in slots(client)), lambda: "the methods to see that they are cancelled")


def test_a_worker_is_killed(client, pool):
    """The call that runs fails at once, and says how the worker died. Calls behind it run on its successor."""
    pid = pool[0].pid()
    running = pool[0].sleep.future(60)
    behind = [pool[0].add.future(i, 1) for i in range(20)]
    wait_running(client, 0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(objpool.WorkerLost) as lost:
        running.result(10)
    assert (lost.value.signal, lost.value.slot, lost.value.generation, lost.value.ran) == (9, 0, 1, "maybe")
    assert [future.result(10) for future in behind] == [i + 1 for i in range(20)]
    assert pool[0].pid() not in (pid, 0)


def test_a_leased_worker_is_killed(client, pool):
    with pool.lease() as leased:
        pid = leased.pid()
        running, behind = leased.sleep.future(60), leased.echo.future(1)
        wait_running(client, leased.slot)
        os.kill(pid, signal.SIGKILL)
        for future, ran in (running, "maybe"), (behind, "no"):
            with pytest.raises(objpool.WorkerLost) as lost:
                future.result(10)
            assert lost.value.ran == ran
    assert pool.echo(1) == 1


def test_calls_of_the_client_leave_what_it_leases_alone(client, pool):
    assert pool.echo(1) == 1
    shared = channels(client)[0].slot
    with pool.lease(shared) as leased:
        held = leased.sleep.future(60)
        assert pool.slot() != shared
        held.cancel()


@pytest.mark.parametrize("how", ["threads", "futures"])
def test_restarts_under_load_fail_no_call(client, pool, how):
    """Calls go on, on channels to the successors, while instances are replaced."""
    wrong, made, ends = [], [0] * 3, threading.Event()

    def call(n):
        while not ends.is_set():
            try:
                if how == "threads":
                    results = [pool.add(n, made[n])]
                else:
                    results = [future.result(10) for future in [pool.add.future(n, made[n]) for _ in range(16)]]
                wrong.extend(result for result in results if result != n + made[n])
                made[n] += 1
            except Exception as error:
                wrong.append(error)
    threads = [threading.Thread(target=call, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for generation in range(2, 5):
        assert client.restart("p") == 2
        before = sum(made)
        wait_for(lambda: sum(made) > before + 50, lambda: "calls to go on")
    wait_for(lambda: channels(client), lambda: "channels to the successors")
    ends.set()
    for thread in threads:
        thread.join(30)
    assert wrong == [] and all(made)
    assert {slot["generation"] for slot in slots(client)} == {4} and not any(slot["lost"] for slot in slots(client))


def test_a_timeout(client, pool):
    """The method that runs is cancelled. If it does not look, its worker is killed after the grace."""
    with pytest.raises(objpool.Timeout):
        pool[0].options(timeout=0.05).sleep(60)
    wait_for(lambda: not slots(client)[0]["running"], lambda: "the method to see that it is cancelled")
    assert pool[0].echo(1) == 1


@pytest.mark.parametrize("pools, tcp", [({"p": {"max_direct": 0}}, False), ({"p": {}}, True)])
def test_the_ordinary_way(start, pools, tcp):
    daemon = start(pools)
    with objpool.connect(daemon.tcp if tcp else daemon.address) as client:
        pool = client.pool("p").options(direct=True)
        assert pool.echo(1) == pool[0].echo(1) == pool.echo.future(1).result(10) == 1
        with pool.lease() as leased:
            assert leased.echo(2) == 2
        assert not channels(client)


def test_a_fork_of_the_program(client, pool):
    assert pool.echo(1) == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.echo(2) == 2 and pool.map.echo([1, 2]) == [1, 2] and len(channels(client)) == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.echo(3) == 3


def test_workers_that_are_forks(start):
    """Arguments may refer to what the program has."""
    class Model:
        def apply(self, function, x):
            return function(x)
    with objpool.connect("private") as client, client.create_pool(Model, workers=1) as pool:
        direct = pool.options(direct=True)
        assert direct.apply(abs, -3) == 3 and direct.apply(lambda x: x + 1, 3) == 4
        assert channels(client, pool.name)


def test_a_daemon_that_stops(daemon, client, pool):
    assert pool.echo(1) == 1
    daemon.stop()
    with pytest.raises(objpool.ConnectionLost):
        pool.echo(1)


def test_a_large_result_comes_beside_the_socket_in_a_loop(daemon):
    async def test():
        async with objpool.aio.connect(daemon.address) as client:
            for came in 0, 1:
                assert (await client.pool("p", direct=True).blob(64 << 20))[-2:] == b"\xfe\xff"
                assert descriptors_that_came(client) == came
    asyncio.run(asyncio.wait_for(test(), 30))


def test_aio(daemon):
    async def test():
        async with objpool.aio.connect(daemon.address) as client:
            pool = client.pool("p", direct=True)
            assert await pool.echo(1) == 1
            assert await asyncio.gather(*[pool.add(i, 1) for i in range(200)]) == [i + 1 for i in range(200)]
            await asyncio.gather(client.restart("p"), *[pool.add(i, 1) for i in range(200)])
            pid = await pool[0].pid()
            running = pool[0].sleep.future(60)
            behind = pool[0].echo.future(5)
            while (await client.status("p"))["pools"][0]["slots"][0]["running"] != "sleep":
                pass
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(objpool.WorkerLost) as lost:
                await running
            assert (lost.value.signal, lost.value.ran) == (9, "maybe")
            assert await behind == 5
            async with pool.lease() as leased:
                assert await leased.call("slot") == leased.slot
            with pytest.raises(objpool.Timeout):
                await pool.options(timeout=0.05).sleep(60)
    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.mark.parametrize("direct", [False, True])
def test_the_trace_comes_with_the_call(client, direct):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    pool = client.pool("p", direct=direct)
    traced = pool.options(traceparent=trace)
    for _ in range(3):  # the first of them may come before there is a channel
        assert traced.traceparent() == trace and pool.traceparent() is None
    if direct:
        wait_for(lambda: channels(client), lambda: "a channel")
        assert traced.traceparent() == trace
        assert sum(slot["direct"] for slot in slots(client)) > 0
    with pytest.raises(objpool.BadRequest):
        pool.options(traceparent="x").traceparent()
