# SPDX-License-Identifier: Apache-2.0
"""A class whose methods start processes that test_descendants.py looks for."""
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys
import time


def sleep(channel=None):
    time.sleep(3600)


def family(leaves):
    """A child that has a child, and waits."""
    if leaves:
        os.setsid()
    if os.fork() == 0:
        sleep()
    sleep()


class Family:
    def pid(self):
        return os.getpid()

    def fork(self, leaves=False):
        """The pid of a child, which makes another."""
        pid = os.fork()
        if pid == 0:
            family(leaves)
        return pid

    def run(self):
        """The pid of a program that was started."""
        self.program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        return self.program.pid

    def pool(self):
        """Pids of the workers of two pools."""
        self.executor = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
        self.multi = multiprocessing.get_context("fork").Pool(1)
        return [self.executor.submit(os.getpid).result(), self.multi.apply(os.getpid)]

    def leave(self):
        """Ends without a word."""
        os._exit(3)
