# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: what waits in objpool is a coroutine here.

    async with await objpool.aio.connect() as client:
        pool = client.pool("sim")
        await pool.step(1)
        await asyncio.gather(*(pool[slot].step(1) for slot in range(4)))
        async for result in pool.map.step.stream(items):    # items: an iterable, or an async one
            ...

All of it belongs to the event loop in which it was made. A task that is cancelled cancels its call.
"""
from __future__ import annotations

import asyncio
import collections
import itertools
import os
import socket
import sys
import time
import weakref
from typing import Any, AsyncIterator, Awaitable, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from . import _call, _embedded, _files, _fork, _pool, _retry, _stream, _values, _wire
from ._call import Request
from ._client import PRIVATE, default_addresses, template_and_section
from ._wire import Entry, Inbox
from .errors import ConnectionLost, NoDaemon, ObjpoolError, Timeout

__all__ = ["Client", "Pool", "Target", "Method", "Lease", "Stream", "connect", "PRIVATE"]

T = TypeVar("T")
_READ = 256 << 10
_sleep = asyncio.sleep


class _Waiter(Entry):
    """A call in flight, whose answer ends a wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, progress: Optional[Callable[..., None]] = None) -> None:
        super().__init__()
        self.ready = loop.create_future()
        self.progress = progress

    def answer(self, message: Any) -> None:
        super().answer(message)
        if not self.ready.done():
            self.ready.set_result(message)

    def notify(self, name: str, params: List[Any]) -> None:
        if self.progress is not None:
            self.ready.get_loop().call_soon(self.progress, *params[1:])


class _LeaseWaiter(_Waiter):
    """A lease that is asked for. One that comes when nobody waits any more is given back."""

    abandoned: Optional[Callable[[int], None]] = None

    def answer(self, message: Any) -> None:
        super().answer(message)
        if self.abandoned is not None and message[2] is None:
            self.abandoned(message[3]["slot"])


connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


class Connection(Inbox):
    """A socket in an event loop."""

    in_charge = Inbox.in_charge | {"KeyboardInterrupt", "SystemExit"}  # the loop raises these in whoever runs it

    def __init__(self, sock: socket.socket, address: str, unpickle: bool) -> None:
        super().__init__(address, unpickle)
        sock.setblocking(False)
        self.lost: Optional[ConnectionLost] = None
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        connections.add(self)
        self._socket = sock
        self._out: Deque[Tuple[memoryview, Optional[_files.Outgoing]]] = collections.deque()
        self._flushing = False
        self.loop.add_reader(sock, self._on_readable)

    def send(self, data: bytes, outgoing: Optional[_files.Outgoing] = None) -> None:
        """Sends it, with all else that is sent in this turn of the loop."""
        if self.lost is not None:
            raise ConnectionLost(self.lost.message, ran="no")
        self._out.append((memoryview(data), outgoing))
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        out = self._out
        try:
            while out and self.lost is None:
                data, outgoing = self._next_out()
                if outgoing is None:
                    sent = self._socket.send(data, socket.MSG_NOSIGNAL)
                else:
                    sent = self._socket.sendmsg((data,), outgoing.ancillary(), socket.MSG_NOSIGNAL)
                out[0] = (data[sent:], None)  # with the first byte all descriptors have gone
                if sent == len(data):
                    out.popleft()
        except BlockingIOError:
            self.loop.add_writer(self._socket, self._on_writable)
            return
        except OSError as error:
            self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
        self._flushing = False

    def _next_out(self) -> Tuple[memoryview, Optional[_files.Outgoing]]:
        """What goes next: messages that have nothing beside them go together."""
        out = self._out
        together = list(itertools.takewhile(lambda message: message[1] is None, out))
        if len(together) > 1:
            for _ in together:
                out.popleft()
            out.appendleft((memoryview(b"".join(data for data, _ in together)), None))
        return out[0]

    def _on_writable(self) -> None:
        self.loop.remove_writer(self._socket)
        self._flush()

    def _on_readable(self) -> None:
        if self._pid != os.getpid():
            return self.fail(ConnectionLost("the connection belongs to the process that was forked"))
        _embedded.stay_at_the_end()
        try:
            data, ancillary = self._socket.recvmsg(_READ, _files.RECEIVE_SPACE, socket.MSG_CMSG_CLOEXEC)[:2]
            if ancillary and self._arrivals is not None:
                self._arrivals.add(ancillary)
            if not data:
                return self.fail(ConnectionLost(f"{self.address}: the daemon closed the connection"))
            self.incoming.take([data])
            self.dispatch()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self.fail(error if isinstance(error, ConnectionLost) else ConnectionLost(f"{self.address}: {error.strerror or error}"))
        except Exception as error:
            self.fail(ConnectionLost(f"{self.address}: can't read what came: {error}"))

    def poll(self) -> None:
        """Takes what has come."""
        if self.lost is None:
            self._on_readable()

    def fail(self, lost: ConnectionLost) -> None:
        """The connection is over: all that is in flight is answered."""
        if self.lost is None:
            self.lost = lost
            if not self.loop.is_closed():
                self.loop.remove_reader(self._socket)
                self.loop.remove_writer(self._socket)
            self._socket.close()
            self._out.clear()
        self.answer_all(self.lost)

    def let_go(self) -> None:
        """In a fork that is a template: the connection ends when the program closes it."""
        self._socket.close()

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request."""
        msgid = self.add(entry)
        try:
            data, entry.outgoing = self.packed(entry, method, params)
            self.send(data, entry.outgoing)
        except BaseException:
            self.pending.pop(msgid, None)
            raise

    def notify(self, method: str, *params: Any) -> None:
        """Sends a notification, if there is somebody to get it."""
        if self.lost is None and not self.loop.is_closed():
            self.send(_values.pack([2, method, list(params)]))

    def give_back(self, number: int) -> None:
        """A descriptor is needed no more: where garbage is collected, in whatever thread."""
        try:
            self.loop.call_soon_threadsafe(self.notify, "objpool.give_back", number)
        except RuntimeError:
            pass  # the loop has ended

    def cancel(self, entry: Entry) -> None:
        """Gives a call up."""
        if self.pending.pop(entry.id, None) is not None:
            self.notify("objpool.cancel", entry.id)

    async def request(self, request: Request) -> Any:
        """A call, from beginning to end."""
        entry = _Waiter(self.loop, request.progress)
        self.start(entry, request.method, request.params)
        try:
            timeout = None if request.timeout is None else request.timeout + _call.SLACK
            await asyncio.wait_for(entry.ready, timeout) if timeout is not None else await entry.ready
        except asyncio.TimeoutError:
            raise Timeout(f"{request.name}: the daemon has not answered within {request.timeout:g} s") from None
        finally:
            if entry.message is None:
                self.cancel(entry)
        try:
            return _call.value_of(request, self, entry)
        except BaseException as error:
            known = _values.not_in_charge(error, self.in_charge)
            if known is error:
                raise
            raise known from known.__cause__

    async def lease(self, pool: str, options: Dict[str, Any]) -> Dict[str, Any]:
        """Waits for a lease: its slot and generation. It may be granted just when the wait is given up."""
        entry = _LeaseWaiter(self.loop)
        self.start(entry, "objpool.lease", [pool, options])
        try:
            await entry.ready
        except BaseException:
            entry.abandoned = lambda slot: self.notify("objpool.release", pool, slot)
            if entry.message is None:
                self.notify("objpool.cancel", entry.id)
            else:
                entry.answer(entry.message)
            raise
        return self.result(entry.message)

    async def call(self, method: str, params: Any, timeout: Optional[float] = None) -> Any:
        """A call of the daemon's own methods."""
        request = Request(method, params, method)
        request.timeout = timeout
        return await self.request(request)


# ---- pools ----------------------------------------------------------------------------------------------------------------------


class Method(_pool.Method):
    """A method of a pool's objects: calling it gives a coroutine."""

    __slots__ = ()

    async def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Calls it; the result."""
        target = self._target
        request = _call.make_request(target._address, target._mapped, self._name, args, kwargs, target._options)
        attempts = target._attempts()
        while True:
            try:
                return await (await target._connection()).request(request)
            except ObjpoolError as error:
                pause = None if attempts is None else attempts.pause(error)
                if attempts is None or pause is None:
                    raise
            await _sleep(pause)
            request.set_timeout(attempts.left())

    def future(self, /, *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":  # type: ignore[override]
        """Calls it in a task."""
        return asyncio.ensure_future(self(*args, **kwargs))

    def stream(self, /, *args: Any, ordered: Optional[bool] = None, window: Optional[int] = None, **kwargs: Any) -> "Stream[Any]":  # type: ignore[override]
        """Calls it; an async iterator of the results. Of a map one of the arguments may be an async iterable, if it is the only one."""
        target = self._target
        options = target._options
        ordered = options.get("ordered", True) if ordered is None else ordered
        window = options.get("window") if window is None else window
        return Stream(target, self._name, args, kwargs, ordered, window)


class Target(_pool.Target):
    """Objects whose methods can be called: every attribute is a method of theirs, a coroutine function."""

    _method_class = Method

    async def _connection(self) -> Connection:  # type: ignore[override]
        return await self._client._connected()


class Pool(Target, _pool.Pool):
    """A pool of a daemon."""

    _target_class = Target

    def __getitem__(self, slot: int) -> Target:
        """The object in that slot."""
        return self._select(str(slot.__index__()))

    def __len__(self) -> int:
        raise TypeError("a pool's size has to be asked for: await pool.size()")

    __iter__ = None  # type: ignore[assignment]

    async def size(self) -> int:
        """How many slots it has now."""
        return (await self._client.status(self.name))["pools"][0]["workers"]

    def __dir__(self) -> List[str]:
        return list(_pool.Target.__dir__(self))

    def lease(self, slot: Optional[int] = None, *, timeout: Optional[float] = None, lease_time: Optional[float] = None) -> "Lease":  # type: ignore[override]
        """One object for us alone: ``async with pool.lease() as object: ...``, or ``object = await pool.lease()``."""
        return Lease(self, slot, timeout, lease_time)

    async def close(self) -> None:  # type: ignore[override]
        """Removes the pool, if we have made it."""
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


class Lease(Target):
    """An object that one client has for itself, until it is released. Made by :meth:`Pool.lease`."""

    _may_retry = False

    def __init__(self, pool: Pool, slot: Optional[int], timeout: Optional[float], lease_time: Optional[float]) -> None:
        super().__init__(pool._client, pool.name, pool._options, pool)
        self._timeout = _call.seconds(timeout)
        self._wanted = {"slot": slot, "timeout_ms": _pool._milliseconds(self._timeout), "lease_ms": _pool._milliseconds(_call.seconds(lease_time))}
        self._leased: Optional[Connection] = None
        self.slot: Optional[int] = None
        self.generation: Optional[int] = None

    def _with(self, options: Dict[str, Any]) -> Target:
        return _Leased(self._client, self._address, options, self)

    async def _connection(self) -> Connection:  # type: ignore[override]
        if self._leased is None or self._leased.lost is not None:
            raise ConnectionLost("there is no lease: it was not taken yet, was released, or went with its connection", ran="no")
        return self._leased

    def __await__(self) -> Any:
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
        self._address = f"{self._owner.name}:{got['slot']}"
        self.slot, self.generation = got["slot"], got["generation"]
        return self

    async def release(self) -> bool:
        """Gives it back. False: it was not ours any more."""
        connection, self._leased = self._leased, None
        if connection is None or connection.lost is not None:
            return False
        return await connection.call("objpool.release", [self._owner.name, self.slot])

    async def __aenter__(self) -> "Lease":
        return await self._take()

    async def __aexit__(self, *_: Any) -> None:
        await self.release()

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        connection = self.__dict__.get("_leased")
        if connection is not None and not _ends():
            connection.notify("objpool.release", self._owner.name, self.slot)


class _Leased(Target):
    """A lease with options: its owner is the lease."""

    _may_retry = False

    async def _connection(self) -> Connection:  # type: ignore[override]
        return await self._owner._connection()


# ---- streams --------------------------------------------------------------------------------------------------------------------


class _Entry(_stream.StreamEntry):
    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def notify(self, name: str, params: List[Any]) -> None:
        super().notify(name, params)
        self.event.set()

    def answer(self, message: Any) -> None:
        super().answer(message)
        self.event.set()


class _AsyncInput(_stream.Input):
    """An async iterable, read by a task. What it has given in one turn of the loop is sent together."""

    def __init__(self, connection: Any, entry: _Entry, items: AsyncIterator[Any]) -> None:
        super().__init__(connection, entry, iter(()))
        self._source = items
        self._buffer: List[Any] = []
        self._room = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while not self.ended and self.entry.message is None:
                if self.allowed() <= 0:
                    self._room.clear()
                    await self._room.wait()
                    continue
                item = await self._source.__anext__()
                self.fed += 1
                if not self._buffer:
                    self.connection.loop.call_soon(self._flush)
                self._buffer.append(item)
        except StopAsyncIteration:
            pass
        except ConnectionLost:
            return
        except Exception as error:
            self.fault = error
        if not self.ended:
            self._flush()
            self.end()

    def _flush(self) -> None:
        batch, self._buffer = self._buffer, []
        if batch and not self.ended and self.connection.lost is None:
            self.send(batch)

    def pump(self, waiting: bool) -> None:
        self._room.set()

    def close(self) -> None:
        super().close()
        if not self.connection.loop.is_closed():
            self._task.cancel()


class Stream(_stream.Results[T]):
    """An async iterator of results. `len` is the number of all results, where it is known."""

    def __init__(self, target: Target, name: str, args: Any, kwargs: Any, ordered: bool, window: Optional[int]) -> None:
        self._source = args[0] if len(args) == 1 and not kwargs and hasattr(args[0], "__aiter__") else None
        if self._source is not None:
            args = ((),)
        request, items, _, length = _stream.prepare(target._address, target._mapped, name, args, kwargs, target._options, ordered, window)
        super().__init__(None, request, None if self._source is not None else length)
        self._target: Optional[Target] = target
        self._items = items

    def _new_entry(self) -> _Entry:
        return _Entry()

    async def _start(self) -> None:
        target, self._target = self._target, None
        assert target is not None
        entry: Any = self._entry
        self._connection = connection = await target._connection()
        connection.start(entry, self._request.method, self._request.params)
        if self._source is not None:
            self._input = _AsyncInput(connection, entry, self._source.__aiter__())
        elif self._items is not None:
            self._input = _stream.Input(connection, entry, self._items)

    def _cancel(self) -> None:
        if self._connection is None:
            self._over = True
        else:
            super()._cancel()

    def __aiter__(self) -> "Stream[T]":
        return self

    async def __anext__(self) -> T:
        for value in self._values:
            return value
        try:
            if self._target is not None:
                await self._start()
            self._count_taken()
            while not self._ready():
                await self._wait()
                self._tell_steps()
        except _stream._End:
            raise StopAsyncIteration from None
        except BaseException:
            self._cancel()
            raise
        return self._take()

    async def _wait(self) -> None:
        event = self._entry.event  # type: ignore[attr-defined]
        if self._entry.news:
            return
        event.clear()
        if self._deadline is None:
            await event.wait()
            return
        try:
            await asyncio.wait_for(event.wait(), max(0.0, self._deadline - time.monotonic()))
        except asyncio.TimeoutError:
            raise Timeout("the daemon does not answer") from None

    async def aclose(self) -> None:
        """Cancels what is not done."""
        self._cancel()

    async def __aenter__(self) -> "Stream[T]":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._cancel()


# ---- the client -----------------------------------------------------------------------------------------------------------------


class Client:
    """A connection to a daemon, made again when it was lost. Made by :func:`connect`."""

    def __init__(self, unpickle: Optional[bool], timeout: Optional[float], retry: Any) -> None:
        self.retry = _retry.of(retry)  #: of calls of its pools that have none of their own
        self._unpickle = unpickle
        self._timeout = timeout
        self._closed = False
        self._connection: Optional[Connection] = None
        self._connecting = asyncio.Lock()
        self._daemon: Optional[_embedded.PrivateDaemon] = None
        self.address = ""

    async def _open(self, address: str) -> Connection:
        unpickle = address.startswith("unix:") if self._unpickle is None else self._unpickle
        sock = await asyncio.get_running_loop().run_in_executor(None, _wire.open_socket, address, self._timeout)
        connection = Connection(sock, address, unpickle)
        try:
            connection.on_hello(await connection.call("objpool.hello", [connection.introduction()], self._timeout))
        except BaseException:
            connection.fail(ConnectionLost("the connection was closed"))
            raise
        self.address = address
        return connection

    async def _connect_first(self, address: Optional[str]) -> None:
        for candidate in [address] if address else default_addresses():
            try:
                if candidate != PRIVATE:
                    self._connection = await self._open(candidate)
                    return
            except NoDaemon:
                if address or os.environ.get("OBJPOOL_ADDRESS"):
                    raise
        self._connection = await self._open_private()

    async def _open_private(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._daemon = await loop.run_in_executor(None, _embedded.private_daemon)
        try:
            return await self._open(self._daemon.address)
        except ConnectionLost:  # also by one that takes the connection while it is being killed
            self._daemon = await loop.run_in_executor(None, _embedded.private_daemon, self._daemon)
            return await self._open(self._daemon.address)

    async def _connected(self) -> Connection:
        connection = self._connection
        if connection is not None and connection.lost is None:
            return connection
        async with self._connecting:
            if self._closed:
                raise ConnectionLost("the client is closed", ran="no")
            connection = self._connection
            if connection is None or connection.lost is not None:
                connection = self._connection = await (self._open(self.address) if self._daemon is None else self._open_private())
            return connection

    async def close(self) -> None:
        """Ends the connection: calls under way fail, pools and leases of this client go."""
        self._closed = True
        if self._connection is not None:
            self._connection.fail(ConnectionLost("the connection was closed"))

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<objpool.aio client of {self.address}{', closed' if self._closed else ''}>"

    @property
    def is_private(self) -> bool:
        """Whether the daemon is this program's own."""
        return self._daemon is not None

    async def call(self, method: str, *args: Any) -> Any:
        """Calls target.method as the wire has it."""
        return await (await self._connected()).call(method, list(args))

    async def ping(self) -> None:
        """Returns when the daemon has answered."""
        await self.call("objpool.ping")

    async def pools(self) -> List[Dict[str, Any]]:
        """All pools."""
        return await self.call("objpool.pools")

    async def describe(self, pool: Union[str, Pool]) -> Dict[str, Any]:
        """What a pool's class offers."""
        return await self.call("objpool.describe", _name_of(pool))

    async def status(self, pool: Union[str, Pool, None] = None) -> Dict[str, Any]:
        """All counts and states, of all pools or one."""
        return await self.call("objpool.status", *([] if pool is None else [_name_of(pool)]))

    async def metrics(self) -> str:
        """OpenMetrics text."""
        return await self.call("objpool.metrics")

    async def scale(self, pool: Union[str, Pool], workers: int) -> int:
        """Gives a pool so many workers."""
        return (await self.call("objpool.scale", _name_of(pool), workers))["workers"]

    async def restart(self, pool: Union[str, Pool], slot: Optional[int] = None) -> int:
        """Builds instances anew, one after the other."""
        return (await self.call("objpool.restart", _name_of(pool), *([] if slot is None else [slot])))["restarted"]

    async def forget(self, pool: Union[str, Pool], method: Optional[str] = None) -> int:
        """Forgets sticky calls, and says how many."""
        return await self.call("objpool.forget", _name_of(pool), *([] if method is None else [method]))

    async def drop(self, pool: Union[str, Pool]) -> None:
        """Removes a pool."""
        await self.call("objpool.drop", _name_of(pool))

    async def reload(self) -> Dict[str, Any]:
        """The daemon reads its configuration: as Client.reload."""
        return await self.call("objpool.reload")

    async def shutdown(self) -> None:
        """The daemon finishes what it has, and stops."""
        await self.call("objpool.shutdown")

    def pool(self, name: str) -> Pool:
        """A pool by its name."""
        return Pool(self, name)  # type: ignore[arg-type]

    __getitem__ = pool

    async def create_pool(self, what: Any, workers: Union[int, str] = 4, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {},
                          slot_kwargs: Optional[Sequence[Mapping[str, Any]]] = None, *, name: Optional[str] = None, fork: Optional[bool] = None,
                          **keys: Any) -> Pool:
        """Makes a pool: see objpool.Client.create_pool."""
        for _ in range(_fork.ATTEMPTS):
            connection = await self._connected()
            template, section = template_and_section(fork, what, workers, args, kwargs, slot_kwargs, name, keys, self.is_private)
            try:
                return await self._create(connection, section, template, name is None)
            except ObjpoolError:
                if template is None or not template.stuck:
                    raise
        raise _fork.all_stuck()

    async def _create(self, connection: Connection, section: Dict[str, Any], template: Optional[_fork.Fork], is_ours: bool) -> Pool:
        owned = _pool.Owned(connection, section["pool"], template)  # type: ignore[arg-type]
        creation = asyncio.ensure_future(connection.call("objpool.create", [section]))
        try:
            for pause in () if template is None else template.pauses():
                if (await asyncio.wait({creation}, timeout=pause))[0]:
                    break
            else:
                if template is not None:
                    await connection.call("objpool.drop", [section["pool"]])
            await creation
        except BaseException as error:
            creation.cancel()
            if isinstance(error, asyncio.CancelledError):
                asyncio.ensure_future(_withdraw(connection, owned, is_ours, creation))
            else:
                owned.give_up()
            raise
        if section.get("owner") == "daemon":
            owned.keep()
        return Pool(self, section["pool"], owner=owned)  # type: ignore[arg-type]


async def _withdraw(connection: Connection, owned: _pool.Owned, drop: bool, creation: asyncio.Future[Any]) -> None:
    """As Owned.withdraw."""
    try:
        await asyncio.wait({creation})  # it sends its own cancellation in a later turn of the loop
        await connection.call(*owned.withdrawal(drop))
    except ObjpoolError:
        pass  # it has gone by then, or its connection has
    finally:
        owned.give_up()


def _name_of(pool: Union[str, Pool]) -> str:
    return pool if isinstance(pool, str) else pool.name


class _Connecting(Awaitable[Client]):
    """await connect(...) or async with connect(...)."""

    def __init__(self, address: Optional[str], unpickle: Optional[bool], timeout: Optional[float], retry: Any) -> None:
        self._address = address
        self._client = Client(unpickle, timeout, retry)

    async def _connect(self) -> Client:
        await self._client._connect_first(self._address)
        return self._client

    def __await__(self) -> Any:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        return await self._connect()

    async def __aexit__(self, *_: Any) -> None:
        await self._client.close()


def connect(address: Optional[str] = None, *, unpickle: Optional[bool] = None, timeout: Optional[float] = None, retry: Any = None) -> _Connecting:
    """``client = await connect(...)`` or ``async with connect(...) as client``: see objpool.connect."""
    return _Connecting(address, unpickle, timeout, retry)
