# SPDX-License-Identifier: Apache-2.0
"""What is said of an item that fails: which it was, its exception's value and traceback, also where that would end a loop."""
import asyncio
import threading

import pytest

import objpool
import objpool.aio
from objpool.compat.multiprocess import Pool
from objpool.compat.multiprocess.pool import ThreadPool
from objpool.compat.py_stateful_map import StateFullWorkerPool

CLASS = """
import objpool_worker


class OnlyThere:
    def __reduce__(self):
        return int, ("no number",)


class Worker:
    def check(self, x):
        if x == 3:
            raise ValueError("three")
        return x

    def stop(self, x):
        if x == 3:
            raise StopIteration("five", x)
        return x

    def die(self, x):
        if x == 3:
            import os
            import signal
            objpool_worker.call().progress(1)
            os.kill(os.getpid(), signal.SIGSEGV)
        return x

    def odd(self, x):
        return OnlyThere() if x == 3 else x
"""
ITEMS = [0, 1, 3, 4]  # the third fails


@pytest.fixture
def daemon(start, place):
    (place / "failing_items.py").write_text(CLASS)
    return start({"w": {"plugin": "python", "class": "failing_items:Worker", "python_path": f'["{place}"]', "workers": 1, "unpickle": "yes"}})


@pytest.fixture
def pool(client):
    return client.pool("w")


def failure_of(call):
    try:
        call()
    except Exception as error:
        return error
    pytest.fail("nothing was raised")


KINDS = {"check": ValueError, "die": objpool.WorkerLost, "odd": objpool.BadValue}


@pytest.mark.parametrize("method", KINDS)
def test_which_item_it_was(pool, method):
    for call in (lambda: getattr(pool.map, method)(ITEMS), lambda: list(getattr(pool.map, method).stream(ITEMS)),
                 lambda: list(getattr(pool.map, method).stream(x for x in ITEMS)), lambda: getattr(pool.map, method).future(ITEMS).result(),
                 lambda: list(getattr(pool.map, method).stream(ITEMS, ordered=False)), lambda: getattr(pool.map.options(errors="first"), method)(ITEMS)):
        error = failure_of(call)
        assert type(error) is KINDS[method] and objpool.remote_error(error).index == 2
        assert "item 2:" in str(error if isinstance(error, objpool.ObjpoolError) else error.__cause__)
    collected = getattr(pool.map.options(errors="collect"), method)(ITEMS)
    streamed = list(getattr(pool.map.options(errors="collect"), method).stream(ITEMS))
    for results in (collected, streamed):
        assert [*results[:2], results[3]] == [0, 1, 4] and objpool.remote_error(results[2]).index == 2


def test_which_item_it_was_in_asyncio(pool, daemon):
    async def ask():
        async with objpool.aio.connect(daemon.address) as client:
            for method, kind in KINDS.items():
                target = getattr(client.pool("w").map, method)
                with pytest.raises(kind) as caught:
                    await target(ITEMS)
                assert objpool.remote_error(caught.value).index == 2
                with pytest.raises(kind) as caught:
                    async for _ in target.stream(ITEMS):
                        pass
                assert objpool.remote_error(caught.value).index == 2
    asyncio.run(ask())


def test_which_item_can_not_be_sent(pool):
    items = [0, 1, threading.Lock(), 3]
    for call in (lambda: pool.map.check(items), lambda: list(pool.map.check.stream(items)), lambda: list(pool.map.check.stream(iter(items))),
                 lambda: pool.map.options(timeout=60).check(x=items)):
        error = failure_of(call)
        assert type(error) is objpool.BadValue and error.index == 2 and "item 2: " in str(error) and "lock" in str(error)
    assert failure_of(lambda: pool.check(items[2])).index is None


# ---- StopIteration ----


def is_whole(error, text="in stop"):
    assert type(error) is StopIteration and error.args == ("five", 3)
    return text in str(error.__cause__)


def test_a_stop_iteration_keeps_its_value_and_traceback(pool, daemon):
    assert is_whole(failure_of(lambda: pool.map.stop(ITEMS))) and is_whole(failure_of(lambda: pool.stop(3)))
    assert is_whole(pool.map.stop.future(ITEMS).exception(60))
    stream = pool.map.stop.stream(ITEMS)
    assert [next(stream), next(stream)] == [0, 1]
    error = failure_of(lambda: next(stream))
    assert type(error) is objpool.CallFailed and error.index == 2 and is_whole(error.__cause__)
    assert list(stream) == [4]

    async def ask():
        async with objpool.aio.connect(daemon.address) as client:
            with pytest.raises(objpool.CallFailed) as caught:
                await client.pool("w").map.stop(ITEMS)
            assert caught.value.index == 2 and is_whole(caught.value.__cause__)
            with pytest.raises(objpool.CallFailed) as caught:
                async for _ in client.pool("w").map.stop.stream(ITEMS):
                    pass
            assert caught.value.index == 2 and is_whole(caught.value.__cause__)
    asyncio.run(ask())


def stop_at_three(x):
    if x == 3:
        raise StopIteration("five", x)
    return x


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_in_the_drop_in_for_multiprocessing(kind):
    with kind(2) as pool:
        for call in (lambda: pool.map(stop_at_three, range(8)), lambda: pool.map(stop_at_three, range(8), 1), lambda: pool.apply(stop_at_three, (3,)),
                     lambda: pool.starmap(stop_at_three, [(3,)])):
            error = failure_of(call)
            assert is_whole(error, "") and (kind is ThreadPool or is_whole(error, "in stop_at_three"))
        assert is_whole(failure_of(lambda: next(pool.imap(stop_at_three, [3]))), "")
        for imap in (pool.imap, pool.imap_unordered):
            chunks = imap(stop_at_three, range(8), 2)
            error = failure_of(lambda: list(chunks))  # a generator's
            assert type(error) is RuntimeError and is_whole(error.__cause__, "")
            assert list(chunks) == []


@pytest.mark.parametrize("threads", [False, True])
def test_in_the_drop_in_for_py_stateful_map(threads):
    def three(x):
        if x == 3:
            raise KeyError(x)
        return x

    with StateFullWorkerPool(1, stop_at_three, use_threads=threads) as pool:
        error = failure_of(lambda: list(pool.map(ITEMS, False)))
        assert type(error) is RuntimeError and "item 2" in str(error) and is_whole(error.__cause__, "")
    with StateFullWorkerPool(1, three, use_threads=threads) as pool:
        assert failure_of(lambda: list(pool.map(ITEMS, False))).obj_id == 2
