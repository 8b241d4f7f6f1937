# SPDX-License-Identifier: Apache-2.0
"""Pools."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional

from .. import _pool, _target
from ._lease import Lease
from ._target import Target


class Pool(Target, _pool.Pool):
    """A pool of a daemon."""

    _target_class = Target

    if TYPE_CHECKING:
        @property
        def all(self) -> Target: ...
        @property
        def map(self) -> Target: ...
        @property
        def scatter(self) -> Target: ...
        def key(self, key: Any) -> Target: ...
        def options(self, **options: Any) -> Pool: ...
        def _select(self, selector: str) -> Target: ...
        _client: Any

    def __getitem__(self, slot: int) -> Target:
        """The object in that slot."""
        return self._select(str(slot.__index__()))

    def __len__(self) -> int:
        raise TypeError("a pool's size has to be asked for: await pool.size()")

    def _repr_html_(self) -> None:
        """A notebook shows the plain text: asking the daemon here would block the loop."""

    __iter__ = None  # type: ignore[assignment]

    async def size(self) -> int:
        """How many slots it has now."""
        return (await self._client.status(self.name))["pools"][0]["workers"]

    def __dir__(self) -> List[str]:
        return list(_target.Target.__dir__(self))

    def lease(self, slot: Optional[int] = None, *, timeout: Optional[float] = None,  # type: ignore[override]
              lease_time: Optional[float] = None) -> Lease:
        """One object for us alone: ``async with pool.lease() as object: ...``, or ``object = await pool.lease()``."""
        return Lease(self, slot, timeout, lease_time)

    async def close(self) -> None:  # type: ignore[override]
        """Removes the pool, if this client has made it."""
        connection = self._owner._take() if self._owner is not None else None
        if connection is not None:
            await connection.call("objpool.drop", [self.name])
            self._owner.end_template()

    def __enter__(self) -> Any:
        raise TypeError("use async with")

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()
