# SPDX-License-Identifier: Apache-2.0
"""Pickles values for the other side of a compatible pool, with code that the other side can't import.

Plain pickle writes what it can. Code that workers can't import goes by value: lambdas, nested functions, and what a program
defines in its __main__. _picklers.py has the picklers for that, which are tried in turn, until one can write the value.
_rebuild.py has what the pickles call when they are loaded.
"""
import io
import pickle

from . import _rebuild
from ._picklers import PROTOCOL, pickle_with, picklers

LARGE = 1 << 16     # bytes; buffers from this size on can be kept out of a pickle


def dumps(value, wanted, terms, large=None):
    """The pickle of a value. Adds to the set `wanted` the names of __main__ that loading looks up.

    terms: what is known of the other side (_picklers.py). large: a list that takes the buffers of 64 KiB and more, which are then
    not in the pickle; or None.
    """
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=_aside(large))
        if _is_plain(data):
            return data
        refused = None
    except Exception as error:      # which exception depends on the value; it may still go by value
        refused = error
    if large:
        large.clear()
    try:
        return dumps_by_value(value, wanted, terms, large=large)
    except RecursionError:
        raise
    except Exception as error:
        raise error from (refused if refused is not None and type(refused) is not type(error) else None)
    finally:
        refused = None      # its traceback refers to this frame, and to frames that refer to the pool


def dumps_pieces(kind, items, size):
    """Pickles of (kind, number of lists), and of lists of `size` items each. None: plain pickle can't write them."""
    file, large = io.BytesIO(), []
    pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=_aside(large))
    try:
        pickler.dump((kind, -(-len(items) // size)))
        for begin in range(0, len(items), size):
            pickler.dump(items[begin:begin + size])
            if large:
                return None
    except Exception:       # the caller then uses dumps(), which raises it if it has no way either
        return None
    data = file.getvalue()
    return data if _is_plain(data) else None


def dumps_by_value(value, wanted, terms, definition=NotImplemented, large=None):
    """As dumps(), but without trying plain pickle. `definition`: an object of __main__ that must not go by its name."""
    refused = None
    try:
        for pickler in picklers():
            names = set()
            try:
                data = pickle_with(pickler, value, names, terms, definition, _aside(large))
                wanted |= names
                return data
            except RecursionError:
                raise
            except Exception as error:
                if large:
                    large.clear()
                refused = error if pickler.says_why else refused
        raise refused
    finally:
        refused = None      # its traceback refers to this frame


def by_name(qualname):
    """The pickle of the object that the other side has in its __main__ by this name."""
    return pickle.dumps(_ByName(qualname), PROTOCOL)


def raising(error):
    """A pickle that raises this exception where it is loaded."""
    try:
        return pickle.dumps(_Raising(error), PROTOCOL)
    except Exception:
        return pickle.dumps(_Raising(pickle.PicklingError(f"{type(error).__name__}: {error}")), PROTOCOL)


class _ByName:
    def __init__(self, qualname):
        self.qualname = qualname

    def __reduce__(self):
        return _rebuild.main_attribute, (self.qualname,)


class _Raising:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _rebuild.raise_, (self.error,)


def _is_plain(data):
    return b"_main__" not in data and b"multiprocessing.connection" not in data and b"multiprocess.connection" not in data


def _aside(large):
    """A pickler's buffer_callback, which moves large buffers to the list. None for None."""
    if large is None:
        return None

    def keep(buffer):
        try:
            raw = buffer.raw()
        except BufferError:         # its memory is not contiguous
            return True
        if raw.nbytes < LARGE:
            return True
        large.append(raw)
        return False
    return keep
