# SPDX-License-Identifier: Apache-2.0
"""multiprocessing.reduction, with a ForkingPickler that sends by value what pickle can't send.

All that this package sends goes through ForkingPickler.dumps: items of queues, messages of connections, Process objects, calls of
managers. What it writes any pickle.loads reads, if objpool can be imported there. What a program has registered with
multiprocessing.reduction is used here, too; what is registered here is used only here.
"""
import io
import multiprocessing.reduction as _standard
import pickle
import re
from abc import ABCMeta  # noqa: F401
from multiprocessing.reduction import HAVE_SEND_HANDLE, DupFd, recv_handle, recvfds, send_handle, sendfds  # noqa: F401

from .. import _elsewhere, _reducers

__all__ = ["send_handle", "recv_handle", "ForkingPickler", "register", "dump", "DupFd", "sendfds", "recvfds"]

_MAIN = re.compile(b"_main__")      # __main__, or __mp_main__

ACKNOWLEDGE = _standard.ACKNOWLEDGE


class ForkingPickler(_standard.ForkingPickler):
    """Writes one value for a process of which nothing is known."""

    def __init__(self, file, protocol=None, *args, **kwargs):
        super().__init__(file, protocol, *args, **kwargs)
        self.dispatch_table.update(_reducers.own)
        self._file, self._protocol = file, protocol

    def dump(self, obj):
        self._file.write(self.dumps(obj, self._protocol))

    @classmethod
    def register(cls, type, reduce):
        """From now on this pickler, but not the standard library's, reduces objects of the type so."""
        _reducers.own[type] = reduce

    @classmethod
    def dumps(cls, obj, protocol=None):
        """The pickle of the object: bytes, or what has a buffer of them."""
        file = io.BytesIO()
        pickler = pickle.Pickler(file, protocol)
        pickler.dispatch_table = _reducers.table()
        try:
            pickler.dump(obj)
        except Exception as error:      # which exception depends on the object; it may still go by value
            return _elsewhere.dumps(obj, error)
        data = file.getbuffer()
        return _elsewhere.dumps(obj) if _MAIN.search(data) else data

    loads = pickle.loads


register = ForkingPickler.register


def dump(obj, file, protocol=None):
    """Writes the pickle of the object to the file."""
    ForkingPickler(file, protocol).dump(obj)


class AbstractReducer(_standard.AbstractReducer):
    ForkingPickler = ForkingPickler
    register = register
    dump = dump
