# SPDX-License-Identifier: Apache-2.0
"""All names that programs import from the original's module of this name."""
from ._iterables import (ENDLESS, get_chunksize_per_worker, get_chunksizes, get_static_chunks, is_endless, iterlen, lenrepeat,
                         lenzip)
from ._object_pool import DistributedPool, ObjectPool, ObjectThreadPool, Synchronizer, get_max_workers_per_pool
from .proxypool import ProxyPool

__all__ = ["DistributedPool", "ENDLESS", "ObjectPool", "ObjectThreadPool", "ProxyPool", "Synchronizer",
           "get_chunksize_per_worker", "get_chunksizes", "get_max_workers_per_pool", "get_static_chunks", "is_endless", "iterlen",
           "lenrepeat", "lenzip"]
