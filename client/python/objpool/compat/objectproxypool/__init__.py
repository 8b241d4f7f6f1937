# SPDX-License-Identifier: Apache-2.0
"""objectproxypool: objects in threads or processes, called as if they were one object.

    from objpool.compat.objectproxypool import ProxyPool

    with ProxyPool(Sampler, 4, separate_processes=True) as samplers:
        samplers.seed([1, 2, 3, 4], map_args=True)
        rows = samplers.draw(100)           # each object does it once: an array of four rows
"""
from . import pool, shared_array
from ._iterables import get_chunksize_per_worker, iterlen, lenrepeat, lenzip
from ._object_pool import ObjectPool, ObjectThreadPool
from .proxypool import ProxyPool
from .shared_array import SharedArrayWrapper, Unpacker, unpack

__all__ = ["ProxyPool", "SharedArrayWrapper", "Unpacker", "unpack"]
