# SPDX-License-Identifier: Apache-2.0
"""Calls each method of class Types by its typed client. test_generate.py makes the client, and runs this."""
import msgpack
import objpool
from py_client import Typed
from types_client import Types

with objpool.connect() as client:
    types = Types(client.pool("types"))
    point = {"x": 1.5, "y": 2.0, "label": "here"}
    same = {"none": None, "boolean": True, "integer": -5, "number": 2.5, "text": "ä", "data": b"\xff", "anything": [1, {"a": None}], "byte": 255,
            "choice": "x", "integers": [1, 2], "table": {"a": 1.5}, "pair": [1, "x"], "row": [1.5, 2.5], "when": msgpack.Timestamp(5, 7), "point": point,
            "path": {"points": [point], "bounds": None}, "tree": {"value": 1, "children": [{"value": 2}]}, "points": {"a": [point]}}
    for name, value in same.items():
        assert getattr(types, name)(value) == value, name
        assert getattr(types, name)(value=value) == value, name
    try:
        import numpy
    except ImportError:
        pass
    else:
        for name, array in (("array", numpy.arange(3)), ("samples", numpy.ones(2)), ("image", numpy.zeros((2, 3), numpy.uint8)), ("volume", numpy.ones((1, 2, 3)))):
            assert (getattr(types, name)(array) == array).all()
    assert list(types.count(3)) == [0, 1, 2] and list(types.numbered(x for x in "ab")) == [[0, "a"], [1, "b"]]
    assert types.kinds(1, third=0.5) == {"places": [1, 2], "keywords": {"third": 0.5, "fourth": None}}
    assert types.kinds(1, 3, 4, third=0.5, fourth="x", more=True) == {"places": [1, 3, 4], "keywords": {"third": 0.5, "fourth": "x", "more": True}}
    typed = Typed(client.pool("py"))
    assert list(typed.slide()) == [2] and list(typed.slide(iter([1]), window=3)) == [1, 3]
    made = Types.create(client, "made", {"workers": 1}, point, names=["c"], secret="s")
    assert made.integer(7) == 7
    try:
        types.byte(256)
    except objpool.errors.BadArgument:
        pass
    else:
        raise AssertionError("256 is no byte")
    public = {name for name in vars(Types) if not name.startswith("_")} - {"create"}
    assert public == {method["name"] for method in client.describe("types")["methods"]}
print("done")
