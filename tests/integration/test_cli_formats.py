# SPDX-License-Identifier: Apache-2.0
"""--format: what objpool prints of results, as pandas, numpy and people read it."""
import base64
import csv
import io
import json
import os
import subprocess

import msgpack
import numpy
import pytest
from harness import BUILD
from terminals import pseudo_terminal, read_terminal


@pytest.fixture
def objpool(start):
    daemon = start(pools={"p": {"workers": 2}})

    def run(*arguments, input=b"", status=0):
        done = subprocess.run([BUILD / "objpool", *map(str, arguments)], capture_output=True, timeout=60, input=input,
                              env={**os.environ, "OBJPOOL_ADDRESS": daemon.address})
        assert done.returncode == status, done
        return done
    run.daemon = daemon
    return run


def call(objpool, form, value, status=0):
    """What is printed of a value."""
    done = objpool("call", "p.echo", "--format", form, "--", json.dumps(value, default=packed), status=status)
    return done if status else done.stdout


def packed(array):
    """An array as docs/VALUES.md has it, in the JSON of objpool(1)."""
    dtype = array.dtype.descr if array.dtype.names else array.dtype.str
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    header = msgpack.packb([dtype, list(array.shape), order])
    header += bytes(-(2 + len(header)) % 64)
    data = len(header).to_bytes(2, "big") + header + array.tobytes(order=order)
    return {"$ext": [81, base64.b64encode(data).decode()]}


def rows(text):
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def test_pretty(objpool):
    long = [{"name": "x" * 30, "place": [1, 2.5, None], "more": {"a": True}, "text": "y" * 30}, {"name": "short"}]
    text = call(objpool, "pretty", long).decode()
    assert json.loads(text) == long
    assert '\t\t"place": [1, 2.5, null],\n' in text and '\n\t{"name": "short"}\n]\n' in text
    assert call(objpool, "pretty", [1, 2]) == b"[1, 2]\n"
    grid = numpy.arange(60).reshape(3, 20)
    assert call(objpool, "pretty", grid).decode().splitlines()[1] == f"\t{grid[0].tolist()},"
    assert json.loads(call(objpool, "pretty", grid)) == grid.tolist()
    lines = objpool("map", "p.echo", "--format", "pretty", input=b"1\n[2]\n").stdout
    assert lines == b"1\n[2]\n"


def test_csv_of_records(objpool):
    records = [{"name": 'says "no", twice', "n": 1}, {"n": -2.5, "name": "two\nlines", "new": True}, {"name": "", "n": None}]
    text = call(objpool, "csv", records)
    assert rows(text) == [["name", "n", "new"], ['says "no", twice', "1", ""], ["two\nlines", "-2.5", "true"], ["", "", ""]]
    assert text.endswith(b'\n"",,\n'), "nil and text without a character differ"
    assert rows(call(objpool, "csv", {"a": 1, "b": {"deep": ["x", 1]}})) == [["a", "b"], ["1", '{"deep": ["x", 1]}']]


def test_csv_of_rows_and_numbers(objpool):
    assert call(objpool, "csv", [[1, "a"], [2, "b,c"]]) == b'1,a\n2,"b,c"\n'
    assert call(objpool, "csv", [1, 2.5, None, " x"]) == b'1\n2.5\n""\n" x"\n'
    assert call(objpool, "csv", 7) == b"7\n"
    assert call(objpool, "csv", []) == b""
    assert call(objpool, "csv", numpy.array([[1.5, numpy.nan], [numpy.inf, 2]])) == b"1.5,nan\ninf,2.0\n"
    assert call(objpool, "csv", numpy.asfortranarray([[1, 2], [3, 4]])) == b"1,2\n3,4\n"
    assert call(objpool, "csv", numpy.array([1, 2], "u1")) == b"1\n2\n"
    assert call(objpool, "csv", [numpy.array([1, 2]), numpy.array([3, 4])]) == b"1,2\n3,4\n"
    assert objpool("call", "p:all.slot", "--format", "csv").stdout == b"0\n1\n"


NO_CSV = [
    ([{"a": 1}, 2], "others than maps"),
    ([[1], [1, 2]], "rows have 1 and 2 fields"),
    (numpy.zeros((2, 2, 2)), "3 dimensions"),
    ([numpy.zeros((2, 2))], "2 dimensions"),
    (numpy.zeros(2, "c16"), "dtype"),
    ([[]], "no fields"),
    ({"$map": [[1, 2]]}, "a key that is no text"),
    ({}, "empty"),
]


def test_csv_has_no_form(objpool):
    for value, why in NO_CSV:
        done = call(objpool, "csv", value, status=1)
        assert why in done.stderr.decode() and done.stdout == b""


def test_csv_on_a_terminal_is_escaped(objpool):
    with pseudo_terminal() as (ours, theirs):
        process = subprocess.run([BUILD / "objpool", "call", "p.echo", "--format", "csv", '["\\u001b[2J"]'], stdout=theirs,
                                 timeout=60, env={**os.environ, "OBJPOOL_ADDRESS": objpool.daemon.address})
        assert process.returncode == 0
        shown = read_terminal(ours, theirs)
    assert "\x1b" not in shown and "[2J" in shown


ARRAYS = [
    numpy.arange(6, dtype="<f4").reshape(2, 3),
    numpy.asfortranarray(numpy.arange(24, dtype=">i2").reshape(2, 3, 4)),
    numpy.array(2.5),
    numpy.zeros((0, 3), "<f8"),
    numpy.array([1 + 2j, 3j]),
    numpy.array(["a", "bcd"]),
    numpy.array([(1, 2.5, [7, 8])], dtype=[("it's", "<i4"), ("y", "<f8"), ("z", "<u1", (2,))]),
    numpy.array([("2020-01-01",)], dtype=[("when", "<M8[D]")]),
]


def test_npy_of_arrays(objpool):
    for array in ARRAYS:
        text = call(objpool, "npy", array)
        read = numpy.load(io.BytesIO(text))
        assert read.dtype == array.dtype and read.shape == array.shape and read.tobytes() == array.tobytes()
        assert text[:8] == b"\x93NUMPY\x01\x00" and (text.index(b"\n") + 1) % 64 == 0
        stacked = numpy.load(io.BytesIO(call(objpool, "npy", [array, array])))
        assert stacked.dtype == array.dtype and stacked.shape == (2, *array.shape)
        assert [item.tobytes() for item in stacked] == [array.tobytes()] * 2


def test_an_array_of_nothing_that_says_it_is_large(objpool):
    header = msgpack.packb(["<U0", [2**40, 2**20], "C"])
    header += bytes(-(2 + len(header)) % 64)
    value = {"$ext": [81, base64.b64encode(len(header).to_bytes(2, "big") + header).decode()]}
    assert b"(1099511627776, 1048576, )" in call(objpool, "npy", value)
    assert b"dtype" in call(objpool, "csv", value, status=1).stderr


NUMBERS = [
    ([1, -2, 3], "<i8"), ([[1, 2.5], [3, 4]], "<f8"), ([2**64 - 1, 0], "<u8"), ([True, False], "|b1"), (1.5, "<f8"), ([], "<f8"),
    ([[], []], "<f8"), ([2**64 - 1, -1, 0.5], "<f8"),
]


def test_npy_of_numbers(objpool):
    for value, dtype in NUMBERS:
        read = numpy.load(io.BytesIO(call(objpool, "npy", value)))
        assert read.dtype == numpy.dtype(dtype) and read.tolist() == numpy.array(value, dtype).tolist()


NO_NPY = [
    ("text", "something else"), ([1, "a"], "something else"), ([[1], [1, 2]], "length"), ([1, [1]], "equally deep"),
    ([[], 1], "each other's place"), ([True, 1], "each other's place"), ([numpy.zeros(2), numpy.zeros(3)], "dtype or shape"),
    ([2**64 - 1, -1], "no type of numpy"), (numpy.zeros(1, [("\u00e9", "<f8")]), "ASCII"), ([1, numpy.zeros(1)], "place"),
]


def test_npy_has_no_form(objpool):
    for value, why in NO_NPY:
        done = call(objpool, "npy", value, status=1)
        assert why in done.stderr.decode() and done.stdout == b""


def test_maps(objpool):
    lines = b"".join(b'{"n": %d, "square": %d}\n' % (i, i * i) for i in range(1000))
    assert rows(objpool("map", "p.echo", "--format", "csv", input=lines).stdout) == \
        [["n", "square"], *([str(i), str(i * i)] for i in range(1000))]
    numbers = b"".join(b"[%d, %d.5]\n" % (i, i) for i in range(1000))
    read = numpy.load(io.BytesIO(objpool("map", "p.echo", "--format", "npy", input=numbers).stdout))
    assert read.tolist() == [[i, i + 0.5] for i in range(1000)]
    assert numpy.load(io.BytesIO(objpool("map", "p.echo", "--format", "npy").stdout)).shape == (0,)
    done = objpool("map", "p.echo", "--format", "csv", input=b'{"a": 1}\n{"b": 2}\n', status=1)
    assert done.stdout == b"a\n1\n" and "result 1 has no such form: a record has a key that the first one lacks" in done.stderr.decode()
    done = objpool("map", "p.fail", "--format", "npy", input=b'"why"\n', status=1)
    assert done.stdout == b"" and b"why" in done.stderr


def test_usage(objpool):
    assert b"--format" in objpool("call", "p.echo", "--format", "xml", status=2).stderr
    assert b"--json" in objpool("call", "p.echo", 1, "--format", "csv", "--json", status=2).stderr
    assert b"--unordered" in objpool("map", "p.echo", "--format", "pretty", "-u", status=2).stderr
    assert b"--errors first" in objpool("map", "p.echo", "--format", "csv", "-e", "collect", status=2).stderr
    with pseudo_terminal() as (_, theirs):
        refused = subprocess.run([BUILD / "objpool", "call", "p.echo", "1", "--format", "npy"], stdout=theirs,
                                 stderr=subprocess.PIPE, timeout=60, env={**os.environ, "OBJPOOL_ADDRESS": objpool.daemon.address})
    assert refused.returncode == 2 and b"terminal" in refused.stderr
