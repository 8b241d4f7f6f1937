# SPDX-License-Identifier: Apache-2.0
"""The memory of shared values and arrays: the standard library's heap, in memory files that have no name.

A block that another process may know is not used again while this process runs: there, its value may still be in use.
"""
import mmap
import multiprocessing.heap as _standard
import os

from . import util
from ._sync import _duplicate
from .context import assert_spawning  # noqa: F401

__all__ = ["BufferWrapper"]

_forks = 0


def _count_fork():
    global _forks
    _forks += 1


os.register_at_fork(before=_count_fork)


class Arena(_standard.Arena):
    def __init__(self, size, fd=-1):
        self.size, self.fd = size, fd
        if fd == -1:
            self.fd = os.memfd_create("objpool", os.MFD_CLOEXEC)
            util.Finalize(self, os.close, (self.fd,))
            os.ftruncate(self.fd, size)
        self.buffer = mmap.mmap(self.fd, self.size)

    def __reduce__(self):
        return reduce_arena(self)


def reduce_arena(arena):
    return rebuild_arena, (arena.size, _duplicate(arena.fd))


def rebuild_arena(size, descriptor):
    return Arena(size, descriptor.detach())


class Heap(_standard.Heap):
    def _new_arena(self, size):
        length = self._roundup(max(self._size, size), mmap.PAGESIZE)
        if self._size < self._DOUBLE_ARENA_SIZE_UNTIL:
            self._size *= 2
        util.info("allocating a new mmap of length %d", length)
        arena = Arena(length)
        self._arenas.append(arena)
        return arena, 0, length

    def free_unless_known(self, block, known):
        """known: (forks of this process when the block was made,), or also another value if it was sent."""
        if known == [_forks]:
            self.free(block)


class BufferWrapper(_standard.BufferWrapper):
    _heap = Heap()

    def __init__(self, size):
        if size < 0:
            raise ValueError(f"Size {size:n} out of range")
        block = self._heap.malloc(size)
        self._state, self._known = (block, size), [_forks]
        util.Finalize(self, self._heap.free_unless_known, (block, self._known))

    def __getstate__(self):
        self._known.append(True)
        return {"_state": self._state}
