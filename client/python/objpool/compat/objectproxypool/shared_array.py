# SPDX-License-Identifier: Apache-2.0
"""Arrays in shared memory: one copy, which all workers use."""
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

    @property
    def array(self):
        return unpack(self)

    def close(self):
        """Does nothing: the memory is freed with the last array that uses it."""

    def __repr__(self):
        return f"<array in shared memory {self.name}: {self.dtype} {self.shape}>"


RemoteSharedArrayWrapper = RemoteArray


class SharedArrayWrapper:
    """A copy of the array in shared memory: `array` here, `remoteArray` to send.

    The memory is freed with this object, by close(), or at the end of a with-statement. Arrays that use it already stay valid.
    """

    def __init__(self, array):
        import numpy as np
        array = np.asarray(array)
        self._memory = shared_memory.SharedMemory(create=True, size=max(1, array.nbytes))
        self.remoteArray = RemoteArray(self._memory.name, array.dtype, array.shape)
        self.array = unpack(self.remoteArray)       # its mapping lives as long as arrays that use it
        self.array[...] = array

    @property
    def name(self):
        return self.remoteArray.name

    @property
    def shape(self):
        return self.remoteArray.shape

    @property
    def dtype(self):
        return self.remoteArray.dtype

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """From now on nobody can map the memory."""
        memory, self._memory = self.__dict__.get("_memory"), None
        if memory is None:
            return
        self.array = None
        try:
            memory.close()
            memory.unlink()
        except FileNotFoundError:
            pass

    def __del__(self):
        self.close()


def unpack(x):
    """The array that a RemoteArray stands for; any other value as it is."""
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
