# SPDX-License-Identifier: Apache-2.0
"""The exception that a caller gets for an error that came from the daemon."""
from __future__ import annotations

import msgpack

from ._load import load, load_ext
from .errors import CallFailed, RemoteTraceback, error_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, FrozenSet

#: Names of exceptions that Python itself acts on: raised in a caller, they end its iteration, generator or task.
IN_CHARGE = frozenset({"StopIteration", "StopAsyncIteration", "GeneratorExit", "CancelledError"})


def load_error(wire: Any, unpickle: bool) -> BaseException:
    """The exception for an error that came: the one that the method raised, if it could be pickled and may be unpickled here."""
    error = error_of(load(wire) if isinstance(wire, dict) else wire)
    if not isinstance(error, CallFailed) or not error.data or not unpickle:
        return error
    try:
        original = msgpack.unpackb(error.data, ext_hook=lambda code, body: load_ext(code, body, True))
    except Exception:
        return error  # for example, its class does not exist here
    if not isinstance(original, BaseException):
        return error
    original.__cause__ = RemoteTraceback(error.traceback or f"{error.type}: {error.message}", error)
    return original


def not_in_charge(error: BaseException, in_charge: FrozenSet[str]) -> BaseException:
    """The exception to raise for `error`: itself, or, if its class is one of `in_charge`, the CallFailed that the daemon sent,
    with `error` as its cause. The caller's iteration, generator, task or event loop would take `error` for its own end."""
    cause = error.__cause__
    if not isinstance(cause, RemoteTraceback) or cause.error is None:
        return error
    if in_charge.isdisjoint([cls.__name__ for cls in type(error).__mro__]):
        return error
    known = cause.error
    error.__cause__ = RemoteTraceback(cause.text)  # without `known`, which would be a reference circle
    known.__cause__ = error
    return known
