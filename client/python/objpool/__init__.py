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
from . import errors
from ._call import CallFuture
from ._client import PRIVATE, Client, connect, create_pool, default_client, pool
from ._pool import Lease, Method, Pool, Target
from ._stream import Stream
from .errors import *  # noqa: F401,F403

__version__ = "0.1.0"
__all__ = ["Client", "Pool", "Target", "Method", "Lease", "Stream", "CallFuture", "PRIVATE", "connect", "create_pool", "default_client", "pool",
           "errors", *errors.__all__]
