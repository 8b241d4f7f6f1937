# SPDX-License-Identifier: Apache-2.0
"""Calls as futures. Imported at the first one: importing concurrent.futures takes longer than all the rest."""
from __future__ import annotations

import collections
import concurrent.futures
import threading
import time
from typing import Any, Callable, List, Optional

from ._call import Request, value_of
from ._connection import Connection
from ._direct import NotBegun
from ._entry import Entry
from ._retry import Attempts
from .errors import Cancelled, ObjpoolError


class _FutureEntry(Entry):
    steps: Any = ()  #: a deque: progress that has come, and has not been told
    telling: Any = None  #: a lock, from the first progress on

    def __init__(self, future: "CallFuture", background: Any) -> None:
        super().__init__()
        self.future: Optional[CallFuture] = future  #: None when it is done: nothing is left in a circle
        self.background = background

    def answer(self, message: Any) -> None:
        super().answer(message)
        if self.future is not None:
            self.background.finished.append(self.future._complete)
        self.background.wanted.discard(self.id)
        self.background.call()

    def after_fork(self) -> None:
        super().after_fork()
        if self.telling is not None:
            self.telling = threading.RLock()
        if self.future is not None:
            self.future._after_fork()
            self.background = self.future._connection.background

    def notify(self, name: str, params: List[Any]) -> None:
        if self.future is not None and self.future._request.progress is not None:
            if self.telling is None:
                self.steps, self.telling = collections.deque(), threading.RLock()
            self.steps.append(params[1:])
            self.background.finished.append(self.tell)

    def tell(self) -> None:
        """Tells the program what progress has come. Done by the background thread, and before the future has its result."""
        future = self.future
        if future is not None and self.telling is not None:
            with self.telling:
                while self.steps:
                    future._request.progress(*self.steps.popleft())


class CallFuture(concurrent.futures.Future):
    """The future of a call. `cancel` cancels the call in the daemon too; `result` reads the answer in the calling thread."""

    def __init__(self, request: Request, attempts: Optional[Attempts]) -> None:
        super().__init__()
        self._connect: Any = None  #: for another attempt. It keeps the pool
        self._channel: Any = None  #: for a direct channel
        self._connection: Any = None  # of the last attempt
        self._request = request
        self._attempts = attempts
        self._claim = threading.Lock()
        self._entry: Any = None

    def _start(self, connect: Callable[[], Connection], channel: Any) -> "CallFuture":
        self._channel = channel
        self._repeats = self._attempts is not None or channel is not None
        self._connect = connect if self._repeats else None
        try:
            self._attempt(connect)
        except ObjpoolError as error:
            if self._claim.acquire(False) and not self._try_later(error):
                self.cancel()
                raise
        except BaseException:
            self.cancel()
            raise
        return self

    def _attempt(self, connect: Callable[[], Connection]) -> None:
        channel = None if self._channel is None else self._channel(self._request)
        if channel is not None:
            try:
                return self._begin(channel)
            except NotBegun:
                pass
        self._begin(connect())

    def _begin(self, connection: Connection) -> None:
        self._connection = connection
        entry = self._entry = _FutureEntry(self, connection.background)
        connection.start(entry, self._request.method, self._request.params)
        if entry.message is None:
            connection.background.wanted.add(entry.id)
            if entry.message is not None:
                connection.background.wanted.discard(entry.id)
        connection.background.start()

    def _try_later(self, error: BaseException) -> bool:
        """An attempt has failed. False: there is no other."""
        pause = None if self._attempts is None or self.cancelled() else self._attempts.pause(error)
        if pause is None:
            return False
        timer = _Timer(pause, self._try_again)
        timer.daemon = True
        timer.start()
        return True

    def _try_again(self) -> None:
        if self.cancelled():
            return
        assert self._attempts is not None
        self._request.set_timeout(self._attempts.left())
        self._entry, self._claim = None, threading.Lock()
        try:
            self._attempt(self._connect)
        except BaseException as error:
            if self._claim.acquire(False):
                self._fail(error)

    def cancel(self) -> bool:
        """Cancels the call: a method that runs is told so. False: it was done already."""
        if not super().cancel():
            return False
        entry = self._entry
        if entry is not None:
            self._connection.cancel(entry)
            self._connection.background.wanted.discard(entry.id)
            entry.future = None
            entry.news = True
            entry.wake()
        return True

    def result(self, timeout: Optional[float] = None) -> Any:
        """The call's value, or its error."""
        deadline = self._await(timeout)
        return super().result(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """The call's error, or None."""
        deadline = self._await(timeout)
        return super().exception(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _await(self, timeout: Optional[float]) -> Optional[float]:
        deadline = None if timeout is None else time.monotonic() + timeout
        entry = self._entry
        if not self.done() and entry is not None and self._connection.wait(entry, deadline):
            self._complete()
        return deadline

    def _complete(self) -> None:
        """The answer is there. Whoever comes first, the waiting or the background thread, takes it."""
        entry = self._entry
        if entry is None or entry.message is None:
            return
        entry.tell()
        if not self._claim.acquire(False):
            return
        entry.future = None
        if not self._repeats and not self.set_running_or_notify_cancel():
            return
        try:
            value = value_of(self._request, self._connection, entry)
        except NotBegun:
            self._go_on()
        except BaseException as error:
            self._fail(error)
        else:
            self._connect = self._channel = None
            if not self._repeats or self.set_running_or_notify_cancel():
                self.set_result(value)

    def _go_on(self) -> None:
        """The call had not begun when its direct channel ended: it goes on the connection."""
        if self.cancelled():
            return
        self._entry, self._claim = None, threading.Lock()
        try:
            self._begin(self._connect())
        except BaseException as error:
            if self._claim.acquire(False):
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._try_later(error):
            return
        self._connect = self._channel = None
        if self._repeats and not self.set_running_or_notify_cancel():
            return
        self.set_exception(Cancelled(str(error)) if isinstance(error, concurrent.futures.CancelledError) else error)

    def _after_fork(self) -> None:
        self._condition = threading.Condition()
        self._claim = threading.Lock()


def start(connect: Callable[[], Connection], request: Request, attempts: Optional[Attempts],
          channel: Optional[Callable[[Request], Any]] = None) -> CallFuture:
    """Sends the request; its future. `channel` gives the direct channel for it, or None."""
    return CallFuture(request, attempts)._start(connect, channel)


_Timer = threading.Timer
