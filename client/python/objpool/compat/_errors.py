# SPDX-License-Identifier: Apache-2.0
"""Errors of the compatible modules."""
from multiprocessing import ProcessError

from .. import errors

__all__ = ["MaybeEncodingError", "PoolTerminated", "RemoteTraceback", "WorkerLost"]
STANDARD = ("MaybeEncodingError", "RemoteTraceback")    # of a module of the standard library that takes as long to import as all others


class WorkerLost(ProcessError, errors.WorkerLost):
    """The worker died while it ran the call."""


def __getattr__(name):
    if name in STANDARD:
        import multiprocessing.pool
        return getattr(multiprocessing.pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class PoolTerminated(ProcessError, errors.Cancelled):
    """The pool was terminated, or went away, before the call was done."""
