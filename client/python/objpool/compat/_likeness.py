# SPDX-License-Identifier: Apache-2.0
"""Tells whether two processes mean the same function or class of __main__ by a name, without sending it.

A likeness is a digest of the code: of a function, what it was compiled to; of a class, its bases and functions. It leaves out
where in a file the code stands, and attributes of classes that are data: programs change those as they run.
"""
import functools
import hashlib
import types
import weakref

from ._names import is_main

CACHED = type(functools.lru_cache(len))
_of_code = weakref.WeakKeyDictionary()


def likeness(value):
    """The likeness of a function, class or module; None for data."""
    if not isinstance(value, (types.FunctionType, type, types.ModuleType, CACHED)):
        return None
    return _digest(_shape(value, set()))


def _digest(*parts):
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=16).digest()


def _shape(value, seen):
    """What the likeness of a value is made of. seen: the identities of those that are under way."""
    value = getattr(value, "__func__", value)
    if isinstance(value, CACHED):
        value = value.__wrapped__
    if isinstance(value, types.ModuleType):
        return "module", value.__name__
    if isinstance(value, property):
        return [_shape(part, seen) for part in (value.fget, value.fset, value.fdel)]
    if not isinstance(value, (types.FunctionType, type)):
        return _shape_of_data(value, seen)
    if id(value) in seen:
        return value.__qualname__
    if isinstance(value, type):
        return _shape_of_class(value, seen | {id(value)})
    if not is_main(value.__module__):
        return value.__module__, value.__qualname__
    seen = seen | {id(value)}
    cells = [_cell(cell, seen) for cell in value.__closure__ or ()]
    defaults = (value.__defaults__, tuple(sorted((value.__kwdefaults__ or {}).items())))
    return value.__qualname__, _likeness_of_code(value.__code__), cells, _shape_of_data(defaults, seen)


def _shape_of_class(cls, seen):
    if not is_main(cls.__module__):
        return cls.__module__, cls.__qualname__
    members = sorted((name, _shape(member, seen)) for name, member in vars(cls).items() if _is_code(member))
    return (cls.__qualname__, [_shape(base, seen) for base in cls.__bases__], members, getattr(cls, "_member_names_", None),
            getattr(cls, "_fields", None), sorted(vars(cls).get("__annotations__", ())))


def _is_code(member):
    return isinstance(getattr(member, "__func__", member), (types.FunctionType, type, property, CACHED))


def _shape_of_data(value, seen):
    if isinstance(value, (int, float, str, bytes, type(None), complex)):
        return repr(value)
    return [_shape(item, seen) for item in value] if type(value) is tuple else type(value).__qualname__


def _cell(cell, seen):
    try:
        return _shape(cell.cell_contents, seen)
    except ValueError:      # it is empty
        return None


def _likeness_of_code(code):
    try:
        return _of_code[code]
    except KeyError:
        made = _of_code[code] = _digest(
            code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_argcount,
            code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags, [_constant(value) for value in code.co_consts])
        return made


def _constant(value):
    if isinstance(value, types.CodeType):
        return _likeness_of_code(value)
    if isinstance(value, tuple):
        return [_constant(item) for item in value]
    if isinstance(value, frozenset):        # its order is another in each process
        return sorted(repr(item) for item in value)
    return type(value).__name__, repr(value)
