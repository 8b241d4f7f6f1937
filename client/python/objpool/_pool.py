# SPDX-License-Identifier: Apache-2.0
"""Pools."""
from __future__ import annotations

import operator

from . import _html
from ._lease import Lease
from ._target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

    from ._target import AnyClient


class Pool(Target):
    """A pool of a daemon."""

    _target_class: Any = Target

    if TYPE_CHECKING:
        def options(self, **options: Any) -> Pool: ...

    def __init__(self, client: AnyClient, name: str, options: Optional[Dict[str, Any]] = None, owner: Any = None) -> None:
        super().__init__(client, name, options or {}, owner)
        self.name = name

    def _with(self, options: Dict[str, Any]) -> "Pool":
        return type(self)(self._client, self.name, options, self._owner)

    def _select(self, selector: str) -> Target:
        return self._target_class(self._client, f"{self.name}:{selector}", self._options, self._owner)

    @property
    def client(self) -> Any:
        """The client through which it is called: an objpool.Client, or one of objpool.aio."""
        return self._client

    @property
    def all(self) -> Target:
        """Every object, each once; results are a list in the order of slots."""
        return self._select("all")

    @property
    def map(self) -> Target:
        """One object for each item: arguments are iterables, zipped; results are a list in their order."""
        return self._select("map")

    @property
    def scatter(self) -> Target:
        """Item i for the object in slot i; as many items as slots."""
        return self._select("scatter")

    def key(self, key: Any) -> Target:
        """The same object for the same key."""
        return self._select(f"key={key}")

    def __getitem__(self, slot: int) -> Target:
        """The object in that slot; negative slots count from the end."""
        index = operator.index(slot)
        return self._select(str(index if index >= 0 else len(self) + index))

    def __len__(self) -> int:
        """How many slots it has now."""
        return self._client.status(self.name)["pools"][0]["workers"]

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Target]:
        return (self[slot] for slot in range(len(self)))

    def _repr_html_(self) -> Optional[str]:
        return _html.of_pool(self)

    def __dir__(self) -> List[str]:
        names = list(super().__dir__())
        try:
            names += [method["name"] for method in self._client.describe(self.name)["methods"]]
        except Exception:
            pass
        return names

    def lease(self, slot: Optional[int] = None, *, timeout: Optional[float] = None,
              lease_time: Optional[float] = None) -> Lease:
        """One object for us alone: ``with pool.lease() as object: ...``.

        timeout: how many seconds to wait for it; lease_time: how many it may be kept at most.
        """
        return Lease(self, slot, timeout, lease_time)

    def close(self) -> None:
        """Removes the pool, if this client has made it."""
        if self._owner is not None:
            self._owner.drop()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
