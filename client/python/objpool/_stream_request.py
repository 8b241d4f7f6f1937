# SPDX-License-Identifier: Apache-2.0
"""The request for a streamed call, and what its input is."""
from __future__ import annotations

import collections
import itertools
import operator
from typing import Any, Iterator, List, Optional, Tuple

from . import _call
from ._call import Request
from .errors import BadArgument

_NEVER_BLOCK = frozenset(map(type, (
    [], (), {}, set(), frozenset(), "", b"", bytearray(), range(0), {}.keys(), {}.values(), {}.items(), collections.deque(),
    iter([]), iter(()), iter(range(0)), itertools.count(), itertools.repeat(0))))


def never_blocks(source: Any) -> bool:
    """True if reading an item of `source` can't wait for anything."""
    kind = type(source)
    return kind in _NEVER_BLOCK or kind.__module__ == "numpy"


def _length_of(sources: List[Any]) -> Optional[int]:
    try:
        return min(len(source) for source in sources)
    except TypeError:
        return None


def items_of(args: Tuple[Any, ...], kwargs: Any,
             args_as: Optional[str]) -> Tuple[Iterator[Any], Optional[str], bool, Optional[int]]:
    """The input of a streamed map: its items, args_as, whether reading them may block, and how many there are."""
    sources = list(args) + list(kwargs.values())
    if args and kwargs:
        raise BadArgument("a streamed map zips positional arguments or keywords, but not both:"
                          " bind what is the same for all items", ran="no")
    if not sources or (args_as not in (None, "zip") and len(sources) != 1):
        raise BadArgument("a streamed map takes an iterable of items", ran="no")
    for source in sources:
        _call.check_items(source)
    blocking, length = not all(map(never_blocks, sources)), _length_of(sources)
    if kwargs:
        names = list(kwargs)
        return (dict(zip(names, values)) for values in zip(*sources)), "keyword", blocking, length
    if args_as not in (None, "zip"):
        return iter(sources[0]), args_as, blocking, length
    if len(sources) == 1:
        return iter(sources[0]), None, blocking, length
    return map(list, zip(*sources)), "positional", blocking, length


def prepare(target: str, mapped: bool, name: str, args: Tuple[Any, ...], kwargs: Any, options: Any, ordered: bool,
            window: Optional[int]) -> Tuple[Request, Optional[Iterator[Any]], bool, Optional[int]]:
    """The request for a stream of target.name(*args, **kwargs), its input, whether reading that may block, and its length."""
    more: Any = {"stream": "runs"}
    if not ordered:
        more["ordered"] = False
    if window is not None:
        more["window"] = operator.index(window)
    if not target.endswith(":map"):
        request = _call.make_request(target, mapped, name, args, kwargs, options, more)
        length = len(request.params[2][0]) if mapped and request.params[2] else None
        return request, None, False, length
    items, args_as, blocking, length = items_of(args, kwargs, options.get("args_as"))
    more["args_as"] = args_as or "single"
    request = _call.make_request(target, True, name, (), {}, options, more, fed=True)
    request.params[3].pop("progress", None)  # Results counts by itself
    return request, items, blocking, length
