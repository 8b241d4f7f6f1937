# SPDX-License-Identifier: Apache-2.0
"""Locks and queues of objpool.compat.multiprocess beside the standard library's, in one run.

    make bench-locks        or: OBJPOOL_BIN=build python3 bench/python/locks.py [rounds]

Each row is measured in turns, first the one, then the other; shown is the best of the rounds, for one operation.
"""
import multiprocessing
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

import beside  # noqa: E402

from objpool.compat import multiprocess  # noqa: E402

PROCESSES = 4
MEGABYTE = b"." * 1_000_000


def timed(work, count):
    begun = time.perf_counter()
    work(count)
    return (time.perf_counter() - begun) / count


def row_of_lock(kind):
    def measure(context, count=50000):
        lock = getattr(context, kind)()

        def work(count, acquire=lock.acquire, release=lock.release):
            for _ in range(count):
                acquire()
                release()
        return timed(work, count)
    return measure


def with_statement(context, count=50000):
    lock = context.Lock()

    def work(count):
        for _ in range(count):
            with lock:
                pass
    return timed(work, count)


def _contend(lock, start, count):
    start.wait()
    for _ in range(count):
        lock.acquire()
        lock.release()


def contended(context, count=20000):
    lock, start = context.Lock(), context.Event()
    processes = [context.Process(target=_contend, args=(lock, start, count)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    begun = time.perf_counter()
    start.set()
    for process in processes:
        process.join()
    return (time.perf_counter() - begun) / (PROCESSES * count)


def row_of_queue(kind, item, count):
    def measure(context):
        queue = getattr(context, kind)()

        def work(count):
            for _ in range(count):
                queue.put(item)
                queue.get()
        return timed(work, count)
    return measure


def _produce(queue, count):
    for number in range(count):
        queue.put(number)


def row_of_flow(kind, count=20000):
    def measure(context):
        queue = getattr(context, kind)()
        process = context.Process(target=_produce, args=(queue, count))
        begun = time.perf_counter()
        process.start()
        for _ in range(count):
            queue.get()
        spent = time.perf_counter() - begun
        process.join()
        return spent / count
    return measure


def _echo(questions, answers, count):
    for _ in range(count):
        answers.put(questions.get())


def there_and_back(context, count=3000):
    questions, answers = context.Queue(), context.Queue()
    process = context.Process(target=_echo, args=(questions, answers, count))
    process.start()

    def work(count):
        for number in range(count):
            questions.put(number)
            answers.get()
    spent = timed(work, count)
    process.join()
    return spent


def _notify(condition, count):
    for _ in range(count):
        with condition:
            condition.notify()
            condition.wait()
    with condition:
        condition.notify()


def handed_over(context, count=1000):
    condition = context.Condition()
    with condition:
        process = context.Process(target=_notify, args=(condition, count))
        process.start()

        def work(count):
            for _ in range(count):
                condition.wait()
                condition.notify()
        spent = timed(work, count)
    process.join()
    return spent


def event(context, count=50000):
    flag = context.Event()

    def work(count):
        for _ in range(count):
            flag.is_set()
    return timed(work, count)


def made(context, count=300):
    return timed(lambda count: [context.Lock() for _ in range(count)], count)


ROWS = {
    "Lock: acquire + release": row_of_lock("Lock"),
    "Lock: with": with_statement,
    "RLock: acquire + release": row_of_lock("RLock"),
    "Semaphore: acquire + release": row_of_lock("Semaphore"),
    f"Lock: acquire + release, {PROCESSES} processes": contended,
    "Lock: made": made,
    "Event: is_set": event,
    "Condition: notify + wait, two processes": handed_over,
    "Queue: put + get": row_of_queue("Queue", 1, 3000),
    "Queue: put + get, 1 MB": row_of_queue("Queue", MEGABYTE, 50),
    "Queue: from process to process": row_of_flow("Queue"),
    "Queue: there and back": there_and_back,
    "SimpleQueue: put + get": row_of_queue("SimpleQueue", 1, 3000),
    "SimpleQueue: from process to process": row_of_flow("SimpleQueue"),
}


def results(rounds):
    contexts = [module.get_context("fork") for module in (multiprocessing, multiprocess)]
    return beside.measured(ROWS, contexts, rounds)


if __name__ == "__main__":
    beside.main(results)
