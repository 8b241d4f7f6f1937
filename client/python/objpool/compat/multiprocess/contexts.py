# SPDX-License-Identifier: Apache-2.0
"""get_context(): the standard library's contexts, with objpool's Pool."""
import multiprocessing as _standard


class _Pools:
    """A context's own methods but for Pool."""

    def __init__(self, context):
        self._context = context

    def __getattr__(self, name):
        return getattr(self._context, name)

    def get_context(self, method=None):
        return self if method is None else get_context(method)

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None):
        from .pool import Pool
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self)


def get_context(method=None):
    """A context for that start method: "fork", "spawn", "forkserver", or what is set."""
    return _Pools(_standard.get_context(method))
