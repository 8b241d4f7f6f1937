# SPDX-License-Identifier: Apache-2.0
"""A connection between a thread of a manager's client and the server's thread for it. The bytes are those of the standard library's
Connection, read at once, not the length first: no message comes before the last one is answered, so a read brings one and no more."""
import os
import struct

_ROOM = 1 << 14     # bytes that are read at once
_HEADER = struct.Struct("!i")


class Quick:
    def __init__(self, connection):
        self._connection, self._descriptor, self.close = connection, connection.fileno(), connection.close
        self.send_bytes = connection._send_bytes

    def recv_bytes(self):
        """One message: what has a buffer. Raises EOFError."""
        data = os.read(self._descriptor, _ROOM)
        if len(data) < _HEADER.size:
            data = self._rest_of(data, _HEADER.size)
        size, = _HEADER.unpack_from(data)
        if size == len(data) - _HEADER.size:
            return memoryview(data)[_HEADER.size:]
        if size >= 0:
            return self._rest_of(memoryview(data)[_HEADER.size:], size)
        return self._rest_of_long(data)

    def _rest_of_long(self, data):
        """The length is in the eight bytes after the header."""
        head = _HEADER.size + 8
        data = self._rest_of(data, max(head, len(data)))
        return self._rest_of(memoryview(data)[head:], int.from_bytes(data[_HEADER.size:head], "big"))

    def _rest_of(self, data, size):
        """Reads until there are so many bytes."""
        whole, count = bytearray(size), len(data)
        whole[:count] = data
        while count < size:
            read = os.readv(self._descriptor, [memoryview(whole)[count:]])
            if not read:
                raise EOFError if not count else OSError("got end of file during message")
            count += read
        return whole
