# SPDX-License-Identifier: Apache-2.0
"""A new Python as the template of a pool: the program's own, as multiprocessing would spawn it.

It has the program's interpreter and virtual environment, its options, sys.path and arguments, its environment, working directory
and outputs. It has nothing that the program has imported or set. _spawned.py is what runs in it.
"""
from __future__ import annotations

import marshal
import os
import sys

from . import _process, _template
from .errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterable, Iterator, List, Tuple

_FOLDER = os.path.dirname(os.path.abspath(__file__))
_SEED = "PYTHONHASHSEED="
_FLAGS = {"debug": "-d", "dont_write_bytecode": "-B", "no_site": "-S", "verbose": "-v", "bytes_warning": "-b", "quiet": "-q",
          "optimize": "-O"}
_ISOLATION = {"ignore_environment": "-E", "no_user_site": "-s", "safe_path": "-P"}


def _options() -> Iterator[str]:
    """The options with which this program's interpreter was started."""
    flags = sys.flags
    if flags.isolated:
        yield "-I"
    else:
        yield from (option for name, option in _ISOLATION.items() if getattr(flags, name, False))
    for name, option in _FLAGS.items():
        yield from [option] * getattr(flags, name)
    yield from (f"-W{option}" for option in sys.warnoptions)
    yield from (f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items())
    if flags.dev_mode and "dev" not in sys._xoptions:
        yield "-Xdev"


def command() -> List[str]:
    """The interpreter that is started, with its options. multiprocessing.set_executable may have named another."""
    spawn = sys.modules.get("multiprocessing.spawn")
    executable = spawn.get_executable() if spawn is not None else sys.executable
    return [os.fsdecode(executable or "sys.executable"), *_options()]  # a program that embeds Python may have none


def path() -> Iterator[str]:
    """The program's sys.path: all folders in full, for a process that may have another working directory."""
    for entry in sys.path:
        if os.path.exists(entry or "."):
            try:
                yield os.path.abspath(entry or ".")
            except FileNotFoundError:
                pass
        else:
            yield entry  # of an import hook


class Spawned(_template.Template):
    """Such a process, which waits for the daemon. `options`: as the key python_options has them, after the program's own."""

    def __init__(self, options: Iterable[str] = ()) -> None:
        super().__init__()
        found = list(path())
        found += {os.path.dirname(_FOLDER)}.difference(found)  # this package is there, wherever the program has it from
        given = {"module": _template.module().__file__, "program": self._program, "path": found, "argv": list(sys.argv)}
        arguments, seed = _parted(options)
        try:
            with self._listener() as listener:
                given["listener"] = listener.fileno()
                _start(self._pids, [*command(), *arguments, f"{_FOLDER}/_spawned.py"], {**os.environ, **seed}, given)
            self._begun()
        except BaseException:  # an interrupt comes at any moment
            self._discard()
            raise


def _parted(options: Iterable[str]) -> Tuple[List[str], Dict[str, str]]:
    """Options of the command line, and the variable of the environment among them: the hash seed."""
    arguments: List[str] = []
    seed = {}
    for option in options:
        if option.startswith(_SEED):
            seed[_SEED[:-1]] = option[len(_SEED):]
        elif len(option) > 1 and option[0] == "-" or arguments and arguments[-1] in ("-W", "-X"):
            arguments.append(option)
        else:
            raise ValueError(f'python_options: "{option}" is no option of the interpreter')
    return arguments, seed


def _start(pids: List[int], arguments: List[str], environment: Dict[str, str], given: Dict[str, Any]) -> None:
    file, nothing = _process.high(os.memfd_create("objpool-template")), _process.high(os.open(os.devnull, os.O_RDONLY))
    try:
        os.write(file, marshal.dumps(given))
        os.lseek(file, 0, os.SEEK_SET)
        _process.start(pids, [*arguments, str(file)], environment, nothing, (file, given["listener"]))
    except OSError as error:
        raise Unavailable(f"{arguments[0]} can't be started: {error.strerror}", ran="no") from error
    finally:
        os.close(file)
        os.close(nothing)
