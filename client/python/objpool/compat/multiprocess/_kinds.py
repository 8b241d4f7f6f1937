# SPDX-License-Identifier: Apache-2.0
"""Which referents a manager's server calls on its own thread, because none of their methods waits or takes long. All others have
threads. An ident (_referents.py) says which it is."""
import array
import collections
import queue
import threading

from ._referent_locks import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore
from ._referent_queue import Queue

THREADS, AHEAD = 1, 2       # bits of an ident: the referent has threads; some of its calls may be sent ahead
NUMBER_BITS = 34            # of an ident: the rest says which server has made it

_here = {list, dict, set, array.array, bytearray, collections.deque, Barrier, BoundedSemaphore, Condition, Event, Lock, RLock,
         Semaphore, Queue,
         *map(type, (iter([]), iter({}), iter({}.values()), iter({}.items()), iter(()), iter(""), iter(set()), reversed([])))}

_instead = {queue.Queue: Queue, threading.Lock: Lock, threading.RLock: RLock, threading.Semaphore: Semaphore,
            threading.BoundedSemaphore: BoundedSemaphore, threading.Condition: Condition, threading.Event: Event,
            threading.Barrier: Barrier}


def in_place_of(callable):
    """What makes a referent in the place of this: one of this package, if it is the standard library's."""
    try:
        return _instead.get(callable, callable)
    except TypeError:       # it can't be hashed
        return callable


def keep(registry):
    """What a server's worker makes of the registry that it gets."""
    return registry


def runs_here(kind):
    """Adds a type, or a function that makes objects of such a type."""
    _here.add(kind)
    return kind


def is_made_here(callable):
    """Whether what makes a referent may be called on the server's thread."""
    try:
        return callable in _here or callable in _instead
    except TypeError:
        return False


def flags_of(value):
    if type(value) not in _here:
        return THREADS
    return AHEAD if type(value) is not Queue or value.maxsize <= 0 else 0
