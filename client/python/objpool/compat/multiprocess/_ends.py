# SPDX-License-Identifier: Apache-2.0
"""The two ends of a socket of packets, with the methods of a Connection. Any number of processes may share them."""
import os
import socket

from . import context
from ._sync import _duplicate, sync


class End:
    """Takes the descriptor."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def __reduce__(self):
        return _rebuild, (type(self), _duplicate(self.fileno()))

    def __del__(self):
        self.close()

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}>"

    @property
    def closed(self):
        return self._descriptor is None

    def fileno(self):
        if self._descriptor is None:
            raise OSError("handle is closed")
        return self._descriptor

    def close(self, _close=os.close):   # os may be gone when the interpreter ends
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            _close(descriptor)


class Reader(End):
    readable, writable = True, False

    def poll(self, timeout=0.0):
        """Whether there is a message; waits for one."""
        from .connection import wait
        return bool(wait([self], timeout))

    def recv_bytes(self):
        return sync.receive(self.fileno())

    def recv(self):
        return context.reduction.ForkingPickler.loads(self.recv_bytes())


class Writer(End):
    readable, writable = False, True

    def send_bytes(self, message):
        sync.send(self.fileno(), message)

    def send(self, value):
        self.send_bytes(context.reduction.ForkingPickler.dumps(value))


def ends():
    """(reader, writer)"""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Reader(reader.detach()), Writer(writer.detach())


def _rebuild(cls, descriptor):
    return cls(descriptor.detach())
