# SPDX-License-Identifier: Apache-2.0
"""Lock, RLock, Semaphore and BoundedSemaphore. What a process holds when it ends, however it ends, is given back.

Who gets a lock so is told: `abandoned` is True until it is released, and there is a RuntimeWarning.
"""
import threading

from . import process
from ._sync import Shared, sync

SEM_VALUE_MAX = sync.SEM_VALUE_MAX
RECURSIVE_MUTEX, SEMAPHORE = 0, 1


class SemLock(Shared):
    """What all of them have."""

    __slots__ = ()
    name = None

    @property
    def _semlock(self):
        return self


def _holder(lock):
    """The names of the process and thread, and the count, that repr() shows."""
    if lock._is_mine():
        name = process.current_process().name
        if threading.current_thread().name != "MainThread":
            name += "|" + threading.current_thread().name
        return name, lock._count()
    if not lock._is_zero():
        return "None", 0
    return "SomeOtherThread" if lock._count() else "SomeOtherProcess", "nonzero"


class Lock(SemLock, sync.Lock):
    """A lock. Any process may release it."""

    _base = sync.Lock
    kind, maxvalue = SEMAPHORE, 1

    def __new__(cls, *args, ctx=None, **kwargs):
        return sync.Lock.__new__(cls, False)

    def __init__(self, *, ctx=None):
        pass

    def __repr__(self):
        return f"<{type(self).__name__}(owner={_holder(self)[0]})>"


class RLock(SemLock, sync.Lock):
    """A lock that its holder, a thread, may acquire again."""

    _base = sync.Lock
    kind, maxvalue = RECURSIVE_MUTEX, 1

    def __new__(cls, *args, ctx=None, **kwargs):
        return sync.Lock.__new__(cls, True)

    def __init__(self, *, ctx=None):
        pass

    def __repr__(self):
        return "<{}({}, {})>".format(type(self).__name__, *_holder(self))


class Semaphore(SemLock, sync.Semaphore):
    """A semaphore. One that begins with 0 counts events: what is acquired of it is used up, and not given back."""

    _base = sync.Semaphore
    kind = SEMAPHORE

    def __new__(cls, value=1, *args, ctx=None, **kwargs):
        return sync.Semaphore.__new__(cls, value, SEM_VALUE_MAX)

    def __init__(self, value=1, *, ctx=None):
        pass

    def __repr__(self):
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A semaphore whose value is never more than it was at first."""

    def __new__(cls, value=1, *args, ctx=None, **kwargs):
        return sync.Semaphore.__new__(cls, value, value)

    def __repr__(self):
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self.maxvalue})>"
