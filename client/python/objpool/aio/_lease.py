# SPDX-License-Identifier: Apache-2.0
"""Leases: an object that one client has for itself."""
from __future__ import annotations

import asyncio
import sys
from typing import Any, Callable, Dict, Generator, Optional

from .. import _call
from ..errors import ConnectionLost, Timeout
from . import _channel
from ._connection import Connection
from ._target import Target


class Lease(Target):
    """An object that one client has for itself, until it is released. Made by :meth:`Pool.lease`."""

    _may_retry = False

    def __init__(self, pool: Any, slot: Optional[int], timeout: Optional[float], lease_time: Optional[float]) -> None:
        super().__init__(pool._client, pool.name, pool._options, pool)
        self._timeout = _call.seconds(timeout)
        self._wanted = {"slot": slot, "timeout_ms": _call.milliseconds(self._timeout),
                        "lease_ms": _call.milliseconds(_call.seconds(lease_time))}
        self._leased: Optional[Connection] = None
        self._pool_name: str = pool.name
        self._channels: Optional[_channel.Route] = None
        self.slot: Optional[int] = None
        self.generation: Optional[int] = None

    def _with(self, options: Dict[str, Any]) -> Target:
        return _Leased(self._client, self._address, options, self)

    async def _connection(self) -> Connection:  # type: ignore[override]
        if self._leased is None or self._leased.lost is not None:
            raise ConnectionLost("there is no lease: it was not taken yet, was released, or ended with its connection", ran="no")
        return self._leased

    async def _route(self) -> Any:  # type: ignore[override]
        await self._connection()
        return self._channels

    def __await__(self) -> Generator[Any, None, Lease]:
        return self._take().__await__()

    async def _take(self) -> "Lease":
        connection = await self._owner._connection()
        wanted = {key: value for key, value in self._wanted.items() if value is not None}
        lease = connection.lease(self._owner.name, wanted)
        try:
            got = await (lease if self._timeout is None else asyncio.wait_for(lease, self._timeout + _call.SLACK))
        except asyncio.TimeoutError as error:
            raise error if isinstance(error, Timeout) else Timeout("lease: the daemon does not answer") from None
        self._leased = connection
        self._pool_name = _call.granted_by(self._owner.name, got)
        self._address = f"{self._pool_name}:{got['slot']}"
        self._channels = _channel.Route(connection, self._address, moves=False)
        if self._pool_name in connection.routes:
            connection.routes[self._pool_name].retire(got["slot"])
        self.slot, self.generation = got["slot"], got["generation"]
        return self

    async def release(self) -> bool:
        """Gives the object back. False if it was not leased any more."""
        connection, self._leased = self._leased, None
        if connection is None or connection.lost is not None:
            return False
        if self._channels is not None:
            self._channels.retire()
        return await connection.call("objpool.release", [self._pool_name, self.slot])

    async def __aenter__(self) -> "Lease":
        return await self._take()

    async def __aexit__(self, *_: Any) -> None:
        await self.release()

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        connection = self.__dict__.get("_leased")
        if connection is not None and not _ends():
            connection.notify("objpool.release", self._pool_name, self.slot)


class _Leased(Target):
    """A lease with options. Its owner is the lease."""

    _may_retry = False

    async def _connection(self) -> Connection:  # type: ignore[override]
        return await self._owner._connection()

    async def _route(self) -> Any:  # type: ignore[override]
        return await self._owner._route()
