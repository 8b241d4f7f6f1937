# SPDX-License-Identifier: Apache-2.0
"""Which host a call goes to: pools that are paused or asleep, [remote] sections."""
import collections

import pytest

from cluster import POOL, cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster


def pause(hosts, *names):
    """Until all hosts know."""
    for name in names:
        with hosts[name].client() as there:
            there.value("objpool.pause", "p")
    know(hosts, names, 0)


def resume(hosts, *names):
    for name in names:
        with hosts[name].client() as there:
            there.value("objpool.resume", "p")
    know(hosts, names, 2)


def know(hosts, names, ready):
    for host in hosts.hosts.values():
        wait_for(lambda: all(host.hosts()[name]["pools"][0]["ready"] == ready for name in names),
                 lambda: f"{host.name} to know: {host.hosts()}")


def running(host):
    with host.client() as there:
        wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] > 0, lambda: f"{host.name} to run something")


def places(client, count, target):
    calls = [client.start(f"{target}.tag") for _ in range(count)]
    answers = [client.wait(msgid) for msgid in calls]
    assert all(error is None for error, _ in answers), answers
    return collections.Counter(value for _, value in answers)


# ---- pools that do nothing at present ----

def test_paused_hosts_get_nothing(cluster):
    hosts = cluster()
    pause(hosts, "h2", "h3")
    with hosts["h1"].client() as c, hosts["h3"].client() as paused:
        assert places(c, 40, "p@*") == {"h1": 40}
        assert places(paused, 40, "p@*") == {"h1": 40}
        assert [c.value(f"p@*:key=k{i}.tag") for i in range(12)] == 12 * ["h1"]
        assert c.value("objpool.lease", "p@*")["host"] == "h1"
        assert c.value("objpool.release", "p@*")
        assert c.value("p@*:map.add", list(range(60)), [1] * 60) == list(range(1, 61))
        assert c.value("p@*:all.tag") == ["h1", "h1"]
        resume(hosts, "h2", "h3")
        assert set(places(c, 60, "p@*")) == {"h1", "h2", "h3"}
        assert {c.value(f"p@*:key=k{i}.tag") for i in range(12)} == {"h1", "h2", "h3"}


def test_a_host_that_is_resumed_takes_part_in_a_map(cluster):
    hosts = cluster(("h1", "h2"))
    pause(hosts, "h2")
    with hosts["h1"].client() as c:
        msgid = c.start("p@*:map.sleep", [0.05] * 200)
        running(hosts["h1"])
        resume(hosts, "h2")
        running(hosts["h2"])
        assert c.wait(msgid) == (None, [0.05] * 200)


def test_a_call_of_any_host_waits_while_all_are_paused(cluster):
    hosts = cluster(("h1", "h2"))
    pause(hosts, "h1", "h2")
    with hosts["h1"].client() as c:
        calls = [c.start("p@*.tag"), c.start("p@*:map.echo", [1, 2, 3]), c.start("p@*:key=k.echo", 7)]
        assert c.value("objpool.ping") is not None
        assert not set(calls) & set(c.answers)
        resume(hosts, "h1", "h2")
        assert c.wait(calls[0])[1] in ("h1", "h2")
        assert c.wait(calls[1]) == (None, [1, 2, 3])
        assert c.wait(calls[2]) == (None, 7)


def test_pools_that_sleep_are_woken(cluster):
    asleep = {"p": {"workers": 0, "workers_min": 0, "workers_max": 2, "share": "yes"}}
    hosts = cluster((), pools={})
    hosts.add("h1", pools={})
    hosts.add("h2", pools=asleep)
    hosts["h1"].sees({"h1": 0, "h2": 0})
    with hosts["h1"].client() as c:
        assert c.value("p@*.tag") == "h2"
    hosts.add("h3", pools=asleep)
    hosts["h1"].sees({"h1": 0, "h2": 1, "h3": 0})
    with hosts["h1"].client() as c:
        assert places(c, 20, "p@*") == {"h2": 20}
        assert c.value("p@h3.tag") == "h3"


def test_a_map_wakes_pools_that_sleep(cluster):
    hosts = cluster((), pools={})
    hosts.add("h1", pools={})
    hosts.add("h2", pools={"p": {"workers": 0, "workers_min": 0, "workers_max": 2, "share": "yes"}})
    hosts["h1"].sees({"h1": 0, "h2": 0})
    with hosts["h1"].client() as c:
        wait_for(lambda: hosts["h1"].hosts()["h2"]["state"] == "ready", lambda: "h2")
        assert c.value("p@*:map.echo", [1, 2, 3]) == [1, 2, 3]


# ---- [remote p] beside [pool p] ----

def remote(prefer, hosts="*"):
    return f"\n[remote p]\nhosts = {hosts}\nprefer = {prefer}\n"


@pytest.mark.parametrize("prefer", ["local", "load"])
@pytest.mark.parametrize("share", ["yes", "no"])
def test_a_pool_that_nobody_else_has(cluster, prefer, share):
    hosts = cluster(())
    h1 = hosts.add("h1", pools={"p": {"workers": 2, "share": share}}, sections=remote(prefer))
    hosts.add("h2", pools={"q": POOL})
    h1.daemon.wait_log("cluster: connected")
    h1.sees({"h1": 2 if share == "yes" else 0, "h2": 2})
    with h1.client() as c:
        calls = [c.start("p.sleep", 0.1) for _ in range(8)]     # more than there are instances: they wait here
        assert [c.wait(call) for call in calls] == 8 * [(None, 0.1)]
        assert c.value("p:map.echo", [1, 2, 3]) == [1, 2, 3]
        assert c.value("p:all.tag") == ["h1", "h1"]
    assert ("prefer = load: the pool here is not shared" in h1.daemon.log()) == (prefer == "load" and share == "no")


def test_what_is_not_shared_here_goes_elsewhere_by_load(cluster):
    hosts = cluster(())
    h1 = hosts.add("h1", pools={"p": {"workers": 2}}, sections=remote("load"))
    h2 = hosts.add("h2")
    h1.daemon.wait_log("cluster: connected")
    h1.sees({"h1": 0, "h2": 2})
    with h1.client() as c:
        assert places(c, 10, "p") == {"h2": 10}
        assert c.value("p:0.tag") == "h1" and c.value("p:all.tag") == ["h1", "h1"]
        pause(hosts, "h2")
        assert places(c, 10, "p") == {"h1": 10}
        assert c.value("p:map.echo", [1, 2, 3]) == [1, 2, 3]
        resume(hosts, "h2")
        assert places(c, 10, "p") == {"h2": 10}
        h2.kill()
        h1.sees({"h1": 0})
        assert places(c, 10, "p") == {"h1": 10}
        hosts.server.stop()
        h1.daemon.wait_log("cluster: connecting: .*(Connection|IO Error|no NATS server)")
        assert places(c, 10, "p") == {"h1": 10}
        hosts.server.start()


def test_what_is_shared_here_goes_where_least_is_to_do(cluster):
    hosts = cluster(("h1", "h2"), sections=remote("load"))
    with hosts["h1"].client() as c, hosts["h1"].client() as busy:
        owed = [busy.start(f"p:{slot}.sleep", 60) for slot in (0, 1)]
        wait_for(lambda: hosts["h1"].hosts()["h1"]["pools"][0]["running"] == 2, lambda: "the gateway to know of the load")
        before = hosts["h1"].hosts()["h1"]["calls"]
        for _ in range(3):
            assert c.value("p.sleep", 0.5) == 0.5
        # Short calls, too: beats tell that nothing ends on h1. They have run for longer than two of them.
        assert [c.value(f"{target}.tag") for target in ("p", "p@*") for _ in range(20)] == 40 * ["h2"]
        assert hosts["h1"].hosts()["h1"]["calls"] == before
        for msgid in owed:
            busy.value("objpool.cancel", msgid)
        assert set(places(c, 60, "p")) == {"h1", "h2"}


def test_what_does_not_fit_here_goes_elsewhere(cluster):
    hosts = cluster(("h1", "h2"), sections=remote("local"))
    hosts["h1"].daemon.wait_log("cluster: connected")
    with hosts["h1"].client() as c, hosts["h1"].client() as busy:
        assert [c.value("p.tag") for _ in range(20)] == 20 * ["h1"]
        owed = [busy.start("p.sleep", 60) for _ in range(4)]     # two run, two wait
        wait_for(lambda: busy.value("objpool.status", "p")["pools"][0]["queue"] == 2, lambda: "calls to wait")
        assert [c.value("p.tag") for _ in range(10)] == 10 * ["h2"]
        for msgid in owed:
            busy.value("objpool.cancel", msgid)
        for msgid in owed:
            busy.wait(msgid)
        assert [c.value("p.tag") for _ in range(20)] == 20 * ["h1"]


def test_hosts_that_are_named(cluster):
    hosts = cluster()
    h4 = hosts.add("h4", pools={}, sections=remote("load", "h2 h3 h9"))
    h4.sees({"h1": 2, "h2": 2, "h3": 2, "h4": 0})
    with h4.client() as c:
        wait_for(lambda: c.call("p.tag")[0] is None, lambda: "the gateway to serve")
        assert set(places(c, 60, "p")) == {"h2", "h3"}
        assert c.value("p:all.tag") == ["h2", "h2", "h3", "h3"]
        assert {c.value(f"p:key=k{i}.tag") for i in range(20)} == {"h2", "h3"}
        assert c.value("p:map.add", list(range(50)), [1] * 50) == list(range(1, 51))
        assert set(places(c, 60, "p@*")) == {"h1", "h2", "h3"}
        hosts["h2"].kill()
        h4.sees({"h1": 2, "h3": 2, "h4": 0})
        assert places(c, 20, "p") == {"h3": 20}
        hosts["h3"].kill()
        h4.sees({"h1": 2, "h4": 0})
        assert c.error("p.tag").startswith("UNREACHABLE: ")
        assert c.value("p@*.tag") == "h1"
