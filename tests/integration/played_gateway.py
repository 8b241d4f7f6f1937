# SPDX-License-Identifier: Apache-2.0
"""A gateway that a test plays: the daemon starts this file as its gateway_program; it gives the link to the test, and stays."""
import os
import socket
import sys
import time

CONFIG, OPEN, MESSAGE, CLOSE, TAKEN, POOLS, DRAIN = range(7)          # to the gateway (proto/gateway_link.h)
SESSION, MESSAGE_BACK, HOSTS, STATE, LOG = range(1, 6)                # from it


def be_the_program(path):
    control = socket.socket(socket.AF_UNIX)
    control.connect(path)
    socket.send_fds(control, [str(os.getpid()).encode()], [3])
    os.close(3)
    control.recv(1)     # until the test ends, or closes it


if __name__ == "__main__":
    be_the_program(sys.argv[1])
    sys.exit(0)


import msgpack  # noqa: E402

import harness  # noqa: E402


class Gateway:
    """The gateway's end of one start of the program."""

    def __init__(self, control):
        self.control = control
        data, fds, _, _ = socket.recv_fds(control, 64, 1)
        self.pid = int(data)
        self.link = socket.socket(fileno=fds[0])
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)
        self.pools = self.config = None

    def close(self):
        """The program exits in good order."""
        self.link.close()
        self.control.close()

    def send(self, *message):
        self.link.sendall(msgpack.packb(message))

    def receive(self):
        """The next message but POOLS, of which the last is kept; None: the daemon has closed the link."""
        until = time.monotonic() + harness.DEADLINE
        while True:
            for message in self.unpacker:
                if message[0] == POOLS:
                    self.pools = {row[0]: row[1:] for row in message[1]}
                elif message[0] == CONFIG:
                    self.config = message[1]
                    return message
                else:
                    return message
            self.link.settimeout(max(0.001, until - time.monotonic()))
            data = self.link.recv(1 << 18)
            if not data:
                return None
            self.unpacker.feed(data)

    def expect(self, kind):
        message = self.receive()
        assert message is not None and message[0] == kind, (kind, message)
        return message[1:]

    def wait_pools(self, condition):
        """Reads until the pools are so."""
        until = time.monotonic() + harness.DEADLINE
        while self.pools is None or not condition(self.pools):
            self.link.settimeout(max(0.001, until - time.monotonic()))
            self.unpacker.feed(self.link.recv(1 << 18))
            for message in self.unpacker:
                assert message[0] == POOLS, message
                self.pools = {row[0]: row[1:] for row in message[1]}

    def request(self):
        """(session, msgid, method, params) of the next MESSAGE that is a request."""
        session, (kind, *rest) = self.expect(MESSAGE)
        assert kind == 0, rest
        return (session, *rest)

    def notification(self):
        """(session, method, params)."""
        session, (kind, *rest) = self.expect(MESSAGE)
        assert kind == 2, rest
        return (session, *rest)

    def answer(self, session, msgid, value=None, error=None):
        self.send(MESSAGE_BACK, session, [1, msgid, error, value])

    def session(self, host, user, number=1):
        """A client of the daemon, on behalf of that user."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self.link, [msgpack.packb([SESSION, number, host, user])], [theirs.fileno()])
        theirs.close()
        client = harness.Client.__new__(harness.Client)
        client.use(ours, harness.DEADLINE)
        return client


class Players:
    """The gateways of one daemon, one after the other."""

    def __init__(self, path):
        self.path = path / "gateway"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path / "control"))
        self.listener.listen(8)
        self.gateways = []
        self.path.write_text(f"#!/bin/sh\nexec /usr/bin/python3 {__file__} {path}/control\n")
        self.path.chmod(0o755)

    def next(self):
        self.listener.settimeout(harness.DEADLINE)
        control, _ = self.listener.accept()
        control.settimeout(harness.DEADLINE)
        self.gateways.append(Gateway(control))
        return self.gateways[-1]

    def close(self):
        for gateway in self.gateways:
            gateway.close()
        self.listener.close()
