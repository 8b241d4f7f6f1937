# SPDX-License-Identifier: Apache-2.0
"""Code by value: as cloudpickle has it, but for three things that go wrong there.

A class that this process has already is left as it is when its definition comes once more. The other side of a pool sends the
definition back with each result, and cloudpickle would set all attributes of our own class again, to copies.

Objects that their module compares by identity, such as the markers by which the module dataclasses knows its fields, go by name:
a copy of them would mean nothing.

A typing.NamedTuple has the function of that name as its base. No class can be made of it: its definition names the real bases.

The python plugin has this file, too: see plugins/python/host.py.
"""
import functools
import io
import pickle
import re
import sys
import types
import weakref

_defined = weakref.WeakSet()  # classes that went by value, or came
_DEFINITION = re.compile(b"_class_setstate")
_constants_of = {}


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


def with_real_bases(cls, reduced):
    """How cloudpickle makes the class, of bases that it can be made of."""
    named_tuple = getattr(sys.modules.get("typing"), "NamedTuple", None)
    if named_tuple is None or named_tuple not in getattr(cls, "__orig_bases__", ()) or not isinstance(reduced, tuple):
        return reduced
    make, (kind, name, _, *rest), *state = reduced
    return (make, (kind, name, cls.__bases__, *rest), *state)


@functools.lru_cache(maxsize=None)
def _pickler_class():
    import cloudpickle

    class Pickler(cloudpickle.CloudPickler):
        is_known = None  # whether the other side has this class or function of __main__

        def reducer_override(self, value):
            is_class = isinstance(value, type)
            if (is_class or isinstance(value, types.FunctionType)) and value.__module__ == "__main__" and self.is_known and self.is_known(value):
                return NotImplemented  # by its name
            if not is_class:
                return constant(value) or super().reducer_override(value)
            reduced = super().reducer_override(value)
            if isinstance(reduced, tuple) and len(reduced) > 2:  # its definition
                _defined.add(value)
            return with_real_bases(value, reduced)

    return Pickler


def dumps_by_value(value, is_known=None):
    """A pickle of the value with what code it needs. ImportError: there is no cloudpickle."""
    file = io.BytesIO()
    pickler = _pickler_class()(file, 5)
    pickler.is_known = is_known
    pickler.dump(value)
    return file.getvalue()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        found = self._find(module, name)
        return functools.partial(_define, found) if name == "_class_setstate" else found

    def _find(self, module, name):
        try:
            return super().find_class(module, name)
        except AttributeError:
            if not module.startswith("cloudpickle."):
                raise
        other = "cloudpickle.cloudpickle" if module.endswith("_fast") else "cloudpickle.cloudpickle_fast"  # as other versions have it
        try:
            return super().find_class(other, name)
        except (AttributeError, ImportError):
            raise pickle.UnpicklingError(f"cloudpickle {sys.modules['cloudpickle'].__version__}, which is here, does not know {name}: the other "
                                         "side has another version") from None


def _define(set_state, cls, state):
    if cls in _defined:
        return cls
    set_state(cls, state)
    _defined.add(cls)
    return cls


def loads_by_value(data):
    """What such a pickle, or any, stands for."""
    if _DEFINITION.search(data) is None:
        return pickle.loads(data)
    return _Unpickler(io.BytesIO(data)).load()
