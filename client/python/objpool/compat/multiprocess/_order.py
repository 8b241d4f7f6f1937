# SPDX-License-Identifier: Apache-2.0
"""Keeps the order of calls that clients of a manager send ahead.

A client that sends a call ahead goes on at once: it may tell another process that it has done so, by any means. What that process
then asks of the server must find the call done. Each client has its own connection to the server. So there is a page of memory
that the server shares with its clients:

    word 0          how many places are taken
    word 1          places from this on have never been taken
    sent[place]     how many calls the client at this place has sent ahead: counted by the client, before it sends
    done[place]     how many of these the server has done

What a client sends says what it needs: what the page says was sent by others, and not done. Mostly that is nothing, and costs a
comparison. The server holds the call back until it is done (_hold_back.py). A client reads what it needs before it counts its own
call, so no two calls need each other. Nobody waits for long: a client that dies gives its place back.
"""
import mmap
import os
import time

from . import _memory_file

PLACES = 64
_SENT, _DONE = 8, 8 + PLACES    # words
_SIZE = 8 * (_DONE + PLACES)
_PATIENCE = 5.0     # seconds
_AWAKE = 100e-6     # seconds for which it only yields


class Page:
    """The page, in the server or in a client."""

    def __init__(self, descriptor):
        self._memory = mmap.mmap(descriptor, _SIZE)
        self._words = memoryview(self._memory).cast("Q")

    @classmethod
    def make(cls):
        """(the page, where it is)"""
        descriptor, nonce = _memory_file.make()
        os.ftruncate(descriptor, _SIZE)
        return cls(descriptor), _memory_file.where(descriptor, nonce)

    @classmethod
    def open(cls, where):
        """The page of a server; None: it is another user's, or of another machine or container."""
        try:
            descriptor, _ = _memory_file.open_at(where, os.O_RDWR)
        except OSError:
            return None
        try:
            return cls(descriptor)
        except (OSError, ValueError):
            return None
        finally:
            os.close(descriptor)

    # The server

    def take_place(self, taken):
        """A place that is none of the `taken`, or None."""
        place = next((place for place in range(PLACES) if place not in taken), None)
        if place is not None:
            self._words[_SENT + place] = self._words[_DONE + place] = 0
            self._words[0] += 1
            self._words[1] = max(self._words[1], place + 1)
        return place

    def leave(self, place):
        self.settle(place)
        self._words[0] -= 1

    def settle(self, place):
        """All that was sent has come."""
        self._words[_DONE + place] = self._words[_SENT + place]

    def done(self, place):
        self._words[_DONE + place] += 1

    # A client

    def sends(self, place):
        self._words[_SENT + place] += 1

    def sends_not(self, place):
        """The last call could not be sent."""
        self._words[_SENT + place] -= 1

    def is_behind(self, place):
        """Whether the server has still to do what this client has sent ahead."""
        return self._words[_SENT + place] != self._words[_DONE + place]

    def needs(self, place):
        """[place, count, …]: what others have sent ahead so far, if it is not done. place: this client's own, or None."""
        words, memory = self._words, self._memory
        if words[0] <= (place is not None) or memory[8 * _SENT:8 * _DONE] == memory[8 * _DONE:]:
            return ()
        needs = []
        for other in range(words[1]):
            sent = words[_SENT + other]
            if sent != words[_DONE + other] and other != place:
                needs += other, sent
        return needs

    def has_done(self, needs):
        """Whether these are done. A place may be another client's by now."""
        words, parts = self._words, iter(needs)
        return all(words[_DONE + place] >= sent or words[_SENT + place] < sent for place, sent in zip(parts, parts))

    def await_others(self, place, is_lost):
        """Waits until the server has done what others have sent ahead so far."""
        needs = self.needs(place)
        if needs:
            self._wait(lambda: self.has_done(needs), is_lost)

    def await_own(self, place, is_lost):
        self._wait(lambda: not self.is_behind(place), is_lost)

    @staticmethod
    def _wait(has_come, is_lost):
        begun = time.monotonic()
        while not has_come():
            waited = time.monotonic() - begun
            if waited > _PATIENCE or is_lost():
                return
            if waited < _AWAKE:
                os.sched_yield()
            else:
                time.sleep(_AWAKE)
