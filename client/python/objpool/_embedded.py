# SPDX-License-Identifier: Apache-2.0
"""A daemon of this program's own, on a socket that nobody else may open.

It is started when the first client wants it, serves all clients of the program, and ends when the program does, however that
ends: its standard input is a pipe of which the program alone has the other end (--until-eof). Children by fork use the same
daemon over connections of their own.
"""
from __future__ import annotations

import atexit
import fcntl
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from typing import Iterator, Optional

from .errors import NoDaemon

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0

_CONFIG = """\
[daemon]
listen = unix:{socket}
socket_mode = 0600
plugin_dir = {plugins}
log_level = {level}
admin = unix
create = unix
max_message = 2G
max_pending = 16G
drain_timeout = 0
"""


def _installed_from() -> Iterator[pathlib.Path]:
    """The checkout that pip has installed this package from: it has noted that beside the package."""
    import json
    import urllib.parse
    for note in pathlib.Path(__file__).resolve().parents[1].glob("objpool-*.dist-info/direct_url.json"):
        try:
            url = urllib.parse.urlsplit(json.loads(note.read_text())["url"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if url.scheme == "file" and url.path.endswith("/client/python"):
            yield pathlib.Path(urllib.parse.unquote(url.path)).parents[1]


def _candidates() -> Iterator[pathlib.Path]:
    folder = os.environ.get("OBJPOOL_BIN")
    if folder:
        yield pathlib.Path(folder, "objpoold")
        return
    for checkout in pathlib.Path(__file__).resolve().parents[3:4]:
        yield checkout / "build" / "objpoold"
    on_path = shutil.which("objpoold")
    if on_path:
        yield pathlib.Path(on_path)
    yield from (pathlib.Path("/usr/sbin/objpoold"), pathlib.Path("/usr/local/sbin/objpoold"))
    for checkout in _installed_from():
        yield checkout / "build" / "objpoold"


def find_program() -> Optional[pathlib.Path]:
    """The daemon's program. With $OBJPOOL_BIN nowhere else."""
    return next((path for path in _candidates() if os.access(path, os.X_OK)), None)


def plugin_dir(program: pathlib.Path) -> Optional[pathlib.Path]:
    """The plugins of a build tree; None: as the program was built to find them."""
    folder = program.parent / "plugins"
    return folder if folder.is_dir() else None


def is_standard(descriptor: int) -> bool:
    """Is 0, 1, or 2 the program's input or output? It may be closed, and its number given to something else: that is not inherited."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


class PrivateDaemon:
    """A process, and the pipe that keeps it alive."""

    def __init__(self) -> None:
        program = find_program()
        if program is None:
            raise NoDaemon("no daemon answers, and there is no objpoold to start one: set OBJPOOL_BIN to its folder, or OBJPOOL_ADDRESS")
        self.pid = os.getpid()
        self.path = f"{tempfile.gettempdir()}/objpool-{self.pid}-{os.urandom(8).hex()}.sock"
        self.address = f"unix:{self.path}"
        self.program = program
        self._start()

    def _config(self) -> int:
        plugins = plugin_dir(self.program)
        text = _CONFIG.format(socket=self.path, plugins=plugins or "-", level=os.environ.get("OBJPOOL_LOG_LEVEL", "warning"))
        if plugins is None:
            text = text.replace("plugin_dir = -\n", "")
        fd = os.memfd_create("objpoold.conf")
        os.write(fd, text.encode())
        if fd < 3:      # of a program without standard input or output
            fd, low = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3), fd
            os.close(low)
        return fd

    def _start(self) -> None:
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"objpool-{self.pid}-{os.urandom(8).hex()}"
        notify.bind("\0" + name)
        config = self._config()
        try:
            self.process = subprocess.Popen(
                [str(self.program), "--until-eof", "--config", f"/proc/self/fd/{config}"], stdin=subprocess.PIPE, pass_fds=[config],
                stdout=None if is_standard(1) else subprocess.DEVNULL, stderr=None if is_standard(2) else subprocess.DEVNULL,
                start_new_session=True, env={**os.environ, "NOTIFY_SOCKET": "@" + name})
            self._await_ready(notify)
        finally:
            os.close(config)
            notify.close()

    def _await_ready(self, notify: socket.socket) -> None:
        ended = os.pidfd_open(self.process.pid)
        poll = select.poll()
        poll.register(notify, select.POLLIN)
        poll.register(ended, select.POLLIN)
        deadline = time.monotonic() + START_TIMEOUT
        try:
            while True:
                ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
                if notify.fileno() in ready:
                    if b"READY=1" in notify.recv(4096):
                        return
                elif ended in ready:
                    raise NoDaemon(f"{self.program} ended at once, with status {self.process.wait()}")
                else:
                    raise NoDaemon(f"{self.program} was not ready within {START_TIMEOUT:g} s")
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(ended)

    @property
    def alive(self) -> bool:
        """Whether it still runs, as far as this process knows."""
        return not self.has_ended()

    def has_ended(self, within: float = 0) -> bool:
        """Whether it has ended, or does so within some seconds, as far as this process can know."""
        if self.pid != os.getpid():
            return False
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Ends it, and waits for that."""
        if self.pid != os.getpid():
            return
        try:
            self.process.stdin.close()  # type: ignore[union-attr]
        except OSError:
            pass
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        try:
            os.unlink(self.path)
        except OSError:
            pass


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
        return _daemon


def _stop() -> None:
    if _daemon is not None:
        _daemon.stop()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    if _daemon is not None and _daemon.process.stdin is not None:
        _daemon.process.stdin.raw.close()  # the parent alone keeps it alive


atexit.register(_stop)
os.register_at_fork(after_in_child=_after_fork_in_child)
