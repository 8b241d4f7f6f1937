# SPDX-License-Identifier: Apache-2.0
"""Calls that are answered later: the class Queue, which many clients share."""
import itertools
import os
import signal
import time

import msgpack
from harness import wait_for

QUEUE = {"q": {"plugin": "queue", "class": "Queue", "workers": 1}}


def waiting(client):
    return client.value("q.waiting")


def test_a_get_is_answered_by_somebodys_put(start):
    daemon = start(QUEUE)
    with daemon.client() as taker, daemon.client() as giver:
        call = taker.start("q.get")
        wait_for(lambda: waiting(giver)["getters"] == 1, lambda: "the getter to wait")
        giver.value("q.put", {"a": [1, 2]})
        assert taker.wait(call) == (None, {"a": [1, 2]})


def test_the_instance_is_free_while_calls_wait(start):
    with start(QUEUE).client() as client:
        calls = [client.start("q.get") for _ in range(100)]
        assert client.value("q.size") == 0
        client.value("objpool.call", "q:map", "put", [list(range(100))], {})
        assert sorted(client.wait(call)[1] for call in calls) == list(range(100))


def test_timeouts_of_the_class_and_of_the_call(start):
    with start(QUEUE).client() as client:
        client.maps()
        error, _ = client.full("q", "get", [0.05])
        assert error["code"] == "FAILED" and error["type"] == "Empty"
        error, _ = client.full("q", "get", [], timeout_ms=50)
        assert error["code"] == "TIMEOUT" and error["ran"] == "maybe"
        assert waiting(client) == {"getters": 0, "putters": 0}
        client.value("q.put", 7)
        assert client.value("q.get", 0.05) == 7


def test_a_bounded_queue_lets_putters_wait(start):
    with start({"q": {"plugin": "queue", "class": "Queue", "workers": 1, "kwargs": '{"maxsize": 2}'}}).client() as client:
        calls = [client.start("q.put", i) for i in range(5)]
        wait_for(lambda: waiting(client)["putters"] == 3, lambda: "putters to wait")
        assert [client.value("q.get") for _ in range(5)] == [0, 1, 2, 3, 4]
        assert [client.wait(call) for call in calls] == [(None, None)] * 5


def test_cancel_frees_a_waiter_and_loses_no_item(start):
    with start(QUEUE).client() as client:
        first, second = client.start("q.get"), client.start("q.get")
        assert client.value("objpool.cancel", first) is True
        client.value("q.put", "only")
        assert client.wait(second) == (None, "only")
        assert client.wait(first)[0].startswith("CANCELLED: ")


def test_a_get_that_is_cancelled_as_it_succeeds_loses_nothing(start):
    """Either its caller has the item, or the queue has."""
    with start(QUEUE).client() as client:
        outcomes = set()
        for i in itertools.count():
            client.value("q.put", i)
            get = client.start("q.get")
            until = time.perf_counter() + i % 100 * (1 + i // 500) * 1e-6   # longer and longer: at last some get is faster
            while time.perf_counter() < until:
                pass
            client.notify("objpool.cancel", get)
            error, item = client.wait(get)
            outcomes.add(error and error.split(":")[0])
            assert client.value("q.size") == (1 if error else 0)
            assert error or item == i
            client.value("q.clear")
            if i > 1000 and outcomes == {None, "CANCELLED"}:
                break


def test_ten_thousand_getters_and_none_lost_when_clients_die(start):
    daemon = start(QUEUE)
    with daemon.client() as giver:
        clients = [daemon.client() for _ in range(20)]
        calls = [(client, client.start("q.get")) for client in clients for _ in range(500)]
        wait_for(lambda: waiting(giver)["getters"] == 10_000, lambda: "all to wait")
        for client in clients[::2]:
            client.close()
        wait_for(lambda: waiting(giver)["getters"] == 5_000, lambda: "those of dead clients to go")
        for begin in range(0, 5_000, 1000):
            giver.value("objpool.call", "q:map", "put", [list(range(begin, begin + 1000))], {})
        got = [client.wait(call) for client, call in calls if client in clients[1::2]]
        assert sorted(value for _, value in got) == list(range(5_000))
        assert waiting(giver) == {"getters": 0, "putters": 0} and giver.value("q.size") == 0
        for client in clients[1::2]:
            client.close()


def test_waiters_are_served_in_their_order(start):
    with start(QUEUE).client() as client:
        calls = [client.start("q.get") for _ in range(20)]
        wait_for(lambda: waiting(client)["getters"] == 20, lambda: "all to wait")
        for i in range(20):
            client.value("q.put", i)
        assert [client.wait(call)[1] for call in calls] == list(range(20))


def test_items_of_a_map_can_wait_too(start):
    daemon = start(QUEUE)
    with daemon.client() as client, daemon.client() as giver:
        call = client.start("objpool.call", "q:map", "get", [[]] * 5, {"args_as": "positional"})
        wait_for(lambda: waiting(giver)["getters"] == 5, lambda: "all to wait")
        for i in range(5):
            giver.value("q.put", i)
        assert client.wait(call) == (None, [0, 1, 2, 3, 4])


def test_an_instance_puts_off_so_many_calls_and_no_more(start):
    with start(QUEUE, {"max_inflight": 100_000}).client() as client:
        client.ids = itertools.count(100_000)
        client.send_raw(b"".join(msgpack.packb([0, 1 + i, "q.get", []]) for i in range(65_600)))
        for _ in range(64):  # those beyond what an instance may put off
            kind, msgid, error, _ = client.receive()
            assert kind == 1 and msgid > 65_536 and "FAILED" in error, error
        assert client.call("objpool.ping") is not None


def test_waiters_are_told_when_the_worker_dies(start):
    daemon = start(QUEUE)
    with daemon.client() as client, daemon.client() as other:
        call = client.start("q.get")
        wait_for(lambda: waiting(other)["getters"] == 1, lambda: "it to wait")
        os.kill(daemon.pids(other, "q")[0], signal.SIGKILL)
        error, _ = client.wait(call)
        assert error.startswith("WORKER_LOST: ")
        assert other.value("q.size") == 0


def test_waiters_are_told_when_the_instance_is_replaced_or_the_daemon_stops(start):
    daemon = start(QUEUE)
    with daemon.client() as client, daemon.client() as other:
        client.maps()
        call = client.start("q.get")
        wait_for(lambda: waiting(other)["getters"] == 1, lambda: "it to wait")
        other.value("objpool.restart", "q")
        error, _ = client.wait(call)
        assert (error["code"], error["ran"]) == ("UNAVAILABLE", "no")
        call = client.start("q.get")
        wait_for(lambda: waiting(other)["getters"] == 1, lambda: "it to wait")
        daemon.signal(signal.SIGTERM)
        error, _ = client.wait(call)
        assert (error["code"], error["ran"]) == ("UNAVAILABLE", "no")


def test_an_instance_that_has_had_a_replay_can_defer(start):
    with start(QUEUE).client() as client:
        assert client.full("q:all", "put", ["kept"], sticky="append")[0] is None
        os.kill(client.value("objpool.status", "q")["pools"][0]["slots"][0]["pid"], signal.SIGKILL)
        assert client.value("q.get") == "kept"  # of the new one
        call = client.start("q.get")
        wait_for(lambda: waiting(client)["getters"] == 1, lambda: "the getter to wait")
        client.value("q.put", 5)
        assert client.wait(call) == (None, 5)


def test_a_class_is_told_of_ended_sessions(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        other = daemon.client()
        session = other.value("p.session")
        other.close()
        wait_for(lambda: session in client.value("p.ended"), lambda: "the class to be told")
        stranger = daemon.client()      # it has never called
        number = stranger.value("objpool.hello", {})["session"]
        stranger.close()
        assert number not in client.value("p.ended")
