# SPDX-License-Identifier: Apache-2.0
"""Finds the modules of this package that have no file here, because their code is the standard library's.

SHARED modules are the standard library's own: a program has one table of children, one resource tracker, one log.
connection.py, _standard_managers.py, shared_memory.py and sharedctypes.py have the standard library's code, that of the Python that runs,
executed once more: its relative imports find what this package has by those names, and the standard library's module is not
touched. They go on from there.
"""
import importlib
import importlib.machinery
import importlib.util
import sys

__all__ = ["Finder", "execute_again"]

SHARED = ("forkserver", "popen_fork", "process", "resource_sharer", "resource_tracker", "spawn", "util")


def original_of(name):
    return "multiprocessing." + name.rpartition(".")[2]


class Finder:
    """Comes last in sys.meta_path: a file of this package goes first."""

    def __init__(self, package):
        self._package = package

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.rpartition(".")
        return importlib.machinery.ModuleSpec(name, _Shared) if package == self._package and module in SHARED else None


class _Shared:
    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        sys.modules[module.__name__] = importlib.import_module(original_of(module.__name__))


def execute_again(module, name=None):
    """Executes the standard library's code in this module, which has the same name here, or takes that of another."""
    module.__name__ = name or module.__name__
    original = importlib.util.find_spec(original_of(module.__name__))
    module.__file__ = original.origin
    exec(original.loader.get_code(original.name), module.__dict__)
