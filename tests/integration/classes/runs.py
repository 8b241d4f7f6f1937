# SPDX-License-Identifier: Apache-2.0
"""The class that test_runs.py puts into pools: the same methods as those of the probe plugin that take runs of items."""
import os
import time

import objpool_worker


class Runs:
    def __init__(self):
        self.seen = []

    def add(self, a, b):
        return a + b

    def keywords(self, **kwargs):
        return kwargs

    def sleep(self, seconds):
        if seconds:     # tests look whether the process sleeps
            time.sleep(seconds)
        return seconds

    def sleep_and_see(self, seconds, path):
        """Makes the file when it is about to sleep for long, and would see that it is interrupted."""
        try:
            if seconds:
                open(path, "x").close()
            time.sleep(seconds)
        except objpool_worker.Cancelled:
            self.seen.append(seconds)
            raise
        return seconds

    def what_was_cancelled(self):
        return self.seen

    def relay(self, target, *args):
        return objpool_worker.call().invoke(target, *args)

    def index(self):
        return objpool_worker.call().index

    def pid(self):
        return os.getpid()

    def abort_at(self, n, last):
        if n == last:
            os.abort()
        return n

    def became(self, n):
        """Another method takes this one's place."""
        self.became = lambda n: "another"
        return n
