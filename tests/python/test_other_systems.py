# SPDX-License-Identifier: Apache-2.0
"""Where Python has no Unix sockets, forks, descriptors on sockets or poll(), as on Windows: calls over tcp: and tls: work."""
import pytest

from certificates import Authority, serve_tls

#: Put before a program: takes away what Windows lacks, and gives it an event loop that has no add_reader, as is the default there.
WITHOUT = '''
import functools, importlib, sys
NAMES = {
    "mmap": "MAP_PRIVATE MAP_SHARED PROT_READ PROT_WRITE",
    "os": """fork register_at_fork posix_spawn pidfd_open memfd_create MFD_CLOEXEC MFD_ALLOW_SEALING pwritev waitid P_PIDFD
             sched_yield sched_getaffinity uname getuid geteuid getgid setsid killpg O_CLOEXEC O_NONBLOCK O_NOCTTY""",
    "select": "poll epoll POLLIN POLLOUT POLLERR POLLHUP",
    "signal": "SIGKILL SIGCHLD SIGPIPE pidfd_send_signal",
    "socket": """AF_UNIX SCM_RIGHTS SCM_CREDENTIALS CMSG_SPACE CMSG_LEN MSG_CMSG_CLOEXEC MSG_DONTWAIT MSG_NOSIGNAL SO_PEERCRED
                 send_fds recv_fds""",
}
import os, select, socket
os.process_cpu_count = os.cpu_count  # it has sched_getaffinity
socket.socketpair = functools.partial(socket.socketpair, socket.AF_UNIX)
for module, names in NAMES.items():
    for name in names.split():
        vars(importlib.import_module(module)).pop(name, None)
for module in "fcntl", "resource", "pwd", "grp", "termios":
    sys.modules[module] = None

import asyncio

def refused(*_):
    raise NotImplementedError

class Loop(asyncio.SelectorEventLoop):
    add_reader = add_writer = refused

def run(main):
    loop = Loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
'''

CALLS = WITHOUT + '''
import objpool, objpool.aio
large = bytes(range(256)) * (16 << 10)
options = {"timeout": 60, "tls_ca": sys.argv[2]}
with objpool.connect(sys.argv[1], **options) as client:
    pool = client.pool("p")
    assert pool.echo(1) == 1 and pool.echo(large) == large and pool.options(timeout=60).echo(2) == 2
    assert pool.map.add([1, 2], [3, 4]) == [4, 6] and pool.all.slot() == [0, 1]
    assert list(pool.map.echo.stream(i for i in range(3000))) == list(range(3000))
    assert [future.result(60) for future in [pool.echo.future(large) for _ in range(20)]] == [large] * 20
    with pool.lease() as lease:
        assert lease.echo(3) == 3
    steps = []
    assert pool.options(progress=lambda *step: steps.append(step)).map.echo([1, 2]) == [1, 2] and steps
    try:
        pool.fail("x")
    except objpool.CallFailed:
        pass
    try:
        pool.options(timeout=0.02).sleep(60)
    except objpool.Timeout:
        pass

async def numbers(n):
    for i in range(n):
        yield i

async def main():
    async with objpool.aio.connect(sys.argv[1], **options) as client:
        pool = client.pool("p")
        assert await pool.echo(1) == 1 and await pool.echo(large) == large
        assert await pool.map.add([1, 2], [3, 4]) == [4, 6] and await pool.all.slot() == [0, 1]
        assert [value async for value in pool.map.echo.stream(numbers(3000))] == list(range(3000))
        assert await asyncio.gather(*(pool.echo(large) for _ in range(20))) == [large] * 20
        async with pool.lease() as lease:
            assert await lease.echo(3) == 3
        task = pool.sleep.future(60)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        waits = pool.sleep.future(60)
        await asyncio.sleep(0)
    try:
        await waits
    except objpool.ConnectionLost:
        print("fine")

run(main())
'''

REFUSALS = WITHOUT + '''
import objpool, objpool.aio

def said(call):
    try:
        call()
    except (objpool.NoDaemon, ImportError) as error:
        print(error)

said(objpool.connect)
said(lambda: objpool.connect("private"))
said(lambda: objpool.connect("unix:/somewhere"))
said(lambda: objpool.create_pool(object))
said(lambda: run(objpool.aio.connect("private")._connect()))
for module in "multiprocess", "objectproxypool", "py_stateful_map", "parallelize":
    said(lambda: importlib.import_module("objpool.compat." + module))
'''


@pytest.mark.parametrize("kind", ["tcp", "tls"])
def test_calls(start, place, program, kind):
    ca = Authority(place)
    daemon = serve_tls(start, ca)
    address = daemon.tls if kind == "tls" else "tcp:" + daemon.wait_log(r"listening on tcp:(\S+)").group(1)
    process = program(CALLS, address, ca.path)
    assert process.communicate() == ("fine\n", "") and process.returncode == 0


def test_what_needs_unix_says_so(program):
    output, errors = program(REFUSALS).communicate()
    assert errors == ""
    private = "a daemon of the program's own can't be started: this system can't run objpoold: set OBJPOOL_ADDRESS to the"
    lines = output.splitlines()
    assert [line.startswith(private) for line in lines[:2] + lines[3:5]] == [True] * 4
    assert lines[2] == "can't connect to unix:/somewhere: this Python has no Unix sockets; tcp: and tls: addresses can be used"
    assert len(lines) == 9 and all(line.startswith("objpool.compat needs a daemon of the program's own") for line in lines[5:])
