# SPDX-License-Identifier: Apache-2.0
"""Exceptions become errors of calls."""
import _objpool

from .objects import OBJECT, dumps, loads
from .text import TEXT_MOST, clean, type_name

DATA_MOST = 1 << 20
OWN_FILES = "<objpool>"     # what the paths of this package's files begin with (scripts/embed-python.py)


def failure(error, may_pickle):
    """(type, message, traceback, data or None) of an exception."""
    kind = type_name(type(error))
    message = message_of(error) or ("out of memory in the worker" if isinstance(error, MemoryError) else kind)
    return kind, message, traceback_of(error), data_of(error) if may_pickle else None


def message_of(error):
    try:
        return clean(str(error))[:TEXT_MOST]
    except BaseException:
        return "(its text can't be made)"


def traceback_of(error):
    """The traceback's text, from the first frame that is not the host's own."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(OWN_FILES):
        frames = frames.tb_next
    import traceback
    try:
        return clean("".join(traceback.format_exception(type(error), error, frames)))[-TEXT_MOST:]
    except BaseException:
        return f"{type_name(type(error))}: its traceback can't be made\n"


def data_of(error):
    """The exception as a packed OBJECT; None if it can't be pickled and loaded again, or is too large."""
    try:
        codec, body = dumps(error)
        data = codec + b"\0" + body
        again = loads(data)
        return _objpool.pack_ext(OBJECT, data) if type(again) is type(error) and len(data) <= DATA_MOST else None
    except BaseException:
        return None
