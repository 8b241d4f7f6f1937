# SPDX-License-Identifier: Apache-2.0
"""What a manager's server does not do yet: calls that come after calls which other clients have sent ahead, and which are still to
come (_order.py).

A call that was sent ahead is held, and so is what its client sends ahead after it. Of a call with an answer the client is told when
it may ask again (_codec.AGAIN). Until then other threads of the client go on.
"""
import collections
import time

from . import _waiters
from ._codec import AGAIN_ANSWER, RESEND_ANSWER

PATIENCE = 5.0      # seconds; who has counted a call before it sends it may have been stopped in between
HELD_MOST = 10_000  # of one client


class _Client:
    """held: (needs, function, arguments). ran: how many were held, and are no more. asks: (needs, how many must have run, call)."""

    __slots__ = ("held", "ran", "asks", "since")

    def __init__(self):
        self.held, self.ran, self.asks, self.since = collections.deque(), 0, [], 0.0


class HoldBack:
    def __init__(self, page):
        self._page = page
        self.waiting = {}       # client -> _Client; empty: nothing is held back
        self._is_running = False

    def holds(self, client):
        """Whether something of the client's is held, so that what comes next must wait."""
        waiting = self.waiting.get(client)
        return waiting is not None and bool(waiting.held)

    def must_wait(self, client, needs):
        return self.holds(client) or not self._page.has_done(needs)

    def hold(self, client, needs, function, *args):
        """Calls the function when the needs are met, and what the client has sent before is done."""
        waiting = self.waiting.setdefault(client, _Client())
        now = time.monotonic()
        if not waiting.held:
            waiting.since = now
        waiting.held.append((needs, function, args))
        if now - waiting.since > PATIENCE or len(waiting.held) > HELD_MOST:
            self.give_up(client)

    def ask_again(self, client, needs):
        """Puts the call at hand off: what the method returns."""
        call = _waiters.host.defer(lambda _, event: event == "wake" and self.give_up(client), time.monotonic() + PATIENCE)
        if call is None:
            return RESEND_ANSWER
        waiting = self.waiting.setdefault(client, _Client())
        waiting.asks.append((needs, waiting.ran + len(waiting.held), call))
        return None

    def run(self):
        """Something has been done. Does what has waited for it, and what waits for that."""
        if self._is_running:
            return
        self._is_running = True
        try:
            while any([self._run_of(client) for client in tuple(self.waiting)]):
                pass
        finally:
            self._is_running = False

    def _run_of(self, client):
        waiting, before = self.waiting[client], self.waiting[client].ran
        while waiting.held and self._page.has_done(waiting.held[0][0]):
            self._run_first(waiting)
        for ask in tuple(waiting.asks):
            needs, after, call = ask
            if waiting.ran >= after and self._page.has_done(needs):
                waiting.asks.remove(ask)
                call.answer(AGAIN_ANSWER)
        if not waiting.held and not waiting.asks:
            del self.waiting[client]
        return waiting.ran > before

    @staticmethod
    def _run_first(waiting):
        _, function, args = waiting.held.popleft()
        waiting.ran += 1
        function(*args)

    def give_up(self, client):
        """Waits no longer for what the client's calls need."""
        waiting = self.waiting.pop(client, None)
        while waiting is not None and waiting.held:
            self._run_first(waiting)
        for _, _, call in waiting.asks if waiting is not None else ():
            call.answer(AGAIN_ANSWER)
