# SPDX-License-Identifier: Apache-2.0
"""Pickles values for the other side of a compatible pool, with code that the other side can't import.

Plain pickle writes what it can. Code that workers can't import goes by value: lambdas, nested functions, and what a program
defines in its __main__. Three picklers are tried in turn, until one can write the value: one that needs no other package, one on
top of cloudpickle or dill, and one that leaves out attributes of classes that can't be pickled. _rebuild.py has what the pickles
call when they are loaded.
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
from ._names import found, is_found_by_name, main_dict, used_of_main

PROTOCOL = 5
LARGE = 1 << 16     # bytes; buffers from this size on can be kept out of a pickle
LOCKS = (type(threading.Lock()), type(threading.RLock()))
CACHED = type(functools.lru_cache(len))
ATTRIBUTES = ("__defaults__", "__kwdefaults__", "__qualname__", "__module__", "__doc__", "__annotations__")
WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)


def dumps(value, wanted, is_shared, large=None):
    """The pickle of a value. Adds to the set `wanted` the names of __main__ that loading looks up.

    is_shared(name): whether the other side has that name of __main__. large: a list that takes the buffers of 64 KiB and more,
    which are then not in the pickle; or None.
    """
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=_aside(large))
        if _is_plain(data):
            return data
        refused = None
    except Exception as error:      # which exception depends on the value; it may still go by value
        refused = error
    if large:
        large.clear()
    try:
        return dumps_by_value(value, wanted, is_shared, large=large)
    except RecursionError:
        raise
    except Exception as error:
        raise error from (refused if refused is not None and type(refused) is not type(error) else None)
    finally:
        refused = None      # its traceback refers to this frame, and to frames that refer to the pool


def dumps_pieces(kind, items, size):
    """Pickles of (kind, number of lists), and of lists of `size` items each. None: plain pickle can't write them."""
    file, large = io.BytesIO(), []
    pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=_aside(large))
    try:
        pickler.dump((kind, -(-len(items) // size)))
        for begin in range(0, len(items), size):
            pickler.dump(items[begin:begin + size])
            if large:
                return None
    except Exception:       # the caller then uses dumps(), which raises it if it has no way either
        return None
    data = file.getvalue()
    return data if _is_plain(data) else None


def dumps_by_value(value, wanted, is_shared, definition=NotImplemented, large=None, for_child=True):
    """As dumps(), but without trying plain pickle. `definition`: an object of __main__ that must not go by its name.

    for_child: locks, queues and shared values of the standard library can go.
    """
    refused = None
    try:
        for pickler in _picklers():
            names = set()
            try:
                with _Spawning() if for_child else contextlib.nullcontext():
                    data = _dump_with(pickler, value, names, is_shared, definition, large)
                wanted |= names
                return data
            except RecursionError:
                raise
            except Exception as error:
                if large:
                    large.clear()
                refused = refused if pickler.is_tolerant else error
        raise refused
    finally:
        refused = None      # its traceback refers to this frame


def by_name(qualname):
    """The pickle of the object that the other side has in its __main__ by this name."""
    return pickle.dumps(_ByName(qualname), PROTOCOL)


def raising(error):
    """A pickle that raises this exception where it is loaded."""
    try:
        return pickle.dumps(_Raising(error), PROTOCOL)
    except Exception:
        return pickle.dumps(_Raising(pickle.PicklingError(f"{type(error).__name__}: {error}")), PROTOCOL)


class _ByName:
    def __init__(self, qualname):
        self.qualname = qualname

    def __reduce__(self):
        return _rebuild.main_attribute, (self.qualname,)


class _Raising:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _rebuild.raise_, (self.error,)


def _is_plain(data):
    return b"__main__" not in data and b"multiprocessing.connection" not in data and b"multiprocess.connection" not in data


def _aside(large):
    """A pickler's buffer_callback, which moves large buffers to the list. None for None."""
    if large is None:
        return None

    def keep(buffer):
        try:
            raw = buffer.raw()
        except BufferError:         # its memory is not contiguous
            return True
        if raw.nbytes < LARGE:
            return True
        large.append(raw)
        return False
    return keep


def _dump_with(pickler, value, wanted, is_shared, definition, large):
    file = io.BytesIO()
    pickler(file, wanted, is_shared, definition, _aside(large)).dump(value)
    return file.getvalue()


class _Spawning:
    """While this is entered, locks, queues and shared values of the standard library can be pickled for another process."""

    def __enter__(self):
        from multiprocessing import context
        self._context = context
        context.set_spawning_popen(self)

    def __exit__(self, *_):
        self._context.set_spawning_popen(None)

    @staticmethod
    def duplicate_for_child(descriptor):
        return descriptor

    @staticmethod
    def DupFd(descriptor):
        from ._descriptors import share
        return share(descriptor)


# The picklers


class _ByValue:
    """The part that all three picklers have. It writes code by value that the other side can't import."""

    is_tolerant = False     # leaves out attributes of classes that can't be pickled
    looks_only = False      # only tests whether an attribute can be pickled; takes other classes and functions for granted

    def __init__(self, file, wanted, is_shared, definition=NotImplemented, aside=None):
        super().__init__(file, protocol=PROTOCOL, buffer_callback=aside)
        self._wanted = wanted
        self._is_shared = is_shared
        self._definition = definition
        self._reducers = _reducers.registered()

    def reducer_override(self, value):
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
            self._wanted.update(used_of_main(function))
            return _reduce_function(function, "__main__")
        name = function.__globals__.get("__name__")
        module = sys.modules.get(name)
        if module is None or module.__dict__ is not function.__globals__ or not _is_importable(module):
            return self._other(function)
        if function.__module__ == name and found(function.__qualname__, module.__dict__) is function:
            return NotImplemented
        return _reduce_function(function, name)

    def _cached(self, function):
        if function.__module__ == "__main__":
            if self._goes_by_name(function):
                return _rebuild.main_attribute, (function.__qualname__,)
        elif is_found_by_name(function):
            return NotImplemented
        return _rebuild.new_cached, (function.__wrapped__, function.cache_parameters())

    def _class(self, cls):
        if cls.__module__ == "__main__" and self._goes_by_name(cls):
            return _rebuild.main_attribute, (cls.__qualname__,)
        reduced = self._other(cls)
        return _by_value.with_real_bases(cls, _by_value.with_what_can_go(reduced, self._look) if self.is_tolerant else reduced)

    def _look(self, value):
        pickler = type(self)(io.BytesIO(), set(), self._is_shared)
        pickler.looks_only = True
        pickler.dump(value)

    def _module(self, module):
        if module.__name__ == "__main__":
            return _rebuild.main_module, ()
        return (importlib.import_module, (module.__name__,)) if _is_importable(module) else self._other(module)

    def _goes_by_name(self, value):
        """True if the other side has it in its __main__; the name is then wanted."""
        main = main_dict()
        name = value.__qualname__.partition(".")[0]
        if found(value.__qualname__, main) is not value or main[name] is self._definition or not self._is_shared(name):
            return False
        self._wanted.add(name)
        return True


def _is_importable(module):
    return module.__name__ != "__main__" and (
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
                value.__module__ == "__main__" or not is_found_by_name(value)):
            raise pickle.PicklingError("it takes cloudpickle, or dill, to say that")
        return NotImplemented


@functools.lru_cache(maxsize=None)
def _pickler():
    """The pickler on top of cloudpickle or dill."""
    try:
        from cloudpickle import CloudPickler as base
    except ImportError:
        try:
            from dill import Pickler as base
        except ImportError:
            base = pickle.Pickler
    return type("Pickler", (_ByValue, base), {})


@functools.lru_cache(maxsize=None)
def _tolerant_pickler():
    """The same, leaving out attributes of classes that can't be pickled."""
    return type("TolerantPickler", (_pickler(),), {"is_tolerant": True})


def _picklers():
    yield _Pickler
    yield _pickler()
    yield _tolerant_pickler()
