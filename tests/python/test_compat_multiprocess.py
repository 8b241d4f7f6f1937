# SPDX-License-Identifier: Apache-2.0
"""objpool.compat.multiprocess, point by point: what multiprocessing and multiprocess do, and what they do wrong."""
import ctypes
import functools
import gc
import itertools
import os
import pathlib
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

from objpool.compat import multiprocess
from objpool.compat.multiprocess import dummy, util
from objpool.compat.multiprocess.pool import IMapIterator, MaybeEncodingError, Pool, PoolTerminated, RemoteTraceback, ThreadPool, WorkerLost

SOON = 30   # seconds; nothing here takes that long unless it hangs


def square(x):
    return x * x


def add(a, b=0, *, c=0):
    return a + b + c


def invert(x):
    return 1 // x


def end(how):
    how()


def wait_for_file(path):
    deadline = time.monotonic() + SOON
    while not os.path.exists(path) and time.monotonic() < deadline:
        select.select([], [], [], 0.002)
    return os.getpid()


class Counter:
    def __init__(self):
        self.count = 0

    def __call__(self, x):
        self.count += 1
        return self.count

    def method(self, x):
        return self(x)


class NotSent:
    def __reduce__(self):
        raise RuntimeError("this can't be pickled")


class NotRebuilt(Exception):
    def __init__(self, a, b):
        super().__init__(a)


def raise_not_rebuilt():
    raise NotRebuilt(1, 2)


class ExceptionNotSent(Exception):
    def __reduce__(self):
        raise RuntimeError("this can't be pickled")


def raise_not_sent():
    raise ExceptionNotSent("text")


@pytest.fixture(scope="module", params=[Pool, ThreadPool], ids=["processes", "threads"])
def pool(request):
    with request.param(3) as pool:
        yield pool


@pytest.fixture(scope="module")
def processes():
    with Pool(2) as pool:
        yield pool


def test_apply(pool):
    assert pool.apply(add, (1, 2), {"c": 3}) == 6
    result = pool.apply_async(add, (1,), {"b": 2})
    assert result.get(SOON) == 3 and result.ready() and result.successful()
    assert result.get() == 3


def test_map_and_starmap(pool):
    assert pool.map(square, range(100)) == [x * x for x in range(100)]
    assert pool.map(square, iter([1, 2, 3]), 2) == [1, 4, 9]
    assert pool.starmap(add, [(1, 2), (3,)]) == [3, 3]
    assert pool.map_async(square, (1, 2)).get(SOON) == [1, 4]
    assert pool.starmap_async(add, zip([1, 2], [3, 4])).get(SOON) == [4, 6]
    assert pool.map(square, {3: 4}) == [9] and pool.map(str, "ab") == ["a", "b"]


def test_empty_input(pool):
    called = []
    assert pool.map(square, []) == []
    assert pool.map_async(square, [], 5, called.append, called.append).get(SOON) == [] and called == []
    assert list(pool.imap(square, [])) == list(pool.imap_unordered(square, iter(()), 3)) == []


def test_imap_has_the_order_of_its_input(pool):
    assert list(pool.imap(square, range(1000))) == [x * x for x in range(1000)]
    assert list(pool.imap(square, iter(range(1000)))) == [x * x for x in range(1000)]
    assert list(pool.imap(square, range(100), 7)) == [x * x for x in range(100)]
    assert sorted(pool.imap_unordered(square, range(500))) == [x * x for x in range(500)]
    assert sorted(pool.imap_unordered(square, iter(range(100)), 9)) == [x * x for x in range(100)]


def test_kinds_of_imap(pool):
    assert isinstance(pool.imap(square, [1]), IMapIterator)
    assert type(pool.imap(square, [1], 2)).__name__ == "generator"
    for imap in (pool.imap, pool.imap_unordered):
        with pytest.raises(ValueError, match=r"Chunksize must be 1\+, not 0"):
            imap(square, [1], 0)


def test_a_failing_item_raises_in_its_place_and_the_rest_follows(pool):
    results, iterator = [], pool.imap(invert, [1, 0, 2, 0, 1])
    while True:
        try:
            results.append(next(iterator))
        except StopIteration:
            break
        except ZeroDivisionError:
            results.append("error")
    assert results == [1, "error", 0, "error", 1]


def test_imap_next_with_timeout(pool, place):
    iterator = pool.imap(wait_for_file, [str(place / "go")])
    with pytest.raises(multiprocess.TimeoutError):
        iterator.next(timeout=0.01)
    (place / "go").touch()
    assert iterator.next(timeout=SOON)
    with pytest.raises(StopIteration):
        iterator.next()


def test_imap_is_lazy(pool):
    read = []

    def numbers():
        for x in itertools.count():
            read.append(x)
            yield x

    iterator = pool.imap(square, numbers())
    assert [next(iterator) for _ in range(100)] == [x * x for x in range(100)]
    assert len(read) < 100 + 2 * 8192


def test_imap_reads_input_that_waits_for_results(pool):
    """The input is not read by who takes the results: so it may depend on them."""
    given = threading.Semaphore(1)

    def numbers():
        for x in range(5):
            assert given.acquire(timeout=SOON)
            yield x

    results = []
    for result in pool.imap(square, numbers()):
        results.append(result)
        given.release()
    assert results == [0, 1, 4, 9, 16]


def failing_input(count):
    yield from range(count)
    raise KeyError("the input")


def test_an_exception_of_the_input_comes_in_its_place(pool):
    for size in (1, 2):
        iterator = pool.imap(square, failing_input(4), size)
        assert [next(iterator) for _ in range(4)] == [0, 1, 4, 9]
        with pytest.raises(KeyError) as raised:
            next(iterator)
        assert raised.value.__cause__ is None
        with pytest.raises(StopIteration):
            next(iterator)
    with pytest.raises(KeyError):
        pool.map(square, failing_input(4))
    assert pool.apply(square, (2,)) == 4


def test_exceptions(pool):
    with pytest.raises(ZeroDivisionError) as raised:
        pool.apply(invert, (0,))
    cause = raised.value.__cause__
    if isinstance(pool, ThreadPool):
        assert cause is None
    else:
        assert type(cause) is RemoteTraceback and "return 1 // x" in str(cause)


def test_no_fail_fast(pool, place):
    """All chunks run, then the first error in time is raised."""
    def work(x):
        if x == 0:
            raise KeyError(x)
        (place / str(x)).touch()

    with pytest.raises(KeyError):
        pool.map(work, range(8), 1)
    assert {path.name for path in place.iterdir()} >= {str(x) for x in range(1, 8)}


def test_the_rest_of_a_failing_chunk_is_skipped(pool, place):
    with pytest.raises(ZeroDivisionError):
        pool.map(lambda x: 1 // x or (place / str(x)).touch(), [2, 0, 3], 3)
    assert not (place / "3").exists()


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, ValueError])
def test_any_exception_is_an_error_of_its_call(pool, kind):
    def work():
        raise kind("so it is")
    with pytest.raises(kind, match="so it is"):
        pool.apply_async(work).get(SOON)
    assert pool.apply(square, (3,)) == 9


def test_callbacks(pool):
    called, order = [], []
    result = pool.map_async(square, [1, 2], callback=lambda value: (called.append(value), order.append(result.ready())))
    assert result.get(SOON) == [1, 4] and called == [[1, 4]] and order == [False]
    errors = []
    with pytest.raises(ZeroDivisionError):
        pool.apply_async(invert, (0,), callback=called.append, error_callback=errors.append).get(SOON)
    assert len(called) == 1 and type(errors[0]) is ZeroDivisionError


def test_callbacks_without_anyone_waiting(pool):
    called = threading.Event()
    pool.apply_async(square, (2,), callback=lambda value: called.set())
    assert called.wait(SOON)


def test_a_raising_callback_is_an_error_of_its_call(pool, monkeypatch):
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    def boom(value):
        raise KeyError("callback")
    with pytest.raises(KeyError, match="callback"):
        pool.apply_async(square, (2,), callback=boom).get(SOON)
    assert told == [KeyError]
    seen = []
    assert pool.apply_async(square, (2,), callback=seen.append).get(SOON) == 4 and seen == [4]


def test_a_callback_may_use_the_pool(pool):
    got = []
    pool.apply_async(square, (2,), callback=lambda value: got.append(pool.apply(square, (value,)))).get(SOON)
    assert got == [16]


def test_timeouts(pool, place):
    result = pool.apply_async(wait_for_file, (str(place / "go"),))
    with pytest.raises(multiprocess.TimeoutError):
        result.get(0.01)
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    result.wait(0.01)
    assert not result.ready()
    (place / "go").touch()
    assert result.get(SOON)


def test_many_threads_use_one_pool(pool):
    failures = []

    def use(n):
        try:
            for x in range(50):
                assert pool.apply(add, (n, x)) == n + x
            assert pool.map(square, range(20)) == [x * x for x in range(20)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert not failures and not any(thread.is_alive() for thread in threads)


def test_large_messages_of_many_threads_stay_whole(pool):
    """A large message lies in parts: the parts of another's don't come between them."""
    results = {}

    def run(number):
        data = bytes([number]) * (200_000 + number)
        results[number] = [pool.map(len, [data] * 8, 1) for _ in range(20)]
    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert results == {number: [[200_000 + number] * 8] * 20 for number in range(4)}


# What travels


def test_code_of_all_kinds(processes):
    shift = 10

    def nested(x):
        return x + shift
    assert processes.map(lambda x: x + 1, [1, 2]) == [2, 3]
    assert processes.map(nested, [1, 2]) == [11, 12]
    assert processes.map(functools.partial(add, b=5), [1, 2]) == [6, 7]
    assert processes.apply(Counter().method, (1,)) == 1
    assert processes.apply("a b".split) == ["a", "b"]
    assert processes.apply(lambda: (lambda: 42))() == 42


def test_local_classes_and_recursive_closures(processes):
    class Local:
        def __init__(self, x):
            self.x = x

        def twice(self):
            return Local(2 * self.x)

    def factorial(n):
        return n * factorial(n - 1) if n else 1

    assert processes.apply(Local(4).twice).x == 8
    assert type(processes.apply(Local, (1,))) is Local
    assert processes.apply(factorial, (5,)) == 120


def test_locks_travel_as_new_ones(processes):
    assert processes.apply(lambda lock: lock.acquire(False), (threading.Lock(),))


def test_state_of_a_callable_lives_as_long_as_a_chunk(processes):
    counter = Counter()
    assert processes.map(counter, range(20), 3) == [1, 2, 3] * 6 + [1, 2]
    assert processes.map(counter, range(20), 5) == [1, 2, 3, 4, 5] * 4
    assert list(processes.imap(counter, range(6))) == [1] * 6
    assert list(processes.imap(counter, range(7), 3)) == [1, 2, 3, 1, 2, 3, 1]
    assert processes.map(counter.method, range(4), 2) == [1, 2, 1, 2]
    assert counter.count == 0


def test_items_of_a_batch_are_copies(processes):
    """The same list many times: what one call does to it, the next does not see."""
    assert list(processes.imap(lambda seen: seen.append(1) or len(seen), [[]] * 200)) == [1] * 200


def test_arguments_that_cannot_travel(processes):
    with pytest.raises(RuntimeError, match="can't be pickled"):
        processes.apply(square, (NotSent(),))
    with pytest.raises(RuntimeError, match="can't be pickled"):
        processes.map(square, [1, NotSent(), 2])
    iterator = processes.imap(square, [1, NotSent(), 2])
    assert next(iterator) == 1
    with pytest.raises(RuntimeError, match="can't be pickled"):
        next(iterator)
    assert next(iterator) == 4
    errors = []
    with pytest.raises(RuntimeError):
        processes.apply_async(square, (NotSent(),), error_callback=errors.append).get(SOON)
    assert len(errors) == 1


def test_results_that_cannot_travel(processes):
    for make in (lambda: NotSent(), raise_not_sent, raise_not_rebuilt):
        with pytest.raises(MaybeEncodingError, match="Error sending result: .* Reason: "):
            processes.apply_async(make).get(SOON)
    results = processes.imap(lambda x: NotSent() if x == 1 else x, range(3))
    assert next(results) == 0
    with pytest.raises(MaybeEncodingError):
        next(results)
    assert next(results) == 2
    assert processes.apply(square, (2,)) == 4


def test_large_values(processes):
    data = os.urandom(3 << 20)
    assert processes.map(bytes, [data, data], 1) == [data, data]


kept = None


def keep(array):
    global kept
    kept = array
    return bool(array.flags.writeable)


def kept_sum(_):
    return float(kept.sum())


def test_large_arrays(processes):
    """They go beside the pickle; what a worker does to its copy nobody else sees."""
    np = pytest.importorskip("numpy")

    def in_place(array):
        array += 1
        return float(array.sum())

    array = np.ones(100_000)
    assert processes.map(in_place, [array] * 4, 1) == [200_000.0] * 4 and array.sum() == 100_000
    assert processes.apply(lambda a, more: (a.shape, a.flags.f_contiguous, more[0].sum()), (np.ones((300, 300), order="F"), [array[::2]])) == (
        (300, 300), True, 50_000.0)
    assert processes.map(np.sum, [array, 3], 1) == [100_000.0, 3]
    assert (processes.apply(lambda a: a * 2, (array,)) == 2).all()


def test_a_worker_may_keep_an_array():
    np = pytest.importorskip("numpy")
    with Pool(1) as pool:
        for writeable in (True, False):
            array = np.ones(100_000)
            array.flags.writeable = writeable
            assert pool.apply(keep, (array,)) == writeable
            for value in range(5):
                pool.apply(len, (np.full(100_000, float(value)),))
            assert pool.apply(kept_sum, (0,)) == 100_000.0


# Workers


@pytest.mark.parametrize("how", [lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: ctypes.string_at(0)], ids=["exit", "kill", "segv"])
def test_a_dead_worker_is_an_error_at_once(processes, how):
    with pytest.raises(WorkerLost):
        processes.apply_async(end, (how,)).get(SOON)
    with pytest.raises(multiprocess.ProcessError):
        processes.map_async(lambda x: end(how) if x == 2 else x, range(4), 1).get(SOON)
    assert processes.map(square, range(4)) == [0, 1, 4, 9]


def test_a_dead_worker_in_imap_costs_its_item_only(processes):
    results, iterator = [], processes.imap(lambda x: os._exit(1) if x == 3 else x, range(6))
    while True:
        try:
            results.append(iterator.next(SOON))
        except StopIteration:
            break
        except WorkerLost:
            results.append("lost")
    assert results == [0, 1, 2, "lost", 4, 5]


state = None


def set_state(value):
    global state
    state = value


def get_state(_):
    return state


def test_initializer(place):
    for kind in (Pool, ThreadPool):
        with kind(2, set_state, ("set",)) as pool:
            assert pool.map(get_state, range(6), 1) == ["set"] * 6


def fail_to_begin(message):
    raise KeyError(message)


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_a_failing_initializer_is_an_error_at_once(kind):
    with pytest.raises(KeyError, match="why"):
        kind(2, fail_to_begin, ("why",)).apply_async(square, (1,)).get(SOON)


def test_an_initializer_that_ends_the_worker():
    with pytest.raises(Exception):
        Pool(2, os._exit, (1,)).apply_async(square, (1,)).get(SOON)


def test_maxtasksperchild_counts_chunks():
    with Pool(1, maxtasksperchild=2) as pool:
        pids = pool.map(lambda _: os.getpid(), range(20), 5)
        assert [len(set(pids[i:i + 5])) for i in range(0, 20, 5)] == [1] * 4 and len(set(pids)) == 2
        assert len(set(pool.imap(lambda _: os.getpid(), range(6)))) >= 3
    with Pool(1, maxtasksperchild=True) as pool:
        assert len(set(pool.map(lambda _: os.getpid(), range(2), 1))) == 2


def finalize_slowly(path):
    def finalize():
        time.sleep(0.3)
        pathlib.Path(path).touch()
    util.Finalize(None, finalize, exitpriority=1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("most", [None, 1])
def test_finalizers_of_workers_have_run_when_the_pool_is_joined(method, most, place):
    pool = multiprocess.get_context(method).Pool(1, maxtasksperchild=most)
    pool.apply(finalize_slowly, (str(place / "done"),))
    pool.close()
    pool.join()
    assert (place / "done").exists()


def stop_and_go_on():
    """Is stopped for a while, as a worker is that gets no CPU."""
    if os.fork() == 0:
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(0.6)
        os.kill(os.getppid(), signal.SIGCONT)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.wait()[1])


def test_a_recycled_worker_that_gets_no_cpu_is_waited_for():
    with Pool(1, maxtasksperchild=1) as pool:
        assert pool.apply_async(stop_and_go_on).get(SOON) == 0


def test_a_recycled_worker_runs_the_initializer_again():
    with Pool(1, set_state, ("set",), maxtasksperchild=1) as pool:
        assert pool.map(get_state, range(4), 1) == ["set"] * 4


def test_workers_look_like_children(processes, monkeypatch):
    name, daemon, key = processes.apply(lambda: (multiprocess.current_process().name, multiprocess.current_process().daemon,
                                                 bytes(multiprocess.current_process().authkey)))
    assert name.startswith("ForkPoolWorker-") and daemon and key == bytes(multiprocess.current_process().authkey)
    assert processes.apply(os.getcwd) == os.getcwd()
    with pytest.raises(AssertionError, match="daemonic processes are not allowed to have children"):
        processes.apply(lambda: multiprocess.Process(target=print).start())
    assert len(processes._pool) == 2 and all(worker.is_alive() and worker.pid != os.getpid() for worker in processes._pool)


def test_what_workers_print_comes_where_the_program_prints(program):
    process = program("""
from objpool.compat import multiprocess
if __name__ == "__main__":
    with multiprocess.Pool(2) as pool:
        pool.map(print, ["one"])
        pool.apply(lambda: print("two", file=__import__("sys").stderr))
""")
    out, err = process.communicate(timeout=SOON)
    assert out == "one\n" and "two" in err


# A pool's life


def test_arguments_of_pools():
    for kind in (Pool, ThreadPool):
        for processes in (0, -1):
            with pytest.raises(ValueError, match="^Number of processes must be at least 1$"):
                kind(processes)
        with pytest.raises(TypeError, match="^initializer must be a callable$"):
            kind(1, initializer=1)
    for wrong in (0, -1, 0.5, "12"):
        with pytest.raises(ValueError, match="^maxtasksperchild must be a positive int or None$"):
            multiprocess.Pool(1, maxtasksperchild=wrong)


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_close_and_join(kind):
    pool = kind(2)
    assert repr(pool).endswith("Pool state=RUN pool_size=2>")
    with pytest.raises(ValueError, match="^Pool is still running$"):
        pool.join()
    pending = pool.map_async(square, range(100), 1)
    results = pool.imap(square, iter(range(5000)))
    pool.close()
    for call in (pool.apply, pool.map, pool.imap, pool.apply_async):
        with pytest.raises(ValueError, match="^Pool not running$"):
            call(square, (1,))
    pool.join()
    assert pending.get(0) == [x * x for x in range(100)]
    assert sum(results) == sum(x * x for x in range(5000))
    with pytest.raises(ValueError, match="^Pool not running$"):
        pool.__enter__()


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_terminate_ends_what_is_outstanding(kind, place):
    pool = kind(2)
    go = str(place / "go")
    running, queued, called = pool.apply_async(wait_for_file, (go,)), pool.map_async(wait_for_file, [go] * 50, 1), threading.Event()
    results = pool.imap(wait_for_file, itertools.repeat(go))
    pool.apply_async(wait_for_file, (go,), error_callback=lambda error: called.set())
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(pytest.raises(PoolTerminated, queued.get)))
    thread.start()
    pool.terminate()
    (place / "go").touch()      # threads can't be ended from outside
    pool.join()
    thread.join(SOON)
    assert waiting and called.wait(SOON)
    with pytest.raises(PoolTerminated):
        running.get(SOON)
    with pytest.raises(PoolTerminated):
        for _ in results:
            pass


def test_the_with_statement_terminates():
    with multiprocess.Pool(1) as pool:
        assert pool.apply(square, (2,)) == 4
    with pytest.raises(ValueError, match="^Pool not running$"):
        pool.apply(square, (2,))


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_a_dropped_pool_warns(kind):
    pool = kind(1)
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        del pool
        gc.collect()


def test_pools_do_not_travel(processes):
    with pytest.raises(NotImplementedError, match="pool objects cannot be passed between processes or pickled"):
        pickle.dumps(processes)


def test_a_forked_child_may_not_use_the_pool_but_a_new_one(processes):
    queue = multiprocess.get_context("fork").SimpleQueue()

    def child():
        try:
            processes.apply(square, (2,))
        except ValueError as error:
            queue.put(str(error))
        with multiprocess.Pool(1) as pool:
            queue.put(pool.apply(square, (3,)))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process = multiprocess.get_context("fork").Process(target=child)
        process.start()
    process.join(SOON)
    assert process.exitcode == 0
    assert queue.get().startswith("Pool not running") and queue.get() == 9
    assert processes.apply(square, (4,)) == 16


def test_a_program_ends_with_its_pool_running(program):
    process = program("""
import os
from objpool.compat.multiprocess import Pool
pool = Pool(2)
pool.map_async(__import__("time").sleep, [60] * 4)
print(*[worker.pid for worker in pool._pool])
""")
    out, _ = process.communicate(timeout=SOON)
    assert process.returncode == 0
    import harness
    for pid in out.split():
        harness.wait_for(lambda: not harness.is_alive(int(pid)), lambda: "workers to end")


def test_a_pool_after_a_pool_has_workers_of_its_own(place, monkeypatch):
    import harness
    monkeypatch.chdir(place)

    def mark(_):
        import json
        json.mark = getattr(json, "mark", 0) + 1
        return json.mark, os.getpid(), os.getcwd()

    seen = set()
    for _ in range(3):
        with Pool(3) as pool:
            marks = pool.map(mark, range(3), 1)
            pids = {pid for _, pid, _ in marks}
            assert sum(number == 1 for number, _, _ in marks) == len(pids) and not pids & seen
            assert {cwd for _, _, cwd in marks} == {str(place)}
            seen |= pids
        pool.join()
        for pid in pids:
            harness.wait_for(lambda: not harness.is_alive(pid), lambda: "a worker to end")


# The program's __main__


def test_main_is_known_in_workers(program):
    process = program("""
import math
from objpool.compat.multiprocess import Pool
SCALE, model, calls = 3, None, 0

class Point:
    def __init__(self, x):
        self.x = x

class Scaled(Point):
    def value(self):
        return super().__init__(self.x) or helper(self.x)

def helper(x):
    return math.floor(x) * SCALE

def init(value):
    global model
    model = value

def work(x):
    global calls
    calls += 1
    return Scaled(x).value() + model

def count(_):
    return calls

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

if __name__ == "__main__":
    with Pool(1, init, (100,)) as pool:
        print(pool.map(work, [1, 2]), pool.map(count, [0]), calls, pool.apply(even, (7,)))
        made = pool.apply(Scaled, (5,))
        print(type(made) is Scaled, made.value(), pool.apply(lambda p: p.x, (made,)))
        for _ in range(100):
            pool.map(work, [1])
        SCALE = 10
        print(pool.map(work, [1]))
        def helper(x):
            return -1
        print(pool.map(work, [1]))
""")
    out, err = process.communicate(timeout=SOON)
    assert out == "[103, 106] [2] 0 False\nTrue 15 5\n[110]\n[99]\n", err


@pytest.mark.skipif(sys.version_info < (3, 10), reason="the error has no name")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_global_that_cannot_travel_says_so_where_it_is_missed(program, method):
    process = program(f"""
from objpool.compat.multiprocess import get_context
stream = 1
def work(use):
    return stream if use else "fine"
if __name__ == "__main__":
    with get_context("{method}").Pool(1) as pool:
        stream = (x for x in ())
        print(pool.apply(work, (False,)))
        try:
            pool.apply(work, (True,))
        except NameError as error:
            print(error)
""")
    out, err = process.communicate(timeout=SOON)
    assert out.startswith("fine\nname 'stream' is not defined: the program's global of that name could not be sent"), err


def test_what_a_fork_has_need_not_travel(program):
    process = program("""
import itertools
from objpool.compat.multiprocess import Pool
class Stream:
    def __reduce__(self):
        raise TypeError("stays here")
stream, numbers = Stream(), itertools.count(7)
def work(_):
    return type(stream).__name__, next(numbers)
if __name__ == "__main__":
    with Pool(1, lambda stream: globals().update(own=stream), (stream,)) as pool:
        print(pool.apply(work, (0,)), pool.apply(work, (0,)), next(numbers), pool.apply(lambda: type(own).__name__))
        kept, numbers = numbers, itertools.count(70)
        print(pool.apply(work, (0,)))
        numbers = kept
        print(pool.apply(work, (0,)))
""")
    assert process.communicate(timeout=SOON) == (
        "('Stream', 7) ('Stream', 8) 7 Stream\n('Stream', 70)\n('Stream', 9)\n", "")


def test_a_fork_sees_what_modules_have_been_set_to(program):
    process = program("""
import decimal
import sys
import types
from objpool.compat.multiprocess import Pool
made = types.ModuleType("made")
made.value = 5
sys.modules["made"] = made
decimal.settings = {"scale": 3}
def work(x):
    import made
    return x * decimal.settings["scale"] + made.value
if __name__ == "__main__":
    with Pool(2) as pool:
        print(pool.map(work, range(3)))
""")
    assert process.communicate(timeout=SOON) == ("[5, 8, 11]\n", "")


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_workers_have_the_settings_of_the_program_s_interpreter(place, method):
    path = place / "program.py"
    path.write_text("""
import sys
import warnings
from objpool.compat.multiprocess import get_context
def settings(_):
    try:
        warnings.warn("x", UserWarning)
    except UserWarning:
        return hash("abc"), "error", sorted(sys._xoptions)
if __name__ == "__main__":
    with get_context(sys.argv[1]).Pool(1) as pool:
        assert pool.apply(settings, (1,)) == settings(1) != None
""")
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-Xfaulthandler", str(path), method], env={**os.environ, "PYTHONHASHSEED": "3"},
                   timeout=SOON, check=True)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_large_global_is_sent_once_or_never(program, method):
    process = program("""
import pickle
import select
import sys
from objpool.compat.multiprocess import get_context
class Large:
    pickled = 0
    def __getstate__(self):
        type(self).pickled += 1
        return {"data": bytes(1 << 20)}
large = Large()
large.data = bytes(1 << 20)
def work(_):
    return len(large.data)
if __name__ == "__main__":
    with get_context(sys.argv[1]).Pool(2) as pool:
        for _ in range(3):
            assert pool.map(work, range(8), 1) == [1 << 20] * 8
        print(Large.pickled)
""", method)
    out, err = process.communicate(timeout=SOON)
    assert out == ("1\n" if method == "spawn" else "0\n"), err


# The rest of the module


def test_names():
    import multiprocessing
    assert set(multiprocessing.__all__) <= set(multiprocess.__all__)
    assert all(hasattr(multiprocess, name) for name in multiprocess.__all__)
    assert multiprocess.TimeoutError is multiprocessing.TimeoutError and multiprocess.cpu_count() == os.cpu_count()
    import objpool.compat.multiprocess.managers as managers
    import objpool.compat.multiprocess.shared_memory as shared_memory
    assert managers is multiprocess.managers and shared_memory is multiprocess.shared_memory
    with multiprocess.get_context("spawn").Pool(1) as pool, dummy.Pool(1) as threads:
        assert type(pool) is Pool and type(threads) is ThreadPool and pool.apply(square, (2,)) == threads.apply(square, (2,))


def use_shared(n):
    for _ in range(n):
        with state[0].get_lock():
            state[0].value += 1
        with state[1]:
            state[2][0] += 1
    state[3].put(os.getpid())


def test_shared_values_locks_and_queues_reach_workers():
    value, lock, array, queue = multiprocess.Value("i", 0), multiprocess.Lock(), multiprocess.Array("i", 1, lock=False), multiprocess.Queue()
    with Pool(2, set_state, ((value, lock, array, queue),)) as pool:
        pool.map(use_shared, [200] * 4, 1)
        assert value.value == array[0] == 800
        assert {queue.get(timeout=SOON) for _ in range(4)} <= {worker.pid for worker in pool._pool}


def test_connections_reach_workers():
    for duplex in (True, False):
        ours, theirs = multiprocess.Pipe(duplex)
        with Pool(2) as pool:
            pool.map(theirs.send, ["hello"] * 4, 1)
        assert all(ours.poll(SOON) and ours.recv() == "hello" for _ in range(4))


def test_managers_reach_workers():
    with multiprocess.Manager() as manager, Pool(2) as pool:
        numbers = manager.list()
        pool.map(numbers.append, range(4))
        assert sorted(numbers) == [0, 1, 2, 3]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the testsuite of Debian 12's Python")
def test_the_standard_librarys_own_tests_of_pools():
    pytest.importorskip("test._test_multiprocessing")
    runner = pathlib.Path(__file__).parents[1] / "compat_stdlib" / "run.py"
    done = subprocess.run([sys.executable, str(runner), "--only", "compat", "--methods", "fork", "With*TestPool*"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


LATER = """
import functools
import importlib
import sys
from objpool.compat.multiprocess import get_context
import helpers
TEXT = \'\'\'
def f(x): return "%s"
def through(x): return f(x)
class C:
    def method(self, x): return "%s"
    @staticmethod
    def static(x): return "%s"
\'\'\'

def define(word, how):
    text = TEXT % (word, word, word)
    if how == "main":
        exec(text, globals())
        return sys.modules["__main__"]
    with open(helpers.__file__, "w") as file:
        file.write(text)
    importlib.reload(helpers)
    return helpers

def by_module(x):
    return helpers.f(x)

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    method, how = sys.argv[1:]
    define("first", how)
    with get_context(method).Pool(2) as pool:
        for word in "first", "second", "third":
            place = define(word, how)
            functions = [place.f, place.through, place.C().method, place.C.static, functools.partial(place.f)] + [by_module] * (how == "module")
            for function in functions:
                found = pool.map(function, range(4), 1) + [pool.apply(function, (1,)) for _ in range(3)] + list(pool.imap(function, range(4)))
                assert set(found) == {word}, (function, found)
"""


@pytest.mark.parametrize("how", ["main", "module"])
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_what_is_redefined_while_a_pool_lives_is_called(place, method, how):
    """As in a notebook: a cell is run again, a module is reloaded."""
    (place / "helpers.py").write_text("")
    (place / "program.py").write_text(LATER)
    subprocess.run([sys.executable, str(place / "program.py"), method, how], timeout=SOON, check=True)


# ---- items of imap that share messages ----

def set_barrier(barrier):
    global meeting
    meeting = barrier


def meet(item):
    if item:
        meeting.wait(20)
    return item


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_short_items_are_followed_by_some_that_wait_for_each_other(name):
    barrier = multiprocess.Barrier(3)
    with multiprocess.Pool(3, set_barrier, (barrier,)) as pool:
        for many in (0, 10, 3000):
            results = list(getattr(pool, name)(meet, [0] * many + [1] * 3))
            assert results.count(1) == 3 and len(results) == many + 3


def wait_if_long(item):
    if item == "long":
        meeting.wait(20)
    return item


@pytest.mark.parametrize("of", [int, str, lambda i: (i,)])
def test_a_long_item_holds_back_no_other(of):
    barrier = multiprocess.Barrier(2)
    items = [of(i) for i in range(600)]
    with multiprocess.Pool(2, set_barrier, (barrier,)) as pool:
        assert list(pool.imap(wait_if_long, items * 4)) == items * 4
        results = pool.imap_unordered(wait_if_long, items[:300] + ["long"] + items[300:])
        assert sorted(next(results) for _ in range(600)) == sorted(items)     # the long one waits
        assert pool.apply(wait_if_long, ("long",)) == "long" == next(results)


def sometimes(item):
    if item % 7 == 3:
        raise KeyError(item)
    return b"bytes" if item % 5 == 0 else {item: "a value"} if item % 5 == 1 else "ä" if item % 5 == 2 else 1 << 70


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_items_that_share_messages_have_results_and_failures_of_their_own(name):
    with multiprocess.Pool(2) as pool:
        results, found = getattr(pool, name)(sometimes, range(3000)), []
        while True:
            try:
                found.append(next(results))
            except StopIteration:
                break
            except KeyError as error:
                found.append(("failed", error.args[0]))
        wanted = [("failed", i) if i % 7 == 3 else sometimes(i) for i in range(3000)]
        assert found == wanted if name == "imap" else sorted(map(repr, found)) == sorted(map(repr, wanted))
