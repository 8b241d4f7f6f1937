# SPDX-License-Identifier: Apache-2.0
"""Classes that test_python.py puts into pools."""
import collections
import ctypes
import enum
import os
import random
import sys
import threading
import time

LOADED_BY = os.getpid()  # in a pool: its template, which has imported this


class MyError(Exception):
    pass


class Stubborn(Exception):
    """Can be pickled, but not made again of that."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


class Odd:
    def __reduce__(self):
        raise RuntimeError("not to be pickled")


class Counter:
    """Counts.

    It has a state.
    """

    def __init__(self, start=0, *, step: int = 1, fail=None):
        if fail:
            raise MyError(fail)
        self.value = start
        self.step = step

    def add(self, n: int = 1) -> int:
        """Adds n steps, and gives the sum."""
        self.value += n * self.step
        return self.value

    def get(self):
        return self.value

    def echo(self, *args, **kwargs):
        """What it was given."""
        return [list(args), kwargs]

    def same(self, value):
        return value

    def shape_of(self, value):
        """How the value looks in Python."""
        return repr(value), type(value).__name__

    def _private(self):
        return "private"

    @staticmethod
    def twice(x):
        return 2 * x

    @classmethod
    def name_of_class(cls):
        return cls.__name__

    @property
    def size(self):
        return 3

    def __len__(self):
        return 7

    class Inner:
        """Is found by module:Counter.Inner."""

        def where(self):
            return "inside"


class Trouble:
    """Everything that can go wrong in a method."""

    def __init__(self):
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls

    def fail(self, kind="ValueError", *args):
        raise getattr(__import__("builtins"), kind)(*args)

    def fail_own(self):
        raise MyError("mine", 7)

    def fail_stubborn(self):
        raise Stubborn(1, 2)

    def fail_unprintable(self):
        raise Unprintable

    def fail_local(self):
        class Local(Exception):
            pass
        raise Local("of a function")

    def fail_chain(self):
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("outer") from error

    def fail_odd_text(self):
        raise ValueError("nul \0 and \udc80")

    def exit(self, status=0):
        sys.exit(status)

    def os_exit(self, status):
        os._exit(status)

    def segfault(self):
        ctypes.string_at(0)

    def recurse(self):
        return self.recurse()

    def lock(self):
        return threading.Lock()

    def odd(self):
        return [1, {"deep": Odd()}]

    def missing_inside(self):
        return self.nothing

    def lend(self, for_one_call):
        """Gives the instance a method `lent`."""
        def lent():
            if for_one_call:
                del self.lent
                return self.lent
            return "lent"
        self.lent = lent

    def take_back(self):
        del self.lent

    def self_referring(self):
        value = [1]
        value.append(value)
        return value

    def nested(self, levels):
        value = 1
        for _ in range(levels):
            value = [value]
        return value

    def value_of(self, expression):
        return eval(expression, {"Colour": Colour, "Point": Point, "collections": collections})

    def items(self, n):
        for i in range(n):
            yield i

    def items_then_fail(self, n):
        yield from range(n)
        raise MyError("half way")

    def endless(self):
        while True:
            yield "x" * 1000

    def mapped(self):
        return map(str, [1, 2])

    async def later(self, value):
        import asyncio
        await asyncio.sleep(0)
        return value

    async def items_later(self, n, path=None):
        import asyncio
        try:
            for i in range(n):
                await asyncio.sleep(0)
                yield i
        finally:
            if path:
                open(path, "w").close()

    def change_while_sent(self):
        values = []

        class Sly:
            def __reduce__(self):
                values.clear()
                return int, ()
        values.extend([Sly(), 1, 2])
        return values


class Place:
    """Asks for its own call."""

    def __init__(self):
        import objpool_worker
        self.worker = objpool_worker
        self.made = objpool_worker.call()

    def made_at(self):
        return [self.made.pool, self.made.slot, self.made.slots, self.made.generation, self.made.method]

    def here(self):
        call = self.worker.call()
        return {"pool": call.pool, "slot": call.slot, "slots": call.slots, "generation": call.generation, "method": call.method,
                "session": call.session, "index": call.index, "cancelled": call.cancelled, "deadline": call.deadline}

    def left(self):
        return self.worker.call().deadline - time.monotonic()

    def progress(self, n):
        for i in range(n):
            self.worker.call().progress(i + 1, n, f"at {i}")
        return n

    def ask(self, target, *args, **kwargs):
        return self.worker.call().invoke(target, *args, **kwargs)

    def ask_wrongly(self, target):
        try:
            self.worker.call().invoke(target)
        except self.worker.CallFailed as error:
            return [error.code, error.type, error.message, str(error)]

    def wait_cancelled(self, path):
        with open(path, "w"):
            pass
        while not self.worker.call().cancelled:
            time.sleep(0.001)
        os.unlink(path)

    def no_call_in_thread(self):
        found = []

        def run():
            try:
                self.worker.call().invoke("p.pid")
            except RuntimeError as error:
                found.append(str(error))
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return found


class Sleeper:
    """Does not look whether it is cancelled."""

    def __init__(self):
        self.seen = []

    def sleep(self, path, seconds=60):
        try:
            with open(path, "w"):
                pass
            time.sleep(seconds)
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise

    def spin(self, path, seconds=60):
        end = time.monotonic() + seconds
        try:
            with open(path, "w"):
                pass
            while time.monotonic() < end:
                pass
        finally:
            self.seen.append("left")

    async def wait(self, path):
        import asyncio
        try:
            with open(path, "w"):
                pass
            await asyncio.sleep(60)
        finally:
            self.seen.append("woken")

    async def what(self):
        return self.seen

    def pid(self):
        return os.getpid()


class Hooks:
    def __init__(self):
        self.log = []
        self.notes = {}

    def session_end(self, session):
        self.log.append(["session_end", session])
        if self.notes.get("angry"):
            raise MyError("at the end of a session")

    def leased(self, session):
        if self.notes.get("busy"):
            raise MyError("not now")
        self.log.append(["leased", session])

    def released(self, session):
        self.log.append(["released", session])
        if self.notes.get("angry"):
            raise MyError("at a release")

    def snapshot(self):
        if self.notes.get("angry"):
            raise MyError("nothing of this is for others")
        return {"notes": self.notes, "kind": {1, 2}}

    def restore(self, state):
        assert state["kind"] == {1, 2}
        self.notes = state["notes"]

    def note(self, key, value):
        self.notes[key] = value

    def get(self, key):
        return self.notes.get(key)

    def events(self):
        return self.log


class NotHooks:
    """Methods with the hooks' names, but not for that."""

    def snapshot(self, path, quality):
        return [path, quality]

    def restore(self):
        return "restored"


class Shy:
    """Does not like to be looked at as a class."""

    class OfInstances:
        def __get__(self, instance, owner):
            if instance is None:
                raise RuntimeError("only an instance has this")
            return lambda: "of an instance"

    class Nameless:
        def __repr__(self):
            raise RuntimeError("no text")

    odd = OfInstances()

    def default(self, value=Nameless()):
        return "default"


class Forks:
    """Two processes come back from each of its methods, and from its constructor."""

    def __init__(self):
        self.fork()

    def fork(self):
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    def items(self, n):
        for i in range(n):
            self.fork()
            yield i

    async def later(self):
        self.fork()
        return "done"

    def session_end(self, session):
        self.fork()


class Process:
    """What its process is like."""

    def __init__(self):
        self.ticks = 0

    def pids(self):
        return [LOADED_BY, os.getpid()]

    def random(self):
        return random.random()

    def numpy_random(self):
        import numpy.random
        return float(numpy.random.rand())

    def preloaded(self, name):
        return name in sys.modules

    def path(self):
        return sys.path

    def flags(self):
        return [sys.prefix, sys.executable, sys.flags.ignore_environment, sys.flags.dont_write_bytecode,
                sys.getfilesystemencoding(), sys.argv]

    def say(self, text):
        print(text)
        print(text, file=sys.stderr)

    def tick_in_background(self):
        def run():
            while True:
                self.ticks += 1
                time.sleep(0.001)
        threading.Thread(target=run, daemon=True).start()

    def ticked(self):
        return self.ticks

    def fork(self):
        """A fork of the worker's own."""
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, [-1, -2])

    def fork_and_return(self, how):
        """Two processes come back from this."""
        child = os.fork()
        if child == 0:
            if how == "exit":
                sys.exit(7)
            if how == "raise":
                raise ValueError("of the child")
            return "child"
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def run(self, *command):
        import subprocess
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def at_exit(self, path):
        import atexit
        atexit.register(lambda: open(path, "w").write("ended"))

    def descriptor_signal(self):
        """A write to a pipe that nobody reads."""
        read, write = os.pipe()
        os.close(read)
        try:
            os.write(write, b"x")
        except BrokenPipeError:
            return "broken"


def factory(start) -> Counter:
    """Makes a counter."""
    return Counter(start * 10)


NUMBER = 5


def mapping_at(address):
    """What file this process has mapped there."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            if begin <= address < end:
                return (line.split(None, 5)[5:] or [""])[0].strip()
    return None


class Arrays:
    """Keeps arrays, or parts of them, beyond their call."""

    def __init__(self, first=None):
        self.kept = {}
        self.first = first

    def where(self, array):
        return mapping_at(array.__array_interface__["data"][0])

    def keep(self, key, array, step=1):
        self.kept[key] = array[::step] if step > 1 else array
        return float(array.sum())

    def keep_in_thread(self, key):
        """Lets go of it, but not here."""
        kept = [self.kept.pop(key)]
        thread = threading.Thread(target=kept.clear)
        thread.start()
        thread.join()

    def drop(self, key):
        del self.kept[key]

    def sums(self):
        return {key: float(array.sum()) for key, array in self.kept.items()}

    def first_sum(self):
        return float(self.first.sum())

    def fail_with(self, array):
        raise ValueError(array)


class Hog:
    """Results that need memory when they are sent: the objects themselves are there already."""

    TEXT = "x" * (1 << 20)

    def pid(self):
        return os.getpid()

    def texts(self, n):
        return [self.TEXT] * n

    def series(self, n):
        for _ in range(n):
            yield self.TEXT
