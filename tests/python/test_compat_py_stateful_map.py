# SPDX-License-Identifier: Apache-2.0
"""objpool.compat.py_stateful_map, point by point."""
import functools
import itertools
import os
import threading

import pytest

from objpool.compat.multiprocess import ProcessError
from objpool.compat.multiprocess.pool import MaybeEncodingError, RemoteTraceback
from objpool.compat.py_stateful_map import ArgumentPassing, ExceptionBehavior, StateFullWorkerPool, StateFullWorkerPoolResultGenerator

ORDERS = pytest.mark.parametrize("is_unordered", [False, True], ids=["ordered", "unordered"])
MODES = pytest.mark.parametrize("use_threads", [False, True], ids=["processes", "threads"])


class Worker:
    def __init__(self, a=1, b=2):
        self.a, self.b, self.built_in = a, b, os.getpid()

    def __call__(self, x, y=0):
        return self.a, self.b, x + y


class Failing(Worker):
    def __call__(self, x):
        if x == 3:
            raise ValueError("three")
        return x


class Unbuildable:
    def __init__(self):
        raise KeyError("why")

    def __call__(self, x):
        return x


class WhereBuilt(Worker):
    def __call__(self, x):
        return self.built_in, os.getpid()


class Odd(Worker):
    def __call__(self, x):
        if x == 2:
            os._exit(1)
        return (i for i in ()) if x == 4 else x


def double(x):
    return 2 * x


def values(results):
    return [result.ret_val for result in results]


@MODES
@ORDERS
def test_map(use_threads, is_unordered):
    with StateFullWorkerPool(2, double, chunk_size=5, use_threads=use_threads) as pool:
        results = pool.map(range(100), is_unordered)
        assert isinstance(results, StateFullWorkerPoolResultGenerator) and len(results) == 100
        found = [(result.obj_id, result.ret_val, result.exception_obj) for result in results]
        assert (sorted(found) if is_unordered else found) == [(x, 2 * x, None) for x in range(100)]
        assert values(pool.map(iter([1, 2]), is_unordered=False)) == [2, 4]     # a second map
        assert values(pool.map([], is_unordered)) == []


@MODES
def test_arguments_of_workers(use_threads):
    with StateFullWorkerPool(2, Worker, {"a": 5, "b": 6}, [{"b": 7}, {}], use_threads=use_threads) as pool:
        assert pool.num_workers == 2 and len(pool.workers) == 2
        assert set(values(pool.map(range(400), True))) <= {(5, b, x) for b in (6, 7) for x in range(400)}
    with StateFullWorkerPool(0, Worker, chunk_prefill_ratio=0, use_threads=use_threads) as pool:
        assert pool.num_workers == 1 and values(pool.map([4], False)) == [(1, 2, 4)]


def test_objects_are_built_in_their_workers():
    with StateFullWorkerPool(2, WhereBuilt) as pool:
        for built, called in values(pool.map(range(10), False)):
            assert built == called != os.getpid()


@MODES
def test_wrong_workers(use_threads):
    for wrong in (functools.partial(double), len, Worker(), "text".split):
        with pytest.raises(Exception, match="^Wrong worker type: <class "):
            StateFullWorkerPool(2, wrong, use_threads=use_threads)
    for arguments in (({"a": 1},), (None, [{"a": 1}, {}])):
        with pytest.raises(Exception, match="^The worker is a stateless function, but you passed it initialization parameters "):
            StateFullWorkerPool(2, double, *arguments, use_threads=use_threads)
    with pytest.raises(AssertionError):
        StateFullWorkerPool(2, Worker, {}, [{}], use_threads=use_threads)
    with pytest.raises(KeyError, match="why"):
        StateFullWorkerPool(2, Unbuildable, use_threads=use_threads)
    with pytest.raises(ValueError, match="chunk_size"):
        StateFullWorkerPool(2, double, chunk_size=0, use_threads=use_threads)


@MODES
@ORDERS
def test_look_ahead(use_threads, is_unordered):
    read = 0

    def numbers():
        nonlocal read
        for read in itertools.count(1):
            yield read

    with StateFullWorkerPool(2, double, chunk_size=10, chunk_prefill_ratio=3, use_threads=use_threads) as pool:
        results = pool.map(numbers(), is_unordered)
        seen = [read]
        for count in (1, 9, 1):
            for _ in range(count):
                next(results)
            seen.append(read)
        assert seen == [0, 30, 30, 40]
        with pytest.raises(TypeError, match="'NoneType' object cannot be interpreted as an integer"):
            len(results)


def test_ways_of_passing_arguments():
    for way, items in ((ArgumentPassing.AS_ARGS, [(1, 2)]), (ArgumentPassing.AS_KWARGS, [{"x": 1, "y": 2}]), ("single_arg", [3]), ("other", [3])):
        with StateFullWorkerPool(1, Worker, argument_passing=way, use_threads=True) as pool:
            assert values(pool.map(items, False)) == [(1, 2, 3)]
    with StateFullWorkerPool(1, double, argument_passing="args", exception_behavior="deferred") as pool:
        assert type(next(pool.map([5], False)).exception_obj) is TypeError


@MODES
@ORDERS
def test_deferred_exceptions(use_threads, is_unordered):
    with StateFullWorkerPool(2, Failing, chunk_size=2, use_threads=use_threads, exception_behavior=ExceptionBehavior.DEFERRED) as pool:
        results = {result.obj_id: result for result in pool.map(range(8), is_unordered)}
    assert [results[x].ret_val for x in range(8)] == [0, 1, 2, None, 4, 5, 6, 7]
    assert [type(results[x].exception_obj) for x in (2, 3)] == [type(None), ValueError]


@MODES
@ORDERS
@pytest.mark.parametrize("behavior", [ExceptionBehavior.IMMEDIATE, ExceptionBehavior.IMMEDIATE_WAIT_OTHERS])
def test_immediate_exceptions(use_threads, is_unordered, behavior):
    with StateFullWorkerPool(2, Failing, chunk_size=2, use_threads=use_threads, exception_behavior=behavior) as pool:
        results = pool.map(range(1000), is_unordered)
        with pytest.raises(ValueError, match="three") as raised:
            for _ in results:
                pass
        assert use_threads or type(raised.value.__cause__) is RemoteTraceback
        with pytest.raises(StopIteration):
            next(results)
        assert values(pool.map([1], False)) == [1]


def test_waiting_for_others_with_large_results():
    with StateFullWorkerPool(2, lambda x: bytes(1 << 20) if x else 1 // x, exception_behavior="immediate_wait_others", join_timeout=30) as pool:
        with pytest.raises(ZeroDivisionError):
            for _ in pool.map(range(20), False):
                pass


def test_a_dead_worker_and_an_unsendable_result():
    with StateFullWorkerPool(2, Odd, exception_behavior="deferred") as pool:
        results = [result.exception_obj for result in pool.map(range(6), False)]
        assert [type(error) is type(None) for error in results] == [True, True, False, True, False, True]
        assert isinstance(results[2], ProcessError) and isinstance(results[4], MaybeEncodingError)
    with StateFullWorkerPool(2, Odd) as pool, pytest.raises(ProcessError):
        list(pool.map(range(4), False))


def test_an_input_longer_than_it_says():
    class Liar:
        def __len__(self):
            return 2

        def __iter__(self):
            return iter(range(5))

    with StateFullWorkerPool(1, double, use_threads=True) as pool, pytest.raises(AssertionError):
        list(pool.map(Liar(), False))


def test_an_input_that_fails():
    def numbers():
        yield 1
        raise KeyError("input")

    with StateFullWorkerPool(1, double) as pool, pytest.raises(KeyError):
        list(pool.map(numbers(), False))


@MODES
def test_an_early_end_leaves_nothing(use_threads):
    before = threading.active_count()
    with StateFullWorkerPool(2, double, use_threads=use_threads) as pool:
        for result in pool.map(itertools.count(), True):
            break
        pool.join_workers()
        workers = pool.workers
    for worker in workers:
        if use_threads:
            worker.join(30)
        else:
            import harness
            harness.wait_for(lambda: not harness.is_alive(worker.pid), lambda: "a worker to end")
    assert not use_threads or threading.active_count() <= before


def test_tqdm():
    tqdm = pytest.importorskip("tqdm")
    with StateFullWorkerPool(2, double, use_threads=True) as pool:
        assert len(list(tqdm.tqdm(pool.map(range(10), False), disable=True))) == 10
        assert len(list(tqdm.tqdm(pool.map(iter(range(10)), False), disable=True))) == 10
