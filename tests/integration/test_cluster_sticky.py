# SPDX-License-Identifier: Apache-2.0
"""What lasts over hosts: sticky calls, also for hosts that come later, and leases of any host."""
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster
RIGHTS = "\n[user h1/*]\ncall = p.*\nall = p.*\nadmin = p\ndescribe = p\n"


def becomes(client, method, value):
    wait_for(lambda: client.call(method) == (None, value), lambda: f"{method} to be {value!r}: {client.call(method)}")


def test_sticky_calls_reach_hosts_that_come_later(cluster):
    hosts = cluster(("h1", "h2"), sections=RIGHTS)
    with hosts["h1"].client() as c:
        assert c.full("p@*:all", "set", [5], sticky="replace") == (None, [None] * 4)
        hosts.add("h3", sections=RIGHTS)
        becomes(c, "p@h3:all.get", [5, 5])
        # A later one takes its place, also for a host that comes anew.
        assert c.full("p@*:all", "set", [6], sticky="replace") == (None, [None] * 6)
        hosts["h2"].kill()
        hosts.add("h2", sections=RIGHTS)
        becomes(c, "p@h2:all.get", [6, 6])
        assert c.value("p@*:all.get") == [6] * 6


def test_sticky_calls_of_some_hosts_stay_there(cluster):
    """Those of a [remote p] that names hosts, and of a target that names one."""
    hosts = cluster(("h2", "h3"), sections=RIGHTS)
    hosts.add("h1", pools={}, sections=RIGHTS + "\n[remote p]\nhosts = h2\n")
    hosts["h1"].sees({"h1": 0, "h2": 2, "h3": 2})
    with hosts["h1"].client() as c:
        assert c.full("p@*:all", "set", ["all"], sticky="replace") == (None, [None] * 4)
        assert c.full("p:all", "set", ["mine"], sticky="replace") == (None, [None] * 2)
        assert c.full("p@h3:all", "append", ["h3"], sticky="append", labels=True)[0] is None
        assert c.value("p@h3:all.get") == ["all"] * 2 and c.value("p@h3:all.list") == [["h3"]] * 2
        hosts["h2"].kill()
        for name in ("h2", "h4"):
            hosts.add(name, sections=RIGHTS)
        becomes(c, "p@h4:all.get", ["all"] * 2)
        becomes(c, "p@h2:all.get", ["mine"] * 2)        # as it was: the one of all first
        assert c.value("p@h4:all.list") == c.value("p@h2:all.list") == [[], []]
        assert c.value("objpool.forget", "p@*") == 2


def test_calls_that_append_come_in_their_order(cluster):
    hosts = cluster(("h1",), sections=RIGHTS)
    with hosts["h1"].client() as c:
        for value in ("a", "b", "c"):
            c.full("p@*:all", "append", [value], sticky="append")
        hosts.add("h2", sections=RIGHTS)
        becomes(c, "p@h2:all.list", [["a", "b", "c"]] * 2)
        assert c.value("objpool.forget", "p@*") == 3
        hosts.add("h3", sections=RIGHTS)
        hosts["h1"].sees({"h1": 2, "h2": 2, "h3": 2})
        assert c.value("p@h3:all.list") == [[], []]


def test_a_sticky_call_that_all_refuse_is_not_kept(cluster):
    hosts = cluster(("h1",), sections=RIGHTS)
    with hosts["h1"].client() as c:
        assert c.full("p@*:all", "fail", ["no"], sticky="append")[0].startswith("FAILED")
        assert c.value("objpool.forget", "p@*") == 0


def test_a_call_that_waits_for_sticky_calls_keeps_its_time(cluster):
    hosts = cluster((), sections=RIGHTS)
    hosts.add("h1", pools={}, sections=RIGHTS)
    hosts.add("h2", sections=RIGHTS)
    hosts["h1"].daemon.wait_log("cluster: connected")
    hosts["h1"].sees({"h1": 0, "h2": 2})
    with hosts["h1"].client().maps() as c:
        assert c.full("p@*:all", "sleep", [2], sticky="replace")[0] is None
        hosts["h2"].kill()
        hosts["h1"].sees({"h1": 0})
        hosts.add("h2", sections=RIGHTS)
        hosts["h1"].daemon.wait_log("host h2 gets the sticky call")
        calls = [c.start("objpool.call", "p@h2", "deadline", [], {"timeout_ms": ms}) for ms in (300, 30000)]
        lease = c.start("objpool.lease", "p@h2", {"timeout_ms": 300})
        for msgid in (calls[0], lease):
            error = c.wait(msgid)[0]
            assert (error["code"], error["ran"]) == ("TIMEOUT", "no"), error
        assert calls[1] not in c.answers
        error, left = c.wait(calls[1])
        assert error is None and 20 < left < 29, left


def test_a_lease_of_any_host(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        lease = c.value("objpool.lease", "p@*")
        target = f"p@{lease['host']}:{lease['slot']}"
        assert c.value(f"{target}.tag") == lease["host"]
        with hosts[lease["host"]].client() as other:
            waits = other.start(f"p:{lease['slot']}.slot")
            other.value("objpool.ping")
            assert waits not in other.answers
            assert c.value("objpool.release", "p@*") is True
            assert other.wait(waits) == (None, lease["slot"])
        assert c.call("objpool.release", "p@*")[0].startswith("BAD_ARGUMENT")
