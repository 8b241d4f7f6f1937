# SPDX-License-Identifier: Apache-2.0
"""The module objpool_worker, by which a Python class knows of its worker and of the call at hand."""
import sys
import types

import _objpool


class Cancelled(BaseException):
    """Raised in a method whose caller has cancelled, gone, or run out of time, in pools that have a cancel_grace."""


class CallFailed(Exception):
    """A call that a method made has failed."""

    def __init__(self, code, message, type=None, traceback=None):
        super().__init__(code, message, type, traceback)
        self.code, self.message, self.type, self.traceback = code, message, type, traceback

    def __str__(self):
        return f"{self.code}: {self.type + ': ' if self.type else ''}{self.message}"


class Call:
    """The call that this worker runs, and the slot of its instance."""

    __slots__ = ("pool", "slot", "slots", "generation", "method", "session", "caller", "deadline", "index",
                 "traceparent")

    def __init__(self):
        info = _objpool.info()
        if info is None:
            raise RuntimeError("no call is under way in this thread")
        for name, value in zip(self.__slots__, info):
            setattr(self, name, value)

    def __repr__(self):
        return f"<call of {self.pool}:{self.slot}.{self.method}>"

    @property
    def cancelled(self):
        """True if the caller has gone, cancelled, or run out of time. Ask in long loops, and then give up."""
        return _objpool.cancelled()

    def progress(self, done, total=None, text=None):
        """Tells the caller how far the call is, if the caller asked for that. May be called as often as you like."""
        _objpool.progress(done, total or 0, text)

    def invoke(self, target, /, *args, **kwargs):
        """Calls a method of this or another pool ("q.step", "q:2.step", "q:all.step"), and waits for the result."""
        if not kwargs:
            return _objpool.invoke(target, list(args))
        name, _, method = target.partition(".")
        return _objpool.invoke("objpool.call", [name, method, list(args), {"kwargs": kwargs}])

    def commit(self):
        """True: the caller gets what the method returns, even if it cancels now. False: it has given up already. Ask last of all,
        before what must not be done in vain, such as to take an item from a queue."""
        return _objpool.commit()

    def defer(self, on_event=None, wake_at=None):
        """Leaves the call unanswered, so that the instance serves others: a Deferred, to be answered later on this thread. What
        the method returns is dropped.

        None: the answer can't be put off: too many calls wait.
        on_event(deferred, event): is called between methods when the time wake_at (as time.monotonic() counts) has come ("wake"),
        and when nobody waits for the answer any more ("gone").
        """
        return _objpool.defer(on_event, 0 if wake_at is None else wake_at)


def call():
    """The call that runs now. In a constructor or a hook its `method` is None."""
    return Call()


def worker_module():
    module = types.ModuleType("objpool_worker", "What a Python class can know of its worker.")
    for thing in (call, Call, Cancelled, CallFailed):
        if isinstance(thing, type):
            thing.__module__ = module.__name__
        setattr(module, thing.__name__, thing)
    sys.modules[module.__name__] = module


_objpool.CallFailed = CallFailed
