# SPDX-License-Identifier: Apache-2.0
"""Classes of a program's own script: what workers make of them, and what comes back."""
import pickle
import sys

import pytest

from objpool import _by_value

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


@pytest.mark.parametrize("module", ["cloudpickle.cloudpickle", "cloudpickle.cloudpickle_fast"])
def test_names_of_other_versions_of_cloudpickle(module):
    pytest.importorskip("cloudpickle")
    assert _by_value.loads_by_value(f"c{module}\n_function_setstate\n.".encode()).__name__ == "_function_setstate"


def test_an_error_between_versions_of_cloudpickle_names_both():
    cloudpickle = pytest.importorskip("cloudpickle")
    with pytest.raises(pickle.UnpicklingError, match=f"from cloudpickle 99.1, and cloudpickle {cloudpickle.__version__} is here .the "
                       "key virtualenv of a pool"):
        _by_value.loads_by_value(b"ccloudpickle.cloudpickle\n_new_in_99\n.\ncloudpickle 99.1")


def test_an_error_where_there_is_no_cloudpickle_says_so(monkeypatch):
    cloudpickle = pytest.importorskip("cloudpickle")
    data = _by_value.dumps_by_value(lambda: 1)
    for name in [name for name in sys.modules if name.partition(".")[0] == "cloudpickle"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(pickle.UnpicklingError, match=f"from cloudpickle {cloudpickle.__version__}, and none is here .the key virtualenv"):
        _by_value.loads_by_value(data)


@pytest.mark.parametrize("how", ["cloudpickle", "dill"])
def test_code_of_another_python_is_refused(how, monkeypatch):
    """To run it would crash the interpreter. An object without code has no version."""
    pytest.importorskip(how)
    dumps, loads = {"cloudpickle": (_by_value.dumps_by_value, _by_value.loads_by_value), "dill": (_by_value.dumps_by_dill, _by_value.loads_by_dill)}[how]
    with monkeypatch.context() as there:
        there.setattr(_by_value, "_VERSION", "3.99")
        code, plain = dumps(lambda: 1), dumps([1])
    assert loads(plain) == [1] and loads(dumps(lambda: 1))() == 1
    for data in (code, memoryview(code)):
        with pytest.raises(pickle.UnpicklingError, match=f"code by value from Python 3.99, and this is {_by_value._VERSION}: "):
            loads(data)


UNPICKLABLE = """
import threading
import objpool
from objpool.compat.multiprocess import get_context
from objpool.compat.objectproxypool import ProxyPool

class Class:
    lock = threading.Lock()
    again = threading.RLock()
    items = (i for i in range(3))
    number = 1
    def get(self):
        with self.lock, self.again, self.again:
            return self.number
    def missing(self):
        return self.items
    @classmethod
    def missing_of_class(cls):
        return cls.items

class Outer(Class):
    inner = Class()
    def get(self):
        return super().get() + self.inner.get()

def get(object):
    return object.get()

def told(call, *args):
    try:
        call(*args)
    except AttributeError as error:
        print(error)

if __name__ == "__main__":
    with objpool.create_pool(Class, 1, fork=False) as pool:
        print(pool.get())
        told(pool.missing)
        told(pool.missing_of_class)
    with objpool.create_pool(Outer, 1, fork=False) as pool:
        print(pool.get())
    with get_context("spawn").Pool(1) as pool:
        print(pool.map(get, [Class(), Outer()]), type(pool.apply(Outer)) is Outer, pool.apply(type, (Outer(),)) is Outer)
        told(pool.apply, Class.missing, (Class(),))
    print(Class().items is Class.items)
"""


def test_attributes_of_classes_that_can_not_be_pickled(program):
    """Locks are made anew; who uses another is told why it is missing; the program's own class stays as it is."""
    pytest.importorskip("cloudpickle")
    missing = "Class.items could not be sent to the worker: TypeError: cannot pickle 'generator' object\n"
    assert program(UNPICKLABLE).communicate("", timeout=60) == (
        f"1\n{missing}{missing}2\n[1, 2] True True\n{missing}True\n", "")
