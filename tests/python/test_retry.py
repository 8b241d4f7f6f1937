# SPDX-License-Identifier: Apache-2.0
"""Calls that are sent again: only what has not run, not for ever, and with pauses that grow."""
import asyncio
import threading

import pytest

import objpool
import objpool.aio
from harness import wait_for
from objpool import _future, _line, _retry

CLASS = """
import os
import objpool_worker


class Worker:
    def __init__(self, place):
        self.place = place
        if os.path.exists(f"{place}/broken"):
            raise OSError("no room")

    def note(self, x=None):
        with open(f"{self.place}/notes", "a") as notes:
            notes.write(f"{x}\\n")
        return x

    def die(self, x=None):
        self.note(x)
        os.abort()

    def wait_for(self, path):
        while not os.path.exists(path) and not objpool_worker.call().cancelled:
            pass

    def overloaded(self):
        import objpool
        self.note()
        raise objpool.Overloaded("another daemon's", ran="no")
"""


@pytest.fixture
def daemon(start, place):
    (place / "retry_class.py").write_text(CLASS)
    python_path = f'["{place}", "{objpool.__path__[0].rpartition("/")[0]}"]'
    return start({"w": {"plugin": "python", "class": "retry_class:Worker", "python_path": python_path, "workers": 1, "args": f'["{place}"]',
                        "unpickle": "yes", "max_queue": 1}})


@pytest.fixture
def pauses(monkeypatch):
    """pauses(action, …): nothing is waited for; after so many pauses each action has been done. The list of pauses."""
    made, actions = [], []

    def pause(seconds):
        made.append(seconds)
        if len(made) <= len(actions):
            actions[len(made) - 1]()

    class Timer(threading.Thread):
        def __init__(self, seconds, function):
            super().__init__(target=lambda: (pause(seconds), function()))

    async def sleep(seconds):
        pause(seconds)

    monkeypatch.setattr(_retry, "_sleep", pause)
    monkeypatch.setattr(_future, "_Timer", Timer)
    monkeypatch.setattr(objpool.aio._target, "_sleep", sleep)

    def begin(*more):
        actions[:] = more
        return made
    return begin


def notes(place):
    path = place / "notes"
    return path.read_text().split() if path.exists() else []


def call_async(daemon, pool, x, **options):
    async def ask():
        async with objpool.aio.connect(daemon.address) as client:
            return await client.pool(pool).options(**options).note(x)
    return asyncio.run(ask())


WAYS = {
    "waiting": lambda daemon, client, x, retry: client.pool("w").options(retry=retry).note(x),
    "with a timeout": lambda daemon, client, x, retry: client.pool("w").options(retry=retry, timeout=600).note(x),
    "a map": lambda daemon, client, x, retry: client.pool("w").options(retry=retry).map.note([x])[0],
    "a future": lambda daemon, client, x, retry: client.pool("w").options(retry=retry).note.future(x).result(60),
    "asyncio": lambda daemon, client, x, retry: call_async(daemon, "w", x, retry=retry),
}
ways = pytest.mark.parametrize("call", WAYS.values(), ids=WAYS)


def nothing():
    pass


@ways
def test_an_overloaded_pool(daemon, client, place, pauses, call):
    gate = place / "gate"
    busy = client.pool("w").wait_for.future(str(gate))
    waiting = client.pool("w").note.future("first")  # the queue is full
    wait_for(lambda: client.status("w")["pools"][0]["queue"] >= 1, "a queue")
    with pytest.raises(objpool.Overloaded):
        call(daemon, client, "second", None)
    made = pauses(nothing, lambda: (gate.touch(), busy.result(60), waiting.result(60)))
    assert call(daemon, client, "second", 5) == "second"
    assert len(made) == 2 and notes(place) == ["first", "second"]


@ways
def test_an_instance_that_can_not_be_built(daemon, client, place, pauses, call):
    (place / "broken").touch()
    with pytest.raises(objpool.WorkerLost):
        client.pool("w").die("dead")

    def is_down():
        return client.pools()[0]["state"] == "unavailable"
    wait_for(is_down, "no instance")
    with pytest.raises(objpool.Unavailable) as caught:
        call(daemon, client, 1, 1)
    assert caught.value.ran == "no"
    made = pauses(nothing, nothing, lambda: ((place / "broken").unlink(), wait_for(lambda: not is_down(), "an instance")))
    assert call(daemon, client, "now", objpool.Retry(5, delay=1, max_delay=3)) == "now"
    assert notes(place) == ["dead", "now"] and len(made) == 3
    assert 0.5 <= made[0] <= 1 and 1 <= made[1] <= 2 and 1.5 <= made[2] <= 3


def test_a_daemon_that_is_started_again(start, place, pauses):
    daemon = start()
    with objpool.connect(daemon.address, retry=4) as client:
        pool = client.pool("p")
        assert pool.echo(1) == 1
        daemon.stop()
        made = pauses(nothing, lambda: start_at(daemon))
        assert pool.echo(2) == 2 and len(made) == 2
        with pytest.raises(objpool.NoSuchMethod):
            pool.nothing()  # that does not pass
        assert len(made) == 2
        daemon.stop()
        with pytest.raises(objpool.ConnectionLost):
            pool.options(retry=None).echo(3)
        with pytest.raises(objpool.NoDaemon):
            pool.echo(3)
        assert len(made) == 5


def start_at(daemon):
    (daemon.path / "notify").unlink()
    daemon.__init__(daemon.path, daemon.pools, daemon.daemon)


@ways
def test_what_may_have_run_is_not_sent_again(daemon, client, place, pauses, call):
    made = pauses()
    pool = client.pool("w").options(retry=5)
    for die in (lambda: pool.die("once"), lambda: pool.map.die(["once"]), lambda: pool.die.future("once").result(60), lambda: pool.overloaded()):
        before = len(notes(place))
        with pytest.raises(objpool.ObjpoolError):
            die()
        assert len(notes(place)) == before + 1 and made == []


def test_what_has_gone_whole_may_have_run_though_another_threads_has_not(client, place):
    """This thread sends what others have queued behind its own message, and the connection is lost in one of these. No answer may
    come before that."""
    connection = client._connected()
    connection._line = _line.no_line
    send = connection._send

    def send_one(data, flags):
        connection._send = fail
        connection._out.append((memoryview(b"another thread's"), [], None))
        return send(data, flags)

    def fail(data, flags):
        raise BrokenPipeError(32, "Broken pipe")

    connection._send = send_one
    with pytest.raises(objpool.ConnectionLost) as caught:
        client.pool("w").wait_for(str(place / "gate"))
    assert caught.value.ran == "maybe"
    (place / "gate").touch()
    connection = client._connected()
    connection._line = _line.no_line
    connection._send = fail
    with pytest.raises(objpool.ConnectionLost) as caught:
        client.pool("w").note(2)
    assert caught.value.ran == "no"


def test_what_the_user_says_may_run_again(daemon, client, place, pauses):
    """The daemon runs it four times, on new workers, each time that it is sent."""
    made = pauses()
    with pytest.raises(objpool.WorkerLost):
        client.pool("w").options(retry=2, idempotent=True).die("again")
    assert len(made) == 1 and len(notes(place)) == 8


def test_no_pause_goes_beyond_the_deadline(daemon, client, place, pauses):
    made = pauses()
    client.pool("w").wait_for.future(str(place / "gate"))
    client.pool("w").note.future("first")
    wait_for(lambda: client.status("w")["pools"][0]["queue"] >= 1, "a queue")
    with pytest.raises(objpool.Overloaded):
        client.pool("w").options(retry=objpool.Retry(100, delay=60, max_delay=60), timeout=20).note("late")
    assert made == []
    (place / "gate").touch()


def test_a_future_between_two_attempts_can_be_cancelled(daemon, client, place, pauses):
    busy = client.pool("w").wait_for.future(str(place / "gate")), client.pool("w").note.future("first")
    wait_for(lambda: client.status("w")["pools"][0]["queue"] >= 1, "a queue")
    cancelled = threading.Event()
    made = pauses(lambda: cancelled.wait(60))
    future = client.pool("w").options(retry=100).note.future("second")
    wait_for(lambda: made, "a pause")
    assert future.cancel()
    (place / "gate").touch()
    for each in busy:
        each.result(60)
    cancelled.set()
    assert client.pool("w").note("third") == "third" and notes(place) == ["first", "third"]


def test_a_lease_is_no_other_object(daemon, client, pauses):
    made = pauses()
    with client.pool("w").options(retry=5).lease() as object:
        assert object.note(1) == 1
        with pytest.raises(objpool.WorkerLost):
            object.die()
        for call in (object.note, object.options(timeout=60).note):
            with pytest.raises(objpool.WorkerLost):
                call(2)
        client._connected().close()
        with pytest.raises(objpool.ConnectionLost):
            object.note(3)
    assert made == []


def test_what_a_policy_can_be():
    assert [_retry.of(value) for value in (None, False)] == [None, None]
    assert _retry.of(3).attempts == 3 and _retry.of(True).attempts == 5
    for wrong in ("3", 1.5):
        with pytest.raises(TypeError, match="retry is a Retry"):
            _retry.of(wrong)
    for wrong in ({"attempts": 0}, {"delay": -1}):
        with pytest.raises(ValueError):
            objpool.Retry(**wrong)
    pauses = [objpool.Retry(100, delay=0.1, max_delay=5).pause(n, objpool.Overloaded(), False, None) for n in range(1, 100)]
    assert all(0.5 * min(5, 0.1 * 2 ** i) <= pause <= 5 for i, pause in enumerate(pauses)) and len(set(pauses)) > 90


def test_a_waiter_asks_the_next_instance_when_its_own_is_replaced(start):
    daemon = start({"q": {"plugin": "queue", "class": "Queue", "workers": 1}})
    with objpool.connect(daemon.address) as client:
        queue = client.pool("q")
        item = queue.options(retry=20).get.future()
        for _ in range(2):
            wait_for(lambda: queue.waiting()["getters"] == 1, lambda: "it to wait")
            client.restart("q")
        wait_for(lambda: queue.waiting()["getters"] == 1, lambda: "it to wait again")
        queue.put(5)
        assert item.result(60) == 5


def test_a_pause_is_as_long_as_the_daemon_says():
    busy, full = objpool.Overloaded("busy", retry_after_ms=7000), objpool.Overloaded("full")
    retry = objpool.Retry(5, delay=0.01, max_delay=0.02)
    assert 7 <= retry.pause(1, busy, False, None) <= 9 and retry.pause(1, full, False, None) < 1
    assert retry.pause(1, busy, False, 5.0) is None  # the call's timeout comes first
