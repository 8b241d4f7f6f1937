# SPDX-License-Identifier: Apache-2.0
"""Errors of the compatible modules."""
from multiprocessing import ProcessError
from multiprocessing.pool import MaybeEncodingError, RemoteTraceback

from .. import errors

__all__ = ["MaybeEncodingError", "PoolTerminated", "RemoteTraceback", "WorkerLost"]


class WorkerLost(ProcessError, errors.WorkerLost):
    """The worker died while it ran the call."""


class PoolTerminated(ProcessError, errors.Cancelled):
    """The pool was terminated, or went away, before the call was done."""
