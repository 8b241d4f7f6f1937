# SPDX-License-Identifier: Apache-2.0
"""What functions fork in the workers of compatible pools: processes, and pools of their own."""
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref

import pytest

from harness import wait_for
from objpool.compat import multiprocess

SOON = 30   # seconds; nothing here takes that long unless it hangs



def square(x):
    return x * x


def squares(n):
    with multiprocess.Pool(2) as pool:
        return pool.map(square, range(n))


def tower(height):
    if height == 0:
        return 0
    with multiprocess.Pool(1) as pool:
        return 1 + pool.map(tower, [height - 1])[0]


def leave_by(way):
    """How a child that leaves so ends."""
    pid = os.fork()
    if pid == 0:
        way()
        return None
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def exit_four():
    sys.exit(4)


def raise_key_error():
    raise KeyError("of a child")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_make_pools_of_their_own(method):
    with multiprocess.get_context(method).Pool(2) as pool:
        assert pool.map_async(squares, [2, 3]).get(SOON) == [[0, 1], [0, 1, 4]]
        assert pool.map_async(tower, [3]).get(SOON) == [3]
        assert pool.map_async(square, [2, 3]).get(SOON) == [4, 9]


@pytest.mark.parametrize("way, status", [(exit_four, 4), (sys.exit, 0), (raise_key_error, 1)])
def test_a_child_of_a_worker_ends_as_it_leaves(way, status):
    with multiprocess.Pool(1) as pool:
        assert pool.apply_async(leave_by, (way,)).get(SOON) == status
        assert pool.map_async(leave_by, [way]).get(SOON) == [status]
        assert list(pool.imap(leave_by, [way])) == [status]


MANY_CALLS = 20000  # more than a daemon takes by default while none is answered


def test_calls_of_any_number_wait_without_the_program(tmp_path):
    os.mkfifo(tmp_path / "gate")
    with multiprocess.Pool(1) as pool:
        first = pool.apply_async(wait_at, (tmp_path / "gate",))
        results = []
        thread = threading.Thread(target=lambda: results.extend(pool.apply_async(square, (i,)) for i in range(MANY_CALLS)))
        thread.start()
        thread.join(SOON)
        waits = len(results) == MANY_CALLS and not first.ready()
        with open(tmp_path / "gate", "w", encoding="ascii"):
            pass
        thread.join()
        assert waits and first.get(SOON) == "" and results[-1].get(SOON) == (MANY_CALLS - 1) ** 2


def wait_at(gate):
    with open(gate, encoding="ascii") as file:
        return file.read()


def test_a_limit_of_files_below_what_is_open(program):
    process = program("""
import os, resource
os.dup2(2, 300)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from objpool.compat import multiprocess
with multiprocess.Pool(2) as pool:
    print(pool.map(abs, [-1, -2]))
""")
    output, errors = process.communicate(timeout=SOON)
    assert (output, errors) == ("[1, 2]\n", "")


def test_a_daemon_that_refuses_to_start_says_its_status(tmp_path):
    daemon = tmp_path / "objpoold"
    daemon.write_text("#!/bin/sh\nexit 3\n")
    daemon.chmod(0o755)
    text = "import objpool\ntry: objpool.create_pool(dict, 1)\nexcept objpool.NoDaemon as error: print(error)"
    done = subprocess.run([sys.executable, "-c", text], env={**os.environ, "OBJPOOL_BIN": str(tmp_path)}, capture_output=True, text=True,
                          timeout=SOON, check=False)
    assert "objpoold ended at once, with status 3" in done.stdout, done.stderr


def test_a_pool_that_ran_code_by_value_goes_with_its_last_reference():
    gc.collect()
    gc.disable()
    try:
        with multiprocess.Pool(1) as pool:
            assert pool.map(lambda x: x + 1, [1]) == [2]
        reference = weakref.ref(pool._crew._connection)
        del pool
        wait_for(lambda: reference() is None, lambda: "the connection to go, when the daemon has dropped the pool")
    finally:
        gc.enable()


def ask_parent():
    parent = multiprocessing.parent_process()
    parent.join(0)
    return parent.pid, parent.is_alive()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_see_that_the_program_lives(method):
    with multiprocess.get_context(method).Pool(1) as pool:
        assert pool.apply(ask_parent) == (os.getpid(), True)


def number(_):
    return multiprocessing.current_process()._identity


def numbers(_):
    with multiprocess.Pool(1) as pool:
        return pool.apply(number, (0,))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_have_numbers(method):
    with multiprocess.get_context(method).Pool(2) as pool:
        assert set(pool.map(number, range(40), 1)) <= {(1,), (2,)}
        assert pool.map(numbers, [0]) in ([(1, 1)], [(2, 1)])


def test_a_fork_that_outlives_the_program_has_a_daemon_of_its_own(program):
    process = program("""
import os
from objpool.compat import multiprocess
with multiprocess.Pool(1) as pool:
    pool.map(abs, [-1])
program = os.pidfd_open(os.getpid())
if os.fork() == 0:
    import select
    from objpool import _embedded
    poll = select.poll()
    poll.register(program, select.POLLIN)
    poll.poll()
    while os.path.exists(_embedded._daemon.path):   # it ends when it has seen the program's end
        pass
    with multiprocess.Pool(1) as pool:
        print(pool.map(abs, [-2]))
""")
    output, errors = process.communicate(timeout=SOON)
    assert output == "[2]\n", errors


ON_A_THREAD_OF_AN_EXECUTOR = """
import concurrent.futures, os, time
from objpool.compat import multiprocess

def squares():
    with multiprocess.Pool(1) as pool:
        result = pool.map(lambda x: x * x, range(3))
        pool.close()
        pool.join()
    return result

def in_worker():
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        return executor.submit(os.getpid).result() == os.getpid()

with concurrent.futures.ThreadPoolExecutor(2) as executor:
    print(executor.submit(squares).result())
    print(executor.submit(multiprocess.Pool, 1).result().apply(in_worker))
"""


def test_a_pool_made_on_a_thread_of_an_executor_ends_in_silence(program):
    output, errors = program(ON_A_THREAD_OF_AN_EXECUTOR).communicate(timeout=SOON)
    assert (output, errors) == ("[0, 1, 4]\nTrue\n", "")
