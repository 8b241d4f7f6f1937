# SPDX-License-Identifier: Apache-2.0
"""The client: a daemon, found or started, and its pools."""
from __future__ import annotations

import datetime
import os
import threading
import weakref

from . import _connect, _connection, _embedded, _fork, _html, _owned, _retry, _stream, _system
from ._address import PRIVATE, address_form, default_addresses
from ._call import check_options
from ._credentials import Credentials, Nobody
from ._events import event_options
from ._pool import Pool
from ._pool_section import template_and_section
from ._stream import Stream
from ._target import target_of
from ._template import Template
from .errors import ConnectionLost, NoDaemon, ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Sequence, Union


class Client:
    """A connection to a daemon, made again when it was lost. Any number of threads may use it."""

    def __init__(self, address: Optional[str] = None, *, unpickle: Optional[bool] = None, timeout: Optional[float] = None,
                 retry: Any = None, **credentials: Any) -> None:
        self._credentials = Credentials(**credentials)
        self.retry = _retry.of(retry)  #: for calls of its pools that have no `retry` of their own
        self._unpickle = unpickle
        self._timeout = timeout
        self._closed = False
        self._connection: Optional[_connection.Connection] = None
        self._connecting = threading.Lock()
        self._daemon: Optional[_embedded.PrivateDaemon] = None
        self.address = ""
        self._connect_first(address)
        _clients.add(self)

    # ---- the connection -------------------------------------------------------------------------------------------------------

    def _open(self, address: str) -> _connection.Connection:
        address = address_form(address)
        unpickle = address.startswith("unix:") if self._unpickle is None else self._unpickle
        credentials = self._credentials if self._daemon is None else Nobody()
        connection = _connect.connect(address, unpickle, self._timeout, credentials)
        self.address = address
        return connection

    def _connect_first(self, address: Optional[str]) -> None:
        if address == PRIVATE or (not address and not self._connect_default()):
            self._connection = self._open_private()
        elif address:
            self._connection = self._open(address)

    def _open_private(self) -> _connection.Connection:
        """A connection to the program's own daemon, which is started again if it has been killed."""
        self._daemon = _embedded.private_daemon()
        try:
            return self._open(self._daemon.address)
        except ConnectionLost:  # the daemon has ended, maybe just after it accepted the connection
            self._daemon = _embedded.private_daemon(silent=self._daemon)
            return self._open(self._daemon.address)

    def _connect_default(self) -> bool:
        for address in default_addresses():
            try:
                self._connection = self._open(address)
                return True
            except NoDaemon:
                if os.environ.get("OBJPOOL_ADDRESS"):
                    raise
        return False

    def _connected(self) -> _connection.Connection:
        connection = self._connection
        if connection is not None and connection.lost is None:
            return connection
        with self._connecting:
            if self._closed:
                raise ConnectionLost("the client is closed", ran="no")
            connection = self._connection
            if connection is None or connection.lost is not None:
                connection = self._open(self.address) if self._daemon is None else self._open_private()
                self._connection = connection
            return connection

    def close(self) -> None:
        """Closes the connection: calls under way fail; the daemon removes pools and leases of this client."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()
        self._daemon = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<objpool client of {self.address}{', closed' if self._closed else ''}>"

    def _repr_html_(self) -> str:
        return _html.of_client(self)

    @property
    def is_private(self) -> bool:
        """Whether the daemon is this program's own."""
        return self._daemon is not None

    @property
    def unpickle(self) -> bool:
        """Whether objects that come pickled are unpickled."""
        return self._connected().unpickle

    @property
    def server(self) -> Dict[str, Any]:
        """What the daemon has said of itself: version, session, pools, limits."""
        return self._connected().hello

    # ---- the daemon's methods -------------------------------------------------------------------------------------------------

    def call(self, method: str, *args: Any) -> Any:
        """Calls target.method as the wire has it: ``client.call("sim:2.step", 1)``, ``client.call("objpool.pools")``."""
        return self._connected().call(method, list(args))

    def ping(self) -> None:
        """Returns when the daemon has answered."""
        self.call("objpool.ping")

    def pools(self) -> List[Dict[str, Any]]:
        """All pools, each with name, plugin, class, workers, state ..."""
        return self.call("objpool.pools")

    def describe(self, pool: Union[str, Pool]) -> Dict[str, Any]:
        """What a pool's class offers: doc, signature, methods."""
        return self.call("objpool.describe", _name_of(pool))

    def status(self, pool: Union[str, Pool, None] = None) -> Dict[str, Any]:
        """All counts and states, of all pools or one."""
        return self.call("objpool.status", *([] if pool is None else [_name_of(pool)]))

    def metrics(self) -> str:
        """OpenMetrics text."""
        return self.call("objpool.metrics")

    def scale(self, pool: Union[str, Pool], workers: int) -> int:
        """Sets how many workers a pool has; returns how many, when they are ready."""
        return self.call("objpool.scale", _name_of(pool), workers)["workers"]

    def restart(self, pool: Union[str, Pool], slot: Optional[int] = None) -> int:
        """Replaces instances, one after the other; returns how many."""
        return self.call("objpool.restart", _name_of(pool), *([] if slot is None else [slot]))["restarted"]

    def forget(self, pool: Union[str, Pool], method: Optional[str] = None) -> int:
        """Forgets sticky calls; returns how many."""
        return self.call("objpool.forget", _name_of(pool), *([] if method is None else [method]))

    def pause(self, pool: Union[str, Pool]) -> None:
        """Has a pool's calls wait until resume(); returns when nothing runs in it."""
        self.call("objpool.pause", _name_of(pool))

    def resume(self, pool: Union[str, Pool]) -> bool:
        """Has the calls of a paused pool go on; returns whether it was paused."""
        return self.call("objpool.resume", _name_of(pool))

    def drop(self, pool: Union[str, Pool]) -> None:
        """Removes a pool."""
        self.call("objpool.drop", _name_of(pool))

    def reload(self) -> Dict[str, Any]:
        """Makes the daemon read its configuration again.

        Returns what became of each pool, when the new instances have been built: see objpool.reload in docs/PROTOCOL.md. `failed`
        has what could not be built.
        """
        return self.call("objpool.reload")

    def reload_code(self, pool: Union[str, Pool]) -> Dict[str, Any]:
        """Has a pool's changed code loaded by a new process, and its instances replaced one after the other.

        Returns what became of the pool, as reload() does: `failed` says why the old code serves on.
        """
        return self.call("objpool.reload_code", _name_of(pool))

    def logs(self, pool: Union[str, Pool], after: int = 0) -> Dict[str, Any]:
        """What a pool's workers and template have printed, as far as it is kept: last, missed, lines.

        Only lines with a greater number than `after`. `last` is the number of the newest, for the next question; `missed` says
        how many were not kept.
        """
        return self.call("objpool.logs", _name_of(pool), after)

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
        return _stream.start(self._connected, "objpool", False, "events", (options,), {}, {}, True, None)

    def shutdown(self) -> None:
        """Makes the daemon finish the calls that it has, and stop."""
        self.call("objpool.shutdown")

    def whoami(self) -> Dict[str, Any]:
        """Who this client is to the daemon, and what it may do: user, by, roles, rights, limits."""
        return self.call("objpool.whoami")

    def acl(self, user: str, right: str, name: str) -> Dict[str, Any]:
        """Whether that [user] has that right for "pool.method" or "pool": allowed, and where, the line that says so."""
        return self.call("objpool.acl", user, right, name)

    def clients(self) -> List[Dict[str, Any]]:
        """The connections that are open: session, user, peer, name, in_flight, calls, waits_for ..."""
        return self.call("objpool.clients")

    def kick(self, session: int) -> bool:
        """Closes the connection of that number (see clients()); returns whether there was one."""
        return self.call("objpool.kick", session)

    def log_level(self, level: Optional[str] = None) -> str:
        """Sets how much the daemon logs: error, warning, info or debug, until the next reload. Returns what it is then."""
        return self.call("objpool.log_level", *([] if level is None else [level]))

    def config(self) -> str:
        """The configuration that is in force, as the text of a configuration file."""
        return self.call("objpool.config")

    def drain(self) -> Dict[str, Any]:
        """Makes the daemon finish the calls that it has, and stop. Returns at once: calls, direct, pools, left_s.

        That says what is waited for, and how many seconds at most. It may be asked again. The daemon has stopped when the
        connection is lost.
        """
        return self.call("objpool.drain")

    # ---- pools ----------------------------------------------------------------------------------------------------------------

    def pool(self, name: str, host: Optional[str] = None, **options: Any) -> Pool:
        """A pool by its name, with options for all its calls: see Target.options.

        host: another machine of the daemon's cluster that shares such a pool, or "*" for any of them, and all. Nothing is sent: if
        there is no such pool, its first call fails.
        """
        return Pool(self, target_of(name, host), check_options(options))

    __getitem__ = pool

    def create_pool(self, what: Any, workers: Union[int, str] = 4, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {},
                    slot_kwargs: Optional[Sequence[Mapping[str, Any]]] = None, *, name: Optional[str] = None,
                    fork: Optional[bool] = None, **keys: Any) -> Pool:
        """Makes a pool, and returns it when all its objects have been built.

        `what` is a Python class, or any callable that makes an object. Workers that are forks of this program have it; to others
        it is sent by reference or, if it is local or of __main__, by value. Or it is a string: "module:Class" of Python, or with
        plugin="..." a class of that plugin. Other keys are those of a [pool] section of objpoold.conf(5). The pool is removed
        with the last reference to it, with close(), and with this client; with owner="daemon" it stays.

        fork: whether the workers are forks of this program, or of a new process of its Python (sys.executable, with its options
        and sys.path). Forks have what the program has now: modules, what was set in them, open files. Both print where the
        program prints. This is for Python classes in a daemon of the program's own. The default is what multiprocessing would do;
        with python_path, python_options, virtualenv or preload it is a new process.
        """
        for _ in range(_fork.ATTEMPTS):
            connection = self._connected()
            template, section = template_and_section(
                fork, what, workers, args, kwargs, slot_kwargs, name, keys, self.is_private)
            try:
                return self._create(connection, section, template, name is None)
            except ObjpoolError:
                if template is None or not template.stuck:
                    raise
        raise _fork.all_stuck()

    def _create(self, connection: _connection.Connection, section: Dict[str, Any], template: Optional[Template],
                is_ours: bool) -> Pool:
        """`is_ours`: nobody else has a pool of that name."""
        owned = _owned.Owned(connection, section["pool"], template)
        try:
            _owned.create(connection, section, template)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                owned.withdraw(is_ours)
            else:
                owned.give_up()
            raise
        if section.get("owner") == "daemon":
            owned.keep()
        return Pool(self, section["pool"], owner=owned)


def _name_of(pool: Union[str, Pool]) -> str:
    return pool if isinstance(pool, str) else pool.name


def connect(address: Optional[str] = None, *, unpickle: Optional[bool] = None, timeout: Optional[float] = None,
            retry: Any = None, tls_ca: Any = None, tls_cert: Any = None, tls_key: Any = None, tls_name: Optional[str] = None,
            token_file: Any = None) -> Client:
    """A client of the daemon at `address` (unix:PATH, tcp:HOST:PORT, tls:HOST:PORT or "private"; also /PATH, HOST:PORT, tcp://...).

    Without address: of the daemon at $OBJPOOL_ADDRESS, else of the user's or the system's daemon. If none answers there, of a
    private daemon, which is started for this program and ends with it.

    unpickle: whether pickled objects that come are unpickled, which lets the daemon's pools run code here; by default on Unix
    sockets only. timeout: how many seconds connecting may take. retry: a Retry, a number of attempts, or True: calls of its pools
    that have not run are sent again.

    For tls: addresses: tls_ca is a file of the CAs that are trusted, else those of the system; tls_cert and tls_key are files of
    the certificate to show and its key, which may be one; tls_name is the name that the daemon's certificate must have, else the
    host. token_file: a file with the token to show, over TLS or a Unix socket; others must not be able to read it. What is not
    given is taken from $OBJPOOL_TLS_CA, _CERT, _KEY, _NAME and $OBJPOOL_TOKEN_FILE. All are read whenever a connection is made.
    """
    return Client(address, unpickle=unpickle, timeout=timeout, retry=retry, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key,
                  tls_name=tls_name, token_file=token_file)


_default: Optional[Client] = None
_own: Optional[Client] = None
_default_lock = threading.Lock()
_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def default_client() -> Client:
    """The client that `objpool.pool` uses, and `objpool.create_pool` for classes by name: connect(), once per program."""
    global _default
    with _default_lock:
        if _default is None or _default._closed:
            _default = connect()
        return _default


def _client_for(what: Any) -> Client:
    """The client that makes a pool of `what`. The program's own class is for a daemon of the program's own, where it has this
    Python, its packages and the program's rights. Others would run it as their own user, if they let this program choose code."""
    if isinstance(what, str) or os.environ.get("OBJPOOL_ADDRESS"):
        return default_client()
    global _own
    with _default_lock:
        for client in (_default, _own):
            if client is not None and client.is_private and not client._closed:
                return client
        if _embedded.is_possible():
            _own = connect(PRIVATE)
            return _own
    return default_client()


def pool(name: str, host: Optional[str] = None, **options: Any) -> Pool:
    """A pool of the default client, by its name: see :meth:`Client.pool`."""
    return default_client().pool(name, host, **options)


def create_pool(what: Any, workers: Union[int, str] = 4, args: Sequence[Any] = (), kwargs: Mapping[str, Any] = {},
                slot_kwargs: Optional[Sequence[Mapping[str, Any]]] = None, **keys: Any) -> Pool:
    """Makes a pool: see :meth:`Client.create_pool`.

    A class or function of this program is for a daemon of the program's own, unless $OBJPOOL_ADDRESS names another. A class by
    its name is for the daemon that connect() finds.
    """
    return _client_for(what).create_pool(what, workers, args, kwargs, slot_kwargs, **keys)


def _after_fork_in_child() -> None:
    global _default_lock
    _default_lock = threading.Lock()
    for client in tuple(_clients):
        client._connecting = threading.Lock()


_system.after_fork_in_child(_after_fork_in_child)
