# SPDX-License-Identifier: Apache-2.0
"""What a pool gives back for a call: AsyncResult, MapResult, and the iterators of imap.

A job is told of each of its tasks that is done (`on_task`, by whatever thread; brief). It is decoded by who asks for the result, or,
when it has callbacks, by the crew's background thread: then it is ready when they have returned.
"""
import collections
import itertools
import threading
import time
from multiprocessing import TimeoutError

from ._answer_reader import Piece
from ._crew import APART, ONE, Hub, Task, deadline_of, left_until
from ._in_flight import Items


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
        """Is the result there?"""
        if not self._complete and not self._has_callbacks:
            if not self._hub.news:
                self._crew.poll()
            if self._hub.news:
                self._finish()
        return self._complete

    def successful(self):
        """Did it end without exception? ValueError while it has not ended."""
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
            task.done = True            # nothing can interrupt between these two
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
                threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread())))
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
    """The list of results of a map; all of it is done before the first failure, in order of time, is raised."""

    def __init__(self, pool, tasks, callback=None, error_callback=None):
        super().__init__(pool, callback, error_callback, len(tasks))
        self._tasks = tasks
        self._collecting = threading.Lock()

    def on_task(self, task):
        super().on_task(task)
        if not self._has_callbacks:
            self._hub.tell()

    def ready(self):
        """Is the result there?"""
        if not self._complete and not self._has_callbacks:
            self._crew.poll()
            arrived = self._arrived
            if arrived is not None and len(arrived) == self._left:
                self._finish()
        return self._complete

    def wait(self, timeout=None):
        """Until it is ready, or the timeout. What has come is decoded meanwhile, by one of those who wait."""
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


class Failure:
    """Stands in a list of results for an exception at that place."""

    __slots__ = ("error",)

    def __init__(self, error):
        self.error = error


class IMapIterator:
    """Results as an iterator, in order of the input, which is read only so far ahead as keeps the workers busy.

    Items go to workers one by one at first, and share messages of about BATCH_SECONDS when they prove to be short; still each is a chunk of
    its own. Input that may block is read by a thread of its own; lists and the like are read by who takes the results.
    """

    BATCH_SECONDS = 0.001
    AHEAD = 8                   # items per worker at least
    AHEAD_MOST = 1024
    in_background = False
    stopped_by = None           # a StopIteration that an item has raised

    def __init__(self, pool, work, iterable, chunksize=1, ordered=True):
        self._pool, self._crew, self._work = pool, pool._crew, work
        self._chunksize = chunksize
        self.ordered = ordered
        self._hub = Hub()
        self._guard = threading.Condition(threading.Lock())
        self._current = iter(())
        self._sent = collections.deque()        # ordered: Tasks and Items in order of the input
        self._arrived = collections.deque()     # unordered: Tasks, and Pieces of Items, in order of their end
        self._under_way = set()                 # Tasks and Items without an answer, or not with all
        self._ahead = 0                         # items that were sent and whose results are not taken
        self._batch = 1
        self._batch_most = max(1, self.AHEAD_MOST // (2 * self._crew.size)) if pool._may_batch and self._crew.by_value else 1
        self._collected = []                    # items that were read and not sent, while more are read
        self._passed = 0                        # items that were sent
        self._ended = False                     # the input has
        self._unbounded = False                 # join() is waiting: all input is to be read
        self._error = None
        self._input = None
        pool._jobs.add(self)
        self._begin(iterable)

    # Input

    def _begin(self, iterable):
        try:
            self._input = iter(iterable)
        except Exception as error:
            self._end(error)
            return
        self._is_ready_made = isinstance(iterable, (list, tuple, range, str, bytes, dict, set, frozenset))
        if self._is_ready_made:
            self._fill()
        else:
            threading.Thread(target=self._feed, name="objpool imap input", daemon=True).start()

    def _feed(self):
        while True:
            with self._guard:
                self._guard.wait_for(lambda: self._ended or self._has_room())
            if self._ended:
                return
            self._send_one()

    def _fill(self):
        while not self._ended and self._has_room():
            self._send_one()

    def _has_room(self):
        most = max(self.AHEAD * self._crew.size * self._chunksize, 2 * self._crew.size * self._batch)
        return self._unbounded or self._ahead + (self._batch if self._chunksize == 1 else 0) <= most

    def _send_one(self):
        size = self._batch if self._chunksize == 1 else self._chunksize
        error, passed, begun = None, self._passed, time.perf_counter()
        try:
            self._collected.extend(itertools.islice(self._input, size))
        except Exception as raised:
            error = raised
        read = self._passed - passed + len(self._collected)
        if self._chunksize > 1 and error is not None:
            self._collected.clear()     # a chunk that the input breaks off is not run
        if time.perf_counter() - begun > self.BATCH_SECONDS:
            self._batch = 1             # input that takes its time goes on as it comes
        self._pass_on()
        if error is not None or read < size:
            self._end(error)

    def _pass_on(self):
        """Sends what has been read."""
        with self._guard:
            items = self._collected[:]
            if not items:
                return
            del self._collected[:len(items)]
            self._passed += len(items)
            shares = self._chunksize == 1 and len(items) > 1
            task = Items(self, len(items)) if shares else Task(items, self, ONE if self._chunksize > 1 else APART)
            task.size = len(items)
            self._under_way.add(task)
            self._ahead += len(items)
            if self.ordered:
                self._sent.append(task)
        if shares:
            self._crew.submit_items(task, items, self._work)
        else:
            self._crew.submit([task], self._work)
        if not self._is_ready_made:
            self._hub.tell()        # who waits has to wait for an answer now

    def _end(self, error):
        with self._guard:
            self._ended = True
            self._error = error
            self._input = None
            self._guard.notify_all()
        self._hub.tell()
        self._check_done()

    def read_all(self):
        """From now on the input is read to its end, however much that is."""
        with self._guard:
            self._unbounded = True
            self._guard.notify_all()
        if self._input is not None and self._is_ready_made:
            self._fill()

    def stop(self, error):
        """The pool is terminated: what has not been read is not."""
        if not self._ended:
            self._end(error)

    # Results

    def on_task(self, task):
        if not task.done:
            task.done = True
            if not self.ordered:
                self._arrived.append(task)
        self._under_way.discard(task)
        self._hub.tell()
        self._check_done()

    def on_piece(self, items, piece):
        """Some results of Items have come; of an ordered job in order."""
        (items.pieces if self.ordered else self._arrived).append(piece)
        self._hub.tell()

    def on_pace(self, nanoseconds):
        self._adapt(1, nanoseconds)

    def on_items_done(self, items):
        self._under_way.discard(items)
        self._hub.tell()
        self._check_done()

    def _check_done(self):
        pool = self._pool
        if pool is not None and self._ended and not self._under_way:
            pool._jobs.discard(self)
            pool._on_job_done()

    def __iter__(self):
        return self

    def next(self, timeout=None):
        """The next result; raises what the function raised for it, and TimeoutError when it is not there in time."""
        while True:
            for result in self._current:
                if type(result) is Failure:
                    raise self._raised(result.error)
                return result
            self._advance(deadline_of(timeout))

    def __next__(self):
        for result in self._current:
            if type(result) is Failure:
                raise self._raised(result.error)
            return result
        return self.next()

    def _raised(self, error):
        if isinstance(error, StopIteration):
            self.stopped_by = error     # a loop takes it for the end
        return error

    def _advance(self, deadline):
        """Until there is a task to take; then takes it."""
        while True:
            self._hub.news = None
            with self._guard:
                task = self._take()
                in_flight = self._ahead
                if task is None and self._ended and not in_flight:
                    self._raise_end()
            if task is not None:
                self._accept(task)
                return
            if in_flight:
                if not self._crew.wait(self._hub, deadline):
                    raise TimeoutError
            else:
                self._await_input(deadline)

    def _await_input(self, deadline):
        """The input keeps us waiting for a whole batch, and may itself wait for our results: then it goes item by item."""
        self._batch, pause = 1, 0.0005
        while not self._hub.news:
            if self._chunksize == 1 and self._collected:
                self._pass_on()
                return
            pause = min(2 * pause, 0.05)
            if not self._hub.wait(deadline_of(pause)) and deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError

    def _raise_end(self):
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def _take(self):
        task = self._first_sent() if self.ordered else self._arrived.popleft() if self._arrived else None
        if task is not None:
            self._ahead -= task.size
            self._guard.notify()
        return task

    def _first_sent(self):
        sent = self._sent
        while sent:
            first = sent[0]
            if type(first) is Items and first.pieces:
                return first.pieces.popleft()
            if not first.done:
                return None
            sent.popleft()
            if type(first) is Task:
                return first
        return None

    def _accept(self, task):
        if type(task) is Piece:
            self._current = iter(task.results(Failure))
            if not self._ended and self._is_ready_made:
                self._fill()
            return
        results, failures, elapsed = task.outcome()
        if task.each == ONE:
            self._current = iter([Failure(failures[0])] if failures else results)
        else:
            if failures is not None and len(results) < task.size:       # none of them came back
                results = [None] * task.size
                failures = dict.fromkeys(range(task.size), failures[0])
            for index, error in (failures or {}).items():
                results[index] = Failure(error)
            self._adapt(task.size, elapsed)
            self._current = iter(results)
        if not self._ended and self._is_ready_made:
            self._fill()

    def _adapt(self, count, elapsed):
        if elapsed > 0:
            fitting = int(count * self.BATCH_SECONDS * 1e9 / elapsed)
            self._batch = max(1, min(fitting, 2 * self._batch, self._batch_most))


class IMapUnorderedIterator(IMapIterator):
    """Results as they come."""

    def __init__(self, pool, work, iterable, chunksize=1):
        super().__init__(pool, work, iterable, chunksize, ordered=False)
