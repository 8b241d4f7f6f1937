# SPDX-License-Identifier: Apache-2.0
"""Writes the values that are not plain: write.c asks for them one by one. Reads timestamps."""
import sys

from .arrays import encode_array, numpy_kind
from .objects import OBJECT, dumps
from .text import type_name

TIMESTAMP = -1
KEYS = frozenset({str, int, float, bytes, bool, type(None)})


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
    if is_of(value, "datetime", "datetime"):
        return TIMESTAMP, timestamp(value), b""
    return None, plain(value)


# ---- for pools in which nothing may be pickled ----


def plain(value):
    """The value as a plain type that it is a subclass of, that can tell its parts, or that clients take it for (reading.py)."""
    if is_of(value, "enum", "Enum"):
        return value.value
    for kind in (str, bytes, int, float, list, tuple, dict):
        if isinstance(value, kind) and type(value) is not kind:
            return kind(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if type(value) is dict:
        return with_plain_keys(value)
    if hasattr(type(value), "__dataclass_fields__"):
        return {field.name: getattr(value, field.name) for field in sys.modules["dataclasses"].fields(value)}
    text = text_of(value)
    if text is None:
        raise TypeError(f"a value of type {type_name(type(value))} would have to be pickled, and this pool has unpickle = no")
    return text


def is_of(value, module, *names):
    """Is the value of one of these classes of a module? Who has not imported the module has no such value."""
    classes = tuple(getattr(sys.modules[module], name) for name in names) if module in sys.modules else ()
    return isinstance(value, classes)


def text_of(value):
    """The text, or the number, of a value of the standard library; None: it is none that goes so."""
    if is_of(value, "datetime", "date", "time"):
        return value.isoformat()
    if is_of(value, "datetime", "timedelta"):
        return value.total_seconds()
    if is_of(value, "decimal", "Decimal") or is_of(value, "uuid", "UUID") or is_of(value, "pathlib", "PurePath"):
        return str(value)
    return None


def with_plain_keys(value):
    """A dict with keys that maps on the wire have."""
    made = {key if type(key) in KEYS else plain(key): one for key, one in value.items()}
    if len(made) != len(value) or not all(type(key) in KEYS for key in made):
        raise TypeError("a dict whose keys are no plain values would have to be pickled, and this pool has unpickle = no")
    return made


# ---- timestamps: seconds since 1970, and nanoseconds ----


def instant(seconds, nanoseconds):
    """The datetime of a timestamp."""
    import datetime
    try:
        begin = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return begin + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except OverflowError:
        raise ValueError("a timestamp beyond the years 1 to 9999") from None


def timestamp(value):
    """The bytes of the timestamp of a datetime."""
    datetime = sys.modules["datetime"]
    if value.tzinfo is None:
        raise TypeError(f"a datetime without a time zone is no timestamp: {value}")
    since = value - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    seconds, nanoseconds = since.days * 86400 + since.seconds, since.microseconds * 1000
    if not 0 <= seconds < 1 << 34:
        return nanoseconds.to_bytes(4, "big") + seconds.to_bytes(8, "big", signed=True)
    if nanoseconds or seconds >= 1 << 32:
        return (nanoseconds << 34 | seconds).to_bytes(8, "big")
    return seconds.to_bytes(4, "big")
