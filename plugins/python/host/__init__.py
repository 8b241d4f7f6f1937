# SPDX-License-Identifier: Apache-2.0
"""What the python plugin does in Python: what comes before calls (paths, imports, describing a class), and what is rare (values
that are not plain, exceptions). A call with plain values runs nothing of this: its loop is in C.

The Makefile compiles these files into the plugin. interpreter.c runs them in a pool's template, each as a module of its own, in
the order of the Makefile's PYTHON_HOST. This file comes last: it has the functions that C calls. `_objpool` is the plugin's other
half, in C.
"""
from .arrays import array
from .coroutines import end_loop, finish, gone, iterate, room, settle, start, step, wants
from .describe import describe
from .factory import check, load
from .failures import failure
from .life import child_ends, worker_begins, worker_ends, worker_interruptible
from .methods import find_method, has_hook
from .objects import loads
from .paths import begin
from .values import encode, instant

__all__ = ["array", "begin", "check", "child_ends", "describe", "encode", "end_loop", "failure", "find_method", "finish", "gone",
           "has_hook", "instant", "iterate", "load", "loads", "room", "settle", "start", "step", "wants", "worker_begins",
           "worker_ends", "worker_interruptible"]
