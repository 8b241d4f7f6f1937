# SPDX-License-Identifier: Apache-2.0
"""Memory files that a manager's server and its clients show to each other.

Who makes a file tells where it is: "PID/DESCRIPTOR/NONCE". Another process opens it by /proc/PID/fd, if it may: it runs as the same
user, and sees the same processes. In another container, and on another machine, the same numbers mean another file, or none: so
the file's name has the nonce, and whoever opens a file looks at its name.
"""
import fcntl
import mmap
import os

_NAME = "objpool-manager-"
_ADD_SEALS, _GET_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033), getattr(fcntl, "F_GET_SEALS", 1034)
_FIXED = 1 | 2 | 4 | 8      # F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
_POPULATE = getattr(mmap, "MAP_POPULATE", 0x8000)
_PIECES_MOST = 1024         # of one pwritev: IOV_MAX


class NotSeen(OSError):
    """There is no such file here."""


def make():
    """(descriptor, nonce) of a new file."""
    nonce = os.urandom(8).hex()
    return os.memfd_create(_NAME + nonce, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), nonce


def where(descriptor, nonce):
    """What other processes are told of a file of this one."""
    return f"{os.getpid()}/{descriptor}/{nonce}"


def open_at(where, flags):
    """(descriptor, nonce) of a file that another process has. Raises OSError."""
    try:
        pid, number, nonce = where.split("/")
        path = f"/proc/{int(pid)}/fd/{int(number)}"
    except ValueError:
        raise NotSeen(f"{where!r} is no place of a file") from None
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if _name_of(descriptor) == f"/memfd:{_NAME}{nonce} (deleted)":
        return descriptor, nonce
    os.close(descriptor)
    raise NotSeen(f"{path} is another file")


def _name_of(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None


_kept = set()       # descriptors of values


def write(pieces):
    """(descriptor, nonce) of a new file with these bytes, which nobody can change. To be closed by `close`. Raises OSError."""
    descriptor, nonce = make()
    _kept.add(descriptor)
    try:
        _write_all(descriptor, pieces)
        fcntl.fcntl(descriptor, _ADD_SEALS, _FIXED)
    except BaseException:
        close(descriptor)
        raise
    return descriptor, nonce


def close(descriptor, _kept=_kept, _close=os.close):     # at the program's end modules may have been cleared
    if descriptor in _kept:
        _kept.discard(descriptor)
        _close(descriptor)


def _write_all(descriptor, pieces):
    rest, done = [memoryview(piece).cast("B") for piece in pieces], 0
    while rest:
        wrote = os.pwritev(descriptor, rest[:_PIECES_MOST], done)
        done += wrote
        while rest and wrote >= len(rest[0]):
            wrote -= len(rest.pop(0))
        if rest:
            rest[0] = rest[0][wrote:]


def map_at(where):
    """The bytes of a file that another process has, not copied. Raises OSError."""
    descriptor, _ = open_at(where, os.O_RDONLY)
    try:
        return _map(descriptor)
    finally:
        os.close(descriptor)


def _map(descriptor):
    return memoryview(mmap.mmap(descriptor, 0, mmap.MAP_SHARED | _POPULATE, mmap.PROT_READ))


class Value:
    """A file that the server keeps, with an encoded value."""

    __slots__ = ("_descriptor", "_nonce")

    def __init__(self, where, most):
        """Opens it. most: a descriptor from this on is one too many. Raises OSError."""
        self._descriptor = -1
        self._descriptor, self._nonce = open_at(where, os.O_RDONLY)
        _kept.add(self._descriptor)
        if self._descriptor >= most:
            raise NotSeen("too many files are open")
        if fcntl.fcntl(self._descriptor, _GET_SEALS) & _FIXED != _FIXED:
            raise NotSeen(f"the file at {where} can change")

    @property
    def where(self):
        return where(self._descriptor, self._nonce)

    def read(self):
        return bytes(_map(self._descriptor))

    def __del__(self, _close=close):
        _close(self._descriptor)


def _after_fork_in_child():
    """A fork keeps no file alive of which it knows nothing."""
    for descriptor in _kept:
        os.close(descriptor)
    _kept.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
