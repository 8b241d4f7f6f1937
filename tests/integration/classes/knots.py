# SPDX-License-Identifier: Apache-2.0
"""Records that contain themselves, tuples, and texts that formatters change: for typed clients."""
from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Optional, Union


@dataclasses.dataclass
class Loop:
    inner: Loop
    pair: tuple[Loop, int]
    many: list[Loop]
    maybe: Optional[Loop] = None
    text: str = ""


@dataclasses.dataclass
class There:
    back: Back
    long_name: dict[str, tuple[int, str, float]]


@dataclasses.dataclass
class Back:
    there: There


class Knots:
    """- An item
    - ``another``, ''quoted''

        code:

    1. numbered
    # Heading

    [link]: https://example.org
    """

    def loop(self, value: Loop, there: There) -> There:
        """
        * one
            * two
          three\t

        """
        return there

    def tuples(self, empty: tuple[()], one: tuple[int], deep: tuple[tuple[int, str], list[tuple[bool, bool, bool]]],
               long: tuple[int, int, int, int, int, int, int, int, int, int, int, int]) -> tuple[int, ...]:
        """Heading

        Text { of
            an example
        }"""
        return (1,)

    def either(self, value: Union[int, datetime.datetime], text: str = "``''", rest: Any = None) -> None:
        pass
