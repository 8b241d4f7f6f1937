# SPDX-License-Identifier: Apache-2.0
"""Locks that a fork inherits while threads hold them that it does not have: nobody releases them there.

* Locks of logging's handlers: `held_for_fork` keeps the program's other threads out of them while it is forked; logging gives
  the fork new locks.
* Locks of files that are written to: `renew` gives the files new locks in the fork.
* Locks of modules that are being imported: `forget_imports` makes the fork import them itself.
* Other locks: `waits_for_ever` tells a process that waits for such a lock from one that is only slow.
"""
from __future__ import annotations

import _frozen_importlib  # type: ignore[import-not-found]
import collections
import contextlib
import gc
import io
import itertools
import os
import sys
import threading
import time

from . import _system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, List, Optional, Set

_PATIENCE = 0.5  # seconds; a handler may be busy with something slow
_RLock = type(threading.RLock())


_quiet: Set[int] = set()  # threads of this package, which write to no file and log nothing


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The thread that is in it holds no lock that a fork of the program could miss."""
    _quiet.add(threading.get_ident())
    try:
        yield
    finally:
        _quiet.discard(threading.get_ident())


def _threads() -> Set[int]:
    """The threads of Python. Python 3.11 holds a lock meanwhile that threads need to end: with garbage collection, a finalizer that
    releases the GIL would wait for ever for such a thread, which has the GIL."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return set(sys._current_frames())
    finally:
        if collects:
            gc.enable()


def has_threads() -> bool:
    """Are there threads of Python but this one, and those that are quiet?"""
    return bool(_threads() - _quiet - {threading.get_ident()})


@contextlib.contextmanager
def held_for_fork() -> Iterator[None]:
    """In the child all of them are new: logging sees to that."""
    program = os.getpid()
    held = _take(_of_logging(), time.monotonic() + _PATIENCE) if has_threads() else []
    try:
        yield
    finally:
        if os.getpid() == program:
            collections.deque(map(_RLock.release, held), 0)  # no interrupt comes between


def _of_logging() -> List[Any]:
    logging = sys.modules.get("logging")
    handlers = [reference() for reference in tuple(getattr(logging, "_handlerList", ()))]
    locks = [getattr(logging, "_lock", None), *(getattr(handler, "lock", None) for handler in handlers)]
    return list({id(lock): lock for lock in locks if isinstance(lock, _RLock)}.values())


def _take(locks: List[Any], deadline: float) -> List[Any]:
    """Takes the locks; returns those that it got. Waits for one only while it holds none: its holder may wait for the others."""
    while True:
        held: List[Any] = []
        for lock in locks:
            wait = -1 if held else max(0.0, deadline - time.monotonic())
            if not lock.acquire(not held, wait):
                break
            held.append(lock)
        else:
            return held
        if time.monotonic() >= deadline:
            return held + [other for other in locks[len(held) + 1:] if other.acquire(False)]
        for other in held:
            other.release()
        locks.remove(lock)
        locks.insert(0, lock)


_BUFFERED = frozenset({io.BufferedWriter, io.BufferedRandom})


def files() -> List[Any]:
    """Files that other threads may be writing to. Takes some 50 ns for each object of the program, if it has other threads."""
    objects = gc.get_objects() if has_threads() else []
    return list(itertools.compress(objects, map(_BUFFERED.__contains__, map(type, objects))))


def renew(inherited: Iterable[Any]) -> None:
    """In the child: gives each file a new lock, and an empty buffer: the parent writes what is in the buffer."""
    for file in inherited:
        try:
            if not file.closed:
                file.__init__(file.raw, file.__sizeof__() - type(file).__basicsize__)
        except (OSError, ValueError):
            pass  # it has been detached, or its descriptor closed


def forget_imports() -> None:
    """In the child: forgets the modules that other threads were importing, with their locks."""
    locks = getattr(_frozen_importlib, "_module_locks", {})
    for name, reference in tuple(locks.items()):
        if getattr(reference(), "owner", None) not in (None, threading.get_ident()):
            del locks[name]
            sys.modules.pop(name, None)


_system.after_fork_in_child(_quiet.clear)

_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}.get(
    os.uname().machine if hasattr(os, "uname") else "")
_FUTEX_PRIVATE, _FUTEX_WAIT, _FUTEX_WAIT_BITSET = 128, 0, 9


def waits_for_ever(pid: int) -> Optional[str]:
    """Where a process waits for a lock that none of its threads can release. None: it does not, or that can't be seen.

    A signal handler may end the wait. So the process waits for ever only if a later call returns the same place.
    """
    try:
        threads = [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]
        if not all(_waits(f"/proc/{pid}/task/{thread}", _FUTEX_PRIVATE if thread == pid else 0) for thread in threads):
            return None
        with open(f"/proc/{pid}/syscall", encoding="utf-8") as file:
            call = file.read()
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            return call + next(line for line in status if line.startswith("voluntary_ctxt_switches"))
    except (OSError, ValueError, StopIteration):
        return None


def _waits(thread: str, flags: int) -> bool:
    """Whether a thread waits for a futex without a timeout: its process's own or, as a worker's second thread, the daemon's."""
    with open(f"{thread}/syscall", encoding="utf-8") as file:
        number, *arguments = file.read().split()
    if number != str(_FUTEX):
        return False
    operation, timeout = int(arguments[1], 16), int(arguments[3], 16)
    kinds = (_FUTEX_WAIT, _FUTEX_WAIT_BITSET) if flags else (_FUTEX_WAIT,)
    return timeout == 0 and operation & _FUTEX_PRIVATE == flags and operation & 0x7f in kinds
