# SPDX-License-Identifier: Apache-2.0
"""What objpool.create is given for a pool, and the process of this program's that its workers come from."""
from __future__ import annotations

import os

from . import _fork, _spawn
from ._objects import as_object
from ._owned import new_name
from ._template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union


def template_and_section(fork: Optional[bool], what: Any, workers: Union[int, str], args: Sequence[Any],
                         kwargs: Mapping[str, Any], slot_kwargs: Optional[Sequence[Mapping[str, Any]]], name: Optional[str],
                         keys: Dict[str, Any], private: bool) -> Tuple[Optional[Template], Dict[str, Any]]:
    """The template that workers come from, or None if the daemon starts it, and the parameter of objpool.create."""
    template = _template_of(fork, what, keys, private)
    try:
        return template, _pool_section(what, workers, args, kwargs, slot_kwargs, name, keys, template)
    except BaseException:
        if template is not None:
            template.end()
        raise


def _template_of(fork: Optional[bool], what: Any, keys: Mapping[str, Any], private: bool) -> Optional[Template]:
    """The template for a pool of `what` with these keys. None: it is the daemon's affair."""
    fits = private and keys.get("plugin", "python") == "python" and keys.get("isolation", "process") == "process"
    own = [key for key in ("python_path", "python_options", "virtualenv", "preload") if key in keys]
    if fork and own:
        raise ValueError(f"fork=True is not for a pool with {', '.join(own)}")
    if fork and not fits:
        raise ValueError("fork=True is for pools of Python classes in processes of a private daemon")
    if not fits:
        return None
    if fork if fork is not None else not own and _fork.is_default():
        return _fork.Fork(factory=None if isinstance(what, str) else what)
    options = keys.get("python_options", ())
    if isinstance(options, str):
        import json
        options = json.loads(options)
    return _spawn.Spawned(options)


def _pool_section(what: Any, workers: Union[int, str], args: Sequence[Any], kwargs: Mapping[str, Any],
                  slot_kwargs: Optional[Sequence[Mapping[str, Any]]], name: Optional[str], keys: Dict[str, Any],
                  template: Optional[Template]) -> Dict[str, Any]:
    """The parameter of objpool.create for a pool of `what`."""
    section: Dict[str, Any] = {"plugin": "python", **keys, "workers": workers}
    args = list(args)
    if isinstance(what, str):
        section["class"] = what
        stem = what.rpartition(":")[2]
    elif callable(what):
        is_forked = isinstance(template, _fork.Fork)
        section["class"] = "objpool:Inherited" if is_forked else "objpool:Pickled"
        if not is_forked:
            args.insert(0, as_object(what))
        stem = getattr(what, "__name__", type(what).__name__)
    else:
        raise TypeError(f"a pool is made of a class or its name, and not of a {type(what).__name__}")
    if template is not None:
        section["template"] = template.address
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
