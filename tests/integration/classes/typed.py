# SPDX-License-Identifier: Apache-2.0
"""A class with annotations, which test_types.py puts into a pool."""
from __future__ import annotations

import dataclasses
from typing import Iterator, Optional, TypedDict


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5
    next: Optional[Point] = None


class Options(TypedDict, total=False):
    depth: int


class Wheel:
    pass


class Typed:
    def __init__(self, start: Point | None = None, *, limit: int = 10):
        pass

    def move(self, by: list[float], options: Options = {}) -> Point:
        return Point(*by, next=Point(1.5))

    def count(self, n: int) -> Iterator[int]:
        yield from range(n)

    def slide(self, items: Iterator[int] = None, *, window: int = 2, pair: tuple = (1, (2,))) -> Iterator[int]:
        yield from items or ()
        yield window

    def turn(self, wheel: Wheel, again: Wheel = Wheel()) -> None:
        pass

    def free(self, anything, *rest):
        return anything

    def odd(self, text: str = "\"'\\*/ \n\\u000a"):
        """Text that ends a comment or a string somewhere: */ \"\"\" \\u002a/ \\N{x} // # \\"""
