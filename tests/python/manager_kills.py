# SPDX-License-Identifier: Apache-2.0
"""Kills clients of a manager at random moments, and checks what docs/COMPAT.md promises of managers.

    python3 tests/python/manager_kills.py [kills [seed]]        so many, divided among the start methods and what they use

Each function of SCENARIOS takes a context, a manager, how many to kill, and a random.Random; test_compat_managers.py runs them for
a few.
"""
import os
import queue
import random
import sys
import threading
import time

from kills import SOON, Victim, left_over

from objpool.compat import multiprocess

LARGE = 40_000      # bytes of an item that goes by a file


def _hold(lock):
    with lock:
        pass


def locks(context, manager, kills, chance):
    """The next one gets what the dead one held; one that died waiting is forgotten."""
    for lock in manager.Lock(), manager.RLock(), manager.BoundedSemaphore(1):
        for _ in range(kills // 3):
            for victim in [Victim(context, _hold, lock) for _ in range(2)]:
                victim.kill(chance)
            assert lock.acquire(timeout=SOON), "a dead process holds the lock"
            lock.release()


def _take_two(semaphore):
    with semaphore, semaphore:
        pass


def semaphores(context, manager, kills, chance):
    """All that the dead have acquired is there again, and no more."""
    semaphore = manager.BoundedSemaphore(4)
    for _ in range(kills):
        Victim(context, _take_two, semaphore).kill(chance)
        for _ in range(4):
            assert semaphore.acquire(timeout=SOON), "what a dead process acquired is lost"
        assert not semaphore.acquire(False), "more is there than there was"
        for _ in range(4):
            semaphore.release()


def _await(condition):
    with condition:
        condition.wait(0.001)


def conditions(context, manager, kills, chance):
    """notify(1) wakes one that lives, however many have died waiting."""
    condition = manager.Condition()
    for _ in range(kills // 2):
        for victim in [Victim(context, _await, condition) for _ in range(2)]:
            victim.kill(chance)
        woken, inside = [], threading.Event()

        def wait():
            with condition:
                inside.set()
                woken.append(condition.wait(SOON))

        thread = threading.Thread(target=wait)
        thread.start()
        assert inside.wait(SOON), "a dead process holds the lock of the condition"
        while not woken:
            with condition:
                condition.notify()
        thread.join()
        assert woken == [True]


def _meet(barrier):
    barrier.wait()


def barriers(context, manager, kills, chance):
    """A barrier whose party dies waiting breaks."""
    for _ in range(kills):
        barrier = manager.Barrier(3)
        victim = Victim(context, _meet, barrier)
        killer = threading.Thread(target=victim.kill, args=(chance, 0.01))
        killer.start()
        killer.join()
        wait_for(lambda: barrier.broken or not barrier.n_waiting)


def wait_for(check):
    deadline = time.monotonic() + SOON
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _produce(items, name, numbers=[0]):
    numbers[0] += 1
    items.put((name, numbers[0], b"." * (LARGE * (numbers[0] % 2))))
    if numbers[0] % 50 == 0:
        items.qsize()       # no producer is far ahead


def _consume(items, got):
    name, *_ = items.get()
    got[name] += 1


def queues(context, manager, kills, chance):
    """A dead consumer has lost one item at most; items of each producer come in order; nobody is held up."""
    for make in manager.Queue, lambda: manager.Queue(3):
        for _ in range(max(1, kills // 6)):
            items, got = make(), context.RawArray("i", 2)
            producers = [Victim(context, _produce, items, name) for name in range(2)]
            consumer = Victim(context, _consume, items, got)
            for victim in producers[0], consumer, producers[1]:
                victim.kill(chance, 0.005)
            last, count = [0, 0], [0, 0]
            while True:
                try:
                    name, number, _ = items.get(timeout=0.05)
                except queue.Empty:
                    break
                assert number > last[name], "an item came twice, or late"
                last[name] = number
                count[name] += 1
            missing = sum(last[name] - count[name] - got[name] for name in (0, 1) if last[name])
            assert missing <= 1, f"{missing} items are missing"


def _make(manager_list):
    manager_list[0] = manager_list
    nested = manager_list[0]
    nested[0] = None


def references(context, manager, kills, chance):
    """What only dead processes had is gone."""
    before = manager._number_of_objects()
    shared = manager.list([None])
    for _ in range(kills):
        Victim(context, _make, shared).kill(chance)
    shared[0] = None
    del shared
    wait_for(lambda: manager._number_of_objects() <= before)


SCENARIOS = [locks, semaphores, conditions, barriers, queues, references]


def main(kills=1000, seed=None):
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    print("seed", seed)
    for method, share in {"fork": kills - kills // 5, "spawn": kills // 10, "forkserver": kills // 10}.items():
        context = multiprocess.get_context(method)
        with context.Manager() as manager:
            for scenario in SCENARIOS:
                chance, begun = random.Random(f"{seed} {scenario.__name__}"), time.monotonic()
                names, descriptors = left_over()
                scenario(context, manager, share // len(SCENARIOS), chance)
                names_now, descriptors_now = left_over()
                print(f"{method:12}{scenario.__name__:30}{share // len(SCENARIOS):6} killed {time.monotonic() - begun:8.1f} s",
                      flush=True)
                assert names_now <= names, names_now - names
                assert descriptors_now <= descriptors + 8, f"{descriptors_now - descriptors} descriptors more"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
