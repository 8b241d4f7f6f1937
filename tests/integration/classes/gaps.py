# SPDX-License-Identifier: Apache-2.0
"""Methods whose optional arguments stand before others that come by place: for typed clients."""
from __future__ import annotations

from typing import Any, Iterator


class Unshown:
    pass


class Gaps:
    def number(self, a: int, b: int = 7, *rest: int) -> list[int]:
        return [a, b, *rest]

    def values(self, a: bool = True, b: float = 1.5, c: str = "\u00e4\"\\\n??/", d: bytes = b"\0\xff", e: list[Any] = [1, [None]],
               f: dict[str, Any] = {"k": [1]}, g: Any = None, h: int = -2**63, i: list[int] = [], j: dict[str, int] = {}, *rest: int) -> int:
        known = [True, 1.5, "\u00e4\"\\\n??/", b"\0\xff", [1, [None]], {"k": [1]}, None, -2**63, [], {}]
        if [a, b, c, d, e, f, g, h, i, j] != known:
            raise ValueError(str([a, b, c, d, e, f, g, h, i, j]))
        return sum(rest)

    def placed(self, a: int = 7, b: int = 8, /) -> list[int]:
        return [a, b]

    def unshown(self, a: Any = Unshown(), *rest: int) -> int:
        return sum(rest) if isinstance(a, Unshown) else -1

    def each(self, a: int = 7, *rest: int) -> Iterator[int]:
        yield from (a, *rest)

    def unshown_each(self, a: Any = Unshown(), *rest: int) -> Iterator[int]:
        yield from rest
