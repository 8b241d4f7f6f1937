# SPDX-License-Identifier: Apache-2.0
"""Plays the client's side of a dialogue against a daemon: sends the client's bytes, and compares the daemon's.

    player.py FILE ADDRESS [PIECE]      unix:PATH, tcp:HOST:PORT or tls:HOST:PORT; the client's bytes are sent in pieces of so many

Over TLS the daemon's certificate is one that a CA of the file $OBJPOOL_TLS_CA has signed.
"""
import array
import fcntl
import mmap
import os
import socket
import ssl
import sys

import dialogue
from dialogue import DEADLINE, Node, bytes_of, differs, take

F_ADD_SEALS, F_SEAL_SHRINK = 1033, 2


def connected(address, deadline):
    kind, _, rest = address.partition(":")
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(deadline)
        sock.connect(rest)
        return sock
    host, _, port = rest.rpartition(":")
    sock = socket.create_connection((host.strip("[]"), int(port)), deadline)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if kind == "tls":
        return ssl.create_default_context(cafile=os.environ.get("OBJPOOL_TLS_CA")).wrap_socket(sock, server_hostname=host)
    return sock


def memory_file(content):
    """A descriptor of such memory, as a client may hand it over."""
    fd = os.memfd_create("dialogue", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)
    return fd


class Side:
    """The client's side of a connection, or of a direct channel."""

    def __init__(self, sock, piece):
        self.socket, self.piece = sock, piece
        self.come = b""  # and not compared yet
        self.fds = []

    def send(self, data, fds=()):
        for fd in fds:
            first, data = data[:1], data[1:]
            socket.send_fds(self.socket, [first], [fd])
            os.close(fd)
        for at in range(0, len(data), self.piece or len(data) or 1):
            self.socket.sendall(data[at:at + (self.piece or len(data))])

    def receive(self):
        if isinstance(self.socket, ssl.SSLSocket):
            return self.socket.recv(1 << 16)
        data, control, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(64 * 4))
        for _, _, numbers in control:
            fds = array.array("i")
            fds.frombytes(numbers)
            self.fds += fds
        return data

    def message(self):
        """The next message of the daemon. b"": it has closed the connection."""
        while True:
            message, self.come = take(self.come)
            if message is not None:
                return message
            data = self.receive()
            if not data:
                assert not self.come, f"the connection was closed after {self.come.hex(' ')}"
                return b""
            self.come += data

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)


class Player:
    def __init__(self, address, piece=0, deadline=DEADLINE):
        self.address, self.piece, self.deadline = address, piece, deadline
        self.connections = {1: self.connect()}
        self.channels = {}
        self.heard = []  # the daemon's messages

    def connect(self):
        return Side(connected(self.address, self.deadline), self.piece)

    def side(self, step):
        """What a step goes over. Connections but the first are made for the first step of each."""
        if "channel" in step:
            return self.channels[step["channel"]]
        number = step.get("connection", 1)
        if number not in self.connections:
            self.connections[number] = self.connect()
        return self.connections[number]

    @property
    def sides(self):
        return [*self.connections.values(), *self.channels.values()]

    def play(self, steps):
        for number, step in enumerate(steps, 1):
            if "client" in step:
                self.say(self.side(step), step)
            elif "daemon" in step:
                difference = self.hear(self.side(step), step)
                assert not difference, f"step {number}: {difference}"
        for side in self.sides:
            assert not side.come, f"too much comes: {side.come.hex(' ')}"

    def say(self, side, step):
        if step["client"] == "end":
            side.socket.shutdown(socket.SHUT_WR)
        else:
            side.send(bytes_of(step), [memory_file(dialogue.to_value(told)) for told in step.get("memory", ())])

    def hear(self, side, step):
        """What is not as the step says."""
        message = side.message()
        if step["daemon"] == "end" or not message:
            return None if (step["daemon"] == "end") == (not message) else f"{message.hex(' ') or 'the end'} has come"
        told = Node(bytes_of(step)) if "bytes" in step else None
        self.heard.append(message)
        return differs(step["daemon"], Node(message), told) or self.take_descriptors(side, step, message)

    def take_descriptors(self, side, step, message):
        for opened in step.get("opens", ()):
            sock = socket.socket(fileno=side.fds.pop(0))
            sock.settimeout(self.deadline)
            self.channels[opened] = Side(sock, self.piece)
        for told in step.get("memory", ()):
            got = in_memory(side.fds.pop(0), message)
            if got != dialogue.to_value(told):
                return f"in memory lies {got[:20].hex(' ')}…, {len(got)} bytes"
        return None

    def close(self):
        for side in self.sides:
            side.close()


def in_memory(fd, message):
    """What the response's result, an ext of type 112, stands for."""
    ext = Node(message).children[3].value.data
    at, size = int.from_bytes(ext[2:8], "big"), int.from_bytes(ext[10:], "big")
    with mmap.mmap(fd, os.fstat(fd).st_size, mmap.MAP_SHARED, mmap.PROT_READ) as memory:
        content = memory[at:at + size]
    os.close(fd)
    return content


def joined(steps):
    """The same steps, but what the client says without waiting in between is one write."""
    whole = []
    for step in steps:
        before = whole[-1] if whole else {}
        plain = [step.keys() == {"client", "bytes"} for step in (before, step)]
        if all(plain):
            whole[-1] = {**step, "bytes": f'{before["bytes"]} {step["bytes"]}'}
        elif dialogue.said_by(step):
            whole.append(step)
    return whole


def play(steps, address, piece=0, deadline=DEADLINE):
    """Returns the daemon's messages, those of direct channels among them."""
    player = Player(address, piece, deadline)
    try:
        player.play(joined(steps) if piece else steps)
        return player.heard
    finally:
        player.close()


if __name__ == "__main__":
    play(dialogue.read(sys.argv[1])["steps"], sys.argv[2], *map(int, sys.argv[3:]))
