# SPDX-License-Identifier: Apache-2.0
"""Addresses of daemons: where one may be, and a socket to one."""
from __future__ import annotations

import os
import re
import socket

from ._system import UNIX_SOCKETS
from .errors import NoDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional

#: The address of a daemon of this program's own.
PRIVATE = "private"


def default_addresses() -> List[str]:
    """The addresses to try, best first. If $OBJPOOL_ADDRESS is set, it is the only one."""
    address = os.environ.get("OBJPOOL_ADDRESS")
    if address:
        return [address]
    if not UNIX_SOCKETS:
        return []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    paths = ([f"{runtime}/objpool.sock"] if runtime else []) + ["/run/objpool/objpool.sock"]
    return [f"unix:{path}" for path in paths if os.path.exists(path)]


_HOST_AND_PORT = re.compile(r"(?:\[[^]]+\]|[^:/\[\]@ \t,]+):[0-9]{1,5}", re.ASCII)


def address_form(text: str) -> str:
    """unix:PATH, tcp:HOST:PORT or tls:HOST:PORT, of the forms in which people write addresses; anything else as it is.

    These are unix:///PATH, tcp://HOST:PORT, tls://HOST:PORT, a path that begins with /, ./ or ../, and HOST:PORT."""
    if text.startswith("unix://"):
        return "unix:/" + text[len("unix://"):].lstrip("/")
    if text.startswith(("tcp://", "tls://")):
        rest = text[len("tcp://"):]
        return text[:len("tcp:")] + (rest[:-1] if rest.endswith("/") else rest)
    if text.startswith(("/", "./", "../")):
        return "unix:" + text
    if not text.startswith(("unix:", "tcp:", "tls:")) and _HOST_AND_PORT.fullmatch(text):
        return "tcp:" + text
    return text


def open_socket(address: str, timeout: Optional[float] = None) -> socket.socket:
    """A socket connected to unix:PATH, tcp:HOST:PORT or tls:HOST:PORT, without TLS yet."""
    kind, _, rest = address.partition(":")
    try:
        if kind == "unix" and rest:
            if not UNIX_SOCKETS:
                raise ValueError("this Python has no Unix sockets; tcp: and tls: addresses can be used")
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(rest)
            except BaseException:
                sock.close()
                raise
        elif kind in ("tcp", "tls") and rest:
            host, _, port = rest.rpartition(":")
            sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            raise ValueError("addresses are unix:PATH, tcp:HOST:PORT or tls:HOST:PORT")
    except (OSError, ValueError) as error:
        raise NoDaemon(f"can't connect to {address}: {getattr(error, 'strerror', None) or error}") from error
    return sock
