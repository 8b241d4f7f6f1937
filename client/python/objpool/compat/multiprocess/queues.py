# SPDX-License-Identifier: Apache-2.0
"""Queues that survive their readers and writers; without the extension module, the standard library's."""
import sys

from ._sync import sync

__all__ = ["Queue", "SimpleQueue", "JoinableQueue"]

if sync is None:
    from ._modules import execute_again

    execute_again(sys.modules[__name__])
else:
    from queue import Empty, Full  # noqa: F401

    from .util import Finalize, debug, info, is_exiting, register_after_fork  # noqa: F401

    from ._queues import JoinableQueue, Queue, SimpleQueue  # noqa: F401
