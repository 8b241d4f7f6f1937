# SPDX-License-Identifier: Apache-2.0
"""A connection to a daemon in an event loop: its socket, and the calls that wait for answers."""
from __future__ import annotations

import asyncio
import collections
import itertools
import os
import socket
import weakref
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

from .. import _call, _embedded, _files, _pack, _raised
from .._call import Request
from .._entry import Entry
from .._inbox import Inbox
from .._system import SEND_FLAGS
from ..errors import ConnectionLost, Timeout
from ._watch import watch

_READ = 256 << 10


class _Waiter(Entry):
    """A call in flight. Its answer sets the future `ready`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, progress: Optional[Callable[..., None]] = None) -> None:
        super().__init__()
        self.ready = loop.create_future()
        self.progress = progress

    def answer(self, message: Any) -> None:
        super().answer(message)
        if not self.ready.done():
            self.ready.set_result(message)

    def notify(self, name: str, params: List[Any]) -> None:
        if self.progress is not None:
            self.ready.get_loop().call_soon(self.progress, *params[1:])


class _LeaseWaiter(_Waiter):
    """A request for a lease."""

    abandoned: Optional[Callable[[Any], None]] = None  #: called with what was granted, if nobody waits for it any more

    def answer(self, message: Any) -> None:
        super().answer(message)
        if self.abandoned is not None and message[2] is None:
            self.abandoned(message[3])


#: All connections of this process. A fork that becomes a template lets go of them.
connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


class Connection(Inbox):
    """A socket in an event loop."""

    in_charge = Inbox.in_charge | {"KeyboardInterrupt", "SystemExit"}  # the loop raises these in the code that runs it

    def __init__(self, sock: socket.socket, address: str, unpickle: bool) -> None:
        super().__init__(address, unpickle)
        sock.setblocking(False)
        self.lost: Optional[ConnectionLost] = None
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        connections.add(self)
        self._out: Deque[Tuple[memoryview, Optional[_files.Outgoing]]] = collections.deque()
        self._flushing = False
        self._watch = watch(sock, self._on_readable)
        self._socket = self._watch.socket

    def introduction(self) -> Dict[str, Any]:
        introduction = super().introduction()
        return introduction if self._watch.takes_descriptors else {**introduction, "fds": False}

    def send(self, data: bytes, outgoing: Optional[_files.Outgoing] = None) -> None:
        """Sends a message later in this turn of the loop, together with the turn's other messages."""
        if self.lost is not None:
            raise ConnectionLost(self.lost.message, ran="no")
        self._out.append((memoryview(data), outgoing))
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        out = self._out
        try:
            while out and self.lost is None:
                data, outgoing = self._next_out()
                sent = self._send_some(data, outgoing)
                out[0] = (data[sent:], None)  # the descriptors went with the first byte
                if sent == len(data):
                    out.popleft()
            self._send_rest()
        except BlockingIOError:
            self._watch.await_room(self._flush)
            return
        except OSError as error:
            self._send_failed(error)
        self._flushing = False

    def _send_some(self, data: memoryview, outgoing: Optional[_files.Outgoing]) -> int:
        if outgoing is None:
            return self._socket.send(data, SEND_FLAGS)
        return self._socket.sendmsg((data,), outgoing.ancillary(), SEND_FLAGS)

    def _send_rest(self) -> None:
        """Sends what lies between `_out` and the socket."""

    def _send_failed(self, error: OSError) -> None:
        """Ends the connection. What has come is read before: answers, and maybe why the daemon has closed it."""
        while self.lost is None and self._on_readable():
            pass
        self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))

    def _next_out(self) -> Tuple[memoryview, Optional[_files.Outgoing]]:
        """The bytes to send next. Consecutive messages without descriptors are joined."""
        out = self._out
        together = list(itertools.takewhile(lambda message: message[1] is None, out))
        if len(together) > 1:
            for _ in together:
                out.popleft()
            out.appendleft((memoryview(b"".join(data for data, _ in together)), None))
        return out[0]

    def _on_readable(self) -> bool:
        """Reads once. False: there was nothing, or there will be nothing more."""
        if self._pid != os.getpid():
            self.fail(ConnectionLost("the connection belongs to the process that was forked"))
            return False
        _embedded.stay_at_the_end()
        try:
            data, ancillary = self._receive()
            if ancillary and self._arrivals is not None:
                self._arrivals.add(ancillary)
            if not data:
                self.fail(ConnectionLost(f"{self.address}: the daemon closed the connection"))
                return False
            self.incoming.take([data])
            self.dispatch()
            return True
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionLost as error:
            self.fail(error)
        except OSError as error:
            self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
        except Exception as error:
            self.fail(ConnectionLost(f"{self.address}: can't read what came: {error}"))
        return False

    def _receive(self) -> Tuple[bytes, List[Any]]:
        if self._arrivals is None:
            return self._socket.recv(_READ), []  # descriptors that nobody has asked for are closed by the system
        return self._socket.recvmsg(_READ, _files.RECEIVE_SPACE, _files.RECEIVE_FLAGS)[:2]

    def poll(self) -> None:
        """Reads what has come, without waiting."""
        if self.lost is None:
            self._on_readable()

    def fail(self, lost: ConnectionLost) -> None:
        """Closes the socket. Each call in flight fails with `lost`."""
        if self.lost is None:
            self.lost = lost
            self._watch.close()
            self._out.clear()
            for route in self.routes.values():
                route.close()
        self.answer_all(self.lost)
        self.close_files()

    def let_go(self) -> None:
        """Called in a fork that becomes a template: closes its copy of the socket. The connection stays the parent's."""
        self._socket.close()

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request."""
        msgid = self.add(entry)
        try:
            data, entry.outgoing = self.packed(entry, method, params)
            self.send(data, entry.outgoing)
        except BaseException:
            self.pending.pop(msgid, None)
            raise

    def notify(self, method: str, *params: Any) -> None:
        """Sends a notification, unless the connection is lost or its loop closed."""
        if self.lost is None and not self.loop.is_closed():
            self.send(_pack.pack([2, method, list(params)]))

    def give_back(self, number: int) -> None:
        """Tells the daemon that a descriptor is not needed any more. Any thread may call this: garbage collection does."""
        try:
            self.loop.call_soon_threadsafe(self.notify, "objpool.give_back", number)
        except RuntimeError:
            pass  # the loop has ended

    def cancel(self, entry: Entry) -> None:
        """Cancels a call. Its answer is ignored."""
        if self.pending.pop(entry.id, None) is not None:
            self.notify("objpool.cancel", entry.id)

    async def request(self, request: Request) -> Any:
        """Sends a request; returns its result, or raises its error."""
        entry = _Waiter(self.loop, request.progress)
        self.start(entry, request.method, request.params)
        try:
            timeout = None if request.timeout is None else request.timeout + self.slack
            await asyncio.wait_for(entry.ready, timeout) if timeout is not None else await entry.ready
        except asyncio.TimeoutError:
            raise Timeout(f"{request.name}: {self.peer} has not answered within {request.timeout:g} s") from None
        finally:
            if entry.message is None:
                self.cancel(entry)
        if entry.message[2] is not None:
            await self.learn(entry)
        try:
            return _call.value_of(request, self, entry)
        except BaseException as error:
            known = _raised.not_in_charge(error, self.in_charge)
            if known is error:
                raise
            raise known from known.__cause__

    async def learn(self, entry: Entry) -> None:
        """Called before the error of a call is raised. A direct channel that has ended asks why."""

    async def lease(self, pool: str, options: Dict[str, Any]) -> Dict[str, Any]:
        """Waits for a lease; returns its slot and generation. A lease that is granted after the wait was given up is released."""
        entry = _LeaseWaiter(self.loop)
        self.start(entry, "objpool.lease", [pool, options])
        try:
            await entry.ready
        except BaseException:
            entry.abandoned = lambda got: self.notify("objpool.release", _call.granted_by(pool, got), got["slot"])
            if entry.message is None:
                self.notify("objpool.cancel", entry.id)
            else:
                entry.answer(entry.message)
            raise
        return self.result(entry.message)

    async def call(self, method: str, params: Any, timeout: Optional[float] = None) -> Any:
        """Calls one of the daemon's own methods."""
        request = Request(method, params, method)
        request.timeout = timeout
        return await self.request(request)
