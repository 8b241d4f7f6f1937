# SPDX-License-Identifier: Apache-2.0
"""A fork of this program as the template of a pool: what the program has at that moment, all workers have.

    program                     fork = Fork(prepare)      listens at fork.address, an abstract socket
    its fork                    prepare(); waits there until the daemon connects, then forks workers when it is told to
    program --> daemon          objpool.create {"template": fork.address, "class": "objpool:Inherited", ...}
    program                     fork.end()                once the pool has been dropped

What makes the pool's objects (`factory`) is never pickled: the workers have it from the fork. They also have the classes and
functions of the program's __main__: `has` says which, so that arguments can refer to them by name.

The fork runs an extension module (plugins/python/forked) that is built for one version of Python: programs of another have
templates that the daemon starts.
"""
from __future__ import annotations

import _thread
import atexit
import functools
import itertools
import os
import select
import signal
import socket
import sys
import threading
import time
import types
import warnings
import weakref

from . import _embedded, _extension, _locks
from ._extension import NoModule
from .errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional


ATTEMPTS = 10  #: to fork the program so that the fork is usable
LOOK_EVERY, LOOK_EVERY_MOST = 0.05, 1.0  # seconds
BIRTH_MOST = 30.0  # seconds
END_MOST = 5.0  # seconds, from the loss of the connection to the fork's own end


@functools.lru_cache(maxsize=None)
def _module() -> Any:
    """The extension module, ready for forks of this program; or a NoModule."""
    module = extension()
    try:
        if not isinstance(module, NoModule):
            module.prepare()
        return module
    except ImportError as error:
        return NoModule(f"{module.__file__} can't be used: {error}")


@functools.lru_cache(maxsize=None)
def extension() -> Any:
    """The extension module, or a NoModule."""
    try:
        return _extension.load("objpool_forked")
    except NoModule as error:
        return error


def why_not() -> Optional[str]:
    """Why this program's forks can't be templates; None: they can."""
    module = _module()
    return str(module) if isinstance(module, NoModule) else None


def is_possible() -> bool:
    """Can this program's forks be templates?"""
    return why_not() is None


def can_be() -> bool:
    """The same, for workers that should be forks: says once what they are else."""
    why = why_not()
    if why is not None and _embedded.find_program() is not None:
        _warn(why)
    return why is None


@functools.lru_cache(maxsize=None)
def _warn(why: str) -> None:
    warnings.warn(f"workers run a Python of their own, and can't be forks of this program: {why}", RuntimeWarning, stacklevel=2)


def is_default() -> bool:
    """Is it what multiprocessing would do in this program?"""
    if "multiprocessing.context" not in sys.modules:
        return sys.version_info < (3, 14)  # nobody has set it
    import multiprocessing

    return (multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]) == "fork"


def worker_path(path: Iterable[str]) -> List[str]:
    """The `python_path` for workers that are no forks: the folders of `path` without the modules of the program's Python, and, if
    the workers' Python may be another version, without what was installed for the program's."""
    import sysconfig
    kinds = ("stdlib", "platstdlib") if is_possible() else ("stdlib", "platstdlib", "purelib", "platlib")
    own = {os.path.realpath(sysconfig.get_path(kind)) for kind in kinds}
    own |= {os.path.join(os.path.realpath(sysconfig.get_path("platstdlib")), "lib-dynload"),
            os.path.join(os.path.realpath(sys.base_prefix), "lib", "python%d%d.zip" % sys.version_info[:2])}
    found = filter(None, map(_embedded.absolute, path))
    return [folder for folder in found if os.path.realpath(folder) not in own]


def worker_options() -> List[str]:
    """The `python_options` for workers that are no forks: their Python is set as the program's is."""
    flags, seed = sys.flags, os.environ.get("PYTHONHASHSEED")
    options = [f"-W{option}" for option in sys.warnoptions]
    options += [f"-X{name}" if value is True else f"-X{name}={value}" for name, value in sys._xoptions.items()]
    options += ["-Xdev"] if flags.dev_mode and "dev" not in sys._xoptions else []
    options += ["-O"] * flags.optimize + ["-b"] * flags.bytes_warning
    return options + [f"PYTHONHASHSEED={seed}"] if seed and not flags.ignore_environment else options


inherited: Any = None  #: in a fork: what makes its pool's objects


def _start_thread(run: Callable[[], None]) -> None:
    """Calls `run` in a quiet thread that the program's end does not wait for; returns when that thread has begun. CPython crashes
    if the interpreter ends while a thread has been started but has not begun."""
    begun = _thread.allocate_lock()
    begun.acquire()

    def begin() -> None:
        with _locks.quiet():
            begun.release()
            run()

    try:
        _thread.start_new_thread(begin, ())
    except RuntimeError:
        return  # the program ends, or can't have another thread: the next fork reaps it
    begun.acquire(timeout=1)


class Fork:
    """A fork that waits for the daemon. `prepare` is called in it first; `factory` makes the objects of objpool:Inherited."""

    def __init__(self, prepare: Callable[[], None] = lambda: None, factory: Any = None) -> None:
        module = _module()
        assert not isinstance(module, NoModule)
        _reap()
        self._program = os.getpid()
        self._last_look: Dict[int, str] = {}
        self.stuck = False
        for _ in range(ATTEMPTS):
            self.pid, self._process = 0, -1
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
        name = f"objpool-{self._program}-{os.urandom(8).hex()}"
        self.address = name
        with _Birth() as birth:
            with _lock, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                # `_lock`: another fork that inherited the listener would keep the address alive.
                listener.bind("\0" + name)
                listener.listen()  # other processes can find the name: their connections must not fill the queue
                self._code = _code_of_main()
                with _locks.held_for_fork():
                    _flush()
                    files = _locks.files()
                    self.pid = _forked(lambda: _serve(
                        module, listener.fileno(), self._program, files, prepare, birth.tell, factory))
            self._process = os.pidfd_open(self.pid)
            _forks.append(self)
            return birth.has_come(self._process, self._waits_for_ever)

    def _discard(self) -> None:
        """Ends the fork, however far it was made."""
        if self._process >= 0:
            self.end()
        elif self.pid > 0:
            _kill(self.pid)

    def pauses(self) -> Iterator[float]:
        """Seconds to wait for the pool, again and again, while its workers are made. After each, `stuck` is set if the fork or a
        worker waits for ever; then the iterator ends, and the pool is to be dropped."""
        pause = LOOK_EVERY
        while not self.stuck:
            yield pause
            pause = min(2 * pause, LOOK_EVERY_MOST)
            self.stuck = self._waits_for_ever()

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

    def end(self) -> None:
        """Kills the fork, if it has not ended by itself, and reaps it."""
        if os.getpid() != self._program:
            return
        with _reaping:
            if self._process < 0:
                return
            try:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._reap(0)

    def reap_soon(self, end: Optional[Callable[[], None]] = None) -> None:
        """Reaps the fork in a thread, when it has ended: its pool is being dropped.

        end: called in the thread instead; it waits until the pool is gone, and ends the fork then. Without that, a fork to which
        the daemon has not connected would wait for ever. A garbage collection may call this function: it takes no lock that the
        interrupted code could hold.
        """
        if os.getpid() != self._program or sys.is_finalizing():
            return
        _start_thread(end or self._reap_later)

    def end_soon(self) -> None:
        """Reaps the fork in a thread, when it has ended by itself, or kills it: a fork to which the daemon has not connected waits
        for ever."""
        self.reap_soon(self._end_later)

    def _end_later(self) -> None:
        self._reap_later(END_MOST)
        self.end()

    def _reap_later(self, timeout: Optional[float] = None) -> None:
        """Waits for the end of the fork, and reaps it. `timeout`: seconds."""
        with _reaping:
            if self._process < 0 or os.getpid() != self._program:
                return
            process = os.dup(self._process)  # another thread may reap it, and close its descriptor
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)  # readable once the fork has ended
            poll.poll(None if timeout is None else timeout * 1000)
        finally:
            os.close(process)
        _reap()

    def _reap(self, options: int) -> None:
        """Closes the process's descriptor, if it has ended."""
        try:
            if os.waitid(os.P_PIDFD, self._process, os.WEXITED | options) is None:
                return
        except ChildProcessError:
            pass  # the program has reaped it, or ignores SIGCHLD
        process, self._process = self._process, -1
        os.close(process)
        if self in _forks:
            _forks.remove(self)


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
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def _forked(serve: Callable[[], None]) -> int:
    """Forks, and calls `serve` in the child; returns its pid. An interrupt at any moment leaves no child that nobody knows of,
    and none that goes on with the program."""
    pids: List[int] = []
    try:
        pids.extend(itertools.starmap(os.fork, [()]))  # no interrupt comes between the fork and the note of its pid
        if pids[0] == 0:
            serve()
        return pids[0]
    except BaseException:
        if pids and pids[0] > 0:
            _kill(pids[0])
        raise
    finally:
        if pids == [0]:
            os._exit(70)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # the program has reaped it, or ignores SIGCHLD


class _Birth:
    """A pipe by which a fork tells the program that it is ready."""

    def __enter__(self) -> "_Birth":
        self._source, self._sink = map(_embedded.high, os.pipe())
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


_CODE = (type, types.FunctionType)
_lock = threading.Lock()
_reaping = threading.RLock()  # a descriptor that is closed may be another's at once
_forks: List[Fork] = []


def _reap() -> None:
    """Those that have ended."""
    with _reaping:
        for fork in tuple(_forks):
            fork._reap(os.WNOHANG)


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
        listener = _settle_descriptors(listener)
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
    """Removes what belongs to the program: functions to call at its end, the children that multiprocessing knows of."""
    atexit._clear()
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


def _settle_descriptors(listener: int) -> int:
    """Opens /dev/null as standard input, which stays the program's, and as outputs that are closed: no other file shall get these
    numbers. Returns the new number of the listener."""
    listener = _embedded.high(listener)
    nowhere = _embedded.high(os.open(os.devnull, os.O_RDWR))
    for number in range(3):
        if number == 0 and _embedded.is_standard(0) or not _is_open(number):
            os.dup2(nowhere, number)
            if number == 0:
                # A new file: another thread may be reading the program's, and it may have read ahead.
                sys.stdin = open(0, encoding="utf-8", closefd=False)
    os.close(nowhere)
    return listener


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _after_fork_in_child() -> None:
    global _lock, _reaping, _forks
    _lock, _reaping, _forks = threading.Lock(), threading.RLock(), []


os.register_at_fork(after_in_child=_after_fork_in_child)
