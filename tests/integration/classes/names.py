# SPDX-License-Identifier: Apache-2.0
"""A class whose names are words of typed clients: test_generate.py makes them."""
from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class From:
    then: From | None = None


@dataclasses.dataclass
class T:
    value: int


@dataclasses.dataclass
class Plain:
    t: T


@dataclasses.dataclass
class Record:
    plain: Plain


@dataclasses.dataclass
class PromiseCreateOptions:
    value: int = 0


class Promise:
    def __init__(self, call: int, err: str, keys: list[str], target: str, unpack: int, text_pair: int, scale: float = 1.0):
        pass

    def create(self, a_b: int = 1, aB: int = 2, _a_b: int = 3) -> None:
        pass

    def carry(self, call: int, err: str, arguments: Record, unpack: From, _UNSET: list[int] = [], _given: list[int] = []) -> T:
        """??/"""
        return T(call)

    def read_from(self) -> From:
        return From()

    def internal_call(self, call: int = 0) -> dict[str, int]:
        return {}

    def foo_2(self, options: PromiseCreateOptions, n: int = 0) -> int:
        return n

    def foo2(self, n: int = 0) -> int:
        return n
