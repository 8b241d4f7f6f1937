# SPDX-License-Identifier: Apache-2.0
"""Classes of a program's own script: what workers make of them, and what comes back."""
import pytest

PROGRAM = """
import asyncio
import dataclasses
import enum
import sys
import threading
import typing

import objpool
import objpool.aio

@dataclasses.dataclass(frozen=True)
class Frozen:
    a: int
    b: str = "x"

@dataclasses.dataclass
class Slots:
    __slots__ = ("a",)
    a: int

class Pair(typing.NamedTuple):
    x: int
    y: object = None

class Colour(enum.Enum):
    RED = 1

class Counted:
    count = 0

class Object:
    def __init__(self, *args):
        self.args = args
    def given(self):
        return list(self.args)
    def echo(self, x):
        return x
    def told(self, x):
        return [dataclasses.asdict(x), repr(x)]
    def make(self):
        return [Frozen(1), Slots(2), Pair(3), Colour.RED, Counted]
    def same(self, *things):
        import __main__
        return [thing is getattr(__main__, thing.__name__, None) for thing in things]

fork = sys.argv[1] == "fork"
values = [Frozen(1), Slots(2), Pair(3, Pair(4)), Colour.RED]
"""

EVERYWHERE = PROGRAM + """
with objpool.create_pool(Object, workers=2, args=values, fork=fork) as pool:
    assert pool.given() == values
    for value in values:
        for back in (pool.echo(value), pool.map.echo([value])[0], next(pool.map.echo.stream([value])), pool.echo.future(value).result(),
                     pool.options(timeout=60).echo(x=value)):
            assert type(back) is type(value) and back == value, back
    assert pool.told(Frozen(5)) == [{"a": 5, "b": "x"}, "Frozen(a=5, b='x')"]
    assert pool.make() == [Frozen(1), Slots(2), Pair(3), Colour.RED, Counted]
    Counted.count = 7
    assert pool.echo(Counted) is Counted and pool.echo([Counted()])[0].count == Counted.count == 7
    assert dataclasses.asdict(Frozen(1)) == {"a": 1, "b": "x"} and dataclasses.replace(Frozen(1), a=2) == Frozen(2)
    marker = dataclasses.MISSING
    assert pool.echo(lambda: marker)() is marker

async def main():
    async with objpool.aio.connect("private") as client:
        async with await client.create_pool(Object, workers=1, args=values, fork=fork) as pool:
            assert await pool.given() == values and await pool.echo(values) == values
asyncio.run(main())
"""

OF_A_FORK = PROGRAM + """
LOCK = threading.Lock()
LARGE = b"x" * (64 << 20)
class Holder(Object):
    def locked(self):
        with LOCK:
            return len(LARGE)
    def private(self):
        len(LARGE)
        return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("Private_Dirty")) >> 10
class Outer:
    class Inner:
        pass
def function():
    pass
with objpool.create_pool(Holder, workers=1) as pool:
    assert pool.same(Holder, Frozen, Colour, Counted, function) == [True] * 5
    assert pool.locked() == len(LARGE) and pool.private() < 30
    assert type(pool.echo(Outer.Inner())) is Outer.Inner
"""

OF_A_FORK_LATER = PROGRAM + """
with objpool.create_pool(Object, workers=1) as pool:
    class Frozen:
        def new(self):
            return "new"
    class Later:
        def new(self):
            return "later"
    assert [pool.echo(lambda: cls().new())() for cls in (Frozen, Later)] == ["new", "later"]
    assert pool.same(Frozen, Later, Counted) == [False, False, True]
"""


def run(program, text, *arguments):
    process = program(text, *arguments)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (0, "", "")


@pytest.mark.parametrize("how", ["fork", "own"])
def test_classes_of_the_script_are_what_they_are(program, how):
    """Dataclasses keep their fields, named tuples are tuples with names, and the program's own classes are not touched."""
    run(program, EVERYWHERE, how)


def test_forks_have_the_script_s_own(program):
    """By name: a lock among its globals is no obstacle, and what it has loaded costs nothing."""
    run(program, OF_A_FORK, "fork")


@pytest.mark.parametrize("text", [OF_A_FORK, EVERYWHERE.replace("pool.echo(lambda: marker)() is marker", "True")], ids=["what they have", "values"])
def test_forks_need_no_cloudpickle(program, text):
    run(program, "import sys; sys.modules['cloudpickle'] = sys.modules['dill'] = None\n" + text, "fork")


def test_what_is_defined_after_the_fork_goes_by_value(program):
    run(program, OF_A_FORK_LATER, "fork")
