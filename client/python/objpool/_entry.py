# SPDX-License-Identifier: Apache-2.0
"""Calls in flight: what has come of one, and waking the threads that wait for it."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional


class Entry:
    """A call in flight. `message` is its response, once that has come."""

    id = 0
    message: Any = None
    news: Any = None  #: true when there is what the waiting threads wait for
    waiters: Optional[List[Any]] = None  #: locks, one for each thread that waits
    outgoing: Any = None  #: what went beside the request
    fork: Any = None  #: the _fork.Fork whose workers it is for
    hurries = True  #: its answer may come so soon that the thread that waits for it stays awake for a moment
    main: Any = None  #: of a call on a direct channel: the connection that the channel belongs to
    sent: Any = ()  #: of a call on a direct channel: once it is on its way, [(None, the number of its message)]

    def answer(self, message: Any) -> None:
        """Takes the response. Called by Inbox.dispatch, maybe twice with the same message."""
        self.message = self.news = message
        if self.waiters:
            self.wake()

    def notify(self, name: str, params: List[Any]) -> None:
        """Takes a notification of this call. Called by Inbox.dispatch."""

    def after_fork(self) -> None:
        """Called in the child of a fork, which has no other thread."""
        self.waiters = None

    def wake(self) -> None:
        """Wakes the threads that wait for news of this call."""
        for lock in tuple(self.waiters or ()):
            release(lock)


def release(lock: Any) -> None:
    """Wakes the thread that waits for the lock."""
    try:
        lock.release()
    except RuntimeError:
        pass  # it has been woken already
