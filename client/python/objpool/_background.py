# SPDX-License-Identifier: Apache-2.0
"""The thread that reads for calls that nobody waits for: futures, whose callbacks have to run anyway."""
from __future__ import annotations

import collections
import threading
import weakref

from ._entry import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Deque, Optional, Protocol, Set

    class Readable(Protocol):
        """What the thread needs of its connection."""

        @property
        def lost(self) -> Optional[Exception]: ...

        def lead_while(self, check: Callable[[], bool]) -> bool: ...


class Background:
    """The thread of a connection, started with its first future. It keeps the connection alive only while it works."""

    def __init__(self, connection: Readable) -> None:
        self._connection = weakref.ref(connection)
        self._called = threading.Lock()
        self._called.acquire()
        self._starting = threading.Lock()
        self._started = False
        self.wanted: Set[int] = set()  #: msgids of calls in flight for which maybe no thread waits
        self.finished: Deque[Callable[[], None]] = collections.deque()  #: functions to be run by this thread

    def call(self) -> None:
        """Wakes the thread, if there is one: there may be work."""
        if self._started:
            release(self._called)

    def start(self) -> None:
        """Starts the thread, if there is none, and wakes it."""
        with self._starting:
            if not self._started:
                self._started = True
                threading.Thread(target=_run, args=(self,), name="objpool", daemon=True).start()
        release(self._called)

    def work(self) -> bool:
        """Works until there is nothing to do. False: there never will be, so the thread can end."""
        connection = self._connection()
        if connection is None:
            return False
        while True:
            while self.finished:
                self.finished.popleft()()
            if not self.wanted or connection.lost is not None or not connection.lead_while(self._waits):
                return connection.lost is None or bool(self.finished)

    def _waits(self) -> bool:
        return bool(self.wanted) and not self.finished


def _run(background: Background) -> None:
    while background.work():
        background._called.acquire()
