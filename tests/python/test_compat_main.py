# SPDX-License-Identifier: Apache-2.0
"""What programs define, and where they define it: all of it reaches the workers of their pools."""
import os
import subprocess
import sys

SOON = 30   # seconds; nothing here takes that long unless it hangs


def output(process):
    out, err = process.communicate(timeout=SOON)
    assert process.returncode == 0, err
    return out


def test_functions_under_decorators_and_odd_classes_of_main(program):
    assert output(program("""
import functools
import os
import typing
import weakref
from objpool.compat.multiprocess import Pool

@functools.lru_cache(maxsize=5)
def cached(x):
    return x + 1

@functools.singledispatch
def kind(x):
    return "object"

@kind.register
def _(x: int):
    return "int"

class Row(typing.NamedTuple):
    a: int
    b: str = "b"

class Keeper:
    @functools.lru_cache(None)
    def method(self, x):
        return x * 2

def name_of_file(_):
    return os.path.basename(__file__)

with Pool(1) as pool:
    print(pool.map(cached, [1, 1]), pool.apply(lambda: cached.cache_info().maxsize), pool.map(kind, [1, ""]), pool.apply(Row, (1,)))
    print(pool.map(Keeper().method, [4]), pool.map(name_of_file, [0]), pool.apply(lambda reference: reference() is Row, (weakref.ref(Row),)))
""")) == "[2, 2] 5 ['int', 'object'] Row(a=1, b='b')\n[8] ['program0.py'] True\n"


def test_names_of_main_that_are_found_as_the_program_runs(program):
    assert output(program("""
import sys
from objpool.compat.multiprocess import Pool

def helper(x):
    return x + SHIFT
SHIFT, stream = 1, (x for x in ())

def by_name(name):
    return globals()[name](1)

def by_text(text):
    return eval(text)

def by_module(name):
    return getattr(sys.modules[__name__], name)(1)

def by_import(_):
    import __main__
    return __main__.helper(1)

for function, argument in (by_name, "helper"), (by_text, "helper(1)"), (by_module, "helper"), (by_import, None):
    with Pool(1) as pool:
        print(pool.apply(function, (argument,)))
""")) == "2\n" * 4


def test_a_main_that_is_no_module(program):
    assert output(program("""
text = '''
from objpool.compat.multiprocess import Pool
def helper(x):
    return x
def work(x):
    return helper(x) + shift
shift = 1
with Pool(1) as pool:
    print(pool.map(work, [1]))
    shift = 2
    print(pool.map(work, [1]))
    def helper(x):
        return -x
    print(pool.map(work, [1]))
'''
exec(text, {"__name__": "__main__"})
""")) == "[2]\n[3]\n[1]\n"


def test_programs_from_everywhere(place):
    text = ("from objpool.compat.multiprocess import Pool\nk = 2\nclass Times:\n    def __call__(self, x): return x * k\n\n"
            "with Pool(2) as pool: print(pool.map(Times(), [1, 2]))\n\n")
    (place / "prog.py").write_text(text)
    ways = [["-c", text], ["-"], ["prog.py"], ["-m", "prog"], ["-m", "cProfile", "-o", "profile", "prog.py"], ["-i", "-q"]]
    started = [subprocess.Popen([sys.executable, *way], cwd=place, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, "PYTHONPATH": f"{place}:{os.environ['PYTHONPATH']}"}) for way in ways]
    for way, process in zip(ways, started):
        out, err = process.communicate(text if way[0] in ("-", "-i") else "", timeout=SOON)
        assert out == "[2, 4]\n", (way, err)


def test_modules_that_no_import_finds(program, place):
    (place / "odd").mkdir()
    (place / "odd" / "plugin.py").write_text("def work(x):\n    return x + 1\n")
    assert output(program("""
import sys, types
from importlib import util
from objpool.compat.multiprocess import Pool

def load(name, file):
    spec = util.spec_from_file_location(name, file)
    module = sys.modules[name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

sys.modules["group"] = types.ModuleType("group")
first, second = load("plugin", sys.argv[1]), load("group.plugin", sys.argv[1])
with Pool(1) as pool:
    print(pool.map(first.work, [1]), pool.apply(lambda x: second.work(x), (2,)), pool.map(second.work, [3]))
""", place / "odd" / "plugin.py")) == "[2] 3 [4]\n"


def test_the_programs_recursion_limit(program):
    assert output(program("""
import sys
from objpool.compat.multiprocess import Pool
sys.setrecursionlimit(5000)
def depth(n):
    return n and 1 + depth(n - 1)
with Pool(1) as pool:
    print(pool.apply(depth, (3000,)))
""")) == "3000\n"


def test_a_spawned_worker_imports_little(program):
    """It starts faster so, and where the workers' Python has no msgpack."""
    assert output(program("""
import sys
from objpool.compat.multiprocess import get_context

def loaded(_):
    return [name for name in ("msgpack", "objpool._connection") if name in getattr(sys, "modules")]     # all of __main__ goes with sys.modules

with get_context("spawn").Pool(1) as pool:
    print(pool.map(loaded, [0]))
""")) == "[[]]\n"
