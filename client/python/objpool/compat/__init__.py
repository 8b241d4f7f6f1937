# SPDX-License-Identifier: Apache-2.0
"""Modules that take the place of others: a program written for them runs on objpool when its import line is changed.

There are objpool.compat.multiprocess, objpool.compat.objectproxypool, objpool.compat.py_stateful_map, and
objpool.compat.parallelize: see docs/COMPAT.md.
"""
from .. import _system

if not _system.OWN_DAEMON:
    raise ImportError(f"objpool.compat needs a daemon of the program's own, and {_system.NO_OWN_DAEMON},"
                      " and use objpool.connect() in place of objpool.compat")
