# SPDX-License-Identifier: Apache-2.0
"""Arrays of numpy: the body of an ext of type ARRAY, see docs/VALUES.md. It is a header and the array's memory."""
from __future__ import annotations

import struct
import sys

import msgpack

from .errors import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

_ALIGN = 64  #: of the memory in the body


def array_header(array: Any) -> Optional[bytes]:
    """The header of an array. None: the array can't be sent as memory, it has to be pickled."""
    numpy = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.hasobject or (dtype.names is not None and dtype.metadata):
        return None
    try:
        kind = _listed(dtype.str if dtype.names is None else dtype.descr)
        if _dtype(numpy, kind) != dtype:
            return None
    except ValueError:
        return None  # its fields overlap, or are out of order
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    header = msgpack.packb([kind, list(array.shape), order])
    size = len(header) + -(2 + len(header)) % _ALIGN
    return struct.pack(">H", size) + header.ljust(size, b"\0") if size < 1 << 16 else None


def _listed(kind: Any) -> Any:
    return [_listed(part) for part in kind] if isinstance(kind, (list, tuple)) else kind


def array_memory(array: Any) -> memoryview:
    """The array's bytes, in the order that its header names."""
    numpy = sys.modules["numpy"]
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    if not array.size:
        return memoryview(b"")
    return memoryview(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8)).cast("B")


def load_array(body: Any, writable: bool = False) -> Any:
    """The array of an ARRAY's body. It uses the body's own memory if that is `writable`, else a copy."""
    try:
        import numpy
    except ImportError:
        raise BadValue("an array came, and numpy is not installed here", ran="yes") from None
    view = memoryview(body)
    try:
        size, = struct.unpack(">H", view[:2])
        kind, shape, order = msgpack.unpackb(bytes(view[2:2 + size]).rstrip(b"\0"))
        dtype = _dtype(numpy, kind)
        shape_is_good = all(type(n) is int and n >= 0 for n in shape)
        if dtype.hasobject or dtype.itemsize < 0 or order not in ("C", "F") or not shape_is_good:
            raise ValueError(f"its header is {[kind, shape, order]!r:.200}")
        array = numpy.ndarray(tuple(shape), dtype, view, 2 + size, order=order)
        if array.nbytes != len(view) - 2 - size:
            raise ValueError(f"it has {len(view) - 2 - size} bytes, but its shape and type need {array.nbytes}")
        if not array.nbytes:
            return numpy.ndarray(array.shape, dtype, bytearray(), order=order)  # copy() would count the items, which can be 2**60
        return array if writable else array.copy(order="K")
    except Exception as error:
        raise BadValue(f"an array came that is none: {error}", ran="yes") from error


def _dtype(numpy: Any, kind: Any) -> Any:
    """The dtype that a header describes. Fields without a name are gaps between others."""
    if isinstance(kind, str):
        return numpy.dtype(kind)
    told: Any = {"names": [], "titles": [], "formats": [], "offsets": [], "itemsize": 0}
    for name, inner, *shape in kind:
        inner = _dtype(numpy, inner)
        inner = numpy.dtype((inner, tuple(*shape))) if shape else inner
        if name != "":
            title, name = name if isinstance(name, list) else (None, name)
            for key, value in (("names", name), ("titles", title), ("formats", inner), ("offsets", told["itemsize"])):
                told[key].append(value)
        told["itemsize"] += inner.itemsize
    if not any(told["titles"]):
        del told["titles"]
    return numpy.dtype(told)
