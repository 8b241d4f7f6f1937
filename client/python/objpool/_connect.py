# SPDX-License-Identifier: Apache-2.0
"""Connecting to a daemon, with the greeting."""
from __future__ import annotations

import socket

from . import _address
from ._connection import Connection
from ._credentials import Credentials
from ._secure import SecureConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from ._tls import Tls


def open_socket(address: str, timeout: Optional[float], credentials: Credentials) -> Tuple[socket.socket, Optional[Tls]]:
    """A socket that is connected, and its TLS. None: it has none."""
    sock = _address.open_socket(address, timeout)
    if not address.startswith("tls:"):
        return sock, None
    from ._tls import secure  # it takes time to import ssl

    return sock, secure(sock, address, credentials, timeout)


def _connection_on(sock: socket.socket, tls: Optional[Tls], address: str, unpickle: bool) -> Connection:
    return Connection(sock, address, unpickle) if tls is None else SecureConnection(sock, address, unpickle, tls)


def connect(address: str, unpickle: bool, timeout: Optional[float] = None, credentials: Credentials = Credentials()) -> Connection:
    """A connection on which objpool.hello has been answered."""
    token = credentials.introduction(address)
    connection = _connection_on(*open_socket(address, timeout, credentials), address, unpickle)
    try:
        connection.on_hello(connection.call("objpool.hello", [{**connection.introduction(), **token}], timeout))
        connection.open_line()
    except BaseException:
        connection.close()
        if connection.refusal is not None:
            raise connection.refusal from None
        raise
    return connection
