# SPDX-License-Identifier: Apache-2.0
"""The programs in client/python/examples, run as they are."""
import os
import re
import subprocess
import sys

import pytest
from harness import ROOT

EXAMPLES = ROOT / "client" / "python" / "examples"
pytest.importorskip("numpy")


def run(name):
    done = subprocess.run([sys.executable, str(EXAMPLES / name)], text=True, capture_output=True, timeout=60, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_objectproxypool():
    out = run("objectproxypool_sampler.py")
    assert "processes: 4\nrows: (4, 1000) mean 10\n" in out
    assert "mapped: [100 102 104 106 108 110 112 114]\nshared: [0.0, 1.0, 2.0]\ndedicated: [11 21 31]\n" in out


def test_py_stateful_map():
    out = run("py_stateful_map_progress.py")
    assert "0 [0, 1, 2, 3, 4] None\n1 [3, 4, 2, 0, 1] None\n2 None KeyError('bird')\n" in out
    assert "[[0, 1, 0, 1], [3, 3, 3]]\n100 328350\n" in out


def test_multiprocess():
    assert run("multiprocess_pool.py").splitlines() == [
        "[0, 1, 4, 9, 16, 25, 36, 49, 64, 81]", "[1, 2, 3, 4, 5]", "[0, 1, 4, 9, 16]", "400", "[32, 9]", "11", "0 1 4", "it takes too long",
        "error: integer division or modulo by zero", "[0, 1, 10, 11]"]


def test_parallelize():
    out = run("parallelize_slices.py")
    results = [line for line in out.splitlines() if not line.startswith("Completed ")]
    assert results == ["168", "[983, 991, 997]", "[991, 997]", "[31125, 93625, 156125, 218625]"]
    assert len(re.findall(r"^Completed 'parallel' in \d+\.\d{4} secs$", out, re.M)) == 4


def test_the_cheat_sheet():
    assert run("cheat_sheet.py").splitlines() == [
        "10000 10200 ... 13800", str([1, 2, 3] * 6 + [1, 2]), str([1, 2, 3, 4, 5] * 4), "[1, 1, 1, 1, 1] 0"]


def test_a_model_for_two_programs():
    out = run("shared_model.py")
    workers = re.findall(r"^(first|second): largest error 0\.0\d, from worker (\[\d+, \d+\])$", out, re.M)
    assert "loaded by 2 workers\n" in out and {name for name, _ in workers} == {"first", "second"} and len({pids for _, pids in workers}) == 1


def test_a_thousand_requests_at_once():
    out = run("fetcher.py")
    found = re.search(r"^1000 requests of 1 s each, (\d+) at once, took [\d.]+ s$", out, re.M)
    assert found and int(found[1]) > 50, out
    assert "the page /0 ... the page /999\n" in out and "known by now: 1000\n" in out
