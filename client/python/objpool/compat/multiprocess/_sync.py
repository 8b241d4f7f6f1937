# SPDX-License-Identifier: Apache-2.0
"""The extension module with which locks and queues survive their holders (client/python/sync), and how its objects travel.

    sync        the module; None: this Python has none, so locks and queues are the standard library's, as a warning says once

An object of the module lies in shared memory. What travels is a descriptor of that memory, as descriptors do in
multiprocessing, and where the object lies in it.
"""
import copyreg
import warnings

from ..._extension import NoModule, load


def _load():
    try:
        return load("objpool_sync")
    except NoModule as error:
        warnings.warn(f"locks and queues are the standard library's, and what a killed process holds is lost ({error})",
                      RuntimeWarning, stacklevel=2)
        return None


sync = _load()


def _duplicate(descriptor):
    """What is sent in place of a descriptor."""
    from . import context
    from .reduction import DupFd
    popen = context.get_spawning_popen()
    # A descriptor can be passed to a spawned child once only.
    if popen is not None and descriptor in getattr(popen, "_fds", ()) and popen.method == "spawn":
        return popen.DupFd(descriptor)
    return DupFd(descriptor)


def _attach(kind, *descriptors):
    return kind(*(descriptor.detach() for descriptor in descriptors))


def _reduce_arena(arena):
    return _attach, (type(arena), _duplicate(arena.fileno()))


def _reduce_log(log):
    return _attach, (type(log), *map(_duplicate, log.files()))


def _reduce_block(block):
    return type(block), block.export()


def _reduce_object(value):
    return type(value), value._arguments()


if sync is not None:
    copyreg.pickle(sync.Arena, _reduce_arena)
    copyreg.pickle(sync.Log, _reduce_log)
    copyreg.pickle(sync.Block, _reduce_block)
    for _type in (sync.Lock, sync.Room):
        copyreg.pickle(_type, _reduce_object)


class Shared:
    """A mixin for subclasses of the module's types, which it pickles. _base: the type."""

    __slots__ = ()

    def __reduce__(self):
        return _rebuild, (type(self), self._arguments()), self.__dict__ or None


def _rebuild(cls, arguments):
    return cls._base.__new__(cls, *arguments)
