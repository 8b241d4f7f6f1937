# SPDX-License-Identifier: Apache-2.0
"""Calls on direct channels that their methods put off: asynchronous ones, and those that wait."""
import contextlib
import json
import os
import pathlib
import signal

import pytest

from harness import wait_for
from test_direct import Owner, slot_of

CLASSES = pathlib.Path(__file__).parent / "classes"
GATES = {"plugin": "python", "class": "gates:Gates", "python_path": json.dumps([str(CLASSES)]), "workers": 1}
QUEUE = {"plugin": "queue", "class": "Queue", "workers": 1}


@pytest.fixture
def channel(start):
    """channel(section): a daemon, its client, and a direct channel to the instance of pool `p`."""
    with contextlib.ExitStack() as stack:
        def begin(section, **keys):
            daemon = start({"p": {**section, **keys}, "q": {"workers": 1}})
            owner = stack.enter_context(Owner(daemon))
            return daemon, owner, stack.enter_context(owner.attach("p"))
        yield begin


def until_inside(channel, n):
    wait_for(lambda: channel.value("counts")[0] == n, lambda: f"{n} calls to be under way")


def test_many_are_under_way_and_answered_in_any_order(channel):
    _, owner, direct = channel(GATES)
    calls = [direct.start("wait", f"g{i}", i) for i in range(20)]
    until_inside(direct, 20)
    assert slot_of(owner)["deferred"] == 20
    for i in reversed(range(20)):
        direct.value("open", f"g{i}")
        assert direct.wait(calls[i]) == (None, i)
    assert slot_of(owner)["deferred"] == 0
    assert direct.value("items", 3) == [0, 1, 2] and direct.wait(direct.start("fail", "value"))[0]["type"] == "ValueError"


def test_a_cancel(channel):
    _, owner, direct = channel(GATES)
    first, second = direct.start("wait", "a"), direct.start("wait", "a", 2)
    until_inside(direct, 2)
    assert owner.value("objpool.cancel", direct.number, 0) is True
    error, _ = direct.wait(first)
    assert (error["code"], error["ran"]) == ("CANCELLED", "yes")
    until_inside(direct, 1)
    assert direct.value("read_log") == ["cancelled"]
    direct.value("open", "a")
    assert direct.wait(second) == (None, 2)
    assert owner.value("objpool.cancel", direct.number, 1) is False


@pytest.mark.parametrize("heeds", [True, False])
def test_one_that_blocks_the_loop(channel, tmp_path, heeds):
    _, owner, direct = channel(GATES, cancel_grace=10 if heeds else 0.1)
    call = direct.start("block" if heeds else "block_hard", str(tmp_path / "in"))
    wait_for((tmp_path / "in").exists, lambda: "it to block")
    assert owner.value("objpool.cancel", direct.number, 0) is True
    if heeds:
        assert direct.wait(call)[0]["code"] == "CANCELLED"
        assert direct.value("echo", 1) == 1
    else:
        assert direct.receive() is None
        assert owner.value("objpool.detached", direct.number)["reason"] == "lost"


def test_progress_and_calls_of_others(channel):
    _, owner, direct = channel(GATES)
    call = direct.start("objpool.call", None, "about", [], {"progress": True})
    assert direct.wait(call) == (None, [True, "about", True, False])
    assert direct.notes == [[2, "objpool.progress", [call, 1, 2, "half"]]]
    assert direct.value("ask", "q.echo", 7) == 7


def test_a_client_that_goes_cancels_them(channel):
    _, owner, direct = channel(GATES)
    direct.start("wait", "a")
    until_inside(direct, 1)
    direct.close()
    wait_for(lambda: owner.value("p.counts")[0] == 0, lambda: "it to be cancelled")
    assert owner.value("p.read_log") == ["cancelled"]
    wait_for(lambda: slot_of(owner)["direct"] == 0, lambda: "the channel to end")


def test_a_client_that_only_stops_sending_gets_its_answers(channel):
    _, owner, direct = channel(GATES)
    call = direct.start("wait", "a", 3)
    until_inside(direct, 1)
    direct.socket.shutdown(1)
    owner.value("p.open", "a")
    assert direct.rest()[call] == (None, 3)


def test_a_notification_is_carried_out_though_its_client_has_gone(channel):
    _, owner, direct = channel(GATES)
    direct.notify("wait", "a")
    until_inside(direct, 1)
    direct.close()
    wait_for(lambda: slot_of(owner)["direct"] == 0, lambda: "the channel to end")
    assert owner.value("p.counts")[0] == 1 and owner.value("p.read_log") == []
    owner.value("p.open", "a")
    wait_for(lambda: owner.value("p.counts")[0] == 0, lambda: "it to end")


def test_an_instance_that_is_replaced_ends_what_is_at_work(channel):
    _, owner, direct = channel(GATES)
    call = direct.start("sleep", 0.2)
    wait_for(lambda: slot_of(owner)["deferred"] == 1, lambda: "it to be under way")
    assert owner.call("objpool.restart", "p")[0] is None
    assert direct.rest()[call] == (None, None)
    assert owner.value("p.read_log") == ["0 inside"]


def test_waiters_of_an_instance_that_is_replaced_have_not_run(channel):
    _, owner, direct = channel(QUEUE)
    call = direct.start("get")
    wait_for(lambda: owner.value("p.waiting")["getters"] == 1, lambda: "it to wait")
    assert owner.call("objpool.restart", "p")[0] is None
    error, _ = direct.rest()[call]
    assert (error["code"], error["ran"]) == ("UNAVAILABLE", "no")


def test_waiters_are_answered_by_calls_of_the_daemon_and_others(channel):
    daemon, owner, direct = channel(QUEUE)
    calls = [direct.start("get") for _ in range(3)]
    wait_for(lambda: owner.value("p.waiting")["getters"] == 3, lambda: "them to wait")
    for i in range(3):
        owner.value("p.put", i)
    assert [direct.wait(call) for call in calls] == [(None, 0), (None, 1), (None, 2)]
    get = owner.start("p.get")
    wait_for(lambda: direct.value("waiting")["getters"] == 1, lambda: "it to wait")
    direct.value("put", 5)
    assert owner.wait(get) == (None, 5)
    error, _ = direct.wait(direct.start("get", 0.01))
    assert error["type"] == "Empty"


def test_an_item_is_not_lost_when_its_waiter_is_cancelled_or_gone(channel):
    daemon, owner, direct = channel(QUEUE)
    direct.start("get")
    wait_for(lambda: owner.value("p.waiting")["getters"] == 1, lambda: "it to wait")
    owner.notify("objpool.cancel", direct.number, 0)
    wait_for(lambda: owner.value("p.waiting")["getters"] == 0, lambda: "it to be told")
    direct.start("get")
    wait_for(lambda: owner.value("p.waiting")["getters"] == 1, lambda: "it to wait")
    direct.close()
    wait_for(lambda: owner.value("p.waiting")["getters"] == 0, lambda: "it to be told")
    owner.value("p.put", 7)
    assert owner.value("p.get", 0) == 7


def test_the_worker_dies(channel):
    daemon, owner, direct = channel(GATES)
    direct.start("wait", "a")
    until_inside(direct, 1)
    os.kill(daemon.pids(owner)[0], signal.SIGKILL)
    assert direct.receive() is None
    end = owner.value("objpool.detached", direct.number)
    assert end["reason"] == "lost" and end["error"]["code"] == "WORKER_LOST"
