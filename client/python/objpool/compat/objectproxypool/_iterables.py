# SPDX-License-Identifier: Apache-2.0
"""Iterables with a length, and how tasks are shared out."""
import itertools
import operator

ENDLESS = (itertools.count, itertools.cycle)


def get_chunksize_per_worker(num, workers):
    """How many of num tasks each worker gets, as an array: equal shares, and one more for some of the first."""
    import numpy as np
    shares = np.full(workers, num // workers)
    shares[:num % workers] += 1
    return shares


def is_endless(iterable):
    if isinstance(iterable, itertools.repeat):
        try:
            operator.length_hint(iterable)
            return iterable.__length_hint__() < 0
        except TypeError:
            return True
    return isinstance(iterable, ENDLESS)


def get_chunksizes(num, chunksize):
    """The sizes of the fewest chunks of at most chunksize for num tasks, as an array: they differ by one at most."""
    return get_chunksize_per_worker(num, max(1, -(-num // chunksize)))


def get_static_chunks(iterable, chunksizes):
    """Lists of consecutive items, one list of each size."""
    items = iter(iterable)
    return [list(itertools.islice(items, size)) for size in chunksizes]


def iterlen(iterable):
    """The length of an iterable. TypeError for an iterator: counting would consume it."""
    try:
        return len(iterable)
    except TypeError:
        pass
    if iter(iterable) is iterable:
        raise TypeError("Cannot determine the length of an iterator without consuming it. Convert the argument to a list first.")
    return sum(1 for _ in iterable)


class lenzip:
    """zip() with a length: that of the shortest. Iterables without a length are read to know it."""

    def __init__(self, *iterables):
        if not iterables:
            raise ValueError("lenzip takes at least one argument")
        if all(map(is_endless, iterables)):
            raise ValueError("all arguments are endless: at least one must end")
        self._iterables = iterables
        self._items = None

    def _list(self):
        if self._items is None:
            self._items = list(zip(*self._iterables))
        return self._items

    def __len__(self):
        try:
            return min(len(iterable) for iterable in self._iterables if not is_endless(iterable))
        except TypeError:
            return len(self._list())

    def __iter__(self):
        return iter(self._list())


class lenrepeat:
    """The same item, `times` times."""

    def __init__(self, item, times):
        self.item, self.times = item, times

    def __len__(self):
        return self.times

    def __iter__(self):
        return itertools.repeat(self.item, self.times)
