# SPDX-License-Identifier: Apache-2.0
"""The queue that a manager's server has for its clients. Its items are as they came: it never looks into them."""
import collections
import queue
from queue import Empty, Full

from ._holders import Holders
from ._waiters import LATER, RESEND, Waiters, asker, commit, put_off, seconds

__all__ = ["Queue"]


class Queue:
    """queue.Queue whose get, put and join wait without a thread."""

    def __init__(self, maxsize=0):
        self.maxsize = maxsize
        self._items = collections.deque()
        self._getters, self._putters, self._joiners = Waiters(), Waiters(), Waiters()
        self._unfinished = 0
        self._is_shut = False
        self._undone = Holders(self)    # items that clients have got, and that are not done

    def put(self, item, block=True, timeout=None):
        if self._is_shut:
            raise queue.ShutDown
        if self.maxsize <= 0 or len(self._items) < self.maxsize:
            self._add(item)
            return None
        if not block:
            raise Full
        waiter = self._wait_until(timeout, Full, item)
        return RESEND if waiter is None else self._putters.add(waiter)

    def get(self, block=True, timeout=None):
        if self._items:
            return self._take() if commit() else LATER      # nobody gets what it returns
        if self._is_shut:
            raise queue.ShutDown
        if not block:
            raise Empty
        waiter = self._wait_until(timeout, Empty)
        return RESEND if waiter is None else self._getters.add(waiter)

    def put_nowait(self, item):
        return self.put(item, False)

    def get_nowait(self):
        return self.get(False)

    def qsize(self):
        return len(self._items)

    def empty(self):
        return not self._items

    def full(self):
        return 0 < self.maxsize <= len(self._items)

    def task_done(self):
        if self._unfinished <= 0:
            raise ValueError("task_done() called too many times")
        self._undone.remove(asker.client)
        self._finish(1)

    def join(self):
        if not self._unfinished:
            return None
        waiter = put_off(None, None)
        return RESEND if waiter is None else self._joiners.add(waiter)

    if hasattr(queue, "ShutDown"):      # since Python 3.13
        def shutdown(self, immediate=False):
            self._is_shut = True
            if immediate:
                count = len(self._items)
                self._items.clear()
                self._finish(min(count, self._unfinished))
            for waiter in (*self._getters.pop_all(), *self._putters.pop_all()):
                waiter.fail(queue.ShutDown())

    def _wait_until(self, timeout, error, item=None):
        timeout = seconds(timeout)
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")

        def expired(waiter):
            waiter.leave()
            waiter.fail(error())
        return put_off(timeout, expired, item)

    def _add(self, item):
        self._unfinished += 1
        if not self._getters or not self._hand_out(item):
            self._items.append(item)

    def _hand_out(self, item):
        while self._getters:
            waiter = self._getters.pop_first()
            if waiter.give(self, _out(item)):
                self._undone.add(waiter.client)
                return True
        return False

    def _take(self):
        item = self._items.popleft()
        self._undone.add(asker.client)
        while self._putters and not self.full():
            waiter = self._putters.pop_first()
            if waiter.answer(None):
                self._add(waiter.note)
        return _out(item)

    def _finish(self, count):
        self._unfinished -= count
        if not self._unfinished:
            for waiter in self._joiners.pop_all():
                waiter.answer(None)

    def _put_back(self, client, thread, item):
        """The call that got the item was interrupted."""
        self._undone.remove(client)
        if not self._hand_out(item):
            self._items.appendleft(item)

    def _abandoned_by(self, client):
        """What the client has got and not done, when it ended, counts as done."""
        self._finish(min(self._undone.remove_all(client), self._unfinished))


def _out(item):
    """The item as who gets it takes it."""
    out = getattr(item, "out", None)
    return item if out is None else out()
