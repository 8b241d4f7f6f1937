# SPDX-License-Identifier: Apache-2.0
"""Large arrays that items of one call have in common: they go once, and each item's is its own."""
import copy
import os

import pytest

from objpool import _files
from objpool.compat.multiprocess.pool import Pool
from objpool.compat.objectproxypool import ProxyPool
from objpool.compat.py_stateful_map import ArgumentPassing, ExceptionBehavior, StateFullWorkerPool

np = pytest.importorskip("numpy")
N = 100_000


@pytest.fixture
def processes():
    with Pool(2) as pool:
        yield pool


@pytest.fixture
def fills(monkeypatch):
    """The lengths of what is written to memory that workers look at."""
    lengths, fill = [], _files._Memory.fill

    def counting(memory, parts, length):
        lengths.append(length)
        fill(memory, parts, length)

    monkeypatch.setattr(_files._Memory, "fill", counting)
    return lengths


def add_one(array):
    array += 1
    return float(array.sum())


def may_write(array):
    return array.flags.writeable


def total(value):
    return float(value.sum())


def total_of_pair(x, array):
    array[0] += x
    return float(array.sum())


class Model:
    def __init__(self, weights):
        self.weights = weights


def total_of_model(model):
    model.weights += 1
    return float(model.weights.sum())


class Odd:
    """Does not like to be looked at."""

    def __init__(self, array):
        object.__setattr__(self, "array", array)

    @property
    def __dict__(self):
        raise OSError("no")

    def __reduce__(self):
        return copy.copy, (self.array,)


class Refilled:
    """Pickled by way of one and the same array."""

    scratch = np.zeros(N)

    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        self.scratch[:] = self.value
        return copy.copy, (self.scratch,)


class Toucher:
    def __call__(self, array, x=0):
        array += 1
        return float(array.sum()) + x


class Looker:
    def __call__(self, array):
        return array.flags.writeable, float(array.sum())


def stateful(cls, items, **options):
    options = {"chunk_size": 20, "exception_behavior": ExceptionBehavior.DEFERRED, **options}
    with StateFullWorkerPool(2, cls, **options) as pool:
        return [result.exception_obj or result.ret_val for result in pool.map(items, is_unordered=False)]


# Pool


def test_an_array_in_many_items_goes_once(processes, fills):
    array = np.ones(N)
    assert processes.map(add_one, [array] * 6, 1) == [2.0 * N] * 6 and len(fills) == 1 and array.sum() == N
    assert processes.starmap(total_of_pair, [(i, array) for i in range(6)], 1) == [N + i for i in range(6)] and len(fills) == 2
    assert processes.map(total_of_model, [Model(array)] * 4, 1) == [2.0 * N] * 4 and len(fills) == 3
    assert processes.map(total, [np.asfortranarray(array.reshape(100, -1))] * 4, 1) == [N] * 4 and len(fills) == 4
    assert array.sum() == N


def test_one_chunk_has_it_once(processes):
    """As it is with pickle: the items of a chunk have it in common."""
    assert processes.map(add_one, [np.ones(N)] * 4, 2) == [2.0 * N, 3.0 * N] * 2


def test_what_changes_between_two_maps_is_seen(processes):
    array = np.zeros(N)
    for i in range(6):
        array[:] = i
        assert processes.map(add_one, [array] * 4, 1) == [(i + 1.0) * N] * 4


def test_different_arrays_stay_different(processes, fills):
    arrays = [np.full(N, float(i)) for i in range(12)]
    assert processes.map(total, [*arrays, *arrays], 1) == [float(i) * N for i in range(12)] * 2
    assert len(fills) == 12
    whole = np.arange(2.0 * N)
    parts = [whole[:N], whole[N:], whole, whole[:N].view("i8"), whole[::2]]
    assert processes.map(total, parts, 1) == [float(part.sum()) for part in parts]
    assert processes.map(total, [Odd(array) for array in arrays], 1) == [float(i) * N for i in range(12)]


def test_what_reduce_makes_is_not_taken_for_the_same(processes):
    assert processes.map(total, [Refilled(i) for i in range(6)], 1) == [float(i) * N for i in range(6)]
    assert list(processes.imap(total, [Refilled(i) for i in range(60)])) == [float(i) * N for i in range(60)]


def test_read_only_arrays_stay_so(processes, fills):
    array = np.ones(N)
    array.flags.writeable = False
    assert processes.map(may_write, [array] * 4, 1) == [False] * 4 and len(fills) == 1
    view = array.view()
    mine = np.ones(N)
    frozen = mine.view()
    frozen.flags.writeable = False
    assert processes.map(may_write, [mine, frozen, view], 1) == [True, False, False]
    with pytest.raises(ValueError, match="read-only"):
        processes.map(add_one, [array] * 2, 1)
    assert processes.map(total, [array] * 2, 1) == [N] * 2


def add_to_first(first, *others):
    first += 1
    return [float(array.sum()) for array in (first, *others)]


def test_what_was_written_to_serves_no_other_item():
    array = np.zeros(N)
    with Pool(1) as pool:
        for count in range(4):
            others = [array.view() for _ in range(count)]
            for view in others:
                view.flags.writeable = False
            assert pool.starmap(add_to_first, [(array, *others)] * 3, 1) == [[float(N)] + [0.0] * count] * 3


held = []


def hold(array):
    array[::1000] += 1
    held.append(array)
    return os.getpid()


def held_sums(_):
    held[-1][1] += 1
    return [float(array.sum()) for array in held]


def test_what_a_worker_keeps_is_its_own():
    with Pool(1) as pool:
        array = np.ones(N)
        pool.map(hold, [array] * 3, 1)
        for value in range(5):          # the memory is filled anew
            pool.map(total, [np.full(N, float(value))] * 3, 1)
        assert pool.apply(held_sums, (0,)) == [N + 100.0, N + 100.0, N + 101.0]
        assert pool.apply(held_sums, (0,)) == [N + 100.0, N + 100.0, N + 102.0]
        assert pool.map(total, [array] * 3, 1) == [N] * 3


def fail_on_second(x, array):
    array += 1
    if x == 1:
        raise KeyError(x)
    return float(array.sum())


def test_failures_leave_the_others_right(processes):
    array = np.ones(N)
    for _ in range(5):
        with pytest.raises(KeyError):
            processes.starmap(fail_on_second, [(i, array) for i in range(4)], 1)
        assert processes.map(add_one, [array] * 4, 1) == [2.0 * N] * 4
    with pytest.raises(Exception, match="generator"):
        processes.map(total, [array, (x for x in ()), array], 1)
    assert processes.map(add_one, [array] * 4, 1) == [2.0 * N] * 4


def test_memory_is_filled_again_when_all_have_answered(processes):
    store = processes._crew._connection.store = _files.Store()
    arrays = [np.full(N, float(i)) for i in range(4)]
    for i in range(30):
        assert processes.map(total, [arrays[i % 4]] * 5, 1) == [i % 4 * float(N)] * 5
    assert len(store._idle) == 1
    first = processes.map_async(total, [arrays[1]] * 3, 1)
    second = processes.map_async(total, [arrays[2]] * 3, 1)
    assert second.get() == [2.0 * N] * 3 and first.get() == [N] * 3
    assert len(store._idle) == 2 and len(set(map(id, store._idle))) == 2


def test_imap_and_apply(processes):
    array = np.ones(N)
    assert list(processes.imap(add_one, [array] * 5)) == [2.0 * N] * 5
    assert sorted(processes.imap_unordered(add_one, [array] * 5, 2)) == [2.0 * N] * 3 + [3.0 * N] * 2
    assert processes.apply(total_of_pair, (1, array)) == N + 1 and array.sum() == N


# py_stateful_map


def test_items_with_large_arrays(fills):
    array = np.ones(N)
    assert stateful(Toucher, [array] * 60) == [2.0 * N] * 60
    assert array.sum() == N and 0 < len(fills) < 60
    arrays = [np.full(N, float(i)) for i in range(50)]
    assert stateful(Toucher, arrays) == [(i + 1.0) * N for i in range(50)]
    items = [(array, i) if i % 3 else (np.full(10, 1.0), i) for i in range(40)]
    assert stateful(Toucher, items, argument_passing=ArgumentPassing.AS_ARGS) == [(2.0 * N if i % 3 else 20.0) + i for i in range(40)]


def test_items_with_read_only_arrays_and_those_that_fail():
    array = np.ones(N)
    frozen = array.view()
    frozen.flags.writeable = False
    assert stateful(Looker, [array, frozen] * 10) == [(True, float(N)), (False, float(N))] * 10
    results = stateful(Toucher, [array, frozen, (x for x in ()), Refilled(2), Refilled(3), array])
    assert [type(result) for result in results] == [float, ValueError, TypeError, float, float, float]
    assert [results[i] for i in (0, 3, 4, 5)] == [2.0 * N, 3.0 * N, 4.0 * N, 2.0 * N]
    assert stateful(Toucher, [Refilled(i) for i in range(60)], chunk_size=30) == [(i + 1.0) * N for i in range(60)]


# objectproxypool


class Counter:
    def add_one(self, array):
        array += 1
        return float(array.sum())


def test_proxies(fills):
    array = np.ones(N)
    with ProxyPool(Counter, 2, separate_processes=True, dedicated=True) as pool:
        for _ in range(3):
            assert list(pool.add_one(array)) == [2.0 * N] * 2 and array.sum() == N
        assert len(fills) == 3
        assert list(pool.add_one([array, array], map_args=True)) == [2.0 * N] * 2 and len(fills) == 4
