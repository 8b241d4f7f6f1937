# SPDX-License-Identifier: Apache-2.0
"""The ways that calls of compat pools take: what is read by whom, and what goes beside the socket."""
import subprocess
import sys
import threading
import time

import pytest

from objpool.compat import multiprocess

SOON = 30
LARGE = 1 << 20


@pytest.fixture(scope="module")
def pool():
    with multiprocess.Pool(2) as pool:
        yield pool


def test_large_arguments_and_results(pool):
    data = bytes(range(256)) * (LARGE // 256)
    assert pool.apply(bytes.__add__, (data, b"!")) == data + b"!"
    assert pool.map(len, [data, data * 2], 1) == [LARGE, 2 * LARGE]
    assert pool.apply(sum, (list(range(LARGE)),)) == LARGE * (LARGE - 1) // 2


def test_large_and_small_chunks_of_a_map_keep_their_order(pool):
    sizes = [1, LARGE, 2, 2 * LARGE, 3]
    assert pool.map(len, [bytes(size) for size in sizes], 1) == sizes


def test_a_callback_of_a_large_call_is_called_though_nobody_waits(pool):
    called = threading.Event()
    pool.apply_async(len, (bytes(LARGE),), callback=lambda size: called.set())
    assert called.wait(SOON)


def test_terminate_ends_an_apply_that_another_thread_waits_for():
    begun, ended = multiprocess.Pipe(), []
    pool = multiprocess.Pool(1)

    def wait():
        try:
            pool.apply(begin_and_wait, (begun[1],))
        except multiprocess.ProcessError as error:
            ended.append(type(error).__name__)
    thread = threading.Thread(target=wait)
    thread.start()
    assert begun[0].poll(SOON)
    pool.terminate()
    thread.join(SOON)
    assert ended == ["PoolTerminated"]
    pool.join()


def begin_and_wait(connection):
    connection.send("begun")
    threading.Event().wait()


def test_join_awaits_what_other_threads_have_applied():
    (here, there), results = multiprocess.Pipe(), []
    pool = multiprocess.Pool(1, setattr, (multiprocess, "was_begun", True))
    threads = [threading.Thread(target=lambda: results.append(pool.apply(begin_and_answer, (there,)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert here.recv() == "begun"
    until(lambda: len(pool._crew._connection.pending) == 2)     # the other waits for the worker
    pool.close()
    joining = threading.Thread(target=pool.join)
    joining.start()
    here.send("go on")
    here.send("and on")
    joining.join(SOON)
    for thread in threads:
        thread.join(SOON)
    assert sorted(results) == [("and on", True), ("go on", True)] and not joining.is_alive()


def until(condition):
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline


def begin_and_answer(connection):
    connection.send("begun")
    return connection.recv(), getattr(multiprocess, "was_begun", False)


def test_submodules_are_imported_when_asked_for_and_leave_the_standard_library_s_alone():
    program = """
import sys
from objpool.compat import multiprocess
assert "multiprocessing.managers" not in sys.modules
import multiprocessing.queues
spec = multiprocessing.queues.__spec__
import objpool.compat.multiprocess.queues
from objpool.compat.multiprocess import managers, shared_memory
from objpool.compat.multiprocess.synchronize import Lock
import multiprocessing.managers
assert managers is multiprocess.managers is not multiprocessing.managers
assert multiprocess.queues is not multiprocessing.queues and multiprocessing.queues.__spec__ is spec
assert multiprocess.process is multiprocessing.process
assert multiprocess.reduction.ForkingPickler is not multiprocessing.reduction.ForkingPickler is multiprocessing.queues._ForkingPickler
assert not hasattr(multiprocess, "nothing") and "heap" in dir(multiprocess)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=SOON)
