# SPDX-License-Identifier: Apache-2.0
"""Finds what a name in a configuration or a call stands for."""
import importlib


def resolve(name):
    """What `module:Class` or `module:Outer.Inner` names."""
    module, _, path = name.partition(":")
    if not module or not path:
        raise ValueError(f"\"{name}\" must be module:name")
    found = importlib.import_module(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AttributeError(f"module {module} has no {path}") from None
    return found
