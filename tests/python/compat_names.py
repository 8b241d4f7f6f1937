# SPDX-License-Identifier: Apache-2.0
"""Which public names the originals have, and objpool.compat has not. Not a test of `make check`: it needs the originals.

    pip install --no-deps --target FOLDER multiprocess==0.70.19 objectproxypool==0.0.8 py_stateful_map==0.3 pyparallelize==0.1.0
    python3 tests/python/compat_names.py FOLDER
    python3 tests/python/compat_names.py --table [FOLDER]       the table of multiprocessing (or multiprocess) in docs/COMPAT.md

Compared are modules, names that are defined in them, and of classes methods and attributes. Exit status 1: a name is missing for no
reason that is known here.
"""
import importlib
import inspect
import os
import pathlib
import pkgutil
import sys
import types

sys.path.insert(0, os.environ.get("OBJPOOL_PACKAGE") or str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

PACKAGES = ["multiprocess", "multiprocessing", "objectproxypool", "py_stateful_map", "parallelize"]

#: name, or its beginning up to a *: why objpool.compat hasn't it
REASONS = {
    "multiprocess.reduction.ForkingPickler.*": "dill's own",
    "multiprocess.resource_tracker.*": "of a newer standard library than this Python has",
    "objectproxypool.pool.INIT_COUNTER": "inner part of its workers' start",
    "objectproxypool.pool.MAX_WIN32_*": "no Windows here",
    "objectproxypool.pool.ManagedIterator": "inner part: pools aren't distributed over several",
    "objectproxypool.pool.QueueFamily": "inner part: pools aren't distributed over several",
    "objectproxypool.pool.RLockProxy": "inner part: pools aren't distributed over several",
    "objectproxypool.pool.ResultManager": "inner part: pools aren't distributed over several",
    "objectproxypool.pool.get_chunks_iter": "inner part: pools aren't distributed over several",
    "objectproxypool.pool.Value": "inner part of its Synchronizer",
    "objectproxypool.pool.Synchronizer.*": "workers don't wait for each other: the daemon gives out rounds",
    "objectproxypool.pool.dedicatedFunction": "inner part of its workers: what is for a worker is addressed to it",
    "objectproxypool.pool.object_*": "inner part of its workers",
    "objectproxypool.pool.worker": "inner part of its workers",
    "py_stateful_map.StateFullWorkerWrapper": "inner part of its workers",
    "py_stateful_map.ArgumentPassing.*": "of tuples, which the original happens to be",
    "py_stateful_map.ExceptionBehavior.*": "of tuples, which the original happens to be",
    "py_stateful_map.deprecation_warning_issued": "this is not deprecated",
    "py_stateful_map.issue_warning": "this is not deprecated",
}


def ours(original):
    """The name of the module of objpool.compat that stands for one of an original."""
    package, _, rest = original.partition(".")
    package = "multiprocess" if package == "multiprocessing" else package
    return f"objpool.compat.{package}" + (f".{rest}" if rest else "")


def stand_in_of(original):
    """The same, imported; None: there is none."""
    try:
        return importlib.import_module(ours(original))
    except ModuleNotFoundError as error:
        if error.name != ours(original):
            raise
        return None


def modules_of(package):
    """That and its submodules, but for tests and what can't be imported here."""
    module = importlib.import_module(package)
    yield package, module
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{package}."):
        if ".tests" in found.name or "__main__" in found.name:
            continue
        try:
            yield found.name, importlib.import_module(found.name)
        except ImportError as error:
            if "win32" not in found.name:
                print(f"{found.name} can't be imported: {error}", file=sys.stderr)


def public_names(module):
    """Those that are its own: what it has imported from elsewhere is no part of it, unless __all__ says so."""
    package, said = module.__name__.partition(".")[0], set(getattr(module, "__all__", ()))
    for name, value in sorted(vars(module).items()):
        home = getattr(value, "__module__", None)
        if name in said or not (name.startswith("_") or isinstance(value, types.ModuleType) or
                                (isinstance(home, str) and home.partition(".")[0] != package)):
            yield name, value


def members(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def missing_from(original, module, stand_in):
    """The names that the stand-in lacks."""
    for name, value in public_names(module):
        mine = getattr(stand_in, name, None) if stand_in is not None else None
        if mine is None and not hasattr(stand_in, name):
            yield f"{original}.{name}"
        elif inspect.isclass(value) and mine is not value:
            yield from (f"{original}.{name}.{member}" for member in sorted(members(value) - members(mine)))


def reason_of(name):
    return next((why for known, why in REASONS.items() if name == known or known.endswith("*") and name.startswith(known[:-1])), None)


def is_here(file):
    return "objpool" in (file or "")


def is_ours(name, value, stand_in):
    """Whether objpool's code makes this value of a module of ours. Otherwise the standard library's does, maybe executed once more."""
    value = getattr(value, "__func__", value)
    parts = [value, *vars(value).values()] if inspect.isclass(value) else [value]
    codes = [part.__code__ for part in parts if hasattr(part, "__code__")]
    if codes:
        return any(is_here(code.co_filename) for code in codes)
    home = sys.modules.get(getattr(value, "__module__", None), stand_in)
    return is_here(getattr(home, "__file__", None)) and not any(
        vars(module).get(name) is value for module in tuple(sys.modules.values())
        if module.__name__.startswith("objpool.compat.") and not is_here(getattr(module, "__file__", None)))


def table_of(package):
    """The lines of a table: whose the public names of each module are."""
    yield "| module | objpool's code | the standard library's |"
    yield "|---|---|---|"
    for original, module in modules_of(package):
        stand_in = stand_in_of(original)
        names = [name for name, _ in public_names(module) if hasattr(stand_in, name)]
        mine = [name for name in names if is_ours(name, getattr(stand_in, name), stand_in)]
        if not names:
            continue
        both = [", ".join(f"`{name}`" for name in some) for some in (mine, [name for name in names if name not in mine])]
        yield f"| `{original.partition('.')[2] or package}` | {both[0]} | {both[1]} |"


def main(folder):
    sys.path.insert(1, folder)
    unexplained = []
    for package in PACKAGES:
        count = 0
        for original, module in modules_of(package):
            for name in missing_from(original, module, stand_in_of(original)):
                count += 1
                why = reason_of(name)
                print(f"{name:60} {why or '?'}")
                if why is None:
                    unexplained.append(name)
        print(f"{package}: {count} missing")
    return 1 if unexplained else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--table"]:
        sys.path[1:1] = sys.argv[2:]
        print(*table_of("multiprocess" if sys.argv[2:] else "multiprocessing"), sep="\n")
    else:
        sys.exit(main(*sys.argv[1:]))
