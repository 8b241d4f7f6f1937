# SPDX-License-Identifier: Apache-2.0
"""What is over max_message: the error names the limit, and nothing of the value has been copied."""
import asyncio

import pytest

import objpool
import objpool.aio
from objpool import _files

numpy = pytest.importorskip("numpy")
MIB = 1 << 20
LIMIT = "max_message = 1048576 bytes"


class Object:
    def __init__(self, body):
        self.body = body


VALUES = {
    "bytes": bytes(2 * MIB),
    "bytearray": bytearray(2 * MIB),
    "array": numpy.zeros(MIB // 4),
    "further in": {"a": [1, bytes(2 * MIB)]},
    "an object": Object(bytes(2 * MIB)),
    "an object with an array": Object(numpy.zeros(MIB // 4)),
    "text": "x" * (2 * MIB),
    "many": [1.5] * (MIB // 8),
}


@pytest.fixture(params=["unix", "tcp"])
def client(request, start):
    daemon = start(daemon={"max_message": "1M"})
    with objpool.connect(daemon.address if request.param == "unix" else daemon.tcp, unpickle=True) as client:
        yield client


@pytest.fixture
def nothing_copied(monkeypatch):
    monkeypatch.setattr(_files._Memory, "fill", None)


def test_arguments(client, nothing_copied):
    pool = client.pool("p")
    for what, value in VALUES.items():
        for call in (lambda: pool.echo(value), lambda: pool.echo(x=value), lambda: pool.options(timeout=60).echo(value), lambda: pool.all.echo(value),
                     lambda: pool.echo.future(value), lambda: pool.map.echo([1, value]), lambda: list(pool.map.echo.stream([1, value]))[1:]):
            with pytest.raises(objpool.TooLarge, match=LIMIT) as caught:
                call()
            assert caught.value.ran == "no", what
    with pytest.raises(objpool.TooLarge) as caught:
        pool.map.echo([1, VALUES["array"]])
    assert caught.value.index == 1
    assert pool.echo(1) == 1


def test_items_of_which_each_is_small_enough(client):
    items = [bytes([i]) * 100000 for i in range(40)]
    assert list(client.pool("p").map.echo.stream(items, window=40)) == items


def test_results(client):
    pool = client.pool("p")
    with pytest.raises(objpool.TooLarge, match=f"the result is 2097157 bytes, over {LIMIT}"):
        pool.blob(2 * MIB)
    with pytest.raises(objpool.TooLarge, match=LIMIT):
        pool.map.blob([50000] * 30)


def test_an_item_that_a_method_yields(start, place):
    (place / "giver.py").write_text("class Giver:\n    def give(self):\n        yield 1\n        yield bytes(2 << 20)\n")
    daemon = start({"g": {"plugin": "python", "class": "giver:Giver", "python_path": f'["{place}"]', "workers": 1}}, {"max_message": "1M"})
    with objpool.connect(daemon.address) as client:
        stream = client.pool("g").give.stream()
        assert next(stream) == 1
        with pytest.raises(objpool.CallFailed, match=f"an item is 2097157 bytes, over {LIMIT}"):
            next(stream)
        with pytest.raises(objpool.TooLarge, match=LIMIT):
            client.pool("g").give()


def test_asyncio(start):
    daemon = start(daemon={"max_message": "1M"})

    async def ask():
        async with objpool.aio.connect(daemon.address) as client:
            with pytest.raises(objpool.TooLarge, match=LIMIT):
                await client.pool("p").echo(VALUES["array"])
            assert await client.pool("p").echo(1) == 1
    asyncio.run(ask())


def test_a_worker_does_not_copy_its_result(start, place):
    """The zeros are memory that nobody has written to: who reads them takes no memory, a copy would."""
    (place / "zeros.py").write_text("class Zeros:\n    def give(self, n):\n        return bytes(n)\n")
    daemon = start({"z": {"plugin": "python", "class": "zeros:Zeros", "python_path": f'["{place}"]', "workers": 1}}, {"max_message": "1M"})
    with objpool.connect(daemon.address) as client:
        with pytest.raises(objpool.TooLarge, match=f"the result is {(200 << 20) + 5} bytes, over {LIMIT}"):
            client.pool("z").give(200 << 20)
        pid = client.status("z")["pools"][0]["slots"][0]["pid"]
    with open(f"/proc/{pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    assert peak < 100 << 10
