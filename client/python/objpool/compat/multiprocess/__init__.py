# SPDX-License-Identifier: Apache-2.0
"""multiprocess, and multiprocessing: what is sent may be code of any kind, and Pool and ThreadPool are objpool's.

    from objpool.compat import multiprocess

    with multiprocess.Pool(4) as pool:
        print(pool.map(lambda x: x * x, range(10)))

    context.py      what a program asks for: contexts, and the Process classes
    reduction.py    how what is sent is pickled
    _launch.py      how a Process object reaches a spawned child
    pool.py         Pool and ThreadPool
    synchronize.py  locks; queues.py: queues; heap.py: the memory of shared values
    managers.py     managers, whose servers are workers
    _modules.py     finds all other modules: their code is the standard library's
"""
import sys as _sys
from importlib import import_module as _import_module

from ._modules import SHARED as _SHARED
from ._modules import Finder as _Finder

_sys.meta_path.append(_Finder(__name__))

from . import context  # noqa: E402

__version__ = "0.70.19"
__all__ = [name for name in dir(context._default_context) if not name.startswith("_")]
globals().update((name, getattr(context._default_context, name)) for name in __all__)
__all__ += ["citation", "license"]

SUBDEBUG, SUBWARNING = 5, 25
_MODULES = (*_SHARED, "connection", "dummy", "heap", "managers", "pool", "popen_forkserver", "popen_spawn_posix", "queues",
            "shared_memory", "sharedctypes", "synchronize")


def __getattr__(name):
    if name in _MODULES:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_MODULES})


def license():
    """Prints the licence."""
    print("Apache-2.0; https://www.apache.org/licenses/LICENSE-2.0")


def citation():
    """Prints how to cite it."""
    print("objpool, pools of objects over MessagePack-RPC")
