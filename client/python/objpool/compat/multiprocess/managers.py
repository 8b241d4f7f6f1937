# SPDX-License-Identifier: Apache-2.0
"""Managers, whose servers are workers of an objpool daemon.

The standard library's code is executed here once more. It serves managers at addresses of its own kinds, (host, port) and paths
of sockets, and those that have a Server of their own. All others are *near*: their server is a worker of the program's private
daemon, or of the daemon that the address names.

    _server_process.py      starts a server
    _referents.py           the server; _referent_queue.py and _referent_locks.py: what it has for its clients
    _link.py                a client's way to the server

A proxy of a near manager calls its referent by the link. If its ident says that the referent has threads (_kinds.py), it has a
connection to one of them for each thread of the program, as proxies of the standard library have.
"""
import sys

from ._modules import execute_again

execute_again(sys.modules[__name__])

# ruff: noqa: F821
import functools  # noqa: E402
import warnings  # noqa: E402

from ... import errors as _errors  # noqa: E402
from . import _codec, _link, _place, _server_process  # noqa: E402
from ._kinds import AHEAD as _AHEAD  # noqa: E402
from ._kinds import THREADS as _THREADS  # noqa: E402
from ._kinds import is_made_here, runs_here  # noqa: E402
from ._link import NoServer, ServerLost, Unanswered, is_near  # noqa: E402,F401

_StandardManager, _StandardProxy, _standard_rebuild, _StandardAutoProxy = BaseManager, BaseProxy, RebuildProxy, AutoProxy
_standard_servers = {Server, SharedMemoryServer}

runs_here(Namespace)
runs_here(Value)
runs_here(Array)


class StaleProxy(RemoteError):
    """The referent is not in the server: the server was started anew, or the referent is gone."""


def _raise_unanswered(answer):
    kind = answer[0]
    if kind == _codec.RESEND:
        raise RemoteError("no more calls can wait in the manager's server\n")
    raise StaleProxy("the server was started anew, or the object is gone: it does not know it\n")


def _loads(data):
    """A value that has come. One that can't be made here is taken all the same: it could not be made the next time either."""
    try:
        return _codec.loads(data)
    except Exception as error:
        error._objpool_has_come = True
        raise


def _decode(answer, proxy=None):
    """The value of an answer, or its error raised."""
    if type(answer) is memoryview:      # of a file with a value
        return _loads(answer[1:])
    if type(answer) is not bytes:
        return answer
    kind = answer[0]
    if kind == _codec.VALUE:
        return _loads(memoryview(answer)[1:])
    if kind == _codec.ERROR:
        error, text = _codec.loads(answer[1:])
        error.__cause__ = _errors.RemoteTraceback(text)
        raise error
    if kind == _codec.REMOTE:
        raise RemoteError(answer[1:].decode())
    if kind == _codec.PROXY:
        return proxy._proxy_of(*_codec.loads(answer[1:]))
    return _raise_unanswered(answer)


# Managers


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
            ident, exposed = _ask_threads(self._link_here(), self._authkey, "create", (typeid, *args), kwds)
            self._ask("hold", ident, True)
        return Token(typeid, self._address, ident), exposed

    def _ask(self, method, *params):
        """What a method of the server gives."""
        try:
            return _decode(self._link_here().request(method, *params))
        except Unanswered as error:
            _raise_unanswered(error.args[0])

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
                                          **({} if self._link is None else {"incref": _COUNTED}))

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


def _ask_threads(link, authkey, method, args, kwds={}):
    """A call of a method of the server's threads (_referent_threads.py)."""
    conn = _connect_to_threads(link, authkey)
    try:
        return dispatch(conn, None, method, args, kwds)
    finally:
        conn.close()


def _connect_to_threads(link, authkey):
    try:
        return connection.Client(link.threads(authkey), authkey=bytes(authkey))
    except (ConnectionError, FileNotFoundError) as error:
        raise ServerLost(f"the manager's server has ended: {error}") from error


# Proxies

_ACQUIRE_AGAIN = 1.0    # seconds
_COUNTED, _ARRIVED = "counted", "arrived"   # values of `incref`: the server has counted a reference; it has lent one
_packing = threading.local()    # .idents: those of the proxies in the item of a queue that is being pickled


class BaseProxy(_StandardProxy):
    """A proxy of a near manager has `_link`, once it was used in its process."""

    _link = None
    _inside = None      # in the server itself: its Referents
    _held = None        # thread -> how often it has acquired the referent by this proxy
    def __init__(self, token, serializer, manager=None, authkey=None, exposed=None, incref=True, manager_owned=False):
        if not is_near(token.address):
            super().__init__(token, serializer, manager, authkey, exposed, incref, manager_owned)
            return
        self._token, self._id, self._manager, self._serializer = token, token.id, manager, serializer
        if authkey is None:
            authkey = manager._authkey if manager is not None else process.current_process().authkey
        self._authkey = process.AuthenticationString(authkey)
        self._owned_by_manager = manager_owned
        self._tls = util.ForkAwareLocal()
        self._held = {}
        self._is_lent = False
        if manager_owned:
            self._begin_inside()
        elif incref:
            self._begin(incref)
        else:
            self._is_lent = True
        util.register_after_fork(self, BaseProxy._after_fork)

    # A reference

    def _begin_inside(self):
        self._inside = _place.referents
        self._inside.hold_inside(self._id)
        self._close = util.Finalize(self, self._inside.leave_inside, args=(self._id,), exitpriority=None)

    def _begin(self, incref):
        self._link = _link.link_to(self._token.address)
        if incref is not _COUNTED:
            try:
                self._link.hold(self._id, incref is _ARRIVED)
            except Unanswered as error:
                _raise_unanswered(error.args[0])
        self._close = util.Finalize(self, _leave, args=(self._link, self._id), exitpriority=10)

    def _after_fork(self):
        if not is_near(self._token.address):
            super()._after_fork()
            return
        self._manager = self._link = self._inside = None
        self._held = {}
        try:
            self._begin(_ARRIVED if self._is_lent else True)
        except Exception as error:      # the manager may have shut down
            util.info("incref failed: %s", error)
        self._is_lent = False

    # Calls

    def _callmethod(self, methodname, args=(), kwds={}):
        """Calls a method of the referent; its value, or a proxy of that."""
        link = self._link
        if link is None:
            return self._call_otherwise(methodname, args, kwds)
        if self._id & _THREADS:
            return self._call_thread(methodname, args, kwds)
        return self._ask("call", self._id, methodname, args, kwds)

    def _ask(self, method, *args):
        """What a method of the link gives. A process that was forked without multiprocessing has no link of its own yet."""
        link = self._link
        try:
            return _decode(getattr(link, method)(*args), self)
        except Unanswered as error:
            _raise_unanswered(error.args[0])
        except ServerLost:
            if link.is_of_this_process():
                raise
        self._after_fork()
        if self._link is None:
            raise ServerLost("the manager's server has ended")
        return self._ask(method, *args)

    def _call_otherwise(self, methodname, args, kwds):
        if not is_near(self._token.address):
            return super()._callmethod(methodname, args, kwds)
        if self._inside is not None and self._inside.is_here():
            answer = self._inside.call_inside(self._id, methodname, args, kwds)
            if type(answer) is bytes and answer[0] == _codec.RESEND:
                raise RuntimeError(f"{methodname} would have the manager's server wait for itself")
            return _decode(answer, self)
        self._begin(True)
        return self._callmethod(methodname, args, kwds)

    def _call_thread(self, methodname, args, kwds):
        try:
            conn = self._tls.connection
        except AttributeError:
            conn = self._tls.connection = self._connect_to_thread()
        try:
            conn.send_bytes(_codec.dumps_call(args, kwds, self._id, methodname))
            kind, result = conn.recv()
        except (EOFError, ConnectionError) as error:
            raise ServerLost("the manager's server has ended") from error
        if kind == "#RETURN":
            return result
        if kind == "#PROXY":
            exposed, token = result
            return self._proxy_of(token.typeid, token.id, exposed)
        raise convert_to_error(kind, result)

    def _connect_to_thread(self):
        util.debug("making connection to manager")
        name = process.current_process().name
        if threading.current_thread().name != "MainThread":
            name += "|" + threading.current_thread().name
        conn = _connect_to_threads(self._link, self._authkey)
        dispatch(conn, None, "accept_connection", (name,))
        return conn

    def _next_call(self):
        """A number for `_take`, or None."""
        return None if self._link is None or self._id & _THREADS else self._link.next_call()

    def _take(self, number, methodname, *args):
        """A call that takes something."""
        if number is None:
            return self._callmethod(methodname, args)
        return self._ask("take", number, self._id, methodname, args)

    def _put_back(self, number, error):
        """A call that takes something has raised an exception. If it was interrupted, the referent gets that back."""
        of_server = isinstance(error, (RemoteError, ServerLost)) or isinstance(error.__cause__, _errors.RemoteTraceback)
        has_come = getattr(error, "_objpool_has_come", False)
        if number is not None and not of_server and not has_come:
            self._link.withdraw(number)

    def _send(self, methodname, *args):
        """A call whose value is None. It is sent ahead, if that can be: its error is then that of the next call."""
        if self._link is None or not self._id & _AHEAD or not self._link.send_ahead(self._id, methodname, args):
            return self._callmethod(methodname, args)

    def _proxy_of(self, typeid, ident, exposed):
        """The proxy of a referent that a method of this one has made."""
        token = Token(typeid, self._token.address, ident)
        return self._manager._registry[typeid][-1](token, self._serializer, manager=self._manager, authkey=self._authkey,
                                                   exposed=exposed, incref=_ARRIVED)

    def _referent(self):
        """In the server: what the proxy stands for."""
        return self._inside.entry(self._id).value

    def __reduce__(self):
        if is_near(self._token.address):
            self._lend()
        return super().__reduce__()

    def _lend(self):
        """This proxy is being pickled."""
        idents = getattr(_packing, "idents", None)
        if idents is not None:
            idents.append(self._id)
        elif self._inside is not None:
            self._inside.lend(self._id)
        elif self._link is not None:
            self._link.lend(self._id)


def _leave(link, ident):
    link.leave(ident)


def RebuildProxy(func, token, serializer, kwds):
    """Makes a proxy of what one is pickled as."""
    if not is_near(token.address):
        return _standard_rebuild(func, token, serializer, kwds)
    referents = _place.referents
    if referents is not None and referents.knows(token.id):
        proxy = func(token, serializer, manager_owned=True, **kwds)
        referents.unlend(token.id)
        return proxy
    incref = False if getattr(process.current_process(), "_inheriting", False) else _ARRIVED
    return func(token, serializer, incref=incref, **kwds)


def AutoProxy(token, serializer, manager=None, authkey=None, exposed=None, incref=True, manager_owned=False):
    """A proxy whose methods are those that the server tells of."""
    if not is_near(token.address):
        return _StandardAutoProxy(token, serializer, manager, authkey, exposed, incref, manager_owned)
    if exposed is None:
        exposed = _decode(_link.link_to(token.address).request("exposed", token.id))
    proxy = MakeProxyType(f"AutoProxy[{token.typeid}]", exposed)(
        token, serializer, manager=manager, authkey=authkey, incref=incref, manager_owned=manager_owned)
    proxy._isauto = True
    return proxy


_types = {}     # of MakeProxyType, without those that have the standard library's BaseProxy


class IteratorProxy(BaseProxy):
    _exposed_ = ("__next__", "send", "throw", "close")

    def __iter__(self):
        return self

    def __next__(self, *args):
        return self._callmethod("__next__", args)

    def send(self, *args):
        return self._callmethod("send", args)

    def throw(self, *args):
        return self._callmethod("throw", args)

    def close(self, *args):
        return self._callmethod("close", args)


class AcquirerProxy(BaseProxy):
    """A release by who has acquired it can't fail, and is sent ahead."""

    _exposed_ = ("acquire", "release")

    def acquire(self, blocking=True, timeout=None):
        number, thread = self._next_call(), threading.get_ident()
        try:
            if not self._take(number, "acquire", *((blocking,) if timeout is None else (blocking, timeout))):
                return False
            if number is not None:
                self._held[thread] = self._held.get(thread, 0) + 1
            return True
        except BaseException as error:
            self._put_back(number, error)
            raise

    __enter__ = acquire

    def release(self):
        held = self._held.pop(threading.get_ident(), 0) if self._held else 0
        if not held:
            return self._callmethod("release")
        if held > 1:
            self._held[threading.get_ident()] = held - 1
        return self._send("release")

    def __exit__(self, exc_type, exc_val, exc_tb):
        return self.release()


class ConditionProxy(AcquirerProxy):
    _exposed_ = ("acquire", "release", "wait", "notify", "notify_all")

    def wait(self, timeout=None):
        try:
            return self._callmethod("wait", (timeout,))
        except KeyboardInterrupt:
            self._callmethod("acquire", (True, _ACQUIRE_AGAIN))     # the program expects to hold it
            raise

    def notify(self, n=1):
        return self._callmethod("notify", (n,))

    def notify_all(self):
        return self._callmethod("notify_all")

    def wait_for(self, predicate, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        result = predicate()
        while not result:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
            result = predicate()
        return result


class EventProxy(BaseProxy):
    _exposed_ = ("is_set", "set", "clear", "wait")

    def is_set(self):
        return self._callmethod("is_set")

    def set(self):
        return self._send("set")

    def clear(self):
        return self._send("clear")

    def wait(self, timeout=None):
        return self._callmethod("wait", (timeout,))


class BarrierProxy(BaseProxy):
    _exposed_ = ("__getattribute__", "wait", "abort", "reset")

    def wait(self, timeout=None):
        return self._callmethod("wait", (timeout,))

    def abort(self):
        return self._callmethod("abort")

    def reset(self):
        return self._callmethod("reset")

    @property
    def parties(self):
        return self._callmethod("__getattribute__", ("parties",))

    @property
    def n_waiting(self):
        return self._callmethod("__getattribute__", ("n_waiting",))

    @property
    def broken(self):
        return self._callmethod("__getattribute__", ("broken",))


class QueueProxy(BaseProxy):
    """Puts into a queue without a bound are sent ahead. An item is pickled here, and goes to who gets it as it is."""

    _exposed_ = ("empty", "full", "get", "get_nowait", "join", "put", "put_nowait", "qsize", "task_done",
                 *(("shutdown",) if hasattr(queue.Queue, "shutdown") else ()))

    def put(self, item, block=True, timeout=None):
        if self._link is None or self._id & _THREADS:
            return self._callmethod("put", (item, block, timeout))
        _packing.idents = idents = []
        try:
            encoded = _codec.encode_item(item)
        finally:
            _packing.idents = None      # `item` keeps the proxies until the server holds them
        if idents or type(encoded) is list or not self._id & _AHEAD or not self._link.send_ahead(self._id, "put", (encoded,)):
            return self._ask("put", self._id, idents, (encoded, block, timeout))

    def put_nowait(self, item):
        return self.put(item, False)

    def get(self, block=True, timeout=None):
        number = self._next_call()
        try:
            return self._take(number, "get", block, timeout)
        except BaseException as error:
            self._put_back(number, error)
            raise

    def get_nowait(self):
        return self.get(False)

    def empty(self):
        return self._callmethod("empty")

    def full(self):
        return self._callmethod("full")

    def qsize(self):
        return self._callmethod("qsize")

    def task_done(self):
        return self._callmethod("task_done")

    if "shutdown" in _exposed_:
        def shutdown(self, immediate=False):
            return self._callmethod("shutdown", (immediate,))

    def join(self):
        return self._callmethod("join")


class NamespaceProxy(BaseProxy):
    _exposed_ = ("__getattribute__", "__setattr__", "__delattr__")

    def __getattr__(self, key):
        if key[0] == "_":
            return object.__getattribute__(self, key)
        return object.__getattribute__(self, "_callmethod")("__getattribute__", (key,))

    def __setattr__(self, key, value):
        if key[0] == "_":
            return object.__setattr__(self, key, value)
        return object.__getattribute__(self, "_send")("__setattr__", key, value)

    def __delattr__(self, key):
        if key[0] == "_":
            return object.__delattr__(self, key)
        return object.__getattribute__(self, "_callmethod")("__delattr__", (key,))


class ValueProxy(BaseProxy):
    _exposed_ = ("get", "set")

    def get(self):
        return self._callmethod("get")

    def set(self, value):
        return self._send("set", value)

    value = property(get, set)

    __class_getitem__ = classmethod(types.GenericAlias)


BaseListProxy = MakeProxyType("BaseListProxy", BaseListProxy._exposed_, _types)


class ListProxy(BaseListProxy):
    def append(self, value):
        return self._send("append", value)

    def __iadd__(self, value):
        self._callmethod("extend", (value,))
        return self

    def __imul__(self, value):
        self._callmethod("__imul__", (value,))
        return self


_BaseDictProxy = MakeProxyType("DictProxy", DictProxy._exposed_, _types)


class DictProxy(_BaseDictProxy):
    _method_to_typeid_ = {"__iter__": "Iterator"}

    def __setitem__(self, key, value):
        hash(key)       # else it would be the next call that says so
        return self._send("__setitem__", key, value)


ArrayProxy = MakeProxyType("ArrayProxy", ArrayProxy._exposed_, _types)

_pool_results = BasePoolProxy._method_to_typeid_
BasePoolProxy = MakeProxyType("PoolProxy", BasePoolProxy._exposed_, _types)
BasePoolProxy._method_to_typeid_ = _pool_results


class PoolProxy(BasePoolProxy):
    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.terminate()


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
