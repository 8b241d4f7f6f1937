# SPDX-License-Identifier: Apache-2.0
"""What functions fork in the workers of compatible pools: processes, and pools of their own."""
import os
import sys

import pytest

from objpool import _fork
from objpool.compat import multiprocess

SOON = 30   # seconds; nothing here takes that long unless it hangs

pytestmark = pytest.mark.skipif(not _fork.is_possible(), reason="the module of forks is not built with sanitizers")


def square(x):
    return x * x


def squares(n):
    with multiprocess.Pool(2) as pool:
        return pool.map(square, range(n))


def tower(height):
    if height == 0:
        return 0
    with multiprocess.Pool(1) as pool:
        return 1 + pool.map(tower, [height - 1])[0]


def leave_by(way):
    """How a child that leaves so ends."""
    pid = os.fork()
    if pid == 0:
        way()
        return None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def exit_four():
    sys.exit(4)


def raise_key_error():
    raise KeyError("of a child")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_make_pools_of_their_own(method):
    with multiprocess.get_context(method).Pool(2) as pool:
        assert pool.map_async(squares, [2, 3]).get(SOON) == [[0, 1], [0, 1, 4]]
        assert pool.map_async(tower, [3]).get(SOON) == [3]
        assert pool.map_async(square, [2, 3]).get(SOON) == [4, 9]


@pytest.mark.parametrize("way, status", [(exit_four, 4), (sys.exit, 0), (raise_key_error, 1)])
def test_a_child_of_a_worker_ends_as_it_leaves(way, status):
    with multiprocess.Pool(1) as pool:
        assert pool.apply_async(leave_by, (way,)).get(SOON) == status
        assert pool.map_async(leave_by, [way]).get(SOON) == [status]
        assert list(pool.imap(leave_by, [way])) == [status]
