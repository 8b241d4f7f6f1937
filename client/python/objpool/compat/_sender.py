# SPDX-License-Identifier: Apache-2.0
"""The program's side of how functions, arguments and results travel between a program and the workers of its pools.

A worker has one namespace that stands for the program's __main__ (_namespace.py). What an initializer sets there, a function that
is called later finds, as if the worker were a fork of the program:

    program: Sender.dumps(f)                           worker: Namespace
      blob   "__main__'s f"            ------------>     does it have f? else it needs the definition (see _worker.py)
      names  {"f": digest, "helper": digest}             loads the definition once, and keeps it
      definitions  {digest: bytes}, sent when the workers don't have them

Workers that are forks of the program have what the program had when it made the pool. The digest of such an object is FORKED, and
it needs no definition.

A definition is made once for each object, so that a large global is pickled once, not once per call. As in a fork, a worker sees
an object as it was when it was first needed. A name that the program binds to another object later is sent anew, unless the
worker has bound the name itself.
"""
import pickle
import threading
import types
import weakref

from . import _pickling
from ._names import is_found_by_name, is_main, looked_up_in_main, main_dict
from ._picklers import PROTOCOL, Spawning, Terms
from ._rebuild import FORKED, Unsent

TERMS = Terms(lambda name: True, as_sent_by=Spawning)


class Sender:
    """What a program has told the workers of one pool about its __main__. `forks`: the workers are about to be forked from it."""

    def __init__(self, forks=False):
        self._known = {}            # name -> (object, digest): the object is kept, so that its identity means something
        self._forked = {name: _reference(value) for name, value in main_dict().items()} if forks else {}
        self._needs = {}            # digest -> names that the definition looks up
        self._definitions = {}      # digest -> bytes
        self._lock = threading.Lock()

    def dumps(self, value, large=None):
        """(pickle, {name: digest} of the names of __main__ that it looks up, or None). Raises what pickle raises."""
        if type(value) is types.FunctionType and is_main(value.__module__) and is_found_by_name(value):
            return _pickling.by_name(value.__qualname__), self._digests({value.__qualname__.partition(".")[0]})
        wanted = set()
        data = _pickling.dumps(value, wanted, TERMS, large)
        return data, self._digests(wanted) if wanted else None

    def forget(self):
        """Lets go of the program's objects."""
        with self._lock:
            self._known, self._forked = {}, {}

    def definitions(self, digests):
        return {digest: self._definitions[digest] for digest in digests if digest in self._definitions}

    def is_current(self, digests):
        """True if these names still mean in __main__ what they meant when they got these digests."""
        main = main_dict()
        return all(self._is_forked(name, main.get(name)) if digest is FORKED else self._is_known(name, main.get(name))
                   for name, digest in digests.items())

    def _is_known(self, name, value):
        """True if the workers were last told this object for the name."""
        known = self._known.get(name)
        return known is not None and known[0] is value

    def _is_forked(self, name, value):
        """True if the name means the object that it meant when the workers were forked."""
        kept = self._forked.get(name, ())
        if isinstance(kept, weakref.ref):
            return kept() is value is not None
        return bool(kept) and kept[0] is value

    def _digests(self, wanted):
        with self._lock:
            digests, left = {}, list(wanted)
            while left:
                name = left.pop()
                if name not in digests:
                    digests[name] = digest = self._define(name)
                    left += looked_up_in_main(main_dict()[name]) if digest is FORKED else self._needs[digest]
            return digests

    def _define(self, name):
        """Makes the definition of what the name means now, unless there is one. Returns its digest."""
        value = main_dict().get(name)
        if self._is_forked(name, value):
            return FORKED
        if self._is_known(name, value):
            return self._known[name][1]
        wanted = set()
        try:
            data = _pickling.dumps_by_value(value, wanted, TERMS, value)
        except Exception as error:
            data = pickle.dumps(Unsent(f"{type(error).__name__}: {error}"), PROTOCOL)
        import hashlib
        digest = hashlib.blake2b(data, digest_size=16, key=name.encode()[:64]).digest()
        self._known[name] = (value, digest)
        self._needs[digest] = sorted(wanted)
        self._definitions[digest] = data
        return digest


def _reference(value):
    """A weak reference to the value, or, if the value can have none, a tuple with it."""
    try:
        return weakref.ref(value)
    except TypeError:
        return (value,)
