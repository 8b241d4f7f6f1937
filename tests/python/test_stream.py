# SPDX-License-Identifier: Apache-2.0
"""Streams: results one by one, input as it is wanted."""
import collections
import gc
import itertools
import queue
import resource
import threading
import types

import pytest

import objpool
from objpool import _results
from harness import DEADLINE, wait_for


def all_of(stream):
    """Results, and exceptions in their places."""
    found = []
    while True:
        try:
            found.append(next(stream))
        except StopIteration:
            return found
        except Exception as error:
            found.append(error)


def idle(client):
    """Whether the pool has nothing to do, once it has not."""
    return wait_for(lambda: client.status("p")["pools"][0]["running"] == 0, lambda: "the pool to be idle")


@pytest.mark.parametrize("items", [list, tuple, range, iter, lambda n: (i for i in n), lambda n: map(int, n)])
def test_in_order(pool, items):
    assert list(pool.map.echo.stream(items(range(3000)) if items is not range else range(3000))) == list(range(3000))


def test_len_where_it_is_known(pool):
    assert len(pool.map.echo.stream(range(10))) == 10
    assert len(pool.map.add.stream(range(10), [1, 2])) == 2
    assert len(pool.scatter.echo.stream([1, 2])) == 2
    with pytest.raises(TypeError):
        len(pool.map.echo.stream(i for i in range(3)))


def test_every_target(pool):
    assert list(pool.echo.stream(1)) == [1] and list(pool.all.slot.stream()) == [0, 1]
    assert list(pool.scatter.echo.stream([1, 2])) == [1, 2] and list(pool[1].slot.stream()) == [1]
    assert list(pool.map.echo.stream([])) == []
    assert list(pool.map.add.stream(range(3), itertools.count(10))) == [10, 12, 14]
    assert list(pool.map.add.stream(a=range(3), b=range(3))) == [0, 2, 4]
    assert list(pool.options(bind=[100]).map.add.stream(range(3))) == [100, 101, 102]


def test_unordered(pool):
    results = list(pool.options(chunk=1).map.sleep.stream([0.3, 0.01, 0.01, 0.01], ordered=False))
    assert sorted(results) == [0.01, 0.01, 0.01, 0.3] and results[-1] == 0.3


def test_errors_come_in_their_places(pool):
    items = [(1, 1), (2, "x"), (3, 3), (4, "y"), (5, 5)]
    results = all_of(pool.options(args_as="positional").map.add.stream(items))
    assert [results[i] for i in (0, 2, 4)] == [2, 6, 10] and len(results) == 5
    assert isinstance(results[1], objpool.BadArgument) and results[1].index == 1 and results[3].index == 3
    collected = list(pool.options(args_as="positional", errors="collect").map.add.stream(items))
    assert isinstance(collected[1], objpool.BadArgument) and collected[4] == 10
    first = all_of(pool.options(errors="first").map.fail.stream(["a"] * 100))
    assert isinstance(first[-1], objpool.CallFailed) and len(first) < 100
    assert all_of(pool.client.pool("other").map.echo.stream([1]))[0].code == "NO_SUCH_POOL"


def test_results_that_need_a_closer_look(pool):
    items = [1, {1, 2}, [3, {4}], None, "a"]
    assert list(pool.map.echo.stream(items)) == items


@pytest.mark.parametrize("give", [lambda items: items, iter], ids=["read here", "by a thread"])
def test_an_input_that_fails(pool, give):
    def failing():
        yield 1
        yield 2
        raise KeyError("z")
    results = all_of(pool.map.echo.stream(failing()))
    assert results[:2] == [1, 2] and isinstance(results[2], KeyError) and len(results) == 3
    results = all_of(pool.map.echo.stream(give([1, threading.Lock(), 3])))
    assert results[0] == 1 and isinstance(results[1], objpool.BadValue) and len(results) == 2


@pytest.mark.parametrize("window", [1, 2, 7, 64])
def test_the_input_is_never_read_further_than_the_window(pool, window):
    read = 0

    def endless():
        nonlocal read
        for read in itertools.count(1):
            yield read

    with pool.map.echo.stream(endless(), window=window) as stream:
        for taken, value in enumerate(itertools.islice(stream, 500)):
            assert value == taken + 1 and read <= taken + window


def test_an_endless_input_in_constant_memory(pool):
    blob = bytes(1000)

    def peak():
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    stream = pool.map.echo.stream(itertools.repeat(blob), window=256)
    for _ in itertools.islice(stream, 3000):
        pass
    before = peak()
    for _ in itertools.islice(stream, 30000):
        pass
    assert peak() - before < 4 << 10  # KiB; 30 MB went through


def test_an_input_that_waits_for_results(pool):
    """As in a search: what comes out goes in again."""
    todo = queue.Queue()
    todo.put(0)

    def inputs():
        while True:
            item = todo.get(timeout=DEADLINE)
            if item is None:
                return
            yield item

    seen = 0
    for value in pool.map.echo.stream(inputs()):
        seen += 1
        if seen < 300:
            todo.put(seen)
            if seen < 20:
                todo.put(-1)
        elif seen == 300:
            todo.put(None)
    assert seen >= 300


def test_leaving_early_cancels(client, pool):
    for _ in pool.options(chunk=1).map.sleep.stream(itertools.chain([0], itertools.repeat(60))):
        break
    idle(client)
    stream = pool.map.sleep.stream([60] * 10)
    stream.close()
    idle(client)
    assert list(stream) == [] and pool.echo(1) == 1


def test_next_with_a_timeout(pool):
    stream = pool.map.sleep.stream([0.15, 0])
    with pytest.raises(TimeoutError):
        stream.next(0.01)
    assert stream.next(DEADLINE) == 0.15 and stream.next() == 0
    with pytest.raises(StopIteration):
        stream.next()


def test_a_streams_time(client, pool):
    with pytest.raises(objpool.Timeout):
        list(pool.options(timeout=0.05).map.sleep.stream([0, 60]))
    idle(client)


def test_progress(pool):
    steps = []
    list(pool.options(progress=lambda done, total, text: steps.append((done, total))).map.echo.stream(range(50)))
    assert steps[-1] == (50, 50) and steps == sorted(steps)
    tqdm = pytest.importorskip("tqdm")
    with tqdm.tqdm(disable=False, file=open("/dev/null", "w")) as bar:
        list(pool.options(progress=bar).map.echo.stream(range(50)))
        assert bar.n == bar.total == 50


def test_two_streams_and_calls_between(pool):
    one, two = pool.map.echo.stream(range(500)), pool.map.echo.stream(i for i in range(500))
    for a, b in zip(one, two):
        assert a == b
        if a % 50 == 0:
            assert pool.echo(a) == a


def test_threads_share_a_stream(pool):
    stream, found = pool.map.echo.stream(range(5000)), []

    def take():
        found.extend(stream)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(found) == list(range(5000))


def test_a_lost_worker_is_an_error_in_its_place(start):
    daemon = start({"p": {"workers": 1}})
    with objpool.connect(daemon.address) as client:
        results = all_of(client.pool("p").options(chunk=1).map.crash.stream([9, 9]))
        assert [type(each) for each in results] == [objpool.WorkerLost] * 2


def test_results_that_come_while_others_are_taken():
    """Another thread adds them."""
    class Growing(list):
        def __iter__(self):
            results.append([1, 2, [3]])
            return super().__iter__()

    results = collections.deque([[1, 0, Growing([1])], [1, 1, [2]]])
    taken = object.__new__(_results.Results)
    taken._entry, taken._input = types.SimpleNamespace(results=results), None
    assert [taken._take(), *taken._values] == [1, 2] and len(results) == 2
