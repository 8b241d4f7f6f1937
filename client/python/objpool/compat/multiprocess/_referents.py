# SPDX-License-Identifier: Apache-2.0
"""The server of a manager: the object in the worker of a pool that has the objects which proxies stand for (referents).

    create(typeid, …) --> an entry with an ident; the client that has asked holds a reference
    call(ident, …)    --> the value, an error, or the ident of another entry (_codec.py)
    hold, drop        --> a client's references, which end with its session. lend: a proxy is on its way to somebody; it counts as a
                          reference until it arrives, LENT seconds at most

Containers, and the locks and queues of this package, are called here, on the worker's one thread: none of their methods takes
long, and what waits is put off (_waiters.py). All others may run code of the program, which may wait: they have threads, one for
each thread of a client, as with the standard library (_referent_threads.py).

An ident is [28 bits that no other server has][32 bits: a number][1: AHEAD][1: THREADS]: a proxy knows how to call its referent.
"""
import collections
import functools
import itertools
import os
import resource
import signal
import threading
import time
import traceback

from .._worker import Worker
from . import _codec, _place, _waiters
from ._codec import (
    LARGE_ANSWER, LARGE_FROM, PLAIN, RESEND_ANSWER, STALE_ANSWER, UNKNOWN_ANSWER, UNSEEN_ANSWER, encode, encode_error, encode_file,
    encode_proxy, encode_remote, is_plain, is_small)
from ._hold_back import HoldBack
from ._kinds import NUMBER_BITS, flags_of, in_place_of
from ._memory_file import Value
from ._order import Page
from ._referent_queue import Queue
from ._waiters import LATER, RESEND, asker

LENT = 30.0     # seconds
MADE = object()
ENDED_MOST = 256        # clients that have ended, and of which something may still come


class Client:
    """A process that has proxies of this server. place: where it counts what it sends ahead (_order.py), or None."""

    def __init__(self, number, place):
        self.number, self.place = number, place
        self.holding = set()    # of what it holds something
        self.refs = collections.Counter()   # ident -> references
        self.taken = {}         # thread -> (number of the call, source, value): what its last call has taken
        self.error = None       # what a call that it has sent ahead has raised, encoded
        self.large = {}         # thread -> an answer that it has still to fetch

    def sent(self, thread, answer):
        """What is sent in the place of an answer: a large one is fetched, a file is shown."""
        if type(answer) is Value:
            self.large[thread] = answer
            return encode_file(answer.where)
        if type(answer) not in (bytes, str) or len(answer) <= LARGE_FROM:
            return answer
        self.large[thread] = answer
        return LARGE_ANSWER


class Held:
    """An item of a queue, and references to the referents of the proxies in it."""

    def __init__(self, referents, item, idents):
        self._referents, self._item, self._idents = referents, item, idents
        for ident in idents:
            referents.hold_inside(ident)

    def out(self):
        """The item, which somebody gets."""
        for ident in self._idents:
            self._referents.lend(ident)
        return self._item

    def __del__(self):
        for ident in self._idents:
            self._referents.leave_inside(ident)


class Entry:
    """A referent."""

    __slots__ = ("value", "exposed", "typeids", "refs", "ident", "methods", "is_raw")

    def __init__(self, value, exposed, typeids, ident):
        self.value, self.exposed, self.typeids, self.ident = value, exposed, typeids, ident
        self.refs = 0           # all together
        self.is_raw = type(value) is Queue      # its items are encoded
        self.methods = {}

    def method(self, name):
        found = self.methods.get(name)
        if found is None:
            if name not in self.exposed:
                return self._fallback(name)
            found = getattr(self.value, name)
            self.methods[name] = found
        return found

    def _fallback(self, name):
        if name == "#GETVALUE":
            return lambda: self.value
        if name in ("__str__", "__repr__"):
            return functools.partial(str if name == "__str__" else repr, self.value)
        raise AttributeError(f"method {name!r} of {type(self.value)!r} object is not in exposed={sorted(self.exposed)}")


class Referents:
    """setup: see Worker; without one the registry, pickled. Clients call all methods whose names have no underscore."""

    def __init__(self, setup=None, slot=0, registry=None):
        _waiters.begin()
        signal.signal(signal.SIGINT, signal.SIG_IGN)    # the program that was interrupted decides
        self._worker = Worker(setup, slot)
        self.registry = self._worker.object if registry is None else _codec.loads(registry)
        self._nonce = int.from_bytes(os.urandom(4), "big") >> 4
        self._next = 0
        self._entries, self._named = {}, {}
        self._clients, self._of_session = {}, {}
        self._numbers = itertools.count(1)
        self._ended = collections.OrderedDict()
        self._lent = collections.deque()        # (when it ends, ident)
        self._loans = collections.Counter()     # of these, by ident
        self._lent_counts = collections.Counter()       # of these, those that have not arrived
        self._left = collections.deque()        # idents of proxies in this process that are gone
        self._own = Client(0, None)
        self._page, self._page_is_at = Page.make()
        self._hold_back = HoldBack(self._page)
        self._waiting = self._hold_back.waiting
        self._files_most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._segments = {}
        self._guard = threading.RLock()
        self._thread = threading.get_ident()
        self._threads = None
        _place.referents = self

    def begin(self, setup=None):
        """See Worker."""
        return self._worker.begin()

    # Clients

    def hello(self, pid):
        """[the client's number, where the page is, its place there]"""
        session = _waiters.session()
        client = self._of_session.get(session)
        if client is None:
            taken = {other.place for other in self._clients.values()}
            client = Client(next(self._numbers), self._page.take_place(taken))
            self._of_session[session] = self._clients[client.number] = client
        return [client.number, self._page_is_at, client.place]

    def bye(self, number):
        """The client's process ends in order. What it holds, another may release."""
        client = self._clients.get(number)
        if client is None:
            return None
        if self._hold_back.holds(client):
            return self._hold_back.ask_again(client, ())
        client.holding.clear()
        return None

    def session_end(self, session):
        """Called by the daemon."""
        client = self._of_session.pop(session, None)
        if client is None:
            return
        self._hold_back.give_up(client)
        self._ended[client.number] = self._clients.pop(client.number)
        if len(self._ended) > ENDED_MOST:
            self._ended.popitem(last=False)
        if client.place is not None:
            self._page.leave(client.place)
            client.place = None
            self._hold_back.run()
        for source in tuple(client.holding):
            source._abandoned_by(client)
        for ident, count in client.refs.items():
            self._release(ident, count)

    def client(self, number):
        return self._clients.get(number)

    # Calls

    def call(self, number, thread, ident, method, *args):
        """A call whose arguments are plain, or, of a queue's put, encoded."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if client.error is not None or self._waiting:
            refused = self._refused(client)
            if refused is not MADE:
                return refused
        return self._run(client, thread, None, ident, method, args, {})

    def call_pickled(self, number, thread, ident, method, data):
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if client.error is not None or self._waiting:
            refused = self._refused(client)
            if refused is not MADE:
                return refused
        try:
            args, kwds = _codec.loads(data)
        except Exception:
            return encode_remote(traceback.format_exc())
        return self._run(client, thread, None, ident, *self._of_queue(ident, method, args, kwds))

    def _of_queue(self, ident, method, args, kwds):
        """(method, arguments, keywords): what is put into a queue is encoded."""
        entry = self._entries.get(ident)
        if entry is None or not entry.is_raw or method not in ("put", "put_nowait"):
            return method, args, kwds
        if not args:
            args = (kwds["item"],)
            kwds = {name: value for name, value in kwds.items() if name != "item"}
        return method, (encode(args[0]), *args[1:]), kwds

    def take(self, number, thread, call, ident, method, *args):
        """A call that takes something, and may be withdrawn. call: its number."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if client.error is not None or self._waiting:
            refused = self._refused(client)
            if refused is not MADE:
                return refused
        if client.large:
            client.large.pop(thread, None)      # what the thread's last call has taken has come
        return self._run(client, thread, call, ident, method, args, {})

    def put(self, number, thread, ident, idents, item, *rest):
        """A put into a queue, of an encoded item. idents: of the proxies in it."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if client.error is not None or self._waiting:
            refused = self._refused(client)
            if refused is not MADE:
                return refused
        return self._run(client, thread, None, ident, "put", (Held(self, item, idents) if idents else item, *rest), {})

    def put_file(self, number, thread, ident, idents, where, *rest):
        """The same; the item is in a memory file of the client's."""
        try:
            item = Value(where, self._files_most)
        except OSError:
            return UNSEEN_ANSWER
        return self.put(number, thread, ident, idents, item, *rest)

    def withdraw(self, number, thread, call):
        """The client was interrupted in that call: what the call has taken is given back."""
        client = self._clients.get(number)
        taken = client and client.taken.pop(thread, None)
        if client is not None:
            client.large.pop(thread, None)
        if taken and taken[0] == call:
            taken[1]._put_back(client, thread, taken[2])

    def ahead(self, number, thread, ident, method, *args):
        """A call that the client has sent ahead. Its error is that of the client's next call."""
        client = self._clients.get(number) or self._ended.get(number)
        if client is None:
            return
        if self._waiting:
            self._in_order(client, (), self._ahead, client, thread, ident, method, *args)
        else:
            self._ahead(client, thread, ident, method, *args)

    def ahead_pickled(self, number, thread, ident, method, data):
        client = self._clients.get(number) or self._ended.get(number)
        if client is not None:
            self._in_order(client, (), self._ahead_pickled, client, thread, ident, method, data)

    def after(self, needs, name, number, *params):
        """A call that comes after what other clients have sent ahead. needs: see _order.py."""
        client = self._clients.get(number) or self._ended.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if name in ("ahead", "ahead_pickled"):
            self._in_order(client, needs, getattr(self, "_" + name), client, *params)
            return None
        if self._hold_back.must_wait(client, needs):
            return self._hold_back.ask_again(client, needs)
        return getattr(self, name)(number, *params)

    def _in_order(self, client, needs, function, *args):
        if (needs or self._waiting) and self._hold_back.must_wait(client, needs):
            self._hold_back.hold(client, needs, function, *args)
        else:
            function(*args)

    def _ahead(self, client, thread, ident, method, *args):
        if method == "release" and client.number in self._ended:
            return      # what it held was given back when it ended
        try:
            answer = self._run(client, thread, None, ident, method, args, {}, False)
            if type(answer) is bytes and client.error is None and answer[0] in _FAILURES:
                client.error = answer
        finally:
            self._done(client)

    def _ahead_pickled(self, client, thread, ident, method, data):
        try:
            args = _codec.loads(data)[0]
        except Exception:
            client.error = client.error or encode_remote(traceback.format_exc())
            self._done(client)
        else:
            self._ahead(client, thread, ident, method, *args)

    def _done(self, client):
        if client.place is not None:
            self._page.done(client.place)
        if self._waiting:
            self._hold_back.run()

    def settle(self, number):
        """All that the client has sent ahead has come."""
        client = self._clients.get(number)
        if client is None or client.place is None:
            return None
        if self._hold_back.holds(client):
            return self._hold_back.ask_again(client, ())
        self._page.settle(client.place)
        self._hold_back.run()
        return None

    def _refused(self, client):
        """What a call is answered that can't be made now, or MADE."""
        if self._hold_back.holds(client):
            return self._hold_back.ask_again(client, ())
        error, client.error = client.error, None
        return MADE if error is None else error

    def _run(self, client, thread, call, ident, method, args, kwds, may_wait=True):
        if self._left:
            self._release_left()
        entry = self._entries.get(ident)
        if entry is None:
            return STALE_ANSWER
        asker.client, asker.thread, asker.number, asker.may_wait = client, thread, call, may_wait
        try:
            function = entry.methods.get(method) or entry.method(method)
        except AttributeError:
            return encode_remote(traceback.format_exc())
        try:
            result = function(*args, **kwds)
        except Exception as error:
            return encode_error(error)
        finally:
            asker.may_wait = False
        if result is LATER:
            return None
        if result is RESEND:
            return RESEND_ANSWER
        if call is not None and result is not False:
            client.taken[thread] = (call, entry.value, result)
        if is_small(result):
            return result
        answer = self._answer(entry, method, result)
        return answer if client is self._own else client.sent(thread, answer)

    def fetch(self, number, thread):
        """The large answer to the thread's last call."""
        client = self._clients.get(number)
        answer = UNKNOWN_ANSWER if client is None else client.large.pop(thread, UNKNOWN_ANSWER)
        return answer.read() if type(answer) is Value else answer

    def _answer(self, entry, method, result):
        if type(result) in PLAIN and is_plain(result) or entry.is_raw and type(result) in _RAW:
            return result
        typeid = entry.typeids and entry.typeids.get(method)
        try:
            if typeid:
                return encode_proxy(typeid, *self.new(typeid, (result,), {}))
            return encode(result)
        except Exception:
            return encode_remote(f"Unserializable message: {traceback.format_exc()}\n")

    # Entries

    def create(self, number, typeid, data):
        """Makes a referent of a type of this package: (ident, exposed), to which the client has a reference."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        if client.error is not None or self._waiting:
            refused = self._refused(client)
            if refused is not MADE:
                return refused
        try:
            args, kwds = _codec.loads(data)
            return encode(self._create(client, typeid, args, kwds))
        except Exception:
            return encode_remote(traceback.format_exc())

    def create_named(self, number, name, typeid, data):
        """The same; or the referent that was made by this name before."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        entry, made_as = self._named.get(name, (None, typeid))
        try:
            if made_as != typeid:
                raise TypeError(f"{name!r} names an object that was made as {made_as!r}, not as {typeid!r}")
            if entry is None:
                ident, _ = self._create(client, typeid, *_codec.loads(data))
                entry = self._entries[ident]
                self._named[name] = entry, typeid
                entry.refs += 1
            else:
                self._add_ref(client, entry)
            return encode((entry.ident, tuple(entry.exposed)))
        except Exception:
            return encode_remote(traceback.format_exc())

    def _create(self, client, typeid, args, kwds):
        asker.client, asker.may_wait = client, False
        ident, exposed = self.new(typeid, args, kwds)
        self._add_ref(client, self._entries[ident])
        self.unlend(ident)
        return ident, exposed

    def new(self, typeid, args, kwds):
        """Makes a referent, and lends it: (ident, exposed). Also called by threads."""
        callable, exposed, typeids, _ = self.registry[typeid]
        if callable is None and (kwds or len(args) != 1):
            raise ValueError("Without callable, must have one non-keyword argument")
        value = args[0] if callable is None else in_place_of(callable)(*args, **kwds)
        if typeids is not None and not isinstance(typeids, dict):
            raise TypeError(f"Method_to_typeid {typeids!r}: type {type(typeids)}, not dict")
        if exposed is None:
            exposed = [name for name in dir(value) if name[0] != "_" and callable_of(value, name)]
        exposed = frozenset((*exposed, *(typeids or ())))
        with self._guard:
            entry = self._add(value, exposed, typeids)
            self.lend(entry.ident)
        return entry.ident, tuple(exposed)

    def _add(self, value, exposed, typeids):
        self._next += 1
        ident = self._nonce << NUMBER_BITS | self._next << 2 | flags_of(value)
        entry = self._entries[ident] = Entry(value, exposed, typeids, ident)
        return entry

    def entry(self, ident):
        """Raises KeyError."""
        return self._entries[ident]

    def knows(self, ident):
        """Whether this server has made the ident."""
        return ident >> NUMBER_BITS == self._nonce

    # References

    def hold(self, number, ident, lent):
        """The client has a proxy. `lent`: it has come to it, so it was lent. What it is: its exposed methods."""
        client = self._clients.get(number)
        if client is None:
            return UNKNOWN_ANSWER
        with self._guard:
            entry = self._entries.get(ident)
            if entry is None:
                return STALE_ANSWER
            self._add_ref(client, entry)
            if lent:
                self.unlend(ident)
        return True

    def exposed(self, number, ident):
        entry = self._entries.get(ident)
        return STALE_ANSWER if entry is None else encode(tuple(entry.exposed))

    def drop(self, number, ident, lend=False):
        """The client has no proxy any more. `lend`: one may be on its way to another."""
        client = self._clients.get(number)
        if client is not None:
            self._in_order(client, (), self._drop, client, ident, lend)

    def _drop(self, client, ident, lend):
        if not client.refs[ident]:
            return
        if lend:
            self.lend(ident)
        client.refs[ident] -= 1
        if not client.refs[ident]:
            del client.refs[ident]
        self._release(ident, 1)

    def lend(self, ident):
        """A proxy is on its way to somebody."""
        with self._guard:
            self._end_loans()
            entry = self._entries.get(ident)
            if entry is not None:
                entry.refs += 1
                self._lent_counts[ident] += 1
                self._loans[ident] += 1
                self._lent.append((time.monotonic() + LENT, ident))

    def unlend(self, ident):
        """It has arrived."""
        with self._guard:
            if self._lent_counts[ident]:
                self._lent_counts[ident] -= 1
                self._release(ident, 1)
            if not self._lent_counts[ident]:
                del self._lent_counts[ident]

    def _end_loans(self):
        """Those that have not arrived within LENT seconds: nobody waits for them any more."""
        now = time.monotonic()
        while self._lent and self._lent[0][0] < now:
            ident = self._lent.popleft()[1]
            self._loans[ident] -= 1
            if self._lent_counts[ident] > self._loans[ident]:
                self.unlend(ident)
            if not self._loans[ident]:
                del self._loans[ident]

    def hold_inside(self, ident):
        """A proxy has come into this process."""
        with self._guard:
            self._entries[ident].refs += 1

    def leave_inside(self, ident):
        """It is gone. May be called at any moment, by any thread."""
        self._left.append(ident)

    def _release_left(self):
        while self._left:
            self._release(self._left.popleft(), 1)

    def _add_ref(self, client, entry):
        client.refs[entry.ident] += 1
        entry.refs += 1

    def _release(self, ident, count):
        with self._guard:
            entry = self._entries.get(ident)
            if entry is not None:
                entry.refs -= count
                if entry.refs <= 0:
                    del self._entries[ident]

    # Calls within the server

    def is_here(self):
        """Whether this is the thread of which all calls are made."""
        return threading.get_ident() == self._thread

    def call_inside(self, ident, method, args, kwds):
        """A call that the server itself makes: an answer."""
        before = asker.client, asker.thread, asker.number, asker.may_wait
        try:
            answer = self._run(self._own, self._thread, None, ident, *self._of_queue(ident, method, args, kwds), False)
            return answer.read() if type(answer) is Value else answer
        finally:
            asker.client, asker.thread, asker.number, asker.may_wait = before

    # The rest

    def threads(self, authkey):
        """The address where threads serve what is not called here."""
        from ._referent_threads import Threads
        if self._threads is None:
            self._threads = Threads(self, bytes(authkey))
        return self._threads.address

    def debug_info(self, number):
        self._release_left()
        return encode("\n".join(f"  {ident}:       refcount={entry.refs}\n    {str(entry.value)[:75]}"
                                for ident, entry in sorted(self._entries.items())))

    def number_of_objects(self, number):
        """Without those that are only on their way to somebody."""
        self._release_left()
        return sum(entry.refs > self._lent_counts[ident] for ident, entry in self._entries.items())

    def track_segment(self, number, name):
        """Shared memory that lives until it is released, or the server ends."""
        from .shared_memory import SharedMemory
        self._segments[name] = SharedMemory(name)

    def release_segment(self, number, name):
        segment = self._segments.pop(name)
        segment.close()
        segment.unlink()

    def list_segments(self, number):
        return encode(list(self._segments))

    def release_segments(self, number):
        for name in tuple(self._segments):
            try:
                self.release_segment(number, name)
            except FileNotFoundError:
                pass        # somebody has unlinked it


_RAW = (bytes, Value)       # encoded items
_FAILURES = (_codec.ERROR, _codec.REMOTE, _codec.STALE, _codec.RESEND)


def callable_of(value, name):
    return callable(getattr(value, name))



def _after_fork_in_child():
    _place.referents = None


os.register_at_fork(after_in_child=_after_fork_in_child)
