# SPDX-License-Identifier: Apache-2.0
"""Packing: the bytes of a message.

Packing is one pass in C with a hook for what msgpack does not know (_encoder.py). A long message of plain values is packed by the
extension module (client/python/wire), if there is one, in a quarter of the time. Only a message that fails so, or that the
daemon may refuse, is walked over in Python (_repair.py).
"""
from __future__ import annotations

import functools

import msgpack

from . import _depth
from ._encoder import Encoder, with_large
from ._repair import repaired_message
from ._request_shape import columns_of
from ._wire_types import SMALL, check_size
from .errors import BadValue, ObjpoolError, TooLarge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Tuple

    from . import _files

_packers: List[Tuple[Any, Encoder]] = []  #: that nobody uses now


def _new_packer() -> Tuple[Any, Encoder]:
    encoder = Encoder()
    return msgpack.Packer(default=encoder, strict_types=True, use_bin_type=True), encoder


def pack(message: Any) -> Any:
    """The message's bytes. Raises BadValue for a value that can't be sent."""
    return pack_with(message, None)[0]


def pack_with(message: List[Any], store: Optional[_files.Store], fork: Any = None, spread: bool = False,
              limit: Optional[int] = None) -> Tuple[Any, Optional[_files.Outgoing]]:
    """The message's bytes, and what goes beside them. The message's last item is a list, which has all values.

    store: where large values are put; None: all go in the message. fork: see _objects.dump_object. spread: each item of an
    objpool.feed is a container of values. limit: how many bytes a value may have, and the message.
    """
    try:
        both = _packers.pop()  # each nested or concurrent call has a packer for itself
    except IndexError:
        both = _new_packer()
    both[1].begin(store, fork, limit)
    try:
        data = _packed(both[0], both[1], message)
        if data is None or both[1].odd:
            both = _new_packer() if data is None else both
            repaired = repaired_message(message, fork, spread)
            if data is None or repaired[-1] is not message[-1]:
                both[1].begin(store, fork, limit)
                data = both[0].pack(_with_large(repaired))
    except (BadValue, TooLarge) as error:
        error.index = _item_at_fault(message, fork, limit)
        raise
    except ObjpoolError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadValue(f"a value can't be sent: {error}", index=_item_at_fault(message, fork, limit)) from error
    outgoing = both[1].end()
    check_size("the message", len(data), limit)
    if len(_packers) < 8:
        _packers.append(both)
    return data, outgoing


def _packed(packer: Any, encoder: Encoder, message: List[Any]) -> Any:
    """The message's bytes. None: the message may have to be repaired."""
    params = message[-1]
    try:
        if SMALL.issuperset(map(type, params)):
            return packer.pack(message)
        message = _with_large(message)
        if _depth.is_long(params):
            data = _fast_packer()(message)
            return encoder.shell.pack(packer, message) if data is None else data
        data = packer.pack(message)
    except ObjpoolError:
        raise
    except (ValueError, RecursionError):
        return None
    return None if _depth.may_be_deep(data) else data


@functools.lru_cache(maxsize=None)
def _fast_packer() -> Any:
    """What packs a message that has plain values only, and gives None for another. Without the extension module it gives None."""
    from . import _extension
    return getattr(_extension.find("objpool_wire"), "pack", lambda message: None)


def _item_at_fault(message: List[Any], fork: Any, limit: Optional[int]) -> Optional[int]:
    """The index of the first item of a map that has a value that can't be packed. None: the message is not for a map."""
    columns = columns_of(message) or ()
    faults = (next((i for i, item in enumerate(column) if not _can_go(item, fork, limit)), None) for column in columns)
    return min((fault for fault in faults if fault is not None), default=None)


def _can_go(value: Any, fork: Any, limit: Optional[int]) -> bool:
    try:
        pack_with([0, "", [value]], None, fork, limit=limit)
    except (BadValue, TooLarge):
        return False
    return True


def _with_large(message: List[Any]) -> List[Any]:
    return [*message[:-1], with_large(message[-1])]
