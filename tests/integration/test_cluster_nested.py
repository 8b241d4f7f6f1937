# SPDX-License-Identifier: Apache-2.0
"""Calls to other hosts that methods make."""
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for
from test_trace import OTHER, TRACE

pytestmark = needs_cluster


def test_they_belong_to_the_trace_of_the_methods_own_call(cluster):
    """As calls to other pools do, in each form; unless they name another."""
    hosts = cluster(("h1", "h2"), pools={"p": {"workers": 2, "share": "yes"}, "q": {"workers": 2, "share": "yes"}})
    with hosts["h1"].client() as c:
        def relayed(*call, trace=TRACE, **options):
            return c.full("p", "relay", call, traceparent=trace, **options)

        assert relayed("p@h2.traceparent") == relayed("p@h2:1.traceparent") == (None, TRACE)
        assert relayed("q@*:all.traceparent") == (None, [TRACE] * 4)
        assert relayed("p@h2.relay", "p@h1.traceparent") == (None, TRACE)
        assert relayed("objpool.call", "p@h2", "traceparent") == (None, TRACE)
        assert relayed("objpool.call", "p@h2", "traceparent", [], None) == (None, TRACE)
        assert relayed("objpool.call", "p@*:map", "traceparent", [[], [], []],
                       {"args_as": "positional", "errors": "collect"}) == (None, [[None, TRACE]] * 3)
        assert relayed("objpool.call", "p@h2", "traceparent", [], {"traceparent": OTHER}) == (None, OTHER)
        assert relayed("p@h2.traceparent", trace=None) == (None, None)
        assert relayed("p@h2.add", 1, 2) == (None, 3)
        assert relayed("objpool.call", "p@h2:map", "add", [[1, 2]], {"bind": [10]}) == (None, [11, 12])


def test_they_have_the_priority_of_the_methods_own_call(cluster):
    hosts = cluster(("h1", "h2"), pools={"p": {"workers": 1, "share": "yes"}})
    with hosts["h1"].client() as c, hosts["h2"].client() as there, hosts["h2"].client() as other:
        assert there.value("objpool.pause", "p")
        first = other.start("p.append", "first to come")
        second = c.start("objpool.call", "p", "relay", ["p@h2.append", "more urgent"], {"priority": 5})
        wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["queue"] == 2, lambda: "both to wait")
        assert there.value("objpool.resume", "p")
        assert c.wait(second) == (None, 1) and other.wait(first) == (None, 2)
