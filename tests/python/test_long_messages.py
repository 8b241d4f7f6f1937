# SPDX-License-Identifier: Apache-2.0
"""Long messages of plain values: the extension module packs them, byte for byte as msgpack does; their results are not looked at."""
import collections
import enum
import random

import msgpack
import numpy
import pytest

from objpool import _call, _depth, _extension, _incoming, _load, _pack, _wire_types

LONG = _depth.LONG
Point = collections.namedtuple("Point", "x y")


class Number(enum.IntEnum):
    ONE = 1


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


PLAIN = [None, True, False, 0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -1, -32, -33, -128, -129, -2**15, -2**31,
         -2**31 - 1, -2**63, 0.0, -0.0, 1.5, float("inf"), float("nan"), "", "ä€", "x" * 31, "x" * 32, "x" * 256, "x" * 70000, "nul\0", b"",
         b"\0" * 300, bytearray(b"ab"), [], [1, [2]], (1, (2, 3)), {}, {"a": 1, 2: None, b"k": [1.5], None: True}, [0] * 70000,
         {str(i): i for i in range(70000)}, nested(31)]
OTHERS = [2**64, -2**63 - 1, "\udc80", Number.ONE, Point(1, 2), collections.OrderedDict(a=1), {(1, 2): 3}, {1, 2}, 1j, object, nested(33),
          numpy.float64(1), numpy.arange(3), [0, [numpy.int8(1)]]]


@pytest.fixture(scope="module")
def fast():
    return _extension.find("objpool_wire").pack


@pytest.mark.parametrize("i", range(len(PLAIN)))
def test_plain_values(fast, i):
    message = [0, 7, "p.f", [PLAIN[i], 1]]
    expected = msgpack.packb(message, use_bin_type=True)
    assert fast(message) == expected
    column = [PLAIN[i], *range(LONG)]
    assert _pack.pack([0, 7, "p:map.f", [column]]) == msgpack.packb([0, 7, "p:map.f", [column]])


@pytest.mark.parametrize("i", range(len(OTHERS)))
def test_others_are_left_to_msgpack(fast, i):
    assert fast([0, 7, "p.f", [1, OTHERS[i]]]) is None


def test_a_list_that_contains_itself(fast):
    value = [1]
    value.append(value)
    assert fast([0, 1, "p.f", [value]]) is None


def test_a_random_message(fast):
    chance = random.Random(11)

    def value(levels):
        kind = chance.randrange(10 if levels else 7)
        if kind < 7:
            return [None, chance.random() < .5, chance.randint(-2**63, 2**64 - 1), chance.randint(-200, 300), chance.random(),
                    "é" * chance.randrange(40), bytes(chance.randrange(40))][kind]
        items = [value(levels - 1) for _ in range(chance.randrange(20))]
        return {str(i): item for i, item in enumerate(items)} if kind == 9 else tuple(items) if kind == 8 else items

    for _ in range(200):
        message = [0, 1, "p.f", [value(5)]]
        assert fast(message) == msgpack.packb(message, use_bin_type=True)


def test_placeholders_are_noticed():
    """Only if one has come on a connection are the results of items looked at."""
    incoming = _incoming.Incoming(True)
    incoming.take([msgpack.packb([1, 1, None, list(range(LONG))])])
    assert not incoming.had_placeholders()
    data = msgpack.packb([1, 2, None, [1, [2, {"k": msgpack.ExtType(_wire_types.OBJECT, b"pickle\0N.")}]]])
    incoming.take([data[:-3]])
    incoming.take([data[-3:]])
    assert incoming.had_placeholders()
    (_, _), (message, _) = incoming.messages
    assert _load.load(message[3]) == [1, [2, {"k": None}]]


def test_values_that_python_can_not_have_are_noticed():
    incoming = _incoming.Incoming(False)
    incoming.take([b"\x94\x01\x01\xc0\x91\x81\x91\x01\x02"])  # an array as key
    assert incoming.had_placeholders()
    assert _call._items_loader(type("Connection", (), {"incoming": incoming})) is _load.load_items


def test_a_map_of_very_many(client, pool):
    items = list(range(-LONG, 5 * LONG))
    assert pool.map.echo(items) == items
    mixed = [[i, str(i), None] if i % 2 else {"i": i / 2} for i in range(2 * LONG)]
    assert pool.map.echo(mixed) == mixed
    mixed[LONG] = {1, 2}
    assert pool.map.echo(mixed) == mixed
