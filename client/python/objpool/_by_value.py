# SPDX-License-Identifier: Apache-2.0
"""Code by value: as cloudpickle has it, but for six things that go wrong there.

A class that this process has already is left as it is when its definition comes once more. The other side of a pool sends the
definition back with each result, and cloudpickle would set all attributes of our own class again, to copies.

Objects that their module compares by identity, such as the markers by which the module dataclasses knows its fields, go by name:
a copy of them would mean nothing.

A typing.NamedTuple has the function of that name as its base. No class can be made of it: its definition names the real bases.

Cloudpickle 3 makes classes without their __slots__: the definition has them.

An attribute of a class that can't be pickled does not keep the class from going: whoever uses it there is told why it is missing.
Locks are made anew.

Code of another version of Python is refused: to run it would crash the interpreter. So is dill's.

The python plugin has this file, too: see plugins/python/host/objects.py.
"""
import functools
import io
import pickle
import re
import sys
import threading
import types
import weakref

_defined: "weakref.WeakSet[type]" = weakref.WeakSet()  # classes that went by value, or came
_CLOUDPICKLE = b"cloudpickle"
_WRITER = b"\ncloudpickle "  # stands after the pickle's end, where pickle does not look
_PYTHON = b"\npython "  # stands behind it, where there is code
_AT_END = rb"(?:%b([0-9a-z.+-]+))?(?:%b([0-9.]+))?\Z" % (_WRITER, _PYTHON)
_AT_END_MOST = 64
_VERSION = "%d.%d" % sys.version_info[:2]
_constants_of: dict = {}
_compiled = functools.lru_cache(maxsize=None)(re.compile)  # not before it is needed: programs start sooner


def constant(value):
    """(getattr, (module, name)) of an object that its class's module has by this name; else None."""
    kind = type(value)
    try:
        known = _constants_of[kind]
    except KeyError:
        known = _constants_of[kind] = dict(_constants(kind))
    name = known.get(id(value))
    if name is None:
        return None
    module = sys.modules.get(kind.__module__)
    return (getattr, (module, name)) if getattr(module, name, None) is value else None


def _constants(kind):
    module = sys.modules.get(kind.__module__)
    if kind.__module__ in ("__main__", "builtins", "types") or getattr(module, "__spec__", None) is None or _says_itself(kind):
        return
    for name, value in tuple(module.__dict__.items()):
        if type(value) is kind:
            yield id(value), name


def _says_itself(kind):
    """Does the class say how its objects are pickled?"""
    own = {name for cls in kind.__mro__[:-1] for name in vars(cls)}
    return not own.isdisjoint({"__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__"})


def as_it_was_made(cls, reduced):
    """How cloudpickle, or dill, makes the class, of bases that it can be made of, and with its slots."""
    named_tuple = getattr(sys.modules.get("typing"), "NamedTuple", None)
    is_named_tuple = named_tuple is not None and named_tuple in getattr(cls, "__orig_bases__", ())
    has_slots = isinstance(reduced, tuple) and reduced[0].__name__ == "_make_skeleton_class" and "__slots__" in vars(cls)
    if not isinstance(reduced, tuple) or not is_named_tuple and not has_slots:
        return reduced
    make, (kind, name, bases, members, *rest), *state = reduced
    if is_named_tuple:
        bases = cls.__bases__
    if has_slots:
        members = {**members, "__slots__": cls.__slots__}
    return (make, (kind, name, bases, members, *rest), *state)


NOTHING = int, ()  # how a value is made that nobody looks at
_LOCKS = {type(make()): make for make in (threading.Lock, threading.RLock)}


class _New:
    """Stands for a lock: goes as a new one."""

    def __init__(self, make):
        self._make = make

    def __reduce__(self):
        return self._make, ()


def _missing(name, reason):
    """Stands for an attribute. Its class is local, and so goes by value to where nobody has this module."""
    class Missing:
        def __get__(self, _, cls):
            raise AttributeError(f"{cls.__name__}.{name} could not be sent to the worker: {reason}")
    return Missing()


def with_what_can_go(reduced, dump):
    """Cloudpickle's way to make a class, with stand-ins for attributes that can't be pickled: dump() raises for them."""
    if not isinstance(reduced, tuple) or len(reduced) < 3:
        return reduced
    if not isinstance(reduced[2], tuple) or not isinstance(reduced[2][0], dict):
        return reduced
    make, arguments, (attributes, *more), *rest = reduced
    return (make, arguments, ({name: _that_can_go(name, value, dump) for name, value in attributes.items()}, *more), *rest)


def _that_can_go(name, value, dump):
    if type(value) in _LOCKS:
        return _New(_LOCKS[type(value)])
    try:
        dump(value)
        return value
    except Exception as error:
        return _missing(name, f"{type(error).__name__}: {error}")


@functools.lru_cache(maxsize=None)
def _pickler_class():
    import cloudpickle

    class Pickler(cloudpickle.CloudPickler):
        is_known = None  # whether the other side has this class or function of __main__
        is_tolerant = False  # of attributes of classes
        looks_only = False  # at whether an attribute can be pickled; other classes and functions can
        has_code = False

        def reducer_override(self, value):
            self.has_code |= type(value) is types.CodeType
            is_class = isinstance(value, type)
            if is_class or isinstance(value, types.FunctionType):
                if self.looks_only:
                    return NOTHING if value is not int else NotImplemented
                if value.__module__ == "__main__" and self.is_known and self.is_known(value):
                    return NotImplemented  # by its name
            if not is_class:
                return constant(value) or super().reducer_override(value)
            reduced = super().reducer_override(value)
            if isinstance(reduced, tuple) and len(reduced) > 2:  # its definition
                mark_defined(value)
                if self.is_tolerant:
                    reduced = with_what_can_go(reduced, self.look)
            return as_it_was_made(value, reduced)

        def look(self, value):
            pickler = Pickler(io.BytesIO(), 5)
            pickler.looks_only = True
            pickler.dump(value)

    return Pickler


def dumps_by_value(value, is_known=None):
    """A pickle of the value with what code it needs. ImportError: there is no cloudpickle."""
    try:
        return _dumps(value, is_known, False)
    except (ImportError, RecursionError):
        raise
    except Exception as error:
        refused = error
    try:
        return _dumps(value, is_known, True)
    except Exception:
        raise refused from None
    finally:
        del refused  # its traceback has this frame


def _dumps(value, is_known, is_tolerant):
    file = io.BytesIO()
    pickler = _pickler_class()(file, 5)
    pickler.is_known, pickler.is_tolerant = is_known, is_tolerant
    pickler.dump(value)
    file.write(_WRITER + str(_version()).encode())
    if pickler.has_code:
        file.write(_PYTHON + _VERSION.encode())
    return file.getvalue()


def dumps_by_dill(value):
    """The same, by dill."""
    import dill
    data = dill.dumps(value, protocol=5, recurse=True)
    return data + _PYTHON + _VERSION.encode() if b"_create_code" in data else data


def _version():
    return getattr(sys.modules.get("cloudpickle"), "__version__", None)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        found = self._find(module, name)
        return functools.partial(define, found) if name == "_class_setstate" else found

    def _find(self, module, name):
        try:
            return super().find_class(module, name)
        except AttributeError:
            if not module.startswith("cloudpickle."):
                raise
        # Other versions of cloudpickle have it in another module.
        other = "cloudpickle.cloudpickle" if module.endswith("_fast") else "cloudpickle.cloudpickle_fast"
        return super().find_class(other, name)


def mark_defined(cls):
    """The class went from here by value: it is to stay as it is when its definition comes back."""
    _defined.add(cls)


def define(set_state, cls, state):
    if cls in _defined:
        return cls
    set_state(cls, state)
    _defined.add(cls)
    return cls


def loads_by_value(data):
    """What such a pickle, or any, stands for."""
    if _compiled(_CLOUDPICKLE).search(data) is None:
        return pickle.loads(data)
    writer = _checked_writer(data)
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except (AttributeError, ImportError, TypeError) as error:
        if writer is None or writer == _version():
            raise
        here = f"cloudpickle {_version()}" if _version() else "none"
        raise pickle.UnpicklingError(f"code by value from cloudpickle {writer}, and {here} is here (the key virtualenv of a pool"
                                     f" gives its workers another): {type(error).__name__}: {error}") from error


def loads_by_dill(data):
    """What a pickle of dill's stands for."""
    import dill
    _checked_writer(data)
    return dill.loads(data)


def _checked_writer(data):
    """The version of cloudpickle that wrote it, or None. An error if its code is of another Python."""
    writer, version = (found and found.decode() for found in _compiled(_AT_END).search(bytes(data[-_AT_END_MOST:])).groups())
    if version not in (None, _VERSION):
        raise pickle.UnpicklingError(f"code by value from Python {version}, and this is {_VERSION}: what is in no module"
                                     " that both can import needs the same version on both sides")
    return writer
