# SPDX-License-Identifier: Apache-2.0
"""Pickled objects: the body of an ext of type OBJECT, see docs/VALUES.md."""
from __future__ import annotations

import functools
import io
import pickle
import types

import msgpack

from . import _by_value
from ._wire_types import OBJECT, check_size
from .errors import BadValue, ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional


class _ByReferenceOnly(Exception):
    """The object to pickle is defined in __main__, where no worker would find it."""


class _Pickler(pickle.Pickler):
    """Refuses references into __main__, except to what `fork` has: the program that was forked for the workers that read this."""

    def __init__(self, file: Any, fork: Any) -> None:
        super().__init__(file, 5)
        self._fork = fork

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType)) and value.__module__ == "__main__":
            if self._fork is None or not self._fork.has(value):
                raise _ByReferenceOnly(value.__qualname__)
        return NotImplemented


class _Bounded(io.BytesIO):
    """A buffer that raises TooLarge instead of growing over `limit` bytes."""

    def __init__(self, limit: Optional[int]) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: Any) -> int:
        check_size("a pickled value", self.tell() + memoryview(data).nbytes, self._limit)
        return super().write(data)


def dump_object(value: Any, fork: Any = None, limit: Optional[int] = None) -> bytes:
    """The body of an OBJECT: by reference where pickle can, else by value with cloudpickle or dill.

    fork: the _fork.Fork whose workers read it, if they are forks of this program. limit: how many bytes it may have.
    """
    buffer = _Bounded(limit)
    buffer.write(b"pickle\0")
    refused: Optional[Exception] = None
    try:
        try:
            _Pickler(buffer, fork).dump(value)
            return buffer.getvalue()
        except ObjpoolError:
            raise
        except Exception as error:
            refused = error
        return _dump_by_value(value, refused, fork)
    except ObjpoolError:
        raise
    except Exception as error:
        raise BadValue(f"a {_name_of(value)} can't be sent: {error}") from error
    finally:
        refused = None  # its traceback has this frame: the cycle would keep all local variables of the callers alive


def as_object(value: Any, fork: Any = None) -> msgpack.ExtType:
    """Any value as an OBJECT."""
    return msgpack.ExtType(OBJECT, dump_object(value, fork))


def _dump_by_value(value: Any, refused: Exception, fork: Any) -> bytes:
    if _optional("cloudpickle") is not None:
        return b"pickle\0" + _by_value.dumps_by_value(value, None if fork is None else fork.has)
    if _optional("dill") is not None:
        return b"dill\0" + _by_value.dumps_by_dill(value)
    if isinstance(refused, _ByReferenceOnly):
        refused = BadValue(f"{refused} lives in __main__: sending it by value needs cloudpickle or dill")
    raise BadValue(f"a {_name_of(value)} can't be sent: {refused}") from refused


def _name_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def load_object(body: Any, unpickle: bool) -> Any:
    """The object of an OBJECT's body."""
    if not unpickle:
        raise BadValue("an object came pickled, and this client does not unpickle"
                       " (connect with unpickle=True to trust the daemon)", ran="yes")
    view = memoryview(body)
    head = bytes(view[:16]).partition(b"\0")[0]
    data = view[len(head) + 1:]
    try:
        if head == b"pickle":
            return _by_value.loads_by_value(data)
        if head == b"dill":
            if _optional("dill") is None:
                raise BadValue("an object came by dill, which is not installed here", ran="yes")
            return _by_value.loads_by_dill(data)
    except BadValue:
        raise
    except Exception as error:
        raise BadValue(f"an object came that can't be unpickled here: {type(error).__name__}: {error}", ran="yes") from error
    raise BadValue(f"an object came in the unknown codec {head!r}", ran="yes")


@functools.lru_cache(maxsize=None)
def _optional(name: str) -> Optional[Any]:
    """A module, or None if it is not installed."""
    try:
        return __import__(name)
    except ImportError:
        return None
