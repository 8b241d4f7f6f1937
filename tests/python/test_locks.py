# SPDX-License-Identifier: Apache-2.0
"""Pools that are made while other threads of the program hold locks: none of them hangs."""
import asyncio
import importlib
import logging
import os
import sys
import threading

import pytest

import objpool
import objpool.aio
from objpool import _fork, _template
from objpool.compat import multiprocess


SOON = 20       # seconds
LOCK = threading.Lock()
IMPORTED = threading.Event()


class Thread:
    """Does something again and again, or holds a lock for a while."""

    def __init__(self, do):
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(do,))

    def _run(self, do):
        while not self._ends.is_set():
            do()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()


class Log:
    """Somewhere to write to."""

    def __init__(self, kind):
        self.kind = kind
        self.file = open(os.devnull, "w")
        self.logger = logging.Logger("test")
        self.logger.addHandler(logging.StreamHandler(self.file))

    def write(self, text):
        if self.kind == "logger":
            self.logger.warning(text)
        else:
            print(text, file=self.file, flush=True)


def write(log):
    log.write("from a worker")
    return os.getpid()


@pytest.mark.parametrize("kind", ["logger", "file"])
def test_threads_that_write_where_workers_do(kind, monkeypatch):
    log = Log(kind)
    monkeypatch.setitem(globals(), "log", log)      # workers have it by birth
    with Thread(lambda: log.write("x" * 50)), Thread(lambda: log.write("y" * 50)):
        for _ in range(8):
            with multiprocess.Pool(2) as pool:
                assert pool.map_async(write_to_it, range(4), 1).get(SOON)


def write_to_it(_):
    log.write("from a worker")      # noqa: F821
    return True


class Held:
    """LOCK, held by a thread while the first `forks` forks are made."""

    def __init__(self, monkeypatch, forks):
        made, self._is_over, self._is_held = _fork.Fork._fork, threading.Event(), threading.Event()
        self._left = forks

        def count(*args):
            if self._left == 0:
                self._release()
            self._left -= 1
            return made(*args)

        monkeypatch.setattr(_fork.Fork, "_fork", count)
        self._thread = threading.Thread(target=self._hold)

    def _hold(self):
        with LOCK:
            self._is_held.set()
            self._is_over.wait()

    def _release(self):
        self._is_over.set()
        self._thread.join()

    def __enter__(self):
        self._thread.start()
        self._is_held.wait()

    def __exit__(self, *_):
        self._release()


def take():
    with LOCK:
        pass


class Taker:
    def __init__(self):
        take()

    def pid(self):
        return os.getpid()


def make_by_create_pool(client):
    with client.create_pool(Taker, workers=2) as pool:
        assert len(set(pool.all.pid())) == 2


def make_by_aio(client):
    async def make():
        async with objpool.aio.connect("private") as client:
            pool = await client.create_pool(Taker, workers=2)
            assert len(set(await pool.all.pid())) == 2
    asyncio.run(make())


def make_by_compat(client):
    with multiprocess.Pool(2, initializer=take) as pool:
        assert pool.map(abs, [-1]) == [1]


MAKERS = [make_by_create_pool, make_by_aio, make_by_compat]


@pytest.fixture(scope="module")
def private():
    with objpool.connect("private") as client:
        yield client


@pytest.mark.parametrize("make", MAKERS)
def test_workers_that_hang_at_their_birth_are_forked_again(make, private, monkeypatch, capfd):
    with Held(monkeypatch, 1):
        make(private)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("make", MAKERS)
def test_that_workers_hang_each_time_is_said(make, private, monkeypatch):
    monkeypatch.setattr(_fork, "ATTEMPTS", 2)
    with Held(monkeypatch, -1), pytest.raises(objpool.errors.Unavailable, match="forked 2 times for workers, .* a lock that no thread"):
        make(private)


def test_a_fork_that_hangs_before_it_is_ready_is_made_again(monkeypatch):
    with Held(monkeypatch, 1):
        _fork.Fork(take).end()


def test_slow_is_not_stuck(monkeypatch):
    monkeypatch.setattr(_template, "LOOK_EVERY_MOST", 0.01)
    events = multiprocess.get_context("spawn").Event(), multiprocess.get_context("spawn").Event()

    def wait():
        events[0].set()
        events[1].wait()                # for what another process does

    looks = []
    look = _fork.Fork._waits_for_ever

    def count_look(fork):
        found = look(fork)
        if events[0].is_set():
            looks.append(found)
            if len(looks) == 10:
                events[1].set()
        return found

    monkeypatch.setattr(_fork.Fork, "_waits_for_ever", count_look)
    with multiprocess.Pool(1, initializer=wait) as pool:
        assert pool.map(abs, [-1]) == [1]
    assert len(looks) >= 10 and not any(looks)


def import_it(name):
    return importlib.import_module(name).value


def test_a_module_that_a_thread_is_importing(place, monkeypatch):
    (place / "being_imported.py").write_text("import test_locks\nvalue = test_locks.IMPORTED.wait() and 7\n")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setitem(sys.modules, "test_locks", sys.modules[__name__])
    thread = threading.Thread(target=import_it, args=("being_imported",))
    thread.start()
    try:
        while not hasattr(sys.modules.get("being_imported"), "test_locks"):
            pass
        with multiprocess.Pool(1, initializer=IMPORTED.set) as pool:
            assert pool.apply_async(import_it, ("being_imported",)).get(SOON) == 7
    finally:
        IMPORTED.set()
        thread.join()
    assert import_it("being_imported") == 7


READS = """
import sys, threading
from objpool.compat.multiprocess import Pool
def read(_): return sys.stdin.readline()
sys.stdin.readline()        # more has been read ahead
threading.Thread(target=sys.stdin.readlines).start()
with Pool(1) as pool: print(pool.map_async(read, [0]).get(20), flush=True)
"""


def test_input_that_a_thread_waits_for(program):
    process = program(READS)
    process.stdin.write("first\nsecond\n")
    process.stdin.flush()
    assert process.stdout.readline() == "['']\n"


QUIET = """
import threading
from objpool import _locks, _template

end, ended = threading.Event(), threading.Event()
_template.start_thread(lambda: (end.wait(), ended.set()))
print(_locks.has_threads())
loud = threading.Thread(target=end.wait)
loud.start()
print(_locks.has_threads(), flush=True)
end.set()
"""


def test_threads_of_the_package_need_no_look_at_all_objects(program):
    """A program that makes pools again and again has such threads, and is forked faster than one with threads of its own."""
    assert program(QUIET).communicate(timeout=SOON)[0].split() == ["False", "True"]


ENDING = """
import gc, threading, time
from objpool import _locks
class Garbage:
    def __init__(self): self.own = self
    def __del__(self): time.sleep(0.001)
gc.set_threshold(1)
for _ in range(50):
    threads = [threading.Thread(target=time.sleep, args=[0.001]) for _ in range(3)]
    gc.disable()
    for thread in threads: thread.start()
    Garbage()
    gc.enable()
    _locks.has_threads()
    assert gc.isenabled()
    for thread in threads: thread.join()
print("done")
"""


def test_threads_that_end_while_others_are_counted(program):
    """A finalizer releases the GIL, and a thread that ends has it meanwhile."""
    assert program(ENDING).communicate(timeout=SOON) == ("done\n", "")
