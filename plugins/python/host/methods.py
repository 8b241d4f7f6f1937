# SPDX-License-Identifier: Apache-2.0
"""Which methods and hooks a class has."""
import types

from .reading import readers

# The hooks of the plugin interface that a class may have, and how many arguments each takes.
HOOKS = {"session_end": 1, "leased": 1, "released": 1, "snapshot": 0, "restore": 1}
SPECIAL = frozenset("__call__ __getitem__ __setitem__ __delitem__ __len__ __contains__ __iter__ __next__ __enter__ __exit__"
                    .split())


def is_open(cls, name):
    """True if clients may call the method: its name has no underscore in front, or is of SPECIAL and defined by the class."""
    if not name.startswith("_"):
        return True
    return name in SPECIAL and any(name in vars(base) for base in cls.__mro__ if base is not object)


def find_method(instance, name):
    """False: there is none that clients may call. Else what reads its arguments; True: they stay as they come."""
    found = is_open(type(instance), name) and callable(getattr(instance, name, None))
    return found and readers.methods.get(name, True)


def has_hook(cls, name):
    """True if the class has the hook, with arguments that fit. `snapshot` needs `restore`."""
    if name == "snapshot" and not has_hook(cls, "restore"):
        return False
    found = getattr(cls, name, None)
    if not isinstance(found, types.FunctionType):
        return False
    import inspect
    try:
        inspect.signature(found).bind(*[None] * (HOOKS[name] + 1))
    except TypeError:
        return False
    return True
