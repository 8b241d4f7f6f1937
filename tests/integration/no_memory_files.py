# SPDX-License-Identifier: Apache-2.0
"""forbid(error): memfd_create of this process and of what it runs fails with this error, as under a filter of system calls."""
import ctypes
import platform
import struct

NUMBER = {"x86_64": 319, "aarch64": 279, "s390x": 350, "ppc64le": 360, "riscv64": 279, "i686": 356, "armv7l": 385}.get(platform.machine())
SET_NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ERRNO, ALLOW = 0x00050000, 0x7FFF0000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def forbid(error):
    libc = ctypes.CDLL(None, use_errno=True)
    code = struct.pack("HBBI" * 4, LOAD_NUMBER, 0, 0, 0, JUMP_IF_EQUAL, 0, 1, NUMBER, RETURN, 0, 0, ERRNO | error,
                       RETURN, 0, 0, ALLOW)
    text = ctypes.create_string_buffer(code)
    program = Program(4, ctypes.addressof(text))
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "no filter of system calls")
