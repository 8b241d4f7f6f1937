# SPDX-License-Identifier: Apache-2.0
"""Something between a client and a daemon."""
import contextlib
import socket
import threading


class Relay:
    """Passes bytes on to an address, in pieces of `step`."""

    def __init__(self, address, step=1):
        self.step = step
        host, _, port = address[4:].rpartition(":")
        self.there = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.tls = "tls:127.0.0.1:%d" % self.listener.getsockname()[1]
        self.ends = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here = self.listener.accept()[0]
            except OSError:
                return
            there = socket.create_connection(self.there)
            self.ends += [here, there]
            for one, other in (here, there), (there, here):
                other.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()

    def pass_on(self, one, other):
        try:
            while data := one.recv(1 << 16):
                for i in range(0, len(data), self.step):
                    other.sendall(data[i:i + self.step])
        except OSError:
            pass
        end(other, socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for socket_ in (self.listener, *self.ends):  # close alone does not wake the threads that read
            end(socket_, socket.SHUT_RDWR)
            socket_.close()


def end(socket_, side):
    with contextlib.suppress(OSError):
        socket_.shutdown(side)
