# SPDX-License-Identifier: Apache-2.0
"""Pickles values for a process of which nothing is known: it may be a fork of this one, its child, or another program.

What pickle can write, and what has nothing to do with __main__, goes as pickle writes it. The functions and classes of __main__
go by their names, with a likeness of each (_likeness.py) and a definition:

    data     the pickle of the value, which looks up names of __main__
    names    {name: (likeness, definition)} of all that data and the definitions look up
    origin   which process this is
    program  the file of its __main__

The other process uses what it has by these names if it is of the same program and has the same. Otherwise it defines what was
sent in a module that stands for the __main__ of the origin, and never in its own: _arrival.py.
"""
import io
import os
import pickle
import threading

from ._arrival import receive
from ._likeness import likeness
from ._names import main_dict, named_in_main, program
from ._picklers import PROTOCOL, Spawning, Terms
from ._pickling import dumps_by_value
from ._rebuild import Unsent

DATA_MOST = 1 << 16     # bytes of what a function uses as a global, and is neither function nor class


def dumps(value, refused=None):
    """The pickle of a value that plain pickle has refused with this exception, or that has to do with __main__."""
    wanted = set()
    try:
        data = dumps_by_value(value, wanted, TERMS)
    except RecursionError:
        raise
    except Exception as error:
        raise error from (refused if type(refused) is not type(error) else None)
    finally:
        del refused     # its traceback refers to this frame
    return pickle.dumps(_Message(data, _definitions.of(wanted)), PROTOCOL) if wanted else data


class _Message:
    def __init__(self, data, names):
        self._data, self._names = data, names

    def __reduce__(self):
        return receive, (_definitions.origin, program(), self._data, self._names)


class _Bounded(io.BytesIO):
    """A file of at most DATA_MOST bytes."""

    def write(self, data):
        if self.tell() + len(data) > DATA_MOST:
            raise pickle.PicklingError(f"its pickle is larger than {DATA_MOST} bytes")
        return super().write(data)


class _Refusing(Spawning):
    """As Spawning, but nothing goes that takes a descriptor."""

    @staticmethod
    def DupFd(descriptor):
        raise pickle.PicklingError("a descriptor of another process")


TERMS = Terms(lambda name: True, named_in_main)
FOR_CODE = Terms(lambda name: True, named_in_main, _Refusing)
FOR_DATA = Terms(lambda name: True, named_in_main, _Refusing, _Bounded)


class _Definitions:
    """What this process has sent of its __main__. A function or class is pickled once."""

    def __init__(self):
        self.origin = os.urandom(8)
        self._kept = {}         # name -> (the object, its likeness, definition, names that this needs)
        self._lock = threading.Lock()

    def of(self, wanted):
        """{name: (likeness, definition)} of these names, and of those that their definitions look up."""
        main, found, left = main_dict(), {}, list(wanted)
        while left:
            name = left.pop()
            if name not in found and name in main:
                alike, definition, needed = self._definition(name, main[name])
                found[name] = (alike, definition)
                left += needed
        return found

    def _definition(self, name, value):
        alike = likeness(value)
        with self._lock:
            kept = self._kept.get(name)
        if alike is not None and kept is not None and kept[0] is value and kept[1] == alike:
            return kept[1:]
        made = (alike, *_define(value, FOR_DATA if alike is None else FOR_CODE))
        if alike is not None:
            with self._lock:
                self._kept[name] = (value, *made)
        return made


def _define(value, terms):
    """(pickle of what stands for the value, the names of __main__ that this needs)"""
    needed = set()
    try:
        return dumps_by_value(value, needed, terms, value), sorted(needed)
    except Exception as error:
        return pickle.dumps(Unsent(f"{type(error).__name__}: {error}"), PROTOCOL), []


_definitions = _Definitions()


def _after_fork_in_child():
    global _definitions
    _definitions = _Definitions()


os.register_at_fork(after_in_child=_after_fork_in_child)
