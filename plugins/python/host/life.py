# SPDX-License-Identifier: Apache-2.0
"""The beginning and the end of a worker's process."""
import os
import signal
import sys
import threading

import _objpool

from .coroutines import event_loop
from .objpool_worker import Cancelled


def worker_begins(slot_env, slot):
    if slot < len(slot_env):    # the process has these variables already; Python knows those of the template
        os.environ.update(slot_env[slot])
    if sys.version_info < (3, 10) and "asyncio" in sys.modules:
        event_loop()    # the locks and queues of asyncio that a constructor makes belong to the loop that it finds
    import faulthandler
    faulthandler.enable(file=2)
    os.register_at_fork(after_in_child=_objpool.forked)
    random = sys.modules.get("numpy.random")
    if random is not None:  # otherwise all workers would draw the same numbers; Python seeds its own random itself
        random.seed()


def worker_interruptible(number):
    def on_signal(*_):
        if _objpool.interrupts():
            raise Cancelled("the call was cancelled")

    signal.signal(number, on_signal)


def worker_ends():
    """Does what the end of a program does, except that the interpreter stays."""
    import atexit

    threading._shutdown()
    atexit._run_exitfuncs()
    flush()


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def child_ends(error):
    """Ends a process that a method has forked and that returns from the method: it must not answer in the worker's place."""
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    elif error is not None:
        import traceback
        traceback.print_exception(error)
        status = 1
    flush()
    os._exit(status & 0xff)
