# SPDX-License-Identifier: Apache-2.0
"""Direct channels in an event loop, and the routes that calls take to them."""
from __future__ import annotations

import asyncio
import socket
import weakref
from typing import Any, Dict, Optional

from .._direct import PATIENCE, AttachEntry, DirectInbox, NotBegun, RouteState
from .._entry import Entry
from ..errors import ConnectionLost, ObjpoolError
from ._connection import Connection


class Channel(DirectInbox, Connection):
    """A direct channel."""

    def __init__(self, sock: socket.socket, main: Connection, pool: str, answer: Dict[str, Any], moves: bool) -> None:
        super().__init__(sock, main.address, main.unpickle)
        self.of(main, pool, answer, moves)
        self._main = weakref.ref(main)
        self._shut = False  # the sending side
        self._asking: Optional["asyncio.Task[None]"] = None

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request. Raises NotBegun if the channel can't take it."""
        entry.main = self._main()
        if entry.main is None or not self.is_open:
            raise NotBegun("the channel is closed")
        super().start(entry, method, params)
        entry.sent = [(None, next(self._numbers))]

    def _flush(self) -> None:
        super()._flush()
        if self.closing is not None and not self._out and not self._shut and self.lost is None:
            self._shut = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has ended

    def _send_failed(self, error: OSError) -> None:
        """The worker reads no more. What it has answered before is still to be read."""
        self.closing = self.closing or f"{error.strerror or error}"
        self._shut = True
        self._out.clear()

    def notice(self, name: str, params: Any) -> None:
        """A notification of the worker."""
        super().notice(name, params)
        if self.closing is not None:
            self.loop.call_soon(self._flush)

    def retire(self, reason: str) -> None:
        """Takes no more calls. Those in flight are answered."""
        if self.closing is None and self.lost is None:
            self.closing = reason
            self.loop.call_soon(self._flush)

    def close(self) -> None:
        """Closes the socket. Calls in flight fail."""
        self.fail(ConnectionLost("the connection was closed"))

    async def learn(self, entry: Entry) -> None:
        """Asks what became of the calls that were in flight when the channel ended."""
        if self.must_ask(entry):
            if self._asking is None:
                self._asking = asyncio.ensure_future(self._ask(entry.main))
            await asyncio.shield(self._asking)

    async def _ask(self, main: Connection) -> None:
        try:
            self.end = await main.call("objpool.detached", [self.number], PATIENCE)
        except ObjpoolError:
            self.end = {}  # the connection has ended, too


class _AttachWaiter(AttachEntry):
    """A call of objpool.attach. Its answer sets the future `ready`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.ready = connection.loop.create_future()

    def answer(self, message: Any) -> None:
        super().answer(message)
        if not self.ready.done():
            self.ready.set_result(message)


class Route(RouteState):
    """The channels for the calls of one target."""

    _attaching = False

    async def choose(self, name: Optional[str] = None) -> Any:
        """The idlest channel. None: the call goes on the connection, as there is none now, or the method's results are large."""
        if name in self.large:
            return None
        idlest = self.idlest()
        if self._attaching or not self.wants(idlest):
            return idlest
        self._attaching = True
        try:
            return await self._attach() or idlest
        finally:
            self._attaching = False

    async def _attach(self) -> Any:
        connection = self.main()
        if connection is None:
            return None
        entry = _AttachWaiter(connection)
        try:
            connection.start(entry, "objpool.attach", self.wanted)
            answer = connection.result(await entry.ready)
        except ObjpoolError as error:
            self.refused(error)
            return None
        return self.add(Channel(entry.socket, connection, self.pool, answer, self.moves))


def route(connection: Connection, address: str) -> Route:
    """The connection's route to a target."""
    found = connection.routes.get(address)
    if found is None:
        found = connection.routes[address] = Route(connection, address)
    return found
