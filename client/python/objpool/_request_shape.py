# SPDX-License-Identifier: Apache-2.0
"""Where a request has its values: the arguments of a call, and the columns of a map's arguments."""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional


def takes_columns(target: Any) -> bool:
    """Whether the arguments of a call of this target are columns, each with a value for every item."""
    return isinstance(target, str) and target.endswith((":map", ":scatter"))


def call_parts(params: List[Any]) -> List[Any]:
    """The four parameters of objpool.call: target, method, args, options."""
    return [*params, *(None, None, None, None)[len(params):]]


def columns_of(message: List[Any]) -> Optional[List[Any]]:
    """The columns of a request. None: it is not for the items of a map."""
    method, params = message[-2:]
    if method != "objpool.call":
        return params if takes_columns(method.partition(".")[0]) else None
    target, _, args, options = call_parts(params)
    if not takes_columns(target):
        return None
    if options and options.get("args_as", "zip") != "zip":
        return [args]
    return [*(args or ()), *((options or {}).get("kwargs") or {}).values()]
