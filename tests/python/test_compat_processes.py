# SPDX-License-Identifier: Apache-2.0
"""The life of a Process of objpool.compat.multiprocess, with each start method."""
import logging
import multiprocessing
import os
import signal
import sys

import pytest

from objpool.compat import multiprocess
from objpool.compat.multiprocess.connection import wait

SOON = 30   # seconds; nothing here takes that long unless it hangs


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request):
    return multiprocess.get_context(request.param)


def test_a_child_from_beginning_to_end(context):
    here, there = context.Pipe()

    def target():
        parent, current = context.parent_process(), context.current_process()
        there.send((os.getpid(), os.getppid(), current.name, current.daemon, bytes(current.authkey), parent.name, parent.pid,
                    parent.is_alive(), multiprocess.get_start_method(), type(current) is context.Process))
        there.recv()
        sys.exit(7)

    process = context.Process(target=target, name="somebody", daemon=True)
    assert (process.pid, process.exitcode, process.is_alive()) == (None, None, False)
    process.start()
    told = here.recv()
    method, current = context.get_start_method(), context.current_process()
    assert told == (process.pid, told[1], "somebody", True, bytes(current.authkey), current.name, os.getpid(), True, method, True)
    assert method == "forkserver" or told[1] == os.getpid()
    assert process.is_alive() and process in context.active_children() and process in multiprocessing.active_children()
    assert wait([process.sentinel], 0) == []
    with pytest.raises(ValueError, match="still running"):
        process.close()
    here.send(None)
    assert wait([process.sentinel], SOON) == [process.sentinel]
    process.join(SOON)
    assert (process.exitcode, process.is_alive(), process in context.active_children()) == (7, False, False)
    process.close()
    with pytest.raises(ValueError, match="closed"):
        process.is_alive()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_ends_of_a_child(context, how):
    here, there = context.Pipe()

    def target():
        there.send(None)
        there.recv()

    process = context.Process(target=target)
    process.start()
    here.recv()
    getattr(process, how)()
    process.join(SOON)
    assert process.exitcode == -(signal.SIGTERM if how == "terminate" else signal.SIGKILL)


ENDS = """
import sys
from objpool.compat import multiprocess

def raise_it():
    raise KeyError("a fault")

if __name__ == "__main__":
    context = multiprocess.get_context(sys.argv[1])
    for target in (lambda: print("to the output"), raise_it, lambda: sys.exit("the reason")):
        process = context.Process(target=target)
        process.start()
        process.join()
        print(process.exitcode, flush=True)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_a_child_prints_and_its_status(program, method):
    out, err = program(ENDS, method).communicate(timeout=SOON)
    assert out == "to the output\n0\n1\n1\n" and "KeyError: 'a fault'" in err and "in raise_it" in err and "the reason\n" in err


def test_a_class_of_processes_that_is_local(context):
    queue = context.SimpleQueue()

    class Mine(context.Process):
        def __init__(self, answer):
            super().__init__()
            self.answer = answer

        def run(self):
            queue.put((self.answer, self.name))

    process = Mine(42)
    process.start()
    assert queue.get() == (42, process.name)
    process.join(SOON)
    assert process.exitcode == 0


def test_a_target_that_can_not_go():
    frame = sys._getframe()
    process = multiprocess.get_context("spawn").Process(target=print, args=(frame,))
    with pytest.raises(TypeError, match="frame"):
        process.start()
    assert not process.is_alive() and process not in multiprocess.active_children()


def test_the_log_of_a_child(context):
    here, there = context.Pipe()
    logger = multiprocess.get_logger()
    before = logger.level
    try:
        logger.setLevel(logging.INFO)
        def target():
            log = multiprocess.get_logger()
            there.send((log.name, log.getEffectiveLevel()))

        process = context.Process(target=target)
        process.start()
        assert here.recv() == ("multiprocessing", logging.INFO)
        process.join(SOON)
    finally:
        logger.setLevel(before)


LIFE = """
import multiprocessing, os, sys
from objpool.compat import multiprocess

def tell(queue):
    queue.put((multiprocess.get_start_method(), multiprocessing.get_start_method(), sys.executable, "colorsys" in sys.modules))

if __name__ == "__main__":
    multiprocess.freeze_support()
    found = []
    executable = os.path.join(os.path.dirname(os.path.abspath(__file__)), "another")
    os.symlink(sys.executable, executable)
    multiprocess.set_executable(executable)
    multiprocess.set_forkserver_preload(["colorsys"])
    for method in multiprocess.get_all_start_methods():
        multiprocess.set_start_method(method, force=True)
        queue = multiprocess.SimpleQueue()
        process = multiprocess.Process(target=tell, args=(queue,))
        process.start()
        *methods, ran, has = queue.get()
        print(*methods, ran == executable, has, end="; ")
        process.join()
    multiprocessing.set_start_method("spawn")       # nobody has settled it
    try:
        multiprocess.set_start_method("fork")
    except RuntimeError as error:
        print(error)
    try:
        multiprocess.set_forkserver_preload([1])
    except TypeError as error:
        print(error)
"""


def test_settings(program):
    out, err = program(LIFE).communicate(timeout=SOON)
    assert out == ("fork fork False False; spawn fork True False; forkserver fork True True; context has already been set\n"
                   "module_names must be a list of strings\n"), err


def test_the_start_method_is_the_standard_librarys_until_one_is_set(program):
    out, err = program("""
import multiprocessing
from objpool.compat import multiprocess
print(multiprocess.get_start_method(allow_none=True), end=" ")
multiprocessing.set_start_method("spawn")
print(multiprocess.get_start_method(), type(multiprocess.get_context()).__name__, end=" ")
multiprocess.set_start_method("fork", force=True)
print(multiprocess.get_start_method(), multiprocessing.get_start_method())
""").communicate(timeout=SOON)
    assert out == "None spawn SpawnContext fork spawn\n", err
