# SPDX-License-Identifier: Apache-2.0
"""Accounts of the NATS server: credentials as nsc makes them, and a host that does what its permissions do not allow."""
import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

nkeys = pytest.importorskip("nkeys", reason="the package python3-cryptography is not installed")
pytestmark = needs_cluster


def publishes(name):
    return [f"objpool.test.beat.{name}", f"objpool.test.to.*.{name}", "_INBOX.>"]


def subscribes(name):
    return ["objpool.test.beat.*", f"objpool.test.to.{name}.*", f"_INBOX_objpool_{name}.>", "objpool.test.call.>", "$SRV.>"]


@pytest.fixture
def accounts(cluster, place):
    """accounts(names…) -> a cluster of these hosts, of one account, and its Account."""
    def make(*names, **permissions):
        operator = nkeys.Key(nkeys.OPERATOR)
        account, other = nkeys.Account(operator, "objpool"), nkeys.Account(operator, "other")
        hosts = cluster((), config=nkeys.server_config(operator, account, other))
        for name in names:
            publish, subscribe = permissions.get(name, (publishes(name), subscribes(name)))
            hosts.add(name, cluster={"bus_creds": account.credentials(place / f"{name}.creds", name, publish, subscribe)})
        return hosts, account, other
    return make


def test_credentials_of_nsc(accounts, place):
    hosts, account, other = accounts("h1", "h2")
    hosts.settle()
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2"
        assert c.value("p@*:all.tag") == ["h1"] * 2 + ["h2"] * 2
    # Of another account: the server keeps them apart.
    far = hosts.add("h3", cluster={"bus_creds": other.credentials(place / "far", "h3", [">"], [">"])})
    far.sees({"h3": 2})
    far.daemon.wait_log("cluster: connected")
    with far.client() as c:
        assert c.error("p@h1.tag").startswith("UNREACHABLE: ")
    # Signed by nobody whom the operator knows.
    stranger = nkeys.Account(nkeys.Key(nkeys.OPERATOR), "strangers")
    bad = hosts.add("h4", cluster={"bus_creds": stranger.credentials(place / "bad", "h4", [">"], [">"])})
    bad.daemon.wait_log("(?i)authorization violation")
    with bad.client() as c:
        assert c.error("p@h1.tag").startswith("UNREACHABLE: ")
    assert {"h3", "h4"}.isdisjoint(hosts["h1"].hosts())
    hosts["h1"].sees({"h1": 2, "h2": 2})


def test_a_host_that_may_not_speak_to_others(accounts):
    """h2 is seen, but its packets are not let through: each call there ends, and says why as far as can be known."""
    silenced = ["objpool.test.beat.h2", "_INBOX.>"]
    hosts, _, _ = accounts("h1", "h2", "h3", h2=(silenced, subscribes("h2")))
    hosts.settle()
    with hosts["h1"].client() as c:
        c.value("objpool.hello", {"errors": "map"})
        error = c.full("p@h2", "tag")[0]
        assert (error["code"], error["ran"], error["host"]) == ("HOST_LOST", "maybe", "h2")
        assert c.full("p@*", "tag", idempotent=True)[1] in ("h1", "h3")
        pairs = c.full("p@*:all", "tag", errors="collect")[1]
        assert [value for error, value in pairs] == ["h1", "h1", None, None, "h3", "h3"]
        assert {error["code"] for error, value in pairs if error} == {"HOST_LOST"}
        assert c.full("p@*:map", "echo", [list(range(10))], idempotent=True) == (None, list(range(10)))
    hosts["h2"].daemon.wait_log("(?i)permissions violation")
    with hosts["h3"].client() as c:
        assert c.value("p@h1.tag") == "h1"


def test_a_host_that_may_not_hear_others(accounts):
    """h2 may not subscribe to what is sent to it, nor to services."""
    hosts, _, _ = accounts("h1", "h2", h2=(publishes("h2"), ["objpool.test.beat.*"]))
    hosts.settle()
    hosts["h2"].daemon.wait_log("(?i)permissions violation")
    with hosts["h1"].client() as c, hosts["h2"].client() as deaf:
        assert c.error("p@h2.tag").startswith("HOST_LOST: ")
        assert deaf.error("p@h1.tag").startswith("HOST_LOST: ")
        assert deaf.value("p.tag") == "h2"
    wait_for(lambda: hosts["h1"].hosts()["h2"]["inflight"] == 0, lambda: "nothing to be owed")
