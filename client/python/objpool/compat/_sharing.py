# SPDX-License-Identifier: Apache-2.0
"""Large arrays that several items of a call have in common: they go once.

Two items have an array in common where it is the same object, and lies where no code but pickle's own gets at it while the items are pickled: in the items,
in lists, tuples and dicts, and in objects that say nothing of how they are pickled. What a `__reduce__` or `__getstate__` makes may be another
thing each time, though it lies in the same memory.
"""
import copyreg
import sys
import weakref

from .. import _files, _values
from ._message import ATOMS

MOST = 10000            # values that are looked at


def place_of(array):
    ndarray = sys.modules["numpy"].ndarray      # whatever a subclass has for them
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
    """Those of an object that is pickled as all are that say nothing of it."""
    kind = type(value)
    try:
        is_plain = kind not in copyreg.dispatch_table and all(
            getattr(kind, name, None) is getattr(object, name, None) for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__getattribute__"))
        found = value.__dict__ if is_plain else {}
    except Exception:
        found = {}
    return found if type(found) is dict else {}


def may_have_changed(buffers, items):
    """Can what pickled an item have written to a buffer of one before it? Then they can't wait to be copied until all are there."""
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
    """Of the messages that go one after the other, from `with` to its end."""

    def __init__(self):
        self._shared = {}       # place -> (weak reference to the array, what goes for it)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, shared in self._shared.values():
            shared.end()

    def arguments(self, buffers, items):
        """What to send for buffers of these items."""
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
        return _values.Repeated(array, shared)


class Together:
    """The buffers of items that are pickled one by one, and go in one message."""

    def __init__(self, items):
        self.buffers = []
        self._items = items
        self._known = None
        self._indexes = {}

    def indexes(self, buffers):
        """Where in the message's buffers an item's are; new ones are added."""
        if self._known is None:
            self._known = arrays_in(self._items)
        return [self._index(buffer) for buffer in buffers]

    def _index(self, buffer):
        place, new = place_of(bytes_of(buffer)), len(self.buffers)
        index = self._indexes.setdefault((place, buffer.readonly), new) if place in self._known else new
        if index == new:
            self.buffers.append(buffer)
        return index
