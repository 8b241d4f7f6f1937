# SPDX-License-Identifier: Apache-2.0
"""The picklers that write code by value, and the terms on which they do.

They are tried in turn, until one can write the value: one that needs no other package; one on top of cloudpickle, or of dill; one
that leaves out attributes of classes that can't be pickled; and, if both packages are there, one on top of dill. What they write
calls _rebuild.py when it is loaded.
"""
import contextlib
import functools
import importlib
import io
import marshal
import pickle
import sys
import threading
import types
import weakref

from .. import _by_value
from . import _rebuild, _reducers
from ._names import found, is_found_by_name, is_main, main_dict, used_of_main

PROTOCOL = 5
LOCKS = (type(threading.Lock()), type(threading.RLock()))
CACHED = type(functools.lru_cache(len))
ATTRIBUTES = ("__defaults__", "__kwdefaults__", "__qualname__", "__module__", "__doc__", "__annotations__")
WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)


class Terms:
    """What is known of the process that a value goes to.

    is_shared(name): whether it has, or gets, that name of __main__: then what has the name goes by it. uses(function): the names
    of __main__ that a function needs there. as_sent_by: what is entered while a value is pickled. file(): what the pickle is
    written to.
    """

    def __init__(self, is_shared, uses=used_of_main, as_sent_by=contextlib.nullcontext, file=io.BytesIO):
        self.is_shared, self.uses, self.as_sent_by, self.file = is_shared, uses, as_sent_by, file


class Spawning:
    """While this is entered, locks, queues and shared values of the standard library can be pickled for another process."""

    def __enter__(self):
        from multiprocessing import context
        self._context, self._other = context, context.get_spawning_popen()
        context.set_spawning_popen(self)

    def __exit__(self, *_):
        self._context.set_spawning_popen(self._other)

    @staticmethod
    def duplicate_for_child(descriptor):
        return descriptor

    @staticmethod
    def DupFd(descriptor):
        from ._descriptors import share
        return share(descriptor)


def pickle_with(pickler, value, wanted, terms, definition=NotImplemented, aside=None):
    """The pickle that this class of picklers writes. Adds to `wanted` the names of __main__ that loading looks up."""
    file = terms.file()
    with terms.as_sent_by():
        pickler(file, wanted, terms, definition, aside).dump(value)
    return file.getvalue()


def picklers():
    """The classes of picklers, in the order in which they are tried. Packages are imported as the caller asks for more."""
    yield _Pickler
    first = _on_top_of("cloudpickle") or _on_top_of("dill")
    if first is not None:
        yield first
        yield _variant(first, is_tolerant=True)
        if _on_top_of("dill") not in (first, None):
            yield _variant(_on_top_of("dill"))


class _ByValue:
    """The part that all picklers have. It writes code by value that the other side can't import."""

    says_why = True         # its error is the one to raise if no pickler can write the value, unless a later one says why, too
    is_tolerant = False     # leaves out attributes of classes that can't be pickled
    looks_only = False      # only tests whether an attribute can be pickled; takes other classes and functions for granted

    def __init__(self, file, wanted, terms, definition=NotImplemented, aside=None):
        super().__init__(file, protocol=PROTOCOL, buffer_callback=aside)
        self._wanted = wanted
        self._terms = terms
        self._definition = definition
        self._reducers = _reducers.registered()

    def reducer_override(self, value):
        if type(value) in weakref.ProxyTypes:       # it says that it is of its referent's class
            return self._other(value)
        if self.looks_only and isinstance(value, (types.FunctionType, type)):
            return _by_value.NOTHING if value is not int else NotImplemented
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, CACHED):
            return self._cached(value)
        if isinstance(value, WEAK):
            return type(value), (dict(value),)
        if type(value) is weakref.ref:
            return _rebuild.weak_reference, (value(),)
        if isinstance(value, LOCKS):
            return (threading.RLock if isinstance(value, LOCKS[1]) else threading.Lock), ()
        shared = self._reducers.get(type(value))        # connections, shared memory
        return shared(value) if shared else _by_value.constant(value) or self._other(value)

    def _other(self, value):
        inherited = getattr(super(), "reducer_override", None)
        return inherited(value) if inherited else NotImplemented

    def _function(self, function):
        if function.__globals__ is main_dict():
            if self._goes_by_name(function):
                return _rebuild.main_attribute, (function.__qualname__,)
            self._wanted.update(self._terms.uses(function))
            return _reduce_function(function, "__main__")
        name = function.__globals__.get("__name__")
        module = sys.modules.get(name)
        if module is None or module.__dict__ is not function.__globals__ or not _is_importable(module):
            return self._other(function)
        if function.__module__ == name and found(function.__qualname__, module.__dict__) is function:
            return NotImplemented
        return _reduce_function(function, name)

    def _cached(self, function):
        if is_main(function.__module__):
            if self._goes_by_name(function):
                return _rebuild.main_attribute, (function.__qualname__,)
        elif is_found_by_name(function):
            return NotImplemented
        return _rebuild.new_cached, (function.__wrapped__, function.cache_parameters())

    def _class(self, cls):
        if is_main(cls.__module__) and self._goes_by_name(cls):
            return _rebuild.main_attribute, (cls.__qualname__,)
        reduced = self._other(cls)
        if self.is_tolerant:
            reduced = _by_value.with_what_can_go(reduced, self._look)
        return _defined_once(cls, _by_value.as_it_was_made(cls, reduced))

    def _look(self, value):
        pickler = type(self)(io.BytesIO(), set(), self._terms)
        pickler.looks_only = True
        pickler.dump(value)

    def _module(self, module):
        if is_main(module.__name__):
            return _rebuild.main_module, ()
        return (importlib.import_module, (module.__name__,)) if _is_importable(module) else self._other(module)

    def _goes_by_name(self, value):
        """True if the other side has it in its __main__; the name is then wanted."""
        main = main_dict()
        name = value.__qualname__.partition(".")[0]
        if found(value.__qualname__, main) is not value or main[name] is self._definition or not self._terms.is_shared(name):
            return False
        self._wanted.add(name)
        return True


def _defined_once(cls, reduced):
    """How cloudpickle makes the class: a process that has the class already, because it comes back, leaves the class as it is."""
    if not isinstance(reduced, tuple) or len(reduced) != 6:
        return reduced
    make, arguments, state, items, pairs, set_state = reduced
    _by_value.mark_defined(cls)
    return make, arguments, (set_state, state), items, pairs, _rebuild.define


def _is_importable(module):
    return not is_main(module.__name__) and (
        getattr(module, "__spec__", None) is not None or module.__name__ in sys.builtin_module_names)


def _reduce_function(function, module):
    state = ([_cell_content(cell) for cell in function.__closure__ or ()],
             {name: getattr(function, name) for name in ATTRIBUTES},
             function.__dict__)
    arguments = (_rebuild.VERSION, marshal.dumps(function.__code__), module, function.__name__, len(function.__closure__ or ()))
    return _rebuild.new_function, arguments, state, None, None, _rebuild.set_function


def _cell_content(cell):
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


class _Pickler(_ByValue, pickle.Pickler):
    """Needs neither cloudpickle nor dill: importing those takes longer than many a program."""

    def _other(self, value):
        if isinstance(value, types.ModuleType) or isinstance(value, (types.FunctionType, type)) and (
                is_main(value.__module__) or not is_found_by_name(value)):
            raise pickle.PicklingError(f"{value!r} is in no module that can be imported, and so goes by value: that takes the "
                                       "package cloudpickle, or dill")
        return NotImplemented


PACKAGES = {"cloudpickle": "CloudPickler", "dill": "Pickler"}


@functools.lru_cache(maxsize=None)
def _on_top_of(package):
    """The pickler on top of this package's; None: the package is not there."""
    try:
        return type("Pickler", (_ByValue, getattr(importlib.import_module(package), PACKAGES[package])), {})
    except ImportError:
        return None


@functools.lru_cache(maxsize=None)
def _variant(pickler, is_tolerant=False):
    return type("Pickler", (pickler,), {"is_tolerant": is_tolerant, "says_why": False})
