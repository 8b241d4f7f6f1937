# SPDX-License-Identifier: Apache-2.0
"""The types of the client, as mypy --strict sees them. Without mypy only the names are looked at."""
import ast
import os
import pathlib
import shutil
import subprocess

import pytest

import objpool
import objpool.aio

PACKAGE = pathlib.Path(objpool.__file__).parents[1]

PROGRAM = '''
from typing import AsyncIterator
import objpool
import objpool.aio

class Model:
    def __init__(self, scale: int) -> None:
        self.scale = scale

def threads() -> None:
    with objpool.connect("tcp:h:1", timeout=5, retry=objpool.Retry(3)) as client:
        pool = client.pool("p", timeout=3)
        reveal_type(client)  # objpool._client.Client
        reveal_type(pool)  # objpool._pool.Pool
        reveal_type(pool.options(timeout=5))  # objpool._pool.Pool
        reveal_type(pool.options(errors="collect").map)  # objpool._target.Target
        reveal_type(pool[0])  # objpool._target.Target
        reveal_type([target for target in pool])  # list[objpool._target.Target]
        reveal_type(pool.map.step)  # objpool._target.Method
        reveal_type(pool.step.options(timeout=1))  # objpool._target.Method
        reveal_type(pool.step.future(1))  # objpool._future.CallFuture
        reveal_type(pool.map.step.stream([1, 2], ordered=False))  # objpool._stream.Stream[Any]
        with pool.lease(timeout=2) as lease:
            reveal_type(lease)  # objpool._lease.Lease
            reveal_type(lease.slot)  # int
            reveal_type(lease.options(timeout=1))  # objpool._target.Target
    with objpool.create_pool(Model, 4, args=[3]) as made:
        reveal_type(made)  # objpool._pool.Pool
    reveal_type(objpool.default_client())  # objpool._client.Client
    try:
        made.step(objpool.PRIVATE)
    except objpool.WorkerLost as lost:
        reveal_type(lost.signal)  # Union[int, None]
        reveal_type(lost.ran)  # str

async def numbers() -> AsyncIterator[int]:
    yield 1

async def loops() -> None:
    async with objpool.aio.connect() as client:
        pool = client.pool("p")
        reveal_type(client)  # objpool.aio._client.Client
        reveal_type(pool)  # objpool.aio._pool.Pool
        reveal_type(await pool.size())  # int
        reveal_type(await pool.all.step(1))  # Any
        reveal_type(pool.options(timeout=1))  # objpool.aio._pool.Pool
        reveal_type(pool.options(timeout=1).key("a"))  # objpool.aio._target.Target
        reveal_type(pool[0])  # objpool.aio._target.Target
        reveal_type(pool.step)  # objpool.aio._target.Method
        reveal_type(pool.map.step.stream(numbers()))  # objpool.aio._stream.Stream[Any]
        async for value in pool.map.step.stream([1]):
            print(value)
        async with pool.lease() as lease:
            reveal_type(lease)  # objpool.aio._lease.Lease
            print(await lease.step(1), await lease.options(timeout=1).step(2), await lease.call("step"))
        reveal_type(await pool.lease())  # objpool.aio._lease.Lease
        async with await client.create_pool(Model, args=[1]) as made:
            reveal_type(made)  # objpool.aio._pool.Pool
    reveal_type(await objpool.aio.connect())  # objpool.aio._client.Client
'''

FAULTS = '''
import objpool
import objpool.aio

objpool.nothing
objpool.connect(1)

async def loops() -> None:
    async with objpool.aio.connect() as client:
        client.pool("p").step(1)
        client.pool("p")[0].call("step")
'''

CONFIGURATION = "[mypy]\nstrict = true\nshow_error_codes = true\n[mypy-objpool.*]\nfollow_imports = silent\n"
MYPY = os.environ.get("OBJPOOL_MYPY") or shutil.which("mypy")
needs_mypy = pytest.mark.skipif(MYPY is None, reason="there is no mypy")


@pytest.fixture
def check(place):
    """check(program): what mypy says of it, by line."""
    def run(text):
        (place / "program.py").write_text(text)
        (place / "mypy.ini").write_text(CONFIGURATION)
        command = [MYPY, "--config-file", "mypy.ini", "--no-incremental", "program.py"]
        done = subprocess.run(command, cwd=place, text=True, capture_output=True, env={**os.environ, "MYPYPATH": str(PACKAGE)})
        assert done.stderr == ""
        said = [line.split(":", 3) for line in done.stdout.splitlines() if line.startswith("program.py:")]
        return [(int(line), kind.strip(), words.strip()) for _, line, kind, words in said]
    return run


@needs_mypy
def test_a_program(check):
    said = {line: (kind, words) for line, kind, words in check(PROGRAM)}
    assert [words for kind, words in said.values() if kind == "error"] == []
    for number, line in enumerate(PROGRAM.splitlines(), 1):
        code, _, expected = line.partition("  # ")
        if "reveal_type" in code:
            found = said[number][1].removeprefix('Revealed type is "').rstrip('"')
            assert found.replace("builtins.", "").replace("int | None", "Union[int, None]") == expected, line


@needs_mypy
def test_faults_are_found(check):
    assert [line for line, kind, _ in check(FAULTS) if kind == "error"] == [5, 6, 10, 11]


def test_type_checkers_see_each_name():
    """They take a name that a package imports for its own affair, unless it is imported as itself."""
    imports = [node for node in ast.walk(ast.parse(pathlib.Path(objpool.__file__).read_text())) if isinstance(node, ast.ImportFrom)]
    seen = {alias.name for node in imports for alias in node.names if alias.asname == alias.name}
    assert set(objpool.__all__) == seen | set(objpool.errors.__all__)
