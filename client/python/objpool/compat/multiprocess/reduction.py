# SPDX-License-Identifier: Apache-2.0
"""multiprocessing.reduction, with a ForkingPickler that sends by value what pickle can't send.

All that this package sends goes through ForkingPickler.dumps: items of queues, messages of connections, Process objects, calls of
managers. What it writes any pickle.loads reads, if objpool can be imported there. What a program has registered with
multiprocessing.reduction is used here, too; what is registered here is used only here.
"""
import copyreg
import io
import multiprocessing.reduction as _standard
import pickle
import re
from abc import ABCMeta  # noqa: F401
from multiprocessing.reduction import HAVE_SEND_HANDLE, DupFd, recv_handle, recvfds, send_handle, sendfds  # noqa: F401

from .. import _elsewhere, _reducers
from .._message import ATOMS

__all__ = ["send_handle", "recv_handle", "ForkingPickler", "register", "dump", "DupFd", "sendfds", "recvfds"]

_MAIN = re.compile(b"_main__")      # __main__, or __mp_main__
_FRAME_MOST = 1 << 18               # bytes; what pickle writes at once and is longer is one long string, array or the like

ACKNOWLEDGE = _standard.ACKNOWLEDGE


class _File(io.BytesIO):
    """A file for a pickle. names_main: the pickle may refer to something in __main__."""

    names_main = False

    def write(self, data):
        if len(data) <= _FRAME_MOST and _MAIN.search(data):
            self.names_main = True
        return super().write(data)


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
        if type(obj) in ATOMS:
            return memoryview(pickle.dumps(obj, protocol))
        file = _File()
        pickler = pickle.Pickler(file, protocol)
        pickler.dispatch_table = {**copyreg.dispatch_table, **cls._extra_reducers, **_reducers.own}
        try:
            pickler.dump(obj)
        except Exception as error:      # which exception depends on the object; it may still go by value
            return _elsewhere.dumps(obj, error)
        if file.names_main:
            try:
                return _elsewhere.dumps(obj)
            except Exception:           # an object that only pickle can write: it goes by the names that it has here
                pass
        return file.getbuffer()

    loads = pickle.loads


register = ForkingPickler.register


def dump(obj, file, protocol=None):
    """Writes the pickle of the object to the file."""
    ForkingPickler(file, protocol).dump(obj)


class AbstractReducer(_standard.AbstractReducer):
    ForkingPickler = ForkingPickler
    register = register
    dump = dump
