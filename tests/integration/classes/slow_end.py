# SPDX-License-Identifier: Apache-2.0
"""The class that test_direct.py puts into a pool: it takes its time when a session has ended."""
import time


class SlowEnd:
    def __init__(self):
        self.ended = 0

    def session_end(self, _session):
        time.sleep(0.2)
        self.ended += 1

    def count(self):
        return self.ended
