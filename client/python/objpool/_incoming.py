# SPDX-License-Identifier: Apache-2.0
"""Bytes that come over a connection, and the messages in them.

msgpack's unpacker can't go on behind a message that it can make no objects of: for example one with a bad timestamp, or with an
array as a map's key. So the bytes of a message are kept until it is whole. A message that fails is read again, by `Careful`: a
value that can't be made an object becomes a placeholder, which raises BadValue when it is loaded. So only its call fails.

    chunks --take()-->  raw --> unpacker --> messages, each with where it ends
                        ^                        |
                        '-- bytes behind the last end, when the unpacker has failed, or may have been interrupted

The exception of a signal handler may come between any two steps. So `_doubtful` is set from before a chunk is taken until its
messages are known, and the next take() begins anew behind the last message. Chunks and messages are moved by single calls in C.
"""
from __future__ import annotations

import collections

import msgpack

from ._load import new_hook, new_unpacker, unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Deque, Iterator, List, Tuple

_FIRST = (0,)
_FAILURES = (ValueError, TypeError, msgpack.UnpackException)


class Incoming:
    """What has come over one connection."""

    def __init__(self, unpickle: bool) -> None:
        self._unpickle = unpickle
        self.messages: Deque[Tuple[Any, int]] = collections.deque()  #: whole ones, and how many bytes had come at the end of each
        self.raw: Deque[Tuple[bytes, int]] = collections.deque()  #: chunks, and how many bytes had come at the end of each
        self._end = 0                                                # of the last whole message
        self._doubtful = False
        self._hook = new_hook(unpickle)
        self._was_careful = False                                    # _read_carefully has made placeholders by itself
        self._reading = self._reader(0)

    def _reader(self, origin: int) -> Tuple[Any, Iterator[int]]:
        """An unpacker of what comes behind so many bytes, and where it stands."""
        unpacker = new_unpacker(self._hook)
        ends: Iterator[int] = iter(unpacker.tell, None)
        return unpacker, map(origin.__add__, ends) if origin else ends

    def take(self, chunks: List[bytes]) -> None:
        """Takes the first chunk out of the list, if there is one. Raises an exception if what comes is no msgpack."""
        if self._doubtful:
            self._add(chunks)
            self._begin_again()
        elif chunks:
            self._doubtful = True
            self._add(chunks)
            self._reading[0].feed(self.raw[-1][0])
            try:
                self.messages.extend(zip(*self._reading))
            except _FAILURES:
                self._begin_again()
            else:
                self._pass()
                self._doubtful = False

    def had_placeholders(self) -> bool:
        """Whether a value that has come so far may be, or have in it, a placeholder."""
        return self._was_careful or self._hook.cache_info().misses > 0

    def _add(self, chunks: List[bytes]) -> None:
        raw = self.raw
        if chunks:
            raw.extend(zip(map(chunks.pop, _FIRST), ((raw[-1][1] if raw else self._end) + len(chunks[0]),)))

    def _pass(self) -> None:
        """Forgets the bytes of whole messages."""
        if self.messages:
            self._end = max(self._end, self.messages[-1][1])
        while self.raw and self.raw[0][1] <= self._end:
            self.raw.popleft()

    def _rest(self) -> bytes:
        """The bytes behind the last whole message."""
        self._pass()
        return b"".join([chunk[-(end - self._end):] for chunk, end in self.raw])

    def _begin_again(self) -> None:
        """Reads the rest anew, carefully if needed. `_doubtful` stays set while a message that fails is not whole."""
        whole = True
        while whole:
            rest = self._rest()
            self._reading = self._reader(self._end)
            self._reading[0].feed(rest)
            try:
                self.messages.extend(zip(*self._reading))
                self._pass()
                self._doubtful = False
                return
            except _FAILURES:
                whole = self._read_carefully(self._rest())

    def _read_carefully(self, rest: bytes) -> bool:
        """The first message, which the unpacker can't read. False: it is not whole yet."""
        self._was_careful = True
        scout = msgpack.Unpacker(max_buffer_size=0)
        scout.feed(rest)
        try:
            scout.skip()
        except msgpack.OutOfData:
            return False
        size = scout.tell()
        try:
            message = Careful(rest[:size], self._unpickle).value()
        except RecursionError:
            raise ValueError("a message is nested too deeply") from None
        self.messages.append((message, self._end + size))
        return True


class Careful:
    """Reads a whole message value by value."""

    def __init__(self, data: bytes, unpickle: bool) -> None:
        self._data = data
        self._unpickle = unpickle
        self._walk = msgpack.Unpacker(max_buffer_size=0)
        self._walk.feed(data)

    def value(self) -> Any:
        """The next value."""
        start = self._walk.tell()
        first = self._data[start]
        if 0x90 <= first < 0xa0 or first in (0xdc, 0xdd):
            return [self.value() for _ in range(self._walk.read_array_header())]
        if 0x80 <= first < 0x90 or first in (0xde, 0xdf):
            return self._map()
        self._walk.skip()
        return self._leaf(self._data[start:self._walk.tell()])

    def _map(self) -> Any:
        pairs = [[self.value(), self.value()] for _ in range(self._walk.read_map_header())]
        try:
            return dict(pairs)
        except TypeError:
            return unreadable("a map whose keys a dict can't have", pairs)

    def _leaf(self, data: bytes) -> Any:
        unpacker = new_unpacker(new_hook(self._unpickle))
        unpacker.feed(data)
        try:
            return unpacker.unpack()
        except _FAILURES as error:
            what = "a timestamp" if data[0] in (0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8) else "a value"
            return unreadable(f"{what} that is none: {error}", [])
