# SPDX-License-Identifier: Apache-2.0
"""Kills processes at random moments, and checks what objpool.compat.multiprocess promises of locks and queues.

    python3 tests/python/kills.py [kills [seed]]        so many of each, divided among the start methods: fork, spawn, forkserver

Each function of SCENARIOS takes a context, how many to kill, and a random.Random; test_compat_locks.py runs them for some dozens.
"""
import gc
import os
import pathlib
import random
import sys
import threading
import time
import warnings

sys.path.insert(0, os.environ.get("OBJPOOL_PACKAGE") or str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

from objpool.compat import multiprocess  # noqa: E402

SOON = 20.0         # seconds; a survivor that waits for longer is held up
HELD = 1


class Victim:
    """A process that runs work(*args) until it is killed. `ready` is set when it is about to begin."""

    def __init__(self, context, work, *args):
        self.ready = context.Event()
        self.process = context.Process(target=_work, args=(self.ready, work, args), daemon=True)
        self.process.start()
        assert self.ready.wait(SOON)

    def kill(self, chance, most=0.002):
        time.sleep(chance.random() * most)
        self.process.kill()
        self.process.join()


def _work(ready, work, args):
    warnings.simplefilter("ignore")
    ready.set()
    while True:
        work(*args)


# Locks


def _hold(lock, state, twice):
    lock.acquire()
    if twice:
        lock.acquire()
    state.value = HELD
    state.value = 0
    if twice:
        lock.release()
    lock.release()


def locks(context, kills, chance):
    """The next one gets it, and is told if it was held."""
    for lock, twice in (context.Lock(), False), (context.RLock(), True):
        for _ in range(kills // 2):
            state = context.RawValue("i", 0)
            victims = [Victim(context, _hold, lock, state, twice) for _ in range(2)]
            for victim in victims:
                victim.kill(chance)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                assert lock.acquire(timeout=SOON), "a dead process holds the lock"
            assert lock.abandoned or not state.value, "the holder died, and the next is not told"
            assert len(caught) == lock.abandoned
            lock.release()
            assert not lock.abandoned and lock.acquire(False)
            lock.release()


def _take_some(semaphore):
    with semaphore:
        with semaphore:
            pass


def semaphores(context, kills, chance):
    """All that the dead have acquired is there again."""
    for make in context.Semaphore, context.BoundedSemaphore:
        semaphore = make(4)
        for _ in range(kills // 2):
            victims = [Victim(context, _take_some, semaphore) for _ in range(3)]
            for victim in victims:
                victim.kill(chance)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for _ in range(4):
                    assert semaphore.acquire(timeout=SOON), "what a dead process acquired is lost"
            assert not semaphore.acquire(False), "more is there than there was"
            for _ in range(4):
                semaphore.release()
            assert semaphore.get_value() == 4


# Waiting


def _await(condition):
    with condition:
        condition.wait(0.001)


def conditions(context, kills, chance):
    """notify(1) wakes one that lives, however many have died waiting; and it returns."""
    condition = context.Condition()
    for _ in range(kills):
        victims = [Victim(context, _await, condition) for _ in range(2)]
        for victim in victims:
            victim.kill(chance)
        woken, inside = [], threading.Event()

        def wait():
            with condition:
                inside.set()
                woken.append(condition.wait(SOON))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            thread = threading.Thread(target=wait)
            thread.start()
            assert inside.wait(SOON), "a dead process holds the lock of the condition"
            with condition:
                condition.notify()
            thread.join()
        assert woken == [True], "a dead process was notified in place of one that lives"


def _pulse(event):
    event.wait(0.0001)
    event.set()
    event.clear()


def events(context, kills, chance):
    event = context.Event()
    for _ in range(kills):
        victims = [Victim(context, _pulse, event) for _ in range(2)]
        for victim in victims:
            victim.kill(chance)
        event.set()
        assert event.wait(SOON) and event.is_set()
        event.clear()
        assert not event.is_set() and not event.wait(0)


def _meet(barrier):
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        sys.exit(1)


def barriers(context, kills, chance):
    """The others get a BrokenBarrierError at once; the barrier can be reset."""
    barrier = context.Barrier(3)
    for _ in range(kills):
        victims = [Victim(context, _meet, barrier), Victim(context, _meet, barrier)]
        barrier.wait(SOON)
        killer = threading.Thread(target=victims[0].kill, args=(chance,))
        killer.start()
        begun = time.monotonic()
        try:
            while True:
                barrier.wait(SOON)
        except threading.BrokenBarrierError:
            assert time.monotonic() - begun < SOON / 2, "the barrier did not break at once"
        killer.join()
        victims[1].process.join(SOON)       # it ends with the same exception
        assert victims[1].process.exitcode == 1
        barrier.reset()


# Queues


def _produce(queue, name, size, lock, numbers=[0]):
    numbers[0] += 1
    queue.put((name, numbers[0], b"." * (size * (numbers[0] % 3))))


def _consume(queue, got, is_joinable, lock):
    name, number, _ = queue.get()
    got[name] += 1
    if is_joinable:
        queue.task_done()


def _queue(context, kills, chance, make, size=0, is_joinable=False):
    """Of what was put, each dead consumer has lost one item at most; each producer's items come in order; nobody is held up."""
    for _ in range(max(1, kills // 3)):
        queue, got = make(), context.RawArray("i", 3)
        producers = [Victim(context, _produce, queue, name, size, None) for name in range(2)]
        consumer = Victim(context, _consume, queue, got, is_joinable, None)
        producers[0].kill(chance, 0.005)
        consumer.kill(chance, 0.005)
        producers[1].kill(chance, 0.005)
        queue_put = queue.put
        own = threading.Thread(target=queue_put, args=((2, 1, b""),))
        own.start()
        last, count, missing = {}, [0, 0, 0], [0, 0, 0]
        while 2 not in last:
            name, number, _ = _get(queue)
            assert number > last.get(name, 0), "an item came twice, or late"
            last[name] = number
            count[name] += 1
            if is_joinable:
                queue.task_done()
        own.join()
        for name in last:
            missing[name] = last[name] - count[name] - got[name]
        assert 0 <= sum(missing) <= 1, f"{sum(missing)} items are missing"
        assert queue.empty()
        if is_joinable:
            joiner = threading.Thread(target=queue.join, daemon=True)
            joiner.start()
            joiner.join(SOON)
            assert not joiner.is_alive(), "join() waits for what a dead process got"
        queue.close()


def _get(queue):
    if not hasattr(queue, "qsize"):
        assert queue._reader.poll(SOON), "an item is missing"
        return queue.get()
    return queue.get(timeout=SOON)


def queues(context, kills, chance):
    _queue(context, kills, chance, context.Queue)


def bounded_queues(context, kills, chance):
    _queue(context, kills, chance, lambda: context.Queue(3))


def large_items(context, kills, chance):
    _queue(context, kills, chance, context.Queue, 300000)


def joinable_queues(context, kills, chance):
    _queue(context, kills, chance, context.JoinableQueue, is_joinable=True)


def simple_queues(context, kills, chance):
    _queue(context, kills, chance, context.SimpleQueue)


def large_items_of_simple_queues(context, kills, chance):
    _queue(context, kills, chance, context.SimpleQueue, 100000)


def _add(value, array):
    with value.get_lock():
        value.value += 1
    array[0] += 1


def values(context, kills, chance):
    value, array = context.Value("i", 0), context.Array("d", 3)
    for _ in range(kills):
        victim = Victim(context, _add, value, array)
        victim.kill(chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with value.get_lock():
                value.value = 7
            array[0] = 8
        assert value.value == 7 and array[0] == 8


SCENARIOS = [locks, semaphores, conditions, events, barriers, queues, bounded_queues, large_items, joinable_queues, simple_queues,
             large_items_of_simple_queues, values]


def left_over():
    """What could stay behind: named shared memory that this process uses, and how many descriptors it has."""
    gc.collect()
    maps = pathlib.Path("/proc/self/maps").read_text()
    return {line.split()[-1] for line in maps.splitlines() if "/dev/shm" in line}, len(os.listdir("/proc/self/fd"))


def main(kills=1000, seed=None):
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    print("seed", seed)
    shares = {"fork": kills - kills // 5, "spawn": kills // 10, "forkserver": kills // 10}
    for method, share in shares.items():
        context = multiprocess.get_context(method)
        for scenario in SCENARIOS:
            chance, begun = random.Random(f"{seed} {scenario.__name__}"), time.monotonic()
            names, descriptors = left_over()
            scenario(context, share, chance)
            names_now, descriptors_now = left_over()
            print(f"{method:12}{scenario.__name__:30}{share:6} killed {time.monotonic() - begun:8.1f} s", flush=True)
            assert names_now <= names, names_now - names
            assert descriptors_now <= descriptors + 8, f"{descriptors_now - descriptors} descriptors more"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
