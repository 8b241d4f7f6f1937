# SPDX-License-Identifier: Apache-2.0
"""The results of a stream, without the waiting for them: a thread (_stream.py) and an event loop (aio) wait differently."""
from __future__ import annotations

import sys
import time
from typing import Any, Callable, Generic, Iterator, List, Optional, TypeVar

from . import _call, _load, _raised
from ._call import Request
from ._input import Input, StreamEntry
from ._wire_types import PLAIN
from .errors import BadValue

T = TypeVar("T")

_AT_ONCE = 16  # runs of results that are taken together


class Results(Generic[T]):
    """The results of a stream, taken from its entry and given to the user. Nothing here waits."""

    def __init__(self, connection: Any, request: Request, length: Optional[int]) -> None:
        self._over = False
        self._entry = self._new_entry()
        self._entry.spread = request.params[3].get("args_as", "single") != "single"
        self._connection = connection
        self._request = request
        self._length = length
        self._values: Iterator[T] = iter(())
        self._size = 0              # how many results the batch in _values had
        self._taken = 0
        self._failed: Any = None    # of the items whose errors were raised, the first: (index, error)
        self._input: Optional[Input] = None
        self._deadline = None if request.timeout is None else time.monotonic() + request.timeout + _call.SLACK

    def _new_entry(self) -> StreamEntry:
        return StreamEntry()

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("how many results there will be is not known")
        return self._length

    def __bool__(self) -> bool:
        return True

    def __length_hint__(self) -> int:
        return 0 if self._length is None else max(0, self._length - self._taken)

    def __repr__(self) -> str:
        return f"<objpool stream of {self._request.name}{', over' if self._over else ''}>"

    def _cancel(self) -> None:
        self._over = True
        if self._input is not None:
            self._input.close()
        if self._entry.message is None:
            self._connection.cancel(self._entry)
        self._entry.results.clear()
        self._values = iter(())

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if not self.__dict__.get("_over", True) and not _ends():
            self._cancel()

    def _count_taken(self) -> None:
        """Counts the last batch: the user has asked for more, so has seen it."""
        self._taken += self._size
        if self._input is not None:
            self._input.taken = self._taken
        if self._size and self._request.progress is not None:
            self._request.progress(self._taken, self._length, None)
        self._size = 0

    def _tell_steps(self) -> None:
        while self._entry.steps:
            _, done, total, text = self._entry.steps.popleft()
            if self._request.progress is not None:
                self._request.progress(done, total, text)

    def _ready(self) -> bool:
        """Whether results can be taken. Sends input. Raises End at the end; or the call's error, if it was no item's error."""
        entry, source = self._entry, self._input
        if self._over:
            raise End
        entry.news = None
        answered = entry.message is not None  # read before the results: those come before the answer
        if entry.results:
            if source is not None:
                source.pump(False)
            return True
        if answered:
            self._finish()
        if source is not None:
            source.pump(True)
        return False

    def _finish(self) -> None:
        self._over = True
        message = self._entry.message
        if self._input is not None:
            self._input.close()
        if message[2] is not None and (self._failed is None or not _is_same(self._failed[1], message[2])):
            raise _raised.not_in_charge(_raised.load_error(message[2], self._connection.unpickle), self._connection.in_charge)
        raise End

    def _take(self) -> T:
        """The next value."""
        results = self._entry.results
        values: List[Any] = []
        count = 0
        for i in range(min(len(results), _AT_ONCE)):
            params = results[i]  # no iterator: another thread may be adding to them
            if len(params) != 3 or not PLAIN.issuperset(map(type, params[2])):
                break
            values += params[2]
            count += 1
        if values:
            self._give(len(values))
            for _ in range(count):
                results.popleft()
            self._values = iter(values)
            return next(self._values)
        if len(results[0]) == 3:
            msgid, first, values = results.popleft()
            results.extendleft([[msgid, first + i, None, values[i]] for i in range(len(values) - 1, -1, -1)])
        self._give(1)
        params = results.popleft()
        try:
            return _load.load_item(params[1], params[3]) if params[2] is None else self._fail(params[1], params[2])
        except BadValue as error:
            if self._request.collect:
                return error  # type: ignore[return-value]
            raise

    def _give(self, size: int) -> None:
        self._size = size
        if self._input is not None:
            self._input.given += size

    def _fail(self, index: int, wire: Any) -> T:
        if self._failed is None or index < self._failed[0]:
            self._failed = (index, wire)
        source = self._input
        if source is not None and source.fault is not None and index == source.sent:
            error: BaseException = source.fault
        else:
            error = _raised.load_error(wire, self._connection.unpickle)
        if self._request.collect:
            return error  # type: ignore[return-value]
        raise _raised.not_in_charge(error, self._connection.in_charge)


def _is_same(failure: Any, response: Any) -> bool:
    """Whether the error of a stream is that of one of its items. As a map it also counts what came: `items` and `failed`."""
    if isinstance(response, dict):
        response = {key: value for key, value in response.items() if key not in ("items", "failed")}
    return failure == response


class End(Exception):
    """There are no more results."""
