# SPDX-License-Identifier: Apache-2.0
"""Direct channels for threads, and the routes that calls take to them."""
from __future__ import annotations

import collections
import socket
import threading
import weakref

from . import _load
from ._connection import Connection
from ._direct import PATIENCE, AttachEntry, DirectInbox, NotBegun, RouteState
from ._entry import Entry
from .errors import ConnectionLost, ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

_TRY = (False,)


class Channel(DirectInbox, Connection):
    """A direct channel."""

    def __init__(self, sock: socket.socket, main: Connection, pool: str, answer: Dict[str, Any], moves: bool) -> None:
        super().__init__(sock, main.address, main.unpickle)
        self.of(main, pool, answer, moves)
        self._main = weakref.ref(main)
        self._shut = False  # the sending side
        self._asking = threading.Lock()
        self.open_line(self._numbers)

    def new_entry(self) -> Entry:
        """An entry for a call on this channel. Raises NotBegun if there is no connection beside it any more."""
        entry = Entry()
        entry.main = self._main()
        if entry.main is None:
            raise NotBegun("the connection of the channel is closed")
        return entry

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request. Raises NotBegun if the channel can't take it."""
        entry.main = self._main()
        if entry.main is None or self.closing is not None or self.lost is not None:
            raise NotBegun("the channel is closed")
        entry.id = msgid = next(self.ids) & 0xFFFFFFFF
        data, _ = self.packed(entry, method, params)
        sent: List[Any] = []
        entry.sent = sent
        try:
            with self._write:
                if self.closing is not None or self.lost is not None:
                    raise NotBegun("the channel is closed")
                self.pending[msgid] = entry
                # One step, which no interrupt comes into: the message's number says where it stands in what is sent.
                sent.extend(zip(map(self._out.append, ((memoryview(data), [], None),)), self._numbers))
                self._flush()
                if self.closing is not None:
                    self._shut_when_sent()
        except ConnectionLost:
            pass  # the entry has been answered
        if self.lost is not None:
            self.answer_all(self.lost)

    def _finish_sending(self) -> None:
        super()._finish_sending()
        with self._write:
            self._shut_when_sent()

    def tell(self, method: str, params: Any, soon: bool = False) -> None:
        """Sends a call that nothing answers. Raises NotBegun if the channel can't take it.

        soon: does not wait; the message may go with the next one. It may then be called at any moment, also by a finalizer within
        another method of the channel, and a message that can't be sent is lost.
        """
        if self.closing is not None or self.lost is not None:
            raise NotBegun("the channel is closed")
        if self._line_tell(method, params):
            return
        message: Any = (memoryview(self.packed_notice(method, params)), [], None)
        numbered = zip(map(self._out.append, (message,)), self._numbers)
        if soon:
            collections.deque(numbered, 0)
            self._flush_soon()
            return
        with self._write:
            collections.deque(numbered, 0)
            self._flush()
        if sum(message[1]) < len(message[0]):
            raise NotBegun("the channel is closed")

    def _send_failed(self, error: OSError) -> None:
        """The worker reads no more. What it has answered before is still to be read."""
        self.closing = self.closing or f"{error.strerror or error}"
        self._shut = True
        self._out.clear()

    def _shut_when_sent(self) -> None:
        """Tells the worker that nothing more comes. Called by who has `_write`."""
        if self.closing is not None and not self._shut and not self._out:
            self._shut = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has ended

    def _hand_out(self) -> None:
        super()._hand_out()
        if self.closing is not None and not self._shut:
            self.retire(self.closing)

    def retire(self, reason: str) -> None:
        """Takes no more calls. Those in flight are answered."""
        self.closing = reason
        held: List[bool] = []
        try:
            held.extend(map(self._write.acquire, _TRY))
            if held[0]:
                self._shut_when_sent()  # else who writes does so
        finally:
            if held and held[0]:
                self._write.release()

    def result(self, message: Any, entry: Any = None, load: Any = _load.load) -> Any:
        """The value of a response. Raises its error."""
        if message[2] is None:
            return load(message[3])
        if self.must_ask(entry):
            self._ask(entry.main)
        return super().result(message, entry, load)

    def after_fork(self) -> None:
        """Called in the child of a fork, which has no other thread."""
        self._asking = threading.Lock()
        super().after_fork()

    def _ask(self, main: Connection) -> None:
        with self._asking:
            if self.end is None:
                try:
                    self.end = main.call("objpool.detached", [self.number], PATIENCE)
                except ObjpoolError:
                    self.end = {}  # the connection has ended, too


class Route(RouteState):
    """The channels for the calls of one target."""

    def __init__(self, connection: Connection, address: str, moves: bool = True) -> None:
        super().__init__(connection, address, moves)
        self._attaching = threading.Lock()

    def call(self, connection: Connection, name: str, method: str, args: Any) -> Any:
        """Makes a call of a method on the connection or a channel."""
        entry = connection.new_entry()
        value = connection.call(method, args, entry=entry)
        self.note(name, entry.message)
        return value

    def choose(self, name: Optional[str] = None) -> Any:
        """The idlest channel. None: the call goes on the connection, as there is none now, or the method's results are large."""
        if name in self.large:
            return None
        for channel in self.channels:
            if not channel.pending and channel.closing is None and channel.lost is None:
                return channel
        idlest = self.idlest()
        return self._another() or idlest if self.wants(idlest) else idlest

    def _another(self) -> Optional[Channel]:
        """A new channel. None: there is none, or another thread asks for one."""
        held: List[bool] = []
        try:
            held.extend(map(self._attaching.acquire, _TRY))
            return self._attach() if held[0] and self.wants(self.idlest()) else None
        finally:
            if held and held[0]:
                self._attaching.release()

    def _attach(self) -> Any:
        connection = self.main()
        if connection is None:
            return None
        entry = AttachEntry(connection)
        try:
            connection.start(entry, "objpool.attach", self.wanted)
            connection.wait(entry)
            answer = connection.result(entry.message)
        except ObjpoolError as error:
            self.refused(error)
            return None
        return self.add(Channel(entry.socket, connection, self.pool, answer, self.moves))


def route(connection: Connection, address: str) -> Route:
    """The connection's route to a target."""
    found = connection.routes.get(address)
    if found is None:
        found = connection.routes.setdefault(address, Route(connection, address))
    return found
