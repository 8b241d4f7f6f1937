# SPDX-License-Identifier: Apache-2.0
"""The plugin `python` of a package for pip: in the place of python.so, it lies beside other plugins as python.py.

objpool-worker becomes the Python that is to run the pool's classes (daemon/worker/plugin_script.c), and that Python runs this.
It is the template from then on, by the extension module objpool_forked for its version. Descriptor 3 is the daemon's channel.
"""
import os
import sys
from importlib import machinery, util

CHANNEL = 3
MODULE = "objpool_forked"


def main(folder):
    """Does not return."""
    import _signal
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # as if Python was embedded
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        del sys.path[0]  # this file's folder
    sys._xoptions.pop("utf8", None)  # not of the pool's options
    sys.argv[:] = [""]
    _leave_main()
    file = f"{folder}/python/{MODULE}{machinery.EXTENSION_SUFFIXES[0]}"
    try:
        module = _load(file)
    except ImportError as error:
        _refuse(f"Python {sys.version.split()[0]}, {sys.executable}, can't run classes: {error}")
    else:
        module.serve_daemon(CHANNEL)


def _leave_main():
    """__main__ is for the classes' own code, and is empty."""
    import types
    script, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    sys.modules["__main__"].__builtins__ = script.__builtins__


def _load(file):
    loader = machinery.ExtensionFileLoader(MODULE, file)
    module = util.module_from_spec(util.spec_from_loader(MODULE, loader))
    loader.exec_module(module)
    return module


def _refuse(reason):
    """Answers the daemon's first packet: [LOADED, nil, reason] (proto/channel.h)."""
    import socket
    text = reason.encode()
    with socket.socket(fileno=CHANNEL) as channel:
        channel.recv(1)
        channel.send(b"\x93\x00\xc0\xda" + len(text).to_bytes(2, "big") + text)


if __name__ == "__main__":
    try:
        main(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(70)
