# SPDX-License-Identifier: Apache-2.0
"""Modules that workers would not have as the program has them. Workers are told of two kinds:

- modules that no import would find, because the program loaded them by their file's name, as plugins and tests are loaded;
- modules that the program has reloaded since it made the pool, as notebooks do: workers reload them, too.
"""
import importlib
import importlib.machinery
import os
import sys
import types

from .. import _embedded

_found = (0, {})


def elsewhere():
    """{name: (file, folders of a package or None)} of the modules of this program that no import would find."""
    global _found
    count = len(sys.modules)
    if _found[0] != count:
        _found = (count, dict(_elsewhere(tuple(sys.modules.items()))))
    return _found[1]


def _elsewhere(modules):
    path = set(map(_embedded.absolute, sys.path))
    for name, module in modules:
        spec = getattr(module, "__spec__", None)
        if name == "__main__" or not getattr(spec, "has_location", False):
            continue
        if spec.name != name or not isinstance(spec.origin, str):
            continue
        package, _, _ = name.rpartition(".")
        folders = spec.submodule_search_locations
        if package and getattr(sys.modules.get(package), "__path__", None):
            continue
        folder = os.path.dirname(os.path.dirname(spec.origin) if folders is not None else spec.origin)
        if package or (_embedded.absolute(folder) not in path and os.path.isfile(spec.origin)):
            yield name, (spec.origin, None if folders is None else list(folders))


class Finder:
    """In a worker: finds modules that no other finder does."""

    def __init__(self, modules):
        self._modules = modules

    def find_spec(self, name, path=None, target=None):
        from importlib import machinery, util
        if name in self._modules:
            file, folders = self._modules[name]
            return util.spec_from_file_location(name, file, submodule_search_locations=folders)
        if any(known.startswith(name + ".") for known in self._modules):       # a package without a file
            return machinery.ModuleSpec(name, None, is_package=True)
        return None


class Reloads:
    """Knows what the program has reloaded since this was made. importlib.reload gives a module another __spec__."""

    def __init__(self):
        self._specs = {name: _spec(module) for name, module in tuple(sys.modules.items())}
        self._counts = {}       # name -> how often

    def look(self):
        """{name: how often} of the modules that have been reloaded, or None."""
        for name, module in tuple(sys.modules.items()):
            spec = _spec(module)
            if self._specs.setdefault(name, spec) is not spec and not _is_extension(spec):
                self._specs[name] = spec
                self._counts[name] = self._counts.get(name, 0) + 1
        return dict(self._counts) or None


def _is_extension(spec):
    """Such a module gets another __spec__ when its file is loaded again, and stays as it is."""
    return isinstance(getattr(spec, "loader", None), importlib.machinery.ExtensionFileLoader)


_names_of = types.ModuleType.__dict__["__dict__"].__get__       # lazy modules run code of their own for module.__dict__


def _spec(module):
    """None for an object that only looks like a module, as cffi's libraries do: these have no names of their own."""
    return _names_of(module).get("__spec__") if issubclass(type(module), types.ModuleType) else None


def specs_of(function, names):
    """[(module, __spec__)] of a function's module, of modules among its globals, and of modules with these names in __main__."""
    modules = [sys.modules.get(function.__module__)]
    if isinstance(function, types.FunctionType):
        modules += map(function.__globals__.get, function.__code__.co_names)
    main = sys.modules["__main__"].__dict__
    modules += map(main.get, names or ())
    return [(module, _spec(module)) for module in modules if isinstance(module, types.ModuleType)]


def are_current(specs):
    """True if none of these modules has been reloaded."""
    return all(_spec(module) is spec for module, spec in specs)


class Reloader:
    """In a worker: reloads what the program has reloaded."""

    def __init__(self):
        self._counts = {}

    def follow(self, counts):
        """Returns whether it has reloaded anything."""
        behind = [name for name, count in counts.items() if self._counts.get(name, 0) < count]
        for name in behind:
            self._counts[name] = counts[name]
            if name in sys.modules:     # otherwise its first import reads the file as it is now
                importlib.reload(sys.modules[name])
        return bool(behind)
