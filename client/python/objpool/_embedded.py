# SPDX-License-Identifier: Apache-2.0
"""A daemon of this program's own, on a socket that nobody else may open.

It is started when the first client wants it, serves all clients of the program, and ends when the program does, however that
ends: its standard input is a pipe of which the program alone has the other end (--until-eof). Children by fork use the same
daemon over connections of their own.
"""
from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import sys
import threading
import time

from . import _system
from ._process import high, start
from .errors import NoDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
_SOCKET_PATH_MOST = 107  # bytes

_CONFIG = """\
[daemon]
listen = unix:{socket}
socket_mode = 0600
plugin_dir = {plugins}
log_level = {level}
worker_log_level = {level}
admin = unix
create = unix
max_message = 2G
max_pending = 16G
max_memory = 0
max_inflight = 10000000
max_connections = {connections}
drain_timeout = 0
"""


def _installed_from() -> Iterator[str]:
    """The checkout that pip has installed this package from: it has noted that beside the package."""
    import glob
    import json
    import urllib.parse
    for note in glob.glob(f"{glob.escape(_above(1))}/objpool-*.dist-info/direct_url.json"):
        try:
            with open(note, encoding="utf-8") as file:
                url = urllib.parse.urlsplit(json.load(file)["url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if url.scheme == "file" and url.path.endswith("/client/python"):
            yield urllib.parse.unquote(url.path).removesuffix("/client/python")


def _above(levels: int) -> str:
    """The folder of this package, or one above it."""
    folder = os.path.dirname(os.path.realpath(__file__))
    for _ in range(levels):
        folder = os.path.dirname(folder)
    return folder


def absolute(path: str) -> Optional[str]:
    """None: it is relative to a working directory that has been removed."""
    try:
        return os.path.abspath(path or ".")
    except FileNotFoundError:
        return None


def _candidates() -> Iterator[str]:
    folder = os.environ.get("OBJPOOL_BIN")
    if folder:
        yield f"{folder}/objpoold"
        return
    yield f"{_above(0)}/bin/objpoold"
    yield f"{_above(3)}/build/objpoold"
    yield from (f"{folder}/objpoold" for folder in os.get_exec_path() if folder)
    yield from ("/usr/sbin/objpoold", "/usr/local/sbin/objpoold")
    yield from (f"{checkout}/build/objpoold" for checkout in _installed_from())


def find_program() -> Optional[str]:
    """The path of the daemon's program. With $OBJPOOL_BIN nowhere else."""
    return next((path for path in _candidates() if os.path.isfile(path) and os.access(path, os.X_OK)), None)


def is_possible() -> bool:
    """Whether a program can have a daemon of its own here."""
    return _system.OWN_DAEMON and find_program() is not None


def why_no_program() -> str:
    """Why find_program() finds none, and what to do."""
    folder = os.environ.get("OBJPOOL_BIN")
    if not folder:
        return ("there is no objpoold: set OBJPOOL_BIN to its folder"
                " (objpool.connect() also takes a daemon's address, from OBJPOOL_ADDRESS, too)")
    if os.path.basename(folder) == "objpoold" and os.path.isfile(folder):
        return f"OBJPOOL_BIN is {folder}, which is the program: set it to its folder"
    return f"OBJPOOL_BIN is {folder}, where there is no program objpoold"


def plugin_dir(program: str) -> Optional[str]:
    """The plugins of a build tree; None: as the program was built to find them."""
    folder = f"{os.path.dirname(program)}/plugins"
    return folder if os.path.isdir(folder) else None


class _Process:
    """A child of this program, and the pipe that is its standard input."""

    def __init__(self, arguments: List[str], keep: int, **environment: str) -> None:
        """`keep` is a descriptor that it gets, by the same number."""
        pids: List[int] = []
        source, self.input = map(high, os.pipe())
        try:
            start(pids, arguments, {**os.environ, **environment}, source, (keep,))
        except BaseException:
            self.close()  # which ends it
            raise
        finally:
            os.close(source)
        self.pid = pids[0]
        self.status: Optional[int] = None
        self._handle = os.pidfd_open(self.pid)

    def close(self) -> None:
        """Ends its input."""
        descriptor, self.input = self.input, -1
        if descriptor >= 0:
            os.close(descriptor)

    def fileno(self) -> int:
        """Readable when it has ended."""
        return self._handle

    def kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait(self, timeout: float) -> bool:
        """Whether it has ended, or does so within some seconds."""
        if self.status is None:
            poll = select.poll()
            poll.register(self._handle, select.POLLIN)
            if not poll.poll(timeout * 1000):
                return False
            try:
                self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except ChildProcessError:
                self.status = 0  # the program has, or doesn't want to know of its children
        return True

    def __del__(self) -> None:
        try:
            os.close(self._handle)
            self.close()
        except (AttributeError, OSError):
            pass  # it was not started


def _connections_most() -> int:
    """As many as the daemon may open files for. It keeps a quarter of a small limit, and at most 320, for itself."""
    import resource
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 10000 if most == resource.RLIM_INFINITY else max(16, min(10000, most - min(most // 4, 320)))


def _socket_path() -> str:
    """A new one, in the folder for temporary files; in another where that makes it too long."""
    name = f"objpool-{os.getpid()}-{os.urandom(8).hex()}.sock"
    folders = (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm")
    for folder in filter(None, folders):
        path = absolute(os.path.join(folder, name))
        if path is not None and len(os.fsencode(path)) <= _SOCKET_PATH_MOST and os.access(folder, os.W_OK | os.X_OK):
            return path
    raise NoDaemon("a daemon of the program's own can't be started: there is no folder for its socket,"
                   " as TMPDIR and /tmp can't be written to, or have names that are too long")


class PrivateDaemon:
    """A process, and the pipe that keeps it alive."""

    def __init__(self) -> None:
        if not _system.OWN_DAEMON:
            raise NoDaemon(f"a daemon of the program's own can't be started: {_system.NO_OWN_DAEMON}")
        program = find_program()
        if program is None:
            raise NoDaemon(f"a daemon of the program's own can't be started: {why_no_program()}")
        self.pid = os.getpid()
        self.path = _socket_path()
        self.address = f"unix:{self.path}"
        self.program = program
        self._notify: Optional[socket.socket] = None  #: tells when it is ready; None: it is
        self._start()

    def _config(self) -> int:
        plugins = plugin_dir(self.program)
        text = _CONFIG.format(socket=self.path, plugins=plugins or "-", level=os.environ.get("OBJPOOL_LOG_LEVEL", "warning"),
                              connections=_connections_most())
        if plugins is None:
            text = text.replace("plugin_dir = -\n", "")
        fd = high(os.memfd_create("objpoold.conf"))
        os.write(fd, text.encode())
        return fd

    def _start(self) -> None:
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"objpool-{self.pid}-{os.urandom(8).hex()}"
        self._notify.bind("\0" + name)
        config = self._config()
        try:
            command = [self.program, "--until-eof", "--config", f"/proc/self/fd/{config}"]
            self.process = _Process(command, config, NOTIFY_SOCKET="@" + name, OBJPOOL_PYTHON=sys.executable or "")
        except BaseException as error:
            self.assume_ready()
            if isinstance(error, OSError):
                raise NoDaemon(f"{self.program} can't be started: {error.strerror}") from error
            raise
        finally:
            os.close(config)

    def await_ready(self) -> None:
        """Until it can be connected to. Raises NoDaemon if it never will."""
        if self._notify is None:
            return
        try:
            self._await(self._notify)
        finally:
            self.assume_ready()

    def assume_ready(self) -> None:
        """Also in a fork of the program, which can't ask: by the time that it is a worker, the daemon is ready."""
        notify, self._notify = self._notify, None
        if notify is not None:
            notify.close()

    def _await(self, notify: socket.socket) -> None:
        poll = select.poll()
        poll.register(notify, select.POLLIN)
        poll.register(self.process, select.POLLIN)
        deadline = time.monotonic() + START_TIMEOUT
        try:
            while True:
                ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
                if notify.fileno() in ready:
                    if b"READY=1" in notify.recv(4096):
                        return
                elif self.process.wait(0):
                    raise NoDaemon(f"{self.program} ended at once, with status {self.process.status}")
                else:
                    raise NoDaemon(f"{self.program} was not ready within {START_TIMEOUT:g} s")
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as this process knows."""
        return not self.has_ended()

    def has_ended(self, within: float = 0) -> bool:
        """Whether it has ended, or does so within some seconds, as far as this process can know."""
        if self.pid != os.getpid():
            return not os.path.exists(self.path)  # it ends with the program that this process is a fork of
        return self.process.wait(within)

    def stop(self) -> None:
        """Ends it, and waits for that."""
        if self.pid != os.getpid():
            return
        self.process.close()
        if not self.process.wait(STOP_TIMEOUT):
            self.process.kill()
            self.process.wait(STOP_TIMEOUT)
        try:
            os.unlink(self.path)
        except OSError:
            pass


_ends = threading.Event()  # set when the program ends: so do its own daemon, and the threads that it does not wait for
_AT_THE_END = 2.0  # seconds; the interpreter needs milliseconds from its atexit functions to the end of all threads


def stay_at_the_end() -> None:
    """Stops a thread that the program does not wait for, once the program ends. It would only fail, as the daemon is gone, and
    print that. Threads that run Python code stop in the same way when the interpreter ends."""
    if _ends.is_set() and threading.current_thread() is not threading.main_thread():
        time.sleep(_AT_THE_END)


_lock = threading.Lock()
_daemon: Optional[PrivateDaemon] = None


def private_daemon(silent: Optional[PrivateDaemon] = None) -> PrivateDaemon:
    """This program's daemon, started if there is none; `silent` is one that did not answer: it may be about to end."""
    global _daemon
    with _lock:
        if _daemon is not None and _daemon.has_ended(within=1 if _daemon is silent else 0):
            _daemon.stop()
            _daemon = None
        if _daemon is None:
            _daemon = PrivateDaemon()
        try:
            _daemon.await_ready()
        except BaseException:
            _daemon = None
            raise
        return _daemon


def start_daemon() -> None:
    """Starts this program's daemon, if there is none, and does not wait for it: the caller has something to do meanwhile."""
    global _daemon
    with _lock:
        if _daemon is None:
            _daemon = PrivateDaemon()


def _stop() -> None:
    if _daemon is not None:
        _ends.set()
        _daemon.stop()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    if _daemon is not None:
        _daemon.process.close()  # the parent alone keeps it alive
        _daemon.assume_ready()


atexit.register(_stop)
_system.after_fork_in_child(_after_fork_in_child)
