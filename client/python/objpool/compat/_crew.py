# SPDX-License-Identifier: Apache-2.0
"""What a compatible pool and its crew have in common. The crew does the pool's work: by threads of this program
(_thread_crew.py), or by workers of an objpool daemon (_process_crew.py).

A crew takes tasks and completes them. The pool above it (multiprocess/pool.py and the other modules) cuts its input into tasks,
and waits for them:

    work = crew.work(function, mode)            what the tasks of a call have in common
    crew.submit([Task(...), ...], work, …)      once a task is done, any thread calls `on_task` of its job: it must be brief
    crew.wait(hub, deadline)                    until hub.news is true
    task.outcome()                              (results, failures): decoded in the thread that asks
"""
import threading
import time

from ._message import APART, CALL, MAP, NAMED, ONE, PICKLED, STAR

__all__ = ["APART", "CALL", "MAP", "NAMED", "ONE", "PICKLED", "STAR", "Hub", "Task", "deadline_of", "left_until", "release"]


def deadline_of(timeout):
    return None if timeout is None else time.monotonic() + max(0.0, timeout)


class Hub:
    """Lets threads wait until `news` is true."""

    __slots__ = ("news", "waiters")
    hurries = True  # see Entry

    def __init__(self):
        self.news = None
        self.waiters = None

    def tell(self):
        self.news = True
        if self.waiters:
            self.wake()

    def wake(self):
        for lock in tuple(self.waiters or ()):
            release(lock)

    def wait(self, deadline=None):
        """Sleeps until there is news. False: the deadline came first."""
        while not self.news:
            lock = threading.Lock()
            lock.acquire()
            if self.waiters is None:
                self.waiters = []
            self.waiters.append(lock)
            try:
                if not self.news and not lock.acquire(timeout=left_until(deadline)):
                    return bool(self.news)
            finally:
                self.waiters.remove(lock)
        return True


class StreamHub(Hub):
    """For results that come while more are under way."""

    __slots__ = ()
    hurries = False


def left_until(deadline):
    return -1 if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)


def release(lock):
    try:
        lock.release()
    except RuntimeError:
        pass        # it was woken already


class Task:
    """Some items that go to a worker together. They are complete when `done` is true."""

    __slots__ = ("items", "each", "job", "done", "answer", "size")

    def __init__(self, items, job, each=ONE):
        self.items = items
        self.each = each
        self.job = job
        self.done = False
        self.answer = None

    def finish(self, answer):
        """Called by the thread that has the answer; twice if a signal handler has interrupted the first call."""
        job = self.job
        if job is not None:
            self.items = None
            self.answer = answer
            job.on_task(self)
            self.job = None

    def fail(self, error):
        self.finish(error)

    def outcome(self):
        """(results, {index: exception} or None, nanoseconds it took). An answer that is an exception stands for all items."""
        answer = self.answer
        if callable(answer):
            answer = self.answer = answer()
        return ([], {0: answer}, 0) if isinstance(answer, BaseException) else answer
