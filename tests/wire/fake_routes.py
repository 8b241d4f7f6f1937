# SPDX-License-Identifier: Apache-2.0
"""Where a client of the fake server speaks: the connection, and the direct channels that it has asked for.

What comes on a channel is made what it would be on the connection: [0, 7, "echo", [5]] is a request "p:1.echo". Its msgid is (channel,
number), as are those of a dialogue's steps of channels. What stands for a descriptor is made the bytes that it stands for.
"""
import array
import fcntl
import mmap
import os
import socket

import dialogue
from dialogue import pack, take, unpack

REQUEST = 0
SEALS = 0x1 | 0x2 | 0x4  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW
F_ADD_SEALS = 1033
STANDS_FOR = 112


def key_of(channel, number):
    return (channel, number) if channel else number


def as_on_connection(message, target, channel):
    """What a message of a direct channel to `target` would be on the connection."""
    kind, *number, method, params = message
    if method == "objpool.call":
        params = [target, *params[1:]]
    elif not method.startswith("objpool."):
        method = f"{target}.{method}"
    return [kind, *[key_of(channel, n) for n in number], method, params]


def memory_file(content, offset):
    """A descriptor of memory with these bytes at that place, as the daemon hands it over."""
    fd = os.memfd_create("dialogue", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, offset + len(content))
    os.pwrite(fd, content, offset)
    fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd


def place_of(ext):
    """(offset, size) of what an ext of type 112 stands for."""
    return int.from_bytes(ext.data[2:8], "big"), int.from_bytes(ext.data[10:], "big")


class Route:
    """The connection (channel 0, target None), or a direct channel."""

    def __init__(self, sock, piece, deadline, channel=0, target=None):
        self.socket, self.piece, self.channel, self.target = sock, piece, channel, target
        sock.settimeout(deadline)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the next piece waits until the client has read the one before
        self.come, self.fds, self.is_open = b"", [], True
        self.order = []  # msgids of the messages that came, None of a notification: objpool.cancel counts them
        self.came_by_descriptor = 0

    def next(self):
        """The client's next whole message, of what has been read; None: there is none."""
        whole, self.come = take(self.come)
        if whole is None:
            return None
        message = self.resolved(unpack(whole))
        if not self.channel or not isinstance(message, list) or len(message) < 3:
            return message
        self.order.append(message[1] if message[0] == REQUEST else None)
        return as_on_connection(message, self.target, self.channel)

    def read(self):
        """Reads once. False: the client has shut down its sending side."""
        if self.socket.family != socket.AF_UNIX:
            data = self.socket.recv(1 << 16)
        else:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 64)
            self.fds += fds
        self.come += data
        return bool(data)

    def resolved(self, value):
        if isinstance(value, dialogue.msgpack.ExtType) and value.code == STANDS_FOR and self.fds:
            self.came_by_descriptor += 1
            return self.content(self.fds.pop(0), *place_of(value))
        if isinstance(value, dict):
            return {key: self.resolved(each) for key, each in value.items()}
        return [self.resolved(each) for each in value] if isinstance(value, list) else value

    @staticmethod
    def content(fd, offset, size):
        with mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
            os.close(fd)
            return memory[offset:offset + size]

    def send(self, data, fds=()):
        """Sends the bytes in pieces, and descriptors with the first. Closes the descriptors."""
        for at in range(0, len(data), self.piece or len(data)):
            piece = data[at:at + (self.piece or len(data))]
            if fds:
                sent = self.socket.sendmsg([piece], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
                for fd in fds:
                    os.close(fd)
                fds, piece = (), piece[sent:]
            self.socket.sendall(piece)

    def close(self):
        self.is_open = False
        self.socket.close()
        while self.fds:
            os.close(self.fds.pop())


def opened(piece, deadline, channel, target):
    """A direct channel: (its Route, the descriptor for the client)."""
    ours, theirs = socket.socketpair()
    return Route(ours, piece, deadline, channel, target), theirs.detach()


def spliced(data, number, error):
    """A response of the daemon with another msgid and error, and everything else as it is."""
    whole = dialogue.Node(data)
    return whole.header + whole.children[0].bytes + pack(number) + (pack(error) if error is not None else b"\xc0") + whole.children[3].bytes
