# SPDX-License-Identifier: Apache-2.0
"""Calls with priorities. The pool, of one object, is paused until all that a test asks has come."""
import asyncio

import pytest

import objpool
import objpool.aio
from harness import DEADLINE, wait_for

ORDER = ["streamed", "streamed", "direct", "item", "item", "of a future", "plain", "low"]


@pytest.fixture
def daemon(start):
    return start({"p": {"workers": 1}})


def queued(status):
    return status["pools"][0]["queue"]


def test_a_higher_one_is_next(client, pool):
    client.pause(pool)
    stream = pool.options(priority=9).map.append.stream(["streamed"] * 2)
    futures = [pool.options(priority=-3).append.future("low"), pool.append.future("plain"),
               pool.options(priority=2).append.future("of a future"),
               pool.map.options(priority=5, chunk=1).append.future(["item"] * 2),
               client.pool("p", direct=True).options(priority=6).append.future("direct")]  # such a call goes by the daemon
    wait_for(lambda: queued(client.status(pool)) >= 6, lambda: "them to wait")
    assert client.resume(pool)
    assert list(stream) and all(future.result(DEADLINE) for future in futures)
    assert pool.list() == ORDER


def test_for_asyncio(daemon):
    async def main():
        async with objpool.aio.connect(daemon.address) as client:
            pool = client.pool("p")
            await client.pause("p")
            calls = [asyncio.ensure_future(call) for call in (
                pool.options(priority=-1).append("low"), pool.append("plain"),
                pool.append.options(priority=1)("high"))]
            while queued(await client.status("p")) < 3:
                await asyncio.sleep(0.002)
            await client.resume("p")
            await asyncio.gather(*calls)
            assert await pool.list() == ["high", "plain", "low"]
    asyncio.run(asyncio.wait_for(main(), DEADLINE))


@pytest.mark.parametrize("wrong", [11, -11, 1.5, "high"])
def test_values_that_are_none(pool, wrong):
    with pytest.raises(objpool.BadRequest, match="option priority must be a whole number from -10 to 10"):
        pool.options(priority=wrong).echo(1)
    assert pool.options(priority=None).echo(1) == 1
