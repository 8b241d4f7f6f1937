# SPDX-License-Identifier: Apache-2.0
"""How values travel between proxies and the server of a manager (_referents.py).

Plain values (PLAIN) go as they are. For all others there are bytes: one that says what it is, and what follows from it.

    VALUE    a pickle of the value
    ERROR    a pickle of (exception, text of its traceback)
    REMOTE   text: the traceback of what the server could not do, or of an exception that can't be pickled
    PROXY    a pickle of (typeid, ident, exposed): the value stays in the server
    STALE    the server does not know the object: it is not the server that made it
    UNKNOWN  the server does not know the client
    RESEND   the call would have to wait, and can't on the way that it has come
    LARGE    the answer is large: `fetch` gives it, on the connection to the daemon
    FILE     where a memory file with the answer is; who can't open it asks for it by `fetch`
    AGAIN    the client is to ask again: what had to be done before is done now (_hold_back.py)
    UNSEEN   the server can't open the client's memory file
"""
import pickle
import traceback

from .._message import ATOMS
from . import context

PROTOCOL = pickle.HIGHEST_PROTOCOL
PLAIN = frozenset({type(None), bool, int, float, str})
INT_MOST = 1 << 63
VALUE, ERROR, REMOTE, PROXY, STALE, UNKNOWN, RESEND, LARGE, FILE, UNSEEN, AGAIN = range(11)
LARGE_FROM = 1 << 17      # bytes of an answer
DIRECT_MOST = 1 << 15     # bytes of an item that goes on the direct channel
_SIMPLE = (*ATOMS, tuple, list, dict)
_TEXTS = frozenset({bytes, str})
_VIEWS = frozenset(map(type, ({}.keys(), {}.values(), {}.items())))       # sent as lists
_errors = {}        # type -> an exception without arguments, encoded
_VALUE, _ERROR, _REMOTE, _PROXY, _FILE = (bytes([kind]) for kind in (VALUE, ERROR, REMOTE, PROXY, FILE))
STALE_ANSWER, UNKNOWN_ANSWER, RESEND_ANSWER, LARGE_ANSWER, UNSEEN_ANSWER, AGAIN_ANSWER = (
    bytes([kind]) for kind in (STALE, UNKNOWN, RESEND, LARGE, UNSEEN, AGAIN))


def is_plain(value):
    """Whether the value goes as it is."""
    kind = type(value)
    if kind is str:
        return value.isascii()
    return kind in PLAIN and (kind is not int or -INT_MOST <= value < INT_MOST)


def is_small(value):
    """Whether the value goes as it is, on the direct channel."""
    kind = type(value)
    if kind is int:
        return -INT_MOST <= value < INT_MOST
    return kind in PLAIN and (kind is not str or value.isascii() and len(value) <= DIRECT_MOST)


def are_plain(values):
    return all(map(is_plain, values))


def _is_simple(value):
    """Whether pickle alone writes the value as it should be: it has no code, no names, and nothing that is reduced."""
    kind = type(value)
    if kind is tuple or kind is list:
        return ATOMS.issuperset(map(type, value))
    if kind is dict:
        return ATOMS.issuperset(map(type, value)) and ATOMS.issuperset(map(type, value.values()))
    return kind in ATOMS


def dumps(value):
    """The pickle of a value, by value where it has to be."""
    return pickle.dumps(value, PROTOCOL) if _is_simple(value) else context.reduction.ForkingPickler.dumps(value)


def dumps_call(args, kwds, *around):
    """The pickle of a call's arguments. around: simple values that come before them."""
    call = (*around, args, kwds)
    if not kwds and all(map(_is_simple, args)):
        return pickle.dumps(call, PROTOCOL)
    return bytes(context.reduction.ForkingPickler.dumps(call))


def dumps_pair(kind, value):
    """The pickle of a message of the standard library's protocol."""
    pair = (kind, value)
    return pickle.dumps(pair, PROTOCOL) if _is_simple(value) else context.reduction.ForkingPickler.dumps(pair)


loads = pickle.loads


def encode(value):
    """The value as it goes. Raises what pickling it raises."""
    if is_plain(value):
        return value
    return b"".join((_VALUE, dumps(list(value) if type(value) in _VIEWS else value)))


class _Pieces(list):
    """A file for a pickler, which gives large bytes to it as they are."""

    write = list.append


def encode_item(value):
    """An item of a queue as it goes: a list of pieces, if it is large. Raises what pickling it raises."""
    if type(value) in _TEXTS and len(value) > DIRECT_MOST:
        pieces = _Pieces((_VALUE,))
        pickle.Pickler(pieces, PROTOCOL).dump(value)
        return list(pieces)
    if is_plain(value):
        return value
    data = dumps(list(value) if type(value) in _VIEWS else value)
    return [_VALUE, data] if len(data) > DIRECT_MOST else b"".join((_VALUE, data))


def encode_file(where):
    return _FILE + where.encode()


def encode_error(error):
    """An exception that a method has raised."""
    if error.args or error.__dict__ or error.__cause__ is not None or not _is_own(error.__traceback__):
        return _encode_error(error)
    known = _errors.get(type(error))        # such as Empty, which programs ask for again and again
    if known is None:
        known = _errors[type(error)] = _encode_error(error)
    return known


def _encode_error(error):
    text = _text_of(error)
    try:
        data = dumps((error, text))
        pickle.loads(data)
    except Exception:
        return encode_remote(text)
    return b"".join((_ERROR, data))


def _outside(frames):
    """The traceback from the first frame that is not the server's own."""
    while frames is not None and frames.tb_frame.f_globals.get("__package__") == __package__:
        frames = frames.tb_next
    return frames


def _is_own(frames):
    return _outside(frames) is None


def _text_of(error):
    """If all frames are the server's own, the traceback's last line says enough, and fast."""
    frames = _outside(error.__traceback__)
    return "".join(traceback.format_exception(type(error), error, frames) if frames is not None or error.__cause__ is not None
                   else traceback.format_exception_only(type(error), error))


def encode_remote(text):
    return _REMOTE + text.encode("utf-8", "backslashreplace")


def encode_proxy(typeid, ident, exposed):
    return b"".join((_PROXY, pickle.dumps((typeid, ident, exposed), PROTOCOL)))

