# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: functions that wait in objpool are coroutines here.

    async with objpool.aio.connect() as client:
        pool = client.pool("sim")
        await pool.step(1)
        await asyncio.gather(*(pool[slot].step(1) for slot in range(4)))
        async for result in pool.map.step.stream(items):    # items: an iterable, or an async one
            ...

A client belongs to the event loop in which it was made. When a task is cancelled, its call is cancelled, too.
"""
from .._address import PRIVATE
from ._client import Client, connect
from ._lease import Lease
from ._pool import Pool
from ._stream import Stream
from ._target import Method, Target

__all__ = ["Client", "Pool", "Target", "Method", "Lease", "Stream", "connect", "PRIVATE"]
