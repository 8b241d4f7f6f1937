# SPDX-License-Identifier: Apache-2.0
"""Which host a call goes to: pools that are paused or asleep, [remote] sections."""
import collections

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
