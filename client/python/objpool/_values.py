# SPDX-License-Identifier: Apache-2.0
"""Values on the wire, see docs/VALUES.md: msgpack's own types as they are, all others in two ext types.

Packing is one pass in C with a hook for what msgpack does not know. Unpacking has two steps: the reader of a connection makes
only :class:`Ext` placeholders, and :func:`load` replaces them in the thread of the caller that waits for the value. So a pickle
that is slow, fails or calls us again hurts its own call alone. Making an Ext runs no bytecode: a signal handler that raises
can't strike inside the unpacker.
"""
from __future__ import annotations

import functools
import io
import pickle
import struct
import sys
import types
from typing import Any, List, Optional

import msgpack

from .errors import BadValue, CallFailed, ObjpoolError, RemoteTraceback, error_of

OBJECT = 80
ARRAY = 81

_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
_ALIGN = 64


class Ext(functools.partial):
    """An ext value that has come and is not looked into yet: `load`ing it calls it."""

    __slots__ = ()


# ---- writing ------------------------------------------------------------------------------------------------------------------


class _ByReferenceOnly(Exception):
    """What is being pickled lives in __main__, where no worker would find it."""


class _Pickler(pickle.Pickler):
    """Refuses references into __main__."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType)) and value.__module__ == "__main__":
            raise _ByReferenceOnly(value.__qualname__)
        return NotImplemented


def dump_object(value: Any) -> bytes:
    """The body of an OBJECT: by reference where pickle can, else by value with cloudpickle or dill."""
    buffer = io.BytesIO()
    buffer.write(b"pickle\0")
    try:
        _Pickler(buffer, 5).dump(value)
        return buffer.getvalue()
    except ObjpoolError:
        raise
    except Exception as error:
        refused = error
    try:
        return _dump_by_value(value, refused)
    except BadValue:
        raise
    except Exception as error:
        raise BadValue(f"a {_name_of(value)} can't be sent: {error}") from error


def as_object(value: Any) -> msgpack.ExtType:
    """A value packed as OBJECT, whatever it is."""
    return msgpack.ExtType(OBJECT, dump_object(value))


def _dump_by_value(value: Any, refused: Exception) -> bytes:
    cloudpickle = _optional("cloudpickle")
    if cloudpickle is not None:
        return b"pickle\0" + cloudpickle.dumps(value, 5)
    dill = _optional("dill")
    if dill is not None:
        return b"dill\0" + dill.dumps(value, 5, recurse=True)
    if isinstance(refused, _ByReferenceOnly):
        refused = BadValue(f"{refused} lives in __main__: sending it by value needs cloudpickle or dill")
    raise BadValue(f"a {_name_of(value)} can't be sent: {refused}") from refused


def _name_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


@functools.lru_cache(maxsize=None)
def _optional(name: str) -> Optional[Any]:
    try:
        return __import__(name)
    except ImportError:
        return None


def array_header(array: Any) -> Optional[bytes]:
    """What stands before an array's memory; None: it is none that can go as memory."""
    numpy = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.hasobject:
        return None
    kind = dtype.str if dtype.names is None else dtype.descr
    if dtype.names is not None and (dtype.metadata or _dtype(numpy, _listed(kind)) != dtype):
        return None
    if dtype.names is None and numpy.dtype(dtype.str) != dtype:
        return None
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    header = msgpack.packb([_listed(kind), list(array.shape), order])
    size = len(header) + -(2 + len(header)) % _ALIGN
    return struct.pack(">H", size) + header.ljust(size, b"\0") if size < 1 << 16 else None


def _listed(kind: Any) -> Any:
    return [_listed(part) for part in kind] if isinstance(kind, (list, tuple)) else kind


def array_memory(array: Any) -> memoryview:
    """The array's bytes, in the order that its header says."""
    numpy = sys.modules["numpy"]
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    return memoryview(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8)).cast("B") if array.size else memoryview(b"")


def encode(value: Any) -> Any:
    """The hook of the packer: something that msgpack knows, for something that it does not."""
    kind = type(value)
    if kind is tuple:
        return list(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if kind is numpy.ndarray:
            header = array_header(value)
            if header is not None:
                return msgpack.ExtType(ARRAY, b"".join((header, array_memory(value))))
        elif isinstance(value, numpy.generic) and (value.dtype.kind in "iufb" and value.dtype.itemsize <= 8 or value.dtype.kind == "U"):
            return value.item()
    return msgpack.ExtType(OBJECT, dump_object(value))


_packers: List[msgpack.Packer] = []


def pack(message: Any) -> bytes:
    """The message's bytes. A BadValue says which value can't go."""
    try:
        packer = _packers.pop()  # one of its own for each nested or concurrent use
    except IndexError:
        packer = msgpack.Packer(default=encode, strict_types=True, use_bin_type=True)
    try:
        data = packer.pack(message)
    except ObjpoolError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadValue(f"a value can't be sent: {error}") from error
    if len(_packers) < 8:
        _packers.append(packer)
    return data


# ---- reading ------------------------------------------------------------------------------------------------------------------


def load_ext(code: int, body: Any, unpickle: bool) -> Any:
    """The value of an ext."""
    if code == OBJECT:
        return load_object(body, unpickle)
    if code == ARRAY:
        return load_array(body)
    return msgpack.ExtType(code, bytes(body))


def load_object(body: Any, unpickle: bool) -> Any:
    """What was pickled."""
    if not unpickle:
        raise BadValue("an object came pickled, and this client does not unpickle (connect with unpickle=True to trust the daemon)", ran="yes")
    view = memoryview(body)
    head = bytes(view[:16]).partition(b"\0")[0]
    data = view[len(head) + 1:]
    try:
        if head == b"pickle":
            return pickle.loads(data)
        if head == b"dill":
            dill = _optional("dill")
            if dill is None:
                raise BadValue("an object came by dill, which is not installed here", ran="yes")
            return dill.loads(bytes(data))
    except BadValue:
        raise
    except Exception as error:
        raise BadValue(f"an object came that can't be unpickled here: {type(error).__name__}: {error}", ran="yes") from error
    raise BadValue(f"an object came in the unknown codec {head!r}", ran="yes")


def _dtype(numpy: Any, kind: Any) -> Any:
    if isinstance(kind, str):
        return numpy.dtype(kind)

    def field(parts: Any) -> Any:
        name, inner, *shape = parts
        name = tuple(name) if isinstance(name, list) else name
        inner = [field(part) for part in inner] if isinstance(inner, list) else inner
        return (name, inner, *(tuple(s) for s in shape))
    return numpy.dtype([field(parts) for parts in kind])


def load_array(body: Any, writable: bool = False) -> Any:
    """The array; on the body's own memory if that is `writable`, else on a copy."""
    numpy = _optional("numpy")
    if numpy is None:
        raise BadValue("an array came, and numpy is not installed here", ran="yes")
    view = memoryview(body)
    try:
        size, = struct.unpack(">H", view[:2])
        kind, shape, order = msgpack.unpackb(bytes(view[2:2 + size]).rstrip(b"\0"))
        array = numpy.frombuffer(view[2 + size:], numpy.uint8).view(_dtype(numpy, kind)).reshape(shape, order=order)
        return array if writable else array.copy(order="K")
    except Exception as error:
        raise BadValue(f"an array came that is none: {error}", ran="yes") from error


def load(value: Any) -> Any:
    """The value with all placeholders replaced, in place."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        if not set(map(type, value)) <= _PLAIN:
            for i, item in enumerate(value):
                if type(item) not in _PLAIN:
                    value[i] = load(item)
    elif kind is dict:
        if not set(map(type, value.values())) <= _PLAIN:
            for key, item in value.items():
                if type(item) not in _PLAIN:
                    value[key] = load(item)
        if not set(map(type, value)) <= _PLAIN:
            return {load(key): item for key, item in value.items()}
    elif kind is Ext:
        return value()
    return value


def new_unpacker(unpickle: bool) -> msgpack.Unpacker:
    """A streaming unpacker that makes placeholders of ext values."""
    hook = functools.partial(Ext, _load_trusted if unpickle else _load_untrusted)
    return msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=0, ext_hook=hook)


def _load_trusted(code: int, body: Any) -> Any:
    return load_ext(code, body, True)


def _load_untrusted(code: int, body: Any) -> Any:
    return load_ext(code, body, False)


def load_error(wire: Any, unpickle: bool) -> BaseException:
    """The exception to raise for an error that came: the method's own where that could travel."""
    error = error_of(load(wire) if isinstance(wire, dict) else wire)
    if not isinstance(error, CallFailed) or not error.data or not unpickle:
        return error
    try:
        original = msgpack.unpackb(error.data, ext_hook=lambda code, body: load_ext(code, body, True))
    except Exception:
        return error  # e.g. its class is not known here
    if not isinstance(original, BaseException):
        return error
    original.__cause__ = RemoteTraceback(error.traceback or f"{error.type}: {error.message}", error)
    return original
