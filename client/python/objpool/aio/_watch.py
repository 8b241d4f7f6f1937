# SPDX-License-Identifier: Apache-2.0
"""How a connection learns from its event loop that its socket can be read or written."""
from __future__ import annotations

import asyncio
import socket
from typing import Any, Callable, Optional

_PIECE = 256 << 10


class Readiness:
    """A socket in a loop that tells when it is ready."""

    takes_descriptors = True

    def __init__(self, sock: socket.socket, on_readable: Callable[[], Any]) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, on_readable)

    def await_room(self, on_writable: Callable[[], Any]) -> None:
        """Calls a function once when more can be sent."""
        def roomy() -> None:
            self._loop.remove_writer(self.socket)
            on_writable()
        self._loop.add_writer(self.socket, roomy)

    def close(self) -> None:
        """Closes the socket."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self.socket)
            self._loop.remove_writer(self.socket)
        self.socket.close()


class Completions:
    """A socket in a loop that tells when it has read or sent something, as Windows' own loop does.

    It has the methods of a socket that a connection uses: recv() gives what has been read; what send() has no room for is sent by
    the loop.
    """

    takes_descriptors = False

    def __init__(self, sock: socket.socket, on_readable: Callable[[], Any]) -> None:
        self.socket = self
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._on_readable = on_readable
        self._on_writable: Optional[Callable[[], Any]] = None
        self._come: Optional[bytes] = None
        self._failure: Optional[OSError] = None
        self._sending: Optional["asyncio.Task[None]"] = None
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            while self._come is None:
                self._come = await self._loop.sock_recv(self._sock, _PIECE)
                self._on_readable()
        except OSError as error:
            self._failure = error
            self._on_readable()

    async def _send(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self._sock, data)
        except OSError as error:
            self._failure = error
        self._sending = None
        if self._on_writable is not None:
            self._on_writable()

    def recv(self, size: int) -> bytes:
        """What has come. BlockingIOError: nothing has."""
        if self._failure is not None:
            raise self._failure
        if self._come is None:
            raise BlockingIOError
        come = self._come
        self._come = None if come else come  # the end stays
        return come

    def send(self, data: memoryview, flags: int = 0) -> int:
        """Sends some. BlockingIOError: what came before is still being sent."""
        if self._failure is not None:
            raise self._failure
        if self._sending is not None:
            raise BlockingIOError
        try:
            return self._sock.send(data, flags)
        except BlockingIOError:
            self._sending = asyncio.ensure_future(self._send(bytes(data[:_PIECE])))
            return min(len(data), _PIECE)

    def await_room(self, on_writable: Callable[[], Any]) -> None:
        """Calls a function once when more can be sent."""
        def roomy() -> None:
            self._on_writable = None
            on_writable()
        self._on_writable = roomy

    def close(self) -> None:
        """Closes the socket, when nothing in the loop uses it any more. The daemon sees at once that this is the end."""
        self._on_writable = None
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended
        if self._loop.is_closed():
            return self._sock.close()
        last = [task for task in (self._reading, self._sending) if task is not None and not task.done()]
        for task in last:
            task.cancel()
        self._loop.create_task(self._close_after(last))

    async def _close_after(self, tasks: Any) -> None:
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self._sock.close()


def watch(sock: socket.socket, on_readable: Callable[[], Any]) -> Any:
    """Watches a socket in the loop that runs."""
    try:
        return Readiness(sock, on_readable)
    except NotImplementedError:
        return Completions(sock, on_readable)
