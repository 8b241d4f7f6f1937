# SPDX-License-Identifier: Apache-2.0
"""A direct channel with rings, which looks like a socket."""
import array
import ctypes
import functools
import os
import select
import socket
import subprocess
import tempfile
import time

import msgpack

from harness import DEADLINE, ROOT

BYTES, FILES = 64 << 10, 3


class Words(ctypes.Structure):
    """struct rings: room enough for it."""
    _fields_ = [("memory", ctypes.c_void_p), ("pointers", ctypes.c_void_p * 4), ("places", ctypes.c_uint64 * 2),
                ("wakes_us", ctypes.c_int), ("wakes_other", ctypes.c_int)]


@functools.lru_cache(maxsize=None)
def library():
    with tempfile.TemporaryDirectory() as path:
        subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-shared", "-fPIC", f"-I{ROOT}", f"{ROOT}/proto/rings.c",
                        f"{ROOT}/proto/memory_file.c", "-o", f"{path}/rings.so"], check=True, timeout=DEADLINE)
        found = ctypes.CDLL(f"{path}/rings.so")
    found.rings_put.restype = found.rings_take.restype = ctypes.c_ssize_t
    found.rings_put.argtypes = found.rings_take.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    found.rings_fall_asleep.restype = ctypes.c_bool
    return found


def offered(channel):
    """What the worker says first on the socket: the parameters, and the descriptors."""
    data, control, _, _ = channel.recvmsg(4096, socket.CMSG_SPACE(4 * FILES))
    files = array.array("i")
    for _, _, fds in control:
        files.frombytes(fds)
    kind, method, params = msgpack.unpackb(data)
    assert (kind, method) == (2, "objpool.rings")
    return params, list(files)


class RingSocket:
    """The methods of a socket that the harness uses."""

    def __init__(self, channel):
        self.socket = channel
        self.timeout = DEADLINE
        channel.settimeout(DEADLINE)
        params, files = offered(channel)
        assert params == [BYTES] and len(files) == FILES
        self.words = Words()
        self.rings = ctypes.byref(self.words)
        assert library().rings_open(self.rings, (ctypes.c_int * FILES)(*files)) == 0
        channel.setblocking(False)

    def settimeout(self, timeout):
        self.timeout = timeout

    def await_other(self, deadline):
        left = deadline - time.monotonic()
        ready = select.select([self.socket, self.words.wakes_us], [], [], max(0, left))[0]
        library().rings_wake(self.rings, self.words.wakes_us in ready)
        if not ready:
            raise socket.timeout("timed out")

    def take(self, room):
        buffer = ctypes.create_string_buffer(room)
        n = library().rings_take(self.rings, buffer, room)
        assert n >= 0, os.strerror(-n)
        return buffer.raw[:n]

    def has_ended(self):
        try:
            return not self.socket.recv(1)
        except BlockingIOError:
            return False

    def recv(self, room):
        deadline = time.monotonic() + self.timeout
        while True:
            if data := self.take(room):
                return data
            if self.has_ended():
                return self.take(room)
            if library().rings_fall_asleep(self.rings):
                self.await_other(deadline)

    def sendall(self, data):
        deadline = time.monotonic() + self.timeout
        while data:
            n = library().rings_put(self.rings, bytes(data), len(data))
            if n < 0:
                raise OSError(-n, os.strerror(-n))
            data = data[n:]
            if n == 0 and self.has_ended():
                raise BrokenPipeError
            if n == 0:
                self.await_other(deadline)

    def sendmsg(self, *arguments):
        """Nobody may: bytes and descriptors on the socket."""
        return self.socket.sendmsg(*arguments)

    def shutdown(self, how):
        self.socket.shutdown(how)

    def close(self):
        if self.socket.fileno() >= 0:
            library().rings_close(self.rings)
        self.socket.close()
