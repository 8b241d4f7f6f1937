# SPDX-License-Identifier: Apache-2.0
"""Writes the requests for the workers of one pool, and sends them.

Small requests are put together from bytes, and several go in one write. What is large goes through the connection's own `start`,
which puts it beside the socket.
"""
import struct

from .. import _files, errors
from . import _sharing
from ._item_pickler import plain_packer

AT_ONCE = 1 << 16       # bytes; a batch is sent when it has so many, so that workers begin while the rest is pickled
_u32 = struct.Struct(">I").pack


def _packed(text):
    text = text.encode()
    return bytes([0xD9, len(text)]) + text


_FULL_CALL = _packed("objpool.call") + b"\x94"      # its four parameters follow
_COLLECT = b"\x81" + _packed("errors") + _packed("collect")


def goes_beside(parts):
    """True if a message of these parts is too large for the socket, or has buffers."""
    return len(parts) > 2 or len(parts[1]) >= _files.MIN


class Outbox:
    def __init__(self, connection, pool):
        self.background = connection.background
        self._connection, self._pool = connection, pool
        self._run = self._run_by("")
        self._call = _packed(f"{pool}.call") + b"\x92"

    def _run_by(self, selector):
        return _packed(f"{self._pool}{selector}.run") + b"\x91\xc6"

    # Requests that the caller waits for

    def call(self, entry, arguments):
        """Sends a `call`, whose arguments are packed."""
        self._send_at_once(b"\x94\x00\xce%b%b%b" % (_u32(self._connection.add(entry)), self._call, arguments))

    def run(self, entry, parts):
        """Sends a message, small or large."""
        if goes_beside(parts):
            self._start(entry, f"{self._pool}.run", _arguments(parts))
        else:
            self._send_at_once(self.head_of(entry, self._run, parts) + parts[0] + parts[1])

    # Requests of tasks

    def batch(self, slot):
        """For small messages to the worker `slot`, or, if that is None, to any."""
        return Batch(self, self._run if slot is None else self._run_by(f":{slot}"))

    def run_beside(self, entry, slot, parts, in_background, sharing, items):
        """Sends a large message to the worker `slot`, or, if that is None, to any. Arrays that items share are sent once."""
        self._start(entry, f"{self._pool}.run" if slot is None else f"{self._pool}:{slot}.run", _arguments(parts, sharing, items))
        if in_background:
            self._await_in_background(entry)

    def run_by_all(self, entry, parts, in_background):
        """Sends a message, small or large, to all workers."""
        if goes_beside(parts):
            self._start(entry, "objpool.call", [f"{self._pool}:all", "run", _arguments(parts), {"errors": "collect"}])
            if in_background:
                self._await_in_background(entry)
            return
        head = b"".join((b"\x94\x00\xce", _u32(self._connection.add(entry)), _FULL_CALL, _packed(f"{self._pool}:all"),
                         _packed("run"), b"\x91\xc6", _u32(sum(map(len, parts)))))
        if in_background:
            self.background.wanted.add(entry.id)
        self.send([head, *parts, _COLLECT])

    def map_items(self, entry, head, values, names, count):
        """Sends a map of `item` over the packed values."""
        msgid = self._connection.add(entry)
        options = {"bind": [msgid, head, names], "errors": "collect", "stream": "runs", "ordered": entry.job.ordered,
                   "window": count, "chunk": count}
        self.send([b"\x94\x00\xce%b%b%b" % (_u32(msgid), _FULL_CALL, _packed(f"{self._pool}:map")), _packed("item"), b"\x91",
                   values, plain_packer.pack(options)])

    # Sending

    def head_of(self, entry, method, parts):
        return b"\x94\x00\xce%b%b%b" % (_u32(self._connection.add(entry)), method, _u32(sum(map(len, parts))))

    def send(self, parts):
        """Sends requests. A thread then waits for the answers that are wanted in the background."""
        self._send_at_once(*_joined(parts))
        if self.background.wanted and self._connection.lost is None:
            self._wake_background()

    def _send_at_once(self, *runs):
        try:
            self._connection.send_all(list(runs))
        except errors.ConnectionLost:
            pass        # the connection has answered all that is in flight
        if self._connection.lost is not None:
            self._connection.answer_all(self._connection.lost)

    def _start(self, entry, method, params):
        try:
            self._connection.start(entry, method, params)
        except errors.ConnectionLost:
            entry.answer([1, entry.id, {"code": "CONNECTION_LOST", "message": "the connection to the daemon was lost"}, None])

    def _await_in_background(self, entry):
        """The background thread waits for the answer to what has been sent: nobody else does."""
        wanted = self.background.wanted
        wanted.add(entry.id)
        if entry.message is not None:
            wanted.discard(entry.id)
        self._wake_background()

    def in_background(self, function):
        """Has the background thread call the function."""
        self.background.finished.append(function)
        self._wake_background()

    def _wake_background(self):
        self.background.start()
        self.background.call()


class Batch:
    """Requests of several tasks, which go together."""

    __slots__ = ("_outbox", "_method", "_parts", "_size")

    def __init__(self, outbox, method):
        self._outbox, self._method = outbox, method
        self._parts, self._size = [], 0

    def add(self, entry, parts, in_background):
        """Adds a message. Sends the batch if it is large enough."""
        head = self._outbox.head_of(entry, self._method, parts)
        if in_background:
            self._outbox.background.wanted.add(entry.id)
        self._parts += (head, *parts)
        self._size += sum(map(len, parts))
        if self._size >= AT_ONCE:
            self.send()

    def send(self):
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._outbox.send(parts)


def _arguments(parts, sharing=None, items=()):
    """A large message's arguments: the message, and each buffer, which workers then read in the same memory."""
    head, body, *buffers = parts
    arguments = [head + body]
    if buffers:
        arguments += map(_sharing.bytes_of, buffers) if sharing is None else sharing.arguments(buffers, items)
    return arguments


def _joined(parts, large=AT_ONCE):
    """Joins small parts into runs; leaves large parts as they are."""
    run, size = [], 0
    for part in parts:
        if len(part) >= large:
            if run:
                yield b"".join(run)
                run, size = [], 0
            yield part
            continue
        run.append(part)
        size += len(part)
        if size >= 4 * large:
            yield b"".join(run)
            run, size = [], 0
    if run:
        yield b"".join(run)
