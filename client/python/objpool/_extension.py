# SPDX-License-Identifier: Apache-2.0
"""Finds and loads extension modules: of the daemon's build, or those that pip has built into this package. Each is for one version
of Python, as its file's name says."""
from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import os
import sys

from . import __version__, _embedded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]  #: of modules for this version of Python
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


class NoModule(Exception):
    """The extension module can't be had; the text says why, and what helps."""


def load(name: str) -> Any:
    """The extension module of this name; raises NoModule."""
    program = _embedded.find_program()
    if program is None:
        raise NoModule(_embedded.why_no_program())
    file = name + SUFFIX
    folder = os.path.dirname(os.path.realpath(program))
    for path in (f"{folder}/python/{file}", f"{folder}/../lib/objpool/python/{file}", f"{_PACKAGE}/{file}"):
        if os.path.exists(path):
            return _load(name, path)
    raise NoModule(f"there is no {file} for {program}: {_how_to_build(folder)}")


@functools.lru_cache(maxsize=None)
def find(name: str) -> Any:
    """The extension module of this name, or a NoModule."""
    try:
        return load(name)
    except NoModule as error:
        return error


def _how_to_build(folder: str) -> str:
    import shlex
    if folder == os.path.join(_PACKAGE, "bin"):
        return "the package was built for other Pythons; from its source archive, pip builds it for this one"
    checkout, build = os.path.split(folder)
    command = f"forked FOR={shlex.quote(sys.executable or 'python3')}"
    if build == "build" and os.path.isfile(f"{checkout}/Makefile"):
        return f"`make -C {shlex.quote(checkout)} {command}` builds it"
    return f"`make {command} && sudo make install` in objpool's source builds and installs it"


def _load(name: str, path: str) -> Any:
    module = sys.modules.get(name)
    if getattr(module, "__file__", None) != path:
        try:
            module = _load_file(name, path)
        except ImportError as error:  # of a library that it needs
            raise NoModule(f"{path} can't be loaded: {error}") from None
    version = getattr(module, "__version__", None)
    if version != __version__:  # module and package are made for each other
        raise NoModule(f"{path} is of objpool {version}, and this package of {__version__}")
    return module


def _load_file(name: str, path: str) -> Any:
    """Puts the module into sys.modules, too. To load it once more would give it another __spec__, as if it had been reloaded."""
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    loader.exec_module(module)
    return module
