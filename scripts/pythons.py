#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Which Pythons extension modules can be built for: those of this machine that are one of VERSIONS, and have their headers.

usage: scripts/pythons.py [PYTHON...]

Prints a line for each: the ending of its modules, the folder of its headers, and the interpreter, with colons between. Of Pythons
whose modules have the same ending it names the first. Without arguments it looks at the PATH, in /usr/bin, and at what pyenv, uv
and conda have installed. A PYTHON that is named and can't be built for is an error.
"""
import glob
import os
import subprocess
import sys

VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
_TELL = """
import os, sys, sysconfig
folder = sysconfig.get_path("include")
version = "%d.%d" % sys.version_info[:2]
print(version, sysconfig.get_config_var("EXT_SUFFIX"), folder, os.path.isfile(folder + "/Python.h"), sep="\\n")
"""


def pyenv(version="*"):
    """The interpreters that pyenv has of this version, the newest first."""
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    found = glob.glob(f"{glob.escape(root)}/versions/{version}.*/bin/python3")
    return sorted(found, key=lambda path: [int(n) if n.isdigit() else -1 for n in path.split("/")[-3].split(".")], reverse=True)


def _candidates():
    folders = [folder for folder in os.environ.get("PATH", "").split(":") if folder and not folder.endswith("/shims")]
    for folder in ["/usr/bin", *folders]:
        yield from (f"{folder}/python{version}" for version in ("3", *VERSIONS))
    yield from pyenv("3")
    home = os.path.expanduser("~")
    for pattern in (".local/share/uv/python/*", "miniconda3", "miniforge3", "anaconda3", "mini*3/envs/*", "anaconda3/envs/*"):
        yield from sorted(glob.glob(f"{glob.escape(home)}/{pattern}/bin/python3"))


def look(python):
    """(version, ending, folder of headers) of an interpreter. ValueError: it is none, or there can be no modules for it."""
    try:
        told = subprocess.run([python, "-I", "-c", _TELL], capture_output=True, text=True, check=True)
        version, ending, folder, has_headers = told.stdout.splitlines()
    except (OSError, subprocess.CalledProcessError, ValueError):
        raise ValueError(f"{python} is no Python 3") from None
    if version not in VERSIONS:
        raise ValueError(f"{python} is Python {version}, and not one of {', '.join(VERSIONS)}")
    if has_headers != "True":
        raise ValueError(f"{python} has no {folder}/Python.h (Debian: python3-dev)")
    return version, ending, folder


def _rows(named):
    seen, rows = set(), {}
    for python in named or _candidates():
        path = os.path.realpath(python)
        if not named and (path in seen or not os.access(path, os.X_OK)):
            continue
        seen.add(path)
        try:
            _, ending, folder = look(python)
        except ValueError:
            if named:
                raise
            continue
        if not {" ", ":"} & set(folder + python):  # make could not take it
            rows.setdefault(ending, f"{ending}:{folder}:{python}")
    return rows.values()


if __name__ == "__main__":
    try:
        print(*_rows(sys.argv[1:]), sep="\n")
    except ValueError as error:
        sys.exit(f"scripts/pythons.py: {error}")
