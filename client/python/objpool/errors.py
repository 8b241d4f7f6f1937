# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, one class per code of the wire.

Every error is an :class:`ObjpoolError`; where Python has a class for the same thing (``TimeoutError``, ``PermissionError`` ...),
ours is one of these too.
"""
from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Type

__all__ = [
    "ObjpoolError", "BadRequest", "BadTarget", "NoSuchPool", "NoSuchSlot", "NoSuchMethod", "BadArgument", "Denied", "CallFailed",
    "WorkerLost", "Timeout", "Cancelled", "Overloaded", "TooLarge", "Unavailable", "HostLost", "Unreachable",
    "Internal", "ConnectionLost", "NoDaemon",
    "BadValue", "RemoteTraceback", "remote_error",
]


class ObjpoolError(Exception):
    """An error of a call. What is not known is None."""

    code = "ERROR"
    #: Whether the method ran: "no" (it is safe to call again), "maybe" or "yes".
    ran: str = "maybe"

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.pool: Optional[str] = details.get("pool")
        self.host: Optional[str] = details.get("host")
        self.slot: Optional[int] = details.get("slot")
        self.generation: Optional[int] = details.get("generation")
        self.index: Optional[int] = details.get("index")
        self.signal: Optional[int] = details.get("signal")
        self.exit_status: Optional[int] = details.get("exit_status")
        self.retry_after_ms: Optional[int] = details.get("retry_after_ms")
        self.type: Optional[str] = details.get("type")
        self.traceback: Optional[str] = details.get("traceback")
        self.data: Optional[bytes] = details.get("data")
        if "ran" in details:
            self.ran = details["ran"]
        if "code" in details:
            self.code = details["code"]

    def __str__(self) -> str:
        return self._placed(self.message)

    def _placed(self, text: str) -> str:
        return text if self.index is None else f"item {self.index}: {text}"

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(kind: Type[ObjpoolError], message: str, details: Dict[str, Any]) -> ObjpoolError:
    error = kind(message)
    error.__dict__.update(details)
    return error


class BadRequest(ObjpoolError):
    """Parameters or options are not what they must be."""

    code, ran = "BAD_REQUEST", "no"


class BadTarget(ObjpoolError):
    """The target is none."""

    code, ran = "BAD_TARGET", "no"


class NoSuchPool(ObjpoolError):
    """There is no pool of that name."""

    code, ran = "NO_SUCH_POOL", "no"


class NoSuchSlot(ObjpoolError):
    """The pool has fewer slots."""

    code, ran = "NO_SUCH_SLOT", "no"


class NoSuchMethod(ObjpoolError, AttributeError):
    """The class has no method of that name."""

    code, ran = "NO_SUCH_METHOD", "no"


class BadArgument(ObjpoolError, ValueError):
    """The method, or the daemon, does not take these arguments."""

    code = "BAD_ARGUMENT"


class BadValue(ObjpoolError, ValueError):
    """A value can't be represented on the wire, or what came can't be made a value again."""

    code, ran = "BAD_VALUE", "no"


class Denied(ObjpoolError, PermissionError):
    """This connection may not do that. ``user`` is who was refused, ``right`` what it lacks, where the daemon has users."""

    code, ran = "DENIED", "no"

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.user: Optional[str] = details.get("user")
        self.right: Optional[str] = details.get("right")


class CallFailed(ObjpoolError):
    """The method reported an error, or raised an exception that could not travel.

    ``type`` is the exception's class in the object's language, ``traceback`` the text of where it came from.
    """

    code, ran = "FAILED", "yes"

    def __str__(self) -> str:
        return self._placed(f"{self.type}: {self.message}" if self.type and self.type != self.message else self.message)


class WorkerLost(ObjpoolError):
    """The worker died: ``signal`` or ``exit_status`` says how, ``ran`` whether the method may have run."""

    code = "WORKER_LOST"


if sys.version_info >= (3, 11):
    _TIMEOUTS = (TimeoutError,)
else:
    import concurrent.futures  # where it is another; it takes longer to import than all of this

    _TIMEOUTS = (TimeoutError, concurrent.futures.TimeoutError)


class Timeout(ObjpoolError, *_TIMEOUTS):  # type: ignore[misc]
    """The call's time is over."""

    code = "TIMEOUT"


class Cancelled(ObjpoolError):
    """The call was cancelled, or its pool was dropped."""

    code = "CANCELLED"


class Overloaded(ObjpoolError):
    """A queue is full, or a limit of the user is reached. ``retry_after_ms`` says when to try again, where that is known.

    ``user`` is whose limit it is, if it is one of a user.
    """

    code, ran = "OVERLOADED", "no"

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message, **details)
        self.user: Optional[str] = details.get("user")


class TooLarge(ObjpoolError):
    """A message or a result is over the daemon's limit."""

    code = "TOO_LARGE"


class Unavailable(ObjpoolError):
    """No instance is alive that could answer; the text says why."""

    code, ran = "UNAVAILABLE", "no"


class HostLost(ObjpoolError):
    """Another machine went while it owed the answer: ``host`` says which, ``ran`` whether the method may have run."""

    code = "HOST_LOST"


class Unreachable(ObjpoolError):
    """No machine can be asked, or not the one that the target names (``host``); the text says why."""

    code, ran = "UNREACHABLE", "no"


class Internal(ObjpoolError):
    """A bug of the daemon."""

    code = "INTERNAL"


class ConnectionLost(ObjpoolError, ConnectionError):
    """The connection ended before the answer came."""

    code = "CONNECTION_LOST"


class NoDaemon(ConnectionLost):
    """Nobody answers at the address, or no daemon could be started."""

    code, ran = "NO_DAEMON", "no"


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: where it was raised there. ``error`` is what the daemon said."""

    def __init__(self, text: str, error: Optional[ObjpoolError] = None) -> None:
        super().__init__(text)
        self.text = text
        self.error = error

    def __str__(self) -> str:
        item = "" if self.error is None or self.error.index is None else f"item {self.error.index}:\n"
        return f'\n"""\n{item}{self.text.rstrip()}\n"""'

    def __reduce__(self) -> Any:
        return RemoteTraceback, (self.text, self.error)


def remote_error(error: BaseException) -> Optional[ObjpoolError]:
    """The daemon's error for an exception that a call raised, with code, ran, index, pool, slot ... None: no call raised it."""
    if isinstance(error.__cause__, RemoteTraceback):
        return error.__cause__.error
    return error if isinstance(error, ObjpoolError) else None


_BY_CODE: Dict[str, Type[ObjpoolError]] = {
    kind.code: kind for kind in (
        BadRequest, BadTarget, NoSuchPool, NoSuchSlot, NoSuchMethod, BadArgument, Denied, CallFailed, WorkerLost, Timeout,
        Cancelled, Overloaded, TooLarge, Unavailable, HostLost, Unreachable, Internal, ConnectionLost, NoDaemon, BadValue)
}


def error_of(wire: Any) -> ObjpoolError:
    """The error that the daemon sent: a map, or the string form of it."""
    if not isinstance(wire, dict):
        code, _, message = str(wire).partition(": ")
        wire = {"code": code, "message": message}
    details = {key: value for key, value in wire.items() if isinstance(key, str)}
    message = details.pop("message", "")
    kind = _BY_CODE.get(str(details.get("code")), ObjpoolError)
    return kind(message if isinstance(message, str) else str(message), **details)
