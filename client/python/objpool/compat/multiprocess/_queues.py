# SPDX-License-Identifier: Apache-2.0
"""Queue, JoinableQueue and SimpleQueue. A process that dies in get or put loses its own item at most, and holds nobody up.

The items lie in shared memory, of any size: put() needs no thread, what a process has put outlives it, and join_thread() has
nothing to wait for. A SimpleQueue is full when it has a megabyte: then put() waits.
"""
import threading
import types
from queue import Empty, Full

from . import context, util
from ._ends import Reader, Writer
from ._semaphores import SEM_VALUE_MAX
from ._sync import sync


SIMPLE_MOST = 1 << 20       # bytes


class Queue:
    _is_joinable = False

    def __init__(self, maxsize=0, *, ctx=None):
        self._log = sync.Log(max(0, maxsize), 0, self._is_joinable)
        self._maxsize = maxsize if maxsize > 0 else SEM_VALUE_MAX
        self._reset()

    def __getstate__(self):
        return self._maxsize, self._log

    def __setstate__(self, state):
        self._maxsize, self._log = state
        self._reset()

    def _reset(self):
        self._closed = False
        self._reader, self._writer = Reader(self._log), Writer(self._log)
        util.register_after_fork(self, Queue._after_fork)

    def _after_fork(self):
        self._closed = False

    def put(self, obj, block=True, timeout=None):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        try:
            message = context.reduction.ForkingPickler.dumps(obj)
        except Exception as error:
            return self._on_queue_feeder_error(error, obj)
        if not self._log.put(message, block, timeout):
            raise Full

    def get(self, block=True, timeout=None):
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        message = self._log.get(block, timeout)
        if message is None:
            raise Empty
        return context.reduction.ForkingPickler.loads(message)

    def qsize(self):
        return self._log.count()

    def empty(self):
        return not self._log.count()

    def full(self):
        return self._log.count() >= self._maxsize

    def get_nowait(self):
        return self.get(False)

    def put_nowait(self, obj):
        return self.put(obj, False)

    def close(self):
        """This process puts and gets nothing more."""
        self._closed = True

    def join_thread(self):
        """Returns at once: what was put is in the queue."""
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self):
        """Does nothing."""

    @staticmethod
    def _on_queue_feeder_error(e, obj):
        """Is called with an item that can't be pickled, and why. Subclasses may define it."""
        import traceback
        traceback.print_exception(type(e), e, e.__traceback__)

    __class_getitem__ = classmethod(types.GenericAlias)


class JoinableQueue(Queue):
    """An item counts as done, too, when the process that got it has ended without saying so."""

    _is_joinable = True

    def task_done(self):
        if not self._log.task_done():
            raise ValueError("task_done() called too many times")

    def join(self):
        self._log.join()


class SimpleQueue:
    def __init__(self, *, ctx=None):
        self.__setstate__(sync.Log(0, SIMPLE_MOST, False))

    def __getstate__(self):
        return self._log

    def __setstate__(self, log):
        self._log = log
        self._reader, self._writer = Reader(log), Writer(log)

    def close(self):
        self._reader.close()
        self._writer.close()

    def empty(self):
        return not self._reader.poll()

    def get(self):
        return self._reader.recv()

    def put(self, obj):
        self._writer.send(obj)

    @property
    def _rlock(self):
        """A lock that keeps nobody out: no reader needs one. The standard library's Pool acquires it at its end."""
        return threading.Lock()

    _wlock = _rlock
    __class_getitem__ = classmethod(types.GenericAlias)
