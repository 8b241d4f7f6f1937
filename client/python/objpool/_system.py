# SPDX-License-Identifier: Apache-2.0
"""What some systems have and others lack: Windows has no Unix sockets, no descriptors beside them, no forks, and no poll().

Calls over tcp: and tls: need none of that.
"""
from __future__ import annotations

import os
import select
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple


def _has(module: Any, *names: str) -> bool:
    return all(hasattr(module, name) for name in names)


UNIX_SOCKETS = _has(socket, "AF_UNIX")

#: Whether values can go beside a Unix socket.
DESCRIPTORS = (UNIX_SOCKETS and _has(socket, "SCM_RIGHTS", "CMSG_SPACE", "MSG_CMSG_CLOEXEC") and _has(socket.socket, "recvmsg")
               and _has(os, "memfd_create", "MFD_ALLOW_SEALING", "pwritev"))

#: Whether the program can have a daemon of its own.
OWN_DAEMON = DESCRIPTORS and _has(os, "fork", "posix_spawn", "pidfd_open")

#: Says in place of a daemon of the program's own why there is none.
NO_OWN_DAEMON = "this system can't run objpoold: set OBJPOOL_ADDRESS to the tls: or tcp: address of a daemon"

#: For send(). A program may want SIGPIPE to end it; the loss of a daemon does not.
SEND_FLAGS: int = getattr(socket, "MSG_NOSIGNAL", 0)

IN: int = getattr(select, "POLLIN", 1)
OUT: int = getattr(select, "POLLOUT", 4)


class _Poll:
    """select.poll, where there is none."""

    def __init__(self) -> None:
        self._events: Dict[Any, int] = {}

    def register(self, file: Any, events: int) -> None:
        """Watches a file from now on."""
        self._events[file] = events

    def poll(self, milliseconds: Optional[float] = None) -> List[Tuple[int, int]]:
        """Waits; returns each file that is ready, and for what."""
        read, write = ([file for file, events in self._events.items() if events & kind] for kind in (IN, OUT))
        readable, writable, failed = select.select(read, write, write, None if milliseconds is None else milliseconds / 1000)
        found: Dict[int, int] = {}
        for files, kind in (readable, IN), (writable, OUT), (failed, OUT):
            for file in files:
                found[file.fileno()] = found.get(file.fileno(), 0) | kind
        return list(found.items())


def new_poll() -> Any:
    """A select.poll object, or one that does the same."""
    return select.poll() if hasattr(select, "poll") else _Poll()


def after_fork_in_child(call: Callable[[], Any]) -> None:
    """Has a function called in the child after each fork of the program."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)
