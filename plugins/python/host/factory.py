# SPDX-License-Identifier: Apache-2.0
"""Loads what makes a pool's instances. This happens in the template, from which the workers are forked."""
import gc
import importlib
import sys
import threading

import _objpool

from .own_classes import Functions, pickled_class
from .reading import readers
from .resolve import resolve


def load(name, preload, may_pickle, args):
    """Called in the template. Returns what makes instances."""
    for module in preload:
        importlib.import_module(module)
    found = find_class(name, may_pickle, args)
    if _objpool.in_program:
        gc.freeze()
        return found
    started = threading.active_count() - 1
    if started:
        print(f"imports have started {started} thread{'s' * (started > 1)}, which the workers don't have", file=sys.stderr)
    gc.collect()
    gc.freeze()  # the workers' collectors leave alone what exists now, so that its memory stays shared
    return found


def check(factory, args, kwargs):
    """For objpoold --check: raises an exception if the constructor, so far as it tells, does not take these arguments."""
    import inspect
    if readers.constructor is not None:
        readers.constructor([*args, *kwargs.values()], tuple(kwargs))
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"the constructor, {signature}, does not take these arguments: {error}") from None


def find_class(name, may_pickle, args):
    module, _, path = name.partition(":")
    if module == "objpool":
        return load_own(path, may_pickle, args)
    found = resolve(name)
    if not callable(found):
        raise TypeError(f"{name} is a {type(found).__name__}, and nothing that can be called for an instance")
    return found


def load_own(name, may_pickle, args):
    if name == "Inherited" and _objpool.in_program:
        return sys.modules["objpool._fork"].inherited
    if name not in ("Pickled", "Functions"):
        raise ValueError(f"there is no class objpool:{name}; there are objpool:Pickled and objpool:Functions")
    if not may_pickle:
        raise ValueError(f"objpool:{name} runs what callers send: it needs unpickle = yes")
    if name == "Functions":
        return Functions
    return pickled_class(args)
