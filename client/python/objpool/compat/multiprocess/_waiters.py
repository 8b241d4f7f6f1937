# SPDX-License-Identifier: Apache-2.0
"""Calls that wait in the server of a manager, and who makes the call at hand.

A method that has to wait asks `put_off` for a Waiter, puts it into the Waiters of what it waits for, and returns LATER. Another
call answers it. If no more calls can wait in the worker, or the server itself makes the call, put_off gives None, and the method
returns RESEND. Such a method has changed nothing, and the client sends the call again, on the connection to the daemon.
"""
import collections
import time

from ._codec import encode, encode_error

LATER, RESEND = object(), object()


class _Asker:
    """Who makes the call at hand. `may_wait`: it is a client's call, and no call that the server makes within another."""

    client = thread = number = None
    may_wait = False


asker = _Asker()
host = None     # in a server: the module with which its worker's plugin tells of calls


def begin():
    """This process is a manager's server. A pool that it makes may put another module in the place of the plugin's."""
    global host
    import _objpool
    host = _objpool


def session():
    """Who makes the call at hand, as the daemon counts."""
    return host.info()[5]


def commit():
    """Called before what must not be done in vain. False: the caller has given up."""
    return not asker.may_wait or host.commit()


class Waiter:
    """A call that waits. note: for whoever has put it off."""

    __slots__ = ("client", "thread", "number", "note", "place", "_deferred", "_expired", "_gone")

    def __init__(self, note, expired, gone):
        self.client, self.thread, self.number = asker.client, asker.thread, asker.number
        self.note, self.place, self._deferred = note, None, None
        self._expired, self._gone = expired, gone

    def _happened(self, deferred, event):
        if event == "wake":
            self._expired(self)
            return
        self.leave()
        if self._gone is not None:
            self._gone(self)

    def leave(self):
        if self.place is not None:
            self.place.remove(self)

    def answer(self, value):
        """False: nobody waits any more."""
        return self._deferred.answer(encode(value))

    def give(self, source, value):
        """The same for what a withdrawn call must give back to its source. `value` is encoded."""
        given = self._deferred.answer(self.client.sent(self.thread, value))
        if given and self.number is not None:
            self.client.taken[self.thread] = (self.number, source, value)
        return given

    def fail(self, error):
        return self._deferred.answer(encode_error(error))


def put_off(timeout, expired, note=None, gone=None):
    """Leaves the call at hand unanswered: its Waiter, or None.

    timeout: seconds after which expired(waiter) is called, or None. gone(waiter): called when its client has gone or given up.
    """
    if not asker.may_wait:
        return None
    waiter = Waiter(note, expired, gone)
    wake_at = 0 if timeout is None else max(time.monotonic() + timeout, 1e-9)
    waiter._deferred = host.defer(waiter._happened, wake_at)
    return None if waiter._deferred is None else waiter


class Waiters(collections.OrderedDict):
    """Those that wait for the same, in the order in which they came."""

    __slots__ = ()

    def add(self, waiter):
        waiter.place = self
        self[waiter] = None
        return LATER

    def remove(self, waiter):
        waiter.place = None
        self.pop(waiter, None)

    def pop_first(self):
        """The one that has waited longest."""
        waiter = self.popitem(last=False)[0]
        waiter.place = None
        return waiter

    def pop_all(self):
        waiting = list(self)
        self.clear()
        for waiter in waiting:
            waiter.place = None
        return waiting


def seconds(timeout):
    """A timeout that is one: None for one that never comes."""
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"a timeout is a number of seconds or None, and no {type(timeout).__name__}")
    return timeout if timeout < 1e9 else None
