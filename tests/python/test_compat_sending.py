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


def test_listeners():
    def serve():
        with listener.accept() as connection:
            echo(connection.recv, connection.send)

    with multiprocess.connection.Listener(authkey=b"secret") as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with multiprocess.connection.Client(listener.address, authkey=b"secret") as client:
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
