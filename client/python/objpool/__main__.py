# SPDX-License-Identifier: Apache-2.0
"""python3 -m objpool [ADDRESS]: where things stand."""
import sys
from importlib import import_module
from typing import List

from . import ObjpoolError, __version__, _embedded, _fork, _template, connect
from ._client import Client

_OPTIONAL = {"numpy": "arrays", "cloudpickle": "code by value", "dill": "code by value", "tqdm": "progress bars"}


def _version_of(name: str) -> str:
    try:
        return str(getattr(import_module(name), "__version__", "installed"))
    except ImportError:
        return "not installed"


def _show(name: str, text: object) -> None:
    print(f"{name + ':':<13}{text}")


def _show_pools(client: Client) -> None:
    pools = client.pools()
    _show("pools", len(pools))
    for pool in pools:
        print(f"  {pool['name']:<20} {pool['class']:<24} {pool['ready']}/{pool['workers']}"
              f" {pool['state']} {pool['error']}".rstrip())


def main(arguments: List[str]) -> int:
    """Prints it; 1: there is no daemon, and none can be started."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        print("usage: python3 -m objpool [ADDRESS]\n\nShows the package, the daemon that objpool.connect() finds, and its pools.")
        return 0 if len(arguments) == 1 else 2
    import msgpack
    _show("objpool", f"{__version__}, {__file__.rpartition('/')[0]}")
    _show("python", f"{sys.version.split()[0]}, {sys.executable}")
    _show("msgpack", ".".join(map(str, msgpack.version)))
    for name, use in _OPTIONAL.items():
        _show(name, f"{_version_of(name)} ({use})")
    _show("objpoold", _embedded.find_program() or f"not found, for a private daemon: {_embedded.why_no_program()}")
    kind = "forks of the program" if _fork.is_default() else "forks of a new process of this Python"
    _show("workers", _template.why_not() or kind)
    try:
        with connect(*arguments) as client:
            _show("daemon", f"{client.server['server']} {client.server['version']} at {client.address}"
                            f"{', private: started for this look' if client.is_private else ''}")
            _show_pools(client)
    except ObjpoolError as error:
        _show("daemon", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
