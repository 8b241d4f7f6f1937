# SPDX-License-Identifier: Apache-2.0
"""One process of a host stands still, and the others live: its daemon, its gateway, or the own ones."""
import contextlib
import os
import signal
import threading
import time

from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster
SOON = 3.5      # seconds: in two what a host owes has ended; the rest is for a machine that is busy


@contextlib.contextmanager
def frozen(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def runs(host, count):
    with host.client() as there:
        wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] == count, lambda: f"{count} methods to run")


def settle_again(hosts, client, name):
    hosts.settle()
    wait_for(lambda: client.call(f"p@{name}.tag") == (None, name), lambda: f"{name} to answer")


def test_a_daemon_whose_gateway_lives(cluster):
    hosts = cluster()
    with hosts["h1"].client().maps() as c:
        lease = c.value("objpool.lease", "p@h2")
        owed = [c.start("p@h2.sleep", 60), c.start(f"p@h2:{lease['slot']}.sleep", 60)]
        many = c.start("objpool.call", "p@*:all", "sleep", [0.2], {"errors": "collect"})
        runs(hosts["h2"], 2)
        with frozen(hosts["h2"].daemon.process.pid) as since:
            for msgid in owed:
                error = c.wait(msgid)[0]
                assert (error["code"], error["host"], error["ran"]) == ("HOST_LOST", "h2", "maybe"), error
            error, results = c.wait(many)
            assert error is None and len(results) == 6
            assert [r[0] and r[0]["code"] for r in results] == [None, None, "HOST_LOST", "HOST_LOST", None, None]
            assert time.monotonic() - since < SOON
            assert c.error("p@h2.tag")["code"] == "UNREACHABLE"
            assert sorted({c.value("p@*.tag") for _ in range(30)}) == ["h1", "h3"]
            assert c.value("p@*:all.tag") == ["h1", "h1", "h3", "h3"]
            assert c.value("p@*:map.echo", list(range(20))) == list(range(20))
            wait_for(lambda: hosts["h1"].hosts()["h2"]["state"] == "gone", lambda: "h2 to be gone")
        settle_again(hosts, c, "h2")
        assert c.value("p@*:all.tag") == ["h1", "h1", "h2", "h2", "h3", "h3"]
    hosts["h1"].daemon.wait_log("the daemon of host h2 does not answer its gateway")
    hosts["h2"].daemon.wait_log("the own daemon has said nothing")


def test_a_daemon_for_a_moment(cluster):
    """What is under way is not lost."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        owed = c.start("p@h2.sleep", 0.1)
        with frozen(hosts["h2"].daemon.process.pid):
            wait_for(lambda: hosts["h1"].hosts()["h2"]["state"] == "silent", lambda: "h2 to be silent")
        assert c.wait(owed) == (None, 0.1)
        settle_again(hosts, c, "h2")


def test_the_gateway_of_another_host(cluster):
    hosts = cluster()
    with hosts["h1"].client().maps() as c:
        owed = c.start("p@h2.sleep", 60)
        runs(hosts["h2"], 1)
        old = hosts["h2"].gateway()
        with frozen(old) as since:
            error = c.wait(owed)[0]
            assert (error["code"], error["host"], error["ran"]) == ("HOST_LOST", "h2", "maybe"), error
            assert time.monotonic() - since < SOON
            assert c.error("p@h2.tag")["code"] == "UNREACHABLE"
            wait_for(lambda: hosts["h2"].gateway_now() not in (None, old), lambda: "another gateway of h2")
        settle_again(hosts, c, "h2")


def test_the_own_gateway(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        owed = [c.start("p@h2:0.sleep", 60), c.start("p@h2:1.sleep", 60)]
        runs(hosts["h2"], 2)
        old = hosts["h1"].gateway()
        with frozen(old) as since:
            assert c.value("p.tag") == "h1"
            later = c.start("p@h2.tag")
            for msgid in (*owed, later):
                error = c.wait(msgid)[0]
                assert (error["code"], error["ran"]) == ("HOST_LOST", "maybe"), error
            assert time.monotonic() - since < SOON + 1
            wait_for(lambda: hosts["h1"].gateway_now() not in (None, old), lambda: "another gateway")
        settle_again(hosts, c, "h2")
    hosts["h1"].daemon.wait_log("objpool-gateway has said nothing for 3 s: it is killed")


def test_the_own_daemon(cluster):
    """When it goes on, it does not take its gateway for frozen; calls that others had are lost, as they have given it up."""
    hosts = cluster(("h1", "h2"))
    pid = hosts["h1"].gateway()
    with hosts["h1"].client().maps() as c, hosts["h2"].client() as other:
        owed = c.start("p@h2.sleep", 60)
        runs(hosts["h2"], 1)
        with frozen(hosts["h1"].daemon.process.pid):
            wait_for(lambda: hosts["h2"].hosts()["h1"]["state"] == "gone", lambda: "h1 to be gone")
            assert other.value("p@*:all.tag") == ["h2", "h2"]
            threading.Event().wait(4)       # longer than a daemon waits for a gateway
        assert c.wait(owed)[0]["code"] == "HOST_LOST"
        settle_again(hosts, c, "h2")
        settle_again(hosts, other, "h1")
    assert hosts["h1"].gateway() == pid
