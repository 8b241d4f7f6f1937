# SPDX-License-Identifier: Apache-2.0
"""What other hosts may have of one: no host has all, and clients of the host itself keep theirs."""
import contextlib

from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster


def connect(stack, host, count):
    return [stack.enter_context(host.client().maps()) for _ in range(count)]


def refused(clients, method):
    """The errors of those whose call was not taken."""
    return [error for error, _ in (client.call(method) for client in clients) if error]


def test_sessions_are_divided_among_hosts(cluster):
    hosts = cluster(("h2", "h3"))
    h1 = hosts.add("h1", cluster={"max_sessions": 8}, daemon={"max_connections": 4})
    hosts.settle()
    with contextlib.ExitStack() as stack:
        of_h2 = connect(stack, hosts["h2"], 7)
        errors = refused(of_h2, "p@h1.tag")
        assert len(errors) == 3, errors
        for error in errors:
            assert error["code"] == "UNREACHABLE" and error["ran"] == "no" and error["host"] == "h1"
            assert "as many sessions there as it may (max_sessions" in error["message"], error
        assert len(refused(connect(stack, hosts["h3"], 3), "p@h1.tag")) == 1     # of the four that are left, two are free to h3
        assert of_h2[6].value("p@*.tag") in ("h2", "h3")                          # any host: another one
        assert refused(connect(stack, h1, 4), "p.tag") == []                      # max_connections is for clients of h1 alone
        for client in of_h2[:2]:
            client.close()
        wait_for(lambda: refused(of_h2[4:5], "p@h1.tag") == [], lambda: "a session that is free again")


def test_limits_are_changed_by_reload(cluster):
    hosts = cluster(("h1", "h2"), cluster={"max_sessions": 2})
    with contextlib.ExitStack() as stack:
        clients = connect(stack, hosts["h2"], 3)
        assert len(refused(clients, "p@h1.tag")) == 2
        h1 = hosts["h1"].daemon
        h1.users = h1.users.replace("max_sessions = 2", "max_sessions = 20")
        h1.write_config()
        with h1.client() as c:
            c.value("objpool.reload")
        wait_for(lambda: refused(clients, "p@h1.tag") == [], lambda: "more sessions")
