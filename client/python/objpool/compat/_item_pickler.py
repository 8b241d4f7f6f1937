# SPDX-License-Identifier: Apache-2.0
"""Writes the items of tasks for the workers of a pool: bodies of messages, as _message.py describes them."""
import pickle
import sys

import msgpack

from .. import _files
from . import _pickling, _sharing
from ._message import APART, AS_THEY_ARE, ATOMS, ONE, PICKLED, PIECE, PIECES
from ._picklers import PROTOCOL

plain_packer = msgpack.Packer(use_bin_type=True)


class ItemPickler:
    """sender and works: the pool's Sender and WorkMaker."""

    def __init__(self, sender, works):
        self._sender, self._works = sender, works

    def message(self, items, each, work):
        """The parts of the message: head, body, and buffers that are arguments of their own."""
        if work.error is not None:
            raise work.error
        if each == APART and not set(map(type, items)) <= ATOMS:
            return self._message_apart(items, work)
        large = [] if "numpy" in sys.modules else None
        if each == ONE and len(items) > PIECE and type(items) in (list, tuple):
            data = _pickling.dumps_pieces(PIECES, items if type(items) is list else list(items), PIECE)
            if data is not None:
                return work.head, data
        data, names = self._sender.dumps((each, items), large)
        if names or large:
            return self._named(work, data, names, large)
        return work.head, data

    def _message_apart(self, items, work, aside=True):
        """Pickles each item by itself, so that it arrives as if sent alone. aside: keeps large buffers out of the pickles."""
        pickled, names, together = [], {}, _sharing.Together(items)
        for item in items:
            large = [] if aside and "numpy" in sys.modules else None
            try:
                data, more = self._sender.dumps(item, large)
            except Exception as error:
                data, more, large = _pickling.raising(error), None, None
            pickled.append((data, together.indexes(large)) if large else data)
            names.update(more or {})
        large = together.buffers
        if _sharing.may_have_changed(large, items):
            return self._message_apart(items, work, False)
        data, _ = self._sender.dumps((PICKLED, pickled))
        return self._named(work, data, names, large) if names or large else (work.head, data)

    def _named(self, work, data, names, large=()):
        readonly = [buffer.readonly for buffer in large or ()]
        body = pickle.dumps((None, data, names, self._works.untold(names), readonly), PROTOCOL)
        return (work.head, body, *(large or ()))

    def values(self, items):
        """(packed array of the items for the Worker's `item`, pickle of the names of __main__ that they look up, or None)"""
        if AS_THEY_ARE.issuperset(map(type, items)):
            try:
                return plain_packer.pack(items), None
            except (ValueError, OverflowError):     # integers of more than 64 bits; text that is not valid Unicode
                pass
        values, names = [], {}
        for item in items:
            try:
                data, more = self._sender.dumps(item)
            except Exception as error:
                data, more = _pickling.raising(error), None
            values.append(data)
            names.update(more or {})
        return plain_packer.pack(values), pickle.dumps((names, self._works.untold(names)), PROTOCOL) if names else None


def packed_plainly(args, work):
    """The arguments of the Worker's `call`, packed. None: the call has to be a message for `run`."""
    if work.packed is None or type(args) is not tuple or not AS_THEY_ARE.issuperset(map(type, args)):
        return None
    try:
        data = plain_packer.pack(args)
    except (ValueError, OverflowError):     # integers of more than 64 bits; text that is not valid Unicode
        return None
    return work.packed + data if len(data) < _files.MIN else None
