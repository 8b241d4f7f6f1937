# SPDX-License-Identifier: Apache-2.0
"""A class whose annotations are of types that msgpack has not: test_python_values.py calls it."""
from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import pathlib
import uuid
from typing import Any, Iterator, NamedTuple, Optional


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5
    seen: Optional[datetime.datetime] = None
    colours: frozenset[Colour] = frozenset()

    def __post_init__(self):
        if self.x < 0:
            raise ValueError("x is negative")


class Pair(NamedTuple):
    first: Point
    day: datetime.date


Wide = dataclasses.make_dataclass("Wide", [(f"field_{i}", int, i) for i in range(200)])


class Records:
    def __init__(self, origin: Point, *, home: pathlib.Path = pathlib.Path("/")):
        self.origin, self.home = origin, home

    def start(self) -> list[Any]:
        return [self.origin, self.home]

    def move(self, point: Point, by: float = 0) -> Point:
        return dataclasses.replace(point, x=point.x + by)

    def repr(self, *values: Point | Pair | set[int] | decimal.Decimal | None, **more: uuid.UUID) -> str:
        return repr((values, more))

    def points(self, pairs: list[Pair]) -> Iterator[Point]:
        for pair in pairs:
            yield pair.first

    async def later(self, at: datetime.datetime) -> datetime.datetime:
        await asyncio.sleep(0)
        return at + datetime.timedelta(microseconds=1)

    def echo(self, value):
        return value

    def wide(self, value: Wide) -> Wide:
        return value

    def kinds(self):
        return [{1}, Colour.RED, pathlib.Path("/x"), uuid.UUID(int=5), decimal.Decimal("1.10"), datetime.date(2026, 1, 2), datetime.time(12, 30),
                datetime.timedelta(seconds=1.5), Pair(Point(1), datetime.date(2026, 1, 2)), {Colour.RED: {datetime.date(2026, 1, 2): 1}}]

    def naive(self):
        return datetime.datetime(2026, 1, 2)

    def doubled(self):
        return {"red": 1, Colour.RED: 2}

    def type(self, value) -> str:
        return type(value).__name__
