# SPDX-License-Identifier: Apache-2.0
"""What processes of objpool.compat.multiprocess send to each other: code of any kind, over all that carries values."""
import functools
import multiprocessing
import multiprocessing.connection
import threading

import pytest

from objpool.compat import multiprocess

METHODS = ["fork", "spawn", "forkserver"]


def made_here(n):
    """A lambda, a nested function with a cell, a method of a local class, a partial, and an instance."""
    class Local:
        def __init__(self, value):
            self.value = value

        def plus(self, x):
            return self.value + x

    def nested(x):
        return x + n

    return (lambda x: x * n), nested, Local(n).plus, functools.partial(nested, x=1), Local(n)


def check(values, n):
    scaled, nested, method, partial, instance = values
    assert (scaled(3), nested(3), method(3), partial(), instance.plus(1)) == (3 * n, 3 + n, 3 + n, 1 + n, 1 + n)


def echo(receive, send):
    values = receive()
    check(values, 7)
    send(made_here(5) + (values,))


def check_echo(answer):
    check(answer[:5], 5)
    check(answer[5], 7)


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_queues(kind):
    queue = getattr(multiprocess, kind)()
    queue.put(made_here(7))
    check(queue.get(), 7)


@pytest.mark.parametrize("method", METHODS)
def test_processes(method):
    context = multiprocess.get_context(method)
    queue, (here, there) = context.SimpleQueue(), context.Pipe()
    n = 4

    def target(check, *values, extra):
        check(values, n)
        extra(multiprocess.get_start_method())
        echo(there.recv, queue.put)

    process = context.Process(target=target, args=(check, *made_here(n)), kwargs={"extra": queue.put})
    process.start()
    here.send(made_here(7))
    assert queue.get() == method
    check_echo(queue.get())
    process.join()
    assert process.exitcode == 0


@pytest.mark.parametrize("key", [None, b"secret", b""])
def test_listeners(key):
    def serve():
        with listener.accept() as connection:
            echo(connection.recv, connection.send)

    with multiprocess.connection.Listener(authkey=key) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with multiprocess.connection.Client(listener.address, authkey=key) as client:
            client.send(made_here(7))
            check_echo(client.recv())
        thread.join()


def test_managers():
    with multiprocess.Manager() as manager:
        shared = manager.dict(values=made_here(7), nested=manager.list([made_here(5)]))
        check(shared["values"], 7)
        check(shared["nested"][0], 5)
        queue = manager.Queue()
        queue.put(made_here(7))
        check(queue.get(), 7)
        with manager.Pool(1) as pool:
            assert pool.map(lambda x: x * 2, [1, 2]) == [2, 4]


def test_the_standard_library_is_left_alone():
    queue = multiprocessing.SimpleQueue()
    with pytest.raises(Exception, match="lambda"):
        queue.put(lambda: 0)
    here, there = multiprocessing.Pipe()
    assert type(here) is multiprocessing.connection.Connection is not multiprocess.connection.Connection
    with pytest.raises(Exception, match="lambda"):
        here.send(lambda: 0)
    assert multiprocessing.get_start_method(allow_none=True) in (None, "fork")


class Odd:
    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        raise TypeError("it takes a reducer")


def test_reducers_of_the_program():
    queue = multiprocess.SimpleQueue()
    with pytest.raises(TypeError, match="it takes a reducer"):
        queue.put(Odd(3))
    try:
        multiprocessing.reduction.register(Odd, lambda odd: (int, (odd.x,)))
        queue.put(Odd(3))
        queue.put([Odd(4), lambda x: x])
        assert queue.get() == 3 and queue.get()[0] == 4
        multiprocess.reduction.register(Odd, lambda odd: (str, (odd.x,)))
        queue.put(Odd(3))
        assert queue.get() == "3"
        assert multiprocessing.reduction.ForkingPickler.loads(multiprocessing.reduction.ForkingPickler.dumps(Odd(3))) == 3
    finally:
        multiprocessing.reduction.ForkingPickler._extra_reducers.pop(Odd, None)
        multiprocess.reduction._reducers.own.pop(Odd, None)


# Names of __main__

PROGRAM = """
import collections, dataclasses, enum, functools, re, sys, typing
from objpool.compat import multiprocess

def helper(x): return x + 1
def f(x): return helper(x) * SCALE
SCALE = 2
PATTERN = re.compile("a+")
counter = 0
def bump():
    global counter
    counter += 1
    return counter
class C:
    made = 0
    def __init__(self, v): self.v = v; C.made += 1
    def __eq__(self, other): return type(other) is C and other.v == self.v
    def go(self): return f(self.v)
    class Inner: pass
class Color(enum.Enum): RED = 1
@dataclasses.dataclass
class D: a: int = 1
Pair = collections.namedtuple("Pair", "a b")
class Row(typing.NamedTuple): a: int
@functools.lru_cache
def cached(x): return x
def pick(x, *, default=(1, "a")): return x in {"a", "b", "c", 1, 2.5} and [lambda: {"x", "y"}]

def serve(questions, answers):
    for what, value in iter(questions.get, None):
        try:
            answers.put(value() if what == "call" else value if what == "echo" else
                        type(value) is C if what == "is C" else value is globals().get(value.__name__))
        except Exception as error:
            answers.put(error)

if __name__ == "__main__":
    context = multiprocess.get_context(sys.argv[1])
    questions, answers = context.SimpleQueue(), context.SimpleQueue()
    process = context.Process(target=serve, args=(questions, answers))
    process.start()

    def ask(what, value):
        questions.put((what, value))
        return answers.get()
%s
    questions.put(None)
    process.join()
    sys.exit(process.exitcode)
"""


def run(program, method, text):
    process = program(PROGRAM % "".join(f"    {line}\n" for line in text.strip().splitlines()), method)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("method", METHODS)
def test_what_both_processes_have_stays_the_same_object(program, method):
    assert run(program, method, """
print(ask("is C", C(1)), [ask("same", value) for value in (f, Color, D, Pair, Row, cached, pick)])
print(ask("echo", C(3)) == C(3), type(ask("echo", C.Inner())) is C.Inner, ask("echo", Color.RED) is Color.RED, ask("echo", Row(1)))
print(ask("call", functools.partial(f, 3)), ask("call", C(4).go), ask("call", bump), ask("call", bump), counter)
""") == f"True {[True] * 7}\nTrue True True Row(a=1)\n8 10 1 2 0\n"


@pytest.mark.parametrize("method", METHODS)
def test_what_is_defined_later(program, method):
    assert run(program, method, """
LATE = 5
def late(x=1): return helper(x) + LATE
class Late:
    def m(self): return late(2), PATTERN.match("aab").group()
print(ask("call", late), ask("call", Late().m), ask("call", lambda: late(7)), type(ask("echo", Late())) is Late)
print(Late.m.__globals__ is globals())
exec("def helper(x): return x + 100", globals())
print(ask("call", functools.partial(f, 3)), ask("call", C(4).go), ask("echo", C(3)) == C(3))
LATE = 6
print(ask("call", late), ask("call", bump), ask("call", bump))
class Late:
    def m(self): return "new"
print(ask("call", Late().m), type(ask("echo", Late())) is Late)
""") == "7 (8, 'aa') 13 True\nTrue\n206 208 True\n107 1 2\nnew True\n"


SERVER = """
import sys
from objpool.compat.multiprocess.connection import Listener
LIMIT = 1
def helper(): return "the server's"
class Thing: pass
with Listener(sys.argv[1]) as listener:
    print("ready", flush=True)
    with listener.accept() as connection:
        values = connection.recv()
        connection.send((values, [value() for value in values], type(values[2].__self__) is Thing, helper(), LIMIT))
"""

CLIENT = """
import sys
from objpool.compat.multiprocess.connection import Client
LIMIT = 77
def helper(): return f"the client's {LIMIT}"
class Thing:
    def method(self): return helper() + "!"
with Client(sys.argv[1]) as connection:
    connection.send([helper, lambda: LIMIT, Thing().method])
    values, *answer = connection.recv()
    print(*answer, values[0](), type(values[2].__self__) is Thing)
"""


def test_two_programs_that_have_other_things_by_the_same_names(program, place):
    address = str(place / "socket")
    server = program(SERVER, address)
    assert server.stdout.readline() == "ready\n"
    out, err = program(CLIENT, address).communicate(timeout=30)
    assert out == "[\"the client's 77\", 77, \"the client's 77!\"] False the server's 1 the client's 77 True\n", err


def test_globals_that_do_not_go(program):
    assert run(program, "fork", """
large, connection = bytes(1 << 20), multiprocess.Pipe()[0]
SCALE, table = 3, list(range(100000))
print(repr(ask("call", lambda: large)), repr(ask("call", lambda: connection)))
""") == """NameError("name 'large' is not defined") NameError("name 'connection' is not defined")\n"""


def test_long_chains_and_long_strings(program):
    assert run(program, "fork", """
chain = None
for _ in range(300):
    link = C(chain)
    chain = link
text, pair = "__main__" * 100000, [bytes(1 << 20), C(2)]
print(type(ask("echo", chain)) is C, ask("echo", text) == text, ask("echo", pair)[1] == C(2))
""") == "True True True\n"


WITHOUT_PACKAGES = """
import sys
sys.modules["cloudpickle"] = sys.modules["dill"] = None
from objpool.compat import multiprocess
queue = multiprocess.SimpleQueue()
def outer(n):
    class Local: pass
    return (lambda x: x + n), Local
function, Local = outer(4)
queue.put([function, outer])
print(queue.get()[0](3))
try:
    queue.put(Local())
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_cloudpickle_and_dill(program):
    out, err = program(WITHOUT_PACKAGES).communicate(timeout=30)
    assert out == ("7\nPicklingError <class '__main__.outer.<locals>.Local'> is in no module that can be imported, and so goes by "
                   "value: that takes the package cloudpickle, or dill\n"), err
