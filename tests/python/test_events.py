# SPDX-License-Identifier: Apache-2.0
"""What happens in the daemon, and what workers have printed, as a program gets them."""
import asyncio
import datetime

import pytest

import objpool
from harness import wait_for
from test_aio import with_client


def test_what_has_happened(client, pool):
    kept = list(client.events(follow=False))
    assert [event["number"] for event in kept] == list(range(1, len(kept) + 1)) and kept[-1]["kind"] == "daemon.started"
    assert {event["kind"] for event in client.events("p", ["slot"], follow=False)} == {"slot.starting", "slot.ready"}
    assert list(client.events(pool, follow=False, last=1)) == kept[-2:-1] == list(client.events(after=kept[-3]["number"], last=2,
                                                                                                kinds="slot", follow=False))
    now = datetime.datetime.now()
    for since in now - datetime.timedelta(hours=1), kept[0]["at_s"], 0:
        assert list(client.events(since=since, follow=False)) == kept
    assert list(client.events(since=now + datetime.timedelta(hours=1), follow=False)) == []
    with pytest.raises(objpool.BadArgument, match="there is no kind of event"):
        next(client.events(kinds="slo"))


def test_what_happens(client, pool):
    with client.events(kinds=["slot.died", "pool.removed"], last=0) as events:
        with pytest.raises(objpool.Timeout):
            events.next(timeout=0.05)
        with pytest.raises(objpool.WorkerLost):
            pool[1].crash(9)        # on the same connection
        died = events.next(timeout=20)
        assert (died["slot"], died["signal"]) == (1, 9)
        client.shutdown()
        assert [event["kind"] for event in events] == ["pool.removed"]


def test_logs(client, pool):
    pool[0].print("one")
    pool[1].print("two", "stderr")
    wait_for(lambda: client.logs("p")["last"] == 2, lambda: "both lines")
    assert [(line["slot"], line["stream"], line["text"]) for line in client.logs(pool)["lines"]] == [
        (0, "stdout", "one"), (1, "stderr", "two")]
    assert [line["number"] for line in client.logs("p", 1)["lines"]] == [2]


@with_client
async def test_the_same_for_asyncio(client):
    pool = client.pool("p")
    assert (await client.logs(pool))["missed"] == 0
    kept = [event async for event in client.events(follow=False)]
    assert kept[-1]["kind"] == "daemon.started" and [e async for e in client.events(pool, last=1, follow=False)] == kept[-2:-1]
    events = client.events(pool, "pool", last=0)
    first = asyncio.ensure_future(events.__anext__())
    await client.ping()
    await client.pause("p")
    assert (await first)["kind"] == "pool.paused"
    await client.resume("p")
    async for event in events:
        assert event["kind"] == "pool.resumed"
        break
