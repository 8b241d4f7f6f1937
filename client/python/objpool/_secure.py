# SPDX-License-Identifier: Apache-2.0
"""A connection over TLS: what it does otherwise than one on a plain socket."""
from __future__ import annotations

import socket

from ._connection import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, Optional

    from ._tls import Tls
    from .errors import ObjpoolError


class SecureConnection(Connection):
    """A connection whose bytes go through TLS."""

    def __init__(self, sock: socket.socket, address: str, unpickle: bool, tls: Tls) -> None:
        super().__init__(sock, address, unpickle)
        self.tls = tls

    @property
    def refusal(self) -> Optional[ObjpoolError]:
        return self.tls.failure

    def _flush(self, wait: bool = True) -> None:
        out, tls = self._out, self.tls
        while out or tls.is_due:
            try:
                tls.flush(self._send)
                if out:
                    view, counts, _ = out[0]
                    if sum(counts) < len(view):
                        tls.encrypt(counts, view[sum(counts):])
                    if sum(counts) == len(view):
                        out.popleft()
            except BlockingIOError:
                if not wait:
                    return
                self._await_room()
            except OSError as error:
                if error.errno is None:
                    raise  # a signal handler's
                self._send_failed(error)

    def has_input(self, timeout: float = 0) -> bool:
        return self.tls.unread or super().has_input(timeout)

    def _await_input(self, hurries: bool) -> None:
        if not self.tls.unread:
            super()._await_input(hurries)

    def _receive(self) -> None:
        if not self.tls.unread:
            self.tls.receive(self._socket.recv)
        self.tls.decrypt(self._chunks)

    def open_line(self, numbers: Optional[Iterator[int]] = None) -> None:
        """The extension module reads and writes the socket itself: it is not for TLS."""

    def close(self) -> None:
        """Ends the connection. Calls in flight fail."""
        if self.lost is None and self._write.acquire(False):
            try:
                self.tls.say_end(self._send)
            finally:
                self._write.release()
        super().close()
