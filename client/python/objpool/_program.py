# SPDX-License-Identifier: Apache-2.0
"""The commands objpoold and objpool of a package that has the daemon in it (packaging/wheel)."""
from __future__ import annotations

import os
import sys

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin")  #: as a build tree; not there: the package is the client


def _run(name: str) -> None:
    """Becomes the program. What it starts in this Python it finds by OBJPOOL_PYTHON."""
    path = os.path.join(FOLDER, name)
    try:
        os.execve(path, [name, *sys.argv[1:]], {"OBJPOOL_PYTHON": sys.executable, **os.environ})
    except OSError as error:
        sys.exit(f"{name}: {path} can't be started: {error.strerror}")


def client() -> None:
    """objpool"""
    _run("objpool")


def daemon() -> None:
    """objpoold"""
    _run("objpoold")
