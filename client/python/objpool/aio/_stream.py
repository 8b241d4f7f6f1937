# SPDX-License-Identifier: Apache-2.0
"""Streams: an async iterator of results."""
from __future__ import annotations

import asyncio
import time
from typing import Any, Optional, TypeVar

from .._input import Input
from .._results import End, Results
from .._stream_request import prepare
from .._target import Target
from ..errors import Timeout
from ._input import AsyncInput, StreamEntry

T = TypeVar("T")


class Stream(Results[T]):
    """An async iterator of results. `len` is the number of all results, if it is known.

    The call is sent when the first result is asked for.
    """

    def __init__(self, target: Target, name: str, args: Any, kwargs: Any, ordered: bool, window: Optional[int]) -> None:
        self._source = args[0] if len(args) == 1 and not kwargs and hasattr(args[0], "__aiter__") else None
        if self._source is not None:
            args = ((),)
        request, items, _, length = prepare(
            target._address, target._mapped, name, args, kwargs, target._wire_options, ordered, window)
        super().__init__(None, request, None if self._source is not None else length)
        self._target: Any = target  #: None once the call has been sent
        self._items = items

    def _new_entry(self) -> StreamEntry:
        return StreamEntry()

    async def _start(self) -> None:
        target, self._target = self._target, None
        entry: Any = self._entry
        self._connection = connection = await target._connection()
        connection.start(entry, self._request.method, self._request.params)
        if self._source is not None:
            self._input = AsyncInput(connection, entry, self._source.__aiter__())
        elif self._items is not None:
            self._input = Input(connection, entry, self._items)

    def _cancel(self) -> None:
        if self._connection is None:
            self._over = True
        else:
            super()._cancel()

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        for value in self._values:
            return value
        try:
            if self._target is not None:
                await self._start()
            self._count_taken()
            while not self._ready():
                await self._wait()
                self._tell_steps()
        except End:
            raise StopAsyncIteration from None
        except BaseException:
            self._cancel()
            raise
        return self._take()

    async def _wait(self) -> None:
        event = self._entry.event  # type: ignore[attr-defined]
        if self._entry.news:
            return
        event.clear()
        if self._deadline is None:
            await event.wait()
            return
        try:
            await asyncio.wait_for(event.wait(), max(0.0, self._deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise Timeout("the daemon does not answer") from None

    async def aclose(self) -> None:
        """Cancels the call. Results that were not taken are lost."""
        self._cancel()

    async def __aenter__(self) -> "Stream[T]":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._cancel()
