# SPDX-License-Identifier: Apache-2.0
"""Classes written in Python, in pools."""
import json
import os
import pathlib
import pickle
import signal
import sys
import time

import cloudpickle
import dill
import msgpack
import numpy
import pytest

from harness import needs, wait_for

pytestmark = needs("python")

CLASSES = pathlib.Path(__file__).parent / "classes"
OBJECT, ARRAY = 80, 81


def section(name, **keys):
    return {"plugin": "python", "class": f"sample:{name}", "python_path": json.dumps([str(CLASSES)]), "workers": 1, **keys}


def pickled(value, module=pickle, codec=b"pickle"):
    return msgpack.ExtType(OBJECT, codec + b"\0" + module.dumps(value))


def unpickled(ext):
    assert ext.code == OBJECT
    codec, _, body = ext.data.partition(b"\0")
    return {b"pickle": pickle, b"dill": dill}[codec].loads(body)


def array_ext(array):
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    kind = array.dtype.str if array.dtype.names is None else array.dtype.descr
    header = msgpack.packb([kind, array.shape, order])
    header += bytes(-(2 + len(header)) % 64)
    return msgpack.ExtType(ARRAY, len(header).to_bytes(2, "big") + header + array.tobytes(order))


def array_of(ext):
    assert ext.code == ARRAY
    size = int.from_bytes(ext.data[:2], "big")
    assert (2 + size) % 64 == 0
    unpacker = msgpack.Unpacker()
    unpacker.feed(ext.data[2:2 + size])
    kind, shape, order = unpacker.unpack()
    if not isinstance(kind, str):
        kind = [(tuple(name) if isinstance(name, list) else name, how, *map(tuple, rest)) for name, how, *rest in kind]
    return numpy.ndarray(shape, kind, ext.data[2 + size:], order=order)


@pytest.fixture
def python(start):
    """python("Counter", …): a daemon with the pool `p` of that class, and a client that gets errors as maps."""
    def begin(name, **keys):
        daemon = start({"p": section(name, **keys)})
        daemon.python_client = daemon.client().maps()
        return daemon, daemon.python_client

    return begin


# ---- calls ----


def test_arguments_and_state(python):
    _, client = python("Counter", args="[5]", kwargs='{"step": 2}')
    assert client.value("p.add", 3) == 11
    assert client.value("p.add") == 13
    assert client.full("p", "add", kwargs={"n": 10}) == (None, 33)
    assert client.full("p", "echo", [1, "x"], kwargs={"k": None, "ä": [True]}) == (None, [[1, "x"], {"k": None, "ä": [True]}])
    assert client.value("p.echo", *range(100))[0] == list(range(100))
    assert client.value("p.twice", 4) == 8 and client.value("p.name_of_class") == "Counter"
    assert client.value("p.__len__") == 7


def test_a_map(python):
    _, client = python("Counter", workers=2)
    assert client.value("p:map.twice", list(range(5000))) == [2 * i for i in range(5000)]
    assert client.full("p:map", "echo", [[1, 2]], bind=["b"], bind_kwargs={"k": 1}) == (None, [[["b", 1], {"k": 1}], [["b", 2], {"k": 1}]])


PLAIN = [None, True, False, 0, -1, 127, -128, 2**31, -2**31, 2**63 - 1, -2**63, 2**64 - 1, 1.5, float("inf"), "", "ä\0€", "x" * 70000, b"",
         b"\0\xff", b"y" * 70000, [], [1, [2, [3, []]]], {}, {"a": 1, 2: [b"x"], b"k": None, 1.5: 1, None: 0, True: 2}, [0] * 70000]


def test_plain_values_there_and_back(python):
    _, client = python("Counter")
    for value in PLAIN:
        got = client.value("p.same", value)
        assert got == value and type(got) is type(value)


@pytest.mark.parametrize("expression, plain", [
    ("(1, (2,))", [1, [2]]), ("bytearray(b'ab')", b"ab"), ("memoryview(b'abc')[1:]", b"bc"), ("Colour.RED", 1), ("Point(1, 2)", [1, 2]),
    ("collections.OrderedDict(a=1)", {"a": 1}), ("range(3).__iter__()", [0, 1, 2]),
])
def test_what_becomes_plain_where_nothing_may_be_pickled(python, expression, plain):
    _, client = python("Trouble")
    assert client.value("p.value_of", expression) == plain


def test_missing_methods(python):
    _, client = python("Counter")
    for name in ("nothing", "_private", "size", "__class__", "__init__", "__reduce__", "__getitem__", "value", "\udcff"[:0] + "é"):
        error = client.error(f"p.{name}")
        assert (error["code"], error["ran"]) == ("NO_SUCH_METHOD", "no") and name in error["message"], error


def test_a_method_that_is_gone_has_not_run(python):
    """It was there when it was called before. One that takes itself away and raises an AttributeError has run."""
    _, client = python("Trouble")
    client.value("p.lend", False)
    assert client.value("p.lent") == "lent"
    client.value("p.take_back")
    error = client.error("p.lent")
    assert (error["code"], error["ran"]) == ("NO_SUCH_METHOD", "no")
    client.value("p.lend", True)
    error = client.error("p.lent")
    assert (error["code"], error["type"], error["ran"]) == ("FAILED", "AttributeError", "yes")


def test_an_attribute_error_of_a_method_is_its_own(python):
    _, client = python("Trouble")
    error = client.error("p.missing_inside")
    assert (error["code"], error["type"]) == ("FAILED", "AttributeError") and "nothing" in error["message"]


def test_wrong_arguments_are_what_python_says(python):
    _, client = python("Counter")
    error = client.error("p.add", 1, 2, 3)
    assert (error["code"], error["type"]) == ("FAILED", "TypeError") and "positional" in error["message"]
    error, _ = client.full("p", "add", kwargs={"colour": 1})
    assert error["type"] == "TypeError" and "colour" in error["message"]


# ---- the class ----


def test_describe(python):
    _, client = python("Counter")
    told = client.value("objpool.describe", "p")
    assert told["class"] == "sample:Counter" and told["signature"] == "(start=0, *, step: int = 1, fail=None)"
    assert told["doc"] == "Counts.\n\nIt has a state."
    methods = {method["name"]: method for method in told["methods"]}
    assert methods["add"]["signature"] == "(n: int = 1) -> int" and methods["add"]["doc"] == "Adds n steps, and gives the sum."
    assert methods["twice"]["signature"] == "(x)" and methods["name_of_class"]["signature"] == "()"
    assert "__len__" in methods and not {"_private", "size", "__init__", "Inner"} & set(methods)


def test_an_inner_class_and_a_factory(start):
    daemon = start({"inner": section("Counter.Inner"), "made": section("factory", args="[3]")})
    with daemon.client() as client:
        assert client.value("inner.where") == "inside"
        assert client.value("made.get") == 30
        told = client.value("objpool.describe", "made")
        assert told["doc"] == "Makes a counter." and "add" in [method["name"] for method in told["methods"]]


@pytest.mark.parametrize("name, words", [
    ("sample:Nothing", "module sample has no Nothing"), ("nowhere:X", "No module named 'nowhere'"), ("sample:NUMBER", "is a int"),
    ("sample:", "module:name"), ("sample", "any name with a colon"), ("broken:X", "SyntaxError"), ("objpool:Odd", "objpool:Functions"),
    ("objpool:Functions", "unpickle = yes"), ("objpool:Pickled", "unpickle = yes"),
])
def test_a_class_that_is_not_there(start, place, name, words):
    (place / "broken.py").write_text("def (:\n")
    daemon = start({"p": {**section(""), "class": name, "python_path": json.dumps([str(CLASSES), str(place)])}})
    with daemon.client().maps() as client:
        error = client.error("p.x")
        assert error["code"] == "UNAVAILABLE" and words in error["message"], error


def test_a_constructor_that_raises(python):
    daemon, client = python("Counter", kwargs='{"fail": "no licence"}')
    error = client.error("p.get")
    assert error["code"] == "UNAVAILABLE" and "the constructor failed: sample.MyError: no licence" in error["message"]


# ---- exceptions ----


def test_an_exception(python):
    _, client = python("Trouble")
    error = client.error("p.fail", "ValueError", "no root")
    assert (error["code"], error["type"], error["message"], error["ran"]) == ("FAILED", "ValueError", "no root", "yes")
    assert error["traceback"].startswith("Traceback (most recent call last):\n") and error["traceback"].endswith("ValueError: no root\n")
    assert "sample.py" in error["traceback"] and "<objpool>" not in error["traceback"]
    assert "data" not in error
    assert client.error("p.fail_own")["type"] == "sample.MyError"
    assert "direct cause" in client.error("p.fail_chain")["traceback"]
    assert client.error("p.fail_unprintable")["type"] == "sample.Unprintable"
    assert client.error("p.fail_odd_text")["message"] == "nul \\x00 and \\udc80"
    assert client.error("p.fail", "KeyError")["message"] == "KeyError"
    assert client.error("p.fail_local")["type"].endswith("fail_local.<locals>.Local")


@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit", "GeneratorExit", "StopIteration", "MemoryError", "RecursionError"])
def test_any_exception_is_one_error_of_one_call(python, kind):
    daemon, client = python("Trouble")
    pids = daemon.pids(client)
    assert client.value("p.count") == 1
    error = client.error("p.fail", kind, "x")
    assert (error["code"], error["type"], error["message"]) == ("FAILED", kind, "x")
    assert client.value("p.count") == 2 and daemon.pids(client) == pids


def test_sys_exit_and_recursion(python):
    _, client = python("Trouble")
    assert client.error("p.exit", 3)["type"] == "SystemExit"
    assert client.error("p.recurse")["type"] == "RecursionError"
    assert client.value("p.count") == 1


def test_a_worker_that_dies(python):
    daemon, client = python("Trouble")
    error = client.error("p.os_exit", 3)
    assert (error["code"], error["exit_status"]) == ("WORKER_LOST", 3)
    error = client.error("p.segfault")
    assert (error["code"], error["signal"]) == ("WORKER_LOST", signal.SIGSEGV)
    assert client.value("p.count") == 1
    daemon.wait_log(r'File ".*sample.py", line \d+ in segfault')


def test_exceptions_travel_where_they_can(python):
    _, client = python("Trouble", unpickle="yes")

    def data(method, *args):
        error = client.error(f"p.{method}", *args)
        found = error.get("data")
        return unpickled(msgpack.unpackb(found)) if found is not None else None

    error = data("fail", "KeyError", "k")
    assert type(error) is KeyError and error.args == ("k",)
    assert type(data("fail", "SystemExit", 3)) is SystemExit
    assert str(data("fail_local")) == "of a function"
    assert data("fail_stubborn") is None
    assert client.error("p.fail_stubborn")["message"] == "1 and 2"


# ---- other values ----


def test_nothing_is_unpickled_unless_it_is_allowed(python, place):
    class Bad:
        def __reduce__(self):
            return os.system, (f"touch {place}/opened",)

    _, client = python("Counter")
    for argument in (pickled(Bad()), [{"x": pickled(Bad())}]):
        error = client.error("p.same", argument)
        assert error["code"] == "BAD_ARGUMENT" and "unpickle = no" in error["message"]
    assert not (place / "opened").exists()


@pytest.mark.parametrize("expression", ["2**64", "-2**63 - 1", "1j", "{1j}", "{(1, 2): 3}", "object()", "'\\udc80'", "lambda: 1"])
def test_what_would_have_to_be_pickled(python, expression):
    _, client = python("Trouble")
    error = client.error("p.value_of", expression)
    assert error["code"] == "FAILED" and client.value("p.count") == 1
    assert "unpickle = no" in error["message"] or error["type"] == "UnicodeEncodeError"


@pytest.mark.parametrize("value", [{1, 2}, 2**64, -2**70, 1j, {(1, 2): 3}, time.localtime(0), "\udc80", [1, {"a": {3}}]])
def test_objects_there_and_back(python, value):
    _, client = python("Counter", unpickle="yes")
    assert client.value("p.shape_of", pickled(value)) == [repr(value), type(value).__name__]
    got = client.value("p.same", pickled(value))
    while isinstance(got, list):
        got, value = got[1]["a"], value[1]["a"]
    assert unpickled(got) == value


def test_code_by_value(python):
    _, client = python("Counter", unpickle="yes")
    offset = 5
    got = client.value("p.same", pickled(lambda x: x + offset, cloudpickle))
    assert unpickled(got)(1) == 6
    assert client.value("p.shape_of", pickled(eval("lambda x: x", {"__name__": "__main__"}), dill, b"dill"))[1] == "function"


def test_objects_that_can_not_be_read(python):
    _, client = python("Counter", unpickle="yes")
    for argument, words in ((msgpack.ExtType(OBJECT, b"pickle\0junk"), "Unpickling"), (msgpack.ExtType(OBJECT, b"other\0x"), "codec"),
                            (msgpack.ExtType(OBJECT, b""), "codec"), (msgpack.ExtType(5, b"x"), "ext type 5"),
                            (msgpack.ExtType(OBJECT, b"pickle\0cnowhere\nX\n."), "nowhere")):
        error, _ = client.call("p.same", argument)
        assert error["code"] == "BAD_ARGUMENT" and words in error["message"], error
    assert client.value("p.get") == 0


def test_results_that_can_not_be_sent(python):
    _, client = python("Trouble", unpickle="yes")
    assert client.error("p.lock")["type"] == "TypeError"
    assert "not to be pickled" in client.error("p.odd")["message"]
    assert client.error("p.change_while_sent")["type"] == "RuntimeError"
    assert client.value("p.count") == 1


def test_deep_nesting(python):
    _, client = python("Trouble", unpickle="yes")
    value = client.value("p.nested", 100)
    for _ in range(32):
        value = value[0]
    value = unpickled(value)
    for _ in range(100 - 32):
        value = value[0]
    assert value == 1
    assert client.value("p.self_referring")[1][1][0] == 1


def test_deep_nesting_where_nothing_may_be_pickled(python):
    _, client = python("Trouble")
    assert client.value("p.nested", 32) is not None
    assert "deeper than 32" in client.error("p.nested", 33)["message"]
    assert "deeper than 32" in client.error("p.self_referring")["message"]


# ---- iterators ----


def test_what_a_generator_gives_is_an_array(python):
    _, client = python("Trouble")
    assert client.value("p.items", 5) == [0, 1, 2, 3, 4] and client.value("p.items", 0) == []
    assert client.value("p.mapped") == ["1", "2"]
    assert client.error("p.items_then_fail", 3)["message"] == "half way"
    assert client.value("p.later", "x") == "x"


def test_an_asynchronous_generator(python, place):
    _, client = python("Trouble")
    assert client.value("p.items_later", 5) == [0, 1, 2, 3, 4] and client.value("p.items_later", 0) == []
    assert stream(client, "items_later", 1000) == (list(range(1000)), None)
    _, error = stream(client, "items_later", 10**9, str(place / "closed"), stop_after=3)
    assert error["code"] == "CANCELLED"
    wait_for((place / "closed").exists, lambda: "the generator to be closed")


def test_a_generator_that_does_not_end(start):
    daemon = start({"p": section("Trouble")}, {"max_message": "1M"})
    with daemon.client().maps() as client:
        assert client.error("p.endless")["code"] == "TOO_LARGE"
        assert client.value("p.count") == 1


def stream(client, method, *args, stop_after=None):
    """(results, error) of a call that streams; cancelled after some."""
    call = client.start("objpool.call", "p", method, list(args), {"stream": True})
    results = []
    while (message := client.receive())[0] == 2:
        if message[1] == "objpool.result":
            results.append(message[2][3] if message[2][2] is None else message[2][2])
            if len(results) == stop_after:
                client.notify("objpool.cancel", call)
    return results, message[2]


def test_what_a_generator_gives_is_a_stream(python):
    _, client = python("Trouble", unpickle="yes")
    assert stream(client, "items", 1000) == (list(range(1000)), None)
    assert stream(client, "items", 0) == ([], None)
    assert stream(client, "mapped") == (["1", "2"], None)
    results, error = stream(client, "items_then_fail", 3)
    assert results[:3] == [0, 1, 2] and error["type"] == "sample.MyError"
    assert stream(client, "count") == ([1], None)


def test_an_endless_stream(python):
    daemon, client = python("Trouble")
    results, error = stream(client, "endless", stop_after=20000)
    assert len(results) >= 20000 and error["code"] == "CANCELLED"
    assert client.value("p.count") == 1


# ---- arrays ----

ARRAYS = [numpy.arange(6.0), numpy.arange(6, dtype=">i2").reshape(2, 3), numpy.asfortranarray(numpy.arange(6).reshape(2, 3)),
          numpy.array(5), numpy.zeros((0, 3)), numpy.array([b"ab", b"c"]), numpy.array(["ä", "bc"]), numpy.array([1 + 2j]),
          numpy.array(["2020-01-01"], "M8[D]"), numpy.array([(1, 2.5)], [("a", "<i4"), ("b", "<f8", (1,))]),
          numpy.arange(100000, dtype="f4"), numpy.zeros(2, []), numpy.zeros((2, 3), "V0"), numpy.zeros(2, [(("title", "a"), "<i4")])]
GAPS = numpy.zeros(3, numpy.dtype([("a", "i1"), ("b", "<f8")], align=True))
GAPS["b"] = [1, 2, 3]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}-{array.shape}")
def test_arrays_there_and_back(python, array):
    _, client = python("Counter")
    got = array_of(client.value("p.same", array_ext(array)))
    assert got.dtype == array.dtype and got.shape == array.shape and (got == array).all()
    assert got.flags.f_contiguous == array.flags.f_contiguous


def test_arrays_with_gaps_between_fields(python):
    """Gaps are fields without a name; what the header can't tell is pickled."""
    _, client = python("Trouble", unpickle="yes")
    made = "__import__('numpy').zeros(2, __import__('numpy').dtype({}))"
    aligned = client.value("p.value_of", made.format("[('a', 'i1'), ('b', '<f8')], align=True"))
    assert aligned.code == ARRAY and aligned.data[2:].startswith(msgpack.packb([[["a", "|i1"], ["", f"|V{GAPS.dtype.fields['b'][1] - 1}"], ["b", "<f8"]], [2], "C"]))
    crossed = client.value("p.value_of", made.format("{'names': ['a', 'b'], 'formats': ['<i4', '<i2'], 'offsets': [2, 0]}"))
    assert unpickled(crossed).dtype.fields["a"][1] == 2
    _, client = python("Trouble")
    assert client.error("p.value_of", made.format("{'names': ['a', 'b'], 'formats': ['<i4', '<i2'], 'offsets': [2, 0]}"))["type"] == "TypeError"
    _, client = python("Counter")
    assert client.value("p.shape_of", array_ext(GAPS))[0] == repr(GAPS).replace(", 'aligned': True", "")
    assert client.value("p.same", array_ext(GAPS)).data == array_ext(GAPS).data


def test_arrays_that_lie(python):
    _, client = python("Counter")
    good = array_ext(numpy.arange(6.0))

    def with_header(*header):
        packed = msgpack.packb(list(header))
        return msgpack.ExtType(ARRAY, len(packed).to_bytes(2, "big") + packed + bytes(48))

    def in_each_other(levels):
        header = b"\x93\xc0\xc0\xc0"
        for _ in range(levels):
            header = b"\x93\xc0\xc0" + msgpack.packb(msgpack.ExtType(ARRAY, len(header).to_bytes(2, "big") + header))
        return msgpack.ExtType(ARRAY, len(header).to_bytes(2, "big") + header)

    for bad in (msgpack.ExtType(ARRAY, b""), msgpack.ExtType(ARRAY, b"\xff\xff"), msgpack.ExtType(ARRAY, good.data[:-1]),
                msgpack.ExtType(ARRAY, good.data + b"x"), with_header("|O", [6], "C"), with_header("<f8", [-1], "C"),
                with_header("<f8", [2**62, 8], "C"), with_header("<f8", [6], "X"), with_header("<f8", 6, "C"), with_header(3, [6], "C"),
                with_header([["a", "|O"]], [6], "C"), with_header([["a", [["b", "O"]]]], [6], "C"), with_header("V99999999999999999999", [0], "C"),
                with_header(pickled(1), [6], "C"), in_each_other(3000)):
        error = client.error("p.same", bad)
        assert error["code"] == "BAD_ARGUMENT" and "SystemError" not in error["message"], error
    assert client.value("p.get") == 0


def test_arrays_are_read_only(start):
    code = "class A:\n def write(self, a):\n  a[0] = 1\n"
    daemon = start({})
    (daemon.path / "own.py").write_text(code)
    with daemon.client().maps() as client:
        client.value("objpool.create", {"pool": "p", "plugin": "python", "class": "own:A", "python_path": [str(daemon.path)]})
        assert "read-only" in client.error("p.write", array_ext(numpy.zeros(3)))["message"]
        assert "read-only" in client.error("p.write", array_ext(numpy.zeros(30000)))["message"]


def test_numpy_results(start):
    daemon = start({})
    (daemon.path / "own.py").write_text("""
import numpy
class A:
    def scalar(self):
        return [numpy.float64(1.5), numpy.int32(2), numpy.bool_(True), numpy.float32(0.5), numpy.str_("x")]
    def strided(self):
        return numpy.arange(10)[::2]
    def swapped(self):
        return numpy.arange(6).reshape(1, 2, 3).transpose(2, 0, 1)
    def objects(self):
        return numpy.array([{}, None])
""")
    with daemon.client().maps() as client:
        client.value("objpool.create", {"pool": "p", "plugin": "python", "class": "own:A", "python_path": [str(daemon.path)]})
        assert client.value("p.scalar") == [1.5, 2, True, 0.5, "x"]
        assert array_of(client.value("p.strided")).tolist() == [0, 2, 4, 6, 8]
        assert (array_of(client.value("p.swapped")) == numpy.arange(6).reshape(1, 2, 3).transpose(2, 0, 1)).all()
        assert unpickled(client.value("p.objects")).tolist() == [{}, None]


# ---- code that callers send ----


def create(client, class_name, **keys):
    return client.value("objpool.create", {"pool": "p", "plugin": "python", "class": class_name, **keys})


def test_functions(start):
    with start({}).client().maps() as client:
        create(client, "objpool:Functions", workers=2)
        assert client.value("p.call", "math:hypot", 3, 4) == 5
        assert client.value("p.call", pickled(lambda x, y=1: x + y, cloudpickle), 3) == 4
        assert client.full("p:map", "call", [[3, 4]], bind=[pickled(lambda x: x * x, cloudpickle)]) == (None, [9, 16])
        for mode, items in ((0, [1, 2]), (1, [(1,), (2,)]), (2, [{"x": 1}, {"x": 2}])):
            payload = cloudpickle.dumps((lambda x: -x, items, mode))
            assert pickle.loads(client.value("p.chunk", payload)) == (True, [-1, -2])
        error = client.error("p.chunk", pickle.dumps((int, ["1", "x"], 0)))
        assert error["type"] == "ValueError" and isinstance(unpickled(msgpack.unpackb(error["data"])), ValueError)
        assert "<objpool>" not in error["traceback"]


def test_functions_with_an_initializer(start):
    def initialize(value):
        import builtins
        builtins.given = value

    with start({}).client().maps() as client:
        create(client, "objpool:Functions", workers=2, args=[pickled(initialize, cloudpickle), [7]])
        got = client.full("p:all", "call", [pickled(lambda: __import__("builtins").given, cloudpickle)])
        assert got == (None, [7, 7])
        error, _ = client.call("objpool.create", {"pool": "q", "plugin": "python", "class": "objpool:Functions", "args": ["os:abort_not"]})
        assert error["code"] == "FAILED" and "abort_not" in error["message"]


def test_the_plugin_s_own_modules_are_nobody_else_s(start):
    """A pickle must not refer to them: no client could load it."""
    with start({}).client().maps() as client:
        create(client, "objpool:Functions")
        find = pickled(lambda: [name for name in __import__("sys").modules if "_objpool_" in name], cloudpickle)
        assert client.value("p.call", find) == []


def test_a_class_by_value(start):
    class Local:
        """Of the test."""

        def __init__(self, start, step=1):
            self.value = start
            self.step = step

        def next(self):
            """The next one."""
            self.value += self.step
            return self.value

        def me(self):
            return self

    with start({}).client().maps() as client:
        create(client, "objpool:Pickled", args=[pickled(Local, cloudpickle), 5], kwargs={"step": 2}, workers=2,
               slot_kwargs=[{}, {"step": 10}])
        assert client.value("p:all.next") == [7, 15]
        assert unpickled(client.value("p:0.me")).value == 7
        assert "next" in [method["name"] for method in client.value("objpool.describe", "p")["methods"]]


def test_a_class_by_value_that_is_large(start):
    class Large:
        data = bytes(1 << 20)

        def size(self):
            return len(self.data)

    daemon = start({})
    with daemon.client().maps() as client:
        create(client, "objpool:Pickled", args=[pickled(Large, cloudpickle)])
        assert client.value("p.size") == 1 << 20
        client.value("objpool.restart", "p")
        assert client.value("p.size") == 1 << 20
    assert "state could not" not in daemon.log()


def test_a_class_by_value_that_can_not_be_made(start):
    with start({}).client().maps() as client:
        for args in ([], [msgpack.ExtType(OBJECT, b"pickle\0cnowhere\nX\n.")], [3]):
            error, _ = client.call("objpool.create", {"pool": "p", "plugin": "python", "class": "objpool:Pickled", "args": args})
            assert error["code"] == "FAILED" and "could not be created" in error["message"]


# ---- who may choose code ----


@pytest.mark.parametrize("keys", [{"class": "os:system"}, {"python_path": ["/"]}, {"python_options": ["-b"]}, {"virtualenv": "/x"}, {"preload": ["os"]}, {"unpickle": True}])
def test_a_stranger_does_not_choose_code(start, keys):
    daemon = start({})
    with daemon.client(daemon.tcp).maps() as client:
        error, _ = client.call("objpool.create", {"pool": "p", "plugin": "probe", "class": "Probe", **keys})
        assert error["code"] == "DENIED"
        assert client.call("objpool.create", {"pool": "p", "plugin": "probe", "class": "Probe"})[0] is None


# ---- the call at hand ----


def test_the_call_at_hand(python):
    _, client = python("Place", workers=2)
    session = client.value("objpool.hello", {})["session"]
    got = client.value("p:1.here")
    assert got == {"pool": "p", "slot": 1, "slots": 2, "generation": 1, "method": "here", "session": session, "index": 0, "cancelled": False,
                   "deadline": None}
    assert client.value("p:1.made_at") == ["p", 1, 2, 1, None]
    assert 5 < client.full("p", "left", timeout_ms=10000)[1] < 10
    error, items = client.full("p:map", "here", [[]] * 3, args_as="positional")
    assert error is None and [call["index"] for call in items] == [0, 1, 2]


def test_progress(python):
    _, client = python("Place")
    call = client.start("objpool.call", "p", "progress", [3], {"progress": True})
    told = []
    while (message := client.receive())[0] == 2:
        told.append(message[2])
    assert message == [1, call, None, 3]
    assert told[0] == [call, 1, 3, "at 0"] and told[-1] == [call, 3, 3, "at 2"]


def test_methods_call_other_pools(start):
    daemon = start({"p": section("Place"), "q": section("Counter", workers=2), "t": section("Trouble")})
    with daemon.client() as client:
        assert client.value("p.ask", "q.twice", 4) == 8
        assert client.value("p.ask", "q:all.twice", 4) == [8, 8]
        assert client.full("p", "ask", ["q.echo", 1], kwargs={"k": 2}) == (None, [[1], {"k": 2}])
        code, kind, message, text = client.value("p.ask_wrongly", "t.fail_own")
        assert (code, kind) == ("FAILED", "sample.MyError") and "mine" in message and text == f"FAILED: sample.MyError: {message}"
        assert "on its own thread" in client.value("p.no_call_in_thread")[0]


def test_a_method_that_looks_whether_it_is_cancelled(python, place):
    daemon, client = python("Place")
    call = client.start("p.wait_cancelled", str(place / "begun"))
    wait_for((place / "begun").exists, lambda: "the method to begin")
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    wait_for(lambda: not (place / "begun").exists(), lambda: "the method to see it")


@pytest.mark.parametrize("method, trace", [("sleep", ["Cancelled"]), ("spin", ["left"]), ("wait", ["woken"])])
def test_a_method_that_does_not_look_is_interrupted(python, place, method, trace):
    daemon, client = python("Sleeper", cancel_grace=30)
    pid = client.value("p.pid")
    call = client.start(f"p.{method}", str(place / "begun"))
    wait_for((place / "begun").exists, lambda: "the method to begin")
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.value("p.what") == trace and client.value("p.pid") == pid
    for patience in (50, 500, 5000):                # until it is over after the method has begun
        (place / "begun").unlink(missing_ok=True)
        assert client.full("p", method, [str(place / "begun")], timeout_ms=patience)[0]["code"] == "TIMEOUT"
        if (place / "begun").exists():
            break
    assert client.value("p.what") == 2 * trace and client.value("p.pid") == pid


def test_nothing_is_interrupted_without_a_grace(python, place):
    daemon, client = python("Sleeper")
    call = client.start("p.sleep", str(place / "begun"), 0.3)
    wait_for((place / "begun").exists, lambda: "the method to begin")
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.value("p.what") == []


# ---- hooks ----


def test_hooks(python):
    daemon, client = python("Hooks")
    with daemon.client() as other:
        session = other.value("objpool.hello", {})["session"]
        assert other.value("objpool.lease", "p")["slot"] == 0
        other.value("objpool.release", "p")
        assert other.value("p.events") == [["leased", session], ["released", session]]
    wait_for(lambda: client.value("p.events")[2:] == [["session_end", session]], lambda: "the end of the session to be told")
    client.value("p.note", "busy", True)
    error = client.error("objpool.lease", "p")
    assert error["type"] == "sample.MyError" and "not now" in error["message"]
    client.value("objpool.restart", "p")
    assert client.value("p.get", "busy") is True and client.value("p.events") == []


def test_hooks_that_raise(python):
    daemon, client = python("Hooks")
    client.value("p.note", "angry", True)
    with daemon.client() as other:
        other.value("objpool.lease", "p")
        other.value("objpool.release", "p")
        assert len(other.value("p.events")) == 2  # what was raised is nobody's
    wait_for(lambda: len(client.value("p.events")) == 3, lambda: "the end of the session to be told")
    assert client.value("p.get", "angry") is True
    daemon.wait_log("MyError: at a release")
    daemon.wait_log("MyError: at the end of a session")
    client.value("objpool.restart", "p")
    assert client.value("p.get", "angry") is None
    daemon.wait_log("its state could not be saved: nothing of this is for others")


def test_methods_that_are_no_hooks(python):
    daemon, client = python("NotHooks")
    client.value("objpool.restart", "p")
    assert client.value("p.snapshot", "x", 3) == ["x", 3] and client.value("p.restore") == "restored"
    assert "state" not in daemon.log()


# ---- the process ----


def test_the_module_is_loaded_once_before_the_fork(python):
    _, client = python("Process", workers=3, preload='["numpy.random", "decimal"]')
    loaded, pids = zip(*client.value("p:all.pids"))
    assert len(set(loaded)) == 1 and len(set(pids)) == 3 and loaded[0] not in pids
    assert client.value("p:all.preloaded", "decimal") == [True] * 3
    assert len(set(client.value("p:all.random"))) == 3
    assert len(set(client.value("p:all.numpy_random"))) == 3


def test_a_preload_that_fails(python):
    daemon, client = python("Process", preload='["nowhere"]')
    assert "No module named 'nowhere'" in client.error("p.pids")["message"]


def test_a_preload_that_never_ends(start, place):
    (place / "endless.py").write_text("import signal\nwhile True:\n    signal.pause()\n")
    daemon = start({})
    with daemon.client() as client:
        create = {"pool": "endless", "plugin": "python", "class": "collections:Counter", "python_path": [str(place)], "preload": ["endless"]}
        assert "was not ready within start_timeout" in client.error("objpool.create", {**create, "start_timeout": 1})
        client.start("objpool.create", create)
        client.value("objpool.ping")                        # it stops, all the same


def test_the_world_of_a_worker(start, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    daemon = start({"p": section("Process")})
    with daemon.client() as client:
        prefix, executable, ignores, no_bytecode, encoding, _ = client.value("p.flags")
        assert (prefix, executable, ignores, no_bytecode, encoding) == ("/usr", "/usr/bin/python3", 1, 1, "utf-8")
        path = client.value("p.path")
        assert path[0] == str(CLASSES) and "/nowhere" not in path and "" not in path and "/usr/lib/python3/dist-packages" in path
        assert client.value("p.descriptor_signal") == "broken"
        assert client.value("p.fork") == [1, 2]
        assert client.value("p.run", "echo", "ä") == "ä\n"
        client.value("p.say", "hello, log")
    daemon.wait_log("slot 0: stdout: hello, log\n(.*\n)*.*slot 0: stderr: hello, log")


def test_a_child_does_not_answer_for_its_worker(python):
    daemon, client = python("Process")
    assert [client.value("p.fork_and_return", how) for how in ("exit", "raise", "return")] == [7, 1, 0]
    assert client.value("p.fork") == [1, 2]
    assert len(daemon.children()) == 2
    daemon.wait_log("ValueError: of the child")


def test_no_child_answers_for_its_worker(python):
    daemon, client = python("Forks")
    pids = daemon.pids(client)
    with daemon.client() as other:
        assert other.value("p.later") == "done"
    assert client.value("p.items", 3) == [0, 1, 2] and stream(client, "items", 3) == ([0, 1, 2], None)
    assert client.value("p.later") == "done"
    assert daemon.pids(client) == pids and len(daemon.children()) == 2


def test_a_class_that_can_not_be_looked_at(python):
    _, client = python("Shy")
    methods = {method["name"]: method["signature"] for method in client.value("objpool.describe", "p")["methods"]}
    assert methods == {"default": "(value=...)"}
    assert client.value("p.default") == "default" and client.value("p.odd") == "of an instance"


def test_threads_of_an_instance_run_while_it_waits(python):
    _, client = python("Process")
    client.value("p.tick_in_background")
    wait_for(lambda: client.value("p.ticked") > 20, lambda: "its thread to run")


@pytest.mark.parametrize("count, said", [(1, "1 thread, which"), (2, "2 threads, which")])
def test_threads_of_an_import_are_told_of(start, place, count, said):
    (place / "busy.py").write_text("import threading\nend = threading.Event()\n"
                                   f"for _ in range({count}): threading.Thread(target=end.wait, daemon=True).start()\n"
                                   "class Busy:\n    def ping(self): return 1\n")
    daemon = start({"p": {"plugin": "python", "class": "busy:Busy", "workers": 1, "python_path": json.dumps([str(place)])}})
    with daemon.client() as client:
        assert client.value("p.ping") == 1
    daemon.wait_log(f"imports have started {said} the workers don't have")


def test_an_orderly_end(start, place):
    daemon = start({"p": section("Process")})
    with daemon.client() as client:
        client.value("p.at_exit", str(place / "ended"))
        client.value("objpool.restart", "p")
    wait_for(lambda: (place / "ended").exists() and (place / "ended").read_text() == "ended", lambda: "the instance before to end")


def test_a_virtual_environment(start, place):
    packages = place / f"venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    (place / "venv/pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (packages / "only_there.py").write_text("class A:\n def numpy(self):\n  import numpy\n def prefix(self):\n  import sys\n  return sys.prefix\n")
    with start({}).client().maps() as client:
        create(client, "only_there:A", virtualenv=str(place / "venv"))
        assert client.value("p.prefix") == str(place / "venv")
        assert client.error("p.numpy")["type"] == "ModuleNotFoundError"
        for folder in (place, place / "nothing"):
            error, _ = client.call("objpool.create", {"pool": "q", "plugin": "python", "class": "only_there:A", "virtualenv": str(folder)})
            assert "virtual" in error["message"]


WRONG_OPTIONS = (
    ("file.py", 'is no option of Python: options begin with "-"'), ("-", "is no option of Python"), ("-Z", "is no option of Python"),
    ("-OZ", "is no option of Python"), ("--foo", "is no option that a pool's Python takes"), ("--version", "makes Python print something and end"),
    ("-h", "makes Python print something and end"), ("-cpass", "runs a program"), ("-X", "needs an argument"),
    ("PYTHONHASHSEED=4294967296", "must have a number below 4294967296"), ("PYTHONHASHSEED=1x", "must have a number below"),
    ("PYTHONPATH=/", "can't be set: of Python's variables only PYTHONHASHSEED can"), ("-X" + "x" * 2000, "is too long"), ("-X\0", "has a zero byte"))


def test_options_of_the_interpreter(start, place):
    (place / "options.py").write_text("import sys, warnings\nclass A:\n def told(self):\n  return [sys.warnoptions, sorted(sys._xoptions),"
                                      " sys.flags.optimize, hash('objpool'), sys.flags.dev_mode]\n")
    options = ["-Werror::UserWarning", "-X", "dev", "-OO", "PYTHONHASHSEED=5"]
    with start({}).client().maps() as client:
        seen = set()
        for name in "p", "q":
            client.value("objpool.create", {"pool": name, "plugin": "python", "class": "options:A", "python_path": [str(place)],
                                            "python_options": options})
            warn, xoptions, optimize, number, dev_mode = client.value(f"{name}.told")
            assert (warn[-1:], xoptions, optimize, dev_mode) == (["error::UserWarning"], ["dev"], 2, True)
            seen.add(number)
        assert len(seen) == 1
        for wrong, words in WRONG_OPTIONS:
            error, _ = client.call("objpool.create", {"pool": "r", "plugin": "python", "class": "options:A", "python_path": [str(place)],
                                                      "python_options": ["-O", wrong]})
            assert f'pool r: python_options: "{wrong.split(chr(0))[0][:100]}" {words}' in error["message"], wrong


@pytest.mark.parametrize("line, words", [("python_path = 3", "must be an array of strings"), ("preload = [1]", "must be an array of strings"),
                                         ("python_options = {}", "must be an array of strings"),
                                         ('python_options = ["-Z"]', 'objpoold.conf:7: pool p: python_options: "-Z" is no option of Python'),
                                         ("python_options = -Z", 'is no JSON: invalid token near \'-\' (column 1); write text as "text", a list as ["text"'),
                                         ("unpickle = maybe", "must be yes or no")])
def test_wrong_keys(start, line, words):
    key, _, value = line.partition(" = ")
    daemon = start({"p": section("Counter", **{key: value})}, expect_ready=False)
    assert daemon.process.wait(20) != 0
    assert words in daemon.log()


def test_threads_for_instances_are_refused(python):
    _, client = python("Counter", isolation="thread")
    assert "isolation = process" in client.error("p.get")["message"]


# ---- large arrays ----


def test_large_arrays_are_not_copied(python):
    _, client = python("Arrays", workers=2)
    assert "memfd" in client.value("p.where", array_ext(numpy.zeros(1 << 17)))
    assert "memfd" not in client.value("p.where", array_ext(numpy.zeros(10)))


def test_large_arrays_that_outlive_their_call(python):
    _, client = python("Arrays")
    big = 1 << 17
    for i in range(6):
        assert client.value("p.keep", str(i), array_ext(numpy.full(big, float(i))), 1 + i % 2) == i * big
    expected = {str(i): float(i * big // (1 + i % 2)) for i in range(6)}
    assert client.value("p.sums") == expected
    client.value("p.drop", "1")
    client.value("p.keep_in_thread", "2")
    for i in range(6, 9):
        client.value("p.keep", str(i), array_ext(numpy.full(big, float(i))))
    assert client.value("p.sums") == {**{key: value for key, value in expected.items() if key not in "12"},
                                      **{str(i): float(i * big) for i in range(6, 9)}}
    assert client.error("p.fail_with", array_ext(numpy.ones(big)))["type"] == "ValueError"
    assert client.full("p:map", "keep", [["a", "b"], [array_ext(numpy.ones(big)), array_ext(numpy.full(big, 2.0))]])[1] == [big, 2 * big]
    got = client.value("p.sums")
    assert (got["a"], got["b"], got["0"], got["3"]) == (big, 2 * big, 0, expected["3"])


def test_a_large_array_for_the_constructor(start):
    with start({}).client().maps() as client:
        client.value("objpool.create", {"pool": "p", "plugin": "python", "class": "sample:Arrays", "python_path": [str(CLASSES)],
                                        "args": [array_ext(numpy.ones(1 << 17))], "workers": 2})
        assert client.value("p:all.first_sum") == [1 << 17] * 2


def test_large_objects(python):
    _, client = python("Counter", unpickle="yes")
    value = {"bytes": os.urandom(1 << 20), "array": numpy.arange(1 << 17)}
    got = client.value("p.same", pickled(value))
    assert got["bytes"] == value["bytes"] and (array_of(got["array"]) == value["array"]).all()
    got = unpickled(client.value("p.same", pickled({value["bytes"]})))
    assert got == {value["bytes"]}
