# SPDX-License-Identifier: Apache-2.0
"""Targets, the full call's options, and what becomes of a call."""
import os
import time

import pytest
from harness import Client, wait_for


@pytest.fixture
def daemon(start):
    return start(pools={"p": {"workers": 3}, "one": {"workers": 1}, "echo": {"class": "Echo", "workers": 1}})


@pytest.fixture
def c(daemon):
    with daemon.client() as client:
        yield client


def test_targets(c):
    assert c.value("p.add", 1, 2) == 3
    assert [c.value(f"p:{i}.slot") for i in range(3)] == [0, 1, 2]
    assert c.value("p:all.slot") == [0, 1, 2]
    assert c.value("p:map.add", [1, 2, 3, 4], [10, 20, 30, 40]) == [11, 22, 33, 44]
    assert c.value("p:scatter.echo", [7, 8, 9]) == [7, 8, 9]
    assert c.full("p:scatter", "add", [[1, 2, 3], [0, 0, 0]]) == (None, [1, 2, 3])


def test_map_zips_to_the_shortest(c):
    assert c.value("p:map.add", [1, 2, 3], [10, 20]) == [11, 22]
    assert c.value("p:map.add", [], [1]) == []
    assert c.value("p:map.echo", list(range(10000))) == list(range(10000))


def test_scatter_reaches_slot_i(c):
    for i in range(3):
        c.value(f"p:{i}.set", f"slot {i}")
    assert c.value("p:all.get") == ["slot 0", "slot 1", "slot 2"]
    assert c.full("p:scatter", "set", [["a", "b", "c"]]) == (None, [None] * 3)
    assert c.value("p:all.get") == ["a", "b", "c"]


def test_a_key_stays_with_its_instance(c):
    slots = {key: c.value(f"p:key={key}.slot") for key in "abcdefghijklmnop"}
    assert len(set(slots.values())) == 3
    for key, slot in slots.items():
        assert c.value(f"p:key={key}.slot") == slot
        assert c.full(f"p:key={key}", "slot") == (None, slot)
    assert c.full("p:key=with.dots", "slot")[0] is None


@pytest.mark.parametrize("method, params, code", [
    ("nodot", [], "BAD_TARGET"), ("p.", [], "BAD_TARGET"), (".x", [], "BAD_TARGET"), ("p:x.echo", [], "BAD_TARGET"),
    ("p:-1.echo", [], "BAD_TARGET"), ("p:.echo", [], "BAD_TARGET"), ("p:key=.echo", [], "BAD_TARGET"), ("p q.echo", [], "BAD_TARGET"),
    ("p@.echo", [], "BAD_TARGET"), ("p@a b.echo", [], "BAD_TARGET"), ("p@h@h.echo", [], "BAD_TARGET"), ("@h.echo", [], "BAD_TARGET"),
    ("p@**:0.echo", [], "BAD_TARGET"), ("p@h:x.echo", [], "BAD_TARGET"), ("p@h.", [], "BAD_TARGET"), ("p:@h.echo", [], "BAD_TARGET"),
    ("p@h.echo", [], "UNREACHABLE"), ("p@*:all.echo", [], "UNREACHABLE"), ("q@h:key=@.echo", [], "UNREACHABLE"),
    ("q.echo", [], "NO_SUCH_POOL"), ("p:3.echo", [1], "NO_SUCH_SLOT"), ("p:99999999999.echo", [1], "BAD_TARGET"),
    ("p.nothing", [], "NO_SUCH_METHOD"), ("echo.nothing", [], "NO_SUCH_METHOD"), ("p.add", [1], "BAD_ARGUMENT"),
    ("p.add", [1, 2, 3], "BAD_ARGUMENT"), ("p.pid", [1], "BAD_ARGUMENT"), ("p:map.add", [], "BAD_ARGUMENT"),
    ("p:map.add", [1, [2]], "BAD_ARGUMENT"), ("p:scatter.echo", [[1, 2]], "BAD_ARGUMENT"), ("objpool.nothing", [], "NO_SUCH_METHOD"),
    ("p.fail", ["the reason"], "FAILED"),
])
def test_wrong_requests(c, method, params, code):
    error = c.error(method, *params)
    assert error.startswith(code + ": ") and len(error) > len(code) + 5
    assert c.value("p.echo", 1) == 1


def test_labels(c):
    def labelled(*rows):
        return [[None, slot, value] for slot, value in enumerate(rows)]
    assert c.full("p:all", "slot", labels=True) == (None, labelled(0, 1, 2))
    assert c.full("p:scatter", "echo", [[5, [6], "7"]], labels=True) == (None, labelled(5, [6], "7"))
    assert c.full("p:all", "slot", labels=True, errors="collect") == (None, labelled([None, 0], [None, 1], [None, 2]))
    assert c.full("p:all", "fail", ["no"], labels=True, errors="collect") == (None, labelled(*[["FAILED: no", None]] * 3))
    call = c.start("objpool.call", "p:all", "slot", [], {"labels": True, "stream": True})
    assert [c.receive() for _ in range(3)] == [[2, "objpool.result", [call, i, None, [None, i, i]]] for i in range(3)]
    assert c.wait(call) == (None, {"items": 3, "failed": 0})
    for target in ("p", "p:map", "p:0", "p:key=k"):
        assert c.full(target, "echo", [[1]], labels=True)[0].startswith("BAD_REQUEST: ")
    assert c.full("p:all", "slot", labels=False) == (None, [0, 1, 2])


def test_one_is_said_in_the_singular(c):
    for ask in (c.error("one:3.echo", 1), c.error("objpool.lease", "one", {"slot": 3}), c.error("objpool.restart", "one", 3)):
        assert ask == "NO_SUCH_SLOT: pool one has slot 0 only, and no slot 3"
    assert c.error("p:3.echo", 1) == "NO_SUCH_SLOT: pool p has slots 0 to 2, and no slot 3"
    assert c.error("one:scatter.echo", [1, 2]) == "BAD_ARGUMENT: scatter over 2 items, but pool one has 1 slot: one item per slot"
    assert c.error("p:scatter.echo", [1]) == "BAD_ARGUMENT: scatter over 1 item, but pool p has 3 slots: one item per slot"
    assert c.error("p.fail", 1, 2, 3, 4, 5, 6, 7, 8).endswith("arguments, not 8")


def test_params_must_be_an_array(c):
    c.send_raw(b"\x94\x00\x01\xa6p.echo\x2a")
    assert c.receive()[2].startswith("BAD_REQUEST: ")
    assert c.value("p.echo", 1) == 1


def test_kwargs(c):
    assert c.full("p", "kwargs", [], kwargs={"a": 1, "b": [2]}) == (None, {"a": 1, "b": [2]})
    assert c.full("p", "pid", [], kwargs={"a": 1})[0].startswith("BAD_ARGUMENT: ")
    assert c.full("p:map", "kwargs", [], kwargs={"a": [1, 2, 3], "b": ["x", "y"]}) == (None, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    assert c.full("p:map", "add", [[1, 2]], kwargs={"b": [10, 20]}) == (None, [11, 22])
    assert c.full("p:all", "kwargs", [], kwargs={"k": 1}) == (None, [{"k": 1}] * 3)


def test_bind(c):
    assert c.full("p", "add", [2], bind=[1]) == (None, 3)
    assert c.full("p:map", "add", [list(range(1000))], bind=[100]) == (None, [100 + i for i in range(1000)])
    assert c.full("p", "kwargs", [], bind_kwargs={"a": 1, "b": 1}, kwargs={"b": 2}) == (None, {"a": 1, "b": 2})
    assert c.full("p:map", "kwargs", [], bind_kwargs={"a": 1}, kwargs={"b": [2, 3]}) == (None, [{"a": 1, "b": 2}, {"a": 1, "b": 3}])


def test_args_as(c):
    assert c.full("p:map", "echo", [[1, 2], "x"], args_as="single") == (None, [[1, 2], "x"])
    assert c.full("p:map", "add", [[1, 2], [3, 4]], args_as="positional") == (None, [3, 7])
    assert c.full("p:map", "kwargs", [{"a": 1}, {"b": 2}], args_as="keyword") == (None, [{"a": 1}, {"b": 2}])
    error, result = c.full("p:map", "add", [[1, 2], 3], args_as="positional", errors="collect")
    assert error is None and result[0] == [None, 3] and result[1][0].startswith("BAD_ARGUMENT: ")
    assert c.full("p", "add", [1, 2], args_as="single")[0].startswith("BAD_REQUEST: ")


def test_a_bad_item_does_not_move_the_others(c):
    items = [[1, 2], 5, [3, 4], "x", [5, 6]]
    _, result = c.full("p:map", "add", items, args_as="positional", errors="collect", chunk=5)
    assert [value for _, value in result] == [3, None, 7, None, 11]
    assert [error is None for error, _ in result] == [True, False, True, False, True]


def test_keywords_stay_with_their_items_behind_one_that_is_wrong(c):
    error, result = c.full("one:map", "add", [[1], 5, [3]], args_as="positional", kwargs={"b": [10, 20, 30]}, errors="collect", chunk=3)
    assert error is None and [value for _, value in result] == [11, None, 33] and "must be an array" in result[1][0]


def test_errors_wait_is_the_first_in_item_order(c):
    c.maps()
    error, _ = c.full("p:map", "fail", [["zero", "one", "two"]], errors="wait", chunk=1)
    assert error["code"] == "FAILED" and error["message"] == "zero" and error["index"] == 0 and error["type"] == "ProbeError"


def test_errors_first_drops_the_rest(c):
    c.value("one.calls")
    error, _ = c.full("one:map", "sleep", [["bad"] + [0.05] * 200], errors="first", chunk=1)
    assert error.startswith("BAD_ARGUMENT: ")
    assert c.value("one.calls") < 100


def test_errors_collect(c):
    c.maps()
    error, result = c.full("p:map", "add", [[1, "x", 3], [1, 2, 3]], errors="collect")
    assert error is None
    assert result[0] == [None, 2] and result[2] == [None, 6]
    assert result[1][1] is None and result[1][0]["index"] == 1 and result[1][0]["pool"] == "p"


def test_timeout(c):
    c.maps()
    began = time.monotonic()
    error, _ = c.full("one", "sleep", [30], timeout_ms=50)
    assert error["code"] == "TIMEOUT" and error["ran"] == "maybe"
    assert c.value("one.echo", 1) == 1  # the method saw that it was cancelled
    assert time.monotonic() - began < 15
    blocker = c.start("one.sleep", 0.3)
    error, _ = c.full("one", "sleep", [0], timeout_ms=20)
    assert error["code"] == "TIMEOUT" and error["ran"] == "no"
    c.wait(blocker)


def test_timeout_of_a_gather_frees_its_workers(c):
    error, _ = c.full("p:map", "sleep", [[20] * 50], timeout_ms=50)
    assert error.startswith("TIMEOUT: ")
    assert c.value("p:all.echo", 1) == [1, 1, 1]


def test_cancelling_items_that_a_worker_has_in_hand_leaves_it_nothing(c, daemon):
    with daemon.client() as other:
        big = other.start("objpool.call", "one:map", "sleep", [[20] * 10], {"chunk": 10})
        wait_for(lambda: c.value("objpool.status", "one")["pools"][0]["slots"][0]["running"], lambda: "the first item to run")
        assert other.value("objpool.cancel", big) is True
        assert other.wait(big)[0].startswith("CANCELLED: ")
    wait_for(lambda: c.value("objpool.status", "one")["pools"][0]["running"] == 0, lambda: "the batch to end")
    assert c.value("one.generation") == 1


def test_cancel(c):
    c.maps()
    running = c.start("one.sleep", 30)
    queued = c.start("one.echo", 1)
    assert c.value("objpool.cancel", queued) is True
    assert c.wait(queued)[0]["code"] == "CANCELLED"
    assert c.value("objpool.cancel", running) is True
    error, _ = c.wait(running)
    assert error["code"] == "CANCELLED" and error["ran"] in ("no", "maybe")  # it may not have begun
    assert c.value("objpool.cancel", running) is False
    assert c.value("one.echo", 2) == 2


def test_cancel_of_a_queued_call_ran_no(c):
    c.maps()
    running = c.start("one.sleep", 0.5)
    queued = c.start("one.calls")
    c.notify("objpool.cancel", queued)
    error, _ = c.wait(queued)
    assert error["code"] == "CANCELLED" and error["ran"] == "no"
    c.wait(running)


@pytest.mark.parametrize("params, code", [
    ([], "BAD_REQUEST"), (["p"], "BAD_REQUEST"), (["p", "echo", 1], "BAD_REQUEST"), (["p", "echo", [1], 5], "BAD_REQUEST"),
    (["p", "echo", [1], {"nothing": 1}], "BAD_REQUEST"), (["p", "echo", [1], {1: 1}], "BAD_REQUEST"),
    (["p", "echo", [1], {"timeout_ms": "x"}], "BAD_REQUEST"), (["p", "echo", [1], {"errors": "x"}], "BAD_REQUEST"),
    (["p:map", "echo", [[1]], {"stream": 1}], "BAD_REQUEST"), (["p:map", "echo", [[1]], {"sticky": "replace"}], "BAD_REQUEST"),
    (["p:all", "echo", [1], {"sticky": True}], "BAD_REQUEST"),
    (["p.echo", "echo", [1]], "BAD_TARGET"), (["q", "echo", [1]], "NO_SUCH_POOL"),
])
def test_wrong_full_calls(c, params, code):
    assert c.error("objpool.call", *params).startswith(code + ": ")


def test_full_call_defaults(c):
    assert c.value("objpool.call", "p", "echo", [5]) == 5
    assert c.value("objpool.call", "one", "slot") == 0
    assert c.value("objpool.call", "p:all", "slot", None, None) == [0, 1, 2]
    assert c.full("p", "echo", [5], stream=False, sync=False, sticky=None, errors="wait", chunk=0) == (None, 5)


def test_an_error_has_its_fields(c):
    c.maps()
    error = c.error("p:1.fail", "why", "MyError", "the traceback", b"\x01\x02")
    assert error == {"code": "FAILED", "message": "why", "type": "MyError", "traceback": "the traceback", "data": b"\x01\x02",
                     "pool": "p", "slot": 1, "generation": 1, "ran": "yes"}
    c.value("objpool.hello", {"errors": "string"})
    assert c.error("p:1.fail", "why") == "FAILED: why"


def test_a_result_that_is_none_or_two_values(c):
    for kind in ("two", "half", "deep"):
        error = c.error("p.garbage", kind)
        assert error.startswith(("FAILED: ", "BAD_ARGUMENT: "))
    assert c.value("p.echo", 1) == 1


def test_nothing_waits_behind_a_slow_call(c):
    warm = [c.start("p.sleep", 0) for _ in range(2000)]
    for i in warm:
        c.wait(i)
    before = [c.start("p.echo", i) for i in range(100)]
    slow = c.start("p.sleep", 3)
    after = [c.start("p.echo", i) for i in range(300)]
    began = time.monotonic()
    for i in before + after:
        assert c.wait(i)[0] is None
    assert time.monotonic() - began < 2.5
    assert slow not in c.order


def test_a_map_does_not_starve_a_single_call(c, daemon):
    with daemon.client() as other:
        big = other.start("p:map.sleep", [0.001] * 3000)
        c.value("p.echo", 0)
        for i in range(20):
            assert c.value("p.echo", i) == i
        assert big not in other.answers
        other.start("objpool.cancel", big)
        assert other.wait(big)[0].startswith("CANCELLED: ")


def test_who_comes_after_a_lone_flow_had_its_turn_is_next(c, daemon):
    """Of the items of a map that has the pool to itself, a call waits for the one that runs, and not for one more."""
    with daemon.client() as other:
        began = other.value("one.calls")
        c.start("objpool.call", "one:map", "sleep_hard", [[0.1] * 8], {"chunk": 1})
        counts = [other.value("one.calls") for _ in range(3)]
        assert counts[0] <= began + 3  # the item that runs, and the one before it if this came late
        assert [b - a for a, b in zip(counts, counts[1:])] == [2, 2], counts


def test_a_million_items(c):
    n = 1_000_000
    assert c.value("p:map.add", list(range(n)), list(range(n))) == [2 * i for i in range(n)]


def test_overloaded(start):
    daemon = start(pools={"p": {"workers": 1, "max_queue": 10}})
    with daemon.client() as c:
        running = c.start("p.sleep", 0.5)
        calls = [c.start("p.sleep", 0) for _ in range(40)]
        results = [c.wait(i) for i in calls]
        refused = [error for error, _ in results if error]
        assert len(refused) in range(28, 31) and all(e.startswith("OVERLOADED: ") for e in refused)
        assert c.wait(running)[0] is None


def test_tcp_serves_the_same(daemon):
    with Client(daemon.tcp) as c:
        assert c.value("p:all.slot") == [0, 1, 2]


def test_dispatch_classes(c):
    assert c.value("echo.upper", "abc") == "ABC"
    assert c.value("echo:map.reverse", ["ab", "cd"]) == ["ba", "dc"]
    assert {m["name"] for m in c.value("objpool.describe", "echo")["methods"]} >= {"upper", "lower", "reverse"}


# ---- a long item among short ones ----

def receive_results(client, msgid, count):
    """The indexes of so many results, as they come."""
    found = []
    while len(found) < count:
        kind, name, params = client.receive()
        assert (kind, name, params[0], params[2]) == (2, "objpool.result", msgid, None)
        found.append(params[1])
    return found


LEARN = 500


def learn_that_it_is_short(client, method):
    """So that the items of a map go to workers in batches."""
    client.full("p:map", method, [[0] * LEARN])


@pytest.mark.parametrize("method, workers", [("sleep_hard", 1), ("sleep_hard", 2), ("sleep_hard", 4), ("sleep", 1), ("sleep", 2)])
def test_a_long_item_of_a_map_holds_back_none_of_the_others(start, method, workers):
    """What was finished before it leaves, what has not begun is done by whoever is idle. `sleep` takes runs of items."""
    daemon = start({"p": {"workers": workers}})
    with daemon.client() as client:
        learn_that_it_is_short(client, method)
        items = [0] * 1000
        items[400] = 3600
        msgid = client.start("objpool.call", "p:map", method, [items], {"stream": True, "ordered": False, "window": 1000})
        others = [i for i in range(1000) if i != 400]
        wanted = len(others) if workers > 1 else 400     # a single worker comes no further
        assert sorted(receive_results(client, msgid, wanted)) == others[:wanted]
        client.notify("objpool.cancel", msgid)
        client.wait(msgid)
        daemon.kill()


@pytest.mark.parametrize("method", ["sleep_hard", "sleep"])
def test_what_follows_a_long_item_is_done_once(start, method):
    daemon = start({"p": {"workers": 3}})
    with daemon.client() as client:
        learn_that_it_is_short(client, method)
        for place in (0, 1, 17, 500, 998, 999):
            items = [0] * 1000
            items[place] = 0.02
            assert client.full("p:map", method, [items]) == (None, items)
        status, = client.value("objpool.status", "p")["pools"]
        assert sum(slot["calls"] for slot in status["slots"]) == LEARN + 6 * 1000


@pytest.mark.parametrize("method", ["sleep_hard", "sleep"])
def test_a_worker_that_dies_of_a_long_item_loses_that_one(start, method):
    daemon = start({"p": {"workers": 2}})
    with daemon.client().maps() as client:
        learn_that_it_is_short(client, method)
        items = [0] * 300
        items[100] = 3600
        msgid = client.start("objpool.call", "p:map", method, [items], {"stream": True, "ordered": False, "window": 1000})
        assert len(receive_results(client, msgid, 299)) == 299
        slots = client.value("objpool.status", "p")["pools"][0]["slots"]
        os.kill(next(slot["pid"] for slot in slots if slot["running"]), 9)
        _, _, (_, index, error, _) = client.receive()
        assert (index, error["code"], error["ran"]) == (100, "WORKER_LOST", "maybe")


def test_cancelling_a_map_of_which_a_part_was_taken_back(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client().maps() as client:
        learn_that_it_is_short(client, "sleep")
        items = [0] * 300
        items[100] = items[200] = 3600
        msgid = client.start("objpool.call", "p:map", "sleep", [items], {"stream": True, "ordered": False, "window": 1000})
        receive_results(client, msgid, 100)     # both workers are at long ones
        client.notify("objpool.cancel", msgid)
        while (message := client.receive())[0] == 2:
            assert message[2][2] is None
        assert message[2]["code"] == "CANCELLED"
        assert client.value("p:all.echo", 1) == [1, 1]
        assert client.full("p:map", "sleep", [[0] * 1000]) == (None, [0] * 1000)
