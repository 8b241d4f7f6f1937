# SPDX-License-Identifier: Apache-2.0
"""Large values beside the socket, as docs/PROTOCOL.md has it under Descriptors.

A value that is sent is copied once, into sealed memory that is kept to be filled again: its pages are warm. A value that comes is
mapped, copy-on-write. Its memory is given back to the daemon when the last array that uses it is gone.
"""
from __future__ import annotations

import array
import collections
import mmap
import operator
import os
import socket
import stat
import struct
import weakref

from ._system import DESCRIPTORS

if DESCRIPTORS:
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, List, Optional, Sequence

MIN = 128 << 10  #: bytes from which on a value goes beside the socket
REFERENCE = 112
BIN = 0
EXT = 0x100

_MOST = 64           # descriptors with one message
_IDLE = 8            # files that are kept
_IDLE_BYTES = 512 << 20


class _Memory:
    """Sealed memory. Closed with the last reference."""

    __slots__ = ("fd", "size", "_users")

    def __init__(self) -> None:
        self.fd = -1
        self.fd = os.memfd_create("objpool-client", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS if hasattr(fcntl, "F_ADD_SEALS") else 1033, 2)  # F_SEAL_SHRINK
        self.size = 0
        self._users: List[bool] = []

    def use(self) -> None:
        """One user more: the one that took the memory from the store, or one that another user has made."""
        self._users.append(not self._users)

    def leave(self) -> bool:
        """One user less. True: it was the last. Only one thread gets True."""
        return self._users.pop()

    def fill(self, parts: Sequence[Any], length: int) -> None:
        """Writes these bytes, from the beginning of the memory."""
        rest = [memoryview(part).cast("B") for part in parts if len(part)]
        done = 0
        while rest:
            wrote = os.pwritev(self.fd, rest, done)
            done += wrote
            while rest and wrote >= len(rest[0]):
                wrote -= len(rest.pop(0))
            if rest:
                rest[0] = rest[0][wrote:]
        self.size = max(self.size, length)

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:  # at the program's end modules may have been cleared
        if self.fd >= 0:
            _close(self.fd)


_size = operator.attrgetter("size")


class Store:
    """Memory that a connection has used and may use again."""

    def __init__(self) -> None:
        self._idle: List[_Memory] = []
        self._most = _IDLE

    def take(self, length: int) -> _Memory:
        """The smallest idle memory that has room; else the largest, which will grow; else a new one."""
        idle = tuple(self._idle)
        roomy = [memory for memory in idle if memory.size >= length]
        try:
            if idle:
                best = min(roomy, key=_size) if roomy else max(idle, key=_size)
                self._idle.remove(best)
                return best
        except ValueError:
            pass  # another thread has taken it
        return _Memory()

    def filled(self, parts: Sequence[Any], length: int) -> _Memory:
        """Memory with these bytes, and one user."""
        memory = self.take(length)
        memory.fill(parts, length)
        memory.use()
        return memory

    def give(self, memories: List[_Memory]) -> None:
        """Keeps memories that may be filled again."""
        for memory in memories:
            if len(self._idle) < self._most and memory.size + sum(other.size for other in self._idle) <= _IDLE_BYTES:
                self._idle.append(memory)

    def close(self) -> None:
        """Keeps no memory any more: the connection has ended."""
        self._most = 0
        self._idle.clear()


class Shared:
    """A value that goes with several messages: the first one fills the memory.

    This is a user of the memory, so that it is not given back, and filled with another value, between two messages.
    """

    __slots__ = ("_store", "_memory")

    def __init__(self) -> None:
        self._store: Optional[Store] = None
        self._memory: Optional[_Memory] = None

    def filled(self, store: Store, parts: Sequence[Any], length: int) -> _Memory:
        """The memory, with one user more. The parts are the same each time."""
        if self._memory is None:
            self._store, self._memory = store, store.filled(parts, length)
        self._memory.use()
        return self._memory

    def end(self) -> None:
        """The value goes with no further message."""
        memory, self._memory = self._memory, None
        if memory is not None and self._store is not None and memory.leave():
            self._store.give([memory])


class Outgoing:
    """The descriptors that go with one message."""

    __slots__ = ("store", "memories")

    def __init__(self, store: Store) -> None:
        self.store = store
        self.memories: List[_Memory] = []

    def add(self, kind: int, parts: Sequence[Any], shared: Optional[Shared] = None) -> Optional[bytes]:
        """What stands for these bytes in the message. None: they must go in the message."""
        length = sum(map(len, parts))
        if len(self.memories) == _MOST:
            return None
        try:
            memory = shared.filled(self.store, parts, length) if shared is not None else self.store.filled(parts, length)
        except OSError:
            return None  # no memory or no descriptor
        self.memories.append(memory)
        return struct.pack(">QHHI", 0, kind, length >> 32, length & 0xFFFFFFFF)

    def ancillary(self) -> List[Any]:
        """The ancillary data for sendmsg."""
        return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory.fd for memory in self.memories]))]

    def release(self) -> None:
        """Called when the call has succeeded: nobody reads the memories any more."""
        self.store.give([memory for memory in self.memories if memory.leave()])
        self.memories = []


# ---- what comes ---------------------------------------------------------------------------------------------------------------


class _Mapping(mmap.mmap):
    """Mapped bytes of a file. Its maker sets `file`, which so lives as long as the mapping."""

    file: Any = None


class File:
    """A descriptor that has come. It is given back when nothing refers to it any more."""

    __slots__ = ("fd", "number", "_connection", "__weakref__")

    def __init__(self, fd: int, number: int, connection: Any) -> None:
        self.fd = fd
        self.number = number
        self._connection = weakref.ref(connection)

    def map(self, reference: bytes) -> memoryview:
        """The bytes that a reference stands for. They can be written to, which nobody else sees."""
        offset, length = int.from_bytes(reference[2:8], "big"), length_of(reference)
        if length == 0:
            return memoryview(b"")
        begin = offset - offset % mmap.ALLOCATIONGRANULARITY
        mapping = _Mapping(self.fd, offset - begin + length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE, offset=begin)
        mapping.file = self
        return memoryview(mapping)[offset - begin:]

    def __del__(self, _close: Callable[[int], None] = os.close) -> None:
        _close(self.fd)
        connection = self._connection()
        if connection is not None and connection.lost is None:
            connection.give_back(self.number)


def length_of(reference: bytes) -> int:
    """How many bytes a reference stands for."""
    return int.from_bytes(reference[10:16], "big")


def _is_sealed(fd: int) -> bool:
    """Whether it is a memory file that can't shrink: the daemon passes nothing else, but for sockets that were
    asked for. A socket could be the connection's own."""
    try:
        return bool(fcntl.fcntl(fd, getattr(fcntl, "F_GET_SEALS", 1034)) & 2)
    except OSError:
        return False


class Arrivals:
    """The descriptors that have come over a connection, until the values that stand for them come."""

    def __init__(self, connection: Any, mark: int) -> None:
        self.mark = mark.to_bytes(2, "big")
        self.waiting: Deque[Optional[File]] = collections.deque()
        self.sockets: Deque[socket.socket] = collections.deque()  #: of direct channels
        self.awaited: Deque[Any] = collections.deque()  #: calls that are answered with a socket; other sockets are closed
        self._connection = weakref.ref(connection)
        self._count = 0

    def add(self, ancillary: List[Any]) -> None:
        """Takes the ancillary data of recvmsg."""
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                for fd in array.array("i", data[:len(data) - len(data) % 4]):
                    if len(self.sockets) < len(self.awaited) and stat.S_ISSOCK(os.fstat(fd).st_mode):
                        self.sockets.append(socket.socket(fileno=fd))  # is not given back, and has no number
                    else:
                        self.waiting.append(self._file(fd))
                        self._count += 1

    def _file(self, fd: int) -> Optional[File]:
        """The file of a descriptor that has come; None: it may change, so nothing reads it."""
        if _is_sealed(fd):
            return File(fd, self._count, self._connection())
        os.close(fd)
        return None

    def close(self) -> None:
        """Closes what no value has been given: the connection has ended."""
        self.waiting.clear()
        while self.sockets:
            self.sockets.popleft().close()

    def is_reference(self, code: int, body: bytes) -> bool:
        """Whether an ext stands for a file's bytes."""
        return code == REFERENCE and len(body) == 16 and body[:2] == self.mark


#: For recvmsg(). No message comes with descriptors where there are none.
RECEIVE_SPACE = socket.CMSG_SPACE(_MOST * 4) if DESCRIPTORS else 0
RECEIVE_FLAGS = socket.MSG_CMSG_CLOEXEC if DESCRIPTORS else 0
