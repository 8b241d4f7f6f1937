# SPDX-License-Identifier: Apache-2.0
"""Builds the package's extension modules with the checkout's Makefile, for the Python that it is installed into.

Without them (no compiler, no headers, no checkout) the package is installed all the same: it can call daemons, but make no pools
of Python classes in a daemon of the program's own, and says so.
"""
import os
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import ExecError

CHECKOUT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODULES = ("objpool_forked", "objpool_sync", "objpool_wire")


class MakeModules(build_ext):
    def build_extension(self, ext):
        command = ["make", "-C", CHECKOUT, "forked", f"FOR={sys.executable}"]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ExecError(f"{ext.name}: {error}") from None
        built = self.get_ext_fullpath(ext.name)
        os.makedirs(os.path.dirname(built), exist_ok=True)
        shutil.copyfile(f"{CHECKOUT}/build/python/{os.path.basename(built)}", built)


setup(ext_modules=[Extension(f"objpool.{name}", [], optional=True) for name in MODULES], cmdclass={"build_ext": MakeModules})
