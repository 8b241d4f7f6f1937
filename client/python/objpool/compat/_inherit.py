# SPDX-License-Identifier: Apache-2.0
"""Makes a worker's process what a child of the program would be.

A worker that is a fork of the program takes an Inheritance. A worker that comes from a template calls become() with what the
program has sent of itself (_setup.py).
"""
import os
import sys

from . import _descriptors, _names

inherited = None        # in workers that are forks of the program: its Inheritance


class Inheritance:
    """What a program leaves to the workers that are forked from it. Nothing of it is ever pickled."""

    def __init__(self, initializer, initargs, factory, slot_kwargs, name):
        from multiprocessing import process
        self.initializer, self.initargs = initializer, initargs
        self.factory, self.slot_kwargs, self.name = factory, slot_kwargs, name
        self.program, self.parent = os.getpid(), process.current_process().name

    def take(self):
        """Called in the fork that is going to be the template."""
        global inherited
        inherited = self

    def begin(self, slot):
        """Called in the worker. Returns the worker's object."""
        _name_process(self.name, slot, self.parent, self.program)
        if self.initializer is not None:
            self.initializer(*self.initargs)
        if self.factory is None:
            return None
        make, args, kwargs = self.factory[0], self.factory[1], self.slot_kwargs or [{}]
        return make(*args, **kwargs[slot % len(kwargs)])


def become(setup, slot):
    """Takes over what a child of the program would have from it."""
    _names.stand_for(setup["program"])
    os.umask(setup["umask"])
    try:
        os.chdir(setup["cwd"] or os.curdir)
    except OSError:
        pass        # the folder has been removed
    os.environ.clear()
    os.environ.update(setup["environ"])
    sys.argv[:] = setup["argv"]
    sys.setrecursionlimit(setup["recursion"])
    _print_where_the_program_does(setup["pid"], setup["output"])
    _name_process(setup["name"], slot, setup["parent"], setup["pid"])
    from multiprocessing import process
    process.current_process()._config["authkey"] = process.AuthenticationString(setup["authkey"])


def _name_process(name, slot, parent, program):
    """Sets what multiprocessing tells of the process."""
    from multiprocessing import process
    current = process.current_process()
    current._config["daemon"] = True
    current._name = f"{name}-{slot + 1}"
    current._identity = (*current._identity, slot + 1)      # many programs take the worker's number from there
    current._parent_name, current._parent_pid = parent, program
    try:
        sentinel = os.pidfd_open(program)       # readable once the program has ended, as multiprocessing's is
    except OSError:
        sentinel = None
    process._parent_process = process._ParentProcess(parent, program, sentinel)


def _print_where_the_program_does(pid, descriptors):
    for descriptor in (1, 2):
        try:
            opened = _output_of(pid, descriptor) if descriptor in descriptors else os.open(os.devnull, os.O_WRONLY)
        except OSError:         # closed, or another user's: what is printed goes to the daemon's log
            continue
        os.dup2(opened, descriptor)
        os.close(opened)


def _output_of(pid, descriptor):
    try:
        return _descriptors.copy(pid, descriptor)
    except OSError:             # not permitted; but a pipe or a terminal can be opened once more
        return os.open(f"/proc/{pid}/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
