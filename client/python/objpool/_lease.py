# SPDX-License-Identifier: Apache-2.0
"""Leases: an object that one client has for itself."""
from __future__ import annotations

import sys
import time

from . import _call, _channel
from ._connection import Connection
from ._entry import Entry
from ._target import Target
from .errors import ConnectionLost, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional


class Lease(Target):
    """An object that one client has for itself, until it is released. Made by :meth:`Pool.lease`."""

    _may_retry = False  # another attempt would get another object

    def __init__(self, pool: Any, slot: Optional[int], timeout: Optional[float], lease_time: Optional[float]) -> None:
        timeout = _call.seconds(timeout)
        options = {"slot": slot, "timeout_ms": _call.milliseconds(timeout),
                   "lease_ms": _call.milliseconds(_call.seconds(lease_time))}
        self._leased: Optional[Connection] = None
        connection = pool._connection()
        got = _take_lease(connection, pool.name, {key: value for key, value in options.items() if value is not None}, timeout)
        self._pool_name = _call.granted_by(pool.name, got)
        super().__init__(pool._client, f"{self._pool_name}:{got['slot']}", pool._options, pool._owner)
        self._leased = connection
        self._channels = _channel.Route(connection, self._address, moves=False)
        if self._pool_name in connection.routes:
            connection.routes[self._pool_name].retire(got["slot"])
        self.slot: int = got["slot"]
        self.generation: int = got["generation"]

    def _with(self, options: Dict[str, Any]) -> "Target":
        return _Leased(self, options)

    def _connection(self) -> Connection:
        if self._leased is None:
            raise ConnectionLost("the lease has been released", ran="no")
        if self._leased.lost is not None:
            raise ConnectionLost(f"the lease ended with its connection: {self._leased.lost.message}", ran="no")
        return self._leased

    def _route(self) -> Any:
        self._connection()
        return self._channels

    def release(self) -> bool:
        """Gives the object back. False if it was not leased any more, as its worker died or the lease's time was over."""
        connection, self._leased = self._leased, None
        if connection is None or connection.lost is not None:
            return False
        self._channels.retire()
        return connection.call("objpool.release", [self._pool_name, self.slot])

    def __enter__(self) -> "Lease":
        return self

    def __exit__(self, *_: Any) -> None:
        self.release()

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        connection = self.__dict__.get("_leased")
        if connection is not None and not _ends():
            connection.notify("objpool.release", self._pool_name, self.slot)


def _take_lease(connection: Connection, pool: str, options: Dict[str, Any], timeout: Optional[float]) -> Dict[str, Any]:
    """Waits for a lease; returns its slot and generation. A lease that is granted after the wait was interrupted is released."""
    entry = Entry()
    try:
        connection.start(entry, "objpool.lease", [pool, options])
        if not connection.wait(entry, None if timeout is None else time.monotonic() + timeout + _call.SLACK):
            raise Timeout("lease: the daemon does not answer")
    except BaseException:
        connection.notify("objpool.cancel", entry.id)
        connection.wait(entry, time.monotonic() + 1)
        if entry.message is not None and entry.message[2] is None:
            connection.notify("objpool.release", _call.granted_by(pool, entry.message[3]), entry.message[3]["slot"])
        raise
    return connection.result(entry.message, entry)


class _Leased(Target):
    """A lease with options."""

    _may_retry = False

    def __init__(self, lease: Lease, options: Dict[str, Any]) -> None:
        super().__init__(lease._client, lease._address, options, lease)

    def _with(self, options: Dict[str, Any]) -> Target:
        return _Leased(self._owner, options)

    def _connection(self) -> Connection:
        return self._owner._connection()

    def _route(self) -> Any:
        return self._owner._route()
