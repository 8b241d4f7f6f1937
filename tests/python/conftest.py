# SPDX-License-Identifier: Apache-2.0
"""Each test has a daemon of its own, as in tests/integration, and runs in the package of the checkout, or in the one that is
installed in the folder OBJPOOL_PACKAGE."""
import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = pathlib.Path(os.environ.get("OBJPOOL_PACKAGE", ROOT / "client" / "python"))
sys.path[:0] = [str(PACKAGE), str(ROOT / "tests" / "integration")]
os.environ["PYTHONPATH"] = str(PACKAGE)

import harness  # noqa: E402

os.environ["OBJPOOL_BIN"] = str(harness.BUILD)
for name in ("OBJPOOL_ADDRESS", "XDG_RUNTIME_DIR"):
    os.environ.pop(name, None)

_spec = importlib.util.spec_from_file_location("integration_conftest", ROOT / "tests" / "integration" / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
place, start, pytest_collection_modifyitems = _shared.place, _shared.start, _shared.pytest_collection_modifyitems

import objpool  # noqa: E402


@pytest.fixture
def daemon(start):
    """A daemon with a pool p of two Probes."""
    return start()


@pytest.fixture
def client(daemon):
    """A client of it."""
    with objpool.connect(daemon.address, timeout=harness.DEADLINE) as client:
        yield client


@pytest.fixture
def pool(client):
    """Its pool."""
    return client.pool("p")


@pytest.fixture
def program(place):
    """program(text, *arguments): a Python program that runs; its standard input and output are pipes. Killed at the end."""
    started = []

    def run(text, *arguments, **environment):
        path = place / f"program{len(started)}.py"
        path.write_text(text)
        process = subprocess.Popen([sys.executable, str(path), *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
