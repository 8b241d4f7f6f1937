# SPDX-License-Identifier: Apache-2.0
"""Calls between hosts: several daemons with their gateways, and a real NATS server."""
import os
import signal

import msgpack
import pytest
from bus_host import BY_OPENER, DATA, OPEN, BusHost, frame, frames_of
from cluster import POOL, cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster
PAYLOAD_BYTES = 112  # proto/payload_ref.h


def tags(value):
    return sorted(set(value))


def answers(client, method, value):
    """Waits until the call is answered so: a gateway that has just come serves after a second."""
    wait_for(lambda: client.call(method) == (None, value), lambda: f"{method} to be {value!r}: {client.call(method)}")


# ---- targets ----

def test_a_host_that_is_named(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c:
        for name in ("h1", "h2", "h3"):
            assert c.value(f"p@{name}.tag") == name
            assert c.value(f"p@{name}:1.slot") == 1
            assert c.value(f"p@{name}:all.slot") == [0, 1]
            assert c.value(f"p@{name}:map.add", [1, 2, 3], [4, 5, 6]) == [5, 7, 9]
            assert c.value(f"p@{name}:scatter.echo", ["a", "b"]) == ["a", "b"]
            assert c.full(f"p@{name}", "echo", ["x"]) == (None, "x")
        assert c.value("p.tag") == "h1"


def test_any_host(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c:
        assert tags(c.value("p@*.tag") for _ in range(60)) == ["h1", "h2", "h3"]


def test_a_key_has_one_place(cluster):
    hosts = cluster()
    keys = [f"k{i}" for i in range(20)]
    places = {}
    for host in ("h1", "h2", "h3"):
        with hosts[host].client() as c:
            for key in keys:
                place = (c.value(f"p@*:key={key}.tag"), c.value(f"p@*:key={key}.slot"))
                assert places.setdefault(key, place) == place
    assert tags(place[0] for place in places.values()) == ["h1", "h2", "h3"]


def test_all_slots_of_all_hosts(cluster):
    hosts = cluster()
    with hosts["h2"].client() as c:
        assert c.value("p@*:all.tag") == ["h1", "h1", "h2", "h2", "h3", "h3"]
        assert c.value("p@*:all.slot") == [0, 1] * 3
        assert c.full("p@*:all", "slot", labels=True) == (
            None, [[host, slot, slot] for host in ("h1", "h2", "h3") for slot in (0, 1)])
        assert c.value("p@*:scatter.echo", list(range(6))) == list(range(6))
        assert c.full("p@*:all", "fail", ["x"], errors="collect")[0] is None


def test_map_over_all_hosts(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c:
        n = 3000
        assert c.value("p@*:map.add", list(range(n)), [1] * n) == [i + 1 for i in range(n)]


def test_map_uses_all_hosts(cluster):
    hosts = cluster()
    with hosts["h1"].client() as c:
        error, result = c.full("p@*:map", "sleep", [[0.02] * 60])
        assert error is None and result == [0.02] * 60
        counts = [sum(c.value(f"p@{name}:all.calls")) for name in ("h1", "h2", "h3")]
        assert all(count > 2 for count in counts), counts


# ---- what a call may have ----

def test_keywords_and_errors(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        assert c.full("p@h2", "kwargs", [], kwargs={"a": 1}) == (None, {"a": 1})
        error, _ = c.full("p@h2", "fail", ["broken", "Broken"])
        assert error["code"] == "FAILED" and error["message"] == "broken" and error["type"] == "Broken"
        assert error["ran"] == "yes"
        assert c.error("p@h2.nosuch")["code"] == "NO_SUCH_METHOD"
        assert c.error("p@h2:7.echo", 1)["code"] == "NO_SUCH_SLOT"
        assert c.error("nosuch@h2.echo", 1)["code"] == "DENIED"     # whether there is such a pool is not told
        error = c.error("p@h9.echo", 1)
        assert error["code"] == "UNREACHABLE" and error["ran"] == "no"
        assert "h9" in error["message"]
    with hosts["h1"].client() as c:
        assert c.error("p@h9.echo", 1).startswith("UNREACHABLE: ")
        assert c.error("p@h2.fail", "broken") == "FAILED: broken"


def test_a_stream_comes_item_by_item(cluster):
    hosts = cluster(("h1", "h2"))
    for target in ("p@h2:map", "p@*:map"):
        with hosts["h1"].client() as c:
            c.start("objpool.call", target, "echo", [list(range(500))], {"stream": True}, msgid=7)
            seen = []
            while True:
                message = c.receive()
                if message[0] == 1:
                    break
                assert message[1] == "objpool.result" and message[2][0] == 7
                seen.append((message[2][1], message[2][3]))
            assert message[1] == 7 and message[2] is None, message
            assert seen == [(i, i) for i in range(500)]


def test_a_map_is_fed(cluster):
    hosts = cluster(("h1", "h2"))
    for target in ("p@h2:map", "p@*:map"):
        with hosts["h1"].client() as c:
            c.start("objpool.call", target, "echo", None, {"stream": True}, msgid=7)
            credit, sent, seen = 0, 0, []
            while len(seen) < 300:
                message = c.receive()
                assert message[0] == 2, message
                if message[1] == "objpool.credit":
                    credit += message[2][1]
                else:
                    seen.append(message[2][3])
                n = min(credit, 300 - sent)
                if n:
                    c.notify("objpool.feed", 7, list(range(sent, sent + n)))
                    sent, credit = sent + n, credit - n
                    if sent == 300:
                        c.notify("objpool.feed_end", 7)
            assert seen == list(range(300))
            assert c.wait(7)[0] is None


def test_calls_of_other_hosts_are_counted(cluster):
    """`served` has the calls of all sessions, also of those that have ended."""
    hosts = cluster(("h1", "h2"))
    for count in (6, 12):
        with hosts["h1"].client() as c:
            assert [c.value("p@h2.echo", i) for i in range(5)] == list(range(5))
            assert c.value("p@h2:map.echo", list(range(100))) == list(range(100))
            wait_for(lambda: hosts["h2"].hosts()["h1"]["served"] == count, lambda: f"{count} calls: {hosts['h2'].hosts()}")
    assert hosts["h2"].hosts()["h2"]["served"] == hosts["h1"].hosts()["h2"]["served"] == 0


def test_progress_comes(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        c.start("objpool.call", "p@h2", "progress", [3], {"progress": True}, msgid=5)
        seen = []
        while (message := c.receive())[0] == 2:
            seen.append(message[2][1:3])
        assert message[1:] == [5, None, 3] and seen[-1] == [3, 3]


def progress_of(c, target, method, args, feed=None, **options):
    """[done, total] of each, and the response."""
    c.start("objpool.call", target, method, args, {"progress": True, **options}, msgid=5)
    seen = []
    while (message := c.receive())[0] == 2:
        if message[1] == "objpool.progress":
            seen.append(message[2][1:3])
        elif message[1] == "objpool.credit" and feed:
            c.notify("objpool.feed", 5, feed)
            feed = None
        elif message[1] == "objpool.result" and message[2][1] == 2:
            c.notify("objpool.feed_end", 5)
    return seen, message[2:]


def test_progress_of_many_tells_the_end(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        for host in ("*", "h2"):
            slots = 4 if host == "*" else 2
            seen, response = progress_of(c, f"p@{host}:all", "slot", [])
            assert seen[0] == [1, slots] and seen[-1] == [slots, slots] and response == [None, [0, 1] * (slots // 2)]
            seen, (error, result) = progress_of(c, f"p@{host}:map", "sleep", [[0.02] * 40])
            assert seen[-1] == [40, 40] and seen[0][1] == 40 and error is None and len(result) == 40
            assert [done for done, _ in seen] == sorted({done for done, _ in seen})
            seen, (error, result) = progress_of(c, f"p@{host}:map", "fail", [["x"] * 5])
            assert seen[-1] == [5, 5] and result is None
            assert progress_of(c, f"p@{host}:map", "echo", [[]]) == ([], [None, []])
        seen, response = progress_of(c, "p@*:map", "echo", None, feed=[1, 2, 3], stream=True)
        assert seen[-1] == [3, 3] and response == [None, {"items": 3, "failed": 0}]


def test_a_deadline_and_a_cancel_travel(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c, hosts["h2"].client() as there:
        assert 0 < c.full("p@h2", "deadline", timeout_ms=5000)[1] <= 5
        error, _ = c.full("p@h2", "sleep", [60], timeout_ms=100)
        assert error["code"] == "TIMEOUT"
        msgid = c.start("p@h2.sleep", 60)
        wait_for(lambda: any(slot["running"] for slot in there.value("objpool.status", "p")["pools"][0]["slots"]),
                 lambda: "a method to run")
        c.notify("objpool.cancel", msgid)
        assert c.wait(msgid)[0]["code"] == "CANCELLED"
        wait_for(lambda: not any(slot["running"] for slot in there.value("objpool.status", "p")["pools"][0]["slots"]),
                 lambda: "the method to end")


def test_a_client_that_goes_takes_its_calls_along(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h2"].client() as there:
        c = hosts["h1"].client()
        for _ in range(6):
            c.start("p@h2.sleep", 60)
        pool = lambda: there.value("objpool.status", "p")["pools"][0]  # noqa: E731
        wait_for(lambda: pool()["running"] == 2 and pool()["queue"] == 4, lambda: f"calls: {pool()}")
        c.close()
        wait_for(lambda: pool()["running"] == 0 and pool()["queue"] == 0, lambda: f"no calls: {pool()}")


def test_large_values(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        data = os.urandom(1 << 20) * 24
        assert c.value("p@h2.echo", data) == data
        assert c.value("p@*:all.sum", data) == [sum(data[:1 << 20]) * 24] * 4


def test_leases_are_given_back_where_and_what_was_given(cluster):
    """Without a slot objpool.release of any host is of the last lease, whatever host gave it."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c:
        def leased():
            return {(name, slot["slot"]) for name in ("h1", "h2") for slot in free(hosts[name]) if slot["leased"] is not None}

        def free(host):
            with host.client() as client:
                return client.value("objpool.status", "p")["pools"][0]["slots"]

        taken = [c.value("objpool.lease", "p@*") for _ in range(2)]
        places = [(lease["host"], lease["slot"]) for lease in taken]
        assert leased() == set(places) and len(set(places)) == 2
        while places:
            assert c.value("objpool.release", "p@*") is True
            places.pop()
            assert leased() == set(places)
        assert c.error("objpool.release", "p@*").startswith("BAD_ARGUMENT: ")
        lease = c.value("objpool.lease", "p@*", {"lease_ms": 1})
        wait_for(lambda: not leased(), lambda: f"the lease to be over: {leased()}")
        assert c.value("objpool.release", "p@*") is False and lease["host"] in hosts.hosts


def test_a_lease_of_another_hosts_instance(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client() as c, hosts["h2"].client() as there:
        lease = c.value("objpool.lease", "p@h2")
        slot = lease["slot"]
        assert lease["host"] == "h2"
        c.value(f"p@h2:{slot}.set", "mine")
        assert c.value(f"p@h2:{slot}.get") == "mine"
        waits = there.start(f"p:{slot}.get")
        assert there.value("p.slot") != slot
        assert waits not in there.answers
        c.close()
        assert there.wait(waits) == (None, "mine")


def test_a_lease_of_any_host_which_may_be_this_one(cluster):
    hosts = cluster(("h1", "h2"), pools={"p": {"workers": 16, "share": "yes"}})
    with hosts["h1"].client() as c, hosts["h1"].client() as other:
        leases = []
        while tags(lease["host"] for lease in leases) != ["h1", "h2"] and len(leases) < 16:
            leases.append(c.value("objpool.lease", "p@*"))
        here = next(lease for lease in leases if lease["host"] == "h1")
        for lease in leases:
            assert c.value(f"p@{lease['host']}:{lease['slot']}.tag") == lease["host"]
        waits = other.start(f"p@h1:{here['slot']}.tag")
        assert other.value("p@h1.tag") == "h1" and waits not in other.answers
        for lease in leases:
            assert c.value("objpool.release", f"p@{lease['host']}", lease["slot"])
        assert other.wait(waits) == (None, "h1")
        assert c.error("objpool.release", "p@*").startswith("BAD_ARGUMENT: ")


# ---- failures ----

def test_a_worker_that_dies_elsewhere(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        error = c.error("p@h2.crash", 9)
        assert error["code"] == "WORKER_LOST" and error["signal"] == 9
        assert c.value("p@h2.echo", 1) == 1


def test_a_host_that_dies(cluster):
    hosts = cluster()
    with hosts["h1"].client().maps() as c:
        one = c.start("p@h2.sleep", 60)
        many = c.start("objpool.call", "p@*:all", "sleep", [0.2], {"errors": "collect"})
        with hosts["h2"].client() as there:
            wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] == 2, lambda: "methods to run")
        hosts["h2"].kill()
        error = c.wait(one)[0]
        assert error["code"] == "HOST_LOST" and error["host"] == "h2" and error["ran"] == "maybe"
        error, result = c.wait(many)
        assert error is None and len(result) == 6
        assert [r[0] and r[0]["code"] for r in result] == [None, None, "HOST_LOST", "HOST_LOST", None, None]
        hosts["h1"].sees({"h1": 2, "h3": 2})
        assert c.error("p@h2.echo", 1)["code"] == "UNREACHABLE"
        assert c.value("p@*:all.tag") == ["h1", "h1", "h3", "h3"]
        hosts.add("h2")
        hosts.settle()
        answers(c, "p@h2.tag", "h2")


def test_a_gateway_that_dies(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        msgid = c.start("p@h2.sleep", 60)
        with hosts["h2"].client() as there:
            wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] == 1, lambda: "the method to run")
        local = c.start("p.sleep", 0.3)
        os.kill(hosts["h1"].gateway(), signal.SIGKILL)
        error = c.wait(msgid)[0]
        assert error["code"] == "HOST_LOST" and error["ran"] == "maybe"
        assert c.wait(local) == (None, 0.3)
        hosts.settle()
        answers(c, "p@h2.tag", "h2")


def test_a_frozen_host(cluster):
    hosts = cluster()
    hosts["h2"].freeze()
    try:
        with hosts["h1"].client().maps() as c:
            msgid = c.start("p@h2.echo", 1)
            error, value = c.wait(msgid)
            assert error["code"] in ("HOST_LOST", "UNREACHABLE"), value
            hosts["h1"].sees({"h1": 2, "h3": 2})
            assert tags(c.value("p@*.tag") for _ in range(30)) == ["h1", "h3"]
    finally:
        hosts["h2"].freeze(signal.SIGCONT)
    hosts.settle()
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2"


def test_a_server_that_is_killed_and_comes_back(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        msgid = c.start("p@h2.sleep", 60)
        with hosts["h2"].client() as there:
            wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] == 1, lambda: "the method to run")
        hosts.server.stop()
        assert c.wait(msgid)[0]["code"] == "HOST_LOST"
        assert c.error("p@h2.echo", 1)["code"] == "UNREACHABLE"
        assert c.value("p.tag") == "h1" and c.value("p@h1.tag") == "h1"
        hosts.server.start()
        hosts.settle()
        answers(c, "p@h2.tag", "h2")


def test_a_server_that_is_not_there_at_first(cluster, place):
    hosts = cluster(("h1",))
    hosts.server.stop()
    h2 = hosts.add("h2")
    with h2.client() as c:
        assert c.value("p.tag") == "h2"
        assert c.error("p@h1.tag").startswith("UNREACHABLE: ")
    hosts.server.start()
    hosts.settle()


def test_tls_is_not_given_up_for_a_server_without_it(cluster, place):
    hosts = cluster(("h1",))
    (place / "creds").write_text("h2:secret\n")
    h2 = hosts.add("h2", bus=hosts.server.url.replace("nats:", "tls:"), cluster={"bus_creds": place / "creds"})
    h2.daemon.wait_log("cluster: connecting: ")
    with h2.client() as c:
        assert c.error("p@h1.tag").startswith("UNREACHABLE: ")
        assert c.value("objpool.hosts")["bus"]["state"] == "connecting"


def test_two_servers_of_which_one_is_killed(cluster):
    hosts = cluster(servers=2)
    with hosts["h1"].client().maps() as c:
        for server in hosts.servers:
            server.stop()
            wait_for(lambda: c.value("objpool.hosts")["bus"]["state"] == "connected", lambda: "the other server to be found")
            hosts.settle()
            for name in ("h2", "h3"):
                answers(c, f"p@{name}.tag", name)
            assert c.value("p@*:all.tag") == ["h1", "h1", "h2", "h2", "h3", "h3"]
            server.start()


def test_two_hosts_of_one_name(cluster):
    hosts = cluster(("h1", "h2"))
    first = hosts["h2"]
    other = hosts.add("h2")
    other.daemon.wait_log("another host .*h2")
    with other.client() as c:
        assert c.error("p@h1.tag").startswith("UNREACHABLE: ")
    with hosts["h1"].client() as c:
        assert c.value("p@h2.pid") in first.daemon.children()
    other.daemon.stop()
    hosts.hosts["h2"] = first
    hosts.settle()


# ---- plain names ----

def test_a_remote_pool_under_its_plain_name(cluster):
    hosts = cluster(("h1", "h2"))
    h3 = hosts.add("h3", pools={}, sections="\n[remote p]\nhosts = *\n")
    h3.sees({"h1": 2, "h2": 2, "h3": 0})
    with h3.client() as c:
        wait_for(lambda: c.call("p.tag")[0] is None, lambda: "the gateway to serve")
        assert tags(c.value("p.tag") for _ in range(40)) == ["h1", "h2"]
        assert c.value("p:all.tag") == ["h1", "h1", "h2", "h2"]
        assert c.value("p:map.add", [1, 2], [3, 4]) == [4, 6]


def test_a_pool_that_is_not_shared(cluster):
    hosts = cluster(("h1",))
    hosts.add("h2", pools={"p": {"workers": 2}})
    hosts["h1"].sees({"h1": 2, "h2": 0})
    with hosts["h1"].client() as c:
        assert c.error("p@h2.tag").startswith("DENIED: ")
        assert c.value("p@*:all.tag") == ["h1", "h1"]


def test_rights_hold_at_both_ends(cluster):
    hosts = cluster(("h1",), sections=f"\n[user me]\nuid = {os.getuid()}\ncall = p.*\nall = p.*\ndescribe = *\nwatch = yes\n"
                    if os.getuid() else "")
    hosts.add("h2", sections="\n[user h1/*]\ncall = p.tag\n")
    hosts["h1"].sees({"h1": 2, "h2": 2})
    with hosts["h1"].client().maps() as c:
        assert c.value("p@h2.tag") == "h2"
        error = c.error("p@h2.echo", 1)
        assert error["code"] == "DENIED", error


# ---- permissions of the server ----

PERMISSIONS = """
authorization {
  users = [
    {user: h1, password: one, permissions: {
      publish: ["objpool.test.beat.h1", "objpool.test.to.*.h1", "_INBOX.>"],
      subscribe: ["objpool.test.beat.*", "objpool.test.to.h1.*", "_INBOX_objpool_h1.>", "objpool.test.call.>", "$SRV.>"]}},
    {user: h2, password: two, permissions: {
      publish: ["objpool.test.beat.h2", "objpool.test.to.*.h2", "_INBOX.>"],
      subscribe: ["objpool.test.beat.*", "objpool.test.to.h2.*", "_INBOX_objpool_h2.>", "objpool.test.call.>", "$SRV.>"]}}
  ]
}
"""


def test_permissions_bind_a_hosts_name(cluster, place):
    hosts = cluster((), config=PERMISSIONS)
    for name, password in (("h1", "one"), ("h2", "two")):
        (place / name).write_text(f"{name}:{password}\n")
        hosts.add(name, cluster={"bus_creds": place / name})
    hosts.settle()
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2"
    liar = hosts.add("h3", cluster={"bus_creds": place / "h2"})
    liar.daemon.wait_log("(?i)permissions violation")
    with liar.client() as c:    # it hears h1, which does not hear it
        assert c.error("p@h1.tag").startswith(("UNREACHABLE: ", "HOST_LOST: "))
    assert "h3" not in hosts["h1"].hosts()
    liar.daemon.stop()
    del hosts.hosts["h3"]


# ---- a host that does not keep to the protocol ----

def nested(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


def answer_call(evil, result, error=None):
    """Answers the next call that it gets so."""
    call = None
    while call is None:
        host, incarnation, epoch, seq, frames = evil.packet()
        for kind, channel, payload in frames_of(frames):
            if kind == DATA | BY_OPENER:
                unpacker = msgpack.Unpacker()
                unpacker.feed(payload)
                call = next((message[1] for message in unpacker if message[1] != 0), call)
    answer = msgpack.packb([1, call, error, result])
    evil.send(host, incarnation, frame(DATA, channel, answer), epoch, 1, seq)


def test_a_session_of_no_user_at_all(cluster):
    hosts = cluster(("h1",))
    pid = hosts["h1"].gateway()
    with BusHost(hosts.server.port, "evil") as evil:
        hosts["h1"].daemon.wait_log("cluster: connected")
        wait_for(lambda: "evil" in hosts["h1"].hosts(), lambda: "h1 to see the host")
        evil.send("h1", int(hosts["h1"].hosts()["h1"]["incarnation"], 16), frame(OPEN | BY_OPENER, 1, b""))
        hosts["h1"].daemon.wait_log("host evil does not keep to the protocol")
    assert hosts["h1"].gateway() == pid


@pytest.mark.parametrize("result", [nested(35), nested(60), msgpack.ExtType(PAYLOAD_BYTES, bytes(16))],
                         ids=["deep", "deeper", "descriptor"])
def test_an_answer_that_no_daemon_gives(cluster, result):
    hosts = cluster(("h1",))
    pid = hosts["h1"].gateway()
    with BusHost(hosts.server.port, "evil", [("q", 1)]) as evil, hosts["h1"].client() as c:
        hosts["h1"].daemon.wait_log("cluster: connected")
        wait_for(lambda: "evil" in hosts["h1"].hosts(), lambda: "h1 to see the host")
        number = c.start("q@evil.m")
        answer_call(evil, result)
        assert "HOST_LOST: host evil has sent what is no message" in str(c.wait(number))
    assert hosts["h1"].gateway() == pid


def test_an_error_that_no_daemon_gives(cluster):
    hosts = cluster(("h1",))
    with BusHost(hosts.server.port, "evil", [("q", 1)]) as evil, hosts["h1"].client().maps() as c:
        wait_for(lambda: "evil" in hosts["h1"].hosts(), lambda: "h1 to see the host")
        number = c.start("q@evil.m")
        answer_call(evil, None, [[7], "odd"])
        error = c.wait(number)[0]
        assert error["code"] == "INTERNAL" and error["host"] == "evil" and error["ran"] == "maybe", error


def test_what_is_said_when_nothing_is_ready(cluster):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        for host in hosts.hosts.values():
            with host.client() as admin:
                admin.value("objpool.pause", "p")
        hosts["h1"].sees({"h1": 0, "h2": 0})
        error = c.error("p@*:all.echo", 1)
        assert (error["code"], error["ran"]) == ("UNREACHABLE", "no")
        assert error["message"] == "no host can be asked for pool p: none of those that share it has an instance that is ready"
        assert c.error("q@*:all.echo", 1)["message"] == "no host can be asked for pool q: none that is there shares it"
