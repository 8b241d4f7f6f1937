# SPDX-License-Identifier: Apache-2.0
"""The input of a stream: an async iterable that a task reads, as far ahead as the daemon allows."""
from __future__ import annotations

import asyncio
from typing import Any, AsyncIterator, List

from .. import _input
from ..errors import ConnectionLost


class StreamEntry(_input.StreamEntry):
    """What has come of a streamed call. `event` is set when there is news."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def notify(self, name: str, params: List[Any]) -> None:
        super().notify(name, params)
        self.event.set()

    def answer(self, message: Any) -> None:
        super().answer(message)
        self.event.set()


class AsyncInput(_input.Input):
    """An async iterable, read by a task. The items of one turn of the loop are sent in one message."""

    connection: Any  #: an aio._connection.Connection

    def __init__(self, connection: Any, entry: StreamEntry, items: AsyncIterator[Any]) -> None:
        super().__init__(connection, entry, iter(()))
        self._source = items
        self._buffer: List[Any] = []
        self._room = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while not self.ended and self.entry.message is None:
                if self.allowed() <= 0:
                    self._room.clear()
                    await self._room.wait()
                    continue
                item = await self._source.__anext__()
                self.fed += 1
                if not self._buffer:
                    self.connection.loop.call_soon(self._flush)
                self._buffer.append(item)
        except StopAsyncIteration:
            pass
        except ConnectionLost:
            return
        except Exception as error:
            self.fault = error
        if not self.ended:
            self._flush()
            self.end()

    def _flush(self) -> None:
        batch, self._buffer = self._buffer, []
        if batch and not self.ended and self.connection.lost is None:
            self.send(batch)

    def pump(self, waiting: bool) -> None:
        self._room.set()

    def close(self) -> None:
        super().close()
        if not self.connection.loop.is_closed():
            self._task.cancel()
