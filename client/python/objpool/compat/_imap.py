# SPDX-License-Identifier: Apache-2.0
"""What imap and imap_unordered return: iterators over results that come while the input is still read."""
import collections
import itertools
import threading
import time
from multiprocessing import TimeoutError

from ._answer_reader import Piece
from ._crew import APART, ONE, StreamHub, Task, deadline_of
from ._in_flight import Items


class Failure:
    """Stands in a list of results for an exception."""

    __slots__ = ("error",)

    def __init__(self, error):
        self.error = error


class IMapIterator:
    """Results as an iterator, in order of the input. The input is read only so far ahead that the workers stay busy.

    Items go to workers one by one at first. When they prove to be short, they share messages of about BATCH_SECONDS; still each
    is a chunk of its own. Then as many are under way as are AHEAD_SECONDS of work for each worker, so that workers go on while
    this program waits for a CPU; but never more than AHEAD_ITEMS, or than have AHEAD_BYTES. A thread of its own reads input that
    may block; the thread that takes the results reads lists and the like.
    """

    BATCH_SECONDS = 0.001
    AHEAD = 8                   # items per worker at least
    AHEAD_SECONDS = 0.032
    AHEAD_BYTES = 4 << 20       # of items and results
    AHEAD_ITEMS = 8192          # in all
    BATCH_MOST = 4096           # items
    in_background = False
    stopped_by = None           # a StopIteration that an item has raised

    def __init__(self, pool, work, iterable, chunksize=1, ordered=True):
        self._pool, self._crew, self._work = pool, pool._crew, work
        self._chunksize = chunksize
        self.ordered = ordered
        self._hub = StreamHub()
        self._guard = threading.Condition(threading.Lock())
        self._current = iter(())
        self._sent = collections.deque()        # of an ordered job: Tasks and Items in order of the input
        self._arrived = collections.deque()     # of others: Tasks, and Pieces of Items, in the order of their end
        self._under_way = set()                 # Tasks and Items that lack an answer, or some of their answers
        self._ahead = 0                         # items that were sent, and whose results nobody has taken
        self._batch = 1
        self._batch_most = self.BATCH_MOST if pool._may_batch and self._crew.by_value else 1
        self._ahead_most = self.AHEAD * self._crew.size * chunksize
        self._bytes = 0                         # that an item had with its result, of late
        self._collected = []                    # items that were read, and are not sent yet
        self._passed = 0                        # items that were sent
        self._ended = False                     # the input has ended
        self._unbounded = False                 # join() waits: all input is read now
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
        return self._unbounded or self._ahead + (self._batch if self._chunksize == 1 else 0) <= self._ahead_most

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
            self._batch = 1             # slow input is sent on as it comes
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
            self._bytes = max(self._bytes, task.bytes // len(items))
        else:
            self._crew.submit([task], self._work)
        if not self._is_ready_made:
            self._hub.tell()        # a thread that waits for input has to wait for an answer now

    def _end(self, error):
        with self._guard:
            self._ended = True
            self._error = error
            self._input = None
            self._guard.notify_all()
        self._hub.tell()
        self._check_done()

    def read_all(self):
        """From now on the input is read to its end, however long it is."""
        with self._guard:
            self._unbounded = True
            self._guard.notify_all()
        if self._input is not None and self._is_ready_made:
            self._fill()

    def stop(self, error):
        """The pool is terminated: no more input is read."""
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
        """Some results of Items have come. Those of an ordered job come in order."""
        if items.bytes and piece.size:
            self._bytes = max(7 * self._bytes // 8, items.bytes // items.size + piece.bytes_of_one())
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
            self.stopped_by = error     # a loop can't tell it from the end
        return error

    def _advance(self, deadline):
        """Waits until there is a task to take, and takes it."""
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
        """Waits for input. It may wait for a result itself, so what has been read is sent although it is not a whole batch."""
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
            if self._has_room():
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
            if failures is not None and len(results) < task.size:       # the message failed as a whole
                results = [None] * task.size
                failures = dict.fromkeys(range(task.size), failures[0])
            for index, error in (failures or {}).items():
                results[index] = Failure(error)
            self._adapt(task.size, elapsed)
            self._current = iter(results)
        if not self._ended and self._is_ready_made:
            self._fill()

    def _adapt(self, count, elapsed):
        if elapsed <= 0 or self._chunksize > 1:
            return
        pace, workers = count * 1e9 / elapsed, self._crew.size
        fitting = min(self.AHEAD_BYTES // (self._bytes + 1), self.AHEAD_ITEMS)
        self._batch = max(1, min(int(pace * self.BATCH_SECONDS), 2 * self._batch, self._batch_most, fitting // (2 * workers)))
        ahead = min(int(pace * self.AHEAD_SECONDS) * workers, fitting) if self._batch_most > 1 else 0
        self._ahead_most = max(self.AHEAD * workers, 2 * workers * self._batch, ahead)


class IMapUnorderedIterator(IMapIterator):
    """Results in the order in which they come."""

    def __init__(self, pool, work, iterable, chunksize=1):
        super().__init__(pool, work, iterable, chunksize, ordered=False)
