# SPDX-License-Identifier: Apache-2.0
"""A worker as programs see it: pool._pool[0].pid"""
import os


class Member:
    """slot: a slot of the pool, as objpool.status describes it."""

    def __init__(self, name, slot):
        self.name, self.pid, self.daemon = name, slot["pid"], True
        self.ident = self.pid
        self._state = slot["state"]

    @property
    def exitcode(self):
        return None if self.is_alive() else 1

    def is_alive(self):
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True

    def __repr__(self):
        return f"<{self.name} pid={self.pid} {self._state}>"
