# SPDX-License-Identifier: Apache-2.0
"""A fork of this program as the template of a pool (_template.py): what the program has at that moment, all workers have.

    its fork                    prepare(); waits there until the daemon connects, then forks workers when it is told to
    program --> daemon          objpool.create {"template": fork.address, "class": "objpool:Inherited", ...}

What makes the pool's objects (`factory`) is never pickled: the workers have it from the fork. They also have the classes and
functions of the program's __main__: `has` says which, so that arguments can refer to them by name.
"""
from __future__ import annotations

import atexit
import itertools
import os
import select
import signal
import sys
import time
import types
import weakref

from . import _locks, _process, _template
from ._template import LOOK_EVERY
from .errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List

ATTEMPTS = 10  #: to fork the program so that the fork is usable
BIRTH_MOST = 30.0  # seconds
_CODE = (type, types.FunctionType)


def is_default() -> bool:
    """Is it what multiprocessing would do in this program?"""
    if "multiprocessing.context" not in sys.modules:
        return sys.version_info < (3, 14)  # nobody has set it
    import multiprocessing

    return (multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]) == "fork"


inherited: Any = None  #: in a fork: what makes its pool's objects


class Fork(_template.Template):
    """A fork of this program that waits for the daemon. `prepare` is called in it first; `factory` makes the objects of
    objpool:Inherited."""

    def __init__(self, prepare: Callable[[], None] = lambda: None, factory: Any = None) -> None:
        module = _template.module()
        module.prepare()
        super().__init__()
        self._last_look: Dict[int, str] = {}
        for _ in range(ATTEMPTS):
            self._pids.clear()
            try:
                if self._fork(module, prepare, factory):
                    return
            except BaseException:  # an interrupt comes at any moment
                self._discard()
                raise
            self.end()
        raise all_stuck()

    def _fork(self, module: Any, prepare: Callable[[], None], factory: Any) -> bool:
        """Forks the program. False: the fork waits for a lock that another thread held."""
        with _Birth() as birth:
            with self._listener() as listener:
                self._code = _code_of_main()
                with _locks.held_for_fork():
                    _flush()
                    files = _locks.files()
                    _fork_program(self._pids, lambda: _serve(
                        module, listener.fileno(), self._program, files, prepare, birth.tell, factory))
            self._begun()
            return birth.has_come(self._process, self._waits_for_ever)

    def _waits_for_ever(self) -> bool:
        """Whether the fork, or one of its workers, has waited since the last call of this for a lock that nobody releases."""
        last, self._last_look = self._last_look, {}
        for pid in (self.pid, *_children(self.pid)):
            where = _locks.waits_for_ever(pid)
            if where is not None:
                self._last_look[pid] = where
        return any(last.get(pid) == where for pid, where in self._last_look.items())

    def has(self, value: Any) -> bool:
        """Whether the name of this class or function of __main__ means the same in the fork."""
        main = sys.modules["__main__"].__dict__
        top, _, rest = value.__qualname__.partition(".")
        found = main.get(top)
        if found is None or top not in self._code or self._code[top]() is not found:
            return False
        for name in rest.split(".") if rest else ():
            found = getattr(found, name, None)
        return found is value

def all_stuck() -> Unavailable:
    """The error when ATTEMPTS forks in a row have waited for ever."""
    return Unavailable(f"the program was forked {ATTEMPTS} times for workers, and each time they waited for a lock that no thread"
                       " of theirs can release: make the pool while none of the program's threads holds what the workers'"
                       " constructor, or initializer, takes")


def _code_of_main() -> Dict[str, Callable[[], Any]]:
    """The classes and functions of __main__, by name; weak references."""
    main = sys.modules["__main__"].__dict__
    return {name: weakref.ref(value) for name, value in main.items() if isinstance(value, _CODE)}


def _children(pid: int) -> List[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _fork_program(pids: List[int], serve: Callable[[], None]) -> None:
    """Forks, and calls `serve` in the child. Its pid is added to `pids`, so that the caller knows it, whenever an interrupt comes.
    No child goes on with the program."""
    try:
        pids.extend(itertools.starmap(os.fork, [()]))  # no interrupt comes between the fork and the note of its pid
        if pids[0] == 0:
            serve()
    finally:
        if pids == [0]:
            os._exit(70)


class _Birth:
    """A pipe by which a fork tells the program that it is ready."""

    def __enter__(self) -> "_Birth":
        self._source, self._sink = map(_process.high, os.pipe())
        return self

    def __exit__(self, *_: Any) -> None:
        os.close(self._source)
        os.close(self._sink)

    def tell(self) -> None:
        os.write(self._sink, b"\0")
        self.__exit__()

    def has_come(self, process: int, waits_for_ever: Callable[[], bool]) -> bool:
        """Has that process come to life, or an end of its own? False: it never will."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        poll.register(process, select.POLLIN)
        deadline = time.monotonic() + BIRTH_MOST
        while not poll.poll(LOOK_EVERY * 1000):
            if waits_for_ever() or time.monotonic() > deadline:
                return False
        return True


def _flush() -> None:
    """What has been printed is printed once."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # there is none, or it is closed


def _serve(module: Any, listener: int, program: int, files: Iterable[Any], prepare: Callable[[], None], tell: Callable[[], None],
           factory: Any) -> None:
    """In the child: there is no way back into the program."""
    global inherited
    try:
        inherited = factory
        _locks.renew(files)
        _locks.forget_imports()
        _settle_descriptors()
        _forget_program()
        prepare()
        tell()
        module.serve(listener, program)
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(70)


def _forget_program() -> None:
    """Removes what belongs to the program: functions to call at its end, the threads and children that other modules wait for."""
    atexit._clear()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        atexit.register(util._exit_function)  # type: ignore[attr-defined]
    _forget_executors()
    signal.set_wakeup_fd(-1)  # an event loop of the program would take our signals for its own
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process._process_counter = itertools.count(1)  # type: ignore[attr-defined]
        process._children = set()  # type: ignore[attr-defined]
    aio = sys.modules.get(f"{__package__}.aio._connection")
    for connection in tuple(aio.connections) if aio is not None else ():
        connection.let_go()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._finalizer_registry.clear()  # type: ignore[attr-defined]
        util._run_after_forkers()  # type: ignore[attr-defined]


def _forget_executors() -> None:
    """At the end of a process concurrent.futures wakes the threads of its executors, and joins them. Those that it knows of here are
    the program's; one of them may have forked it."""
    for name, threads in (("thread", "_threads_queues"), ("process", "_threads_wakeups")):
        known = getattr(sys.modules.get(f"concurrent.futures.{name}"), threads, None)
        if known is not None:
            known.clear()


def _settle_descriptors() -> None:
    """Opens /dev/null as standard input, which stays the program's, and as outputs that are closed: no other file shall get these
    numbers."""
    nowhere = _process.high(os.open(os.devnull, os.O_RDWR))
    for number in range(3):
        if number == 0 and _process.is_standard(0) or not _is_open(number):
            os.dup2(nowhere, number)
            if number == 0:
                # A new file: another thread may be reading the program's, and it may have read ahead.
                sys.stdin = open(0, encoding="utf-8", closefd=False)
    os.close(nowhere)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
