# SPDX-License-Identifier: Apache-2.0
"""SharedMemory and ShareableList of objpool.compat.multiprocess: memory files with names, which live with their last user."""
import os
import pathlib
import signal
import threading

import pytest

from objpool.compat import multiprocess
from objpool.compat.multiprocess.shared_memory import ShareableList, SharedMemory

SOON = 30   # seconds; nothing here takes that long unless it hangs


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_is_passed_on_or_found_by_its_name(method):
    context = multiprocess.get_context(method)
    memory, numbers, answers = SharedMemory(create=True, size=100), ShareableList([1, "two", None]), context.SimpleQueue()
    memory.buf[:3] = b"abc"

    def target(passed, name, numbers):
        found = SharedMemory(name)
        found.buf[0] = passed.buf[2]
        numbers[0] = 7
        answers.put((bytes(passed.buf[:3]), found.size, list(numbers)))

    process = context.Process(target=target, args=(memory, memory.name, numbers))
    process.start()
    assert answers.get() == (b"cbc", 100, [7, "two", None])
    process.join(SOON)
    assert process.exitcode == 0 and bytes(memory.buf[:3]) == b"cbc" and numbers[0] == 7
    files = os.listdir("/dev/shm")      # other programs, and other tests, have theirs there
    assert not [name for name in (memory.name, numbers.shm.name) if any(name.strip("/") in file for file in files)]
    memory.close()
    memory.unlink()
    numbers.shm.close()
    numbers.shm.unlink()


def test_names():
    name = f"test-{os.getpid()}"
    memory = SharedMemory(name, create=True, size=10)
    with pytest.raises(FileExistsError):
        SharedMemory(name, create=True, size=10)
    memory.close()
    found = SharedMemory(name)          # who has made it keeps it for others
    found.buf[9] = 5
    found.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
    with pytest.raises(FileNotFoundError):
        found.unlink()
    again = SharedMemory(name, create=True, size=10)
    assert (found.buf[9], again.buf[9]) == (5, 0)
    again.unlink()
    for other in (found, again):
        other.close()


def test_one_of_many_makes_a_name():
    name, made, refused = f"race-{os.getpid()}", [], []

    def make():
        try:
            made.append(SharedMemory(name, create=True, size=10))
        except FileExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(made) == 1 and len(refused) == 7
    made[0].unlink()
    made[0].close()


def test_a_segment_lives_as_long_as_its_last_user():
    context = multiprocess.get_context("fork")
    here, there = context.Pipe()

    def make():
        memory = SharedMemory(create=True, size=10)
        memory.buf[:2] = b"ab"
        there.send(memory.name)
        there.recv()

    process = context.Process(target=make)
    process.start()
    name = here.recv()
    memory = SharedMemory(name)
    process.kill()
    process.join(SOON)
    assert process.exitcode == -signal.SIGKILL
    other = SharedMemory(name)
    assert bytes(other.buf[:2]) == b"ab"
    other.close()
    memory.close()
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)


def test_a_closed_segment_leaves_no_descriptor():
    def count():
        return len(list(pathlib.Path("/proc/self/fd").iterdir()))

    before = count()
    memory = SharedMemory(create=True, size=10)
    memory.close()
    memory.unlink()
    memory.close()
    assert count() == before


def test_managed_segments():
    with multiprocess.managers.SharedMemoryManager() as manager:
        numbers, memory = manager.ShareableList(range(3)), manager.SharedMemory(10)
        name = memory.name
        assert list(ShareableList(name=numbers.shm.name)) == [0, 1, 2]
    with pytest.raises(FileNotFoundError):
        SharedMemory(name)
