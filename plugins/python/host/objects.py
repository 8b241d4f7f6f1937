# SPDX-License-Identifier: Apache-2.0
"""OBJECTs: values as pickles, by reference where that is possible, else with their code.

_by_value.py of the Python client stands beside this file in the plugin.
"""
import importlib
import pickle

from ._by_value import dumps_by_dill, dumps_by_value, loads_by_dill, loads_by_value

OBJECT = 80


def by_value():
    """(a function that pickles code by value, the codec that reads it), or None: neither cloudpickle nor dill is installed."""
    try:
        importlib.import_module("cloudpickle")
        return dumps_by_value, b"pickle"
    except ImportError:
        pass
    try:
        importlib.import_module("dill")
        return dumps_by_dill, b"dill"
    except ImportError:
        return None


def dumps(value):
    """(codec, bytes) of any value. What no module that can be imported has goes by value."""
    try:
        return b"pickle", pickle.dumps(value, 5)
    except Exception:
        data = dumps_code(value)
        if data is None:
            raise
        return data


def dumps_code(value):
    """The same, by value. None: the value can't be pickled so either."""
    found = by_value()
    try:
        return (found[1], found[0](value)) if found else None
    except Exception:
        return None


def loads(data):
    """The object of the body of an OBJECT. The memory is the call's: no view of it may remain when this returns."""
    with memoryview(data) as whole:
        codec = bytes(whole[:16]).partition(b"\0")[0]
        with whole[len(codec) + 1:] as body:
            if codec == b"pickle":
                return loads_by_value(body)
            if codec == b"dill":
                return loads_by_dill(body)
    raise ValueError(f"an OBJECT has a codec that is not known here: {codec!r}")
