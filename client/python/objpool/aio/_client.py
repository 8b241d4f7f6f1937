# SPDX-License-Identifier: Apache-2.0
"""The client: a daemon, found or started, and its pools."""
from __future__ import annotations

import asyncio
import datetime
import os
import socket
from typing import TYPE_CHECKING, Any, Awaitable, Dict, Generator, List, Mapping, Optional, Sequence, Union

from .. import _connect, _embedded, _fork, _owned, _retry
from .._address import PRIVATE, address_form, default_addresses
from .._call import check_options
from .._credentials import Credentials, Nobody
from .._events import event_options
from .._pool_section import template_and_section
from .._target import target_of
from .._template import Template
from ..errors import ConnectionLost, NoDaemon, ObjpoolError
from ._connection import Connection
from ._pool import Pool
from ._secure import SecureConnection
from ._stream import Stream

if TYPE_CHECKING:
    from .._tls import Tls


class Client:
    """A connection to a daemon, made again when it was lost. Made by :func:`connect`."""

    def __init__(self, unpickle: Optional[bool], timeout: Optional[float], retry: Any, credentials: Credentials) -> None:
        self._credentials = credentials
        self.retry = _retry.of(retry)  #: for calls of its pools that have no `retry` of their own
        self._unpickle = unpickle
        self._timeout = timeout
        self._closed = False
        self._connection: Optional[Connection] = None
        self._connecting = asyncio.Lock()
        self._daemon: Optional[_embedded.PrivateDaemon] = None
        self.address = ""

    async def _open(self, address: str) -> Connection:
        address = address_form(address)
        unpickle = address.startswith("unix:") if self._unpickle is None else self._unpickle
        credentials = self._credentials if self._daemon is None else Nobody()
        token = credentials.introduction(address)
        opening = asyncio.get_running_loop().run_in_executor(None, _connect.open_socket, address, self._timeout, credentials)
        connection = _connection_on(*await opening, address, unpickle)
        try:
            hello = {**connection.introduction(), **token}
            connection.on_hello(await connection.call("objpool.hello", [hello], self._timeout))
        except BaseException:
            connection.fail(ConnectionLost("the connection was closed"))
            if connection.refusal is not None:
                raise connection.refusal from None
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
        except ConnectionLost:  # the daemon has ended, maybe just after it accepted the connection
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
                opening = self._open(self.address) if self._daemon is None else self._open_private()
                connection = self._connection = await opening
            return connection

    async def close(self) -> None:
        """Closes the connection: calls under way fail; the daemon removes pools and leases of this client."""
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
        """Whether the daemon is this program's own: started by it, for it alone."""
        return self._daemon is not None

    async def call(self, method: str, *args: Any) -> Any:
        """Calls `method` with these parameters as the wire has them: docs/PROTOCOL.md."""
        return await (await self._connected()).call(method, list(args))

    async def ping(self) -> None:
        """Returns when the daemon has answered."""
        await self.call("objpool.ping")

    async def pools(self) -> List[Dict[str, Any]]:
        """All pools."""
        return await self.call("objpool.pools")

    async def describe(self, pool: Union[str, Pool]) -> Dict[str, Any]:
        """The methods of a pool's class."""
        return await self.call("objpool.describe", _name_of(pool))

    async def status(self, pool: Union[str, Pool, None] = None) -> Dict[str, Any]:
        """The counts and states of all pools, or of one."""
        return await self.call("objpool.status", *([] if pool is None else [_name_of(pool)]))

    async def metrics(self) -> str:
        """OpenMetrics text."""
        return await self.call("objpool.metrics")

    async def scale(self, pool: Union[str, Pool], workers: int) -> int:
        """Sets how many workers a pool has; returns how many it has now."""
        return (await self.call("objpool.scale", _name_of(pool), workers))["workers"]

    async def restart(self, pool: Union[str, Pool], slot: Optional[int] = None) -> int:
        """Replaces instances, one after the other; returns how many."""
        return (await self.call("objpool.restart", _name_of(pool), *([] if slot is None else [slot])))["restarted"]

    async def forget(self, pool: Union[str, Pool], method: Optional[str] = None) -> int:
        """Forgets sticky calls; returns how many."""
        return await self.call("objpool.forget", _name_of(pool), *([] if method is None else [method]))

    async def pause(self, pool: Union[str, Pool]) -> None:
        """Has a pool's calls wait until resume(); returns when nothing runs in it."""
        await self.call("objpool.pause", _name_of(pool))

    async def resume(self, pool: Union[str, Pool]) -> bool:
        """Has the calls of a paused pool go on; returns whether it was paused."""
        return await self.call("objpool.resume", _name_of(pool))

    async def drop(self, pool: Union[str, Pool]) -> None:
        """Removes a pool."""
        await self.call("objpool.drop", _name_of(pool))

    async def reload(self) -> Dict[str, Any]:
        """Makes the daemon read its configuration again: see objpool.Client.reload."""
        return await self.call("objpool.reload")

    async def reload_code(self, pool: Union[str, Pool]) -> Dict[str, Any]:
        """Has a pool's changed code loaded: see objpool.Client.reload_code."""
        return await self.call("objpool.reload_code", _name_of(pool))

    async def logs(self, pool: Union[str, Pool], after: int = 0) -> Dict[str, Any]:
        """What a pool's workers and template have printed, as far as it is kept: last, missed, lines.

        Only lines with a greater number than `after`. `last` is the number of the newest, for the next question; `missed` says
        how many were not kept.
        """
        return await self.call("objpool.logs", _name_of(pool), after)

    def events(self, pool: Union[str, Pool, None] = None, kinds: Union[str, Sequence[str], None] = None, *,
               since: Union[float, datetime.datetime, None] = None, after: Optional[int] = None, last: Optional[int] = None,
               follow: bool = True) -> Stream[Dict[str, Any]]:
        """What has happened in the daemon, as far as it is kept, and what happens: dicts, each with time, kind, text ...

        pool: only what is about that one. kinds: such as "slot.died", or "slot" for all of its kinds. since, after: only events
        of then or later (seconds since 1970, or a datetime), or with a greater number. last: begin with so many of those that
        there are; 0: only with what comes. follow=False: end with the last one that there is. To follow ends when the daemon
        stops.
        """
        options = event_options(None if pool is None else _name_of(pool), kinds, since, after, last, follow)
        return Stream(Pool(self, "objpool", {}), "events", (options,), {}, True, None)  # type: ignore[arg-type]

    async def shutdown(self) -> None:
        """Makes the daemon finish the calls that it has, and stop."""
        await self.call("objpool.shutdown")

    async def whoami(self) -> Dict[str, Any]:
        """Who this client is to the daemon, and what it may do: user, by, roles, rights, limits."""
        return await self.call("objpool.whoami")

    async def acl(self, user: str, right: str, name: str) -> Dict[str, Any]:
        """Whether that [user] has that right for "pool.method" or "pool": allowed, and where, the line that says so."""
        return await self.call("objpool.acl", user, right, name)

    async def clients(self) -> List[Dict[str, Any]]:
        """The connections that are open: session, user, peer, name, in_flight, calls, waits_for ..."""
        return await self.call("objpool.clients")

    async def kick(self, session: int) -> bool:
        """Closes the connection of that number (see clients()); returns whether there was one."""
        return await self.call("objpool.kick", session)

    async def log_level(self, level: Optional[str] = None) -> str:
        """Sets how much the daemon logs: error, warning, info or debug, until the next reload. Returns what it is then."""
        return await self.call("objpool.log_level", *([] if level is None else [level]))

    async def config(self) -> str:
        """The configuration that is in force, as the text of a configuration file."""
        return await self.call("objpool.config")

    async def drain(self) -> Dict[str, Any]:
        """Makes the daemon finish the calls that it has, and stop: see objpool.Client.drain."""
        return await self.call("objpool.drain")

    def pool(self, name: str, host: Optional[str] = None, **options: Any) -> Pool:
        """A pool by its name, with options for all its calls. host: another machine that shares such a pool, or "*": any, or all."""
        return Pool(self, target_of(name, host), check_options(options))  # type: ignore[arg-type]

    __getitem__ = pool

    async def create_pool(self, what: Any, workers: Union[int, str] = 4, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {},
                          slot_kwargs: Optional[Sequence[Mapping[str, Any]]] = None, *, name: Optional[str] = None,
                          fork: Optional[bool] = None, **keys: Any) -> Pool:
        """Makes a pool: see objpool.Client.create_pool."""
        for _ in range(_fork.ATTEMPTS):
            connection = await self._connected()
            template, section = template_and_section(
                fork, what, workers, args, kwargs, slot_kwargs, name, keys, self.is_private)
            try:
                return await self._create(connection, section, template, name is None)
            except ObjpoolError:
                if template is None or not template.stuck:
                    raise
        raise _fork.all_stuck()

    async def _create(self, connection: Connection, section: Dict[str, Any], template: Optional[Template],
                      is_ours: bool) -> Pool:
        owned = _owned.Owned(connection, section["pool"], template)  # type: ignore[arg-type]
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


async def _withdraw(connection: Connection, owned: _owned.Owned, drop: bool, creation: asyncio.Future[Any]) -> None:
    """Drops a pool whose creation was cancelled: see Owned.withdraw."""
    try:
        await asyncio.wait({creation})  # the task sends objpool.cancel in a later turn of the loop
        await connection.call(*owned.withdrawal(drop))
    except ObjpoolError:
        pass  # the pool is gone already, or the connection is lost
    finally:
        owned.give_up()


def _connection_on(sock: socket.socket, tls: Optional[Tls], address: str, unpickle: bool) -> Connection:
    return Connection(sock, address, unpickle) if tls is None else SecureConnection(sock, address, unpickle, tls)


def _name_of(pool: Union[str, Pool]) -> str:
    return pool if isinstance(pool, str) else pool.name


class _Connecting(Awaitable[Client]):
    """await connect(...) or async with connect(...)."""

    def __init__(self, address: Optional[str], client: Client) -> None:
        self._address = address
        self._client = client

    async def _connect(self) -> Client:
        await self._client._connect_first(self._address)
        return self._client

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def __aenter__(self) -> Client:
        return await self._connect()

    async def __aexit__(self, *_: Any) -> None:
        await self._client.close()


def connect(address: Optional[str] = None, *, unpickle: Optional[bool] = None, timeout: Optional[float] = None,
            retry: Any = None, tls_ca: Any = None, tls_cert: Any = None, tls_key: Any = None, tls_name: Optional[str] = None,
            token_file: Any = None) -> _Connecting:
    """``client = await connect(...)`` or ``async with connect(...) as client``: see objpool.connect."""
    return _Connecting(address, Client(unpickle, timeout, retry, Credentials(tls_ca, tls_cert, tls_key, tls_name, token_file)))
