# SPDX-License-Identifier: Apache-2.0
"""One connection to a daemon, for any number of threads.

    call() --pack--> send()  ---------------------> socket --> daemon
    wait() <--- entry.answer() <--- dispatch() <--- socket <-- daemon
                                    (whoever leads)

No thread does nothing but read. Of the threads that wait, one *leads*: it reads the socket and hands out what comes, for itself
and for the others, until its own call has news; then one of the threads that *follow* takes the lead. So a program with one
thread gets its answers without a switch of threads. The background thread (_background.py) leads only while there are futures and
no thread waits.

What always holds:

* Reading and handing out (`dispatch`) run no code of the user, wait for no lock and write nothing: a thread that waits for
  room to write can always read.
* An exception that a signal handler raises (KeyboardInterrupt) loses nothing that was read or sent. Input stays in `_chunks` and
  `inbox` until it has been handed out, output in `_out` until it has been sent. All steps between are done in C or can be
  repeated.
* When the connection is lost, each call in flight fails with ConnectionLost.
* Locks that are only tried are taken by `held.extend(map(lock.acquire, _TRY))`. So the exception of a signal handler can't come
  between the acquisition and the note of it in `held`. In `finally` it can't come between the look at `held` and the release:
  there is no call between them.
* After a fork, the child's copy is closed and lost; the parent's goes on.

A small call is made in one step by the extension module, where there is one (_line.py): while nothing else is under way on the
connection, and as long as nothing comes but its answer. Else it goes on here.
"""
from __future__ import annotations

import collections
import os
import socket
import threading
import time
import weakref

import msgpack

from . import _embedded, _files, _incoming, _line, _pack, _system
from ._background import Background
from ._entry import Entry, release
from ._inbox import Inbox
from .errors import ConnectionLost, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Tuple

_RECEIVE = (64 << 10,)  # below malloc's threshold for mappings
_RECEIVE_LARGE = (4 << 20,)
_ANCILLARY = (_files.RECEIVE_SPACE,)
_RECEIVE_FLAGS = (_files.RECEIVE_FLAGS,)
_TRY = (False,)
_LOOK_AGAIN = 0.2  # seconds after which a follower looks again: a signal may interrupt a thread that was called to lead
_SIGNALS = 1000  # milliseconds after which a wait returns to Python: a signal that comes just before poll() does not end poll()
_AWAKE = 200e-6  # seconds for which a wait polls before it sleeps
_CALM = 50  # waits that sleep at once after polling was in vain
_NEVER = float("inf")
_UNREADABLE = (ConnectionLost, msgpack.UnpackException, ValueError, TypeError, LookupError)
_SEND_FLAGS = (_system.SEND_FLAGS,)


class Connection(Inbox):
    """A socket, and the threads that use it."""

    def __init__(self, sock: socket.socket, address: str, unpickle: bool) -> None:
        super().__init__(address, unpickle)
        sock.setblocking(False)
        self.pid = os.getpid()
        self.lost: Optional[ConnectionLost] = None
        self._socket = sock
        self._send = sock.send
        self._receive_message: Any = getattr(sock, "recvmsg", None)
        self._receive_size = _RECEIVE
        self._input = _system.new_poll()
        self._input.register(sock, _system.IN)
        self._calm: float = 0 if _may_stay_awake() else _NEVER  #: how many of the next waits sleep at once
        self._chunks: List[Any] = []
        self._out: Deque[Tuple[memoryview, List[int], Any]] = collections.deque()  # with the sizes of the pieces that were sent
        self._write = threading.Lock()
        self._lead = threading.Lock()
        self._followers: Dict[Any, Any] = {}  # locks of threads that wait; a dict keeps their order
        self.background = Background(self)
        self._line: Callable[[Entry, str, Any], Any] = _line.no_line
        self._line_tell: Callable[[str, Any], bool] = _line.no_tell
        _connections.add(self)

    # ---- writing --------------------------------------------------------------------------------------------------------------

    def send(self, data: bytes, outgoing: Optional[_files.Outgoing] = None) -> None:
        """Sends a whole message, and what goes beside it. Reads what comes meanwhile."""
        if self.lost is not None:
            raise self._lost_again()
        message: Tuple[memoryview, List[int], Any] = (memoryview(data), [], outgoing)
        self._out.append(message)
        try:
            with self._write:
                self._flush()
        except ConnectionLost:
            if any(message is other for other in self._out):
                raise  # else this one has gone whole, and another thread's has not: it may have been carried out

    def send_all(self, parts: List[bytes]) -> None:
        """Sends messages that lie in several parts. No other thread's message comes between the parts."""
        if self.lost is not None:
            raise self._lost_again()
        self._out.extend([(memoryview(part), [], None) for part in parts])
        with self._write:
            self._flush()

    def send_soon(self, data: bytes) -> None:
        """Sends a message without waiting: now if there is room, else before the next message."""
        if self.lost is not None:
            return
        self._out.append((memoryview(data), [], None))
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Sends what there is room for, unless another thread sends."""
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
                    counts.extend(map(self._send, (view,), _SEND_FLAGS))  # no interrupt comes between sending and counting
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
                self._send_failed(error)

    def _send_failed(self, error: OSError) -> None:
        """Ends the connection. What has come is read before: answers, and maybe why the daemon has closed it."""
        held: List[bool] = []
        try:
            held.extend(map(self._lead.acquire, _TRY))
            while held[0] and self.lost is None and self.has_input():
                self._read_some(awaits=False)
        finally:
            if held and held[0]:
                self._lead.release()
                self._call_next()
        self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
        raise self._lost_again() from None

    def _await_room(self) -> None:
        """Waits until more can be sent. Reads meanwhile, unless another thread does: the daemon may wait for us to read."""
        held: List[bool] = []
        try:
            held.extend(map(self._lead.acquire, _TRY))
            ready = self._poll(_system.OUT | _system.IN if held[0] else _system.OUT, None)
            if held[0] and ready & ~_system.OUT:
                self._read_some()
        finally:
            if held and held[0]:
                self._lead.release()
                self._call_next()
        if self.lost is not None:
            raise self._lost_again()

    def _poll(self, events: int, timeout: Optional[float]) -> int:
        if self.lost is not None:
            return events  # the caller sees then that the connection is lost
        poll = _system.new_poll()
        poll.register(self._socket, events)
        ready = poll.poll(_SIGNALS if timeout is None else max(0, timeout * 1000))
        return ready[0][1] if ready else 0

    # ---- waiting --------------------------------------------------------------------------------------------------------------

    def wait(self, entry: Entry, deadline: Optional[float] = None) -> bool:
        """Waits until the entry has news. False: the deadline (of time.monotonic) came first."""
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
                self._read_some(entry.hurries)
            return True
        while not entry.news:
            left = deadline - time.monotonic()
            if self.has_input(left):
                self._read_some(awaits=False)
            elif left <= 0:
                return False
        return True

    def _follow(self, entry: Entry, deadline: Optional[float]) -> bool:
        """Waits to be woken, for news or to lead, or for a moment. False: the deadline has come."""
        look_again = _LOOK_AGAIN * (1 + len(self._followers) / 16)  # so many threads look again no more often together
        left = look_again if deadline is None else min(look_again, deadline - time.monotonic())
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
            # The leader looks for followers after it has released `_lead`: either it sees us, or we see that it has.
            woken = bool(entry.news) or not self._lead.locked() or lock.acquire(timeout=left)
        finally:
            self._followers.pop(lock, None)
            entry.waiters.remove(lock)
            if not woken:
                self._call_next()  # maybe this thread was called to lead
        return True

    def lead_while(self, check: Callable[[], bool]) -> bool:
        """Leads while `check` says so. False: another thread leads."""
        if not self._lead.acquire(False):
            return False
        try:
            while self.lost is None and check():
                self._read_some()
        finally:
            self._lead.release()
            for lock in tuple(self._followers)[:1]:
                release(lock)
        return True

    def _call_next(self) -> None:
        """Wakes a thread that can lead now: one of the followers, else the background thread."""
        for lock in tuple(self._followers) if self._followers else ():
            release(lock)
            return
        if self.background.wanted:
            self.background.call()

    def poll(self) -> None:
        """Reads what has come, without waiting, unless another thread leads."""
        held: List[bool] = []
        try:
            held.extend(map(self._lead.acquire, _TRY))
            if held[0] and self.has_input():
                self._read_some(awaits=False)
        finally:
            if held and held[0]:
                self._lead.release()
                self._call_next()

    def has_input(self, timeout: float = 0) -> bool:
        """Whether something can be read, so many seconds from now at the latest. To be asked by the thread that leads."""
        if self._chunks or self.inbox or self.lost is not None:
            return True
        return bool(self._input.poll(max(0, timeout * 1000)))

    # ---- reading (by the thread that leads) -----------------------------------------------------------------------------------

    def _read_some(self, hurries: bool = True, awaits: bool = True) -> None:
        """Waits for input, reads it, and hands it out. Not `awaits`: there is some."""
        if self.lost is not None:
            self.answer_all(self.lost)
            return
        if not self._chunks and not self.inbox:
            try:
                if awaits:
                    self._await_input(hurries)
                _embedded.stay_at_the_end()
                self._receive()
            except BlockingIOError:
                return  # what could be read was no message's
            except OSError as error:
                if error.errno is None:
                    raise  # a signal handler's
                self.fail(ConnectionLost(f"{self.address}: {error.strerror or error}"))
                return
        try:
            self._hand_out()
        except _UNREADABLE as error:
            told = error if isinstance(error, ConnectionLost) else ConnectionLost(f"{self.address}: can't read what came: {error}")
            self.fail(told)
        except BaseException:  # a signal handler's, raised between two steps
            self._hand_out()
            raise

    def _await_input(self, hurries: bool) -> None:
        """Waits until there is something to read. In recv() a thread would be woken when the daemon reads what we sent, too.

        Being woken on a CPU that sleeps takes longer than the rest of a short call. So a wait polls for a moment first, as
        long as answers come that fast, and yields the CPU to others between. Not for a stream: its next results are under way, and
        its workers need the CPU.
        """
        if not self._calm and hurries:
            if self._has_come_soon():
                return
            self._calm = _CALM
        else:
            self._calm -= self._calm > 0
        while not self._input.poll(_SIGNALS):
            pass

    def _has_come_soon(self) -> bool:
        """Polls for a moment. Whether there is something to read."""
        until = time.perf_counter() + _AWAKE
        while not self._input.poll(0):
            os.sched_yield()
            if time.perf_counter() > until:
                return False
        return True

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
        """Shuts the connection down. Each call in flight fails with `lost`."""
        _embedded.stay_at_the_end()
        if self.lost is None:
            self.lost = lost
        self._chunks.clear()
        self.inbox.clear()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        except OSError:
            pass
        self.answer_all(self.lost)
        self.close_files()

    def close(self) -> None:
        """Ends the connection. Calls in flight fail."""
        self.fail(ConnectionLost("the connection was closed"))
        for route in tuple(self.routes.values()):
            route.close()
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
        """Called in the child of a fork: closes its copy of the socket, which does not end the parent's connection."""
        self._socket.close()
        self._write, self._lead = threading.Lock(), threading.Lock()
        self._followers = {}
        self._line, self._line_tell = _line.no_line, _line.no_tell
        self._out = collections.deque()
        self._chunks, self.incoming = [], _incoming.Incoming(self.unpickle)
        self.inbox = self.incoming.messages
        self.background = Background(self)
        self.routes = {}
        self.lost = ConnectionLost("the connection belongs to the process that was forked")
        for entry in self.pending.values():
            entry.after_fork()
        self.answer_all(self.lost)

    def __del__(self) -> None:
        try:
            self._socket.close()
            self.background.call()
        except Exception:
            pass  # __init__ has failed, or the interpreter ends

    # ---- calls ----------------------------------------------------------------------------------------------------------------

    def start(self, entry: Entry, method: str, params: Any) -> None:
        """Sends a request."""
        entry.id = msgid = next(self.ids) & 0xFFFFFFFF
        data, entry.outgoing = self.packed(entry, method, params)
        self.pending[msgid] = entry
        self.send(data, entry.outgoing)  # if this is interrupted, it is sent nevertheless: the caller cancels it
        if self.lost is not None:
            self.answer_all(self.lost)  # the connection was lost meanwhile

    def notify(self, method: str, *params: Any) -> None:
        """Sends a notification, without waiting."""
        self.send_soon(_pack.pack([2, method, list(params)]))

    def give_back(self, number: int) -> None:
        """Tells the daemon that a descriptor is not needed any more."""
        self.notify("objpool.give_back", number)

    def cancel(self, entry: Entry) -> None:
        """Cancels a call. What still comes for it is ignored."""
        if self.pending.pop(entry.id, None) is not None:
            self.notify("objpool.cancel", entry.id)

    def call(self, method: str, params: Any, timeout: Optional[float] = None, entry: Optional[Entry] = None) -> Any:
        """Sends a request and waits; returns its result, or raises its error.

        timeout: for a daemon that does not answer. entry: a new one, which the caller looks at afterwards. It has no message if
        the extension module has read the answer.
        """
        if entry is None:
            entry = self.new_entry()
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            if timeout is None:
                value = self._line(entry, method, params)
                if value is not entry:
                    return value
            if entry.id == 0:
                self.start(entry, method, params)
            elif self._out:
                self._finish_sending()
            if not self.wait(entry, deadline):
                raise Timeout(f"{method}: no answer within {timeout:g} s")
        except BaseException:
            if entry.message is None:
                self.cancel(entry)
            raise
        finally:
            if self._followers or self.background.wanted:
                self._call_next()  # the line has had the lead
        return self.result(entry.message, entry)

    def new_entry(self) -> Entry:
        """An entry for a call on this connection."""
        return Entry()

    def open_line(self, numbers: Optional[Iterator[int]] = None) -> None:
        """From now on small calls are made by the extension module, if this Python has it. `numbers`: of a channel's messages."""
        line = _line.line_class()
        if line is not None:
            control = 0 if self._arrivals is None else _files.RECEIVE_SPACE
            made = line(self.pending, self._out, self._chunks, self.inbox, self.incoming.raw, self._socket.fileno,
                        self._lead.acquire, self._lead.release, self._write.locked, self.ids, numbers, control, self._calm == 0)
            self._line, self._line_tell = made.call, made.tell

    def _finish_sending(self) -> None:
        """Sends what the line could not."""
        try:
            with self._write:
                self._flush()
        except ConnectionLost:
            pass  # the entry has been answered


def _may_stay_awake() -> bool:
    """Whether there is a CPU for the daemon and the workers while this thread polls."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


_connections: "weakref.WeakSet[Connection]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for connection in tuple(_connections):
        connection.after_fork()
    _connections.clear()


_system.after_fork_in_child(_after_fork_in_child)
