# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/integration: each test has a daemon of its own; and a browser."""
import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "page")]

import browser as browsers  # noqa: E402

_spec = importlib.util.spec_from_file_location("integration_conftest", TESTS / "integration" / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
place, start = _shared.place, _shared.start


@pytest.fixture
def browser(tmp_path):
    made = browsers.Browser(tmp_path)
    yield made
    made.close()
