# SPDX-License-Identifier: Apache-2.0
"""Sends large arrays once that several items of a call have in common.

Two items have an array in common if both have the same object, at a place that only pickle's own code reads while the items are
pickled: in the items, in lists, tuples and dicts, and in objects that don't define how they are pickled. What a `__reduce__` or
`__getstate__` makes may differ each time, although it lies in the same memory.
"""
import copyreg
import sys
import weakref

from .. import _files
from .._encoder import Repeated
from ._message import ATOMS

OF_PICKLING = ("__reduce_ex__", "__reduce__", "__getstate__", "__getattribute__")
MOST = 10000            # values that arrays_in looks at


def place_of(array):
    ndarray = sys.modules["numpy"].ndarray      # not what a subclass has in their place
    return ndarray.__array_interface__.__get__(array)["data"][0], ndarray.nbytes.__get__(array)


def bytes_of(buffer):
    """A buffer as an array of its bytes."""
    numpy = sys.modules["numpy"]
    return numpy.frombuffer(buffer, numpy.uint8)


def arrays_in(items):
    """{place_of(array): array}"""
    ndarray, found, values = sys.modules["numpy"].ndarray, {}, [items]
    for value in values:        # it grows
        kind = type(value)
        if kind is list or kind is tuple:
            inner = value
        elif issubclass(kind, ndarray):
            found[place_of(value)] = value
            continue
        else:
            inner = (value if kind is dict else attributes_of(value)).values()
        values += (item for item in inner if type(item) not in ATOMS)
        if len(values) > MOST:
            break
    return found


def attributes_of(value):
    """The attributes of an object whose class doesn't define how it is pickled; else {}."""
    kind = type(value)
    try:
        is_plain = kind not in copyreg.dispatch_table and all(
            getattr(kind, name, None) is getattr(object, name, None) for name in OF_PICKLING)
        found = value.__dict__ if is_plain else {}
    except Exception:
        found = {}
    return found if type(found) is dict else {}


def may_have_changed(buffers, items):
    """True if pickling an item may have changed a buffer of an item before it.

    Then buffers can't be copied after all items are pickled.
    """
    if len(buffers) < 2:
        return False
    known, of_all, of_made = arrays_in(items), 0, 0
    for begin, size in sorted(place_of(bytes_of(buffer)) for buffer in buffers):
        is_made = (begin, size) not in known
        if begin < (of_all if is_made else of_made):
            return True
        of_all = max(of_all, begin + size)
        of_made = max(of_made, begin + size if is_made else 0)
    return False


class Sharing:
    """Knows what was sent already by the messages of one with-statement."""

    def __init__(self):
        self._shared = {}       # place -> (weak reference to the array, what goes for it)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, shared in self._shared.values():
            shared.end()

    def arguments(self, buffers, items):
        """What to send in place of buffers of these items."""
        known = arrays_in(items)
        return [self._argument(bytes_of(buffer), known) for buffer in buffers]

    def _argument(self, array, known):
        place = place_of(array)
        if place not in known or array.nbytes < _files.MIN:
            return array
        whose, shared = self._shared.get(place, (None, None))
        if whose is None or whose() is not known[place]:
            if shared is not None:
                shared.end()
            whose, shared = self._shared[place] = weakref.ref(known[place]), _files.Shared()
        return Repeated(array, shared)


class Together:
    """The buffers of items that are pickled one by one, and sent in one message."""

    def __init__(self, items):
        self.buffers = []
        self._items = items
        self._known = None
        self._indexes = {}

    def indexes(self, buffers):
        """The indexes of an item's buffers among the message's. Adds buffers that are new."""
        if self._known is None:
            self._known = arrays_in(self._items)
        return [self._index(buffer) for buffer in buffers]

    def _index(self, buffer):
        place, new = place_of(bytes_of(buffer)), len(self.buffers)
        index = self._indexes.setdefault((place, buffer.readonly), new) if place in self._known else new
        if index == new:
            self.buffers.append(buffer)
        return index
