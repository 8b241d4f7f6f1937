# SPDX-License-Identifier: Apache-2.0
"""Loads what _elsewhere.py has pickled in another process.

Names of __main__ mean what they mean here if the sender is of the same program, and all that were sent are alike. If not, the
value came from another program, or from one that has defined more since the processes parted: then the names mean what they mean
in a module that stands for the __main__ of that process. There is one for each such process, so that its functions share their
globals from message to message.
"""
import builtins
import collections
import os
import pickle
import threading
import types

from . import _rebuild
from ._likeness import likeness
from ._names import main_dict, program
from ._namespace import Namespace

STAND_INS_MOST = 64


def receive(origin, sender, data, names):
    """The value that data is the pickle of. sender: the program() of the process that has sent it."""
    if sender == program() and _are_alike(names):
        with _rebuild.Loading(None):
            return pickle.loads(data)
    stand_in = _stand_ins.get(origin)
    with stand_in.lock, _rebuild.Loading(stand_in):
        stand_in.take({name: (alike or definition, definition) for name, (alike, definition) in names.items()})
        return pickle.loads(data)


def _are_alike(names):
    main = main_dict()
    return all(name in main and (alike is None or likeness(main[name]) == alike) for name, (alike, _) in names.items())


class StandIn:
    """Stands for the __main__ of another process."""

    def __init__(self):
        self.lock = threading.RLock()
        self.main = {"__name__": "__main__", "__builtins__": builtins}
        self._namespace = Namespace(self.main)
        self.resolve = self._namespace.resolve

    def take(self, names):
        """names: {name: (digest, definition)}"""
        self._namespace.take({name: digest for name, (digest, _) in names.items()}, dict(names.values()))
        for name in names:      # what was too large, or can't be sent, a relative of the process has
            if name not in self.main and name in main_dict():
                self.main[name] = main_dict()[name]


class _StandIns:
    """The latest, by the process that they stand for."""

    def __init__(self):
        self._kept = collections.OrderedDict()
        self._lock = threading.Lock()

    def after_fork(self):
        """The same, with locks that no thread holds."""
        copy = _StandIns()
        copy._kept.update(self._kept)
        for stand_in in copy._kept.values():
            stand_in.lock = threading.RLock()
        return copy

    def get(self, origin):
        with self._lock:
            stand_in = self._kept.setdefault(origin, None) or StandIn()
            self._kept[origin] = stand_in
            self._kept.move_to_end(origin)
            if len(self._kept) > STAND_INS_MOST:
                self._kept.popitem(last=False)
            return stand_in


_stand_ins = _StandIns()


def _after_fork_in_child():
    global _stand_ins
    _stand_ins = _stand_ins.after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
