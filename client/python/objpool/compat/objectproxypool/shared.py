# SPDX-License-Identifier: Apache-2.0
"""Arrays in shared memory: one copy, which all workers look at."""
import mmap
import os
from multiprocessing import shared_memory

try:
    import _posixshmem
except ImportError:
    _posixshmem = None


class RemoteArray:
    """What is sent for an array in shared memory."""

    def __init__(self, name, dtype, shape):
        self.name, self.dtype, self.shape = name, dtype, shape

    def __repr__(self):
        return f"<array in shared memory {self.name}: {self.dtype} {self.shape}>"


class SharedArrayWrapper:
    """A copy of the array in shared memory: `array` here, `remoteArray` to send. The memory goes with this object."""

    def __init__(self, array):
        import numpy as np
        array = np.asarray(array)
        self._memory = shared_memory.SharedMemory(create=True, size=max(1, array.nbytes))
        self.array = np.ndarray(array.shape, array.dtype, self._memory.buf)
        self.array[...] = array
        self.remoteArray = RemoteArray(self._memory.name, array.dtype, array.shape)

    @property
    def name(self):
        return self._memory.name

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype

    def __del__(self):
        memory, self._memory = self.__dict__.get("_memory"), None
        if memory is None:
            return
        self.array = None
        try:
            memory.unlink()
            memory.close()
        except (FileNotFoundError, BufferError):
            pass        # somebody still looks at it: the kernel frees it with the last


def unpack(x):
    """The array that a handle stands for; anything else as it is."""
    if not isinstance(x, RemoteArray):
        return x
    import numpy as np
    return np.ndarray(x.shape, x.dtype, _map(x.name))


def _map(name):
    """Maps the segment without telling the resource tracker, which would remove it when this process ends."""
    if _posixshmem is None:
        return shared_memory.SharedMemory(name).buf
    descriptor = _posixshmem.shm_open("/" + name.lstrip("/"), os.O_RDWR, mode=0o600)
    try:
        return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


class Unpacker:
    """with Unpacker(x) as array: …"""

    def __init__(self, x):
        self._x = x

    def __enter__(self):
        return unpack(self._x)

    def __exit__(self, *_):
        self._x = None
