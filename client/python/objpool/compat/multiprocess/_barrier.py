# SPDX-License-Identifier: Apache-2.0
"""Barrier. It breaks as soon as a party has died.

A party is a process that waits, or that took part in the last round. One that ends in order is no party any more: others may take
part in its place. Those that wait look for the dead, and whether one has died that was about to release them.

    room.word      rounds << 1 | is the barrier broken?       written under the lock
"""
import os
import sys
import time
from threading import BrokenBarrierError

from . import util
from ._sync import sync

RELEASED, BROKEN = 2, 3         # what those that wait are told
LOOK_EVERY = 0.02               # seconds


class Barrier:
    def __init__(self, parties, action=None, timeout=None, *, ctx=None):
        self.__setstate__((parties, action, timeout, sync.Lock(True), sync.Room()))

    def __getstate__(self):
        return self._parties, self._action, self._timeout, self._lock, self._room

    def __setstate__(self, state):
        self._parties, self._action, self._timeout, self._lock, self._room = state
        self._leaves_in = None      # the process that tells at its end that it is no party any more

    def __repr__(self):
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}: {state}>"

    def wait(self, timeout=None):
        """Waits for the other parties. Returns a number from 0 to parties - 1 that no other of them gets."""
        if timeout is None:
            timeout = self._timeout
        end = None if timeout is None else time.monotonic() + timeout
        self._leave_at_exit()
        self._enter()
        try:
            if self._room.word & 1:
                raise BrokenBarrierError
            index = self._room.waiting()
            if index + 1 >= self._parties:
                self._end_round()
                return index
            chair = self._room.enter()
        finally:
            self._lock.release()
        try:
            self._sleep(chair, end)
        finally:
            told = self._room.leave(chair)
        if told != RELEASED:
            raise BrokenBarrierError
        return index

    def reset(self):
        """Those that wait get a BrokenBarrierError. The barrier is as new."""
        self._enter()
        try:
            self._room.tell(sys.maxsize, BROKEN)
            self._room.forget()
            self._room.word = (self._room.word | 1) + 1
        finally:
            self._lock.release()

    def abort(self):
        """The barrier is broken, until it is reset."""
        self._enter()
        try:
            self._break()
        finally:
            self._lock.release()

    @property
    def parties(self):
        return self._parties

    @property
    def n_waiting(self):
        self._enter()
        try:
            return self._room.waiting()
        finally:
            self._lock.release()

    @property
    def broken(self):
        return bool(self._room.word & 1)

    def _enter(self):
        if self._lock._take():      # its holder has died, in the middle of something
            self._break()

    def _break(self):
        self._room.word |= 1
        self._room.tell(sys.maxsize, BROKEN)

    def _end_round(self):
        if self._room.has_lost(True):
            self._break()
            raise BrokenBarrierError
        try:
            if self._action is not None:
                self._action()
        except BaseException:
            self._break()
            raise
        self._room.word += 2
        self._room.join(self._room.word >> 1)
        self._room.tell(sys.maxsize, RELEASED)

    def _sleep(self, chair, end):
        """Returns when this chair is told something. Breaks the barrier when the time is over or a party has died."""
        while True:
            left = LOOK_EVERY if end is None else min(LOOK_EVERY, end - time.monotonic())
            if self._room.sleep(chair, left):
                return
            if (end is not None and time.monotonic() >= end) or self._lock._is_orphaned() or self._room.has_lost(False):
                self._enter()
                try:
                    if not self._room.sleep(chair, 0):
                        self._break()
                finally:
                    self._lock.release()
                return

    def _leave_at_exit(self):
        if self._leaves_in != os.getpid():
            self._leaves_in = os.getpid()
            util.Finalize(self, _leave, (self._room,), exitpriority=0)


def _leave(room):
    room.quit()
