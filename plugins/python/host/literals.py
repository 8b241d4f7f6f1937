# SPDX-License-Identifier: Apache-2.0
"""Default values as text of signatures (docs/PLUGINS.md): as Python writes them, if clients can be told them."""
import math

TEXT_MOST, ITEMS_MOST, DEEPEST = 200, 16, 5


def literal(value, depth=0):
    """The value as text; "...", which does not show it, for what can't be written or is long."""
    text = written(value, depth)
    return "..." if text is None or len(text) > TEXT_MOST else text


def written(value, depth):
    kind = type(value)
    if value is None or kind is bool:
        return repr(value)
    if kind is int:
        return repr(value) if -1 << 63 <= value < 1 << 64 else None
    if kind is float:
        return repr(value) if math.isfinite(value) else None
    if kind is str:
        return repr(value) if value.isprintable() or is_encodable(value) else None
    if kind is bytes:
        return repr(value)
    return written_container(value, depth) if depth < DEEPEST else None


def is_encodable(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def written_container(value, depth):
    if type(value) not in (list, tuple, dict) or len(value) > ITEMS_MOST:
        return None
    parts = [written(part, depth + 1) for part in (value if type(value) is not dict else [*value, *value.values()])]
    if None in parts:
        return None
    if type(value) is dict:
        return "{" + ", ".join(map("{}: {}".format, parts[:len(value)], parts[len(value):])) + "}"
    return f"[{', '.join(parts)}]" if type(value) is list else f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
