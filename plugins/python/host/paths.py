# SPDX-License-Identifier: Apache-2.0
"""Where modules are found. `begin` is called first, before any module of the class is imported."""
import os
import sys

import _objpool

from .objpool_worker import worker_module


def begin(python_path, virtualenv):
    worker_module()
    if not _objpool.in_program:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if virtualenv:
        use_virtualenv(virtualenv)
    sys.path[:0] = python_path


def use_virtualenv(folder):
    """Does what the site module does in the virtual environment's own interpreter."""
    import site

    version = "python%d.%d" % sys.version_info[:2]
    packages = os.path.join(folder, "lib", version, "site-packages")
    try:
        with open(os.path.join(folder, "pyvenv.cfg"), encoding="utf-8") as file:
            lines = [line.partition("=") for line in file]
    except OSError as error:
        raise ValueError(f"virtualenv = {folder}: it is no virtual environment: {error}") from None
    if not os.path.isdir(packages):
        raise ValueError(f"virtualenv = {folder}: it has no lib/{version}/site-packages, and this is {version}")
    keys = {key.strip().lower(): value.strip() for key, _, value in lines}
    if keys.get("include-system-site-packages", "false").lower() != "true":
        system = set(site.getsitepackages())
        sys.path[:] = [path for path in sys.path if path not in system]
    before = list(sys.path)
    site.addsitedir(packages)
    sys.path[:] = before + [path for path in sys.path if path not in before]
    sys.prefix = sys.exec_prefix = folder
    executable = os.path.join(folder, "bin", "python3")
    if os.path.exists(executable):
        sys.executable = executable
