# SPDX-License-Identifier: Apache-2.0
"""Errors that a program and its workers know by the same name."""
from multiprocessing import ProcessError


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: str() is the text of the traceback there."""

    def __init__(self, tb):
        self.tb = tb

    def __str__(self):
        return self.tb


class MaybeEncodingError(Exception):
    """A result, or an exception, that can't be sent, or not be rebuilt."""

    def __init__(self, exc, value):
        self.exc = exc if isinstance(exc, str) else repr(exc)
        self.value = value if isinstance(value, str) else _safe_repr(value)
        super().__init__(self.exc, self.value)

    def __str__(self):
        return f"Error sending result: '{self.value}'. Reason: '{self.exc}'"

    def __repr__(self):
        return f"<{type(self).__name__}: {self}>"


class WorkerLost(ProcessError):
    """The worker died while it ran the call."""


class PoolTerminated(ProcessError):
    """The pool was terminated, or went away, before the call was done."""


def _safe_repr(value):
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr() fails: {error}>"
