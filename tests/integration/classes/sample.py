# SPDX-License-Identifier: Apache-2.0
"""Classes that test_python.py puts into pools."""
import os
import sys


class Counter:
    """Counts.

    It has a state.
    """

    def __init__(self, start=0, *, step: int = 1):
        """Counts from `start`."""
        self.value = start
        self.step = step

    def add(self, n: int = 1) -> int:
        """Adds n steps, and gives the sum."""
        self.value += n * self.step
        return self.value

    def get(self):
        return self.value

    def echo(self, *args, **kwargs):
        """What it was given."""
        return [list(args), kwargs]

    def same(self, value):
        return value

    def fail(self, message="no"):
        raise ValueError(message)

    def pid(self):
        return os.getpid()

    def say(self, text):
        print(text)
        print(text, file=sys.stderr)

    def _private(self):
        return "private"

    @staticmethod
    def twice(x):
        return 2 * x

    @property
    def size(self):
        return 3

    def __len__(self):
        return 7
