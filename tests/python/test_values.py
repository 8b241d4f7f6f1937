# SPDX-License-Identifier: Apache-2.0
"""What goes there and comes back: the pool's echo does not look into it."""
import collections
import datetime
import decimal
import enum
import math
import threading

import msgpack
import pytest

import objpool

Point = collections.namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Plain:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value


class Odd:
    """Can be pickled, but not back."""

    def __reduce__(self):
        return int, ("not a number",)


@pytest.mark.parametrize("value", [
    None, True, -1, (1 << 64) - 1, -(1 << 63), 1.5, "ä", b"\0\1", [1, [2, {"a": None}]], {1: 2, "b": [3], b"c": 4.5, None: 1},
    1 << 64, 1j, {1, 2}, frozenset([1]), datetime.datetime(2026, 1, 2), decimal.Decimal("1.10"), Point(1, 2), Colour.RED,
    collections.OrderedDict(a=1), Plain([1]), [Plain(1), {"a": Plain(2)}], range(3),
    {(1, 2): 3}, {frozenset(): 1}, {"a": {(1,): 2}}, "\ud800", ["\udc80"], {"\ud800": 1}, ValueError("x").args, [[[Plain(3)]]], {"a": [{1}]},
])
def test_there_and_back(pool, value):
    back = pool.echo(value)
    if isinstance(value, tuple) and type(value) is tuple:
        value = list(value)
    assert back == value and (type(back) is type(value))


def test_nan_and_tuples(pool):
    assert math.isnan(pool.echo(float("nan")))
    assert pool.echo((1, (2, 3))) == [1, [2, 3]]
    assert pool.echo(bytearray(b"ab")) == b"ab" and pool.echo(memoryview(b"ab")) == b"ab"


def test_what_lives_here_goes_by_value(pool):
    factor = 3
    assert pool.echo(lambda x: x * factor)(2) == 6

    class Local:
        size = 7
    assert pool.echo(Local)().size == 7


def test_what_can_not_go_is_one_error(pool):
    with pytest.raises(objpool.BadValue, match="lock"):
        pool.echo(threading.Lock())
    with pytest.raises(objpool.BadValue, match="can't be unpickled here"):
        pool.echo(Odd())
    assert pool.echo(1) == 1


def test_large_bytes_beside_what_no_map_can_have(pool):
    value = {(1, 2): b"x" * 300000, "a": bytearray(300000)}
    assert pool.echo([value, {"plain": b"y" * 300000}]) == [value, {"plain": b"y" * 300000}]


def test_unpickling_may_call_us(pool):
    """It happens in the thread of the caller, that no other waits for."""
    global _pool
    _pool = pool
    assert pool.echo(Caller()) == 5


_pool = None


class Caller:
    def __reduce__(self):
        return _call_back, ()


def _call_back():
    return _pool.echo(5)


def test_arrays(pool):
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(6.0).reshape(2, 3), numpy.arange(6).reshape(2, 3).T, numpy.zeros((0, 3), "f4"), numpy.array(5), numpy.array(["a", "bc"]),
              numpy.arange(20)[::3], numpy.array([1, 2], ">i2"), numpy.array(["2026-01-01"], "M8[D]"), numpy.array([True, False]),
              numpy.array([(1, 2.0, [3, 4])], [("a", "i4"), ("b", "f8"), ("c", "i8", (2,))]), numpy.array([{1}, None], object),
              numpy.array([1 + 2j]), numpy.arange(100000.0), numpy.zeros(2, []), numpy.zeros((2, 3), "V0"), numpy.zeros(2, [(("title", "a"), "i4")]),
              numpy.zeros(2, numpy.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [2, 0]})),
              numpy.zeros(2, numpy.dtype([("a", "i1"), ("b", "f8")], align=True))]
    for array in arrays:
        back = pool.echo(array)
        assert back.dtype == array.dtype and back.shape == array.shape and (back == array).all()
        back[...] = array  # it can be written to
    assert pool.echo(arrays[1]).flags.f_contiguous
    back = pool.echo([arrays[0], {"a": arrays[1]}])
    assert (back[0] == arrays[0]).all() and (back[1]["a"] == arrays[1]).all()
    assert pool.map.echo(numpy.arange(4)) == [0, 1, 2, 3]


def test_arrays_that_lie(pool):
    numpy = pytest.importorskip("numpy")
    from objpool._arrays import array_header
    from objpool._wire_types import ARRAY

    def array(*header, body=bytes(48)):
        packed = msgpack.packb(list(header))
        return msgpack.ExtType(ARRAY, len(packed).to_bytes(2, "big") + packed + body)

    assert len(pool.echo(array("<f8", [6], "C"))) == 6
    for bad in (array("|O", [6], "C"), array([["a", "O"]], [6], "C"), array("f8,O", [3], "C"), array("<f8", [-1], "C"), array("<f8", 6, "C"),
                array("<f8", [6], "A"), array("<f8", [5], "C"), array("<f8", [7], "C"), array("<f8", [2**62, 8], "C"), array("<f8", [6.0], "C"),
                array("V99999999999999999999", [0], "C", body=b""), array(3, [6], "C"), array("<f8", [6]), msgpack.ExtType(ARRAY, b""),
                msgpack.ExtType(ARRAY, b"\xff\xff"), msgpack.ExtType(ARRAY, array_header(numpy.zeros((1, 2)))[:-1])):
        with pytest.raises(objpool.BadValue):
            pool.echo(bad)
    assert pool.echo(array("V0", [2**60], "C", body=b"")).shape == (2**60,)  # nothing of it is counted


def test_numbers_of_numpy_are_numbers(pool):
    numpy = pytest.importorskip("numpy")
    back = pool.echo([numpy.float64(1.5), numpy.int32(3), numpy.bool_(True), numpy.str_("a"), numpy.float32(0.5)])
    assert back == [1.5, 3, True, "a", 0.5] and [type(each) for each in back] == [float, int, bool, str, float]
    assert pool.echo(numpy.datetime64("2026-01-01")) == numpy.datetime64("2026-01-01")
