# SPDX-License-Identifier: Apache-2.0
"""One connection to a daemon, for any number of threads.

    call() --pack--> send()  ---------------------> socket --> daemon
    wait() <--- entry.answer() <--- dispatch() <--- socket <-- daemon
                                    (whoever leads)

There is no thread that does nothing but read. Of the threads that wait, one *leads*: it reads the socket and hands out what comes,
its own and the others', until it has what it waits for; then the lead goes to one of those that *follow*. So a program with one
thread gets its answers without any switch of threads. A background thread leads only when nobody waits for what is under way:
futures, whose callbacks have to run anyway.

What always holds:

* Reading and handing out (`dispatch`) run no code of the user, wait for no lock and write nothing: whoever writes can always read.
* An exception that a signal handler raises (KeyboardInterrupt) loses nothing that was read or sent: what has come is kept in `_chunks`
  and `inbox` until it has been handed out, what goes in `_out` until it has gone, and all steps between are done in C or can be repeated.
* When the connection is lost each entry in flight gets its answer: ConnectionLost.
* Locks that are only tried are taken by `held.extend(map(lock.acquire, _TRY))`: an exception of a signal handler can't come between the
  lock's being taken and its being known, nor, in `finally`, between the look at `held` and the release, as there is no call.
* After a fork the child's copy is closed and lost; the parent's goes on.
"""
from __future__ import annotations

import collections
import itertools
import os
import select
import socket
import threading
import time
import weakref

import msgpack

from . import _embedded, _files, _incoming, _load, _pack, _raised
from .errors import ConnectionLost, NoDaemon, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, List, Optional, Set, Tuple

RESPONSE, NOTIFICATION = 1, 2
_RECEIVE = (64 << 10,)  # below malloc's threshold for mappings
_RECEIVE_LARGE = (4 << 20,)
_ANCILLARY = (_files.RECEIVE_SPACE,)
_RECEIVE_FLAGS = (socket.MSG_CMSG_CLOEXEC,)
_TRY = (False,)
_LOOK_AGAIN = 0.2  # seconds; who is called to lead and interrupted just then may not get to call the next
_AWAKE = 200e-6  # seconds that a wait begins with awake,
_CALM = 50  # unless that was in vain so few waits ago
_NEVER = float("inf")
_UNREADABLE = (ConnectionLost, msgpack.UnpackException, ValueError, TypeError, LookupError)
_SEND_FLAGS = (socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL,)


class Entry:
    """A call in flight. `message` is its response, once it is there."""

    id = 0
    message: Any = None
    news: Any = None  #: true when there is what a waiter waits for
    waiters: Optional[List[Any]] = None
    outgoing: Any = None  #: what went beside the request
    fork: Any = None  #: the fork whose workers it is for

    def answer(self, message: Any) -> None:
        """The response has come. Called while dispatching; may be called again for the same message."""
        self.message = self.news = message
        if self.waiters:
            self.wake()

    def notify(self, name: str, params: List[Any]) -> None:
        """A notification of this call has come. Called while dispatching."""

    def after_fork(self) -> None:
        """In the child: no other thread is here."""
        self.waiters = None

    def wake(self) -> None:
        """Wakes the threads that wait for news of this entry."""
        for lock in tuple(self.waiters or ()):
            _release(lock)


def _release(lock: Any) -> None:
    try:
        lock.release()
    except RuntimeError:
        pass  # woken already


class Inbox:
    """What has come over a connection, and the calls in flight that it is for. No I/O."""

    in_charge = _raised.IN_CHARGE  #: exceptions of a method that are not raised as such where they would end more than the call

    def __init__(self, address: str, unpickle: bool) -> None:
        self.address = address
        self.unpickle = unpickle
        self.hello: Any = None
        self.pending: Dict[int, Entry] = {}
        self.ids = itertools.count(1)
        self.incoming = _incoming.Incoming(unpickle)
        self.inbox = self.incoming.messages
        self.store: Optional[_files.Store] = None
        self.limit: Optional[int] = None  #: of a message's bytes
        self.forks: Dict[str, Any] = {}  #: of pools whose workers are forks of this program
        self._arrivals: Optional[_files.Arrivals] = None

    def add(self, entry: Entry) -> int:
        """A new msgid for an entry that will be answered."""
        entry.id = msgid = next(self.ids) & 0xFFFFFFFF
        self.pending[msgid] = entry
        return msgid

    def dispatch(self) -> None:
        """Hands out what has come."""
        inbox, pending = self.inbox, self.pending
        if self.has_arrivals:
            self.attach()
        while inbox:
            message = inbox[0][0]
            if message[0] == RESPONSE:
                entry = pending.get(message[1])
                if entry is not None:
                    entry.answer(message)
                    pending.pop(message[1], None)
                elif message[1] == 0:
                    raise ConnectionLost(f"the daemon says: {message[2]}")
            else:
                entry = pending.get(message[2][0])
                if entry is not None:
                    entry.notify(message[1], message[2])
            inbox.popleft()

    #: Whether values that came may stand for descriptors that came.
    has_arrivals: Any = ()

    def introduction(self) -> Dict[str, Any]:
        """What is said of this end in objpool.hello."""
        return {"client": "python", "errors": "map", "fds": self.address.startswith("unix:")}

    def on_hello(self, hello: Dict[str, Any]) -> None:
        """What the daemon has said. Where both can, large values go, and may come, beside the socket from now on."""
        self.hello = hello
        self.limit = hello.get("limits", {}).get("max_message")
        if hello.get("fds"):
            self._arrivals = _files.Arrivals(self, hello["fds_mark"])
            self.has_arrivals = self._arrivals.waiting
            self.store = _files.Store()

    def attach(self) -> None:
        """Gives the descriptors to the values that stand for them."""
        assert self._arrivals is not None
        for message, _ in self.inbox:
            _load.attach(message, self._arrivals, self.unpickle)

    def store_for(self, method: str, params: Any) -> Optional[_files.Store]:
        """Where large values of a request are put: calls of pools have one, but not the daemon's own methods, nor what is kept for later."""
        if self.store is None:
            return None
        if method == "objpool.call":
            return self.store if len(params) < 4 or not params[3] or "sticky" not in params[3] else None
        return None if method.startswith("objpool.") else self.store

    def fork_for(self, entry: Entry, method: str, params: Any) -> Any:
        """The fork whose workers a request is for: its arguments may refer to what that has. None: they are no forks of this program."""
        if not self.forks:
            return None
        target = params[0] if method == "objpool.call" else params[0]["pool"] if method == "objpool.create" else method
        entry.fork = self.forks.get(target.partition(".")[0].partition(":")[0])
        return entry.fork

    def packed(self, entry: Entry, method: str, params: Any) -> Tuple[Any, Optional[_files.Outgoing]]:
        """A request for this entry, and what goes beside it."""
        fork = self.fork_for(entry, method, params)
        return _pack.pack_with([0, entry.id, method, params], self.store_for(method, params), fork, limit=self.limit)

    def result(self, message: Any, entry: Optional[Entry] = None, load: Callable[[Any], Any] = _load.load) -> Any:
        """The value of a response; raises its error."""
        if entry is not None and entry.outgoing is not None:
            if message[2] is None:
                entry.outgoing.release()
            entry.outgoing = None
        if message[2] is not None:
            raise _raised.load_error(message[2], self.unpickle)
        return load(message[3])

    def answer_all(self, lost: ConnectionLost) -> None:
        """Nothing will come any more."""
        error = {"code": lost.code, "message": lost.message}
        for msgid, entry in list(self.pending.items()):
            entry.answer([RESPONSE, msgid, error, None])
            self.pending.pop(msgid, None)


class Connection(Inbox):
    """A socket, and the threads that use it."""

    def __init__(self, sock: socket.socket, address: str, unpickle: bool) -> None:
        super().__init__(address, unpickle)
        sock.setblocking(True)
        self.pid = os.getpid()
        self.lost: Optional[ConnectionLost] = None
        self._socket = sock
        self._send = sock.send
        self._receive_message = sock.recvmsg
        self._receive_size = _RECEIVE
        self._input = select.poll()
        self._input.register(sock, select.POLLIN)
        self._calm: float = 0 if _may_stay_awake() else _NEVER  #: in how many waits to come we sleep at once
        self._chunks: List[Any] = []
        self._out: Deque[Tuple[memoryview, List[int], Any]] = collections.deque()  # with how much of each has been sent
        self._write = threading.Lock()
        self._lead = threading.Lock()
        self._followers: Dict[Any, Any] = {}  # lock -> itself; a dict keeps their order
        self.background = _Background(self)
        _connections.add(self)

    # ---- writing --------------------------------------------------------------------------------------------------------------

    def send(self, data: bytes, outgoing: Optional[_files.Outgoing] = None) -> None:
        """Sends a message, whole, with what goes beside it; what comes meanwhile is read."""
        if self.lost is not None:
            raise self._lost_again()
        message: Tuple[memoryview, List[int], Any] = (memoryview(data), [], outgoing)
        self._out.append(message)
        try:
            with self._write:
                self._flush()
        except ConnectionLost:
            if any(message is other for other in self._out):
                raise  # it has not gone whole. Else another thread's has not: this one may have been carried out

    def send_all(self, parts: List[bytes]) -> None:
        """Sends messages that lie in several parts; nothing of another thread's comes between them."""
        if self.lost is not None:
            raise self._lost_again()
        self._out.extend([(memoryview(part), [], None) for part in parts])
        with self._write:
            self._flush()

    def send_soon(self, data: bytes) -> None:
        """Sends it without waiting: now if there is room, else before the next thing that is sent."""
        if self.lost is not None:
            return
        self._out.append((memoryview(data), [], None))
        held: List[bool] = []
        try:
            held.extend(map(self._write.acquire, _TRY))
            if held[0]:
                self._flush(wait=False)
        except ConnectionLost:
            pass
        finally:
            if held and held[0]:
                self._write.release()

    def _flush(self, wait: bool = True) -> None:
        out = self._out
        while out:
            view, counts, outgoing = out[0]
            try:
                if not counts and outgoing is None:
                    counts.extend(map(self._send, (view,), _SEND_FLAGS))  # no interrupt comes between
                elif not counts:
                    counts.extend(map(self._socket.sendmsg, ((view,),), (outgoing.ancillary(),), _SEND_FLAGS))
                elif sum(counts) < len(view):
                    counts.extend(map(self._send, (view[sum(counts):],), _SEND_FLAGS))
                if sum(counts) == len(view):
                    out.popleft()
            except BlockingIOError:
                if not wait:
                    return
                self._await_room()
            except OSError as error:
                if error.errno is None:
                    raise  # a signal handler's
                self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
                raise self._lost_again() from None

    def _await_room(self) -> None:
        """Until more can be sent. The daemon may wait for us to read: so that is done, unless another thread does."""
        held: List[bool] = []
        try:
            held.extend(map(self._lead.acquire, _TRY))
            ready = self._poll(select.POLLOUT | select.POLLIN if held[0] else select.POLLOUT, None)
            if held[0] and ready & ~select.POLLOUT:
                self._read_some()
        finally:
            if held and held[0]:
                self._lead.release()
                self._call_next()
        if self.lost is not None:
            raise self._lost_again()

    def _poll(self, events: int, timeout: Optional[float]) -> int:
        if self.lost is not None:
            return events  # whoever waits for it sees that it is over
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(None if timeout is None else max(0, timeout * 1000))
        return ready[0][1] if ready else 0

    # ---- waiting --------------------------------------------------------------------------------------------------------------

    def wait(self, entry: Entry, deadline: Optional[float] = None) -> bool:
        """Until the entry has news. False: the deadline (of time.monotonic) came first."""
        while not entry.news:
            held: List[bool] = []
            try:
                held.extend(map(self._lead.acquire, _TRY))
                if not (self._lead_for if held[0] else self._follow)(entry, deadline):
                    return False
            finally:
                if held and held[0]:
                    self._lead.release()
                    self._call_next()
        return True

    def _lead_for(self, entry: Entry, deadline: Optional[float]) -> bool:
        if deadline is None:
            while not entry.news:
                self._read_some()
            return True
        while not entry.news:
            left = deadline - time.monotonic()
            if left <= 0 and not self.has_input():
                return False
            if left <= 0 or self._poll(select.POLLIN, left):
                self._read_some()
        return True

    def _follow(self, entry: Entry, deadline: Optional[float]) -> bool:
        """Until woken: there is news, or it is our turn to lead; or a while has gone by. False: the deadline has come."""
        left = _LOOK_AGAIN if deadline is None else min(_LOOK_AGAIN, deadline - time.monotonic())
        if left <= 0:
            return False
        lock = threading.Lock()
        lock.acquire()
        if entry.waiters is None:
            entry.waiters = []
        entry.waiters.append(lock)
        self._followers[lock] = lock
        woken = False
        try:
            # Who leads looks at the followers after it has left: either it sees us, or we see that it has left.
            woken = bool(entry.news) or not self._lead.locked() or lock.acquire(timeout=left)
        finally:
            self._followers.pop(lock, None)
            entry.waiters.remove(lock)
            if not woken:
                self._call_next()  # it may have been we who were called
        return True

    def lead_while(self, check: Callable[[], bool]) -> bool:
        """Leads. False: another thread does."""
        if not self._lead.acquire(False):
            return False
        try:
            while self.lost is None and check():
                self._read_some()
        finally:
            self._lead.release()
            for lock in tuple(self._followers)[:1]:
                _release(lock)
        return True

    def _call_next(self) -> None:
        """Somebody else may lead."""
        for lock in tuple(self._followers) if self._followers else ():
            _release(lock)
            return
        if self.background.wanted:
            self.background.call()

    def poll(self) -> None:
        """Takes what has come, without waiting, unless another thread does so."""
        held: List[bool] = []
        try:
            held.extend(map(self._lead.acquire, _TRY))
            if held[0] and self.has_input():
                self._read_some()
        finally:
            if held and held[0]:
                self._lead.release()
                self._call_next()

    def has_input(self) -> bool:
        """Whether something can be read without waiting."""
        return bool(self._chunks or self.inbox or self._poll(select.POLLIN, 0))

    # ---- reading (by who leads) -----------------------------------------------------------------------------------------------

    def _read_some(self) -> None:
        """Waits for input, and hands it out."""
        if self.lost is not None:
            self.answer_all(self.lost)
            return
        if not self._chunks and not self.inbox:
            try:
                self._await_input()
                _embedded.stay_at_the_end()
                self._receive()
            except OSError as error:
                if error.errno is None:
                    raise  # a signal handler's
                self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
                return
        try:
            self._hand_out()
        except _UNREADABLE as error:
            self.fail(error if isinstance(error, ConnectionLost) else ConnectionLost(f"{self.address}: can't read what came: {error}"))
        except BaseException:  # a signal handler's: it has interrupted between two steps
            self._hand_out()
            raise

    def _await_input(self) -> None:
        """Until there is something to read. Who sleeps in recv() would be woken, for nothing, when the daemon takes what we sent.

        To be woken on a CPU that sleeps takes longer than most of a short call does: so we stay awake for a moment, as long as answers come that
        fast, and leave the CPU to whoever wants it.
        """
        wait = self._input.poll
        if self._calm:
            self._calm -= 1
            wait()
            return
        until = time.perf_counter() + _AWAKE
        while not wait(0):
            os.sched_yield()
            if time.perf_counter() > until:
                self._calm = _CALM
                wait()
                return

    def _receive(self) -> None:
        if self._arrivals is None:
            self._chunks.extend(map(self._socket.recv, self._receive_size))
        else:
            self._chunks.extend(map(self._receive_message, self._receive_size, _ANCILLARY, _RECEIVE_FLAGS))

    def _hand_out(self) -> None:
        chunks = self._chunks
        if chunks and type(chunks[0]) is tuple:
            data, ancillary = chunks[0][:2]
            if ancillary and self._arrivals is not None:
                self._arrivals.add(ancillary)
            chunks[0] = data
        if chunks:
            size = len(chunks[0])
            if size == 0:
                self.fail(ConnectionLost(f"{self.address}: the daemon closed the connection"))
                return
            self._receive_size = _RECEIVE_LARGE if size >= _RECEIVE[0] else _RECEIVE
        self.incoming.take(chunks)
        self.dispatch()

    # ---- the end --------------------------------------------------------------------------------------------------------------

    def fail(self, lost: ConnectionLost) -> None:
        """The connection is over: all that is in flight is answered."""
        _embedded.stay_at_the_end()
        if self.lost is None:
            self.lost = lost
        self._chunks.clear()
        self.inbox.clear()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who reads
        except OSError:
            pass
        self.answer_all(self.lost)

    def close(self) -> None:
        """Ends the connection; what is in flight fails."""
        self.fail(ConnectionLost("the connection was closed"))
        self.background.call()
        if self._lead.acquire(timeout=1):
            try:
                self._socket.close()
            finally:
                self._lead.release()
                self._call_next()

    def _lost_again(self) -> ConnectionLost:
        assert self.lost is not None
        return ConnectionLost(self.lost.message, ran="no")

    def after_fork(self) -> None:
        """In the child: the parent's connection is not ours. Closing our copy of the socket does not end it."""
        self._socket.close()
        self._write, self._lead = threading.Lock(), threading.Lock()
        self._followers = {}
        self._out = collections.deque()
        self._chunks, self.incoming = [], _incoming.Incoming(self.unpickle)
        self.inbox = self.incoming.messages
        self.background = _Background(self)
        self.lost = ConnectionLost("the connection belongs to the process that was forked")
        for entry in self.pending.values():
            entry.after_fork()
        self.answer_all(self.lost)

    def __del__(self) -> None:
        try:
            self._socket.close()
            self.background.call()
        except Exception:
            pass  # half made, or the interpreter ends

    # ---- calls ----------------------------------------------------------------------------------------------------------------

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request."""
        entry.id = msgid = next(self.ids) & 0xFFFFFFFF
        data, entry.outgoing = self.packed(entry, method, params)
        self.pending[msgid] = entry
        self.send(data, entry.outgoing)  # interrupted in here it goes nevertheless: who has called cancels it
        if self.lost is not None:
            self.answer_all(self.lost)  # it was lost between

    def notify(self, method: str, *params: Any) -> None:
        """Sends a notification, without waiting."""
        self.send_soon(_pack.pack([2, method, list(params)]))

    def give_back(self, number: int) -> None:
        """A descriptor is needed no more."""
        self.notify("objpool.give_back", number)

    def cancel(self, entry: Entry) -> None:
        """Gives a call up; what still comes of it is passed over."""
        if self.pending.pop(entry.id, None) is not None:
            self.notify("objpool.cancel", entry.id)

    def call(self, method: str, params: Any, timeout: Optional[float] = None) -> Any:
        """A call, from beginning to end. The timeout is for a daemon that does not answer at all."""
        entry = Entry()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self.start(entry, method, params)
            if not self.wait(entry, deadline):
                raise Timeout(f"{method}: no answer within {timeout:g} s")
        except BaseException:
            if entry.message is None:
                self.cancel(entry)
            raise
        return self.result(entry.message, entry)


def _may_stay_awake() -> bool:
    """Whether there is a CPU for the daemon and the workers while we are awake."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


class _Background:
    """The thread that leads when nobody waits, and completes futures. It keeps its connection alive only while it works."""

    def __init__(self, connection: Connection) -> None:
        self._connection = weakref.ref(connection)
        self._called = threading.Lock()
        self._called.acquire()
        self._starting = threading.Lock()
        self._started = False
        self.wanted: Set[int] = set()  #: what is in flight and may have nobody who waits for it
        self.finished: Deque[Callable[[], None]] = collections.deque()  #: what is to be run

    def call(self) -> None:
        """There is work, or may be."""
        if self._started:
            _release(self._called)

    def start(self) -> None:
        """From now on there is one."""
        with self._starting:
            if not self._started:
                self._started = True
                threading.Thread(target=_run, args=(self,), name="objpool", daemon=True).start()
        _release(self._called)

    def work(self) -> bool:
        """Until there is nothing to do. False: there never will be."""
        connection = self._connection()
        if connection is None:
            return False
        while True:
            while self.finished:
                self.finished.popleft()()
            if not self.wanted or connection.lost is not None or not connection.lead_while(self._waits):
                return connection.lost is None or bool(self.finished)

    def _waits(self) -> bool:
        return bool(self.wanted) and not self.finished


def _run(background: _Background) -> None:
    while background.work():
        background._called.acquire()


# ---- addresses ------------------------------------------------------------------------------------------------------------------


def open_socket(address: str, timeout: Optional[float] = None) -> socket.socket:
    """A socket connected to unix:PATH or tcp:HOST:PORT."""
    kind, _, rest = address.partition(":")
    try:
        if kind == "unix" and rest:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(rest)
            except BaseException:
                sock.close()
                raise
        elif kind == "tcp" and rest:
            host, _, port = rest.rpartition(":")
            sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            raise ValueError("addresses are unix:PATH or tcp:HOST:PORT")
    except (OSError, ValueError) as error:
        raise NoDaemon(f"can't connect to {address}: {getattr(error, 'strerror', None) or error}") from error
    return sock


def connect(address: str, unpickle: bool, timeout: Optional[float] = None) -> Connection:
    """A connection over which hello has been said."""
    connection = Connection(open_socket(address, timeout), address, unpickle)
    try:
        connection.on_hello(connection.call("objpool.hello", [connection.introduction()], timeout))
    except BaseException:
        connection.close()
        raise
    return connection


_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for connection in tuple(_connections):
        connection.after_fork()
    _connections.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
