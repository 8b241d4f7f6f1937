# SPDX-License-Identifier: Apache-2.0
"""What the workers of all contestants do: as little as can be checked."""
import time

PAGE = 4096


def increment(x):
    return x + 1


def increments(xs):
    return [x + 1 for x in xs]


def kilobyte(x):
    """Something that is seen when it piles up."""
    return x.to_bytes(8, "big") * 128


def touch(array):
    """Reads each page, so that nobody gets away with not having sent it."""
    return float(array[::PAGE // array.itemsize].sum())


def touch_in_parallel(slots, array):
    """The same for each of a slice of numbers."""
    return [touch(array) for _ in slots]


def begin(_):
    """Takes long enough that each worker of a new pool gets one."""
    time.sleep(0.001)


class Work:
    """The same as methods of an object that stays in its worker."""

    def increment(self, x):
        return x + 1

    def kilobyte(self, x):
        return kilobyte(x)

    def touch(self, array):
        return touch(array)

    def begin(self, _=None):
        begin(_)


class Incrementer:
    def __call__(self, x):
        return x + 1


class Toucher:
    def __call__(self, array):
        return touch(array)


class Kilobyte:
    def __call__(self, x):
        return kilobyte(x)


class Beginner:
    def __call__(self, _):
        begin(_)
