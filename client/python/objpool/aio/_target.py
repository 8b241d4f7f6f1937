# SPDX-License-Identifier: Apache-2.0
"""Objects as they are called: ``await pool.method(...)``, ``await pool.all.method(...)``."""
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Coroutine, Dict, Optional, Tuple

from .. import _call, _target
from .._direct import NotBegun
from ..errors import ObjpoolError
from . import _channel
from ._connection import Connection
from ._stream import Stream

_sleep = asyncio.sleep


class Method(_target.Method):
    """A method of a pool's objects: calling it gives a coroutine."""

    __slots__ = ()

    if TYPE_CHECKING:
        def options(self, **options: Any) -> Method: ...

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls it; returns the result."""
        target = self._target
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._wire_options)
        attempts = target._attempts()
        while True:
            try:
                return await target._call(request)
            except ObjpoolError as error:
                pause = None if attempts is None else attempts.pause(error)
                if attempts is None or pause is None:
                    raise
            await _sleep(pause)
            request.set_timeout(attempts.left())

    def future(self, /, *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":  # type: ignore[override]
        """Calls it in a task."""
        return asyncio.ensure_future(self(*args, **kwargs))

    def stream(self, /, *args: Any, ordered: Optional[bool] = None,  # type: ignore[override]
               window: Optional[int] = None, **kwargs: Any) -> Stream[Any]:
        """Calls it; returns an async iterator of the results. A map's argument, if it has one alone, may be an async iterable."""
        return self.stream_of(args, kwargs, ordered, window)

    def stream_of(self, args: Tuple[Any, ...], kwargs: Dict[str, Any], ordered: Optional[bool] = None,  # type: ignore[override]
                  window: Optional[int] = None) -> Stream[Any]:
        """The same: the method's arguments may have any names, `ordered` and `window`, too."""
        target = self._target
        options = target._wire_options
        ordered = options.get("ordered", True) if ordered is None else ordered
        window = options.get("window") if window is None else window
        return Stream(target, self._name, args, kwargs, ordered, window)


class Target(_target.Target):
    """Objects whose methods can be called: every attribute is one of their methods, a coroutine function."""

    _method_class = Method

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Method: ...
        def __call__(self, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...
        def call(self, method: str, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]: ...
        def method(self, name: str) -> Method: ...
        def options(self, **options: Any) -> Target: ...
        _client: Any

    async def _connection(self) -> Connection:  # type: ignore[override]
        return await self._client._connected()

    async def _route(self) -> Any:  # type: ignore[override]
        return _channel.route(await self._connection(), self._address)

    async def _channel(self, request: _call.Request) -> Any:  # type: ignore[override]
        route = request.route = await self._route()
        return await route.choose(request.name)

    async def _call(self, request: _call.Request) -> Any:
        channel = await self._channel(request) if self._direct else None
        if channel is not None:
            try:
                return await channel.request(request)
            except NotBegun:
                pass
        return await (await self._connection()).request(request)
