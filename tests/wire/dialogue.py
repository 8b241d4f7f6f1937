# SPDX-License-Identifier: Apache-2.0
"""Dialogues of the wire as data: reading and writing tests/wire/*.json, and whether bytes are what a message says.

README.md of this folder describes the form. A message is JSON; a map with one key that begins with `$` stands for something else:
see `to_value` and `differs`.
"""
import json
import os
import pathlib

import msgpack

FOLDER = pathlib.Path(__file__).parent
WIDTH = 130
DEADLINE = float(os.environ.get("OBJPOOL_TEST_DEADLINE", 20))  # seconds for whatever is waited for
OVER_NETWORK = ["call_any", "errors_map", "feed", "stream", "token"]  # what tests of libraries play over TCP and TLS, too


def paths():
    return sorted(FOLDER.glob("*.json"))


def read(path):
    return json.loads(pathlib.Path(path).read_text())


def write(path, dialogue):
    """Writes it as people read it: a step on a line, or a message and its bytes on two."""
    def line(step):
        whole = json.dumps(step, ensure_ascii=False)
        if len(whole) > WIDTH - 5 and "bytes" in step:
            head, found, tail = whole.partition(', "bytes": ')
            whole = f'{head},\n     "bytes": {tail}' if found else whole
        return "    " + whole

    head = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in dialogue.items() if key != "steps"]
    steps = ",\n".join(map(line, dialogue["steps"]))
    pathlib.Path(path).write_text("{\n" + ",\n".join([*head, f'  "steps": [\n{steps}\n  ]']) + "\n}\n")


def ways(paths):
    """(file, kind of address) for the test of a library against a daemon."""
    return [(path, kind) for path in paths for kind in ("unix", "tcp", "tls")
            if kind == "unix" or path.stem in OVER_NETWORK and kind == kind_of_address(read(path), kind)]


def kind_of_address(dialogue, kind):
    """Where a dialogue is played if `kind` (unix, tcp, tls) is asked for: some are for one kind alone, and none with a token is for
    plain TCP."""
    own = dialogue.get("setup", {}).get("address")
    return own or ("tls" if kind == "tcp" and has_token(dialogue) else kind)


def has_token(dialogue):
    hellos = [step["client"][3] for step in dialogue["steps"] if "objpool.hello" in step.get("client", ())]
    return any(params and "token" in params[0] for params in hellos)


# ---- values ----

def special(pattern):
    """("$any", "int") of {"$any": "int"}; (None, None) of what stands for itself."""
    if isinstance(pattern, dict) and len(pattern) == 1:
        [(key, argument)] = pattern.items()
        if key.startswith("$"):
            return key, argument
    return None, None


def to_value(pattern):
    """The value for msgpack of a message without `$any` and `$starts`."""
    kind, argument = special(pattern)
    if kind == "$bin":
        return bytes.fromhex(argument)
    if kind == "$ext":
        return msgpack.ExtType(argument[0], bytes.fromhex(argument[1]))
    if kind == "$counting":  # so many bytes, counting up from 0 and over
        return bytes(range(256)) * (argument // 256) + bytes(range(argument % 256))
    if kind:
        raise ValueError(f"{pattern} stands for no single value")
    if isinstance(pattern, dict):
        return {key: to_value(value) for key, value in pattern.items()}
    return [to_value(value) for value in pattern] if isinstance(pattern, list) else pattern


def from_value(value):
    """The other way: what stands for a value in a message."""
    if isinstance(value, bytes):
        return {"$bin": value.hex(" ")}
    if isinstance(value, msgpack.ExtType):
        return {"$ext": [value.code, value.data.hex(" ")]}
    if isinstance(value, dict):
        return {key: from_value(each) for key, each in value.items()}
    return [from_value(each) for each in value] if isinstance(value, (list, tuple)) else value


def pack(value):
    return msgpack.packb(value, use_bin_type=True)


def unpack(data):
    return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="surrogateescape")


# ---- bytes ----

class OutOfBytes(Exception):
    """The value goes on behind what has come."""


class Node:
    """A value, as the bytes that it has: its header, and what is in it."""

    def __init__(self, data, at=0):
        self.data, self.start = data, at
        self.children = []
        self.kind, body, count = self._header(at)
        self.body = body
        if self.kind in ("array", "map"):
            for _ in range(count * (2 if self.kind == "map" else 1)):
                self.children.append(Node(data, self.children[-1].end if self.children else body))
            self.end = self.children[-1].end if self.children else body
        else:
            self.end = body + count
        if self.end > len(data):
            raise OutOfBytes

    def _header(self, at):
        """(kind, where what it has begins, how many bytes or values that is)"""
        if at >= len(self.data):
            raise OutOfBytes
        first = self.data[at]
        for below, kind, count in ((0x80, "int", 0), (0x90, "map", first & 15), (0xa0, "array", first & 15), (0xc0, "str", first & 31)):
            if first < below:
                return kind, at + 1, count
        if first >= 0xe0:
            return "int", at + 1, 0
        kind, size = HEADERS[first]
        if kind in ("nil", "bool", "int", "float", "fixext"):
            return ("ext" if kind == "fixext" else kind), at + 1, size
        number = self.data[at + 1:at + 1 + size]
        if len(number) < size:
            raise OutOfBytes
        return kind, at + 1 + size, int.from_bytes(number, "big") + (kind == "ext")

    @property
    def bytes(self):
        return self.data[self.start:self.end]

    @property
    def header(self):
        return self.data[self.start:self.children[0].start if self.children else self.end]

    @property
    def value(self):
        return unpack(self.bytes)


HEADERS = {0xc0: ("nil", 0), 0xc1: ("never", 0), 0xc2: ("bool", 0), 0xc3: ("bool", 0), 0xca: ("float", 4), 0xcb: ("float", 8),
           **{0xc4 + i: ("bin", 1 << i) for i in range(3)}, **{0xc7 + i: ("ext", 1 << i) for i in range(3)},
           **{0xcc + i: ("int", 1 << i) for i in range(4)}, **{0xd0 + i: ("int", 1 << i) for i in range(4)},
           **{0xd4 + i: ("fixext", 1 + (1 << i)) for i in range(5)}, **{0xd9 + i: ("str", 1 << i) for i in range(3)},
           0xdc: ("array", 2), 0xdd: ("array", 4), 0xde: ("map", 2), 0xdf: ("map", 4)}


def take(data):
    """(the first whole value of the bytes, the rest). None instead of the value: it goes on behind them."""
    try:
        node = Node(data)
    except OutOfBytes:
        return None, data
    return node.bytes, data[node.end:]


def differs(pattern, got, told=None):
    """Where a Node is not what the message says: a sentence, or None. `told`: the Node of the dialogue's own bytes, to the letter of
    which everything must be that the message does not leave open."""
    kind, argument = special(pattern)
    if kind == "$any":
        return None if argument in ("value", got.kind) else f"{got.value!r} is no {argument}"
    if kind == "$starts":
        return None if got.kind == "str" and got.value.startswith(argument) else f"{got.value!r} does not begin with {argument!r}"
    if isinstance(pattern, dict) and not kind or isinstance(pattern, list):
        return differs_inside(pattern, got, told)
    if told is not None:
        return None if got.bytes == told.bytes else f"{got.value!r} ({got.bytes.hex(' ')}) is not {told.value!r} ({told.bytes.hex(' ')})"
    value = to_value(pattern)
    return None if type(got.value) is type(value) and got.value == value else f"{got.value!r} is not {value!r}"


def differs_inside(pattern, got, told):
    parts = [part for item in pattern.items() for part in item] if isinstance(pattern, dict) else pattern
    if got.kind != ("map" if isinstance(pattern, dict) else "array") or len(got.children) != len(parts):
        return f"{got.value!r} is not like {pattern!r}"
    if told is not None and got.header != told.header:
        return f"{got.header.hex(' ')} is not {told.header.hex(' ')}"
    for part, child, said in zip(parts, got.children, told.children if told is not None else [None] * len(parts)):
        difference = differs(part, child, said)
        if difference:
            return difference
    return None


def bytes_of(step):
    return bytes.fromhex(step["bytes"])


def said_by(step):
    """"client" or "daemon", of a step that is a message; else None."""
    return "client" if "client" in step else "daemon" if "daemon" in step else None
