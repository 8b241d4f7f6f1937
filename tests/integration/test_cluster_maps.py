# SPDX-License-Identifier: Apache-2.0
"""Maps and scatters over several hosts: their options mean what they mean on one host."""
import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster


# ---- arguments ----

ITEMS = [
    ([[1, 2, 3], [10, 20, 30]], {}),
    ([[1, 2, 3]], {"kwargs": {"b": [10, 20, 30]}}),
    ([], {"kwargs": {"a": [1, 2, 3], "b": [10, 20, 30]}}),
    ([1, 2, 3], {"args_as": "single", "bind": [10]}),
    ([1, 2, 3], {"args_as": "single", "kwargs": {"b": [10, 20, 30]}}),
    ([[1, 10], [2, 20], [3, 30]], {"args_as": "positional"}),
    ([[1], [2], [3]], {"args_as": "positional", "kwargs": {"b": [10, 20, 30]}}),
    ([{"a": 1}, {"a": 2}, {"a": 3}], {"args_as": "keyword", "bind_kwargs": {"b": 10}}),
    ([{"a": 1}, {"a": 2}, {"a": 3}], {"args_as": "keyword", "kwargs": {"b": [10, 20, 30]}}),
    ([[[1], {"b": 10}], [[2, 20], {}], [[], {"a": 3, "b": 30}]], {"args_as": "both"}),
    ([[[1], {}], [[2], {"b": 0}], [[], {"a": 3}]], {"args_as": "both", "kwargs": {"b": [10, 20, 30]}}),
]


def test_arguments_of_all_forms(cluster):
    """What a map gives on one host it gives over all hosts, in rounds, too; and so does a scatter."""
    hosts = cluster(("h1", "h2", "h3"), pools={"p": {"workers": 1, "share": "yes"}})
    with hosts["h1"].client() as c:
        for args, options in ITEMS:
            expected = c.full("p:map", "add", args, **options)
            assert expected[0] is None and all(isinstance(value, int) for value in expected[1]), (args, options)
            for target, more in (("p@*:map", {}), ("p@*:map", {"sync": True}), ("p@*:scatter", {})):
                assert c.full(target, "add", args, **options, **more) == expected, (target, args, options)


WRONG = [
    ([1, [2, 20]], {"args_as": "positional"}),
    ([1, {"a": 2, "b": 20}], {"args_as": "keyword"}),
    ([1, [[2, 20], {}]], {"args_as": "both"}),
    ([[1], [[2, 20], {}]], {"args_as": "both"}),
    ([[1, {}], [[2, 20], {}]], {"args_as": "both"}),
    ([1, [[2], {}]], {"args_as": "both", "kwargs": {"b": [10, 20]}}),
    ([1, {"a": 2}], {"args_as": "keyword", "kwargs": {"b": [10, 20]}}),
    ([None, {"a": 2}], {"args_as": "keyword", "kwargs": {"b": [10, 20]}}),
]


def test_items_that_are_not_what_args_as_says(cluster):
    """The others run. The item's own error says so, and that it has not run."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        for args, options in WRONG:
            for target, more in (("p:map", {}), ("p@*:map", {}), ("p@*:map", {"sync": True})):
                error, results = c.full(target, "add", args, errors="collect", **options, **more)
                assert error is None, (target, args, options, error)
                (error, value), good = results
                assert value is None and error["code"] == "BAD_ARGUMENT" and error["ran"] == "no", (target, args, options, error)
                assert good == [None, 22], good


def test_requests_that_are_refused(cluster):
    """With the same words as on one host."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        for selector, method, args, options in (
                (":map", "echo", [[1]], {"sticky": "replace"}), (":map", "echo", [[1]], {"labels": True}),
                (":scatter", "echo", [[1, 2]], {"sticky": "append"}), (":scatter", "echo", [[1, 2]], {"sync": True}),
                (":all", "echo", [1], {"sync": True}), (":all", "echo", [1], {"args_as": "single"}),
                (":map", "echo", None, {"stream": True, "kwargs": {"value": [1]}})):
            here, there = (c.call("objpool.call", target + selector, method, args, options)[0] for target in ("p", "p@*"))
            assert here["code"] == there["code"] == "BAD_REQUEST" and here["message"] == there["message"], (here, there)


def test_a_notification_is_not_fed(cluster):
    """Nobody could feed it: it would be under way for ever."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        c.notify("objpool.call", "p@*:map", "echo", None, {"stream": True})
        assert c.value("p@h2.echo", 1) == 1
    wait_for(lambda: all(host["inflight"] == 0 for host in hosts["h1"].hosts().values()), hosts["h1"].hosts)


# ---- rounds ----

def test_rounds_have_one_item_per_slot(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c:
        slots = [[host, slot] for host in ("h1", "h2", "h3") for slot in (0, 1)]
        tags = c.full("p@*:map", "tag", [[]] * 16, args_as="positional", sync=True)[1]
        numbers = c.full("p@*:map", "slot", [[]] * 16, args_as="positional", sync=True)[1]
        assert [list(pair) for pair in zip(tags, numbers)] == (slots * 3)[:16]


def test_a_round_waits_for_the_one_before(cluster):
    """One item of the first round is slow: no item of the second has begun before it has ended."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        error, _ = c.full("p@*:map", "sleep", [[0.5, 0, 0, 0] + [0] * 4], sync=True)
        assert error is None
        c.start("objpool.call", "p@*:map", "sleep", [[0.5, 0, 0, 0] + [0] * 4], {"sync": True, "stream": True,
                                                                               "ordered": False}, msgid=7)
        seen = []
        while (message := c.receive())[0] == 2:
            seen.append(message[2][1])
        assert message[1:] == [7, None, {"items": 8, "failed": 0}]
        assert sorted(seen[:4]) == [0, 1, 2, 3] and sorted(seen[4:]) == [4, 5, 6, 7]


@pytest.mark.parametrize("window", [None, 3])
def test_rounds_are_fed(cluster, window):
    """With a window that is smaller than a round the rounds are short, and go on."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        c.start("objpool.call", "p@*:map", "echo", None, {"stream": True, "sync": True, "window": window}, msgid=7)
        sent, credit, seen = 0, 0, []
        while (message := c.receive())[0] == 2:
            if message[1] == "objpool.credit":
                credit += message[2][1]
            else:
                seen.append(message[2][1:])
            n = min(credit, 30 - sent)
            if n:
                c.notify("objpool.feed", 7, list(range(sent, sent + n)))
                sent, credit = sent + n, credit - n
                if sent == 30:
                    c.notify("objpool.feed_end", 7)
        assert message[1:] == [7, None, {"items": 30, "failed": 0}]
        assert seen == [[i, None, i] for i in range(30)]


# ---- hosts that come ----

def test_a_host_that_comes_joins_a_map(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        maps = [c.start("objpool.call", "p@*:map", "sleep", [[0.02] * 1500], options) for options in ({}, {"sync": True})]
        hosts.add("h3")
        hosts.settle()
        for msgid in maps:
            assert c.wait(msgid) == (None, [0.02] * 1500)
        assert all(c.value("p@h3:all.calls")[slot] > 20 for slot in (0, 1))


def test_a_host_that_comes_is_not_in_an_all(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        msgid = c.start("p@*:all.sleep", 5)
        hosts.add("h3")
        hosts.settle()
        assert hosts["h1"].hosts()["h2"]["inflight"] == 1       # it is under way
        assert c.wait(msgid) == (None, [5] * 4)


# ---- runs ----

def test_results_come_in_runs(cluster):
    """Failures come alone, between the runs, in their place."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        items = [i if i % 100 != 50 else [i] for i in range(1000)]      # one in a hundred can't be added
        for ordered in (True, False):
            c.start("objpool.call", "p@*:map", "add", [items, [1] * 1000],
                    {"stream": "runs", "ordered": ordered, "errors": "collect"}, msgid=7)
            seen, messages = {}, 0
            while (message := c.receive())[0] == 2:
                messages += 1
                first = message[2][1]
                values = message[2][2] if message[1] == "objpool.results" else [message[2][2:]]
                assert not ordered or first == len(seen)
                assert not seen.keys() & set(range(first, first + len(values)))
                seen.update(enumerate(values, first))
            assert message[1:] == [7, None, {"items": 1000, "failed": 10}]
            assert [i for i in sorted(seen) if isinstance(seen[i], list)] == list(range(50, 1000, 100))
            assert all(seen[i] == i + 1 for i in seen if i % 100 != 50) and len(seen) == 1000
            assert messages < 500
