# SPDX-License-Identifier: Apache-2.0
"""objpool.compat.objectproxypool, point by point."""
import itertools
import os
import pickle
import signal
import threading
import warnings

import pytest

np = pytest.importorskip("numpy")

from objpool.compat.multiprocess import ProcessError
from objpool.compat.multiprocess.pool import MaybeEncodingError, RemoteTraceback
from objpool.compat.objectproxypool import ProxyPool, SharedArrayWrapper, Unpacker, unpack
from objpool.compat.objectproxypool.pool import DistributedPool, ObjectPool, ObjectThreadPool, get_chunksize_per_worker, lenrepeat, lenzip

MODES = pytest.mark.parametrize("separate", [False, True], ids=["threads", "processes"])


class Sampler:
    def __init__(self, base=0):
        self.base, self.calls = base, 0
        self.where = (os.getpid(), threading.get_ident())

    def add(self, x, b=0):
        self.calls += 1
        return self.base + x + b

    def count(self):
        return self.calls

    def place(self):
        return self.where

    def here(self):
        return os.getpid(), threading.get_ident()

    def rows(self, n):
        return np.full((n, 2), n)

    def vector(self):
        return np.arange(3)

    def give(self, value):
        return value

    def give_generator(self):
        return (x for x in ())

    def fail(self, x):
        return 1 // x

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def static(x):
        return x + 1

    @classmethod
    def of_class(cls, x):
        return f"{cls.__name__} {x}"

    @property
    def attribute(self):
        return self.base

    def total(self, handle):
        with Unpacker(handle) as array:
            return float(array.sum())

    def fill(self, handle, value):
        unpack(handle)[...] = value


class Failing:
    def __init__(self, message):
        raise KeyError(message)


@pytest.fixture(scope="module", params=[False, True], ids=["threads", "processes"])
def pool(request):
    with ProxyPool(Sampler, 3, (5,), request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with ProxyPool(Sampler, 3, (5,), separate_processes=True) as pool:
        yield pool


def test_both_spellings_of_the_arguments():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ProxyPool(Sampler, 2, (1,), False, False) as pool:
            assert pool.worker_count == 2 and list(pool.add(1)) == [2, 2]
        with ProxyPool(Sampler, worker_count=2, init_args=(1,), separate_processes=False, dedicated=True) as pool:
            assert list(pool.add(1)) == [2, 2]
    with pytest.warns(DeprecationWarning) as told, ProxyPool(Sampler, numWorkers=2, initargs=(7,), separateProcesses=False) as pool:
        assert pool.worker_count == 2 and list(pool.add(1)) == [8, 8]
    assert [str(warning.message) for warning in told] == [
        "The 'numWorkers' argument is deprecated. Use 'worker_count' instead.", "The 'initargs' argument is deprecated. Use 'init_args' instead.",
        "The 'separateProcesses' argument is deprecated. Use 'separate_processes' instead."]
    with pytest.warns(DeprecationWarning), ProxyPool(Sampler, 3, numWorkers=2) as pool:
        assert pool.worker_count == 3


def test_threads_are_the_default():
    with ProxyPool(Sampler) as pool:
        assert pool.worker_count == os.cpu_count()
        assert {pid for pid, _ in pool.here()} == {os.getpid()}


@MODES
def test_objects_are_built_where_they_live(separate):
    with ProxyPool(Sampler, 2, separate_processes=separate) as pool:
        assert pool.place().tolist() == pool.here().tolist()
        assert len({tuple(row) for row in pool.here()}) == 2


def test_a_broadcast_reaches_each_object_once(pool):
    before = pool.count()
    for _ in range(5):
        assert pool.add(1).tolist() == [6, 6, 6]
    assert (pool.count() - before).tolist() == [5, 5, 5]
    assert pool.add(1, b=2).tolist() == [8, 8, 8]


def test_map(pool):
    assert pool.add(range(7), map_args=True).tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert pool.add(range(5), range(3), map_args=True).tolist() == [5, 7, 9]
    assert pool.add(range(4), b=[9], map_args=True).tolist() == [14]
    assert pool.add(range(3), b=itertools.repeat(100), map_args=True).tolist() == [105, 106, 107]
    assert pool.add(range(3), itertools.repeat(10), map_args=True, chunksize=2).tolist() == [15, 16, 17]
    assert pool.add(iter([1, 2]), map_args=True).tolist() == [6, 7]
    assert pool.give("abc", map_args=True).tolist() == ["a", "b", "c"]
    assert pool.give({1: 2, 3: 4}, map_args=True).tolist() == [1, 3]


def test_empty_input(pool):
    result = pool.add([], map_args=True)
    assert result.shape == (0,) and result.dtype == np.float64


def test_map_refuses_scalars_and_endless_input(pool):
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        pool.add(3, map_args=True)
    with pytest.raises(ValueError, match="lenzip takes at least one argument"):
        pool.count(map_args=True)
    with pytest.raises(ValueError, match="endless"):
        pool.add(itertools.repeat(1), b=itertools.count(), map_args=True)


def test_map_takes_generators_and_keywords_alone(pool):
    assert pool.add((x for x in range(3)), map_args=True).tolist() == [5, 6, 7]
    assert pool.add(x=[1, 2], map_args=True).tolist() == [6, 7]


def test_static_and_class_methods_and_properties(pool):
    assert pool.static(1).tolist() == [2] * 3
    assert pool.of_class(1).tolist() == ["Sampler 1"] * 3
    assert pool.attribute().tolist() == [5] * 3


def test_results_become_arrays(pool):
    assert pool.vector().shape == (3, 3)
    assert pool.rows([1, 2, 3], map_args=True).shape == (6, 2)
    assert pool.rows(2, stack_results=False).shape == (3, 2, 2)
    with pytest.raises(ValueError):
        pool.give([np.zeros(2), np.zeros(3)], map_args=True)
    assert pool.give(None).dtype == object
    assert pool.give([[1], [1, 2]], map_args=True).dtype == object
    assert pool.give([{}], map_args=True).dtype == object
    assert pool.give([1.5, 2], map_args=True).dtype == np.float64


def test_numbers_beside_text_stay_numbers(pool):
    assert pool.give(("a", 1)).tolist() == [["a", 1]] * 3


def test_unknown_methods(pool):
    with pytest.raises(AttributeError, match="type object 'Sampler' has no attribute 'nope'"):
        pool.nope(1)
    with pytest.raises(TypeError):
        len(pool)
    with pytest.raises(TypeError):
        pool()


def test_exceptions(pool):
    with pytest.raises(ZeroDivisionError) as raised:
        pool.fail(range(3), map_args=True)
    assert (type(raised.value.__cause__) is RemoteTraceback) == isinstance(pool.pool, ObjectPool)
    with pytest.raises(ZeroDivisionError):
        pool.fail(0)
    assert pool.add(1).tolist() == [6] * 3


@MODES
def test_a_failing_constructor_raises_at_once(separate):
    with pytest.raises(KeyError, match="why"):
        ProxyPool(Failing, 2, ("why",), separate)


def test_a_dead_worker_is_an_error_and_its_object_is_built_again(processes):
    with pytest.raises(ProcessError):
        processes.die()
    assert processes.add(1).tolist() == [6] * 3
    assert processes.add(range(4), map_args=True).tolist() == [5, 6, 7, 8]


def test_results_that_cannot_travel(processes):
    with pytest.raises(MaybeEncodingError):
        processes.give_generator()
    assert processes.add(1).tolist() == [6] * 3


@MODES
def test_rounds(separate):
    """With synchronize_workers each object does exactly one task of a round."""
    with ProxyPool(Sampler, 3, separate_processes=separate) as pool:
        for how in (True, None, 0.5):
            before = pool.count()
            assert pool.add(range(6), map_args=True, synchronize_workers=how).tolist() == list(range(6))
            assert (pool.count() - before).tolist() == [2, 2, 2]
        assert pool.add(range(7), map_args=True, synchronize_workers=None).tolist() == list(range(7))
        assert pool.add(range(2), map_args=True, synchronize_workers=False).tolist() == [0, 1]
        with pytest.raises(ZeroDivisionError):
            pool.fail([1, 0, 1, 1], map_args=True, synchronize_workers=True)


@MODES
def test_dedicated(separate):
    with ProxyPool(Sampler, 3, separate_processes=separate, dedicated=True) as pool:
        where = pool.here()
        for _ in range(3):
            assert (pool.here() == where).all()
        assert pool.add([1, 2, 3], map_args=True).tolist() == [1, 2, 3]
        assert pool.count().tolist() == [1, 1, 1]
        with pytest.raises(ValueError, match=r"Length of iterable \(5\) must match the number of workers \(3\) if the pool is dedicated."):
            pool.add(range(5), map_args=True)
        for map_args in (True, False):
            with pytest.raises(ValueError, match="Chunksize must be 1 if the pool is dedicated."):
                pool.add(range(3), map_args=map_args, chunksize=2)
        assert pool.add([1, 2, 3], map_args=True, chunksize=1).tolist() == [1, 2, 3]


@MODES
def test_close(separate):
    pool = ProxyPool(Sampler, 2, separate_processes=separate)
    pool.close()
    with pytest.raises(ValueError, match="^Pool not running$"):
        pool.add(1)
    pool.join()


def test_shared_arrays(pool):
    array = np.arange(1000.0)
    wrapper = SharedArrayWrapper(array)
    handle = wrapper.remoteArray
    assert wrapper.shape == (1000,) and wrapper.dtype == array.dtype and wrapper.name == handle.name
    assert pool.total(handle).tolist() == [array.sum()] * 3
    assert pool.total(array).tolist() == [array.sum()] * 3
    pool.fill(handle, 7)
    assert (wrapper.array == 7).all() and (array != 7).any()
    assert unpack(3) == 3 and (unpack(handle) == 7).all()
    path = "/dev/shm/" + wrapper.name
    assert os.path.exists(path)
    del wrapper
    assert not os.path.exists(path)


def test_shared_arrays_are_not_removed_when_a_worker_ends():
    wrapper = SharedArrayWrapper(np.ones(4))
    for _ in range(2):
        with ProxyPool(Sampler, 1, separate_processes=True) as pool:
            assert pool.total(wrapper.remoteArray).tolist() == [4]


def test_shares():
    assert get_chunksize_per_worker(11, 4).tolist() == [3, 3, 3, 2]
    assert get_chunksize_per_worker(2, 4).tolist() == [1, 1, 0, 0]
    assert len(lenzip([1, 2], itertools.repeat(0))) == 2 and list(lenzip("ab", [1])) == [("a", 1)]
    assert list(lenrepeat(1, 3)) == [1, 1, 1] and len(lenrepeat(1, 3)) == 3


@pytest.mark.parametrize("kind", [ObjectThreadPool, ObjectPool])
def test_the_lower_level(kind):
    with kind(2, Sampler, (1,)) as pool:
        assert pool.map(Sampler.add, [1, 2]) == [2, 3]
        assert pool.starmap(Sampler.add, [(1, 2)]) == [4]
        assert pool.kwstarmap(Sampler.add, [(1,), (2,)], {"b": [5, 6]}) == [7, 9]
        assert pool.map_async(Sampler.add, [1], callback=lambda value: None).get(30) == [2]


def test_a_shared_array_is_let_go_with_the_last_that_shows_it():
    with SharedArrayWrapper(np.arange(4)) as shared:
        kept, path = shared.array, f"/dev/shm/{shared.name}"
        handle = pickle.loads(pickle.dumps(shared.remoteArray))
        handle.array[0] = 7
        assert os.path.exists(path)
    assert not os.path.exists(path) and shared.array is None and shared.shape == (4,)
    shared.close()
    with pytest.raises(FileNotFoundError):
        handle.array
    assert kept.tolist() == [7, 1, 2, 3] and SharedArrayWrapper([1, 2]).array.tolist() == [1, 2]


class Takes:
    def give(self, x, synchronize=None):
        return synchronize


def test_synchronize_as_in_the_originals_readme():
    with ProxyPool(Sampler, 2) as pool, ProxyPool(Takes, 2) as takes:
        assert pool.add(range(4), map_args=True, synchronize=True).tolist() == [0, 1, 2, 3]
        assert takes.give([1, 2], synchronize=[5, 6], map_args=True).tolist() == [5, 6] and takes.give(1, synchronize=True).tolist() == [True, True]


def test_a_distributed_pool():
    with DistributedPool(2) as pool:
        assert (pool.map(abs, [-1]), pool.starmap(max, [(1, 2)]), pool.worker_count, pool.distributed_pools) == ([1], [2], 2, False)
