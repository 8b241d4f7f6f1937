# SPDX-License-Identifier: Apache-2.0
"""Dialogues of the wire as data (tests/wire/*.dialogue): reading them, and playing the client's side against a daemon.

A line begins with what it is; `#` begins a comment.

    > 94 00 01 …    the client sends these bytes
    < 94 01 01 …    the daemon sends exactly these. In their place may stand
      ~                 any one value
      "CODE: "          one str that begins so
    < end           the daemon closes the connection
"""
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
    """[(number of the line, ">" or "<", tokens), …]"""
    lines = []
    for number, line in enumerate((FOLDER / name).read_text().splitlines(), 1):
        if line[:1] in ("<", ">"):
            lines.append((number, line[0], tokens(line[1:])))
        else:
            assert not line.strip() or line.startswith("#"), f"{name}:{number}: what is this? {line}"
    return lines


class Player:
    """The client's side of one connection."""

    def __init__(self, path, deadline):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(deadline)
        self.socket.connect(str(path))
        self.come = b""  # and not compared yet

    def more(self):
        data = self.socket.recv(1 << 16)
        assert data, f"the daemon closed the connection after {self.come.hex(' ')}"
        self.come += data

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
            assert not self.come and self.socket.recv(1) == b""
        elif token == "any":
            self.expect_value()
        elif isinstance(token, tuple):
            self.expect_value(token[1])
        else:
            self.expect_byte(token)

    def play(self, name):
        with self.socket:
            for number, direction, line in read(name):
                if direction == ">":
                    self.socket.sendall(b"".join(line))
                    continue
                for token in line:
                    try:
                        self.expect(token)
                    except (AssertionError, TimeoutError) as error:
                        raise AssertionError(f"{name}:{number}: {error}") from error
            assert not self.come, f"{name}: too much comes: {self.come.hex(' ')}"
