# SPDX-License-Identifier: Apache-2.0
"""Errors that a program and its workers know by the same name."""
from multiprocessing import ProcessError
from multiprocessing.pool import MaybeEncodingError, RemoteTraceback

from .. import errors

__all__ = ["MaybeEncodingError", "PoolTerminated", "RemoteTraceback", "WorkerLost", "not_sent"]


def not_sent(reason, value):
    """The error of a result, or an exception, that can't be sent, or not be rebuilt."""
    try:
        return MaybeEncodingError(reason, value)
    except Exception as error:      # of its repr()
        return MaybeEncodingError(reason, f"<{type(value).__name__} whose repr() raises {type(error).__name__}>")


class WorkerLost(ProcessError, errors.WorkerLost):
    """The worker died while it ran the call."""


class PoolTerminated(ProcessError, errors.Cancelled):
    """The pool was terminated, or went away, before the call was done."""
