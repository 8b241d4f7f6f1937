# SPDX-License-Identifier: Apache-2.0
"""The fixtures of tests/integration: each test has a daemon of its own."""
import importlib.util
import pathlib
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "wire")]

import certificates  # noqa: E402

_spec = importlib.util.spec_from_file_location("integration_conftest", TESTS / "integration" / "conftest.py")
_shared = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_shared)
place, start = _shared.place, _shared.start


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A CA."""
    return certificates.Authority(tmp_path_factory.mktemp("ca"))
