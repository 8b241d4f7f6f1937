# SPDX-License-Identifier: Apache-2.0
"""SharedMemory and ShareableList, in memory files: nothing lies in /dev/shm, and nothing has to be cleaned up.

A segment lives as long as a process has it: the process that made it, until it calls unlink() or ends, and each process that has
attached to it, until close(). The kernel removes it with the last. There is no tracker that could remove it before.

A name is looked up among the open files of the user's processes, in /proc. unlink() seals the file against growing, which is how
others see that the name is no longer valid.
"""
import errno
import fcntl
import hashlib
import os
import socket
import sys
import time

from ._modules import execute_again

execute_again(sys.modules[__name__])

_Original = SharedMemory    # noqa: F821
_UNLINKED = fcntl.F_SEAL_GROW
_NAMING_MOST = 5.0          # seconds that another process may take to make a segment of the same name
_kept = {}                  # name -> descriptor of a segment that this process has made and closed, but not unlinked


class SharedMemory(_Original):
    """Creates a segment, or attaches to the segment of this name. track: for compatibility; there is no tracker."""

    _unlinked = False       # what the file said when it was closed

    def __init__(self, name=None, create=False, size=0, *, track=True):
        flags = self._flags | (os.O_CREAT | os.O_EXCL if create else 0)
        if size < 0 or create and size == 0:
            raise ValueError("'size' must be a positive integer")
        if name is None and not flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        self._made = False
        while self._fd < 0:
            self._name = _make_filename() if name is None else "/" + name   # noqa: F821
            try:
                self._fd = self._open(flags, size)
            except FileExistsError:
                if name is not None:
                    raise
        self._map()

    def _open(self, flags, size):
        if not flags & os.O_CREAT:
            return _must_find(self._name)
        with _Naming(self._name):
            found = _find(self._name)
            if found is None:
                self._made = True
                return _make(self._name, size)
        if flags & os.O_EXCL:
            os.close(found)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._name)
        return found

    def _map(self):
        self._size = os.fstat(self._fd).st_size
        self._mmap = mmap.mmap(self._fd, self._size)    # noqa: F821
        self._buf = memoryview(self._mmap)

    @classmethod
    def _of(cls, name, descriptor):
        """The segment of a descriptor that was passed on."""
        made = cls.__new__(cls)
        made._name, made._fd, made._made = name, descriptor.detach(), False
        made._map()
        return made

    def __reduce__(self):
        from . import context
        from .reduction import DupFd
        if context.get_spawning_popen() is not None and self._fd >= 0:
            return type(self)._of, (self._name, DupFd(self._fd))
        return type(self), (self.name, False, self.size)

    def close(self):
        """Gives up this process's access."""
        if self._fd >= 0:
            self._unlinked = _is_unlinked(self._fd)
            if self._made and not self._unlinked:
                _kept[self._name] = os.dup(self._fd)
        super().close()

    def unlink(self):
        """Makes the name invalid. The segment is gone when all have closed it. FileNotFoundError: the name was not valid."""
        descriptor = self._fd if self._fd >= 0 else _find(self._name)
        try:
            if self._unlinked or descriptor is not None and _is_unlinked(descriptor):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._name)
            self._unlinked = True
            if descriptor is not None:
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _UNLINKED)
        finally:
            if descriptor not in (None, self._fd):
                os.close(descriptor)
            kept = _kept.pop(self._name, None)
            if kept is not None:
                os.close(kept)


def _forget_kept():
    """Called in a forked child: the segments are its parent's."""
    for descriptor in _kept.values():
        os.close(descriptor)
    _kept.clear()


os.register_at_fork(after_in_child=_forget_kept)


def _make(name, size):
    descriptor = os.memfd_create(_label(name), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return descriptor


def _label(name):
    return "objpool-shm" + name


def _is_unlinked(descriptor):
    return bool(fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _UNLINKED)


def _must_find(name):
    found = _find(name)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    return found


def _find(name):
    """A descriptor of this process for the segment of that name, or None."""
    text = f"/memfd:{_label(name)} (deleted)"
    for process in _processes():
        for descriptor in _descriptors_of(process):
            path = f"{process}/fd/{descriptor}"
            try:
                if os.readlink(path) == text:
                    opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                else:
                    continue
            except OSError:     # it was closed, or is not for this user
                continue
            if os.fstat(opened).st_uid == os.geteuid() and not _is_unlinked(opened):
                return opened
            os.close(opened)
    return None


def _processes():
    """The folders of processes in /proc: likely holders first."""
    yield "/proc/self"
    yield f"/proc/{os.getppid()}"
    with os.scandir("/proc") as entries:
        yield from (entry.path for entry in entries if entry.name.isdigit())


def _descriptors_of(process):
    try:
        return os.listdir(process + "/fd")
    except OSError:             # it has ended, or is another user's
        return ()


class _Naming:
    """While this is entered, no other process of the user makes a segment of that name."""

    def __init__(self, name):
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
        self._address = f"\0objpool-shm-{os.geteuid()}-{digest}"

    def __enter__(self):
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + _NAMING_MOST
        while True:
            try:
                return self._socket.bind(self._address)
            except OSError:
                if time.monotonic() > deadline:
                    self._socket.close()
                    raise
                time.sleep(0.001)

    def __exit__(self, *_):
        self._socket.close()
