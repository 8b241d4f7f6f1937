# SPDX-License-Identifier: Apache-2.0
"""What a program tells of itself to workers that are not its forks. _inherit.py makes them like children of the program."""
import os
import pickle
import sys
from multiprocessing import process

from .. import _embedded, _process, _spawn
from . import _modules
from ._names import program
from ._picklers import PROTOCOL


def pack(sender, name, initializer, initargs, factory, slot_kwargs):
    """The pickle that the Worker's `begin` takes. name: the workers' name in multiprocessing, without their number."""
    code, names = sender.dumps((initializer and (initializer, tuple(initargs)), factory and (*factory, slot_kwargs or [{}])))
    names = names or {}
    current = process.current_process()
    return pickle.dumps({
        "path": list(_spawn.path()), "modules": _modules.elsewhere(), "recursion": sys.getrecursionlimit(),
        "cwd": _embedded.absolute(""), "environ": dict(os.environ), "argv": sys.argv, "umask": _umask(),
        "pid": os.getpid(), "program": program(), "output": list(filter(_process.is_standard, (1, 2))),
        "authkey": bytes(current.authkey), "name": name, "parent": current.name,
        "names": names, "definitions": sender.definitions(names.values()), "code": code}, PROTOCOL)


def _umask():
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))
    except (OSError, StopIteration):
        return 0o022
