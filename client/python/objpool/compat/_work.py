# SPDX-License-Identifier: Apache-2.0
"""The function of a call, pickled once for all tasks of the call, or once for all calls, with what workers must know for it."""
import atexit
import functools
import pickle
import sys
import types
import weakref

from .. import _spawn
from .._entry import Entry
from . import _modules
from ._message import ATOMS
from ._names import is_found_by_name
from ._picklers import PROTOCOL
from ._rebuild import FORKED

CACHED = 100            # functions; the cache is emptied when it has so many
HEAD_MAX = 4096         # bytes of a head that `call` of the Worker takes


class Work:
    """The head of the messages of a call (_message.py), or why there is none.

    head: with its length before it. packed: the head as an argument of the Worker's `call`, or None. names and specs: what must
    not have changed if this is used again.
    """

    __slots__ = ("head", "error", "names", "packed", "specs")

    def __init__(self, head=b"", error=None, names=None, specs=()):
        self.head = len(head).to_bytes(4, "big") + head
        self.error, self.names, self.specs = error, names, specs
        self.packed = b"\xc6" + self.head if error is None and len(head) < HEAD_MAX else None


class WorkMaker:
    """Makes the Work of functions for the workers of one pool, and knows what these workers have been told."""

    def __init__(self, sender):
        self.path = list(sys.path)      # as it was when the workers were told
        self._sender = sender
        self._kept = {}
        self._told = {FORKED}           # the digests of definitions that all workers have
        self._reloads = _modules.Reloads()
        self._connection = self._pool = None
        _makers.add(self)

    def start(self, connection, pool):
        """Called once there is a pool of workers to tell definitions to."""
        self._connection, self._pool = connection, pool

    def work(self, function, mode):
        """The Work of a function. That of a function that workers find by its name is kept for later calls."""
        if type(function) not in (types.FunctionType, types.BuiltinFunctionType):
            return self._make(function, mode)[0]
        kept = self._kept.get((function, mode))
        if kept is not None and self._is_current(kept):
            return kept
        work, may_be_kept = self._make(function, mode)
        if may_be_kept:
            if len(self._kept) >= CACHED:
                self._kept.clear()
            self._kept[function, mode] = work
        return work

    def _is_current(self, work):
        return (sys.path == self.path and (not work.names or self._sender.is_current(work.names))
                and _modules.are_current(work.specs))

    def _make(self, function, mode):
        """(Work, whether it stays right for as long as the names mean the same)"""
        try:
            code, names = self._sender.dumps(function)
        except Exception as error:
            return Work(error=error), False
        path = None
        if sys.path != self.path:
            path = [folder for folder in _spawn.path() if folder not in self.path]
        fresh = not _is_stateless(function)
        definitions = self.untold(names)
        head = pickle.dumps((mode, code, fresh, names, definitions, path, self._reloads.look()), PROTOCOL)
        may_be_kept = definitions is None and path is None and not fresh and (
            type(function) is types.BuiltinFunctionType or is_found_by_name(function))
        return Work(head, names=names, specs=_modules.specs_of(function, names) if may_be_kept else ()), may_be_kept

    def untold(self, names):
        """The definitions that a message which needs these names must bring along, or None: some workers may not have them yet.

        They are also sent to all workers, so that later messages need not bring them.
        """
        if not names:
            return None
        new = set(names.values()) - self._told
        if not new:
            return None
        definitions = self._sender.definitions(new)
        data = pickle.dumps(definitions, PROTOCOL)
        self._connection.start(_Telling(self._told, definitions), "objpool.call",
                               [f"{self._pool}:all", "define", [data], {"sticky": "append"}])
        return definitions

    def forget(self):
        """Lets go of the program's objects."""
        self._kept.clear()
        self._sender.forget()


class _Telling(Entry):
    """Definitions on their way to all workers, present and future."""

    __slots__ = ("told", "digests")

    def __init__(self, told, definitions):
        super().__init__()
        self.told, self.digests = told, set(definitions)

    def answer(self, message):
        super().answer(message)
        if message[2] is None:
            self.told |= self.digests


def _is_stateless(function):
    """True if a worker may keep the function from chunk to chunk; otherwise each chunk gets a copy of its own."""
    if isinstance(function, types.FunctionType):
        return not function.__closure__
    if isinstance(function, types.BuiltinFunctionType):
        return function.__self__ is None or isinstance(function.__self__, types.ModuleType)
    return isinstance(function, type) or type(function) is types.MethodDescriptorType or (
        isinstance(function, types.MethodType) and isinstance(function.__self__, type)) or (
        type(function) is functools.partial and _is_stateless(function.func) and
        all(type(value) in ATOMS for value in (*function.args, *function.keywords.values())))


_makers = weakref.WeakSet()


@atexit.register
def _let_go():
    """A pool that still runs must not keep alive what the program has in its __main__."""
    for maker in tuple(_makers):
        maker.forget()
