# SPDX-License-Identifier: Apache-2.0
"""multiprocess on threads: the standard library's, with objpool's ThreadPool as Pool."""
import multiprocessing.dummy as _standard
import sys as _sys
from multiprocessing.dummy import *  # noqa: F401,F403
from multiprocessing.dummy import (  # noqa: F401
    Array, DummyProcess, Namespace, Value, connection, current_process, dict, list, shutdown)

__all__ = _standard.__all__
_sys.modules[f"{__name__}.connection"] = connection


def Pool(processes=None, initializer=None, initargs=()):
    """A pool of threads."""
    from ..pool import ThreadPool
    return ThreadPool(processes, initializer, initargs)


def Manager():
    """Its "managed" objects are this module's: threads share them as they are."""
    return _sys.modules[__name__]
