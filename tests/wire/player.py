# SPDX-License-Identifier: Apache-2.0
"""Dialogues of the wire as data (tests/wire/*.dialogue): reading them, and playing the client's side against a daemon.

A line begins with what it is; `#` begins a comment.

    > 94 00 01 …    the client sends these bytes
    < 94 01 01 …    the daemon sends exactly these. In their place may stand
      ~                 any one value
      "CODE: "          one str that begins so
    < end           the daemon closes the connection
    c> …, c< …      the same between the client and the worker, on a direct channel: the socket that came last as a descriptor
    > end, c> end   the client shuts down its sending side
"""
import array
import pathlib
import re
import socket

import msgpack

FOLDER = pathlib.Path(__file__).parent
TOKEN = re.compile(r'\s*(?:([0-9a-f]{2})\b|(~)|"([^"]*)"|(end)\b)')


def tokens(text):
    """What a line has after its `>` or `<`: bytes, `any`, ("str", its beginning), or `end`."""
    text, at, found = text.rstrip(), 0, []
    while at < len(text) and not re.match(r"\s*#", text[at:]):
        token = TOKEN.match(text, at)
        assert token, f"what is this? {text[at:]}"
        byte, whatever, beginning, end = token.groups()
        found.append(bytes([int(byte, 16)]) if byte else "any" if whatever else "end" if end else ("str", beginning))
        at = token.end()
    return found


def read(name):
    """[(number of the line, is it the direct channel's?, ">" or "<", tokens), …]"""
    lines = []
    for number, line in enumerate((FOLDER / name).read_text().splitlines(), 1):
        said = line.removeprefix("c")
        if said[:1] in ("<", ">"):
            lines.append((number, said != line, said[0], tokens(said[1:])))
        else:
            assert not line.strip() or line.startswith("#"), f"{name}:{number}: what is this? {line}"
    return lines


class Side:
    """The client's side of a connection, or of a direct channel."""

    def __init__(self, sock, deadline):
        self.socket = sock
        self.socket.settimeout(deadline)
        self.come = b""  # and not compared yet
        self.fds = array.array("i")

    def receive(self):
        data, control, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(16 * self.fds.itemsize))
        for _, _, fds in control:
            self.fds.frombytes(fds)
        return data

    def more(self):
        data = self.receive()
        assert data, f"the connection was closed after {self.come.hex(' ')}"
        self.come += data

    def send(self, line):
        if line == ["end"]:
            self.socket.shutdown(socket.SHUT_WR)
        else:
            self.socket.sendall(b"".join(line))

    def expect_byte(self, byte):
        while not self.come:
            self.more()
        assert self.come[:1] == byte, f"{byte.hex()} should come, not {self.come.hex(' ')}"
        self.come = self.come[1:]

    def expect_value(self, beginning=None):
        while True:
            unpacker = msgpack.Unpacker(strict_map_key=False)
            unpacker.feed(self.come)
            try:
                value = unpacker.unpack()
                break
            except msgpack.OutOfData:
                self.more()
        assert beginning is None or (isinstance(value, str) and value.startswith(beginning)), f"{beginning!r} should come, not {value!r}"
        self.come = self.come[unpacker.tell():]

    def expect(self, token):
        if token == "end":
            assert not self.come and self.receive() == b""
        elif token == "any":
            self.expect_value()
        elif isinstance(token, tuple):
            self.expect_value(token[1])
        else:
            self.expect_byte(token)

    def close(self):
        self.socket.close()
        for fd in self.fds:
            socket.close(fd)


class Player:
    """The client's side of a dialogue."""

    def __init__(self, path, deadline):
        self.connection = Side(socket.socket(socket.AF_UNIX), deadline)
        self.connection.socket.connect(str(path))
        self.deadline, self.channels = deadline, []

    def side(self, direct):
        for _ in range(len(self.connection.fds)):
            self.channels.append(Side(socket.socket(fileno=self.connection.fds.pop(0)), self.deadline))
        return self.channels[-1] if direct else self.connection

    def play_lines(self, name):
        for number, direct, direction, line in read(name):
            side = self.side(direct)
            if direction == ">":
                side.send(line)
                continue
            for token in line:
                try:
                    side.expect(token)
                except (AssertionError, TimeoutError) as error:
                    raise AssertionError(f"{name}:{number}: {error}") from error
        for side in (self.connection, *self.channels):
            assert not side.come, f"{name}: too much comes: {side.come.hex(' ')}"

    def play(self, name):
        try:
            self.play_lines(name)
        finally:
            for side in (self.connection, *self.channels):
                side.close()
