# SPDX-License-Identifier: Apache-2.0
"""Small calls in one step: the extension module objpool_wire (client/python/wire) sends the request, waits, and reads the answer.

Without the module, and for all calls that it leaves, the Python code does the same, more slowly. `OBJPOOL_WIRE=0` in the
environment does without it.
"""
from __future__ import annotations

import os

from . import _extension

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def line_class() -> Any:
    """objpool_wire.Line, which does small calls on a connection; None: there is no module for this Python."""
    return None if os.environ.get("OBJPOOL_WIRE") == "0" else getattr(_extension.find("objpool_wire"), "Line", None)


def no_line(entry: Any, method: str, params: Any) -> Any:
    """Leaves the call to the Python code."""
    return entry


def no_tell(method: str, params: Any) -> bool:
    """Leaves the notification to the Python code."""
    return False
