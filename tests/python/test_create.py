# SPDX-License-Identifier: Apache-2.0
"""Pools of Python classes, by name and by value, in a private daemon of the tests'."""
import asyncio
import itertools
import traceback

import pytest

import objpool
import objpool.aio


@pytest.fixture(scope="module")
def client():
    with objpool.connect("private") as client:
        yield client


class Broken(Exception):
    def __init__(self, part, why):
        super().__init__(f"{part}: {why}")
        self.part = part

    def __reduce__(self):
        return Broken, (self.part, "again")


class Counter:
    """Counts."""

    def __init__(self, start=0, step=1):
        if start is None:
            raise Broken("counter", "no start")
        self.value, self.step = start, step

    def add(self, times=1):
        self.value += times * self.step
        return self.value

    def break_down(self):
        raise Broken("spring", "too old")

    def count(self, end):
        for i in itertools.count():
            if i == end:
                raise Broken("generator", "its end")
            yield i

    def __call__(self, x):
        return x * self.step

    def stop(self, x):
        raise {1: StopIteration, 2: StopAsyncIteration, 3: GeneratorExit, 4: asyncio.CancelledError,
               6: SystemExit, 7: KeyboardInterrupt}.get(x, ValueError)(x)

    @staticmethod
    def keywords(**keywords):
        return keywords


def test_a_class(client):
    with client.create_pool(Counter, 2, args=[5], slot_kwargs=[{"step": 1}, {"step": 10}]) as pool:
        assert pool[0].add() == 6 and pool[1].add(times=2) == 25
        assert pool.all.add() == [7, 35]
        assert pool[0](3) == 3 and pool.scatter([1, 2]) == [1, 20]
        assert pool.name.startswith("Counter-") and client.describe(pool)["doc"]
        with pytest.raises(objpool.NoSuchMethod, match='^class Counter has no method "nothing"$'):
            pool.nothing()


def test_keywords_of_any_name(client):
    keywords = {"self": 1, "method": 2, "name": 3, "timeout": 4, "target": 5}
    with client.create_pool(Counter, 1) as pool:
        assert pool.keywords(**keywords) == pool.call("keywords", **keywords) == pool.keywords.future(**keywords).result() == keywords


def test_an_exception_that_ends_iterations_does_not_end_ours(client):
    with client.create_pool(Counter, 1) as pool:
        with pytest.raises(StopIteration):
            pool.stop(1)
        stream, got = pool.map.stop.stream([1, 2, 3, 4, 5]), []
        while len(got) < 5:
            with pytest.raises((objpool.CallFailed, ValueError)) as raised:
                next(stream)
            got.append(getattr(raised.value, "type", "ValueError").rpartition(".")[2])
        assert got == ["StopIteration", "StopAsyncIteration", "GeneratorExit", "CancelledError", "ValueError"]

        async def ask():
            async with objpool.aio.connect("private") as same:
                for x in (1, 2, 3, 4, 6, 7):  # the last two would end the event loop
                    with pytest.raises(objpool.CallFailed) as failed:
                        await same.pool(pool.name).stop(x)
                    assert failed.value.__cause__.args == (x,)
                    with pytest.raises(objpool.CallFailed):
                        await same.pool(pool.name).map.stop.stream([x]).__anext__()
        asyncio.run(ask())


def test_a_local_class_and_a_lambda(client):
    scale = 3

    class Scaler:
        def times(self, x):
            return x * scale
    with client.create_pool(Scaler, 1) as pool:
        assert pool.times(5) == 15
    with client.create_pool(lambda: Scaler(), 1) as pool:
        assert pool.times(5) == 15


def test_by_name(client):
    with client.create_pool("fractions:Fraction", 1, args=[3, 4]) as pool:
        assert pool.limit_denominator(2) == __import__("fractions").Fraction(1, 1)
    with pytest.raises(objpool.ObjpoolError, match="no module named|No module named"):
        client.create_pool("no_such_module_anywhere:X", 1)


def test_a_path_is_relative_to_the_program(client, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "near.py").write_text("class Near:\n def here(self):\n  return 'here'\n")
    monkeypatch.chdir(tmp_path)
    with client.create_pool("near:Near", 1, python_path=["models"]) as pool:
        assert pool.here() == "here"


def test_the_exception_itself(client):
    with client.create_pool(Counter, 1) as pool:
        with pytest.raises(Broken) as caught:
            pool.break_down()
        assert caught.value.part == "spring"
        cause = caught.value.__cause__
        assert isinstance(cause, objpool.RemoteTraceback) and "break_down" in cause.text and cause.error.slot == 0
        assert "in break_down" in "".join(traceback.format_exception(type(caught.value), caught.value, caught.value.__traceback__))
        with pytest.raises(TypeError):
            pool.add(1, 2, 3)
        with pytest.raises(AttributeError):
            pool.nothing()
        failed, = pool.options(errors="collect").all.break_down()
        assert isinstance(failed, Broken)


def test_without_unpickling_it_is_text(client):
    with client.create_pool(Counter, 1) as pool, objpool.connect(client.address, unpickle=False) as other:
        with pytest.raises(objpool.CallFailed) as caught:
            other.pool(pool.name).break_down()
        assert caught.value.type.endswith("Broken") and "in break_down" in caught.value.traceback


def test_a_constructor_that_fails(client):
    with pytest.raises((Broken, objpool.CallFailed), match="no start|counter"):
        client.create_pool(Counter, 2, kwargs={"start": None})


def test_generators_stream(client):
    with client.create_pool(Counter, 1) as pool:
        assert list(itertools.islice(pool.count.stream(-1), 1000)) == list(range(1000))
        stream = pool.count.stream(3)
        assert [next(stream), next(stream), next(stream)] == [0, 1, 2]
        with pytest.raises(Broken):
            next(stream)
        assert list(stream) == [] and pool.add() == 1


def test_functions(client):
    with client.create_pool("objpool:Functions", 2) as pool:
        assert pool.call("call", len, "abc") == 3 and pool.call("call", "math:hypot", 3, 4) == 5
        assert pool.map.options(bind=[lambda x: x + 1]).call("call", [1, 2, 3]) == [2, 3, 4]
