# SPDX-License-Identifier: Apache-2.0
"""Which host a call goes to: that of its key, wherever it comes from; else the one with the least to do."""
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster
KEYS = [f"key-{i}" for i in range(60)]


def places(host):
    """key -> (host, slot)"""
    with host.client() as c:
        return {key: (c.value(f"p@*:key={key}.tag"), c.value(f"p@*:key={key}.slot")) for key in KEYS}


def test_few_keys_move_when_a_host_comes_or_goes(cluster):
    hosts = cluster(("h1", "h2"))
    two = places(hosts["h1"])
    assert places(hosts["h2"]) == two
    assert {host for host, _ in two.values()} == {"h1", "h2"}
    hosts.add("h3")
    hosts.settle()
    three = places(hosts["h3"])
    assert places(hosts["h1"]) == three
    moved = {key for key in KEYS if three[key] != two[key]}
    assert {three[key][0] for key in moved} == {"h3"}, "keys move to the new host alone"
    assert len(KEYS) // 8 <= len(moved) <= len(KEYS) // 2
    hosts["h3"].kill()
    for name in ("h1", "h2"):
        hosts[name].sees({"h1": 2, "h2": 2})
        assert places(hosts[name]) == two


def test_a_host_with_much_to_do_gets_less(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c, hosts["h2"].client() as busy:
        for _ in range(20):
            busy.start("p.sleep", 100)

        def is_seen():
            pool = hosts["h1"].hosts()["h2"]["pools"][0]
            return pool["running"] + pool["queue"] >= 20
        wait_for(is_seen, lambda: f"h1 to see what h2 has to do: {hosts['h1'].hosts()}")
        before = hosts["h1"].hosts()
        for _ in range(2):      # calls that take as long as a beat: for shorter ones beats come too late (docs/SCALE.md)
            starts = [c.start("p@*.sleep", 0.5) for _ in range(8)]
            assert [c.wait(start)[0] for start in starts] == [None] * 8
        after = hosts["h1"].hosts()
        assert after["h2"]["calls"] == before["h2"]["calls"], "h2 has enough to do"
        assert after["h3"]["calls"] - before["h3"]["calls"] >= 4
