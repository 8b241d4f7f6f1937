# SPDX-License-Identifier: Apache-2.0
"""The contexts of multiprocessing, whose objects are this package's: they send by value, and Pool is objpool's.

The start method that is set here is not the standard library's. Until one is set, it is the one that is set there.
"""
import functools
import importlib
from multiprocessing import context as _standard
from multiprocessing import process  # noqa: F401
from multiprocessing.context import (  # noqa: F401
    AuthenticationError, BufferTooShort, ProcessError, TimeoutError, assert_spawning, get_spawning_popen, set_spawning_popen)

from . import reduction  # noqa: F401

__all__ = ()


def _module(name):
    return importlib.import_module("." + name, __package__)


def _made_in(module, name, *, ctx=True):
    """The method of a context that returns <module of this package>.<name>(arguments, ctx=the context)."""
    @functools.wraps(getattr(_standard.BaseContext, name))
    def make(self, *args, **kwargs):
        if ctx:
            kwargs["ctx"] = self._owner()
        return getattr(_module(module), name)(*args, **kwargs)
    return make


class _Makes:
    """What a context makes."""

    Lock = _made_in("synchronize", "Lock")
    RLock = _made_in("synchronize", "RLock")
    Condition = _made_in("synchronize", "Condition")
    Semaphore = _made_in("synchronize", "Semaphore")
    BoundedSemaphore = _made_in("synchronize", "BoundedSemaphore")
    Event = _made_in("synchronize", "Event")
    Barrier = _made_in("synchronize", "Barrier")
    Queue = _made_in("queues", "Queue")
    JoinableQueue = _made_in("queues", "JoinableQueue")
    SimpleQueue = _made_in("queues", "SimpleQueue")
    Value = _made_in("sharedctypes", "Value")
    Array = _made_in("sharedctypes", "Array")
    RawValue = _made_in("sharedctypes", "RawValue", ctx=False)
    RawArray = _made_in("sharedctypes", "RawArray", ctx=False)
    Pipe = _made_in("connection", "Pipe", ctx=False)

    def _owner(self):
        """The context of the locks and queues that this one makes."""
        return self.get_context()

    def Manager(self):
        """A SyncManager whose server runs."""
        manager = _module("managers").SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Pool(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, **hosts):
        """A pool of worker processes; with hosts="*", or names, those of other machines."""
        return _module("pool").Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context(), **hosts)

    def allow_connection_pickling(self):
        """Does nothing: connections can be sent."""

    def set_forkserver_preload(self, module_names):
        """The modules that the fork server imports before it forks. There is one fork server for all contexts."""
        if not all(type(name) is str for name in module_names):
            raise TypeError("module_names must be a list of strings")
        super().set_forkserver_preload(module_names)

    @property
    def reducer(self):
        """The module, or an AbstractReducer, that reduces what is sent."""
        return globals()["reduction"]

    @reducer.setter
    def reducer(self, reducer):
        globals()["reduction"] = reducer


class _Concrete(_Makes):
    def get_context(self, method=None):
        return self if method is None else _default_context.get_context(method)


class BaseContext(_Concrete, _standard.BaseContext):
    pass


class DefaultContext(_Makes, _standard.DefaultContext):
    def get_context(self, method=None):
        if method is not None:
            if method not in _concrete_contexts:
                raise ValueError(f"cannot find context for {method!r}")
            return _concrete_contexts[method]
        if self._actual_context is None:
            self._actual_context = _concrete_contexts[_method_elsewhere()]
        return self._actual_context

    def get_start_method(self, allow_none=False):
        return None if allow_none and self._actual_context is None else self.get_context()._name

    def _owner(self):
        # Named semaphores keep their names, so that workers, which are not children of this process, can open them.
        return _concrete_contexts["spawn"]


def _method_elsewhere():
    """The start method of the standard library. Does not settle it there, as asking for it would."""
    theirs = _standard._default_context
    return theirs.get_start_method(allow_none=True) or theirs._default_context._name


# Processes


class _Launched:
    """What all Process classes of this package have. _method: the start method, which the child gets; None: the default."""

    _start_method = None    # the standard library's in the child stays as it is
    _method = None

    def _bootstrap(self, *args, **kwargs):
        if self._method is not None:
            _force_start_method(self._method)
        return super()._bootstrap(*args, **kwargs)


class Process(_Launched, _standard.Process):
    @staticmethod
    def _Popen(process_obj):
        return _default_context.get_context().Process._Popen(process_obj)

    @staticmethod
    def _after_fork():
        return _default_context.get_context().Process._after_fork()


class ForkProcess(_Launched, _standard.ForkProcess):
    _method = "fork"


class SpawnProcess(_Launched, _standard.SpawnProcess):
    _method = "spawn"

    @staticmethod
    def _Popen(process_obj):
        return _module("popen_spawn_posix").Popen(process_obj)


class ForkServerProcess(_Launched, _standard.ForkServerProcess):
    _method = "forkserver"

    @staticmethod
    def _Popen(process_obj):
        return _module("popen_forkserver").Popen(process_obj)


DefaultContext.Process = Process


class ForkContext(_Concrete, _standard.ForkContext):
    Process = ForkProcess


class SpawnContext(_Concrete, _standard.SpawnContext):
    Process = SpawnProcess


class ForkServerContext(_Concrete, _standard.ForkServerContext):
    Process = ForkServerProcess


_concrete_contexts = {"fork": ForkContext(), "spawn": SpawnContext(), "forkserver": ForkServerContext()}
_default_context = DefaultContext(_concrete_contexts[_standard._default_context._default_context._name])


def _force_start_method(method):
    _default_context._actual_context = _concrete_contexts[method]
