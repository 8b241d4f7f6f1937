# SPDX-License-Identifier: Apache-2.0
"""Methods that take runs of items (objpool_many_fn): an item is what it is to a method that takes one."""
import json
import os
import pathlib
import signal

import msgpack
import pytest
from harness import wait_for

CLASSES = pathlib.Path(__file__).parent / "classes"
PYTHON = {"plugin": "python", "class": "runs:Runs", "python_path": json.dumps([str(CLASSES)])}
MANY = 5000


@pytest.fixture(params=[{}, PYTHON], ids=["C", "Python"])
def daemon(start, request):
    """Its pool p has one instance, whose methods take runs of items."""
    return start({"p": {"workers": 1, "cancel_grace": 30, **request.param}, "q": {"workers": 2}})


@pytest.fixture
def client(daemon):
    with daemon.client().maps() as client:
        yield client


def start_map(client, method, *columns):
    """All items go to the worker in one run."""
    client.full("p:map", method, [column[:1] * 100 for column in columns])
    return client.start("objpool.call", "p:map", method, list(columns), {"errors": "collect", "chunk": len(columns[0])})


def wait_until_it_is_at_a_long_item(daemon):
    """It sleeps. A worker that runs the items before may wait for the CPU for as long as it likes."""
    def pid():
        slot = other.value("objpool.status", "p")["pools"][0]["slots"][0]
        return slot["running"] and "nanosleep" in pathlib.Path(f"/proc/{slot['pid']}/wchan").read_text() and slot["pid"]
    with daemon.client() as other:
        return wait_for(pid, lambda: "the long item to run")


def test_each_item_has_its_value_or_its_own_error(client):
    items = [i if i % 7 else "x" for i in range(MANY)]
    error, result = client.wait(start_map(client, "add", items, [1] * MANY))
    assert error is None and [i for i in range(MANY) if i % 7 and result[i] != [None, i + 1]] == []
    for i in range(0, MANY, 7):
        error, value = result[i]
        assert value is None and (error["index"], error["slot"], error["ran"]) == (i, 0, "yes")
    assert client.value("p.index") == 0


def test_an_item_may_call_other_pools(client):
    error, result = client.wait(start_map(client, "relay", ["q.add"] * 3 + ["q.fail", "q.add"], [1] * 5, [2] * 5))
    assert error is None and [value for _, value in result] == [3, 3, 3, None, 3] and result[3][0]["code"] == "FAILED"


def test_the_worker_is_killed_in_the_midst(daemon, client):
    """What had run and was told of is answered, what ran is lost, what had not begun runs on the next instance."""
    call = start_map(client, "sleep", [0] * 10 + [20] + [0] * 10)
    os.kill(wait_until_it_is_at_a_long_item(daemon), signal.SIGKILL)
    error, result = client.wait(call)
    lost = [i for i, (error, _) in enumerate(result) if error]
    assert error is None and 10 in lost and max(lost) == 10, result
    assert {(result[i][0]["code"], result[i][0]["ran"]) for i in lost} == {("WORKER_LOST", "maybe")}
    assert all(result[i] == [None, 0] for i in range(21) if i not in lost)


def test_what_is_finished_arrives_before_a_long_item(daemon, client):
    """Also what follows it is taken back, and begins nowhere twice."""
    call = start_map(client, "sleep", [0] * 10 + [0.3] + [0] * 10)
    assert client.wait(call) == (None, [[None, 0]] * 10 + [[None, 0.3]] + [[None, 0]] * 10)
    status, = client.value("objpool.status", "p")["pools"]
    assert status["slots"][0]["calls"] == 100 + 21


def test_a_cancelled_run_begins_no_more_items(daemon, client):
    call = start_map(client, "sleep", [0] * 10 + [20] + [0] * 10)
    pid = wait_until_it_is_at_a_long_item(daemon)
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.value("p.pid") == pid
    assert client.full("p:map", "sleep", [[0] * 3]) == (None, [0] * 3)


def test_a_run_has_the_deadline_of_its_call(client):
    error, _ = client.full("p:map", "sleep", [[0, 20, 0]], timeout_ms=100, chunk=3)
    assert error["code"] == "TIMEOUT"
    assert client.full("p:map", "sleep", [[0] * 3]) == (None, [0] * 3)


# ---- Python ----

@pytest.mark.parametrize("daemon", [PYTHON], indirect=True, ids=["Python"])
def test_keywords_of_each_item(client):
    """The names of a column, bound ones, those of each item by itself, none, and one that is no text."""
    def taken(*columns, **options):
        error, result = client.full("p:map", "keywords", list(columns), chunk=100, errors="collect", **options)
        return error or [value for _, value in result]

    assert taken(kwargs={"a": [1, 2], "b": [3, 4]}) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert taken(bind_kwargs={"c": 5}, kwargs={"a": [1, 2]}) == [{"c": 5, "a": 1}, {"c": 5, "a": 2}]
    items = [{"a": 1}, {"b": 2}, {}, {"b": 3, "a": 4}, {"x" * 50: None}, {str(i): i for i in range(40)}, {"a": 5}]
    assert taken(*items, args_as="keyword") == items
    assert taken(*[{"a": 1}, 2, {b"\xff": 3}, {"a": 4}], args_as="keyword") == [{"a": 1}, None, None, {"a": 4}]



@pytest.mark.parametrize("daemon", [PYTHON], indirect=True, ids=["Python"])
def test_what_is_finished_arrives_although_the_worker_crashes(client):
    call = start_map(client, "abort_at", list(range(30)), [20] * 30)
    error, result = client.wait(call)
    lost, = [i for i, (error, _) in enumerate(result) if error]
    assert error is None and lost == 20 and (result[20][0]["code"], result[20][0]["ran"]) == ("WORKER_LOST", "maybe")
    assert all(result[i] == [None, i] for i in range(30) if i != 20)


@pytest.mark.parametrize("daemon", [PYTHON], indirect=True, ids=["Python"])
def test_an_item_is_interrupted_when_its_run_is_cancelled(client, place):
    file = place / "sleeps"
    call = start_map(client, "sleep_and_see", [0] * 10 + [20] + [0] * 10, [str(file)] * 21)
    wait_for(file.exists, lambda: "the long item to run")
    client.notify("objpool.cancel", call)
    assert client.wait(call)[0]["code"] == "CANCELLED"
    assert client.value("p.what_was_cancelled") == [20]


@pytest.mark.parametrize("daemon", [PYTHON], indirect=True, ids=["Python"])
def test_a_run_looks_up_its_method_once_and_plain_calls_each(client):
    """As Python's map() does with the function that it is given."""
    call = client.start("objpool.call", "p:map", "became", [[1, 2, 3]], {"chunk": 3})
    assert client.wait(call) == (None, [1, 2, 3])
    assert client.full("p:map", "became", [[1, 2, 3]], chunk=3) == (None, ["another"] * 3)
    client.value("objpool.restart", "p", 0)
    for _ in range(3):
        client.value("p.add", 1, 1)
    client.send_raw(b"".join(msgpack.packb([0, 1000 + i, "p.became", [i]]) for i in range(3)))
    assert [client.wait(1000 + i) for i in range(3)] == [(None, 0), (None, "another"), (None, "another")]
