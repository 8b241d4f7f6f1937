# SPDX-License-Identifier: Apache-2.0
"""What the daemon or msgpack would refuse in a request is replaced by pickled objects, which they take."""
from __future__ import annotations

import operator

from . import _depth
from ._objects import as_object
from ._request_shape import call_parts, takes_columns
from ._wire_types import NUMBERS, PLAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List


def _repaired(value: Any, fork: Any, levels: int) -> Any:
    """The value, with an OBJECT for each dict whose keys no map can have, for each string that is no Unicode, and for each
    container that is nested deeper than `levels`. If there is none, the value itself."""
    kind = type(value)
    if kind is str:
        if not _is_unicode(value):
            return as_object(value, fork)
    elif kind is list or kind is tuple:
        if levels == 0:
            return as_object(value, fork)
        if not set(map(type, value)) <= NUMBERS:
            items = [_repaired(item, fork, levels - 1) for item in value]
            return value if all(map(operator.is_, items, value)) else items
    elif kind is dict:
        if levels == 0 or not _are_keys(value):
            return as_object(value, fork)
        items = [_repaired(item, fork, levels - 1) for item in value.values()]
        return value if all(map(operator.is_, items, value.values())) else dict(zip(value, items))
    return value


def _is_unicode(value: str) -> bool:
    """Whether it has no surrogates: UTF-8 has none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _are_keys(keys: Any) -> bool:
    """Whether a map on the wire can have these keys."""
    return set(map(type, keys)) <= PLAIN and all(type(key) is not str or _is_unicode(key) for key in keys)


def repaired_message(message: List[Any], fork: Any, spread: bool) -> List[Any]:
    """The message with its values repaired. How many levels lie around the values depends on the method: see docs/PROTOCOL.md."""
    method, params = message[-2:]
    if method == "objpool.call":
        repaired = _repaired_call(params, fork)
    elif method == "objpool.feed":
        repaired = [params[0], _repaired(params[1], fork, _depth.DEEPEST + 1 + spread)]
    else:
        repaired = _repaired(params, fork, _depth.DEEPEST + 1 + takes_columns(method.partition(".")[0]))
    return [*message[:-1], repaired]


def _repaired_call(params: List[Any], fork: Any) -> List[Any]:
    """The parameters of objpool.call: target, method, args, options."""
    target, method, args, options = call_parts(params)
    if not isinstance(options, dict):
        return [target, method, _repaired(args, fork, _depth.DEEPEST + 1 + takes_columns(target)), options]
    columns = takes_columns(target)
    around = {"kwargs": 1 + columns, "bind": 1, "bind_kwargs": 1}
    args = _repaired(args, fork, _depth.DEEPEST + 1 + (columns and options.get("args_as") != "single"))
    repaired = {key: _repaired(options[key], fork, _depth.DEEPEST + around[key]) for key in around.keys() & options}
    return [target, method, args, {**options, **repaired}]
