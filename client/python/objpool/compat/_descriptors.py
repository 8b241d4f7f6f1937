# SPDX-License-Identifier: Apache-2.0
"""Descriptors of this program (pipes of queues, memory of shared values) for workers that are not its children.

A worker opens them by the program's entry in /proc, which the same user may do. Sockets and eventfds can't be opened so: for them it
asks the kernel for a copy.
"""
import os
import stat

PIDFD_GETFD = 438


class Shared:
    """Is sent in place of a descriptor, which must stay open here until the worker has it."""

    def __init__(self, descriptor):
        import fcntl
        status = os.fstat(descriptor)
        self.pid, self.descriptor, self.identity = os.getpid(), descriptor, (status.st_dev, status.st_ino)
        self.mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        self.has_no_path = stat.S_ISSOCK(status.st_mode) or not stat.S_IFMT(status.st_mode)

    def detach(self):
        """A descriptor of this process for the same file."""
        try:
            opened = copy(self.pid, self.descriptor) if self.has_no_path else self._open()
        except OSError as error:
            reason = os.strerror(error.errno)
            raise OSError(error.errno, f"a descriptor of process {self.pid} can't be had here: {reason}") from None
        status = os.fstat(opened)
        if (status.st_dev, status.st_ino) != self.identity:
            os.close(opened)
            raise OSError(f"a descriptor of process {self.pid} was closed there")
        os.set_blocking(opened, True)
        return opened

    def _open(self):
        return os.open(f"/proc/{self.pid}/fd/{self.descriptor}", self.mode | os.O_NONBLOCK | os.O_CLOEXEC)


def copy(pid, descriptor):
    """A descriptor of this process for the same open file as that descriptor of another process."""
    import ctypes
    process = os.pidfd_open(pid)
    try:
        got = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, descriptor, 0)
    finally:
        os.close(process)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def share(descriptor):
    return Shared(descriptor)
