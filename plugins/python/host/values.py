# SPDX-License-Identifier: Apache-2.0
"""Writes the values that are not plain: write.c asks for them one by one."""
import sys

from .arrays import encode_array, numpy_kind
from .objects import OBJECT, dumps
from .text import type_name


def encode(value, may_pickle):
    """(None, a plain value in place of this one), or (ext type, first bytes, the rest)."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.generic) and value.dtype.kind in "biufU" and not isinstance(value.item(), numpy.generic):
            return None, value.item()
        if type(value) in (numpy.ndarray, numpy.memmap) and not value.dtype.hasobject:
            kind = numpy_kind(numpy, value.dtype)
            if kind is not None:
                return encode_array(numpy, value, kind)
    if may_pickle:
        codec, body = dumps(value)
        return OBJECT, codec + b"\0", body
    return None, plain(value)


def plain(value):
    """The value in a plain type that it is a subclass of, or that can tell its fields. For pools in which nothing may be pickled."""
    for kind in (str, bytes, int, float, list, tuple, dict):
        if isinstance(value, kind) and type(value) is not kind:
            return kind(value)
    if hasattr(type(value), "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in sys.modules["dataclasses"].fields(value)}
    raise TypeError(f"a value of type {type_name(type(value))} would have to be pickled, and this pool has unpickle = no")
