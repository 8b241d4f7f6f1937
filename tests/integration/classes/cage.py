# SPDX-License-Identifier: Apache-2.0
"""A class that tries what a cage forbids. Each method returns "done", or the name of the error."""
import ctypes
import errno
import os
import resource
import signal
import socket

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


def tries(function):
    def attempt(self, *args):
        try:
            function(self, *args)
        except OSError as error:
            return errno.errorcode[error.errno]
        return "done"

    return attempt


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


class Prisoner:
    def pid(self):
        return os.getpid()

    def account(self):
        return [list(os.getresuid()), list(os.getresgid()), os.getgroups(), os.environ.get("HOME")]

    def status(self, key):
        with open("/proc/self/status") as status:
            return next(line.split(":")[1].strip() for line in status if line.startswith(key + ":"))

    def variable(self, name):
        return os.environ.get(name)

    def native_variable(self, name):
        LIBC.getenv.restype = ctypes.c_char_p
        return LIBC.getenv(name.encode())

    def place(self):
        mask = os.umask(0)
        os.umask(mask)
        return [os.getcwd(), mask, os.nice(0), sorted(os.sched_getaffinity(0))]

    def limits(self):
        return [list(resource.getrlimit(which)) for which in
                (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_NPROC)]

    @tries
    def reads(self, path):
        with open(path, "rb") as file:
            file.read(10)

    @tries
    def writes(self, path):
        with open(path, "r+b") as file:
            file.write(b"x")

    @tries
    def creates(self, path):
        with open(path, "wb") as file:
            file.write(b"x")

    @tries
    def truncates(self, path):
        os.truncate(path, 0)

    @tries
    def opens_truncated(self, path):
        os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))

    @tries
    def removes(self, path):
        os.unlink(path)

    @tries
    def runs(self, path):
        pid = os.posix_spawn(path, [path], {})
        os.waitpid(pid, 0)

    @tries
    def signals(self, pid):
        os.kill(pid, signal.SIGCONT)

    @tries
    def signals_itself(self):
        os.kill(os.getpid(), signal.SIGCONT)

    @tries
    def traces(self, pid):
        LIBC.ptrace.argtypes = [ctypes.c_long] * 4
        checked(LIBC.ptrace(PTRACE_SEIZE, pid, 0, 0))
        checked(LIBC.ptrace(PTRACE_INTERRUPT, pid, 0, 0))
        os.waitpid(pid, WALL)
        checked(LIBC.ptrace(PTRACE_DETACH, pid, 0, 0))

    @tries
    def reads_memory(self, pid, address):
        buffer = ctypes.create_string_buffer(8)
        local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
        remote = (ctypes.c_size_t * 2)(address, 8)
        checked(LIBC.process_vm_readv(pid, local, 1, remote, 1, 0))

    @tries
    def takes_descriptor(self, pid):
        process = checked(LIBC.syscall(434, pid, 0))
        try:
            os.close(checked(LIBC.syscall(438, process, 0, 0)))
        finally:
            os.close(process)

    def address(self):
        self.bytes = ctypes.create_string_buffer(8)
        return ctypes.addressof(self.bytes)

    @tries
    def connects(self, path):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)

    @tries
    def makes_socket(self, family, kind):
        socket.socket(family, kind).close()

    @tries
    def makes_pair(self, kind):
        for end in socket.socketpair(socket.AF_UNIX, kind):
            end.close()

    @tries
    def sends_on_pair(self, path):
        """A datagram of one's own pair goes where it is addressed to."""
        mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with mine, other:
            mine.sendto(b"x", path)

    @tries
    def listens_on(self, path):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)

    @tries
    def limits_another(self, pid):
        resource.prlimit(pid, resource.RLIMIT_NOFILE)

    @tries
    def pins_another(self, pid):
        os.sched_setaffinity(pid, os.sched_getaffinity(0))

    @tries
    def slows_another(self, pid):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))

    @tries
    def has_namespace(self):
        checked(LIBC.unshare(0x04000000))

    @tries
    def makes_ring(self):
        os.close(checked(LIBC.syscall(425, 1, ctypes.create_string_buffer(120))))

    def counts(self, n):
        """Threads, a child of its own, and a pipe."""
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            return sum(threads.map(lambda i: i, range(n)))

    async def waits(self):
        import asyncio
        await asyncio.sleep(0.001)
        return "waited"

    def forks(self):
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def eats(self, size):
        return len(bytearray(size))

    def keeps(self, size):
        self.kept = bytearray(size)

    def length(self, value):
        return len(value)

    def spins(self):
        while True:
            pass


class Glutton(Prisoner):
    def __init__(self, size):
        self.keeps(size)
