# SPDX-License-Identifier: Apache-2.0
"""Streams: results one by one, and input that is read as there is credit for it.

    input --islice--> feed() --objpool.feed--> daemon --objpool.result--> StreamEntry.results --> next() --> the user
             ^                                   |
             '------- objpool.credit ------------'

_input.py reads and sends the input, _results.py takes results from the entry. Here is the waiting for them.
"""
from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterator, Optional, Tuple

from ._call import Request
from ._connection import Connection
from ._input import Feeder, Input
from ._results import End, Results, T
from ._stream_request import prepare
from .errors import Timeout


class Stream(Results[T]):
    """An iterator of results. `len` is the number of all results, where it is known.

    An item's error is raised in its place; the next result comes after it. `close`, and the end of the last reference to the
    stream, cancel the call.
    """

    def __init__(self, connection: Connection, request: Request, items: Optional[Iterator[Any]], blocking: bool,
                 length: Optional[int]) -> None:
        super().__init__(connection, request, length)
        self._turn = threading.RLock()
        try:
            connection.start(self._entry, request.method, request.params)
            if items is not None:
                self._open(items, blocking)
        except BaseException:
            self.close()
            raise

    def _open(self, items: Iterator[Any], blocking: bool) -> None:
        """Sends input when the first credit has come, which is at once: work begins before the first result is asked for."""
        entry = self._entry
        while not entry.credits and entry.message is None:
            entry.news = None
            if not self._connection.wait(entry, self._deadline):
                raise Timeout(f"{self._request.name}: the daemon does not answer")
        self._input = (Feeder if blocking else Input)(self._connection, entry, items)
        self._input.pump(True)

    def __iter__(self) -> "Stream[T]":
        return self

    def __next__(self) -> T:
        for value in self._values:
            return value
        return self._next(None)

    def next(self, timeout: Optional[float] = None) -> T:
        """The next result. Raises Timeout if it has not come in `timeout` seconds: it can be asked for again."""
        for value in self._values:
            return value
        return self._next(None if timeout is None else time.monotonic() + timeout)

    def close(self) -> None:
        """Cancels the call. Results that were not taken are lost."""
        self._cancel()

    def __enter__(self) -> "Stream[T]":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _next(self, deadline: Optional[float]) -> T:
        with self._turn:
            for value in self._values:
                return value  # another thread has taken a batch meanwhile
            try:
                self._count_taken()
                while not self._ready():
                    self._wait(deadline)
                    self._tell_steps()
            except End:
                raise StopIteration from None
            except Timeout:
                raise
            except BaseException:
                self.close()
                raise
            return self._take()

    def _wait(self, deadline: Optional[float]) -> None:
        until = deadline
        if self._deadline is not None:
            until = self._deadline if deadline is None else min(deadline, self._deadline)
        if self._input.wait(until) if self._input is not None else self._connection.wait(self._entry, until):
            return
        if until is not deadline:
            self.close()
        raise Timeout("the next result has not come yet" if until is deadline else "the daemon does not answer")


def start(connection: Callable[[], Connection], target: str, mapped: bool, name: str, args: Tuple[Any, ...], kwargs: Any,
          options: Any, ordered: bool, window: Optional[int]) -> Stream[Any]:
    """The stream of target.name(*args, **kwargs)."""
    request, items, blocking, length = prepare(target, mapped, name, args, kwargs, options, ordered, window)
    return Stream(connection(), request, items, blocking, length)
