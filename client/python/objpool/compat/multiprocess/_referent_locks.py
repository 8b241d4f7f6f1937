# SPDX-License-Identifier: Apache-2.0
"""The locks that a manager's server has for its clients: those of threading, but nothing waits in a thread.

A holder is a thread of a client. What a client holds is given back when it ends.
"""
from threading import BrokenBarrierError

from ._holders import Holders
from ._waiters import RESEND, Waiters, asker, commit, put_off, seconds

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]


def _expire(waiter):
    waiter.leave()
    waiter.answer(False)


def _wait_in(waiters, timeout, note=None):
    waiter = put_off(timeout, _expire, note)
    return RESEND if waiter is None else waiters.add(waiter)


def _patience(blocking, timeout):
    """Seconds to wait for a lock: 0 for not at all, None for ever."""
    if timeout is None or timeout == -1:
        return None if blocking else 0
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    return seconds(timeout)


class Lock:
    _is_reentrant = False

    def __init__(self):
        self._holder, self._depth = None, 0     # (client, thread)
        self._waiters = Waiters()

    def acquire(self, blocking=True, timeout=None):
        patience = _patience(blocking, timeout)
        mine = (asker.client, asker.thread)
        if self._holder is None or self._is_reentrant and self._holder == mine:
            if not commit():
                return False
            self._hold(mine, 1)
            return True
        return False if patience == 0 else _wait_in(self._waiters, patience, (1, True))

    def release(self):
        if self._holder is None or self._is_reentrant and not self._is_owned():
            raise RuntimeError("cannot release un-acquired lock" if self._is_reentrant else "release unlocked lock")
        self._release()

    def _release(self):
        self._depth -= 1
        if not self._depth:
            self._pass_on()

    def _hold(self, holder, depth):
        self._depth += depth
        if self._holder is None:
            self._holder = holder
            holder[0].holding.add(self)

    def _pass_on(self):
        self._holder[0].holding.discard(self)
        self._holder, self._depth = None, 0
        while self._holder is None and self._waiters:
            self._give(self._waiters.pop_first())

    def _give(self, waiter):
        depth, value = waiter.note
        if waiter.give(self, value):
            self._hold((waiter.client, waiter.thread), depth)

    def _is_owned(self):
        return self._holder is not None and (not self._is_reentrant or self._holder == (asker.client, asker.thread))

    def _release_save(self):
        depth = self._depth
        self._pass_on()
        return depth

    def _reacquire(self, waiter, depth, value):
        """Answers the waiter with this value as soon as it holds the lock again."""
        waiter.note = (depth, value)
        if self._holder is None:
            self._give(waiter)
        else:
            self._waiters.add(waiter)

    def _put_back(self, client, thread, value):
        """The call that acquired it was interrupted."""
        if value and self._holder == (client, thread):
            self._release()

    def _abandoned_by(self, client):
        if self._holder is not None and self._holder[0] is client:
            self._pass_on()

    def __repr__(self):
        return f"<{'locked' if self._depth else 'unlocked'} manager's {type(self).__name__}>"


class RLock(Lock):
    _is_reentrant = True


class Semaphore:
    """One that begins with 0 counts events: nothing of it is given back when a client ends."""

    def __init__(self, value=1):
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self._value, self._most = value, value
        self._holders = Holders(self)
        self._waiters = Waiters()

    def acquire(self, blocking=True, timeout=None):
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        if self._value:
            if not commit():
                return False
            self._value -= 1
            self._hold(asker.client)
            return True
        patience = seconds(timeout) if blocking else 0
        return False if patience is not None and patience <= 0 else _wait_in(self._waiters, patience)

    def release(self, n=1):
        if n < 1:
            raise ValueError("n must be one or more")
        self._check(n)
        for _ in range(n):
            self._holders.remove(asker.client)
            self._add()

    def _check(self, n):
        pass

    def _add(self):
        while self._waiters:
            waiter = self._waiters.pop_first()
            if waiter.give(self, True):
                self._hold(waiter.client)
                return
        self._value += 1

    def _hold(self, client):
        if self._most:
            self._holders.add(client)

    def _put_back(self, client, thread, value):
        if value:
            self._holders.remove(client)
            self._add()

    def _abandoned_by(self, client):
        for _ in range(self._holders.remove_all(client)):
            self._add()

    def __repr__(self):
        return f"<manager's {type(self).__name__}: {self._value}>"


class BoundedSemaphore(Semaphore):
    def _check(self, n):
        if self._value + n > self._most:
            raise ValueError("Semaphore released too many times")


class Condition:
    def __init__(self, lock=None):
        self._lock = RLock() if lock is None else _inside(lock)
        self._waiters = Waiters()

    def acquire(self, blocking=True, timeout=None):
        return self._lock.acquire(blocking, timeout)

    def release(self):
        self._lock.release()

    def wait(self, timeout=None):
        self._check("wait")
        timeout = seconds(timeout)
        waiter = put_off(timeout, self._expired)
        if waiter is None:
            return RESEND
        waiter.note = self._lock._release_save()
        return self._waiters.add(waiter)

    def _expired(self, waiter):
        """Also called when the waiter has been notified, and waits for the lock."""
        if waiter.place is self._waiters:
            waiter.leave()
            self._lock._reacquire(waiter, waiter.note, False)

    def notify(self, n=1):
        self._check("notify")
        for _ in range(min(n, len(self._waiters))):
            waiter = self._waiters.pop_first()
            self._lock._reacquire(waiter, waiter.note, True)

    def notify_all(self):
        self.notify(len(self._waiters))

    def _check(self, what):
        if not self._lock._is_owned():
            raise RuntimeError(f"cannot {what} on un-acquired lock")

    def _put_back(self, client, thread, value):
        self._lock._put_back(client, thread, value)

    def __repr__(self):
        return f"<manager's Condition({self._lock!r}, {len(self._waiters)})>"


def _inside(lock):
    """The lock of a proxy."""
    found = getattr(lock, "_referent", lambda: lock)()
    if not isinstance(found, Lock):
        raise TypeError(f"a manager's Condition takes a Lock or RLock of the same manager, and no {type(lock).__name__}")
    return found


class Event:
    def __init__(self):
        self._is_set = False
        self._waiters = Waiters()

    def is_set(self):
        return self._is_set

    isSet = is_set

    def set(self):
        self._is_set = True
        for waiter in self._waiters.pop_all():
            waiter.answer(True)

    def clear(self):
        self._is_set = False

    def wait(self, timeout=None):
        timeout = seconds(timeout)
        if self._is_set or timeout is not None and timeout <= 0:
            return self._is_set
        return _wait_in(self._waiters, timeout)

    def __repr__(self):
        return f"<manager's Event: {'set' if self._is_set else 'unset'}>"


class Barrier:
    """It breaks when a party that waits dies, is interrupted, or has waited too long."""

    def __init__(self, parties, action=None, timeout=None):
        if parties < 1:
            raise ValueError("parties must be > 0")
        self._parties, self._action, self._timeout = parties, action, timeout
        self._broken = False
        self._waiters = Waiters()

    def wait(self, timeout=None):
        if self._broken:
            raise BrokenBarrierError
        if len(self._waiters) + 1 == self._parties:
            return self._go()
        timeout = seconds(self._timeout if timeout is None else timeout)
        waiter = put_off(timeout, self._expired, gone=self._gone)
        return RESEND if waiter is None else self._waiters.add(waiter)

    def _go(self):
        try:
            if self._action is not None:
                self._action()
        except BaseException:
            self.abort()
            raise
        for index, waiter in enumerate(self._waiters.pop_all()):
            waiter.answer(index)
        return self._parties - 1

    def _expired(self, waiter):
        self.abort()

    def _gone(self, waiter):
        self.abort()

    def abort(self):
        self._broken = True
        for waiter in self._waiters.pop_all():
            waiter.fail(BrokenBarrierError())

    def reset(self):
        self.abort()
        self._broken = False

    @property
    def parties(self):
        return self._parties

    @property
    def n_waiting(self):
        return len(self._waiters)

    @property
    def broken(self):
        return self._broken

    def __repr__(self):
        return f"<manager's Barrier: {len(self._waiters)} of {self._parties}>"
