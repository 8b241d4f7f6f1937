# SPDX-License-Identifier: Apache-2.0
"""Values nested deeper than the wire takes: they are pickled, wherever they are; what is not too deep never is."""
import asyncio

import pytest

import objpool
import objpool.aio
from objpool import _depth


CLASS = """
def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


class Echo:
    def echo(self, x):
        return x

    def first(self, a, b=None):
        return a

    def second(self, a, b=None):
        return b

    def give(self, n, levels):
        for _ in range(n):
            yield nested(levels)

    def pass_on(self, x):
        import objpool_worker
        return objpool_worker.call().invoke("other.echo", x)
"""


def nested(levels, kind=list):
    value = 1
    for _ in range(levels):
        value = {"d": value} if kind is dict else kind([value])
    return value


async def _aio(address, pool, value):
    async with objpool.aio.connect(address, unpickle=True) as client:
        pool = client.pool(pool)
        fed = [got async for got in pool.map.echo.stream([value, 2])]
        return [await pool.echo(value), await pool.map.echo([value]), fed]


WAYS = {
    "argument": lambda p, v: p.echo(v),
    "keyword": lambda p, v: p.second(1, b=v),
    "with options": lambda p, v: p.options(timeout=60).echo(v),
    "bound": lambda p, v: p.options(bind=[v]).map.first([1])[0],
    "bind_kwargs": lambda p, v: p.options(bind_kwargs={"b": v}).map.second([1])[0],
    "item": lambda p, v: p.map.echo([0, v])[1],
    "item with options": lambda p, v: p.map.options(timeout=60).echo([0, v])[1],
    "column": lambda p, v: p.map.second([1, 2], b=[0, v])[1],
    "single": lambda p, v: p.map.options(args_as="single").echo([v])[0],
    "positional": lambda p, v: p.map.options(args_as="positional").second([(1, v)])[0],
    "keywords": lambda p, v: p.map.options(args_as="keyword").second([{"a": 1, "b": v}])[0],
    "all": lambda p, v: p.all.echo(v)[0],
    "scatter": lambda p, v: p.scatter.echo([v])[0],
    "fed": lambda p, v: list(p.map.echo.stream([0, v]))[1],
    "fed by a generator": lambda p, v: list(p.map.echo.stream(x for x in [0, v]))[1],
    "fed in columns": lambda p, v: list(p.map.second.stream([0, 1], [0, v]))[1],
    "fed by keyword": lambda p, v: list(p.map.second.stream(a=[0, 1], b=[0, v]))[1],
    "future": lambda p, v: p.echo.future(v).result(),
    "raw": lambda p, v: p.client.call("objpool.call", p.name, "echo", [v]),
    "in a long list": lambda p, v: p.echo([*range(_depth.LONG), v])[-1],
}


@pytest.fixture
def daemon(start, place):
    (place / "deep_echo.py").write_text(CLASS)
    section = {"plugin": "python", "class": "deep_echo:Echo", "python_path": f'["{place}"]', "workers": 1}
    return start({"trusting": {**section, "unpickle": "yes"}, "plain": section, "other": section})


@pytest.fixture
def pools(client):
    return client.pool("trusting")


@pytest.mark.parametrize("kind", [list, dict])
def test_they_come_back_equal_however_they_go(pools, kind):
    for way, call in WAYS.items():
        for levels in (31, 32, 33, 34, 40, 100, 300):
            assert call(pools, nested(levels, kind)) == nested(levels, kind), (way, levels)


def test_asyncio(pools, daemon):
    for levels in (32, 33, 300):
        value = nested(levels)
        assert asyncio.run(_aio(daemon.address, "trusting", value)) == [value, [value], [value, 2]]


def test_they_may_lie_beside_others_and_in_what_is_long(pools):
    value = {"a": [1.5] * 2000, "b": [b"x" * 300000, nested(50)], "c": [{"n": i, "deep": nested(i, dict)} for i in range(60)]}
    assert pools.echo(value) == value
    long = [*range(_depth.LONG), nested(90), (1, 2)]
    assert pools.echo(long) == [*long[:-1], [1, 2]]
    assert pools.map.echo(long[-2:]) == [nested(90), [1, 2]]


def same(x):
    return x


def give_back(x):
    raise ValueError(x)


def test_in_the_drop_in_for_multiprocessing():
    from objpool.compat.multiprocess import Pool
    with Pool(1) as workers:
        for kind in (list, dict):
            for levels in (32, 33, 300):
                value = nested(levels, kind)
                assert workers.map(same, [value, 1]) == [value, 1] and list(workers.imap(same, [value])) == [value]
                assert workers.apply(same, (value,)) == value and workers.apply(same, kwds={"x": value}) == value
                with pytest.raises(ValueError) as caught:
                    workers.map(give_back, [value])
                assert caught.value.args == (value,)


def test_what_is_yielded(pools):
    for levels in (32, 33, 100):
        assert list(pools.give.stream(2, levels)) == [nested(levels)] * 2
        assert pools.give(2, levels) == [nested(levels)] * 2


def test_arguments_of_a_constructor():
    class Kept:
        def __init__(self, value, by_name=None):
            self.value = value, by_name

        def get(self):
            return self.value

    with objpool.create_pool(Kept, 1, args=[nested(80)], kwargs={"by_name": nested(70)}, fork=False) as kept:
        assert kept.get() == [nested(80), nested(70)]


def test_what_refers_to_itself(pools):
    loop = [1]
    loop.append(loop)
    back = pools.echo(loop)
    for _ in range(100):
        assert back[0] == 1
        back = back[1]
    with pytest.raises(objpool.BadValue, match="recursion"):
        pools.echo(nested(100000))
    assert pools.echo(1) == 1


def test_what_is_not_too_deep_is_not_pickled(client):
    """The pool has unpickle = no, and so can tell."""
    pool = client.pool("plain")
    for way, call in WAYS.items():
        for kind in (list, dict):
            assert call(pool, nested(31 if way == "in a long list" else 32, kind)), way
        with pytest.raises(objpool.BadArgument, match="unpickle"):
            call(pool, nested(33))
    assert pool.pass_on(nested(32)) == nested(32)


@pytest.mark.skipif(_depth._unpacker_limit() is None, reason="msgpack in pure Python has other limits")
def test_messages_that_only_look_deep(monkeypatch):
    """No value of these is walked over in Python."""
    from objpool import _pack, _repair
    monkeypatch.setattr(_repair, "_repaired", None)
    for value in ([i * 1.1 for i in range(3000)], [i * 1.1 for i in range(_depth.LONG)], [{"a": [i, {}], "b": "ä" * 9} for i in range(500)],
                  nested(31), nested(30, dict), {"a": {"b": [[i] for i in range(100)]}}):
        assert _pack.pack([0, 1, "p.echo", [value]])
