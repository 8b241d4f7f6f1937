# SPDX-License-Identifier: Apache-2.0
"""A connection over TLS in an event loop: what it does otherwise than one on a plain socket."""
from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from .. import _files
from ..errors import ConnectionLost, ObjpoolError
from ._connection import Connection

if TYPE_CHECKING:
    from .._tls import Tls


class SecureConnection(Connection):
    """A connection whose bytes go through TLS."""

    def __init__(self, sock: socket.socket, address: str, unpickle: bool, tls: Tls) -> None:
        super().__init__(sock, address, unpickle)
        self.tls = tls

    @property
    def refusal(self) -> Optional[ObjpoolError]:
        return self.tls.failure

    def _send_some(self, data: memoryview, outgoing: Optional[_files.Outgoing]) -> int:
        counts: List[int] = []
        self.tls.flush(self._socket.send)
        self.tls.encrypt(counts, data)
        return counts[0]

    def _send_rest(self) -> None:
        self.tls.flush(self._socket.send)

    def _receive(self) -> Tuple[bytes, List[Any]]:
        """What has come, and b"" at the end. Raises BlockingIOError if no message's bytes have."""
        chunks: List[bytes] = []
        self.tls.receive(self._socket.recv)
        self.tls.decrypt(chunks)
        if not chunks:
            raise BlockingIOError
        if len(chunks) > 1 and not chunks[-1]:
            self.loop.call_soon(self._end)
        return b"".join(chunks), []

    def _end(self) -> None:
        self.fail(ConnectionLost(f"{self.address}: the daemon closed the connection"))

    def fail(self, lost: ConnectionLost) -> None:
        """Closes the socket. Each call in flight fails with `lost`."""
        if self.lost is None and self._pid == os.getpid():
            self.tls.say_end(self._socket.send)
        super().fail(lost)
