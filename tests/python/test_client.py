# SPDX-License-Identifier: Apache-2.0
"""Calls in all their forms, futures, errors, leases, pools."""
import asyncio
import concurrent.futures
import json
import os
import pathlib
import re
import socket
import threading

import pytest

import objpool
import objpool.aio
from harness import DEADLINE, wait_for
from objpool._address import address_form


def test_every_target(pool):
    assert pool.echo(1) == 1
    assert pool.call("echo", 1, a=2) == {"args": [1], "kwargs": {"a": 2}}
    assert pool[1].slot() == 1 and pool[-1].slot() == 1
    assert pool.all.slot() == [0, 1]
    assert pool.map.add([1, 2, 3], range(10, 14)) == [11, 13, 15]
    assert pool.map.add(a=[1, 2], b=[3, 4]) == [4, 6]
    assert pool.scatter.echo("ab" and ["a", "b"]) == ["a", "b"]
    assert len({pool.key("a.b").slot() for _ in range(10)}) == 1
    assert len(pool) == 2 and [each.slot() for each in pool] == [0, 1]
    assert "sleep" in dir(pool)


def test_pools_of_other_hosts(pool):
    client = pool._client
    assert repr(client.pool("p", host="*").all) == repr(client.pool("p@*").all)
    for asked in client.pool("p", "h2"), client.pool("p", host="*"), client.pool("p@h2")[1], client.pool("p@h2", direct=True):
        with pytest.raises(objpool.Unreachable, match="in no cluster") as caught:
            asked.echo(1)
        assert caught.value.ran == "no" and caught.value.host is None
    assert pool.all.options(labels=True).slot() == [[None, 0, 0], [None, 1, 1]]

    async def later():
        async with objpool.aio.connect(client.address) as other:
            with pytest.raises(objpool.Unreachable):
                await other.pool("p", host="h2").echo(1)
    asyncio.run(later())


def test_forms_of_addresses():
    rows = json.loads((pathlib.Path(__file__).parents[1] / "addresses.json").read_text())
    assert len(rows) > 20 and [address_form(row["text"]) for row in rows] == [row["is"] for row in rows]


def test_addresses_as_people_write_them(pool):
    path = pool._client.address.partition(":")[2]
    for address in (path, f"unix://{path}"):
        with objpool.connect(address) as client:
            assert client.address == f"unix:{path}" and client.pool("p").add(1, 2) == 3


def test_options(pool):
    assert pool.options(bind=[100]).map.add([1, 2]) == [101, 102]
    assert pool.map.options(args_as="positional").add([(1, 2), (3, 4)]) == [3, 7]
    with pytest.raises(TypeError, match="there is no option 'timeouts'"):
        pool.options(timeouts=1)
    with pytest.raises(objpool.BadRequest, match="chunk must be"):
        pool.map.options(chunk="x").echo([1])
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        pool["1"]


@pytest.mark.parametrize("call", [
    lambda pool: pool.map.echo(3), lambda pool: pool.map.echo("text"), lambda pool: pool.map.echo.stream(3), lambda pool: pool.map.echo.stream("text"),
    lambda pool: pool.map.add.stream([1], b=[2]), lambda pool: pool.map.options(args_as="keyword").add()])
def test_a_map_of_what_is_no_items_has_not_run(pool, call):
    with pytest.raises(objpool.BadArgument) as caught:
        call(pool)
    assert caught.value.ran == "no"


def test_an_error_of_the_items_is_itself(pool):
    def items():
        yield 1
        raise TypeError("of the items")
    with pytest.raises(TypeError, match="^of the items$"):
        pool.map.echo(items())


def test_timeouts_that_no_clock_can_tell(pool):
    for endless in (float("inf"), 1e12, 10**20):
        assert pool.options(timeout=endless).echo(1) == 1 and pool.options(timeout=endless, retry=2).echo(1) == 1
        assert next(pool.options(timeout=endless).map.echo.stream([1])) == 1
        with pool.lease(timeout=endless, lease_time=endless) as lease:
            assert lease.echo(1) == 1
    with pytest.raises(ValueError, match="nan"):
        pool.options(timeout=float("nan"))


def test_errors_are_typed(pool):
    with pytest.raises(objpool.CallFailed) as caught:
        pool[1].fail("out of paper", "PrinterError", "there")
    error = caught.value
    assert (error.code, error.message, error.type, error.traceback) == ("FAILED", "out of paper", "PrinterError", "there")
    assert (error.pool, error.slot, error.generation, error.ran) == ("p", 1, 1, "yes")
    assert str(error) == "PrinterError: out of paper"
    with pytest.raises(AttributeError) as caught:
        pool.nothing()
    assert isinstance(caught.value, objpool.NoSuchMethod)
    with pytest.raises(objpool.NoSuchSlot):
        pool[7].echo(1)
    with pytest.raises(objpool.NoSuchPool):
        pool.client.pool("other").echo(1)
    with pytest.raises(ValueError):
        pool.add(1, "a")
    with pytest.raises(objpool.WorkerLost) as caught:
        pool[0].crash(9)
    assert caught.value.signal == 9 and caught.value.ran == "maybe"


def test_errors_survive_pickling(pool):
    import pickle
    with pytest.raises(objpool.CallFailed) as caught:
        pool.map.fail(["a", "b"])
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is objpool.CallFailed and again.index == 0 and again.message == "a" and again.pool == "p"


def test_a_denied_call_says_who_lacks_what(start):
    import pickle
    daemon = start(users="[user *]\ncall = p.echo\n")
    with objpool.connect(daemon.tcp, timeout=DEADLINE) as client, pytest.raises(objpool.Denied) as caught:
        client.pool("p").add(1, 2)
    for error in caught.value, pickle.loads(pickle.dumps(caught.value)):
        assert isinstance(error, PermissionError) and (error.user, error.right, error.ran) == ("*", "call", "no")
        assert re.fullmatch(r'user \* may not "call" p\.add \(objpoold\.conf:\d+\)', str(error))
    assert objpool.Denied("no").user is None and objpool.Denied("no").right is None


def test_collected_errors_are_results_in_their_places(pool):
    first, second, third = pool.options(errors="collect").map.add([1, 2, 3], [1, "x", 3])
    assert (first, third) == (2, 6) and isinstance(second, objpool.BadArgument) and second.index == 1


def test_a_timeout_is_a_timeout_error(pool):
    with pytest.raises(TimeoutError) as caught:
        pool.options(timeout=0.02).sleep(60)
    assert isinstance(caught.value, objpool.Timeout) and isinstance(caught.value, concurrent.futures.TimeoutError)


def test_a_daemon_that_does_not_answer_is_no_hang(start, monkeypatch):
    import signal
    from objpool import _call
    monkeypatch.setattr(_call, "SLACK", 0.1)
    daemon = start()
    with objpool.connect(daemon.address) as client:
        daemon.signal(signal.SIGSTOP)
        try:
            with pytest.raises(objpool.Timeout, match="has not answered"):
                client.pool("p").options(timeout=0.05).echo(1)
        finally:
            daemon.signal(signal.SIGCONT)


def test_futures(pool):
    futures = [pool.echo.future(i) for i in range(100)]
    assert [future.result(DEADLINE) for future in futures] == list(range(100))
    done, _ = concurrent.futures.wait([pool.echo.future(i) for i in range(10)], DEADLINE)
    assert len(done) == 10
    assert isinstance(pool.fail.future().exception(DEADLINE), objpool.CallFailed)


def test_callbacks_run_without_anybody_waiting(pool):
    called = threading.Event()
    results = []

    def chain(future):
        results.append(future.result())
        if len(results) < 5:
            pool.echo.future(len(results)).add_done_callback(chain)
        else:
            results.append(pool.echo("a call in a callback"))
            results.append(pool.echo.future("a wait in a callback").result(DEADLINE))
            called.set()

    pool.echo.future(0).add_done_callback(chain)
    assert called.wait(DEADLINE)
    assert results == [0, 1, 2, 3, 4, "a call in a callback", "a wait in a callback"]


def test_cancelling_a_future_cancels_the_call(client, pool):
    future = pool[0].sleep.future(60)
    wait_for(lambda: client.status("p")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
    waiting = threading.Thread(target=lambda: pytest.raises(concurrent.futures.CancelledError, future.result))
    waiting.start()
    assert future.cancel() and future.cancelled()
    waiting.join(DEADLINE)
    assert not waiting.is_alive()
    assert pool[0].echo(1) == 1  # it does not sleep any more
    assert not pool.echo.future(1).result() is None


def test_a_future_times_out_and_goes_on(pool):
    future = pool.sleep.future(0.2)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.01)
    assert future.result(DEADLINE) == 0.2


def test_progress(pool):
    steps = []
    assert pool.options(progress=lambda *step: steps.append(step)).progress(3, 0.01, "x") == 3
    assert steps and steps[-1][2] == "x"


def test_progress_of_a_future_comes_before_its_result(pool):
    """Also when the thread that usually tells it is busy: here with the progress of another call."""
    steps, entered, left = [], threading.Event(), threading.Event()
    first = pool.options(progress=lambda *step: entered.set() or left.wait(DEADLINE)).method("progress").future(1, 0)
    try:
        assert entered.wait(DEADLINE)
        second = pool.options(progress=lambda *step: steps.append(step)).method("progress").future(1, 0, "x")
        assert second.result(DEADLINE) == 1 and steps[-1] == (1, 1, "x")
    finally:
        left.set()
    assert first.result(DEADLINE) == 1


def test_leases(client, pool):
    with pool.lease() as mine:
        assert mine.call("slot") == mine.slot and mine.options(timeout=DEADLINE).echo(1) == 1
        with pytest.raises(objpool.Timeout):
            pool.lease(mine.slot, timeout=0.02)
        with objpool.connect(client.address) as other:
            with pytest.raises(TimeoutError):
                other.pool("p")[mine.slot].method("echo").options(timeout=0.02)(1)
    with pytest.raises(objpool.ConnectionLost, match="released"):
        mine.echo(1)
    lease = pool.lease(0)
    del lease
    with pool.lease(0, timeout=DEADLINE) as again:
        assert again.slot == 0


def test_pools_come_and_go(client):
    with client.create_pool("Probe", 2, plugin="probe", kwargs={"tag": 1}, slot_kwargs=[{}, {"tag": 2}]) as pool:
        assert pool.all.tag() == [1, 2]
        assert pool.name in [each["name"] for each in client.pools()]
    with pytest.raises(objpool.NoSuchPool):
        pool.echo(1)
    pool = client.create_pool("Probe", 1, plugin="probe")
    name, part = pool.name, pool.all
    del pool
    assert part.echo(1) == [1]
    del part
    assert name not in [each["name"] for each in client.pools()]
    with pytest.raises(objpool.CallFailed, match="no such luck"):
        client.create_pool("Probe", 1, plugin="probe", kwargs={"fail": "no such luck"})
    kept = client.create_pool("Probe", 1, plugin="probe", name="kept", owner="daemon").name
    assert kept in [each["name"] for each in client.pools()]
    client.drop(kept)


def test_the_daemons_own_methods(client, pool):
    client.ping()
    assert client.describe(pool)["class"] == "Probe" and client.status()["server"] == "objpool"
    assert client.scale("p", 3) == 3 and client.restart("p", 0) == 1 and client.forget("p") == 0
    assert client.pause("p") is None and client.resume("p") is True and client.resume("p") is False
    assert "objpool_" in client.metrics() and client.server["version"] == objpool.__version__
    with pytest.raises(objpool.BadArgument):
        client.scale("p", "x")


def test_users_and_clients(start):
    daemon = start(users=f"[user me]\nuid = {os.getuid()}\ncall = p.*\ndeny = p.crash\nwatch = yes\noperate = yes\n")
    with objpool.connect(daemon.address) as client, objpool.connect(daemon.address) as other:
        me = client.whoami()
        assert (me["user"], me["by"], me["rights"]["deny"]) == ("me", "uid", ["p.crash"])
        assert client.acl("me", "call", "p.echo")["allowed"] is True
        refused = client.acl("me", "call", "p.crash")
        assert refused["allowed"] is False and re.fullmatch(r"objpoold\.conf:\d+", refused["where"])
        session = other.server["session"]
        assert {each["session"] for each in client.clients()} == {client.server["session"], session}
        assert client.kick(session) is True
        wait_for(lambda: session not in [each["session"] for each in client.clients()], lambda: "the session to go")
        assert client.kick(session) is False
        with pytest.raises(objpool.Denied, match='may not "call" p.crash'):
            client.call("p.crash")


def test_what_an_operator_does(daemon, client):
    assert client.log_level() == "info" and client.log_level("error") == client.log_level() == "error"
    assert f"listen = {daemon.address}\n" in client.config() and "[pool p]\n" in client.config()
    assert client.drain()["calls"] == 0
    assert daemon.process.wait(DEADLINE) == 0


def test_many_threads_share_a_client(pool):
    wrong = []

    def work(number):
        for i in range(200):
            if pool.echo([number, i]) != [number, i]:
                wrong.append((number, i))
            if pool.echo.future(i).result(DEADLINE) != i:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not any(thread.is_alive() for thread in threads) and not wrong


def test_large_values_while_answers_wait_to_be_read(pool):
    """Both sides would wait for each other, if who sends did not read."""
    blob = bytes(range(256)) * (1 << 15)
    futures = [pool.echo.future(blob) for _ in range(8)]
    assert pool.echo(blob) == blob
    assert all(future.result(DEADLINE) == blob for future in futures)


def test_tcp(daemon):
    with objpool.connect(daemon.tcp) as client:
        assert client.pool("p").echo(1) == 1 and client.unpickle is False
        with pytest.raises(objpool.BadValue, match="does not unpickle"):
            client.pool("p").echo({1, 2})
    with objpool.connect(daemon.tcp, unpickle=True) as client:
        assert client.pool("p").echo({1, 2}) == {1, 2}


def test_nobody_there(place):
    with pytest.raises(objpool.NoDaemon, match="can't connect") as caught:
        objpool.connect(f"unix:{place}/nothing")
    assert isinstance(caught.value, ConnectionError)
    with pytest.raises(objpool.NoDaemon, match="addresses are"):
        objpool.connect("carrier:pigeon")


REFUSAL = b"\x94\x01\x00\xaeOVERLOADED: no\xc0"  # [1, 0, "OVERLOADED: no", nil]


def connect_later(address):
    async def connect():
        async with objpool.aio.connect(address):
            pass
    asyncio.run(connect())


@pytest.mark.parametrize("connect", [objpool.connect, connect_later])
def test_what_the_daemon_said_before_it_closed_is_the_reason(place, connect):
    """The first send fails: the connection has been closed by then."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "s"))
        listener.listen()

        def refuse():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(REFUSAL)

        real = socket.socket.connect

        def connected(sock, address):
            """Returns when the other side has closed."""
            real(sock, address)
            refuse()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket.socket, "connect", connected)
            with pytest.raises(objpool.ConnectionLost, match="OVERLOADED: no"):
                connect(f"unix:{place}/s")
