# SPDX-License-Identifier: Apache-2.0
"""What a Python runs that is to be a template (_spawn.py): python3 _spawned.py DESCRIPTOR, of a file that says what it needs.

The program's sys.path is set first. So nothing is imported before that but what every interpreter has already.
"""
import marshal
import os
import sys


def main(descriptor):
    """Does not return."""
    with open(descriptor, "rb") as file:
        given = marshal.load(file)
    sys.path[:], sys.argv[:] = given["path"], given["argv"]
    _leave_main()
    _load("objpool_forked", given["module"]).serve(given["listener"], given["program"])


def _leave_main():
    """__main__ is for the classes' own code, and is empty."""
    import types
    script, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    sys.modules["__main__"].__builtins__ = script.__builtins__


def _load(name, path):
    from importlib import machinery, util
    loader = machinery.ExtensionFileLoader(name, path)
    module = util.module_from_spec(util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(70)
