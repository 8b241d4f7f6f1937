# SPDX-License-Identifier: Apache-2.0
"""A child of this program that is the template of a pool: the daemon has it fork the pool's workers.

    program                     template = Fork(), _fork.py, or Spawned(), _spawn.py: a child that listens at template.address, an
                                abstract socket, until the daemon connects
    program --> daemon          objpool.create {"template": template.address, "class": ..., ...}
    program                     template.end()            once the pool has been dropped

The child runs an extension module (plugins/python/forked) that is built for the program's version of Python.
"""
from __future__ import annotations

import _thread
import contextlib
import os
import select
import signal
import socket
import sys
import threading

from . import _extension, _locks, _process, _system
from .errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, List, Optional

LOOK_EVERY, LOOK_EVERY_MOST = 0.05, 1.0  # seconds
END_MOST = 5.0  # seconds, from the loss of the connection to the template's own end


def why_not() -> Optional[str]:
    """Why this program can't have templates; None: it can."""
    found = _extension.find("objpool_forked")
    return str(found) if isinstance(found, _extension.NoModule) else None


def module() -> Any:
    """The extension module that templates run. Raises Unavailable if there is none."""
    why = why_not()
    if why is not None:
        raise Unavailable(f"there can be no workers of this program's Python: {why}", ran="no")
    return _extension.find("objpool_forked")


class Template:
    """Such a child. The classes that are made of this start it."""

    def __init__(self) -> None:
        _reap()
        self._program = os.getpid()
        self._pids: List[int] = []
        self._process = -1
        self.stuck = False

    @property
    def pid(self) -> int:
        """0: there is no child yet."""
        return self._pids[0] if self._pids else 0

    @contextlib.contextmanager
    def _listener(self) -> Iterator[socket.socket]:
        """The socket that the child listens at. No other child is made meanwhile: it would keep the address alive."""
        self.address = f"objpool-{self._program}-{os.urandom(8).hex()}"
        with _lock, _socket() as listener:
            listener.bind("\0" + self.address)
            listener.listen()  # other processes can find the name: their connections must not fill the queue
            yield listener

    def _begun(self) -> None:
        """Called once there is a child."""
        self._process = os.pidfd_open(self.pid)
        templates.append(self)

    def _discard(self) -> None:
        """Ends the child, however far it was made."""
        if self._process >= 0:
            self.end()
        elif self._pids:
            _process.kill(self.pid)

    def pauses(self) -> Iterator[float]:
        """Seconds to wait for the pool, again and again, while its workers are made. After each, `stuck` is set if the child or a
        worker waits for ever; then the iterator ends, and the pool is to be dropped."""
        pause = LOOK_EVERY
        while not self.stuck:
            yield pause
            pause = min(2 * pause, LOOK_EVERY_MOST)
            self.stuck = self._waits_for_ever()

    def _waits_for_ever(self) -> bool:
        """Whether the child, or one of its workers, waits for a lock that nobody releases."""
        return False

    def has(self, value: Any) -> bool:
        """Whether the name of this class or function of __main__ means the same in the workers."""
        return False

    def end(self) -> None:
        """Kills the child, if it has not ended by itself, and reaps it."""
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
        """Reaps the child in a thread, when it has ended: its pool is being dropped.

        end: called in the thread instead; it waits until the pool is gone, and ends the child then. Without that, a child to which
        the daemon has not connected would wait for ever. A garbage collection may call this function: it takes no lock that the
        interrupted code could hold.
        """
        if os.getpid() != self._program or sys.is_finalizing():
            return
        start_thread(end or self._reap_later)

    def end_soon(self) -> None:
        """Reaps the child in a thread, when it has ended by itself, or kills it: a child to which the daemon has not connected
        waits for ever."""
        self.reap_soon(self._end_later)

    def _end_later(self) -> None:
        self._reap_later(END_MOST)
        self.end()

    def _reap_later(self, timeout: Optional[float] = None) -> None:
        """Waits for the end of the child, and reaps it. `timeout`: seconds."""
        with _reaping:
            if self._process < 0 or os.getpid() != self._program:
                return
            process = os.dup(self._process)  # another thread may reap it, and close its descriptor
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)  # readable once the child has ended
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
        if self in templates:
            templates.remove(self)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return socket.socket(fileno=_process.high(made.detach()))


def start_thread(run: Callable[[], None]) -> None:
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
        return  # the program ends, or can't have another thread: the next template reaps it
    begun.acquire(timeout=1)


_lock = threading.Lock()
_reaping = threading.RLock()  # a descriptor that is closed may be another's at once
templates: List[Template] = []


def _reap() -> None:
    """Those that have ended."""
    with _reaping:
        for template in tuple(templates):
            template._reap(os.WNOHANG)


def _after_fork_in_child() -> None:
    global _lock, _reaping
    _lock, _reaping = threading.Lock(), threading.RLock()
    templates.clear()


_system.after_fork_in_child(_after_fork_in_child)
