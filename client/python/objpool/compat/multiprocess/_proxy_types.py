# SPDX-License-Identifier: Apache-2.0
"""The proxies of each type of referent."""
import queue
import threading
import time
import types

from . import _codec
from . import _standard_managers as _standard
from ._codec import is_small
from ._kinds import AHEAD, THREADS
from ._proxies import BaseProxy, packing
from ._standard_managers import MakeProxyType

_ACQUIRE_AGAIN = 1.0    # seconds
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


def _encoded(item):
    """(idents of the proxies in an item of a queue, the item as it goes). Who has the item keeps the proxies until the server does."""
    packing.idents = idents = []
    try:
        return idents, _codec.encode_item(item)
    finally:
        packing.idents = None


class QueueProxy(BaseProxy):
    """Puts into a queue without a bound are sent ahead. An item is pickled here, and goes to who gets it as it is."""

    _exposed_ = ("empty", "full", "get", "get_nowait", "join", "put", "put_nowait", "qsize", "task_done",
                 *(("shutdown",) if hasattr(queue.Queue, "shutdown") else ()))

    def put(self, item, block=True, timeout=None):
        link, ident = self._link, self._id
        if link is None or ident & THREADS:
            return self._callmethod("put", (item, block, timeout))
        idents, encoded = ((), item) if is_small(item) else _encoded(item)
        goes_ahead = ident & AHEAD and not idents and type(encoded) is not list and link.put_ahead(ident, encoded)
        if not goes_ahead:
            return self._ask("put", ident, idents, (encoded, block, timeout))

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


BaseListProxy = MakeProxyType("BaseListProxy", _standard.BaseListProxy._exposed_, _types)


class ListProxy(BaseListProxy):
    def append(self, value):
        return self._send("append", value)

    def __iadd__(self, value):
        self._callmethod("extend", (value,))
        return self

    def __imul__(self, value):
        self._callmethod("__imul__", (value,))
        return self


_BaseDictProxy = MakeProxyType("DictProxy", _standard.DictProxy._exposed_, _types)


class DictProxy(_BaseDictProxy):
    _method_to_typeid_ = {"__iter__": "Iterator"}

    def __setitem__(self, key, value):
        hash(key)       # else it would be the next call that says so
        return self._send("__setitem__", key, value)


ArrayProxy = MakeProxyType("ArrayProxy", _standard.ArrayProxy._exposed_, _types)

BasePoolProxy = MakeProxyType("PoolProxy", _standard.BasePoolProxy._exposed_, _types)
BasePoolProxy._method_to_typeid_ = _standard.BasePoolProxy._method_to_typeid_


class PoolProxy(BasePoolProxy):
    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_val, exc_tb):
        self.terminate()
