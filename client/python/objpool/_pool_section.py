# SPDX-License-Identifier: Apache-2.0
"""What objpool.create is given for a pool, and the fork of this program that its workers come from."""
from __future__ import annotations

import os
import sys

from . import _fork
from ._objects import as_object
from ._owned import new_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union


def template_and_section(fork: Optional[bool], what: Any, workers: Union[int, str], args: Sequence[Any],
                         kwargs: Mapping[str, Any], slot_kwargs: Optional[Sequence[Mapping[str, Any]]], name: Optional[str],
                         keys: Dict[str, Any], private: bool) -> Tuple[Optional[_fork.Fork], Dict[str, Any]]:
    """The fork that workers come from, or None if they are no forks, and the parameter of objpool.create."""
    template = _fork_of_program(fork, what, keys, private)
    try:
        return template, _pool_section(what, workers, args, kwargs, slot_kwargs, name, keys, private, template)
    except BaseException:
        if template is not None:
            template.end()
        raise


def _fork_of_program(fork: Optional[bool], what: Any, keys: Mapping[str, Any], private: bool) -> Optional[_fork.Fork]:
    """The fork of this program for a pool of `what` with these keys. None: its workers are to be no forks."""
    fits = private and keys.get("plugin", "python") == "python" and keys.get("isolation", "process") == "process"
    own = [key for key in ("python_path", "python_options", "virtualenv", "preload") if key in keys]
    if fork and own:
        raise ValueError(f"fork=True is not for a pool with {', '.join(own)}")
    if fork and not fits:
        raise ValueError("fork=True is for pools of Python classes in processes of a private daemon")
    if fork and not _fork.is_possible():
        raise ValueError(f"fork=True: {_fork.why_not()}")
    wanted = fork if fork is not None else fits and not own and _fork.is_default() and _fork.can_be()
    return _fork.Fork(factory=None if isinstance(what, str) else what) if wanted else None


def _pool_section(what: Any, workers: Union[int, str], args: Sequence[Any], kwargs: Mapping[str, Any],
                  slot_kwargs: Optional[Sequence[Mapping[str, Any]]], name: Optional[str], keys: Dict[str, Any], private: bool,
                  template: Optional[_fork.Fork]) -> Dict[str, Any]:
    """The parameter of objpool.create for a pool of `what`."""
    section: Dict[str, Any] = {"plugin": "python", **keys, "workers": workers}
    args = list(args)
    if isinstance(what, str):
        section["class"] = what
        stem = what.rpartition(":")[2]
    elif callable(what):
        section["class"] = "objpool:Pickled" if template is None else "objpool:Inherited"
        if template is None:
            args.insert(0, as_object(what))
        stem = getattr(what, "__name__", type(what).__name__)
    else:
        raise TypeError(f"a pool is made of a class or its name, and not of a {type(what).__name__}")
    if template is not None:
        section["template"] = template.address
    elif section["plugin"] == "python" and private:
        section.setdefault("python_path", _fork.worker_path(path for path in sys.path if os.path.isdir(path or ".")))
        section.setdefault("python_options", _fork.worker_options())
    if not isinstance(section.get("python_path", ""), str):
        # The daemon may have another working directory.
        section["python_path"] = [os.path.abspath(path or ".") for path in section["python_path"]]
    if args:
        section["args"] = args
    if kwargs:
        section["kwargs"] = dict(kwargs)
    if slot_kwargs is not None:
        section["slot_kwargs"] = [dict(each) for each in slot_kwargs]
    section["pool"] = name or new_name(stem)
    return section
