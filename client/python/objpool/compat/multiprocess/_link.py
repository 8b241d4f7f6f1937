# SPDX-License-Identifier: Apache-2.0
"""A client's way to the server of a manager (_referents.py): one for each process and server.

    calls       on the direct channel to the server's worker. What can't go there goes on the connection to the daemon: large
                arguments and answers, and all while there is no channel.
    large items of queues go by memory files (_memory_file.py): the server keeps the file, and shows it to who gets the item
    ahead       calls whose answer nobody needs are sent, and not waited for. Their order is kept: on the channel by itself,
                otherwise by the page (_order.py).
    references  the server counts one reference of this process for all its proxies of a referent.

An address names a daemon and a pool of it: "unix:PATH#POOL", "tcp:HOST:PORT#POOL" or "tls:HOST:PORT#POOL", and "objpool:POOL"
for the daemon that objpool.connect() finds.
"""
import itertools
import os
import re
import threading
import time
from multiprocessing import util

from ... import _channel, _connect, errors
from ..._address import default_addresses
from ..._direct import NotBegun
from . import _codec, _memory_file
from ._codec import (
    AGAIN_ANSWER, DIRECT_MOST, LARGE_ANSWER, PLAIN, RESEND_ANSWER, UNKNOWN_ANSWER, UNSEEN_ANSWER, are_plain, dumps_call, is_plain)
from ._order import Page

_NEAR = re.compile(r"(unix:|tcp:|tls:|objpool:)")
_DEFAULT = "manager"
_NO_ANSWERS = _codec.STALE, _codec.UNKNOWN, _codec.RESEND
_WITHDRAW_MOST = 10.0   # seconds; the server answers at once
_FORK_GRACE = 10.0      # seconds after a fork in which the child may not yet hold what the parent lets go of


class ServerLost(EOFError, ConnectionResetError):
    """The server of the manager has ended."""


class NoServer(ServerLost, FileNotFoundError):
    """There is no server at that address."""


class Unanswered(Exception):
    """The server gives no value. args[0]: what it answered (_codec.py)."""


def is_near(address):
    """Whether the address names a daemon."""
    return isinstance(address, str) and _NEAR.match(address) is not None


def parts_of(address):
    """(daemon, pool)"""
    daemon, _, pool = address.partition("#")
    if daemon.startswith("objpool:"):
        return None, pool or daemon.partition(":")[2] or _DEFAULT
    return daemon, pool or _DEFAULT


def connect(daemon):
    """A connection to a daemon. None: the one that objpool.connect() finds."""
    if daemon is not None:
        return _connect.connect(daemon, True)
    for address in default_addresses():
        try:
            return _connect.connect(address, True)
        except errors.NoDaemon:
            if os.environ.get("OBJPOOL_ADDRESS"):
                raise
    raise errors.NoDaemon("there is no daemon: OBJPOOL_ADDRESS says where one is")


def link_to(address):
    """This process's link to the server at an address."""
    with _guard:
        link = _links.get(address)
        if link is None or link.is_lost():
            daemon, pool = parts_of(address)
            try:
                link = _links[address] = Link(connect(daemon), pool)
            except errors.ObjpoolError as error:
                raise _translated(error) from error
        return link


def link_that_answers(address):
    """The same, once the server has answered: the link may be an earlier server's."""
    link = link_to(address)
    try:
        link.request("number_of_objects")
        return link
    except (ServerLost, Unanswered):
        forget(address, link)
        return link_to(address)


def forget(address, which=None):
    """The server at the address has ended. which: only if this is its link."""
    with _guard:
        if which is None or _links.get(address) is which:
            _links.pop(address, None)


def adopt(address, connection, pool):
    """The link of the process that has made the server, over the connection that owns it."""
    with _guard:
        for other in [other for other, link in _links.items() if link.is_lost()]:
            del _links[other]
        link = _links[address] = Link(connection, pool)
        return link


def _translated(error):
    """The daemon's error as programs expect it of a manager."""
    if isinstance(error, (errors.NoDaemon, errors.NoSuchPool)):
        return NoServer(f"the manager's server is not there: {error}")
    if isinstance(error, (errors.ConnectionLost, errors.WorkerLost, errors.Unavailable, errors.Cancelled)):
        return ServerLost(f"the manager's server has ended: {error}")
    return error


class Link:
    def __init__(self, connection, pool):
        self._connection, self._prefix = connection, pool + "."
        self._channel = None
        self._route = _channel.route(connection, f"{pool}:0")
        self._ahead = threading.Lock()
        self.calls = itertools.count(1)         # a number for each call that takes something
        self._threads = None
        self._is_unsettled = False
        self._greet()
        _finalize()

    def _greet(self):
        self._number, page, self._place = self._connection.call(self._prefix + "hello", [os.getpid()])
        self._page = Page.open(page)

    def is_of_this_process(self):
        """False in a fork of the process that has made it."""
        return self._connection.pid == os.getpid()

    # Ways

    def _direct(self):
        """The channel, or None."""
        channel = self._channel
        if channel is None or channel.closing is not None or channel.lost is not None:
            channel = self._channel = self._route.choose()
        return channel

    def is_lost(self):
        return self._connection.lost is not None

    def _ask(self, method, params, waits=False):
        """The server's answer. waits: the call waits for what others do: it need not come after what they have sent ahead."""
        try:
            if self._is_unsettled:
                self._settle()
            channel = self._direct()
            if channel is not None:
                needs = () if waits or self._page is None else self._page.needs(self._place)
                name = self._prefix + method
                answer = channel.call(self._prefix + "after", [needs, method, *params]) if needs else channel.call(name, params)
                while type(answer) is bytes and answer == AGAIN_ANSWER:
                    answer = channel.call(name, params)
                if type(answer) is not bytes or answer != RESEND_ANSWER:
                    return answer
        except NotBegun:
            pass
        except errors.ObjpoolError as error:
            raise _translated(error) from error
        self._await_order()
        return self.ask_daemon(method, *params)

    def _await_order(self):
        """Before a call on the connection: what was sent ahead, by this process or another, is done."""
        if self._page is not None:
            self._page.await_others(self._place, self.is_lost)
            if self._place is not None:
                self._page.await_own(self._place, self.is_lost)

    def request(self, method, *params):
        """An answer to a method of the server, which gets this client's number first. Raises Unanswered."""
        answer = self._ask(method, [self._number, *params])
        if answer == UNKNOWN_ANSWER:    # the server was started anew
            self._greet()
            answer = self._ask(method, [self._number, *params])
        return self._checked(answer)

    def _checked(self, answer):
        if type(answer) is bytes and answer[0] == _codec.FILE:
            return self._opened(answer[1:].decode())
        if answer == LARGE_ANSWER:
            answer = self.ask_daemon("fetch", self._number, threading.get_ident())
        if type(answer) is bytes and answer[0] in _NO_ANSWERS:
            if answer == UNKNOWN_ANSWER:
                self._greet()
            raise Unanswered(answer)
        return answer

    def _opened(self, where):
        """The answer in a file of the server's."""
        try:
            return _memory_file.map_at(where)
        except OSError:
            return self._checked(self.ask_daemon("fetch", self._number, threading.get_ident()))

    # Calls

    def call(self, ident, method, args=(), kwds=None):
        """The server's answer to a call of a referent."""
        if not kwds and are_plain(args):
            answer = self._ask("call", [self._number, threading.get_ident(), ident, method, *args])
        else:
            data = dumps_call(args, kwds or {})
            answer = self._ask("call_pickled", [self._number, threading.get_ident(), ident, method, data])
        return answer if type(answer) in PLAIN else self._checked(answer)

    def put(self, ident, idents, args):
        """The same for a put into a queue, whose item is encoded. idents: of the proxies in it."""
        if type(args[0]) is list:
            return self._put_large(ident, idents, *args)
        return self._checked(self._ask("put", [self._number, threading.get_ident(), ident, idents, *args]))

    def _put_large(self, ident, idents, pieces, *rest):
        answer = UNSEEN_ANSWER if self._page is None else self._put_file(ident, idents, pieces, *rest)
        if answer == UNSEEN_ANSWER:
            self._await_order()
            item = b"".join(pieces)
            answer = self.ask_daemon("put", self._number, threading.get_ident(), ident, idents, item, *rest)
        return self._checked(answer)

    def _put_file(self, ident, idents, pieces, *rest):
        try:
            descriptor, nonce = _memory_file.write(pieces)
        except OSError:
            return UNSEEN_ANSWER
        try:
            where = _memory_file.where(descriptor, nonce)
            return self._ask("put_file", [self._number, threading.get_ident(), ident, idents, where, *rest])
        finally:
            _memory_file.close(descriptor)

    def take(self, number, ident, method, args):
        """The same for a call that takes something. number: of `calls`. `args` are plain: whether it waits, and how long."""
        waits = args[0] is True and args[-1] in (True, None)
        answer = self._ask("take", [self._number, threading.get_ident(), number, ident, method, *args], waits)
        return answer if type(answer) in PLAIN else self._checked(answer)

    def withdraw(self, number):
        """The call of that number, of this thread, was interrupted: the referent gets back what it has taken. What was sent before,
        on either way, has arrived before this."""
        params = [self._number, threading.get_ident(), number]
        try:
            channel = self._channel
            if channel is not None and channel.is_open:
                channel.call(self._prefix + "withdraw", params, _WITHDRAW_MOST)
            self._connection.call(self._prefix + "withdraw", params, _WITHDRAW_MOST)
        except errors.ObjpoolError:
            pass        # the server has ended, and what it had is gone

    def send_ahead(self, ident, method, args):
        """Sends a call that nobody waits for. Its error is that of the next call. False: it can't be sent ahead now."""
        name = "ahead"
        for value in args:
            if type(value) is bytes:
                if len(value) > DIRECT_MOST:
                    return False
            elif not is_plain(value):
                name = "ahead_pickled"
        return self._send_ahead(name, ident, method, args)

    def put_ahead(self, ident, item):
        """The same for a put into a queue, whose item is encoded, and not large."""
        return self._send_ahead("ahead", ident, "put", (item,))

    def _send_ahead(self, name, ident, method, args):
        page, place, channel = self._page, self._place, self._direct()
        if page is None or place is None or channel is None or self._is_unsettled:
            return False
        if name == "ahead_pickled":
            args = (dumps_call(args, {}),)
        params = [self._number, threading.get_ident(), ident, method, *args]
        needs = () if method == "release" else page.needs(place)      # it comes after nothing but what this thread has done
        if needs:
            name, params = "after", [needs, name, *params]
        with self._ahead:
            try:
                page.sends(place)
                channel.tell(self._prefix + name, params)
            except NotBegun:
                page.sends_not(place)
                return False
            except BaseException:       # it was interrupted: who knows where
                self._is_unsettled = True
                raise
        return True

    def _settle(self):
        """A call that was to be sent ahead was interrupted, before it was counted, or sent, or after that."""
        with self._ahead:
            channel = self._channel
            if channel is not None and channel.is_open:
                while channel.call(self._prefix + "settle", [self._number]) == AGAIN_ANSWER:
                    pass
            self._is_unsettled = False

    def end(self):
        """The process ends in order. Waits until the server has done all that was sent ahead."""
        if self.is_of_this_process() and not self.is_lost():
            try:
                self.request("bye")
            except (Unanswered, ServerLost):
                pass

    # References

    def hold(self, ident, lent):
        """A proxy is made. `lent`: it has come from another process. Raises Unanswered."""
        self.request("hold", ident, lent)

    def leave(self, ident):
        """A proxy is gone. Called at any moment, also within another method of this object."""
        forked_lately = time.monotonic() - _forked_at < _FORK_GRACE
        self._tell("drop", [self._number, ident, forked_lately])

    def lend(self, ident):
        """A proxy is on its way to another process."""
        self._tell("lend", [ident])

    def _tell(self, method, params):
        """Sends what nobody waits for, without waiting."""
        channel = self._channel
        try:
            if channel is not None and channel.is_open:
                channel.tell(self._prefix + method, params, soon=True)
            else:
                self._connection.notify(self._prefix + method, *params)
        except errors.ObjpoolError:
            pass        # the server has ended

    def ask_daemon(self, method, *params):
        """Calls a method of the server on the connection."""
        try:
            while True:
                answer = self._connection.call(self._prefix + method, list(params))
                if answer != AGAIN_ANSWER:
                    return answer
        except errors.ObjpoolError as error:
            raise _translated(error) from error

    def threads(self, authkey):
        """The address of the server's threads."""
        if self._threads is None:
            self._threads = self.ask_daemon("threads", bytes(authkey))
        return self._threads


_guard = threading.Lock()
_links = {}     # address -> Link; kept, as what was sent ahead must be read before its connection ends
_forked_at = -_FORK_GRACE       # when this process was last forked
_has_finalizer = False


def _finalize():
    """The end of this process is told of, also if multiprocessing has forked it."""
    global _has_finalizer
    if not _has_finalizer:
        _has_finalizer = True
        util.Finalize(None, _end, exitpriority=1)


def _end():
    for link in tuple(_links.values()):
        link.end()


def _after_fork_in_parent():
    global _forked_at
    _forked_at = time.monotonic()


def _after_fork_in_child():
    global _guard, _links, _has_finalizer
    _guard, _links, _has_finalizer = threading.Lock(), {}, False


os.register_at_fork(after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
