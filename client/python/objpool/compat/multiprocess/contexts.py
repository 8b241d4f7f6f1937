# SPDX-License-Identifier: Apache-2.0
"""get_context(): the standard library's contexts, with objpool's Pool."""
import multiprocessing as _standard
from multiprocessing import context as _context


class _Pools:
    """What differs from the standard library's context."""

    def get_context(self, method=None):
        return self if method is None else get_context(method)

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        """A pool of worker processes."""
        from .pool import Pool
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self)


class ForkContext(_Pools, _context.ForkContext):
    pass


class SpawnContext(_Pools, _context.SpawnContext):
    pass


class ForkServerContext(_Pools, _context.ForkServerContext):
    pass


_contexts = {"fork": ForkContext(), "spawn": SpawnContext(), "forkserver": ForkServerContext()}


def get_context(method=None):
    """The context for this start method: "fork", "spawn" or "forkserver"; None: the method that is set."""
    return _contexts[_standard.get_context(method).get_start_method()]
