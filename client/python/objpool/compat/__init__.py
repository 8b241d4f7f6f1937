# SPDX-License-Identifier: Apache-2.0
"""Modules that take the place of others: a program written for them runs on objpool when its import line is changed.

There are objpool.compat.multiprocess, objpool.compat.objectproxypool, objpool.compat.py_stateful_map, and
objpool.compat.parallelize: see docs/COMPAT.md.
"""
