# SPDX-License-Identifier: Apache-2.0
"""Objects as they are called: ``pool.method(...)``, ``pool.all.method(...)``, ``pool[2].method.future(...)``."""
from __future__ import annotations

from . import _call, _channel, _direct, _retry
from ._connection import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Protocol, Tuple

    from ._future import CallFuture
    from ._stream import Stream

    class AnyClient(Protocol):
        """What targets need of an objpool.Client. Targets of objpool.aio use that of objpool.aio."""

        retry: Optional[_retry.Retry]

        def _connected(self) -> Connection: ...
        def describe(self, pool: str) -> Dict[str, Any]: ...
        def status(self, pool: str) -> Dict[str, Any]: ...


class Method:
    """A method of a pool's objects on one kind of target."""

    __slots__ = ("_target", "_name")

    def __init__(self, target: "Target", name: str) -> None:
        self._target = target
        self._name = name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls it, and waits for the result."""
        target = self._target
        if target._plain and not kwargs:
            method = f"{target._address}.{self._name}"
            if target._direct:
                return target._call_plainly(self._name, method, list(args))
            return target._connection().call(method, list(args))
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._wire_options)
        attempts = target._attempts()
        if attempts is None:
            return target._call(request)

        def attempt(left: Optional[float]) -> Any:
            request.set_timeout(left)
            return target._call(request)
        return _retry.run(attempts, attempt)

    def future(self, /, *args: Any, **kwargs: Any) -> CallFuture:
        """Calls it, and returns a concurrent.futures.Future of the result."""
        target = self._target
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._wire_options)
        from . import _future
        if target._direct and request.timeout is None:  # nobody would look at the clock for a worker that does not answer
            return _future.start(target._connection, request, target._attempts(), target._channel)
        return _future.start(target._connection, request, target._attempts())

    def stream(self, /, *args: Any, ordered: Optional[bool] = None, window: Optional[int] = None, **kwargs: Any) -> Stream[Any]:
        """Calls it, and returns an iterator of the results as they come.

        The arguments of a map are iterables, which may be endless: they are read as results are taken, at most `window` items
        ahead (by default as many as keep the objects busy). ordered=False: results come as they are finished.
        """
        return self.stream_of(args, kwargs, ordered, window)

    def stream_of(self, args: Tuple[Any, ...], kwargs: Dict[str, Any], ordered: Optional[bool] = None,
                  window: Optional[int] = None) -> Stream[Any]:
        """The same: the method's arguments may have any names, `ordered` and `window`, too."""
        target = self._target
        options = target._wire_options
        ordered = options.get("ordered", True) if ordered is None else ordered
        window = options.get("window") if window is None else window
        from . import _stream
        return _stream.start(
            target._connection, target._address, target._mapped, self._name, args, kwargs, options, ordered, window)

    def options(self, **options: Any) -> "Method":
        """The same method with options: see :meth:`Target.options`."""
        return type(self)(self._target.options(**options), self._name)

    def __repr__(self) -> str:
        return f"<objpool method {self._target._address}.{self._name}>"


def target_of(name: str, host: Optional[str]) -> str:
    """The target of a pool of this machine (None), of that host, or of all ("*")."""
    if host is None:
        return name
    if not isinstance(host, str):
        raise TypeError(f'host is "*" or the name of one host, and not {host!r}: for some hosts, configure a section [remote {name}]')
    return f"{name}@{host}"


class Target:
    """Objects whose methods can be called: every attribute is one of their methods.

    Methods whose names begin with an underscore, or that a target has itself, can be called with :meth:`call`.
    """

    _method_class: Any = Method
    _may_retry = True

    def __init__(self, client: AnyClient, address: str, options: Dict[str, Any], owner: Any = None) -> None:
        self._client = client
        self._address = address
        self._options = options
        self._direct = bool(options.get("direct")) and _direct.is_for_one(address) and _direct.OPTIONS.issuperset(options)
        self._wire_options = {key: options[key] for key in options if key != "direct"} if "direct" in options else options
        self._owner = owner  # a reference that keeps it alive
        self._mapped = address.endswith((":map", ":scatter"))
        self._plain = not self._wire_options and not self._mapped and "." not in address and client.retry is None

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._method_class(self, name)  # not stored in the target: that would be a reference cycle, which keeps the pool

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the objects themselves: their __call__."""
        return self._method_class(self, "__call__")(*args, **kwargs)

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method by its name."""
        return self._method_class(self, method)(*args, **kwargs)

    def method(self, name: str) -> Method:
        """A method by its name."""
        return self._method_class(self, name)

    def options(self, **options: Any) -> Target:
        """The same target with options for all calls through it.

        timeout: seconds, after which a call fails with Timeout. errors: "wait" (the default), "first", or "collect": exceptions
        come as results in their places. progress: a callable of (done, total, text), a tqdm bar, or True. retry: a Retry, a
        number of attempts, or True: a call that has not run is sent again; None: it is not, whatever the client's own `retry`
        says. direct=True: calls of one object go straight to its worker, past the daemon, where that can be; it is for many small
        calls, and changes nothing else. traceparent: the trace that the calls belong to, as in W3C Trace Context. priority: from
        -10 to 10; where calls wait, those of higher priority are next. chunk, bind, bind_kwargs, args_as, ordered, window, sync,
        labels, idempotent, sticky: see docs/PROTOCOL.md.
        """
        return self._with({**self._options, **_call.check_options(options)})

    def _with(self, options: Dict[str, Any]) -> "Target":
        return type(self)(self._client, self._address, options, self._owner)

    def _connection(self) -> Connection:
        return self._client._connected()

    def _route(self) -> Any:
        """The direct channels for calls of the target."""
        connection = self._connection()
        return connection.routes.get(self._address) or _channel.route(connection, self._address)

    def _channel(self, request: _call.Request) -> Any:
        """The direct channel for a call. None: it goes on the connection."""
        route = request.route = self._route()
        return route.choose(request.name)

    def _call_plainly(self, name: str, method: str, args: Any) -> Any:
        """Makes a call without options on a direct channel, if that can be; else on the connection."""
        route = self._route()
        channel = route.choose(name)
        if channel is not None:
            try:
                return route.call(channel, name, method, args)
            except _direct.NotBegun:
                pass
        return route.call(self._connection(), name, method, args)

    def _call(self, request: _call.Request) -> Any:
        """Makes a call on a direct channel, if that is wanted and can be; else on the connection."""
        channel = self._channel(request) if self._direct else None
        if channel is not None:
            try:
                return _call.call(channel, request)
            except _direct.NotBegun:
                pass
        return _call.call(self._connection(), request)

    def _attempts(self) -> Optional[_retry.Attempts]:
        retry = self._options.get("retry", self._client.retry) if self._may_retry else None
        return None if retry is None else _retry.Attempts(retry, self._options)

    def __repr__(self) -> str:
        return f"<objpool target {self._address}>"

    def __reduce__(self) -> Any:
        raise TypeError("targets of a pool can't be pickled: connect in the other process")
