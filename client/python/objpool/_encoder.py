# SPDX-License-Identifier: Apache-2.0
"""The hook of a packer, for the values that msgpack does not know: it makes ext values of them."""
from __future__ import annotations

import sys

import msgpack

from . import _depth, _files
from ._arrays import array_header, array_memory
from ._objects import dump_object
from ._wire_types import ARRAY, OBJECT, SMALL, check_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

_BYTES = frozenset({bytes, bytearray, memoryview})


class Encoder:
    """The hook of one packer: called with a value that msgpack does not know; returns one that it knows."""

    __slots__ = ("odd", "store", "outgoing", "fork", "limit", "_shell")

    def __init__(self) -> None:
        self._shell: Optional[_depth.Shell] = None
        self.begin(None, None, None)

    def begin(self, store: Optional[_files.Store], fork: Any, limit: Optional[int]) -> None:
        """Called before a message is packed."""
        self.limit = limit  #: how many bytes a value may have
        self.odd = False  #: a hashable value was seen: it could be a key that no map on the wire has
        self.store = store  #: where large values are put, which then go beside the socket; or None
        self.outgoing: Optional[_files.Outgoing] = None
        self.fork = fork  #: the _fork.Fork whose workers read it; or None

    def end(self) -> Optional[_files.Outgoing]:
        """Called after the message was packed; returns what goes beside it."""
        outgoing = self.outgoing
        self.begin(None, None, None)
        return outgoing

    @property
    def shell(self) -> _depth.Shell:
        """What packs long messages. Made at first use."""
        if self._shell is None:
            self._shell = _depth.Shell()
        return self._shell

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        self.odd = self.odd or kind.__hash__ is not None
        if kind is tuple:
            return list(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if kind is numpy.ndarray:
                header = array_header(value)
                if header is not None:
                    return self._ext(ARRAY, [header, array_memory(value)])
            elif isinstance(value, numpy.generic):
                dtype = value.dtype
                if dtype.kind in "iufb" and dtype.itemsize <= 8 or dtype.kind == "U":
                    return value.item()
        if kind is Large:
            return self._ext(None, [value.body])
        if kind is Repeated:
            return self._ext(ARRAY, [array_header(value.array), array_memory(value.array)], value.shared)
        return self._ext(OBJECT, [dump_object(value, self.fork, self.limit)])

    def _ext(self, code: Optional[int], parts: List[Any], shared: Optional[_files.Shared] = None) -> Any:
        """An ext with these bytes, or for code None bytes; or the ext that stands for them if they go beside the socket."""
        size = sum([memoryview(part).nbytes for part in parts])
        check_size("a value", size, self.limit)
        if self.store is not None and size >= _files.MIN:
            if self.outgoing is None:
                self.outgoing = _files.Outgoing(self.store)
            reference = self.outgoing.add(_files.BIN if code is None else _files.EXT | code, parts, shared)
            if reference is not None:
                return msgpack.ExtType(_files.REFERENCE, reference)
        return parts[0] if code is None else msgpack.ExtType(code, b"".join(parts))


class Large:
    """Bytes that may go beside the socket."""

    __slots__ = ("body",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, body: Any) -> None:
        self.body = body


class Repeated:
    """An array that is sent in several messages."""

    __slots__ = ("array", "shared")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Any, shared: _files.Shared) -> None:
        self.array, self.shared = array, shared


def is_large(value: Any) -> bool:
    """Whether a value is bytes, and so many that they may go beside the socket."""
    return type(value) in _BYTES and memoryview(value).nbytes >= _files.MIN and memoryview(value).c_contiguous


def with_large(message: Any, levels: int = 4) -> Any:
    """The message with bytes that are many replaced by Large, a few levels deep: where arguments and items are."""
    kind = type(message)
    if levels == 0:
        return message
    if kind is list or kind is tuple:
        if len(message) < 1000 and not set(map(type, message)) <= SMALL:
            return [Large(item) if is_large(item) else with_large(item, levels - 1) for item in message]
    elif kind is dict and len(message) < 1000:
        return {key: Large(item) if is_large(item) else with_large(item, levels - 1) for key, item in message.items()}
    return message
