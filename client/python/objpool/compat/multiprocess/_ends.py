# SPDX-License-Identifier: Apache-2.0
"""The two ends of a queue, with methods of a Connection: what programs know as its _reader and _writer."""
from . import context


class _End:
    closed = False

    def __init__(self, log):
        self._log = log

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__qualname__} at {id(self):#x}>"

    def close(self):
        self.closed = True

    def _open(self):
        if self.closed:
            raise OSError("handle is closed")
        return self._log


class Reader(_End):
    readable, writable = True, False

    def fileno(self):
        """A descriptor for connection.wait() and select. It is readable while there is a message."""
        return self._open().bell()

    def poll(self, timeout=0.0):
        """Whether there is a message; waits for one."""
        return self._open().poll(timeout)

    def recv_bytes(self):
        return self._open().get()

    def recv(self):
        return context.reduction.ForkingPickler.loads(self.recv_bytes())


class Writer(_End):
    readable, writable = False, True

    def send_bytes(self, message):
        self._open().put(message)

    def send(self, value):
        self.send_bytes(context.reduction.ForkingPickler.dumps(value))
