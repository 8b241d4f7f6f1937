# SPDX-License-Identifier: Apache-2.0
"""objpool: call objects that live in worker processes.

    import objpool

    client = objpool.connect()              # a daemon that runs, or one of this program's own
    pool = client.pool("sim")               # a pool that is configured there
    pool.step(1)                            # on any object that is free
    pool[2].step(1)                         # on one
    pool.all.step(1)                        # on all
    pool.map.step([1, 2, 3])                # one object for each item

    pool = objpool.create_pool(MyClass, workers=4, args=[...])

See README.md of client/python, and docs/PROTOCOL.md for what is behind it.
"""
TYPE_CHECKING = False  # what type checkers take for true; importing typing takes longer than the rest
if TYPE_CHECKING:
    from . import errors as errors  # a type checker lets programs use a name that is imported as itself
    from ._address import PRIVATE as PRIVATE
    from ._client import Client as Client, connect as connect, create_pool as create_pool
    from ._client import default_client as default_client, pool as pool
    from ._future import CallFuture as CallFuture
    from ._lease import Lease as Lease
    from ._pool import Pool as Pool
    from ._retry import Retry as Retry
    from ._stream import Stream as Stream
    from ._target import Method as Method, Target as Target
    from .errors import *  # noqa: F401,F403

__version__ = "0.1.0"

# Modules are imported when a name of theirs is asked for: a worker that needs but a part of the package starts faster.
_MODULES = {
    "errors": ["errors"],
    "_future": ["CallFuture"],
    "_address": ["PRIVATE"],
    "_client": ["Client", "connect", "create_pool", "default_client", "pool"],
    "_lease": ["Lease"],
    "_pool": ["Pool"],
    "_retry": ["Retry"],
    "_stream": ["Stream"],
    "_target": ["Method", "Target"],
}


def _named(name):
    from importlib import import_module
    if name == "__all__":
        return [name for names in _MODULES.values() for name in names] + import_module(".errors", __name__).__all__
    for module, names in _MODULES.items():
        if name in names:
            found = import_module("." + module, __name__)
            return globals().setdefault(name, found if module == name else getattr(found, name))
    errors = import_module(".errors", __name__)
    found = getattr(errors, name) if name in errors.__all__ else None
    if found is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return globals().setdefault(name, found)


def __dir__():
    return sorted({*globals(), *_named("__all__")})


if not TYPE_CHECKING:  # to a type checker all other names would be there, too
    __getattr__ = _named
