# SPDX-License-Identifier: Apache-2.0
"""Plain calls that come together go to workers together. Nobody can tell, but by the time that it takes."""
import collections
import os
import re
import signal

import msgpack
import pytest
from harness import wait_for


def request(msgid, method, *params):
    return msgpack.packb([0, msgid, method, list(params)])


def warm(client, method, *params, times=3):
    """The daemon knows how long the method takes, and the client's last call was of it."""
    for _ in range(times):
        client.call(method, *params)


def send(client, method, calls, first=1000):
    client.send_raw(b"".join(request(first + i, method, *call) for i, call in enumerate(calls)))
    return list(range(first, first + len(calls)))


def running(client):
    """Is slot 0 at a method, for more than a moment?"""
    slot = client.value("objpool.status")["pools"][0]["slots"][0]
    return slot["running"] and slot["running_s"] > 0.01


def came_together(daemon):
    """How many calls came with others, from the log."""
    return sum(int(n) + 1 for n in re.findall(r"comes, with (\d+) calls of the same method", daemon.log()))


def test_each_gets_its_own_answer(start):
    daemon = start({"p": {"workers": 2}}, daemon={"log_level": "debug"})
    with daemon.client() as c:
        warm(c, "p.echo", 0)
        values = [i if i % 3 else {"k": ["x" * i, i]} for i in range(300)]
        ids = send(c, "p.echo", [(v,) for v in values])
        assert [c.wait(i) for i in ids] == [(None, v) for v in values]
        assert c.value("objpool.status")["pools"][0]["calls"] == 303
    wait_for(lambda: came_together(daemon) >= 250, daemon.log)


def test_requests_may_come_in_any_pieces(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        warm(c, "p.echo", 0)
        data = b"".join(request(1000 + i, "p.echo", "v" * (i % 40)) for i in range(60))
        for size in 1, 7, 100:
            for at in range(0, len(data), size):
                c.send_raw(data[at:at + size])
            assert [c.wait(1000 + i) for i in range(60)] == [(None, "v" * (i % 40)) for i in range(60)]


def test_failures_are_told_apart(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as c:
        warm(c, "p.add", 1, 1)
        ids = send(c, "p.add", [(1, i) if i % 4 else (1, "x") for i in range(40)])
        answers = [c.wait(i) for i in ids]
    for i, (error, value) in enumerate(answers):
        if i % 4:
            assert (error, value) == (None, 1 + i)
        else:
            assert value is None
            assert [error[k] for k in ("code", "pool", "slot", "ran")] == ["BAD_ARGUMENT", "p", 0, "yes"]


def test_errors_have_the_form_that_the_client_wants(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as plain, daemon.client().maps() as maps:
        for c in plain, maps:
            warm(c, "p.add", 1, 1)
        ids = send(plain, "p.add", [(1, "x")] * 3), send(maps, "p.add", [(1, "x")] * 3)
        assert all(isinstance(plain.wait(i)[0], str) for i in ids[0])
        assert all(isinstance(maps.wait(i)[0], dict) for i in ids[1])


def test_a_msgid_in_use_ends_the_connection(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        warm(c, "p.echo", 0)
        c.send_raw(b"".join(request(i, "p.echo", i) for i in (51, 52, 52, 53)))
        messages = list(iter(c.receive, None))
    assert [m for m in messages if m[2] and "in use" in str(m[2])] == messages[-1:]


def test_one_is_cancelled_while_it_waits(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as c, daemon.client() as other:
        warm(c, "p.sleep", 0)
        ids = send(c, "p.sleep", [(0.3,)] + [(0,)] * 30)
        wait_for(lambda: other.value("objpool.status")["pools"][0]["calls"] == 34, lambda: "all to have come")
        pool = other.value("objpool.status")["pools"][0]
        assert pool["queue"] + pool["running"] == 31
        for i in ids[3], ids[30], ids[17], ids[4]:
            c.notify("objpool.cancel", i)
        answers = {i: c.wait(i) for i in ids}
    cancelled = [i for i in ids if answers[i][0]]
    assert cancelled == [ids[3], ids[4], ids[17], ids[30]]
    assert {(answers[i][0]["code"], answers[i][0]["ran"]) for i in cancelled} == {("CANCELLED", "no")}
    assert answers[ids[0]] == (None, 0.3)


def test_the_running_one_is_cancelled_and_no_other(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as c, daemon.client() as other:
        warm(c, "p.sleep", 0)
        ids = send(c, "p.sleep", [(0,)] * 5 + [(30,)] + [(0,)] * 5)
        assert [c.wait(i) for i in ids[:5]] == [(None, 0)] * 5
        wait_for(lambda: running(other), lambda: "it to run")
        c.notify("objpool.cancel", ids[5])
        error, _ = c.wait(ids[5])
        assert (error["code"], error["ran"]) == ("CANCELLED", "maybe")
        assert [c.wait(i) for i in ids[6:]] == [(None, 0)] * 5
        assert other.value("p.generation") == 1


def test_cancel_grace_ends_the_running_one(start):
    daemon = start({"p": {"workers": 1, "cancel_grace": 0.05}})
    with daemon.client().maps() as c, daemon.client() as other:
        warm(c, "p.sleep_hard", 0)
        ids = send(c, "p.sleep_hard", [(0,)] * 3 + [(30,)] + [(0,)] * 3)
        assert [c.wait(i)[1] for i in ids[:3]] == [0] * 3
        wait_for(lambda: running(other), lambda: "it to run")
        c.notify("objpool.cancel", ids[3])
        assert c.wait(ids[3])[0]["code"] == "CANCELLED"
        assert [c.wait(i)[1] for i in ids[4:]] == [0] * 3
        assert other.value("p.generation") == 2


def test_a_worker_dies_in_the_midst(start):
    """What has run is answered, what ran is lost, what has not begun runs on the next instance."""
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as c, daemon.client() as other:
        warm(c, "p.sleep", 0)
        pid = c.value("p.pid")
        warm(c, "p.sleep", 0)
        ids = send(c, "p.sleep", [(0,)] * 10 + [(20,)] + [(0,)] * 10)
        assert [c.wait(i) for i in ids[:10]] == [(None, 0)] * 10
        wait_for(lambda: running(other), lambda: "it to run")
        os.kill(pid, signal.SIGKILL)
        error, _ = c.wait(ids[10])
        assert (error["code"], error["ran"], error["signal"]) == ("WORKER_LOST", "maybe", 9)
        assert [c.wait(i) for i in ids[11:]] == [(None, 0)] * 10


def test_a_call_that_kills_takes_no_other_with_it(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client().maps() as c:
        warm(c, "p.crash", 0)  # of signal 0 it does not die, and says so
        ids = send(c, "p.crash", [(0,)] * 12 + [(11,)] + [(0,)] * 12)
        answers = [c.wait(i) for i in ids]
    codes = collections.Counter(error["code"] if error else None for error, _ in answers)
    assert answers[12][0]["code"] == "WORKER_LOST"
    assert codes == {"WORKER_LOST": 1, "BAD_ARGUMENT": 24}


def test_max_queue_counts_each(start):
    daemon = start({"p": {"workers": 1, "max_queue": 10}})
    with daemon.client().maps() as c:
        c.value("p.sleep", 0.05)  # it is known to be slow: one at a time
        ids = send(c, "p.sleep", [(0.05,)] * 40)
        answers = [c.wait(i) for i in ids]
        refused = [error for error, _ in answers if error]
        assert {error["code"] for error in refused} == {"OVERLOADED"}
        assert 40 - len(refused) in (11, 12)
        assert c.value("objpool.status")["pools"][0]["rejected"] == len(refused)


def test_max_inflight_counts_each(start):
    daemon = start({"p": {"workers": 1}}, daemon={"max_inflight": 20})
    with daemon.client() as c, daemon.client() as other:
        warm(c, "p.sleep", 0)
        ids = send(c, "p.sleep", [(0.2,)] + [(0,)] * 100)
        wait_for(lambda: other.value("objpool.status")["pools"][0]["calls"] >= 20, lambda: "some to come in")
        assert other.value("objpool.status")["pools"][0]["calls"] <= 24
        assert [c.wait(i)[0] for i in ids] == [None] * 101


@pytest.mark.parametrize("size", [40000, 3 << 20])
def test_a_large_result_among_small_ones(start, size):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        warm(c, "p.blob", 1)
        ids = send(c, "p.blob", [(n,) for n in (3, size, 4, size, 5)])
        assert [len(c.wait(i)[1]) for i in ids] == [3, size, 4, size, 5]


def test_a_result_that_is_too_large(start):
    daemon = start({"p": {"workers": 1}}, daemon={"max_message": "1M"})
    with daemon.client().maps() as c:
        warm(c, "p.blob", 1)
        ids = send(c, "p.blob", [(3,), (2 << 20,), (4,)])
        answers = [c.wait(i) for i in ids]
    assert [len(v) if v else e["code"] for e, v in answers] == [3, "TOO_LARGE", 4]


def test_methods_that_call_others(start):
    daemon = start({"p": {"workers": 2}, "q": {"workers": 1}})
    with daemon.client() as c:
        warm(c, "p.relay", "q.echo", 0)
        ids = send(c, "p.relay", [("q.echo", i) for i in range(50)])
        assert [c.wait(i) for i in ids] == [(None, i) for i in range(50)]


def test_calls_that_are_put_off(start):
    queue = {"plugin": "queue", "class": "Queue", "workers": 1}
    daemon = start({"q": queue})
    with daemon.client() as getter, daemon.client() as putter:
        putter.value("q.put", "x")
        getter.value("q.get")
        gets = send(getter, "q.get", [()] * 40)
        wait_for(lambda: putter.value("objpool.status")["pools"][0]["slots"][0]["deferred"] == 40, lambda: "all to wait")
        putter.value("q.put", "y")
        puts = send(putter, "q.put", [(i,) for i in range(39)], first=5000)
        assert [putter.wait(i) for i in puts] == [(None, None)] * 39
        assert [getter.wait(i) for i in gets] == [(None, "y")] + [(None, i) for i in range(39)]


def test_a_client_that_goes(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as other:
        with daemon.client() as c:
            warm(c, "p.sleep", 0)
            send(c, "p.sleep", [(0,)] * 2 + [(30,)] + [(0,)] * 30)
            wait_for(lambda: other.value("objpool.status")["pools"][0]["calls"] == 36, lambda: "all to have come")
        wait_for(lambda: other.value("objpool.status")["pools"][0]["running"] == 0, lambda: "the running one to give up")
        assert other.value("p.calls") < 10


def test_others_have_their_turns(start):
    """A burst of slow calls of one client lets another's in."""
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c, daemon.client() as other:
        warm(c, "p.sleep", 0.01)
        ids = send(c, "p.sleep", [(0.01,)] * 100)
        wait_for(lambda: other.value("objpool.status")["pools"][0]["calls"] == 103, lambda: "all to have come")
        other.value("p.echo", 1)
        done = other.value("p.calls")
        assert done < 50
        assert [c.wait(i)[0] for i in ids] == [None] * 100


def test_a_pool_that_is_dropped(start):
    daemon = start({"p": {"workers": 1}}, daemon={"create": "all"})
    with daemon.client().maps() as c, daemon.client() as owner:
        owner.value("objpool.create", {"pool": "x", "plugin": "probe", "class": "Probe", "workers": 1})
        warm(c, "x.sleep", 0)
        ids = send(c, "x.sleep", [(0,)] * 2 + [(20,)] + [(0,)] * 20)
        wait_for(lambda: owner.value("objpool.pools") and owner.value("objpool.status", "x")["pools"][0]["calls"] == 26,
                 lambda: "all to have come")
        assert [c.wait(i) for i in ids[:2]] == [(None, 0)] * 2
        owner.value("objpool.drop", "x")
        errors = [c.wait(i)[0] for i in ids[2:]]
    assert errors[0]["ran"] == "maybe" and {e["ran"] for e in errors[2:]} == {"no"}
