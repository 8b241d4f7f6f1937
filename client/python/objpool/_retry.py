# SPDX-License-Identifier: Apache-2.0
"""Calls that are sent again, because they have not run."""
from __future__ import annotations

import time

from .errors import ConnectionLost, HostLost, ObjpoolError, Overloaded, RemoteTraceback, Unavailable, Unreachable, WorkerLost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

#: Errors that may pass. All others would come again.
_PASSING = (Overloaded, Unavailable, WorkerLost, HostLost, Unreachable, ConnectionLost)


class Retry:
    """When a call is sent again: after errors that may pass, if it has not run. Each pause is about twice the one before, and as long
    as the error's retry_after_ms at least.

    attempts: how often the call is sent at most. delay, max_delay: seconds before it is sent again, the first time and at most. A
    random part of the pause, up to a half, is left out, so that many clients don't come back together. A call's `timeout` holds
    for all attempts together.
    """

    __slots__ = ("attempts", "delay", "max_delay")

    def __init__(self, attempts: int = 5, *, delay: float = 0.05, max_delay: float = 2.0) -> None:
        if attempts < 1 or delay < 0 or max_delay < 0:
            raise ValueError("a Retry has at least one attempt, and delays that are not negative")
        self.attempts = attempts
        self.delay = delay
        self.max_delay = max_delay

    def __repr__(self) -> str:
        return f"Retry({self.attempts}, delay={self.delay}, max_delay={self.max_delay})"

    def pause(self, attempt: int, error: BaseException, idempotent: bool, left: Optional[float]) -> Optional[float]:
        """Seconds to wait before the next attempt. None: there is none.

        attempt: the number of the one that has failed, from 1. left: seconds until the call's timeout.
        """
        if attempt >= self.attempts or not may_pass(error, idempotent):
            return None
        import random
        pause = min(self.max_delay, self.delay * 2 ** min(attempt - 1, 60)) * random.uniform(0.5, 1)
        if isinstance(error, Overloaded) and error.retry_after_ms:
            pause = max(pause, error.retry_after_ms / 1000 * random.uniform(1, 1.25))  # so that not all come back at once
        return pause if left is None or pause < left else None


def of(value: Any) -> Optional[Retry]:
    """The policy for an option `retry`: a Retry, a number of attempts, or True for the default; None or False: none."""
    if value is None or value is False or isinstance(value, Retry):
        return value or None
    if value is True:
        return Retry()
    if isinstance(value, int):
        return Retry(value)
    raise TypeError(f"retry is a Retry, a number of attempts, True or None, and no {type(value).__name__}")


def may_pass(error: BaseException, idempotent: bool) -> bool:
    """Whether the call may be sent again, and may succeed then."""
    if not isinstance(error, _PASSING) or isinstance(error.__cause__, RemoteTraceback):
        return False  # the error won't pass, or the method has raised it
    return idempotent or (error.ran == "no" and error.index is None)  # of one item: others may have run


class Attempts:
    """The attempts of one call."""

    def __init__(self, retry: Retry, options: Any) -> None:
        self._retry = retry
        self._idempotent = bool(options.get("idempotent"))
        timeout = options.get("timeout")
        self._deadline = None if timeout is None else time.monotonic() + float(timeout)
        self._made = 0

    def left(self) -> Optional[float]:
        """Seconds."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def pause(self, error: BaseException) -> Optional[float]:
        """One has failed: how long to wait before the next. None: the error stands."""
        self._made += 1
        return self._retry.pause(self._made, error, self._idempotent, self.left())


def run(attempts: Attempts, attempt: Callable[[Optional[float]], Any]) -> Any:
    """What an attempt gives that does not fail. It is told the seconds that are left."""
    while True:
        try:
            return attempt(attempts.left())
        except ObjpoolError as error:
            pause = attempts.pause(error)
            if pause is None:
                raise
        _sleep(pause)


_sleep = time.sleep
