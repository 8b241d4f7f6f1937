# SPDX-License-Identifier: Apache-2.0
"""objpool.compat.parallelize, point by point."""
import os
import queue
import re
import tempfile

import pytest

from objpool._embedded import private_daemon
from objpool.compat.multiprocess import ProcessError
from objpool.compat.multiprocess.pool import MaybeEncodingError
from objpool.compat.parallelize import (
    capture_output, make_divisions, merge_results, parallel, parallelize, retrieve_output, time_function, write_output_to_temp_file)


def squares(numbers, plus=0):
    return [x * x + plus for x in numbers]


def pids(numbers):
    return [os.getpid()]


def takes_odd_names(numbers, index, queue, func, iterable, write_to_file):
    return [index, queue, func, iterable, write_to_file]


@pytest.fixture(autouse=True)
def no_file_is_left(place, monkeypatch):
    assert not private_daemon().has_ended()     # whose socket is to outlive the folder
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    assert [path.name for path in place.iterdir() if path.name.startswith("tmp")] == []


@pytest.mark.parametrize("write_to_file", [False, True])
def test_parallel(write_to_file, capfd):
    assert parallelize.parallel is parallel
    assert parallel(squares, list(range(11)), n_jobs=3, write_to_file=write_to_file) == [x * x for x in range(11)]
    out = capfd.readouterr().out
    assert re.search(r"Completed 'parallel' in \d+\.\d{4} secs", out) and "'merge_results'" in out
    assert ("'write_output_to_temp_file'" in out) == ("'retrieve_output'" in out) == write_to_file
    assert parallel(squares, [1, 2, 3], args=(5,)) == parallel(squares, [1, 2, 3], kwargs={"plus": 5}) == [6, 9, 14]


def test_each_slice_has_a_process_of_its_own():
    found = parallel(pids, list(range(4)), n_jobs=4)
    assert len(set(found)) == 4 and os.getpid() not in found


@pytest.mark.parametrize("write_to_file", [False, True])
def test_only_lists_are_joined(write_to_file):
    def run(func):
        return parallel(func, list(range(4)), write_to_file=write_to_file)
    assert run(sum) == [1, 5]
    assert run(tuple) == [(0, 1), (2, 3)]
    assert run(lambda part: None) == [None, None]
    assert run(lambda part: part if 0 in part else "x") == [[0, 1], "x"]
    assert run(lambda part: [[x] for x in part]) == [[0], [1], [2], [3]]


def test_arguments_are_checked():
    for wrong in (range(4), (1, 2, 3), "abc"):
        with pytest.raises(TypeError, match="^Iterable must be a list$"):
            parallel(squares, wrong)
    with pytest.raises(ValueError, match="^Number of splits must not be greater than length of iterable$"):
        parallel(squares, [1, 2], n_jobs=3)
    with pytest.raises(ZeroDivisionError):
        parallel(squares, [1], n_jobs=0)
    assert parallel(squares, [1, 2], n_jobs=2) == [1, 4]


def test_keywords_of_any_name():
    names = {"index": 1, "queue": 2, "func": 3, "iterable": 4, "write_to_file": 5}
    assert parallel(takes_odd_names, [1, 2], kwargs=names) == [1, 2, 3, 4, 5] * 2


@pytest.mark.parametrize("write_to_file", [False, True])
def test_failures_are_raised(write_to_file):
    with pytest.raises(ZeroDivisionError):
        parallel(lambda part: 1 // part[0], [1, 1, 0, 1], n_jobs=2, write_to_file=write_to_file)
    with pytest.raises(ProcessError):
        parallel(lambda part: os._exit(1) if 0 in part else part, [0, 1], write_to_file=write_to_file)
    with pytest.raises((MaybeEncodingError, TypeError)):
        parallel(lambda part: (x for x in part), [0, 1], write_to_file=write_to_file)


def test_divisions():
    assert make_divisions(list(range(11)), 6) == [0, 1, 2, 3, 4, 5, 11]
    assert make_divisions(list(range(10)), 2) == [0, 5, 10]
    with pytest.raises(ValueError):
        make_divisions([1], 2)


def test_the_other_functions(capsys):
    assert merge_results([(1, [1]), (0, [[2]]), (2, [])]) == [[2], 1]
    path = write_output_to_temp_file({"a": 1})
    assert os.path.exists(path) and retrieve_output([(3, path)]) == [(3, {"a": 1})] and not os.path.exists(path)
    results = queue.Queue()
    capture_output(squares, [2], 7, results, False, 1)
    assert results.get_nowait() == (7, [5])
    capture_output(squares, [2], 7, results, True, plus=1)
    assert retrieve_output([results.get_nowait()]) == [(7, [5])]
    assert time_function(squares)([3]) == [9]
    assert re.search(r"Completed 'squares' in \d+\.\d{4} secs", capsys.readouterr().out)
