# SPDX-License-Identifier: Apache-2.0
"""The classes objpool:Pickled and objpool:Functions, which the plugin has itself."""
import pickle

from .objects import dumps
from .resolve import resolve


def pickled_class(args):
    """Loads the class in the template, if it can; else each worker does, where a failure is the constructor's."""
    try:
        return Pickled(args[0])
    except Exception:
        return Pickled(None)


class Pickled:
    """A class, or anything that makes an object, that came by value."""

    def __init__(self, factory):
        self.factory = factory

    def __call__(self, factory, /, *args, **kwargs):
        factory = factory if self.factory is None else self.factory
        if not callable(factory):
            raise TypeError(f"objpool:Pickled needs a class or another callable, not a {type(factory).__name__}")
        return factory(*args, **kwargs)


class Functions:
    """Runs functions that callers send.

    initializer(*initargs) runs first in each worker.
    """

    def __init__(self, initializer=None, initargs=()):
        if initializer is not None:
            as_function(initializer)(*initargs)

    def call(self, f, /, *args, **kwargs):
        """f(*args, **kwargs); f is a function, or "module:name"."""
        return as_function(f)(*args, **kwargs)

    def chunk(self, payload):
        """Runs a pickle of (function, items, mode), and returns a pickle of (True, results).

        Mode 0: function(item), 1: function(*item), 2: function(**item).
        """
        f, items, mode = pickle.loads(payload)
        if mode == 0:
            results = [f(item) for item in items]
        elif mode == 1:
            results = [f(*item) for item in items]
        else:
            results = [f(**item) for item in items]
        return dumps((True, results))[1]


def as_function(f):
    return resolve(f) if isinstance(f, str) else f
