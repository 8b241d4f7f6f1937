# SPDX-License-Identifier: Apache-2.0
"""Errors of the compatible modules."""
from multiprocessing import ProcessError

from .. import errors

__all__ = ["MaybeEncodingError", "PoolTerminated", "RemoteTraceback", "WorkerLost"]
# Names of multiprocessing.pool, which takes as long to import as all else together.
STANDARD = ("MaybeEncodingError", "RemoteTraceback")


class WorkerLost(ProcessError, errors.WorkerLost):
    """The worker died while it ran the call."""


def __getattr__(name):
    if name in STANDARD:
        import multiprocessing.pool
        return getattr(multiprocessing.pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class PoolTerminated(ProcessError, errors.Cancelled):
    """The pool was terminated, or went away, before the call was done."""
