# SPDX-License-Identifier: Apache-2.0
"""How deep a message is nested.

The wire takes values of 32 levels (docs/VALUES.md); msgpack's packer takes hundreds. So depth is checked, in one of two ways:

* A long message is packed inside a shell of lists. The shell leaves the packer only as many levels as the message may have.
* A short message is packed first. Its bytes are checked: it has at most as many levels as bytes that may begin a container. If
  those are too many, msgpack's unpacker skips the message, without making objects, behind a shell, too.

So no value is walked over in Python unless it is deep, and no long one is walked over twice.

The limits of msgpack's packer and unpacker are not documented: they are measured once. If they are not found, every message may
be deep.
"""
from __future__ import annotations

import functools

import msgpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, List, Optional

DEEPEST = 32     #: levels of a value
LONG = 10000     #: items of a container from which on a shell costs less than checking the bytes
_SHORT = 4 << 10
_FEW = 16
_LIMITS = (511, 1024)  # of msgpack before and since version 1.2
_CONTAINERS = frozenset({list, tuple, dict})
_NO_HEADS = bytes(set(range(256)) - set(range(0x80, 0xa0)) - set(range(0xdc, 0xe0)))
_ENOUGH = DEEPEST + 1  # of the message that has least around its values; an empty container within is not counted by msgpack


def is_long(values: Iterable[Any], levels: int = 2) -> bool:
    """Whether one of the values is a container of very many items, or has one in it, a few levels deep."""
    for value in values:
        if type(value) in _CONTAINERS:
            if len(value) >= LONG:
                return True
            if levels and len(value) <= _FEW and is_long(value.values() if type(value) is dict else value, levels - 1):
                return True
    return False


def may_be_deep(data: bytes) -> bool:
    """False if the message in these bytes has no value that is nested too deeply. True: it may have one."""
    if len(data) <= _SHORT and len(data.translate(None, _NO_HEADS)) <= _ENOUGH:
        return False
    limit = _unpacker_limit()
    return limit is None or not _skips(b"\x91" * (limit - _ENOUGH) + data)


def _skips(data: bytes) -> bool:
    unpacker = msgpack.Unpacker(max_buffer_size=0, read_size=len(data))  # its buffer would be a mebibyte, fresh from the system
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
