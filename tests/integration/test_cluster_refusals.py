# SPDX-License-Identifier: Apache-2.0
"""Calls to other hosts that can't be made at once: they wait if that is short, or are refused at once, and honestly."""
import os
import signal

from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster


# ---- a gateway that has just come ----

def test_calls_wait_for_a_gateway_that_has_just_come(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        pid = hosts["h1"].gateway()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: hosts["h1"].gateway_now() not in (None, pid), lambda: "another gateway")
        waiting = [c.start(method) for method in ("p@h2.tag", "p@*:all.tag", "p@h9.tag")]
        assert c.value("p@h1.tag") == "h1"              # does not need other hosts
        cancelled = c.start("p@h2.sleep", 60)
        c.notify("objpool.cancel", cancelled)
        error = c.wait(cancelled)[0]
        assert error["code"] == "CANCELLED" and error["ran"] == "no"
        assert c.wait(waiting[0]) == (None, "h2")
        assert c.wait(waiting[1]) == (None, ["h1", "h1", "h2", "h2"])
        error = c.wait(waiting[2])[0]
        assert error["code"] == "UNREACHABLE" and "is not known" in error["message"]


def test_a_notification_waits_longer_than_its_client(cluster):
    hosts = cluster(("h1", "h2"))
    pid = hosts["h1"].gateway()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: hosts["h1"].gateway_now() not in (None, pid), lambda: "another gateway")
    with hosts["h1"].client() as c:
        c.notify("p@h2:0.set", "kept")
        assert c.value("objpool.ping") == []
    with hosts["h2"].client() as there:
        wait_for(lambda: there.value("p:0.get") == "kept", lambda: "the notification")


# ---- no bus ----

def test_calls_are_refused_at_once_when_the_bus_is_gone(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        assert c.value("p@h2.tag") == "h2"
        hosts.server.stop()
        wait_for(lambda: c.value("objpool.hosts")["bus"]["state"] != "connected", lambda: "the bus to be missed")
        for method in ("p@h2.tag", "p@h2:all.tag"):
            error = c.error(method)
            assert error["code"] == "UNREACHABLE" and error["ran"] == "no" and error["host"] == "h2", error
            assert "not connected with the bus" in error["message"], error
        assert c.value("p@*.tag") == "h1"


# ---- hosts that deny what others allow ----

def test_any_host_is_one_that_allows_it(cluster):
    hosts = cluster(("h2",))
    hosts.add("h3", sections="\n[user h1/*]\ncall = p.slot\n")
    hosts.add("h4", sections="\n[user h1/*]\ncall = p.slot\n")
    h1 = hosts.add("h1", pools={})
    h1.sees({"h1": 0, "h2": 2, "h3": 2, "h4": 2})
    with h1.client().maps() as c:
        for name in ("h3", "h4"):
            assert c.error(f"p@{name}.tag")["code"] == "DENIED"
        assert "(no rule, or no pool of that name is shared)" in c.error("nosuch@h2.tag")["message"]
        assert {c.value("p@*.tag") for _ in range(30)} == {"h2"}
        assert c.value("p@*.slot") in (0, 1)
        hosts["h2"].daemon.stop()
        h1.sees({"h1": 0, "h3": 2, "h4": 2})
        error = c.error("p@*.tag")
        assert error["code"] == "DENIED" and error["ran"] == "no" and error["host"] in ("h3", "h4")


# ---- names ----

def test_the_older_of_two_hosts_of_one_name_is_told(cluster):
    hosts = cluster(("h1", "h2"))
    first = hosts["h2"]
    other = hosts.add("h2")
    first.daemon.wait_log("another host calls itself h2, too, and came later")
    text = "another host calls itself h2, too, and serves nobody"
    with first.client() as c:
        assert text in c.value("objpool.hosts")["bus"]["text"]
        other.daemon.stop()
        wait_for(lambda: text not in c.value("objpool.hosts")["bus"]["text"], lambda: "the other host to be forgotten")
    hosts.hosts["h2"] = first


def test_a_host_that_takes_another_name_says_goodbye(cluster):
    hosts = cluster(("h1", "h2"))
    h2 = hosts["h2"].daemon
    h2.users = h2.users.replace("name = h2", "name = h5")
    h2.write_config()
    with h2.client() as c:
        c.value("objpool.reload")
    hosts["h1"].sees({"h1": 2, "h5": 2})
    hosts["h1"].daemon.wait_log("host h2 is gone")
    assert "host h2 is silent" not in hosts["h1"].daemon.log(), hosts["h1"].daemon.log()
    hosts["h2"].name = "h5"
    hosts.hosts["h5"] = hosts.hosts.pop("h2")


def test_what_is_said_of_the_bus_names_it(cluster):
    hosts = cluster(("h1",))
    hosts.server.stop()
    hosts["h1"].daemon.wait_log(f"cluster: connecting: {hosts.server.url}: ")
