# SPDX-License-Identifier: Apache-2.0
"""ProxyPool: a method called on it is called on the objects of its workers."""
import inspect
import itertools
import os
import warnings

from ._iterables import is_endless, lenzip
from ._object_pool import ObjectPool, ObjectThreadPool, Synchronizer

try:
    import numpy as np
except ImportError:
    np = None


class ProxyPool:
    """worker_count objects cls(*init_args), each in a thread, or a process, of its own.

    pool.method(*args, **kwargs) runs cls.method once on each object. With map_args=True arguments are iterables, zipped to the
    shortest; each tuple is a task for any object that is free (with `dedicated`: task i is for object i). Results come as an
    array, in order.
    """

    def __init__(self, cls, worker_count=None, init_args=(), separate_processes=False, dedicated=False, *,
                 numWorkers=None, initargs=None, separateProcesses=None):
        worker_count = _newest("numWorkers", numWorkers, "worker_count", worker_count, None)
        init_args = _newest("initargs", initargs, "init_args", init_args, ())
        separate_processes = _newest("separateProcesses", separateProcesses, "separate_processes", separate_processes, False)
        self._cls = cls
        self.worker_count = os.cpu_count() or 1 if worker_count is None else worker_count
        kind = ObjectPool if separate_processes else ObjectThreadPool
        self.pool = kind(self.worker_count, cls, init_args, dedicated=dedicated)
        self.distributed_pools = False
        self.synchronizationManager = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Waits for what runs; then ends the workers and their objects."""
        self.pool.close()
        self.pool.join()

    def join(self):
        """Until the workers have ended."""
        self.pool.join()

    def get_synchronizer(self, timeout=None):
        return Synchronizer(self.worker_count, timeout=timeout)

    def __getattr__(self, name):
        if name.startswith("__") and name.endswith("__") or "pool" not in self.__dict__:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

        def call(*args, map_args=False, chunksize=None, synchronize_workers=False, stack_results=True, **kwargs):
            if isinstance(self._cls, type):
                method = getattr(self._cls, name)       # AttributeError, before anything runs
                if "synchronize" in kwargs and not _takes(method, "synchronize"):
                    synchronize_workers = kwargs.pop("synchronize")     # as the README of the original has it
            if map_args:
                results = self._map(name, args, kwargs, chunksize, synchronize_workers)
            else:
                results = self._broadcast(name, args, kwargs, chunksize)
            return _as_array(results, stack_results)

        call.__name__ = call.__qualname__ = name
        return call

    def _broadcast(self, name, args, kwargs, chunksize):
        if self.pool.dedicated:
            self.pool._check_dedicated(self.worker_count, chunksize)
        return self.pool.broadcast(name, args, kwargs)

    def _map(self, name, args, kwargs, chunksize, synchronize_workers):
        is_off = synchronize_workers is not None and not synchronize_workers
        synchronizer = None if is_off else self.get_synchronizer(synchronize_workers)
        if kwargs:
            return self.pool.kwstarmap(name, lenzip(*args) if args else itertools.repeat(()), kwargs, chunksize, synchronizer)
        if len(args) == 1 and not is_endless(args[0]):
            return self.pool.map(name, list(args[0]), chunksize, synchronizer)
        return self.pool.starmap(name, list(lenzip(*args)), chunksize, synchronizer)


def _takes(method, keyword):
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(parameter.name == keyword or parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)


def _newest(old_name, old, new_name, new, default):
    if old is None:
        return new
    warnings.warn(f"The '{old_name}' argument is deprecated. Use '{new_name}' instead.", DeprecationWarning, stacklevel=3)
    return old if new is default or new == default else new


def _as_array(results, stack_results):
    if np is None:
        return results
    if stack_results and results and isinstance(results[0], np.ndarray):
        return np.vstack(results)
    try:
        array = np.asarray(results)
    except Exception:       # ragged
        return np.asarray(results, dtype=object)
    if array.dtype.kind in "US" and not _is_all_text(results):
        return np.asarray(results, dtype=object)        # text and numbers stay what they are
    return array


def _is_all_text(value):
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "US"
    if isinstance(value, (list, tuple)):
        return all(map(_is_all_text, value))
    return isinstance(value, (str, bytes))
