# SPDX-License-Identifier: Apache-2.0
"""What strangers' programs and tests do with the compatible pools beyond what their documentation says."""
import importlib
import multiprocessing
import subprocess
import sys
import types

import pytest

from objpool.compat import multiprocess
from objpool.compat.multiprocess import dummy
from objpool.compat.multiprocess.pool import Pool, ThreadPool

SOON = 30   # seconds; nothing here takes that long unless it hangs


def stop_at_two(x):
    if x == 2:
        raise StopIteration(x)
    return x


@pytest.mark.parametrize("kind", [Pool, ThreadPool])
def test_a_function_that_raises_stop_iteration_does_not_shorten_a_map(kind):
    with kind(1) as pool:
        with pytest.raises(StopIteration):
            pool.map(stop_at_two, range(4), 4)
        with pytest.raises(StopIteration):
            pool.starmap(stop_at_two, [(1,), (2,), (3,)], 3)


def test_numbers_of_processes_of_all_kinds():
    for processes in (True, pytest.importorskip("numpy").int64(1)):
        with Pool(processes) as pool:
            assert pool.map(abs, [-1]) == [1] and repr(pool).endswith(" pool_size=1>")
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        Pool(1.5)


def test_objects_among_the_modules_that_only_look_like_modules(monkeypatch):
    """cffi puts such there."""
    monkeypatch.setitem(sys.modules, "looks_like_one", type("Lib", (), {"__class__": types.ModuleType})())
    with Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]


class Text(str):
    pass


def itself(*args):
    return args[0]


def one_more(x):
    return x + 1


def test_apply_gives_back_what_it_was_given():
    """Whether it is a value that the wire knows, or only nearly one."""
    values = [0, -1, 2**63 - 1, 2**63, -2**63, 2**64, -2**80, 1.5, -0.0, float("inf"), True, None, "", "abc", "\xe4\u20ac", "\ud800", Text("x"), b"", b"abc",
              "x" * 70000, b"x" * 70000, (1, 2), [1], {1: 2}, 3j]
    with Pool(1) as pool:
        for value in values:
            result = pool.apply(itself, (value,))
            assert (type(result), repr(result)) == (type(value), repr(value))
        assert [pool.apply(pow, (2, n)) for n in (62, 63, 64, 100)] == [2**62, 2**63, 2**64, 2**100]
        assert pool.apply(chr, (0xd800,)) == "\ud800" and pool.apply(chr, (0xe4,)) == "\xe4" and pool.apply(itself, [7]) == 7
        for wrong in [(), ("x",), (2**63 - 1, "\ud800")]:
            with pytest.raises(TypeError):
                pool.apply(one_more, wrong)
        assert pool.apply(itself, (1, "\xe4")) == 1


def append(items):
    items.append(0)
    return len(items)


def test_long_chunks():
    """Which go, and are worked on, in several pieces."""
    n = 10000
    mixed = [[*range(n), 2**40], [*range(n), 2**80], [*range(n), 1.5], [0.5] * n + [1], ["a"] * n + [1], [True] + [1] * n, [1] * n + [True], [None] * n,
             [-1] * 4096 + [2**31], tuple(range(n)), list(map(str, range(n))), [(1, {2: "b"})] * n, [Text(i) for i in range(n)]]
    with Pool(1) as pool:
        for items in mixed:
            results = pool.map(itself, items, n + 1)
            assert results == list(items) and list(map(type, results)) == list(map(type, items))
        assert pool.starmap(pow, [(2, i % 70) for i in range(n)], n) == [2 ** (i % 70) for i in range(n)]
        assert pool.map(append, [[]] * n, n) == list(range(1, n + 1))       # it is one list
        with pytest.raises(TypeError, match="NoneType"):
            pool.map(one_more, [1] * n + [None], n + 1)
        with pytest.raises(StopIteration):
            pool.map(stop_at_two, [1] * n + [2], n + 1)
        with pytest.raises(TypeError, match="pickle"):
            pool.map(itself, [1] * n + [sys._getframe()], n + 1)
        assert pool.map(lambda f: f(2), [lambda x: x + 1] * n, n) == [3] * n


@pytest.mark.parametrize("name", ["forkserver", "popen_fork", "resource_sharer", "spawn"])
def test_submodules(name):
    module = importlib.import_module(f"objpool.compat.multiprocess.{name}")
    assert module is importlib.import_module(f"multiprocessing.{name}") and getattr(multiprocess, name) is module


def test_all_names_of_dummy():
    names = [name for name in vars(multiprocessing.dummy) if not name.startswith("_") and name not in ("array", "sys", "threading", "weakref")]
    assert [name for name in names if not hasattr(dummy, name)] == []
    manager = dummy.Manager()
    with manager.Pool(1) as pool:
        assert type(pool) is ThreadPool and manager.dict(a=1) == {"a": 1} and dummy.Value("i", 3).value == 3


def test_a_forked_child_is_silent(program):
    process = program("""
import os, sys, warnings
from objpool.compat.multiprocess import Pool
warnings.simplefilter("default")
with Pool(1) as pool:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    print(pool.map(abs, [-1]))
""", PYTHONDEVMODE="1")
    assert process.communicate(timeout=SOON) == ("[1]\n", "")


def test_programs_that_end_as_their_pools_go_do_not_crash(program):
    """The thread that waits for a pool's end has begun before the interpreter ends: several at once, so that it is late in some."""
    programs = [program("""
from objpool.compat.multiprocess import Pool
with Pool(1) as pool:
    print(pool.map(abs, [-1]))
""", PYTHONDEVMODE="1") for _ in range(10)]
    assert [process.communicate(timeout=SOON) for process in programs] == [("[1]\n", "")] * 10


def test_a_program_without_output(program):
    process = program("""
import os, sys
from objpool.compat.multiprocess import Pool
os.close(1)
with Pool(1) as pool:
    print(pool.map(print, ["lost"]), pool.apply(os.path.exists, ("/",)), file=sys.stderr)
""")
    assert process.communicate(timeout=SOON) == ("", "[None] True\n")


def test_a_program_without_any_descriptor(place):
    text = """
from objpool.compat.multiprocess import Pool
with Pool(1) as pool:
    open("result", "w").write(str(pool.map(print, ["lost"])))
"""
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, text], cwd=place, timeout=SOON)
    assert done.returncode == 0 and (place / "result").read_text() == "[None]"


def test_what_a_worker_prints_without_an_end_of_line_comes_too(program):
    process = program("""
import sys
from objpool.compat.multiprocess import Pool
with Pool(1) as pool:
    pool.apply(print, ("part",), {"end": " "})
    print("then", flush=True)
    pool.apply(sys.stdout.write, ("end",))
    pool.terminate()
""")
    assert process.communicate(timeout=SOON) == ("part then\nend", "")


def test_objects_of_the_program_end_with_it_though_a_pool_runs(program):
    process = program("""
import atexit
from objpool.compat.multiprocess import Pool
class Noisy:
    def __del__(self):
        print("gone", flush=True)
def work(x):
    return x
noisy, pool = Noisy(), Pool(1)
print(pool.map(work, [1]), flush=True)
atexit.register(lambda: print(pool.map(work, [2]), flush=True))
""")
    assert process.communicate(timeout=SOON) == ("[1]\n[2]\ngone\n", "")


ENDS = """
import os, time, warnings
from objpool.compat.multiprocess import get_context
warnings.simplefilter("ignore", ResourceWarning)
def wait(_):
    os.mkdir(str(os.getpid()))
    time.sleep(100)
def begin(pool):
    result = pool.map_async(wait, range(8), 1)
    while not all(os.path.exists(str(member.pid)) for member in pool._pool): pass
    return result
if __name__ == "__main__":
    for method in "fork", "spawn":
        context = get_context(method)
        pool = context.Pool(2)
        begin(pool)
        pool.terminate()
        pool.join()
        with context.Pool(2) as pool: begin(pool)
        pool = context.Pool(2)
        begin(pool)
        del pool
        with context.Pool(2, maxtasksperchild=1) as pool:
            pool.map(abs, range(8), 1)
            begin(pool)
        pool = context.Pool(2)
        begin(pool)
"""


def test_ends_of_pools_at_work_are_silent(program, place, monkeypatch):
    monkeypatch.chdir(place)
    assert program(ENDS).communicate("", timeout=60) == ("", "")
