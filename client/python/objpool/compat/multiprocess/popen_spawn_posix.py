# SPDX-License-Identifier: Apache-2.0
"""The standard library's, whose Process objects go by value."""
import multiprocessing.popen_spawn_posix as _standard

from ._launch import Launching
from .context import reduction, set_spawning_popen  # noqa: F401

__all__ = ["Popen"]


class Popen(Launching, _standard.Popen):
    def duplicate_for_child(self, fd):
        # The Process object may be pickled more than once, until a pickler can write it.
        return fd if fd in self._fds else super().duplicate_for_child(fd)
