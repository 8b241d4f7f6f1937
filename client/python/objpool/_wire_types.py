# SPDX-License-Identifier: Apache-2.0
"""The types of values on the wire, see docs/VALUES.md: those of msgpack, and two ext types for all others."""
from __future__ import annotations

import functools

from .errors import TooLarge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

OBJECT = 80  #: ext type: a pickled object
ARRAY = 81   #: ext type: an array of numpy

# Types that msgpack has.
PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
SMALL = PLAIN - {bytes}
NUMBERS = frozenset({int, float, bool, type(None)})


class Ext(functools.partial):
    """A placeholder for an ext value that has come: _load.load calls it for the value."""

    __slots__ = ()


def check_size(what: str, size: int, limit: Optional[int]) -> None:
    """Raises TooLarge if `what` is larger than the daemon's limit for a message. limit None: the limit is not known."""
    if limit is not None and size > limit:
        raise TooLarge(f"{what} has {size} bytes, over the daemon's max_message = {limit} bytes", ran="no")
