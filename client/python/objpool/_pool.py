# SPDX-License-Identifier: Apache-2.0
"""Pools as they are called: ``pool.method(...)``, ``pool.all.method(...)``, ``pool[2].method.future(...)``."""
from __future__ import annotations

import functools
import itertools
import operator
import os
import sys
import time

from . import _call, _retry
from ._connection import Connection
from ._entry import Entry
from .errors import ConnectionLost, ObjpoolError, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Protocol, Tuple

    from ._future import CallFuture
    from ._stream import Stream

    class AnyClient(Protocol):
        """What targets need of their client: of objpool.Client. Targets of objpool.aio have that of objpool.aio."""

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
            return target._connection().call(f"{target._address}.{self._name}", list(args))
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._options)
        attempts = target._attempts()
        if attempts is None:
            return _call.call(target._connection(), request)

        def attempt(left: Optional[float]) -> Any:
            request.set_timeout(left)
            return _call.call(target._connection(), request)
        return _retry.run(attempts, attempt)

    def future(self, /, *args: Any, **kwargs: Any) -> CallFuture:
        """Calls it, and returns a concurrent.futures.Future of the result."""
        target = self._target
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._options)
        from . import _future
        return _future.start(target._connection, request, target._attempts())

    def stream(self, /, *args: Any, ordered: Optional[bool] = None, window: Optional[int] = None, **kwargs: Any) -> Stream[Any]:
        """Calls it, and returns an iterator of the results as they come.

        Of a map the arguments are iterables, also endless ones: they are read as results are taken, never further ahead than
        `window` items (by default as many as keep the objects busy). ordered=False: results come as they are finished.
        """
        target = self._target
        options = target._options
        ordered = options.get("ordered", True) if ordered is None else ordered
        window = options.get("window") if window is None else window
        from . import _stream
        return _stream.start(target._connection, target._address, target._mapped, self._name, args, kwargs, options, ordered, window)

    def options(self, **options: Any) -> "Method":
        """The same method with options: see :meth:`Target.options`."""
        return type(self)(self._target.options(**options), self._name)

    def __repr__(self) -> str:
        return f"<objpool method {self._target._address}.{self._name}>"


class Target:
    """Objects whose methods can be called: every attribute is a method of theirs.

    Names that begin with an underscore, or that a target has itself, can be called with :meth:`call`.
    """

    _method_class: Any = Method
    _may_retry = True

    def __init__(self, client: AnyClient, address: str, options: Dict[str, Any], owner: Any = None) -> None:
        self._client = client
        self._address = address
        self._options = options
        self._owner = owner  # kept alive
        self._mapped = address.endswith((":map", ":scatter"))
        self._plain = not options and not self._mapped and "." not in address and client.retry is None

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._method_class(self, name)  # not kept: a cycle would keep the pool

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls the objects themselves: their __call__."""
        return self._method_class(self, "__call__")(*args, **kwargs)

    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Calls a method by its name."""
        return self._method_class(self, method)(*args, **kwargs)

    def method(self, name: str) -> Method:
        """A method by its name."""
        return self._method_class(self, name)

    def options(self, **options: Any) -> Any:
        """The same target with options for all calls through it.

        timeout: seconds, after which a call fails with Timeout. errors: "wait" (the default), "first", or "collect": exceptions come
        as results in their places. chunk, bind, bind_kwargs, args_as, ordered, window, sync, idempotent, sticky: as docs/PROTOCOL.md
        has them. progress: a callable of (done, total, text), a tqdm bar, or True. retry: a Retry, a number of attempts, or True: a call that has
        not run is sent again; None: it is not, whatever the client's own `retry` says.
        """
        return self._with({**self._options, **_call.check_options(options)})

    def _with(self, options: Dict[str, Any]) -> "Target":
        return type(self)(self._client, self._address, options, self._owner)

    def _connection(self) -> Connection:
        return self._client._connected()

    def _attempts(self) -> Optional[_retry.Attempts]:
        retry = self._options.get("retry", self._client.retry) if self._may_retry else None
        return None if retry is None else _retry.Attempts(retry, self._options)

    def __repr__(self) -> str:
        return f"<objpool target {self._address}>"

    def __reduce__(self) -> Any:
        raise TypeError("targets of a pool can't be pickled: connect in the other process")


class Pool(Target):
    """A pool of a daemon."""

    _target_class: Any = Target

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

    def __iter__(self) -> Any:
        return (self[slot] for slot in range(len(self)))

    def __dir__(self) -> List[str]:
        names = list(super().__dir__())
        try:
            names += [method["name"] for method in self._client.describe(self.name)["methods"]]
        except Exception:
            pass
        return names

    def lease(self, slot: Optional[int] = None, *, timeout: Optional[float] = None, lease_time: Optional[float] = None) -> "Lease":
        """One object for us alone: ``with pool.lease() as object: ...``.

        timeout: how many seconds to wait for it; lease_time: how many it may be kept at most.
        """
        return Lease(self, slot, timeout, lease_time)

    def close(self) -> None:
        """Removes the pool, if we have made it."""
        if self._owner is not None:
            self._owner.drop()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Lease(Target):
    """An object that one client has for itself, until it is released. Made by :meth:`Pool.lease`."""

    _may_retry = False  # it would be another object

    def __init__(self, pool: Pool, slot: Optional[int], timeout: Optional[float], lease_time: Optional[float]) -> None:
        timeout = _call.seconds(timeout)
        options = {"slot": slot, "timeout_ms": _milliseconds(timeout), "lease_ms": _milliseconds(_call.seconds(lease_time))}
        self._leased: Optional[Connection] = None
        connection = pool._connection()
        got = _take_lease(connection, pool.name, {key: value for key, value in options.items() if value is not None}, timeout)
        super().__init__(pool._client, f"{pool.name}:{got['slot']}", pool._options, pool._owner)
        self._pool_name = pool.name
        self._leased = connection
        self.slot: int = got["slot"]
        self.generation: int = got["generation"]

    def _with(self, options: Dict[str, Any]) -> "Target":
        return _Leased(self, options)

    def _connection(self) -> Connection:
        if self._leased is None:
            raise ConnectionLost("the lease has been released", ran="no")
        if self._leased.lost is not None:
            raise ConnectionLost(f"the lease went with its connection: {self._leased.lost.message}", ran="no")
        return self._leased

    def release(self) -> bool:
        """Gives it back. False: it was not ours any more, as its worker died or its time was over."""
        connection, self._leased = self._leased, None
        if connection is None or connection.lost is not None:
            return False
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
    """Its slot and generation. It may be granted just when the wait is interrupted: then it is given back."""
    entry = Entry()
    try:
        connection.start(entry, "objpool.lease", [pool, options])
        if not connection.wait(entry, None if timeout is None else time.monotonic() + timeout + _call.SLACK):
            raise Timeout("lease: the daemon does not answer")
    except BaseException:
        connection.notify("objpool.cancel", entry.id)
        connection.wait(entry, time.monotonic() + 1)
        if entry.message is not None and entry.message[2] is None:
            connection.notify("objpool.release", pool, entry.message[3]["slot"])
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


def _milliseconds(seconds: Optional[float]) -> Optional[int]:
    return None if seconds is None else max(0, int(seconds * 1000 + 0.999))


def create(connection: Connection, section: Dict[str, Any], template: Any) -> None:
    """objpool.create, from beginning to end."""
    if template is None:
        connection.call("objpool.create", [section])
        return
    entry = Entry()
    try:
        connection.start(entry, "objpool.create", [section])
        for pause in template.pauses():
            if connection.wait(entry, time.monotonic() + pause):
                break
        else:
            connection.call("objpool.drop", [section["pool"]])
            connection.wait(entry)
    except BaseException:
        if entry.message is None:
            connection.cancel(entry)
        raise
    connection.result(entry.message, entry)


class Owned:
    """A pool that this process has made: it goes with the last reference to it."""

    def __init__(self, connection: Connection, name: str, template: Any = None) -> None:
        self._connection: Optional[Connection] = connection
        self.name = name
        self._template = template
        self._pid = os.getpid()
        if template is not None:
            connection.forks[name] = template

    def _take(self) -> Optional[Connection]:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.forks.pop(self.name, None)
        return connection if connection is not None and connection.lost is None and self._pid == os.getpid() else None

    def drop(self) -> None:
        """Removes it, and waits until it is gone."""
        connection = self._take()
        if connection is not None:
            connection.call("objpool.drop", [self.name])
            self.end_template()

    def end_template(self) -> None:
        """Its pool has been dropped."""
        if self._template is not None:
            self._template.end()

    def give_up(self) -> None:
        """It could not be made."""
        self._take()
        self.end_template()

    def withdraw(self, drop: bool) -> None:
        """Nobody waits any more until it is made, and its creation has been cancelled. `drop`: it may have been made; nobody else has a pool of
        that name. Does not wait."""
        connection = self._take()
        if connection is None or self._template is None:
            self._notify_drop(connection if drop else None)
        else:
            self._template.reap_soon(functools.partial(self._withdraw, connection, drop))

    def _withdraw(self, connection: Connection, drop: bool) -> None:
        try:
            connection.call(*self.withdrawal(drop))
        except ObjpoolError:
            pass  # it has gone by then, or its connection has
        finally:
            self.end_template()

    def withdrawal(self, drop: bool) -> Tuple[str, List[str]]:
        """A call: the daemon knows when it is answered that the pool is not to be. Its template is ended then, and that is no fault."""
        return ("objpool.drop", [self.name]) if drop else ("objpool.ping", [])

    def _notify_drop(self, connection: Optional[Connection]) -> None:
        if connection is not None:
            connection.notify("objpool.drop", self.name)

    def keep(self) -> None:
        """It stays."""
        self._connection = None

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if _ends():
            return  # modules may have lost their names by now; the pool goes with the connection
        was_ours = self._connection is not None
        self._notify_drop(self._take())
        if was_ours and self._template is not None:
            self._template.reap_soon()  # if the connection was lost, the pool has gone with it


_numbers = itertools.count(1)


def new_name(of: str) -> str:
    """A name that no other pool has."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in of)[:64]
    return f"{stem}-{os.getpid()}-{next(_numbers)}-{os.urandom(3).hex()}"
