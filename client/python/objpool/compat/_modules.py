# SPDX-License-Identifier: Apache-2.0
"""Modules that the program has from files which no import would find: loaded by their file's name, as plugins and tests are.
Workers are told where they are."""
import os
import sys

_found = (0, {})


def elsewhere():
    """{name: (file, folders of a package or None)} of those modules of this program."""
    global _found
    count = len(sys.modules)
    if _found[0] != count:
        _found = (count, dict(_elsewhere(tuple(sys.modules.items()))))
    return _found[1]


def _elsewhere(modules):
    path = {os.path.abspath(folder) for folder in sys.path}
    for name, module in modules:
        spec = getattr(module, "__spec__", None)
        if name == "__main__" or not getattr(spec, "has_location", False) or spec.name != name or not isinstance(spec.origin, str):
            continue
        package, _, _ = name.rpartition(".")
        folders = spec.submodule_search_locations
        if package and getattr(sys.modules.get(package), "__path__", None):
            continue
        folder = os.path.dirname(os.path.dirname(spec.origin) if folders is not None else spec.origin)
        if package or (os.path.abspath(folder) not in path and os.path.isfile(spec.origin)):
            yield name, (spec.origin, None if folders is None else list(folders))


class Finder:
    """Finds them, when nobody else does."""

    def __init__(self, modules):
        self._modules = modules

    def find_spec(self, name, path=None, target=None):
        from importlib import machinery, util
        if name in self._modules:
            file, folders = self._modules[name]
            return util.spec_from_file_location(name, file, submodule_search_locations=folders)
        if any(known.startswith(name + ".") for known in self._modules):       # a package that is only a name
            return machinery.ModuleSpec(name, None, is_package=True)
        return None
