#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of the Python client with each version of Python that pyenv has of those in pythons.py, and says which it has not.

usage: scripts/python_versions.py BUILD [ARGUMENT...]        (arguments of pytest; default: tests/python)

Each version has a virtual environment in BUILD/venv, for which pip gets PACKAGES once. Its extension modules are built if they
are not there.
"""
import os
import subprocess
import sys

import pythons

PACKAGES = ("msgpack", "numpy", "cloudpickle", "cryptography", "dill", "pytest", "pytest-xdist")


def _environment(build, version, python):
    """The interpreter of the version's virtual environment, which is made if it is not there."""
    folder = os.path.abspath(f"{build}/venv/{version}")
    ready = f"{folder}/.{'-'.join(PACKAGES)}"
    if not os.path.exists(ready):
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([f"{folder}/bin/pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES], check=True)
        with open(ready, "w", encoding="utf-8"):
            pass
    return f"{folder}/bin/python"


def _test(build, version, arguments):
    """What came of it, in words; and whether that is a failure."""
    python = next(iter(pythons.pyenv(version)), None)
    if python is None:
        return f"skipped: pyenv has none (pyenv install {version})", False
    try:
        pythons.look(python)
    except ValueError as error:
        return f"skipped: {error}", False
    print(f"== Python {version}: {python}", flush=True)
    try:
        subprocess.run(["make", "--no-print-directory", "-s", f"B={build}", "forked", f"FOR={python}"], check=True)
        inside = _environment(build, version, python)
        subprocess.run([inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], check=True,
                       env={**os.environ, "OBJPOOL_BUILD": build})
    except subprocess.CalledProcessError as error:
        return f"failed: {' '.join(error.cmd)}", True
    return f"passed ({python})", False


def main(build, *arguments):
    results = {version: _test(build, version, arguments or ("tests/python",)) for version in pythons.VERSIONS}
    for version, (words, _) in results.items():
        print(f"Python {version}: {words}")
    return any(failed for _, failed in results.values())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
