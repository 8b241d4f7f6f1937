# SPDX-License-Identifier: Apache-2.0
"""The worker's side of how functions, arguments and results travel: see _sender.py."""
import pickle
import types

from . import _pickling
from ._picklers import Spawning, Terms
from ._rebuild import FORKED, Unsent


class Namespace:
    """The worker's __main__, which stands for the program's: has what was sent, and what functions have set since."""

    def __init__(self, main):
        self._main = main
        self._digests = {}          # name -> digest of what was bound last
        self._bound = {}            # name -> the object that was bound; the worker may have bound another since
        self._new = {}              # name -> (digest, definition) that is not bound yet
        self._unsent = {}           # name -> why it could not be sent
        self._forked = {}           # name -> the object that the worker was forked with
        self._terms = Terms(self._is_shared, as_sent_by=Spawning)

    def inherit(self):
        """The worker is a fork of the program: all that is in __main__ now is the program's."""
        self._forked = dict(self._main)
        self._bound = dict(self._main)

    def missing(self, names):
        """The digests of those names that mean another object here."""
        return [digest for name, digest in names.items() if self._digests.get(name, FORKED) != digest]

    def take(self, names, definitions):
        """Binds these names. `definitions` has at least the digests that `missing` returned."""
        for name, digest in names.items():
            if self._digests.get(name, FORKED) != digest:
                self._new[name] = (digest, None if digest == FORKED else definitions[digest])
        for name in names:
            if name in self._new:
                self._bind(name)

    def dumps(self, value):
        return _pickling.dumps(value, set(), self._terms)

    def explain(self, error):
        """Adds to a NameError that the program's global could not be sent, if that is why."""
        name = getattr(error, "name", None)
        if isinstance(error, NameError) and name in self._unsent:
            error.args = (f"{error}: the program's global of that name could not be sent to the worker ({self._unsent[name]})",)

    def _is_shared(self, name):
        return name in self._bound and self._main.get(name) is self._bound[name]

    def resolve(self, name):
        if name in self._new:
            self._bind(name)
        try:
            return self._main[name]
        except KeyError:
            if name in self._unsent:
                raise pickle.PicklingError(f"{name} of __main__ could not be sent to the worker: {self._unsent[name]}") from None
            raise AttributeError(f"module '__main__' has no attribute '{name}'") from None

    def _bind(self, name):
        digest, data = self._new.pop(name)
        self._digests[name] = digest
        self._unsent.pop(name, None)
        try:
            value = self._forked[name] if digest == FORKED else pickle.loads(data)
        except Exception as error:
            value = Unsent(f"{type(error).__name__}: {error}")
        if isinstance(value, Unsent):
            self._unsent[name] = value.reason
            if name in self._bound and self._main.get(name) is self._bound.pop(name):
                del self._main[name]    # the name no longer means this object in the program
            return
        is_own = name in self._main and self._main[name] is not self._bound.get(name, self)
        if not is_own or isinstance(value, (types.FunctionType, type)):
            self._main[name] = self._bound[name] = value
