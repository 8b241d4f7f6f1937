# SPDX-License-Identifier: Apache-2.0
"""The format of what a program and the workers of its compatible pools send to each other.

    message   u32, length of the head; head; body
    head      pickle of (mode, function, fresh, names, definitions, path, reloads): the same for all messages of a call
                mode         CALL f(*item[0], **item[1]); MAP f(item); STAR f(*item); NAMED f(**item)
                function     pickled by itself
                fresh        the function has state: each chunk gets a copy
                names        the names of the program's __main__ that it may look up (_sender.py), or None
                definitions  of names that this worker may not have been told yet (`define`), or None
                path         the folders that the program has added to sys.path, or None
                reloads      {module: how often the program has reloaded it since it made the pool}, or None
    body      pickle of (each, items), or of (None, that pickle, names, definitions, readonly)
                each         ONE: items are one chunk, which ends with the first exception. APART: each item is a chunk.
                             PICKLED: each item is a chunk, pickled by itself: bytes, or (bytes, the indexes of its buffers).
                             PIECES: as ONE; items is the number of lists that follow, written by the same pickler
                readonly     for each buffer that is an argument of its own: whether the program's may not be written to either
    answer    pickle of (results, failures, nanoseconds)
                results      many integers, or floats, are an array.array
                failures     None, or {index: (pickled exception, text of its traceback)}

`run`(message, buffers...) takes a message. `call`(head, arguments) takes a call whose arguments are of AS_THEY_ARE; its answer is
the result if that is such a value, else the pickle above. Short items of imap go as a map of `item`(number of the message, head,
names, item): the daemon hands the items out one by one, and takes back those that wait behind a long one.
"""
import array
import functools
import io
import itertools
import pickle
import struct

CALL, MAP, STAR, NAMED = range(4)
ONE, APART, PICKLED, PIECES = range(4)

PACKED = {int: "iq", float: "d"}    # type of results -> typecodes of arrays that can hold them
PACK_FROM = 64
PIECE = 4096    # items of a long chunk that go together: so many stay in the CPU's cache, and their memory is used again
AS_THEY_ARE = frozenset({int, float, bool, type(None), str})    # not pickled, but plain on the wire; see is_plain
INT_MOST = (1 << 63) - 1
ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})      # whatever pickles these writes no code and no names


def is_plain(result):
    """True if the result goes on the wire as it is: integers of 64 bits, and text in ASCII, do."""
    kind = type(result)
    if kind is int:
        return -INT_MOST <= result <= INT_MOST
    return kind in AS_THEY_ARE and (kind is not str or result.isascii())


# Items


def load_item(item):
    """An item that is pickled by itself."""
    data, buffers = (item, ()) if type(item) is bytes else item
    return pickle.loads(data, buffers=itertools.starmap(buffer_of, buffers))


def buffer_of(array, is_readonly):
    """The memory of an object of an item: shared by all that read it, or, where it may be written to, the item's own.

    Where the array's file can be mapped privately, only the pages that are written to are copied.
    """
    private = None if is_readonly else getattr(array.base, "private", None)
    if private is None:
        return array if is_readonly else array.copy()
    memory = private()
    return memoryview(memory)[len(memory) - array.nbytes:]


def pieces_in(body):
    """The lists of a body of PIECES, loaded one by one."""
    unpickler = pickle.Unpickler(io.BytesIO(body))
    _, count = unpickler.load()
    return (unpickler.load() for _ in range(count))


# Results


def packed(values, least=PACK_FROM):
    """The same values; `least` or more integers, or floats, as an array, which takes a fraction of the time to read."""
    if type(values) is array.array or len(values) < least:
        return values
    kind = type(values[0])
    if kind in PACKED and set(map(type, values)) == {kind}:
        for code in PACKED[kind]:
            try:
                return array.array(code, struct.pack(f"{len(values)}{code}", *values))      # faster than from the list
            except struct.error:        # too large
                continue
    return values


def joined(results, more):
    """Both together, as an array where that is possible."""
    if not results:
        return more
    codes = {getattr(part, "typecode", None) for part in (results, more)}
    if len(codes) > 1:
        both = functools.partial(array.array, "q") if codes == {"i", "q"} else list
        results, more = both(results), both(more)
    results.extend(more)
    return results
