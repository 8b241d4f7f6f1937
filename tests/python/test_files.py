# SPDX-License-Identifier: Apache-2.0
"""Large values beside the socket: they arrive whole, can be written to, and nothing of them stays behind."""
import array
import fcntl
import gc
import os
import socket
import threading

import pytest

import objpool
from objpool import _files
from harness import DEADLINE, wait_for

numpy = pytest.importorskip("numpy")
MIB = 1 << 20


def pattern(size, seed=1):
    return numpy.random.default_rng(seed).bytes(size)


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("size", [(128 << 10) - 1, 128 << 10, (128 << 10) + 1, 3 * MIB + 7])
def test_bytes_there_and_back(pool, size):
    data = pattern(size)
    assert pool.echo(data) == data
    assert pool.echo(bytearray(data), x=[1, {"k": data}]) == {"args": [data], "kwargs": {"x": [1, {"k": data}]}}
    assert pool.all.echo(data) == [data, data]
    assert pool.options(errors="collect").map.echo([data, b"small", data]) == [data, b"small", data]


def test_arrays_that_came_are_the_users(pool):
    array = numpy.arange(MIB // 8, dtype=float)
    first, second = pool.echo(array), pool.echo(array)
    first[:] = 0
    assert (second == array).all() and (pool.echo(array) == array).all() and not first.any()
    part = second[10:20]
    del second
    gc.collect()
    for seed in range(30):  # the daemon fills its memory anew
        other = numpy.frombuffer(pattern(MIB, seed), numpy.uint8)
        assert (pool.echo(other) == other).all()
    assert (part == array[10:20]).all()


def test_more_than_the_daemon_lends(pool):
    array = numpy.arange(MIB // 8, dtype=float)
    kept = [pool.echo(array + i) for i in range(40)]
    assert all((each == array + i).all() for i, each in enumerate(kept))


def test_what_is_sent_is_what_it_was_when_it_was_sent(pool):
    array = numpy.zeros(MIB, numpy.uint8)
    futures = []
    for i in range(20):
        array[:] = i
        futures.append(pool.echo.future(array))
    for i, future in enumerate(futures):
        assert (future.result(DEADLINE) == i).all()


def test_streams(pool):
    items = [pattern(200 << 10, seed) for seed in range(50)]
    assert list(pool.map.echo.stream(items)) == items
    assert list(pool.map.echo.stream(iter(items))) == items


def test_objects_that_are_large_when_pickled(pool):
    value = {i: {i} for i in range(30000)}
    assert pool.echo(value) == value


def test_nothing_stays_behind(pool):
    array = numpy.arange(MIB // 8, dtype=float)
    pool.echo(array)
    before = descriptors()
    for _ in range(50):
        pool.echo(array)
        pool.all.echo.future(array)  # nobody takes the result
        with pytest.raises(objpool.CallFailed):
            pool.fail("x")
    pool.all.echo(1)
    assert descriptors() <= before + 8  # memory that is kept to be filled again


def test_results_are_given_back(daemon, pool):
    for _ in range(24):  # 16 is the most that a connection may have at a time
        assert len(pool.blob(MIB)) == MIB
    wait_for(lambda: daemon.memory_files() < 8, lambda: f"{daemon.memory_files()} files to be given back")


def test_many_threads(pool):
    failed = []

    def work(seed):
        data = pattern(300 << 10, seed)
        for _ in range(20):
            if pool.echo(data) != data:
                failed.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not failed and not any(thread.is_alive() for thread in threads)


def test_sticky_calls_and_constructors_keep_what_they_get(client, pool):
    data = pattern(MIB)
    pool.all.options(sticky="replace").set(data)
    client.restart(pool, 0)
    assert pool.all.get() == [data, data]
    with client.create_pool("Probe", 1, plugin="probe", kwargs={"tag": data}) as other:
        assert other.tag() == data


def test_a_daemon_that_takes_none(start):
    daemon = start(daemon={"payload_min": 0})
    with objpool.connect(daemon.address) as client:
        data = pattern(MIB)
        assert client.server.get("fds") is not True and client.pool("p").echo(data) == data


def test_what_a_daemon_may_not_pass_is_closed(pool):
    """A socket that was kept could be the connection's own other end, which would then never end."""
    ours, theirs = socket.socketpair()
    memory = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(memory, 1033, 2)
    null = os.open(os.devnull, os.O_RDONLY)
    before = descriptors()
    arrivals = _files.Arrivals(pool, 1)
    passed = [os.dup(fd) for fd in (theirs.fileno(), null, memory)]
    arrivals.add([(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed).tobytes())])
    assert [file is None for file in arrivals.waiting] == [True, True, False]
    assert descriptors() == before + 1
    ours.close()
    theirs.close()
    os.close(null)
    os.close(memory)


def test_a_client_that_was_closed_keeps_nothing(daemon):
    before = descriptors()
    client = objpool.connect(daemon.address, timeout=DEADLINE)
    assert client.pool("p").echo(pattern(MIB)) == pattern(MIB)
    client.close()
    assert descriptors() == before and client.address
