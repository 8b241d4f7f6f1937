# SPDX-License-Identifier: Apache-2.0
"""What the pickles that _pickling.py writes call by name where they are loaded: in workers, and in the program for results.

A pickle holds the names of these functions and classes, so both sides import this module. It imports as little as it can.
"""
import functools
import importlib
import marshal
import sys
import threading
import types
import weakref

from .. import _by_value

VERSION = tuple(sys.version_info[:2])     # the version of Python that wrote code by value
FORKED = b"forked"      # the digest of an object that the workers, forks of the program, have from the program


class Unsent:
    """Stands for a global that could not be pickled."""

    def __init__(self, reason):
        self.reason = reason


# Functions by value


def new_function(version, code, module, name, cells):
    """Makes a function that came by value. `set_function` sets its state later, because the state may refer to the function."""
    if version != VERSION:
        raise RuntimeError(f"{name} came by value from Python {_text(version)}, and this is {_text(VERSION)}: "
                           "a function that is not in a module that both can import needs the same version on both sides")
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(marshal.loads(code), _module_dict(module), name, None, closure or None)


def _text(version):
    return ".".join(map(str, version))


def _module_dict(name):
    if name == "__main__":
        return _loading.stand_in.main if _loading.stand_in else sys.modules["__main__"].__dict__
    return importlib.import_module(name).__dict__


def set_function(function, state):
    contents, attributes, extra = state
    for cell, content in zip(function.__closure__ or (), contents):
        if content:
            cell.cell_contents = content[0]
    for name, value in attributes.items():
        setattr(function, name, value)
    function.__dict__.update(extra)


def new_cached(function, parameters):
    """A function under functools.lru_cache, with an empty cache."""
    return functools.lru_cache(**parameters)(function)


# Classes by value


def define(cls, state):
    """Gives a class that came by value its attributes, unless this process has it already."""
    set_state, attributes = state
    return _by_value.define(set_state, cls, attributes)


# Objects that are not pickled as they are


class _Gone:
    pass


def weak_reference(referent):
    return weakref.ref(_Gone() if referent is None else referent)


def raise_(error):
    """Raises the exception where the pickle is loaded: see `raising` in _pickling.py."""
    raise error


# Names of __main__


class _Loading(threading.local):
    stand_in = None


_loading = _Loading()


class Loading:
    """While this is entered, the names of __main__ are the stand-in's (_arrival.py), or with None this process's."""

    def __init__(self, stand_in):
        self._stand_in = stand_in

    def __enter__(self):
        self._outer, _loading.stand_in = _loading.stand_in, self._stand_in

    def __exit__(self, *_):
        _loading.stand_in = self._outer


def main_module():
    return sys.modules["__main__"]


def _resolve(name):
    return getattr(sys.modules["__main__"], name)


def set_resolver(resolve):
    """From now on `resolve` finds the names of __main__. A worker calls this with its Namespace's method (_namespace.py)."""
    global _resolve
    _resolve = resolve


def main_attribute(qualname):
    """The object of that name in the program's __main__; in a worker, in the namespace that stands for it."""
    top, _, rest = qualname.partition(".")
    value = _loading.stand_in.resolve(top) if _loading.stand_in else _resolve(top)
    for part in rest.split(".") if rest else ():
        value = getattr(value, part)
    return value


def looks_up_main(data):
    """True if the pickle may find something in __main__ by its name."""
    return b"__main__" in data or b"main_attribute" in data
