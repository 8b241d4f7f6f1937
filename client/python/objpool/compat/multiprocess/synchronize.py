# SPDX-License-Identifier: Apache-2.0
"""Locks that survive their holders; without the extension module, the standard library's."""
import sys

from ._sync import sync

__all__ = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event"]

if sync is None:
    import multiprocessing.synchronize as _standard

    sys.modules[__name__] = _standard
else:
    from ._barrier import Barrier  # noqa: F401
    from ._conditions import Condition, Event  # noqa: F401
    from ._semaphores import (  # noqa: F401
        RECURSIVE_MUTEX, SEM_VALUE_MAX, SEMAPHORE, BoundedSemaphore, Lock, RLock, SemLock, Semaphore)
