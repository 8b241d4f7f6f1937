# SPDX-License-Identifier: Apache-2.0
"""Asynchronous methods of Python classes: many calls at once in one instance."""
import json
import os
import pathlib
import signal

import msgpack
import pytest

from harness import wait_for

CLASSES = pathlib.Path(__file__).parent / "classes"


def gates(**keys):
    return {"plugin": "python", "class": "gates:Gates", "python_path": json.dumps([str(CLASSES)]), "workers": 1, **keys}


@pytest.fixture
def instance(start):
    """instance(key=value, …): a daemon with a pool `p` of such a class, and a client that gets errors as maps."""
    clients = []

    def begin(**keys):
        daemon = start({"p": gates(**keys), "q": {"workers": 1}})
        client = daemon.client()
        client.maps()
        clients.append(client)
        return daemon, client

    yield begin
    for client in clients:
        client.close()


def slot(client):
    return client.value("objpool.status", "p")["pools"][0]["slots"][0]


def until_inside(client, n):
    wait_for(lambda: client.value("p.counts")[0] == n, lambda: f"{n} calls to be under way")


def test_many_calls_are_under_way_at_once(instance):
    _, client = instance()
    calls = [client.start("p.wait", "a", i) for i in range(100)]
    until_inside(client, 100)
    assert slot(client)["deferred"] == 100
    client.value("p.open", "a")
    assert [client.wait(call) for call in calls] == [(None, i) for i in range(100)]
    assert slot(client)["deferred"] == 0


def test_no_more_than_max_concurrent(instance):
    _, client = instance(max_concurrent=3)
    calls = [client.start("p.wait", f"g{i}", i) for i in range(8)]
    until_inside(client, 3)
    for i in range(8):
        client.value("p.open", f"g{i}")
    assert [client.wait(call) for call in calls] == [(None, i) for i in range(8)]
    assert client.value("p.counts") == [0, 3]


def test_calls_that_wait_for_their_turn_begin_in_order_or_not_at_all(instance):
    _, client = instance(max_concurrent=1)
    first, second, third = (client.start("p.wait", name, name) for name in "abc")
    until_inside(client, 1)
    assert client.value("objpool.cancel", second) is True
    assert client.wait(second)[0]["code"] == "CANCELLED"
    client.value("p.open", "a")
    assert client.wait(first) == (None, "a")
    until_inside(client, 1)
    client.value("p.open", "c")
    assert client.wait(third) == (None, "c")
    assert client.value("p.read_log") == []  # the one that was cancelled has not begun


@pytest.mark.parametrize("how", ["map", "pipelined"])
def test_items_of_maps_and_trains_run_at_once(instance, how):
    _, client = instance()
    if how == "map":
        call = client.start("objpool.call", "p:map", "wait", [["a"] * 50, list(range(50))], {})
        until_inside(client, 50)
        client.value("p.open", "a")
        assert client.wait(call) == (None, list(range(50)))
    else:
        client.value("p.open", "a")
        calls = [client.start("p.wait", "a", i) for i in range(200)]
        assert [client.wait(call)[1] for call in calls] == list(range(200))


def test_errors(instance):
    _, client = instance()
    error, _ = client.wait(client.start("p.fail", "value"))
    assert (error["code"], error["type"], error["message"]) == ("FAILED", "ValueError", "not so")
    assert "in fail" in error["traceback"] and "objpool>" not in error["traceback"]
    assert client.wait(client.start("p.fail", "exit"))[0]["type"] == "SystemExit"
    assert client.wait(client.start("p.fail", "cancel"))[0]["type"] == "asyncio.exceptions.CancelledError"
    assert "lock" in client.wait(client.start("p.lock"))[0]["message"].lower()
    assert client.value("p.echo", 1) == 1


def test_an_exit_in_a_task_is_the_error_of_its_call_alone(instance):
    _, client = instance()
    waits = client.start("p.wait", "a", 1)
    until_inside(client, 1)
    error = client.error("p.exit_in_a_task")
    assert (error["code"], error["type"]) == ("FAILED", "SystemExit")
    client.value("p.open", "a")
    assert client.wait(waits) == (None, 1) and slot(client)["generation"] == 1


def test_hooks_may_be_asynchronous(instance):
    daemon, client = instance(**{"class": "gates:Hooks"})
    with daemon.client() as other:
        assert other.value("p.read_log") == []
    wait_for(lambda: "session ended" in client.value("p.read_log"), lambda: f"the hook to run: {client.value('p.read_log')}")


def test_each_call_has_its_own_context(instance):
    _, client = instance()
    assert client.value("objpool.call", "p:map", "keep", [[10, 20, 30]], {}) == [[v, v, i, v] for i, v in enumerate([10, 20, 30])]
    call = client.start("objpool.call", "p", "about", [], {"timeout_ms": 60_000, "progress": True})
    kind, _, params = client.receive()
    assert kind == 2 and params[1:] == [1, 2, "half"]
    assert client.wait(call) == (None, [True, "about", True, False])


def test_it_can_call_others_after_a_wait(instance):
    _, client = instance()
    assert client.value("p.ask", "q.echo", [1, 2]) == [1, 2]
    error, _ = client.wait(client.start("p.ask", "p.counts"))
    assert error["type"] == "objpool_worker.CallFailed" and "would wait for itself" in error["message"]


def test_cancel_deadline_and_a_client_that_goes(instance):
    daemon, client = instance()
    call = client.start("p.wait", "a")
    until_inside(client, 1)
    assert client.value("objpool.cancel", call) is True
    assert client.wait(call)[0]["code"] == "CANCELLED"
    error, _ = client.full("p", "wait", ["a"], timeout_ms=1000)
    assert (error["code"], error["ran"]) == ("TIMEOUT", "maybe")
    until_inside(client, 0)
    with daemon.client() as other:
        other.start("p.wait", "a")
        until_inside(client, 1)
    until_inside(client, 0)
    wait_for(lambda: client.value("p.read_log") == ["cancelled"] * 3 + ["session_end"], lambda: "all to be cancelled")
    assert slot(client)["deferred"] == 0


def test_a_call_that_blocks_the_loop_is_interrupted(instance, tmp_path):
    _, client = instance(cancel_grace=10)
    call, other = client.start("p.block", str(tmp_path / "in")), client.start("p.wait", "a", 5)
    wait_for((tmp_path / "in").exists, lambda: "it to block")
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    client.value("p.open", "a")
    assert client.wait(other) == (None, 5)  # the instance lives on
    assert slot(client)["generation"] == 1


def test_a_call_that_blocks_the_loop_and_heeds_nothing_is_killed(instance, tmp_path):
    _, client = instance(cancel_grace=0.1)
    call = client.start("objpool.call", "p", "block_hard", [str(tmp_path / "in")], {"timeout_ms": 60_000})
    wait_for((tmp_path / "in").exists, lambda: "it to block")
    other = client.start("p.echo", 7)
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.wait(other) == (None, 7)  # of the next instance: the first had not begun it
    assert slot(client)["generation"] == 2


def test_a_stream_comes_while_others_are_under_way(instance):
    _, client = instance()
    call = client.start("objpool.call", "p", "items", [3, "a"], {"stream": True})
    assert client.receive()[2][1:] == [0, None, 0]
    other = client.start("p.echo", "between")
    assert client.receive() == [1, other, None, "between"]
    client.value("p.open", "a")
    assert [client.receive()[2][3] for _ in range(2)] == [1, 2]
    assert client.wait(call)[1]["items"] == 3
    assert client.value("p.items", 4) == [0, 1, 2, 3] and client.value("p.generator") == [0, 1, 4, 9]
    assert client.value("objpool.call", "p:map", "items", [[1, 2]], {}) == [[0], [0, 1]]


def test_a_stream_waits_for_its_client_and_holds_up_nobody(instance):
    daemon, client = instance()
    reader = daemon.client()
    reader.start("objpool.call", "p", "large", [10_000, 100_000], {"stream": True})
    wait_for(lambda: client.value("p.counts")[0] > 10, lambda: "it to begin")

    def stands():
        before = client.value("p.counts")[0]
        client.value("p.sleep", 0.05)
        return client.value("p.counts")[0] == before

    wait_for(stands, lambda: "it to wait")
    begun = client.value("p.counts")[0]
    assert begun < 5_000
    for _ in range(begun + 50):
        reader.receive()
    assert client.value("p.counts")[0] > begun
    reader.close()
    wait_for(lambda: slot(client)["deferred"] == 0, lambda: "it to end")


def test_a_replaced_instance_ends_what_is_under_way(instance):
    daemon, client = instance()
    call = client.start("p.wait", "a", 1)
    until_inside(client, 1)
    with daemon.client() as other:
        restart = other.start("objpool.restart", "p")
        wait_for(lambda: len(daemon.children()) > 0 and daemon.pids(other), lambda: "the daemon")
        # The old instance takes no more calls, and so nobody opens the gate but what was sent before: end it by a cancel.
        assert client.value("objpool.cancel", call) is True
        assert other.wait(restart)[0] is None
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.value("p.read_log") == ["cancelled", "0 inside"]


def test_a_replaced_instance_waits_for_what_is_under_way(instance):
    _, client = instance()
    call = client.start("p.sleep", 0.3)
    wait_for(lambda: slot(client)["deferred"] == 1, lambda: "it to be under way")
    assert client.call("objpool.restart", "p")[0] is None
    assert client.wait(call) == (None, None)
    assert client.value("p.read_log") == ["0 inside"]


def test_the_state_is_taken_when_cancelled_calls_have_ended(instance):
    _, client = instance()
    call = client.start("p.stubborn", "a")
    until_inside(client, 1)
    client.notify("objpool.cancel", call)
    assert client.call("objpool.restart", "p")[0] is None
    assert client.value("p.read_log") == ["ended", "0 inside"]


def test_the_daemon_that_stops_waits_for_what_is_under_way(instance):
    daemon, client = instance()
    call = client.start("p.sleep", 0.2)
    wait_for(lambda: slot(client)["deferred"] == 1, lambda: "it to be under way")
    daemon.signal(signal.SIGTERM)
    assert client.wait(call) == (None, None)


def test_a_pool_that_is_dropped_cancels_what_is_under_way(instance):
    _, client = instance()
    call = client.start("p.wait", "a")
    until_inside(client, 1)
    client.value("objpool.drop", "p")
    assert client.wait(call)[0]["code"] == "CANCELLED"


def test_the_worker_dies(instance):
    daemon, client = instance()
    call = client.start("p.wait", "a")
    until_inside(client, 1)
    os.kill(daemon.pids(client)[0], signal.SIGKILL)
    error, _ = client.wait(call)
    assert (error["code"], error["ran"]) == ("WORKER_LOST", "maybe")


def test_a_lease_waits_for_what_is_under_way(instance):
    daemon, client = instance()
    call = client.start("p.wait", "a")
    until_inside(client, 1)
    with daemon.client() as other:
        lease = other.start("objpool.lease", "p")
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["leases_waiting"] == 1, lambda: "the lease to wait")
        client.notify("objpool.cancel", call)
        assert other.wait(lease)[0] is None
        wait_for(lambda: other.value("p:0.counts")[0] == 0, lambda: "the cancelled call to end")


def test_a_sticky_call_is_replayed_to_its_end(instance):
    daemon, client = instance()
    assert client.full("p:all", "echo", [5], sticky="append")[0] is None
    os.kill(daemon.pids(client)[0], signal.SIGKILL)
    wait_for(lambda: slot(client)["generation"] == 2 and slot(client)["state"] == "ready", lambda: "the next instance")
    assert client.value("p.echo", 6) == 6


def test_a_fork_of_an_asynchronous_method_does_not_answer(instance):
    _, client = instance()
    assert client.value("p.fork") == "parent"
    assert client.value("p.echo", 1) == 1


def under_way(client):
    return [slot["deferred"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"]]


@pytest.mark.parametrize("way", ["one by one", "at once", "map"])
def test_instances_share_what_is_under_way(instance, way):
    _, client = instance(workers=3, max_concurrent=2)
    client.value("p:all.open", "first")
    assert client.value("p.wait", "first", 5) == 5  # now the daemon knows what the method is like
    if way == "map":
        calls = [client.start("objpool.call", "p:map", "wait", [["a"] * 8, list(range(8))], {})]
    elif way == "one by one":
        calls = [client.start("p.wait", "a", i) for i in range(8)]
    else:
        client.send_raw(b"".join(msgpack.packb([0, 1000 + i, "p.wait", ["a", i]]) for i in range(8)))
        calls = [1000 + i for i in range(8)]
    wait_for(lambda: under_way(client) == [2, 2, 2], lambda: f"it to be divided, and not {under_way(client)}")
    assert client.value("p:all.counts") == [[2, 2]] * 3
    assert client.value("p.counts") == [2, 2]  # ordinary methods pass those that wait for their turn
    client.value("p:all.open", "a")
    got = [client.wait(call) for call in calls]
    assert got == ([(None, list(range(8)))] if way == "map" else [(None, i) for i in range(8)])


def test_a_pool_grows_when_its_instances_have_enough_under_way(instance):
    _, client = instance(workers_min=1, workers_max=3, max_concurrent=1)
    client.value("p.open", "first")
    assert client.value("p.wait", "first", 5) == 5
    calls = [client.start("p.wait", "a", i) for i in range(3)]
    wait_for(lambda: under_way(client) == [1, 1, 1], lambda: f"it to grow, from {under_way(client)}")
    client.value("p:all.open", "a")
    assert [client.wait(call)[1] for call in calls] == [0, 1, 2]
