# SPDX-License-Identifier: Apache-2.0
"""What a pool returns for a call or a map: AsyncResult, MapResult.

Any thread may tell a job that one of its tasks is done (`on_task`, which must be brief). The thread that asks for the result
decodes the answer. A job with callbacks is decoded by the crew's background thread, and is ready when its callback has returned.
"""
import threading
from multiprocessing import TimeoutError

from ._crew import Hub, deadline_of, left_until


class ApplyResult:
    """The result of a call that is under way."""

    def __init__(self, pool, callback=None, error_callback=None, tasks=1):
        self._pool = pool
        self._crew = pool._crew
        self._hub = Hub()
        self._left = tasks
        self._arrived = []
        self._callback = callback
        self._error_callback = error_callback
        self._has_callbacks = callback is not None or error_callback is not None
        self.in_background = self._has_callbacks
        self._guard = threading.Lock()
        self._complete = False
        self._success = None
        self._value = None
        pool._jobs.add(self)

    def ready(self):
        """True if the result is there."""
        if not self._complete and not self._has_callbacks:
            if not self._hub.news:
                self._crew.poll()
            if self._hub.news:
                self._finish()
        return self._complete

    def successful(self):
        """True if it ended without an exception. ValueError if it has not ended."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._success

    def wait(self, timeout=None):
        """Until it is ready, or the timeout."""
        if self._complete:
            return
        if self._has_callbacks:
            self._hub.wait(deadline_of(timeout))
        elif self._crew.wait(self._hub, deadline_of(timeout)):
            self._finish()

    def get(self, timeout=None):
        """The result; raises what the function raised, and TimeoutError when it is not ready in time."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError
        if self._success:
            return self._value
        try:
            raise self._value
        finally:
            self = None         # the exception's traceback has this frame: no cycle

    def on_task(self, task):
        if not task.done:
            task.done = True            # a signal handler can't interrupt between these two
            self._arrived.append(task)
        if len(self._arrived) == self._left:
            if self._has_callbacks:
                self._crew.in_background(self._call_back)
            else:
                self._hub.tell()
            if self._pool is not None:
                self._pool._jobs.discard(self)
                self._pool._on_job_done()

    def _finish(self):
        with self._guard:
            if not self._complete:
                self._success, self._value = self._decode()
                self._arrived = self._pool = None
                self._complete = True

    def _call_back(self):
        if self._complete:
            return
        success, value = self._decode()
        callback = self._callback if success else self._error_callback
        if callback is not None:
            try:
                callback(value)
            except BaseException as error:
                what = (type(error), error, error.__traceback__, threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(what))
                success, value = False, error
        self._success, self._value = success, value
        self._callback = self._error_callback = self._arrived = self._pool = None
        self._complete = True
        self._hub.tell()

    def _decode(self):
        results, failures, _ = self._arrived[0].outcome()
        return (False, failures[0]) if failures else (True, results[0])

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__qualname__} object at {id(self):#x}>"


AsyncResult = ApplyResult


class MapResult(ApplyResult):
    """The list of results of a map. When all tasks are done, raises the failure that came first, if there is one."""

    def __init__(self, pool, tasks, callback=None, error_callback=None):
        super().__init__(pool, callback, error_callback, len(tasks))
        self._tasks = tasks
        self._collecting = threading.Lock()

    def on_task(self, task):
        super().on_task(task)
        if not self._has_callbacks:
            self._hub.tell()

    def ready(self):
        """True if the result is there."""
        if not self._complete and not self._has_callbacks:
            self._crew.poll()
            arrived = self._arrived
            if arrived is not None and len(arrived) == self._left:
                self._finish()
        return self._complete

    def wait(self, timeout=None):
        """Until it is ready, or the timeout. Meanwhile one of the waiting threads decodes the answers that have come."""
        deadline = deadline_of(timeout)
        if self._has_callbacks:
            self._hub.wait(deadline)
            return
        while not self._complete:
            if self._collecting.acquire(False):
                try:
                    self._collect(deadline)
                    return
                finally:
                    self._collecting.release()
            elif self._collecting.acquire(timeout=left_until(deadline)):
                self._collecting.release()
            else:
                return

    def _collect(self, deadline):
        decoded = 0
        while not self._complete:
            self._hub.news = None
            for task in self._arrived[decoded:]:
                task.outcome()
                decoded += 1
            if decoded == self._left:
                self._finish()
            elif not self._hub.news and not self._crew.wait(self._hub, deadline):
                return

    def _decode(self):
        tasks, self._tasks = self._tasks, None
        for task in self._arrived:
            failures = task.outcome()[1]
            if failures:
                return False, failures[0]
        if len(tasks) == 1:
            return True, tasks[0].outcome()[0]
        results = []
        for task in tasks:
            results += task.outcome()[0]
            task.answer = None
        return True, results


class DoneResult(ApplyResult):
    """A result that is there from the beginning."""

    def __init__(self, success, value):
        self._complete, self._success, self._value = True, success, value
        self._has_callbacks = False
