# SPDX-License-Identifier: Apache-2.0
"""Locks and queues of objpool.compat.multiprocess: what they promise when a process ends. kills.py kills more of them."""
import concurrent.futures
import multiprocessing
import multiprocessing.pool
import os
import pickle
import random
import subprocess
import sys
import threading
import time
import warnings

import kills
import pytest

from objpool.compat import multiprocess
from objpool.compat.multiprocess import _sync

sync = _sync.sync
pytestmark = pytest.mark.skipif(sync is None, reason="the extension module is not built for this Python")
METHODS = ("fork", "spawn", "forkserver")
SOON = kills.SOON
fork = multiprocess.get_context("fork")


def in_child(work, *args, context=fork):
    """Runs that in a process, which then ends at once: nothing is cleaned up."""
    process = context.Process(daemon=True, target=_run_and_die, args=(work, args))
    process.start()
    process.join(SOON)
    assert process.exitcode == -9
    return process


def _run_and_die(work, args):
    work(*args)
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize("scenario", kills.SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_survivors_of_kills_go_on(scenario):
    before = kills.left_over()
    scenario(fork, 6, random.Random(scenario.__name__))
    after = kills.left_over()
    assert after[0] <= before[0] and after[1] <= before[1] + 8


# Handles travel


def _use_all(lock, rlock, semaphore, bounded, condition, event, barrier, queue, joinable, simple, value, array, pipe):
    with lock, rlock, semaphore, bounded:
        pass
    event.wait()
    with condition:
        condition.notify()
    barrier.wait()
    queue.put(joinable.get())
    joinable.task_done()
    simple.put(value.value)
    array[0] = 7
    pipe.send(os.getpid())
    lock.acquire(), rlock.acquire(), rlock.acquire(), semaphore.acquire(), bounded.acquire()


@pytest.mark.parametrize("method", METHODS)
def test_a_handle_works_in_another_process_and_what_that_held_comes_back(method):
    context = multiprocess.get_context(method)
    locks = context.Lock(), context.RLock(), context.Semaphore(1), context.BoundedSemaphore(1)
    condition, event, barrier = context.Condition(), context.Event(), context.Barrier(2)
    queue, joinable, simple = context.Queue(), context.JoinableQueue(), context.SimpleQueue()
    value, array, (here, there) = context.Value("i", 5), context.Array("i", 2), context.Pipe()
    others = condition, event, barrier, queue, joinable, simple, value, array, there
    process = context.Process(daemon=True, target=_run_and_die, args=(_use_all, (*locks, *others)))
    process.start()
    with condition:
        event.set()
        assert condition.wait(SOON)
    barrier.wait(SOON)
    joinable.put("item")
    assert queue.get(timeout=SOON) == "item" and simple.get() == 5 and here.recv() == process.pid
    joinable.join()
    process.join(SOON)
    assert array[:] == [7, 0]
    for lock in locks:
        with pytest.warns(RuntimeWarning, match="has ended without releasing it"):
            assert lock.acquire(timeout=SOON)
        assert lock.abandoned
        lock.release()


def _release(lock, answer):
    lock.release()
    answer.send(lock.acquire(False))


def test_a_lock_that_was_sent_through_a_queue_is_the_same_lock():
    queue, (here, there) = fork.Queue(), fork.Pipe()
    process = fork.Process(daemon=True, target=lambda: _release(queue.get(), there))
    process.start()
    lock = fork.Lock()
    lock.acquire()
    queue.put(lock)
    assert here.poll(SOON) and here.recv() is True
    process.join(SOON)
    with pytest.warns(RuntimeWarning):      # the process has ended with it, in order; that gives it back as well
        assert lock.acquire(timeout=SOON)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_value_that_was_sent_is_the_same_value(method):
    context = multiprocess.get_context(method)
    queue, answers = context.Queue(), context.Queue()
    process = context.Process(daemon=True, target=_set_value, args=(queue, answers))
    process.start()
    value, array = context.Value("i", 5), context.Array("d", [1, 2])
    queue.put((value, array))
    assert answers.get(timeout=SOON) == (5, [1.0, 2.0])
    process.join(SOON)
    assert value.value == 6 and array[:] == [1, 7]


def _set_value(queue, answers):
    value, array = queue.get()
    answers.put((value.value, array[:]))
    value.value, array[1] = 6, 7


# Who holds what


def test_a_thread_that_ends_frees_nothing():
    lock, rlock, semaphore = fork.Lock(), fork.RLock(), fork.Semaphore(1)
    thread = threading.Thread(target=lambda: (lock.acquire(), rlock.acquire(), semaphore.acquire()))
    thread.start()
    thread.join()
    assert not lock.acquire(timeout=0.1) and not rlock.acquire(False) and not semaphore.acquire(timeout=0.1)
    lock.release(), semaphore.release()


def test_another_process_may_release():
    lock, semaphore = fork.Lock(), fork.Semaphore(2)
    lock.acquire(), semaphore.acquire()
    in_child(lambda: (lock.release(), semaphore.release()))
    assert lock.acquire(False) and semaphore.get_value() == 2 and not lock.abandoned
    lock.release()
    for release in lock.release, fork.RLock().release, fork.BoundedSemaphore(1).release:
        with pytest.raises((ValueError, AssertionError)):
            release()


def test_what_another_process_released_is_not_given_back_again():
    semaphore, (here, there) = fork.Semaphore(2), fork.Pipe()
    victim = kills.Victim(fork, _acquire_and_wait, semaphore, there)
    assert here.recv() and semaphore.get_value() == 1
    semaphore.release()
    victim.process.kill()
    victim.process.join()
    assert semaphore.get_value() == 2


def _acquire_and_wait(semaphore, pipe):
    semaphore.acquire()
    pipe.send(True)
    time.sleep(SOON)


def test_a_semaphore_that_counts_events_gives_nothing_back():
    events = fork.Semaphore(0)
    events.release(), events.release()
    in_child(events.acquire)
    assert events.get_value() == 1


def test_a_warning_that_is_an_error_leaves_the_lock_free():
    lock = fork.Lock()
    in_child(lock.acquire)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            lock.acquire()
        assert lock.acquire(False) and not lock.abandoned


def test_one_that_waits_gets_it_when_the_holder_dies():
    lock, (here, there) = fork.Lock(), fork.Pipe()
    victim = kills.Victim(fork, _acquire_and_wait, lock, there)
    assert here.recv()
    killer = threading.Timer(0.05, victim.process.kill)
    killer.start()
    with pytest.warns(RuntimeWarning):
        assert lock.acquire(timeout=SOON)
    killer.join()
    victim.process.join()


def test_a_pid_that_is_used_again_is_another_process():
    """The word of a lock says who holds it; this says: this process's pid, of an earlier time."""
    lock = fork.Lock()
    _, (block,) = lock.__reduce__()[1]
    word = memoryview(block).cast("B")[:8].cast("Q")
    lock.acquire()
    assert word[0] & 0x3fffffff == os.getpid()
    word[0] -= 1 << 32
    with pytest.warns(RuntimeWarning):
        assert lock.acquire(False) and lock.abandoned
    lock.release()


def test_notify_returns_although_all_have_died_waiting():
    condition = fork.Condition()
    victims = [kills.Victim(fork, _wait_in, condition) for _ in range(3)]
    while condition._sleeping_count.get_value() < 3:
        time.sleep(0.001)
    for victim in victims:
        victim.process.kill()
        victim.process.join()
    with condition:
        condition.notify(2)
        assert not condition.wait(0.01)
    assert condition._sleeping_count.get_value() <= 1


def _wait_in(condition):
    with condition:
        condition.wait()


def test_an_event_that_is_set_and_cleared_wakes_those_that_wait():
    event, woken = fork.Event(), []
    thread = threading.Thread(target=lambda: woken.append(event.wait(SOON)))
    thread.start()
    while thread.is_alive():
        event.set()
        event.clear()
    assert woken == [True] and not event.is_set()


def test_a_barrier_goes_on_with_others_when_parties_end_in_order():
    barrier = fork.Barrier(2)
    for _ in range(3):
        process = fork.Process(daemon=True, target=barrier.wait)
        process.start()
        barrier.wait(SOON)
        process.join(SOON)
        assert process.exitcode == 0
    assert not barrier.broken


def test_a_barrier_breaks_when_the_one_that_completes_it_dies_in_its_action():
    barrier = fork.Barrier(2, action=lambda: os.kill(os.getpid(), 9))
    process = fork.Process(daemon=True, target=lambda: (wait_for(lambda: barrier.n_waiting == 1), barrier.wait()))
    process.start()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(SOON)
    process.join(SOON)
    assert process.exitcode == -9


def wait_for(condition):
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


# Queues


def test_a_queue_keeps_order_at_any_length_and_size():
    queue, chance, expected = fork.Queue(), random.Random(1), []
    for step in range(4000):
        if chance.random() < (0.7 if step % 1000 < 500 else 0.3):
            expected.append(bytes([step % 256]) * chance.choice([1, 50, 3000, 200000 if step % 50 == 0 else 7]))
            queue.put(expected[-1])
        elif expected:
            assert queue.get() == expected.pop(0)
        assert queue.qsize() == len(expected) and queue.empty() == (not expected)
    while expected:
        assert queue.get() == expected.pop(0)
    with pytest.raises(multiprocess.queues.Empty):
        queue.get(timeout=0.01)


def test_memory_of_what_was_read_is_given_back():
    queue = fork.Queue()
    for _ in range(3):
        queue.put(b"." * 4_000_000)
    for _ in range(3):
        assert len(queue.get()) == 4_000_000
    assert os.fstat(queue._log.fileno()).st_blocks * 512 < 2_000_000


def test_what_a_process_has_put_outlives_it():
    queue = fork.Queue()
    in_child(lambda: [queue.put(i) for i in range(5000)])
    assert [queue.get(timeout=SOON) for _ in range(5000)] == list(range(5000))


def test_a_full_queue_waits_for_room():
    queue = fork.Queue(2)
    queue.put(1), queue.put(2)
    assert queue.full()
    with pytest.raises(multiprocess.queues.Full):
        queue.put(3, timeout=0.01)
    thread = threading.Thread(target=queue.put, args=(3,))
    thread.start()
    assert [queue.get(timeout=SOON) for _ in range(3)] == [1, 2, 3]
    thread.join()


def test_join_does_not_wait_for_what_a_dead_process_got():
    queue = fork.JoinableQueue()
    for i in range(3):
        queue.put(i)
    queue.get()
    in_child(queue.get)
    queue.task_done()
    assert queue.get() == 2
    thread = threading.Thread(target=queue.join)
    thread.start()
    queue.task_done()
    thread.join(SOON)
    assert not thread.is_alive()
    with pytest.raises(ValueError):
        queue.task_done()


def test_a_closed_simple_queue_says_so():
    queue = fork.SimpleQueue()
    queue.put(b"." * 1_000_000)
    assert len(queue.get()) == 1_000_000 and queue.empty()
    queue.close()
    with pytest.raises(OSError, match="closed"):
        queue.get()


def test_a_simple_queue_of_a_megabyte_is_full():
    queue = fork.SimpleQueue()
    for _ in range(10):
        queue.put(b"." * 100_000)
    thread = threading.Thread(target=queue.put, args=(b"." * 100_000,))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    queue.get()
    thread.join(SOON)
    assert not thread.is_alive()


def test_the_reader_of_a_queue_can_be_waited_for():
    for queue in fork.Queue(), fork.SimpleQueue():
        (here, there), reader = fork.Pipe(), queue._reader
        process = fork.Process(daemon=True, target=lambda: (there.recv(), queue.put(1), queue.put(2), there.recv(), queue.put(3)))
        process.start()
        assert multiprocess.connection.wait([reader], 0) == []
        here.send(0)
        assert multiprocess.connection.wait([reader], SOON) == [reader]
        assert reader.recv() == 1 and multiprocess.connection.wait([reader], SOON) == [reader]
        assert queue.get() == 2 and multiprocess.connection.wait([reader], 0) == []
        here.send(0)
        assert multiprocess.connection.wait([reader], SOON) == [reader] and queue.get() == 3
        process.join(SOON)
    assert not reader.poll(0)


def _square(number):
    return number * number


@pytest.mark.parametrize("method", METHODS)
def test_process_pool_executor_works_with_these_queues(method):
    context = multiprocess.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(_square, range(20), timeout=SOON)) == [number * number for number in range(20)]


def test_the_standard_librarys_pool_works_with_these_queues():
    with multiprocessing.pool.Pool(2, context=fork) as pool:
        assert pool.map(_square, range(5)) == [0, 1, 4, 9, 16]


# Around


def test_many_locks_take_no_descriptors():
    before = len(os.listdir("/proc/self/fd"))
    locks = [fork.Lock() for _ in range(3000)]
    assert len(os.listdir("/proc/self/fd")) <= before + 2 and locks


def test_memory_that_another_process_may_know_is_not_used_again():
    value = fork.Value("i", 1)
    queue, (here, there) = fork.Queue(), fork.Pipe()
    process = fork.Process(daemon=True, target=lambda: (there.send(0), queue.get(), there.send(value.value)))
    process.start()
    here.recv()
    del value
    others = [fork.Value("i", 9) for _ in range(50)]
    queue.put(0)
    assert here.recv() == 1 and others
    process.join(SOON)


def test_the_standard_library_is_as_it_was():
    assert type(multiprocessing.Lock()).__module__ == "multiprocessing.synchronize"
    assert type(multiprocessing.get_context("fork").Queue()).__module__ == "multiprocessing.queues"
    assert type(fork.Lock()).__module__.startswith("objpool.")
    with pytest.raises(RuntimeError):
        pickle.dumps(multiprocessing.Lock())


def test_a_python_without_the_module_has_the_standard_librarys():
    done = subprocess.run([sys.executable, "-c", """
from importlib import machinery
machinery.EXTENSION_SUFFIXES[0] = ".cpython-27.so"
from objpool.compat import multiprocess
lock, queue, value = multiprocess.Lock(), multiprocess.Queue(), multiprocess.Value("i", 3)
with lock, value:
    queue.put(value.value)
print(queue.get(), type(lock).__module__)
"""], text=True, capture_output=True, timeout=SOON)
    assert done.stdout == "3 multiprocessing.synchronize\n", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and "there is no objpool_sync.cpython-27.so" in done.stderr
