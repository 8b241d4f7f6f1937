# SPDX-License-Identifier: Apache-2.0
"""Calls whose results are had later: imported when there are some, since concurrent.futures takes longer to import than all the rest."""
from __future__ import annotations

import concurrent.futures
import threading
import time
from typing import Any, List, Optional

from ._call import Request, value_of
from ._wire import Connection, Entry
from .errors import Cancelled


class _FutureEntry(Entry):
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
        if self.future is not None:
            self.future._after_fork()
            self.background = self.future._connection.background

    def notify(self, name: str, params: List[Any]) -> None:
        progress = self.future._request.progress if self.future is not None else None
        if progress is not None:
            self.background.finished.append(lambda: progress(*params[1:]))


class CallFuture(concurrent.futures.Future):
    """The future of a call. `cancel` cancels the call in the daemon too; `result` reads the answer in the calling thread."""

    def __init__(self, connection: Connection, request: Request) -> None:
        super().__init__()
        self._connection = connection
        self._request = request
        self._claim = threading.Lock()
        self._entry = _FutureEntry(self, connection.background)

    def _start(self) -> "CallFuture":
        connection, entry = self._connection, self._entry
        try:
            connection.start(entry, self._request.method, self._request.params)
            if entry.message is None:
                connection.background.wanted.add(entry.id)
                if entry.message is not None:
                    connection.background.wanted.discard(entry.id)
            connection.background.start()
        except BaseException:
            self.cancel()
            raise
        return self

    def cancel(self) -> bool:
        """Cancels the call: a method that runs is told so. False: it was done already."""
        if not super().cancel():
            return False
        entry = self._entry
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
        if not self.done() and self._connection.wait(self._entry, deadline) and self._entry.message is not None:
            self._complete()
        return deadline

    def _complete(self) -> None:
        """The answer is there. Whoever comes first, the waiting or the background thread, takes it."""
        if not self._claim.acquire(False) or not self.set_running_or_notify_cancel():
            return
        self._entry.future = None
        try:
            value = value_of(self._request, self._connection, self._entry)
        except BaseException as error:
            self.set_exception(Cancelled(str(error)) if isinstance(error, concurrent.futures.CancelledError) else error)
        else:
            self.set_result(value)

    def _after_fork(self) -> None:
        self._condition = threading.Condition()
        self._claim = threading.Lock()


def start(connection: Connection, request: Request) -> CallFuture:
    """Sends the request; its future."""
    return CallFuture(connection, request)._start()
