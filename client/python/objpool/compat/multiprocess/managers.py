# SPDX-License-Identifier: Apache-2.0
"""Managers, whose servers are workers of an objpool daemon.

The standard library's code, executed once more (_standard_managers.py), serves managers at addresses of its own kinds, (host,
port) and paths of sockets, and those that have a Server of their own. All others are *near*: their server is a worker of the
program's private daemon, or of the daemon that the address names.

    _server_process.py      starts a server
    _referents.py           the server; _referent_queue.py and _referent_locks.py: what it has for its clients
    _link.py                a client's way to the server
    _proxies.py             what proxies have in common; _proxy_types.py: the proxies of each type
"""
from . import _standard_managers

globals().update({name: value for name, value in vars(_standard_managers).items() if name[:2] != "__" or name == "__all__"})

# ruff: noqa: F821
import functools  # noqa: E402
import warnings  # noqa: E402

from ... import errors as _errors  # noqa: E402
from . import _codec, _link, _server_process  # noqa: E402
from ._answers import StaleProxy, decode, raise_unanswered  # noqa: E402
from ._kinds import is_made_here, runs_here  # noqa: E402
from ._link import NoServer, ServerLost, Unanswered, is_near  # noqa: E402,F401
from ._proxies import COUNTED, AutoProxy, BaseProxy, RebuildProxy  # noqa: E402,F401
from ._proxy_types import (  # noqa: E402
    AcquirerProxy, ArrayProxy, BaseListProxy, BasePoolProxy, BarrierProxy, ConditionProxy, DictProxy, EventProxy, IteratorProxy,
    ListProxy, NamespaceProxy, PoolProxy, QueueProxy, ValueProxy)
from ._thread_calls import ask_threads  # noqa: E402

_StandardManager = BaseManager
_standard_servers = {Server, SharedMemoryServer}

for _public in (StaleProxy, BaseProxy, RebuildProxy, AutoProxy, AcquirerProxy, BarrierProxy, ConditionProxy, DictProxy, EventProxy,
                IteratorProxy, ListProxy, NamespaceProxy, PoolProxy, QueueProxy, ValueProxy):
    _public.__module__ = __name__       # where programs find it

runs_here(Namespace)
runs_here(Value)
runs_here(Array)


class BaseManager(_StandardManager):
    _process = None
    _link = None        # of a near manager that was started or connected

    @property
    def _is_near(self):
        return (self._serializer == "pickle" and (self._address is None or is_near(self._address))
                and self._Server in _standard_servers)

    def get_server(self):
        """A server with serve_forever(), at an address of the standard library's kinds."""
        if is_near(self._address):
            raise ValueError(f"start() makes the server at {self._address!r}, which names a daemon")
        return super().get_server()

    def connect(self):
        """Connects the manager to a server that runs."""
        if not self._is_near:
            super().connect()
            return
        if self._address is None:
            raise ValueError("there is no address to connect to")
        self._link = _link.link_that_answers(self._address)
        self._state.value = State.STARTED

    def start(self, initializer=None, initargs=()):
        """Starts a server. At an address that names a daemon: connects to the server there, which is made if there is none."""
        if not self._is_near or self._state.value != State.INITIAL:
            super().start(initializer, initargs)
            return
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if self._address is not None:
            self._link = _server_process.start_shared(self._address, self._registry)
            self._state.value = State.STARTED
        elif not self._start_private(initializer, initargs):
            super().start(initializer, initargs)

    def _start_private(self, initializer, initargs):
        """False: there is no daemon to be had."""
        try:
            self._address, self._process, self._link = _server_process.start(
                type(self).__name__, self._registry, self._ctx.get_start_method(), initializer, initargs)
        except _errors.NoDaemon as error:
            _warn_once(str(error))
            return False
        self._state.value = State.STARTED
        self.shutdown = util.Finalize(self, _end, args=(self._link, self._process, self._state), exitpriority=0)
        return True

    def shutdown(self):
        """Ends the server. The server at an address that names a daemon ends for all programs."""
        if self._link is not None and self._state.value == State.STARTED:
            self._state.value = State.SHUTDOWN
            _server_process.end_shared(self._address)

    def __exit__(self, *_):
        if self._link is None or self._process is not None:
            self.shutdown()

    def join(self, timeout=None):
        """Waits until the server has ended, if this manager has started it."""
        if self._process is not None:
            super().join(timeout)

    def _link_here(self):
        """The link of this process: a fork of the one that has started the manager gets its own."""
        if not self._link.is_of_this_process():
            self._link = _link.link_to(self._address)
        return self._link

    def _create(self, typeid, /, *args, **kwds):
        """Makes a referent: (token, exposed)"""
        assert self._state.value == State.STARTED, "server not yet started"
        if self._link is None:
            return super()._create(typeid, *args, **kwds)
        if is_made_here(self._registry[typeid][0]):
            ident, exposed = self._ask("create", typeid, _codec.dumps_call(args, kwds))
        else:
            ident, exposed = ask_threads(self._link_here(), self._authkey, "create", (typeid, *args), kwds)
            self._ask("hold", ident, True)
        return Token(typeid, self._address, ident), exposed

    def _ask(self, method, *params):
        """What a method of the server gives."""
        try:
            return decode(self._link_here().request(method, *params))
        except Unanswered as error:
            raise_unanswered(error.args[0])

    def named(self, name, typeid, /, *args, **kwds):
        """A proxy of the referent of that name, for all clients of the server. The first to ask makes it, as the method `typeid`
        would; it stays until the server ends."""
        if self._link is None or not is_made_here(self._registry[typeid][0]):
            raise ValueError(f"there are no names for {typeid!r}")
        ident, exposed = self._ask("create_named", name, typeid, _codec.dumps_call(args, kwds))
        return self._proxy(typeid, Token(typeid, self._address, ident), exposed)

    def _proxy(self, typeid, token, exposed):
        """A proxy to which the server has counted a reference."""
        return self._registry[typeid][-1](token, self._serializer, manager=self, authkey=self._authkey, exposed=exposed,
                                          **({} if self._link is None else {"incref": COUNTED}))

    def _debug_info(self):
        """Some text about the referents."""
        return super()._debug_info() if self._link is None else self._ask("debug_info")

    def _number_of_objects(self):
        """How many referents somebody has a proxy of."""
        return super()._number_of_objects() if self._link is None else self._ask("number_of_objects")

    @classmethod
    def register(cls, typeid, callable=None, proxytype=None, exposed=None, method_to_typeid=None, create_method=True):
        """Registers a type: what makes a referent, and the type of its proxies."""
        if proxytype is None:
            proxytype = AutoProxy
        super().register(typeid, callable, proxytype, exposed, method_to_typeid, False)
        if create_method:
            def create(self, /, *args, **kwds):
                util.debug("requesting creation of a shared %r object", typeid)
                token, exposed = self._create(typeid, *args, **kwds)
                proxy = self._proxy(typeid, token, exposed)
                if self._link is None:
                    dispatch(self._Client(token.address, authkey=self._authkey), None, "decref", (token.id,))
                return proxy
            create.__name__ = typeid
            setattr(cls, typeid, create)


@functools.lru_cache(maxsize=None)
def _warn_once(why):
    warnings.warn(f"managers have the standard library's server: {why}", RuntimeWarning, stacklevel=4)


def _end(link, process, state):
    """Called once, by shutdown() or when the manager is gone."""
    state.value = State.SHUTDOWN
    try:
        link.request("release_segments")
    except (Unanswered, OSError, EOFError, _errors.ObjpoolError):
        pass        # the server has ended
    try:
        process.end()
    except _errors.ObjpoolError:
        pass        # so has the daemon


# SyncManager


class SyncManager(BaseManager):
    """A manager of containers, locks and queues."""


for _typeid, _callable, _proxytype in (
        ("Queue", queue.Queue, QueueProxy), ("JoinableQueue", queue.Queue, QueueProxy), ("Event", threading.Event, EventProxy),
        ("Lock", threading.Lock, AcquirerProxy), ("RLock", threading.RLock, AcquirerProxy),
        ("Semaphore", threading.Semaphore, AcquirerProxy), ("BoundedSemaphore", threading.BoundedSemaphore, AcquirerProxy),
        ("Condition", threading.Condition, ConditionProxy), ("Barrier", threading.Barrier, BarrierProxy),
        ("Pool", pool.Pool, PoolProxy), ("list", list, ListProxy), ("dict", dict, DictProxy), ("Value", Value, ValueProxy),
        ("Array", Array, ArrayProxy), ("Namespace", Namespace, NamespaceProxy)):
    SyncManager.register(_typeid, _callable, _proxytype)
SyncManager.register("Iterator", proxytype=IteratorProxy, create_method=False)
SyncManager.register("AsyncResult", create_method=False)


# Shared memory

_StandardSharedMemoryManager = SharedMemoryManager


class SharedMemoryManager(BaseManager):
    """A manager of segments of shared memory, which live until it ends."""

    _Server = SharedMemoryServer

    get_server = _StandardSharedMemoryManager.get_server

    def SharedMemory(self, size):
        """A new segment."""
        segment = shared_memory.SharedMemory(None, create=True, size=size)
        return self._tracked(segment, segment)

    def ShareableList(self, sequence):
        """A new list in shared memory."""
        made = shared_memory.ShareableList(sequence)
        return self._tracked(made, made.shm)

    def _tracked(self, made, segment):
        try:
            self._tell("track_segment", segment.name)
        except BaseException:
            segment.unlink()
            raise
        return made

    def _tell(self, method, name):
        if self._state.value != State.STARTED:
            raise ValueError("server not yet started")
        if self._link is not None:
            return self._ask(method, name)
        with self._Client(self._address, authkey=self._authkey) as conn:
            return dispatch(conn, None, method, (name,))
