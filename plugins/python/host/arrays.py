# SPDX-License-Identifier: Apache-2.0
"""ARRAYs: numpy's arrays, as their memory and a header that says how to read it."""
import importlib

import _objpool

ARRAY = 81
ALIGNMENT = 64


def array(header, memory, offset):
    """The array of an ARRAY's header. It reads `memory`, and can't be written to."""
    numpy = importlib.import_module("numpy")
    kind, shape, order = header
    dtype = numpy_dtype(numpy, kind)
    if dtype.hasobject or dtype.itemsize < 0:
        raise ValueError("an ARRAY can't have objects in it, nor items of more than 2 GiB")
    if order not in ("C", "F") or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an ARRAY's order must be C or F, and its shape numbers")
    made = numpy.ndarray(tuple(shape), dtype, memory, offset, order=order)
    if made.nbytes != len(memory) - offset:
        raise ValueError(f"an ARRAY has {len(memory) - offset} bytes, but its shape and type need {made.nbytes}")
    return made


def numpy_dtype(numpy, kind):
    """The dtype that a header describes. A field without a name is a gap between other fields."""
    if isinstance(kind, str):
        return numpy.dtype(kind)
    names, titles, formats, offsets, size = [], [], [], [], 0
    for name, inner, *shape in kind:
        inner = numpy_dtype(numpy, inner)
        inner = numpy.dtype((inner, tuple(*shape))) if shape else inner
        if name != "":
            title, name = name if isinstance(name, list) else (None, name)
            names.append(name)
            titles.append(title)
            formats.append(inner)
            offsets.append(size)
        size += inner.itemsize
    told = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
    return numpy.dtype({**told, "titles": titles} if any(titles) else told)


def numpy_kind(numpy, dtype):
    """How a header describes a dtype; None: a header can't."""
    try:
        kind = dtype.str if dtype.names is None else dtype.descr
        return kind if numpy_dtype(numpy, listed(kind)) == dtype else None
    except ValueError:
        return None  # fields that overlap, or are out of order


def listed(kind):
    return [listed(part) for part in kind] if isinstance(kind, (list, tuple)) else kind


def encode_array(numpy, value, kind):
    """(ext type, header with padding, memory)"""
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    if not (value.flags.c_contiguous or value.flags.f_contiguous):
        value = numpy.ascontiguousarray(value).reshape(value.shape)
    header = _objpool.pack([kind, list(value.shape), order])
    padding = -(2 + len(header)) % ALIGNMENT
    size = (len(header) + padding).to_bytes(2, "big")
    memory = value.ravel(order="K").view(numpy.uint8) if value.nbytes else b""
    return ARRAY, size + header + bytes(padding), memory
