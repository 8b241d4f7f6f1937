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
import pathlib
import pkgutil
import sys
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "client" / "python"))

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
    """The module of objpool.compat that stands for one of an original."""
    package, _, rest = original.partition(".")
    package = "multiprocess" if package == "multiprocessing" else package
    return f"objpool.compat.{package}" + (f".{rest}" if rest else "")


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


def file_of(value, stand_in):
    """The file that a value of our module is defined in."""
    value = getattr(value, "__func__", value)
    codes = [value.__code__] if hasattr(value, "__code__") else [
        member.__code__ for member in vars(value).values() if hasattr(member, "__code__")] if inspect.isclass(value) else []
    if codes:
        return codes[0].co_filename
    module = sys.modules.get(getattr(value, "__module__", None), stand_in)
    return getattr(module, "__file__", None) or stand_in.__file__


def print_table(package):
    """A row for each module: which of its public names are objpool's, the standard library's, or missing."""
    print("| module | objpool's | the standard library's | missing |\n|---|---|---|---|")
    for original, module in modules_of(package):
        try:
            stand_in = importlib.import_module(ours(original))
        except ImportError:
            stand_in = None
        rows = {"ours": [], "the standard library's": [], "missing": []}
        for name, _ in public_names(module):
            if stand_in is None or not hasattr(stand_in, name):
                rows["missing"].append(name)
            else:
                is_ours = "objpool" in file_of(getattr(stand_in, name), stand_in)
                rows["ours" if is_ours else "the standard library's"].append(name)
        print(f"| `{original.partition('.')[2] or package}` | " + " | ".join(", ".join(names) for names in rows.values()) + " |")


def main(folder):
    sys.path.insert(1, folder)
    unexplained = []
    for package in PACKAGES:
        count = 0
        for original, module in modules_of(package):
            try:
                stand_in = importlib.import_module(ours(original))
            except ImportError:
                stand_in = None
            for name in missing_from(original, module, stand_in):
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
        print_table("multiprocess" if sys.argv[2:] else "multiprocessing")
    else:
        sys.exit(main(*sys.argv[1:]))
