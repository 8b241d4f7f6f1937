# SPDX-License-Identifier: Apache-2.0
"""multiprocess, and multiprocessing: Pool and ThreadPool are objpool's; functions, arguments and results may be code of any kind.

    from objpool.compat import multiprocess

    with multiprocess.Pool(4) as pool:
        print(pool.map(lambda x: x * x, range(10)))

Processes, queues, locks, shared values and managers are the standard library's. They can be sent to the workers of a Pool.
"""
import importlib.machinery as _machinery
import multiprocessing as _standard
import sys as _sys
from importlib import import_module as _import_module
from multiprocessing import *  # noqa: F401,F403
from multiprocessing import SUBDEBUG, SUBWARNING  # noqa: F401

from . import pool  # noqa: F401
from .contexts import get_context  # noqa: F401

__version__ = "0.70.14"
__all__ = [*_standard.__all__, "citation", "license"]

_STANDARD = ("connection", "context", "heap", "managers", "process", "queues", "reduction", "resource_sharer", "resource_tracker",
             "shared_memory", "sharedctypes", "synchronize", "util")


class _Standard:
    """Imports submodules of the standard library when a program asks for them: some take longer than a pool's start."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package, _, module = name.rpartition(".")
        return _machinery.ModuleSpec(name, _Standard) if package == __name__ and module in _STANDARD else None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        _sys.modules[module.__name__] = _import_module("multiprocessing." + module.__name__.rpartition(".")[2])


_sys.meta_path.append(_Standard)


def __getattr__(name):
    if name in _STANDARD:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_STANDARD})


# Named semaphores keep their names, so that workers, which are not children of this process, can open them.
_shared = _standard.get_context("spawn")
for _name in ("Array", "Barrier", "BoundedSemaphore", "Condition", "Event", "JoinableQueue", "Lock", "Queue", "RLock",
              "Semaphore", "SimpleQueue", "Value"):
    globals()[_name] = getattr(_shared, _name)


def Pool(processes=None, initializer=None, initargs=(), maxtasksperchild=None):
    """A pool of worker processes."""
    return get_context().Pool(processes, initializer, initargs, maxtasksperchild)


def license():
    """Prints the licence."""
    print("Apache-2.0; https://www.apache.org/licenses/LICENSE-2.0")


def citation():
    """Prints how to cite it."""
    print("objpool, pools of objects over MessagePack-RPC")
