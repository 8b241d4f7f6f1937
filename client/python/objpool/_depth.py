# SPDX-License-Identifier: Apache-2.0
"""How deep a message is nested.

The wire takes values of 32 levels (docs/VALUES.md); msgpack's packer goes on for hundreds. What is long is packed inside a shell of lists
that leaves the packer no more levels than the message may have. What is short is packed first, and its bytes are looked at: a message has
no more levels than bytes that may begin a container, and where it has too many of these, msgpack's unpacker walks over them, without making
objects, also behind a shell. So no value is walked in Python unless it is deep, and no long one is walked twice.

Both limits are msgpack's own and not told: they are looked for once. Where they are not found, every message may be deep.
"""
from __future__ import annotations

import functools

import msgpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Optional

DEEPEST = 32     #: levels of a value
LONG = 10000     #: items from which on a shell costs less than a look at the bytes
_SHORT = 4 << 10
_FEW = 16
_LIMITS = (511, 1024)  # of msgpack before and since version 1.2
_CONTAINERS = frozenset({list, tuple, dict})
_NO_HEADS = bytes(set(range(256)) - set(range(0x80, 0xa0)) - set(range(0xdc, 0xe0)))
_ENOUGH = DEEPEST + 1  # of the message that has least around its values; an empty container within is not counted by msgpack


def is_long(values: Iterable[Any], levels: int = 2) -> bool:
    """Whether there is a container of very many items among them, or, where they are few, in them."""
    for value in values:
        if type(value) in _CONTAINERS:
            if len(value) >= LONG or levels and len(value) <= _FEW and is_long(value.values() if type(value) is dict else value, levels - 1):
                return True
    return False


def may_be_deep(data: bytes) -> bool:
    """Whether the message in these bytes may have values that are nested too deeply. It does not when this says so."""
    if len(data) <= _SHORT and len(data.translate(None, _NO_HEADS)) <= _ENOUGH:
        return False
    limit = _unpacker_limit()
    return limit is None or not _skips(b"\x91" * (limit - _ENOUGH) + data)


def _skips(data: bytes) -> bool:
    unpacker = msgpack.Unpacker(max_buffer_size=0, read_size=len(data))  # its buffer is a mebibyte else, fresh from the system
    unpacker.feed(data)
    try:
        unpacker.skip()
    except (ValueError, RecursionError):
        return False
    return True


def _packs(levels: int) -> bool:
    try:
        msgpack.packb(_nested(levels, [1]), strict_types=True)
    except (ValueError, RecursionError):
        return False
    return True


def _nested(levels: int, inner: List[Any]) -> List[Any]:
    for _ in range(levels - 1):
        inner = [inner]
    return inner


def _limit(goes: Callable[[int], bool]) -> Optional[int]:
    return next((limit for limit in _LIMITS if goes(limit) and not goes(limit + 1)), None)


@functools.lru_cache(maxsize=None)
def _unpacker_limit() -> Optional[int]:
    return _limit(lambda levels: _skips(b"\x91" * levels + b"\1"))


@functools.lru_cache(maxsize=None)
def _packer_limit() -> Optional[int]:
    return _limit(_packs)


class Shell:
    """Lists around a message, for one packer."""

    __slots__ = ("_outer", "_inner", "_levels")

    def __init__(self) -> None:
        self._levels = (_packer_limit() or _ENOUGH) - _ENOUGH
        self._inner: List[Any] = [None]
        self._outer = _nested(self._levels, self._inner)

    def pack(self, packer: Any, message: Any) -> Any:
        """The message's bytes. A ValueError: it may be nested too deeply."""
        if self._levels == 0:
            raise ValueError("msgpack's limit is not known")
        self._inner[0] = message
        try:
            return memoryview(packer.pack(self._outer))[self._levels:]
        finally:
            self._inner[0] = None
