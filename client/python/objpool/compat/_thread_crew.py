# SPDX-License-Identifier: Apache-2.0
"""A crew (_crew.py) of threads of this program."""
import collections
import itertools
import threading
import time

from ._chunks import OnObject, run_apart, run_chunk
from ._crew import ONE, release
from ._errors import PoolTerminated


class Background:
    """A thread that runs callbacks, so that nobody waits for them."""

    def __init__(self, name):
        self._name = name
        self._queue = collections.deque()
        self._lock = threading.Lock()
        self._lock.acquire()
        self._started = False
        self._guard = threading.Lock()

    def run(self, function):
        self._queue.append(function)
        with self._guard:
            if not self._started:
                self._started = True
                threading.Thread(target=self._loop, name=self._name, daemon=True).start()
        release(self._lock)

    def stop(self):
        if self._started:
            self.run(None)

    def _loop(self):
        while True:
            self._lock.acquire()
            while self._queue:
                function = self._queue.popleft()
                if function is None:
                    return
                function()


class ThreadCrew:
    """Threads of this program; each may have an object of its own."""

    by_value = False
    _numbers = itertools.count(1)

    def __init__(self, size, initializer=None, initargs=(), factory=None):
        self.size = size
        self.objects = [None] * size
        self._initializer, self._initargs, self._factory = initializer, initargs, factory
        self._shared = collections.deque()
        self._own = [collections.deque() for _ in range(size)]
        self._ready = threading.Condition(threading.Lock())
        self._ending = False
        self._running = set()
        self._background = Background("objpool callbacks")
        self.threads = [threading.Thread(target=self._work, args=(slot,), daemon=True,
                                         name=f"Thread-{next(self._numbers)} (worker)") for slot in range(size)]
        self._begin()

    def _begin(self):
        self._started, self._failure = 0, None
        for thread in self.threads:
            thread.start()
        with self._ready:
            self._ready.wait_for(lambda: self._failure is not None or self._started == self.size)
        if self._failure is not None:
            self.terminate(None)
            raise self._failure

    # A worker's life

    def _work(self, slot):
        try:
            self._prepare(slot)
        except BaseException as error:
            with self._ready:
                self._failure = self._failure or error
                self._ready.notify_all()
            return
        with self._ready:
            self._started += 1
            self._ready.notify_all()
        while True:
            task = self._next(slot)
            if task is None:
                return
            self._run(slot, *task)
            del task

    def _prepare(self, slot):
        if self._initializer is not None:
            self._initializer(*self._initargs)
        if self._factory is not None:
            self.objects[slot] = self._factory(slot)

    def _next(self, slot):
        own = self._own[slot]
        with self._ready:
            while True:
                if own:
                    task = own.popleft()
                elif self._shared:
                    task = self._shared.popleft()
                elif self._ending:
                    return None
                else:
                    self._ready.wait()
                    continue
                self._running.add(task[0])
                return task

    def _run(self, slot, task, work):
        mode, function = work
        items, each = task.items, task.each
        begun = time.perf_counter_ns()
        try:
            if isinstance(function, OnObject):
                function = function.bind(self.objects[slot])
            run = run_chunk if each == ONE else run_apart
            results, failures = run(mode, function, items)
        except BaseException as error:
            results, failures = [], {0: error}
        del items, function
        self._running.discard(task)
        task.finish((results, failures, time.perf_counter_ns() - begun))

    # What the pool asks

    def work(self, function, mode):
        return mode, function

    def submit(self, tasks, work, slot=None):
        queue = self._shared if slot is None else self._own[slot]
        with self._ready:
            if self._ending:
                refused = PoolTerminated("the pool was terminated")
            else:
                refused = None
                queue.extend((task, work) for task in tasks)
                self._ready.notify_all() if slot is not None or len(tasks) > 1 else self._ready.notify()
        if refused:
            for task in tasks:
                task.fail(refused)

    def submit_to_all(self, tasks, work):
        """Gives task i to worker i. There is one task for each worker."""
        for slot, task in enumerate(tasks):
            self.submit([task], work, slot)

    def broadcast(self, tasks, work):
        """Gives the same to each worker. tasks[i] is what worker i does."""
        self.submit_to_all(tasks, work)

    def members(self):
        return list(self.threads)

    def wait(self, hub, deadline=None):
        return hub.wait(deadline)

    def poll(self):
        pass

    def in_background(self, function):
        self._background.run(function)

    def close(self):
        """The threads end when all that is queued is done."""
        with self._ready:
            self._ending = True
            self._ready.notify_all()

    def terminate(self, error):
        """All tasks fail. Queued tasks never run. A thread can't be stopped, so the results of tasks that run are dropped."""
        with self._ready:
            self._ending = True
            dropped = [task for queue in (self._shared, *self._own) for task, _ in queue]
            for queue in (self._shared, *self._own):
                queue.clear()
            dropped += self._running
            self._ready.notify_all()
        for task in dropped:
            task.fail(error)

    def join(self, running=True):
        for thread in list(self.threads) if running else ():
            if thread is not threading.current_thread():
                thread.join()
        self._background.stop()
