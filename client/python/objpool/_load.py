# SPDX-License-Identifier: Apache-2.0
"""Loading: the values of messages that have come.

The unpacker of a connection makes only :class:`_wire_types.Ext` placeholders. :func:`load` replaces them in the thread of the
caller that waits for the value. So a pickle that is slow, fails or calls objpool again delays its own call alone. Making a
placeholder runs no bytecode: the exception of a signal handler can't be raised inside the unpacker.
"""
from __future__ import annotations

import functools

import msgpack

from . import _files
from ._arrays import load_array
from ._objects import load_object
from ._wire_types import ARRAY, OBJECT, PLAIN, Ext
from .errors import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, List


def new_hook(unpickle: bool) -> Any:
    """A hook for unpackers that makes a placeholder of each ext value. Its cache_info() counts them as misses."""
    return functools.lru_cache(maxsize=0)(functools.partial(Ext, _load_trusted if unpickle else _load_untrusted))


def new_unpacker(hook: Any) -> msgpack.Unpacker:
    """A streaming unpacker that makes a placeholder of each ext value."""
    return msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=0, ext_hook=hook)


def _load_trusted(code: int, body: Any) -> Any:
    return load_ext(code, body, True)


def _load_untrusted(code: int, body: Any) -> Any:
    return load_ext(code, body, False)


def load_ext(code: int, body: Any, unpickle: bool) -> Any:
    """The value of an ext with this body."""
    if code == OBJECT:
        return load_object(body, unpickle)
    if code == ARRAY:
        return load_array(body)
    return msgpack.ExtType(code, bytes(body))


def _load_file(file: _files.File, body: bytes, unpickle: bool) -> Any:
    """The value whose bytes are in a file. `body` says where, and of which type it is."""
    try:
        view = file.map(body)
    except (OSError, ValueError) as error:
        raise BadValue(f"a large value can't be mapped: {error}", ran="yes") from error
    kind = int.from_bytes(body[8:10], "big")
    if kind == _files.BIN:
        return bytes(view)
    if kind & 0xFF == ARRAY:
        return load_array(view, writable=True)
    return load_ext(kind & 0xFF, view, unpickle)


def unreadable(what: str, parts: List[Any]) -> Ext:
    """A placeholder for a value that Python can't have: loading it raises BadValue. `parts` are the values in it."""
    return Ext(_refuse, what, parts)


def _refuse(what: str, parts: List[Any]) -> Any:
    raise BadValue(f"a value came that can't be read here: {what}", ran="yes")


def attach(value: Any, arrivals: _files.Arrivals, unpickle: bool) -> Any:
    """Gives files that have come to the placeholders that stand for their bytes, in the order of the wire. Returns the value."""
    kind = type(value)
    if kind is Ext:
        if value.func is _refuse:
            attach(value.args[1], arrivals, unpickle)
        elif len(value.args) == 2 and arrivals.is_reference(*value.args):
            if not arrivals.waiting:
                raise ValueError("a value came without its descriptor")
            file = arrivals.waiting.popleft()
            if file is None:
                raise ValueError("a descriptor came that is no sealed memory file")
            return Ext(_load_file, file, value.args[1], unpickle)
    elif kind is list:
        if not set(map(type, value)) <= PLAIN:
            value[:] = [item if type(item) in PLAIN else attach(item, arrivals, unpickle) for item in value]
    elif kind is dict:
        for key, item in value.items():
            value[key] = attach(item, arrivals, unpickle)
    return value


def size_alone(value: Any) -> int:
    """How many bytes a value has, as it came, that is one bin or ext, which may come beside the socket. 0: it is another."""
    if type(value) is bytes:
        return len(value)
    if type(value) is not Ext or value.func is _refuse:
        return 0
    return _files.length_of(value.args[1]) if value.func is _load_file else len(value.args[1])


def load(value: Any) -> Any:
    """The value with all placeholders replaced by their values, in place."""
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list:
        if not set(map(type, value)) <= PLAIN:
            for i, item in enumerate(value):
                if type(item) not in PLAIN:
                    value[i] = load(item)
    elif kind is dict:
        if not set(map(type, value.values())) <= PLAIN:
            for key, item in value.items():
                if type(item) not in PLAIN:
                    value[key] = load(item)
        if not set(map(type, value)) <= PLAIN:
            return _with_keys([load(key) for key in value], value.values())
    elif kind is Ext:
        return value()
    return value


def _with_keys(keys: List[Any], values: Iterable[Any]) -> Any:
    try:
        return dict(zip(keys, values))
    except TypeError as error:
        raise BadValue(f"a value came that can't be read here: a map whose keys a dict can't have: {error}", ran="yes") from None


def load_items(values: List[Any]) -> List[Any]:
    """Loads the results of a map's items. A BadValue has the index of the item."""
    if not set(map(type, values)) <= PLAIN:
        for i, value in enumerate(values):
            values[i] = load_item(i, value)
    return values


def load_item(index: int, value: Any) -> Any:
    """Loads the result of one item. A BadValue has its index."""
    try:
        return load(value)
    except BadValue as error:
        error.index = index
        raise
