# SPDX-License-Identifier: Apache-2.0
"""Managers of objpool.compat.multiprocess beside the standard library's, in one run.

    make bench-managers     or: OBJPOOL_BIN=build python3 bench/python/managers.py [rounds]

Each row is measured in turns, first the one, then the other. Shown is the median of the operations of a round, in the best of the
rounds: half of them took no longer.
"""
import multiprocessing
import multiprocessing.managers
import pathlib
import queue
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

import beside  # noqa: E402

from objpool.compat import multiprocess  # noqa: E402
from objpool.compat.multiprocess import managers  # noqa: E402, F401

MEGABYTE = b"." * 1_000_000
RECORD = ("a name", 1, [2.0, 3.0])


class Counter:
    def __init__(self):
        self.value = 0

    def add(self, n):
        self.value += n
        return self.value


def with_counter(package):
    """The package's SyncManager with a type of the program's own."""
    kind = type("Manager", (package.managers.SyncManager,), {})
    kind.register("Counter", Counter)
    return kind


def row(count, prepare):
    """prepare(manager) gives what is called `count` times."""
    def measure(manager):
        work, spent = prepare(manager), []
        for _ in range(count):
            begun = time.perf_counter()
            work()
            spent.append(time.perf_counter() - begun)
        return statistics.median(spent)
    return measure


def put_and_get(item):
    def prepare(manager):
        items = manager.Queue()

        def work():
            items.put(item)
            items.get()
        return work
    return prepare


def acquire_and_release(kind):
    def prepare(manager):
        lock = getattr(manager, kind)()

        def work():
            lock.acquire()
            lock.release()
        return work
    return prepare


def set_and_get(manager):
    values = manager.dict()

    def work():
        values["a"] = RECORD
        values["a"]
    return work


def get_none(manager):
    items = manager.Queue()

    def work():
        try:
            items.get_nowait()
        except queue.Empty:
            pass
    return work


def iterate(manager):
    values = manager.dict({number: None for number in range(100)})
    return lambda: values.keys()


def nested(manager):
    outer = manager.list([manager.dict(a=1)])
    return lambda: outer[0]["a"]


def _produce(items, count):
    for number in range(count):
        items.put(number)


def from_process(manager, count=5000):
    items = manager.Queue()
    process = multiprocess.get_context("fork").Process(target=_produce, args=(items, count))
    begun = time.perf_counter()
    process.start()
    for _ in range(count):
        items.get()
    spent = time.perf_counter() - begun
    process.join()
    return spent / count        # of these, the mean


def _put_and_get(items, count, start, ready, spent):
    items.put(1)
    items.get()
    ready.release()
    start.acquire()
    begun = time.perf_counter()
    for _ in range(count):
        items.put(1)
        items.get()
    spent.put(time.perf_counter() - begun)


def by_clients(manager, clients=8, count=250):
    context = multiprocessing.get_context("fork")
    items, start, ready, spent = manager.Queue(), context.Semaphore(0), context.Semaphore(0), context.SimpleQueue()
    processes = [context.Process(target=_put_and_get, args=(items, count, start, ready, spent)) for _ in range(clients)]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    for _ in processes:
        start.release()
    longest = max(spent.get() for _ in processes)
    for process in processes:
        process.join()
    return longest / (clients * count)      # the mean


ROWS = {
    "dict: get": row(2000, lambda manager: (lambda values: lambda: values["a"])(manager.dict(a=1))),
    "dict: set": row(2000, lambda manager: (lambda values: lambda: values.__setitem__("a", 1))(manager.dict())),
    "dict: set + get of a tuple": row(1000, set_and_get),
    "dict: keys of 100": row(1000, iterate),
    "list: append": row(2000, lambda manager: (lambda values: lambda: values.append(1))(manager.list())),
    "list: get of a nested dict's value": row(100, nested),
    "Queue: put + get": row(1000, put_and_get(1)),
    "Queue: put + get of a tuple": row(1000, put_and_get(RECORD)),
    "Queue: put + get of 1 MB": row(20, put_and_get(MEGABYTE)),
    "Queue: put + get of 1 MB in a tuple": row(20, put_and_get((1, MEGABYTE))),
    "Queue: put + get, 8 clients": by_clients,
    "Queue: get_nowait of an empty one": row(1000, get_none),
    "Queue: from process to process": from_process,
    "Lock: acquire + release": row(1000, acquire_and_release("Lock")),
    "RLock: acquire + release": row(1000, acquire_and_release("RLock")),
    "Semaphore: acquire + release": row(1000, acquire_and_release("Semaphore")),
    "Event: is_set": row(2000, lambda manager: manager.Event().is_set),
    "Value: get": row(2000, lambda manager: manager.Value("i", 1).get),
    "Namespace: get": row(2000, lambda manager: (lambda space: lambda: space.a)(manager.Namespace(a=1))),
    "a class of the program's own: call": row(2000, lambda manager: (lambda counter: lambda: counter.add(1))(manager.Counter())),
    "list: made": row(100, lambda manager: manager.list),
}


def results(rounds):
    contexts = [(module.get_context("fork"), with_counter(module)) for module in (multiprocessing, multiprocess)]
    both = [kind(ctx=context) for context, kind in contexts]
    for manager in both:
        manager.start()
    yield from beside.measured(ROWS, both, rounds)
    for manager in both:
        manager.shutdown()


if __name__ == "__main__":
    beside.main(results)
