# SPDX-License-Identifier: Apache-2.0
"""Condition and Event. One that dies waiting is forgotten."""
import sys
import time

from ._semaphores import RLock
from ._sync import Shared, sync

NOTIFIED = 2


class _Number:
    """Stands for a semaphore that the standard library's Condition has."""

    def __init__(self, value):
        self._value = value

    def get_value(self):
        return self._value


class Condition:
    """A condition variable. Each thread that waits has a chair in a room; notify() tells those that have waited longest."""

    def __init__(self, lock=None, *, ctx=None):
        self.__setstate__((lock or RLock(), sync.Room()))

    def __getstate__(self):
        return self._lock, self._room

    def __setstate__(self, state):
        self._lock, self._room = state
        self.acquire, self.release = self._lock.acquire, self._lock.release

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    def __repr__(self):
        return f"<{type(self).__name__}({self._lock}, {self._room.waiting()})>"

    @property
    def abandoned(self):
        return getattr(self._lock, "abandoned", False)

    def wait(self, timeout=None):
        """Releases the lock, waits to be notified, and acquires it again. False: it was not notified by then."""
        lock, room = self._lock._semlock, self._room
        assert lock._is_mine(), "must acquire() condition before using wait()"
        count, chair, told = lock._count(), room.enter(), 0
        try:
            for _ in range(count):
                self._lock.release()
            try:
                room.sleep(chair, timeout)
            finally:
                for _ in range(count):
                    self._lock.acquire()
        finally:
            told = room.leave(chair)
        return told == NOTIFIED

    def notify(self, n=1):
        assert self._lock._semlock._is_mine(), "lock is not owned"
        self._room.tell(n, NOTIFIED)

    def notify_all(self):
        self.notify(sys.maxsize)

    def wait_for(self, predicate, timeout=None):
        """Waits until predicate() is true. Returns what it returned last."""
        end = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result

    # What the standard library's tests look at.
    _sleeping_count = property(lambda self: _Number(self._room.waiting()))
    _woken_count = _wait_semaphore = _Number(0)


class Event(Shared, sync.Event):
    """An event. Who waits sees that it was set also if it has been cleared since."""

    _base = sync.Event

    def __new__(cls, *args, ctx=None, **kwargs):
        return sync.Event.__new__(cls)

    def __init__(self, *, ctx=None):
        pass

    def __repr__(self):
        return f"<{type(self).__qualname__} at {id(self):#x} {'set' if self.is_set() else 'unset'}>"
