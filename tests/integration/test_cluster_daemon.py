# SPDX-License-Identifier: Apache-2.0
"""The daemon's side of a cluster, with a gateway that the test plays (played_gateway.py)."""
import fcntl
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess

import msgpack
import pytest

import harness
import played_gateway as played
from harness import wait_for

CLUSTER = "\n[cluster]\nname = h1\ndomain = test\nbus = nats://127.0.0.1:1\ngateway_program = {program}\n"


@pytest.fixture
def cluster(start, place):
    """Starts a daemon, and its gateway: (daemon, gateway). The first message, CONFIG, has been read."""
    players = played.Players(place)

    def begin(sections="", pools=None, **keywords):
        daemon = start(pools={"p": {"share": "yes"}} if pools is None else pools,
                       users=CLUSTER.format(program=players.path) + sections, **keywords)
        gateway = players.next()
        gateway.expect(played.CONFIG)
        return daemon, gateway
    begin.players = players
    yield begin
    players.close()


def forwarded(client, gateway, method, *params):
    """Begins a call, and gives (msgid of the client, session, msgid) of what the gateway gets."""
    mine = client.start(method, *params)
    message = gateway.receive()
    if message[0] == played.OPEN:
        message = gateway.receive()
    assert message[0] == played.MESSAGE and message[2][0] == 0 and message[2][2:] == [method, list(params)]
    return mine, message[1], message[2][1]


# ---- what goes, and what comes back ----


def test_the_gateway_is_told_the_configuration(cluster):
    daemon, gateway = cluster("\n[remote q]\nhosts = h2 h3\nprefer = load\n[remote r]\n")
    config = gateway.config
    assert (config["name"], config["domain"], config["bus"]) == ("h1", "test", ["nats://127.0.0.1:1"])
    assert config["ca"] is None and config["max_message"] == 256 << 20
    assert config["remotes"] == {"q": {"hosts": ["h2", "h3"], "prefer": "load"}, "r": {"hosts": "*", "prefer": "local"}}
    gateway.wait_pools(lambda pools: pools.get("p", [0, 0, []])[2] == [0, 1])
    assert gateway.pools["p"] == ["Probe", 2, [0, 1], 0, 0, False, None, 0]


def test_calls_go_and_answers_come(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        c.value("objpool.hello", {"client": "me", "errors": "map"})
        mine = c.start("p@h2:key=a@b.echo", 1, {"x": [2, b"3"]})
        session, details = gateway.expect(played.OPEN)
        assert details == {"user": None, "errors": "map", "client": "me"}
        got = gateway.request()
        assert got == (session, mine, "p@h2:key=a@b.echo", [1, {"x": [2, b"3"]}])
        other = c.start("objpool.call", "p@*:all", "echo", [7], {"timeout_ms": 1000})
        assert gateway.request() == (session, other, "objpool.call", ["p@*:all", "echo", [7], {"timeout_ms": 1000}])
        assert c.value("p.echo", 5) == 5 and c.value("p@h1.echo", 6) == 6 and c.value("p@h1:1.slot") == 1
        gateway.answer(session, other, [7, 7])
        gateway.answer(session, mine, error={"code": "FAILED", "message": "no", "ran": "yes"})
        assert c.wait(other) == (None, [7, 7])
        assert c.wait(mine) == ({"code": "FAILED", "message": "no", "ran": "yes"}, None)
        with daemon.client() as second:
            forwarded(second, gateway, "p@h2.echo", 1)
        closed, = gateway.expect(played.CLOSE)
        assert closed != session
    assert gateway.expect(played.CLOSE) == [session]


def test_a_notification_goes(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        c.notify("p@h2.set", 1)
        session, _ = gateway.expect(played.OPEN)
        assert gateway.notification() == (session, "p@h2.set", [1])


def test_streams_feeds_and_cancels(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        mine, session, theirs = forwarded(c, gateway, "objpool.call", "p@*:map", "echo", None, {"stream": True})
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.credit", [theirs, 2]])
        assert c.receive() == [2, "objpool.credit", [mine, 2]]
        c.notify("objpool.feed", mine, [1, 2])
        assert gateway.notification() == (session, "objpool.feed", [theirs, [1, 2]])
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.result", [theirs, 0, None, 1]])
        assert c.receive() == [2, "objpool.result", [mine, 0, None, 1]]
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.results", [theirs, 1, [2, 3]]])
        assert c.receive() == [2, "objpool.results", [mine, 1, [2, 3]]]
        c.notify("objpool.feed_end", mine)
        assert gateway.notification() == (session, "objpool.feed_end", [theirs])
        assert c.value("objpool.cancel", mine) is True
        assert gateway.notification() == (session, "objpool.cancel", [theirs])
        gateway.answer(session, theirs, error="CANCELLED: yes")
        assert c.wait(mine) == ("CANCELLED: yes", None)
        # What nobody waits for is dropped: results, answers, notifications of other kinds, sessions that are not there.
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.result", [theirs, 1, None, 1]])
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.event", ["x"]])
        gateway.answer(session, theirs, 1)
        gateway.answer(session + 1000, theirs, 1)
        mine, session, theirs = forwarded(c, gateway, "p@h2.echo", 1)
        gateway.answer(session, theirs, 2)
        assert c.wait(mine) == (None, 2)
        assert c.value("objpool.hosts")["gateway"]["dropped"] == 4


def test_the_input_of_a_fed_call_ends_with_the_connection_s(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        mine, session, theirs = forwarded(c, gateway, "objpool.call", "p@*:map", "echo", None, {"stream": True})
        c.socket.shutdown(1)
        assert gateway.notification() == (session, "objpool.cancel", [theirs])
        error, _ = c.wait(mine)
        assert error.startswith("CANCELLED: ") and c.receive() is None


def test_methods_of_the_daemon_s_own_go(cluster):
    daemon, gateway = cluster("\n[remote q]\n")
    with daemon.client() as c:
        for method, params in (("objpool.lease", ["p@h2", {"slot": 1}]), ("objpool.release", ["p@h2", 1]), ("objpool.forget", ["p@*"]),
                               ("objpool.describe", ["q"]), ("objpool.status", ["p@h3"])):
            mine, session, theirs = forwarded(c, gateway, method, *params)
            gateway.answer(session, theirs, method)
            assert c.wait(mine) == (None, method)
        assert c.value("objpool.describe", "p@h1")["pool"] == "p"
        assert c.value("objpool.lease", "p@h1") == {"slot": 0, "generation": 1}
        assert c.value("objpool.release", "p@h1", 0) is True
        assert c.error("objpool.describe", "p@h 1").startswith("BAD_TARGET: ")


def test_large_values_and_deep_ones(cluster):
    daemon, gateway = cluster()
    big = os.urandom(3 << 20)
    with daemon.client() as c:
        mine, session, theirs = forwarded(c, gateway, "p@h2.echo", big)
        gateway.answer(session, theirs, big)
        assert c.wait(mine) == (None, big)
        taken = 0
        while taken < len(big) - (128 << 10):
            number, count = gateway.expect(played.TAKEN)
            assert number == session
            taken += count
        deep = 1
        for _ in range(31):
            deep = [deep]
        mine, session, theirs = forwarded(c, gateway, "p@h2.echo", deep)
        gateway.answer(session, theirs, deep)
        assert c.wait(mine) == (None, deep)
        error, _ = c.full("p@h2", "echo", [], kwargs={"x": [[deep]]})
        assert error.startswith("BAD_REQUEST: ") and "nested deeper" in error


def test_values_in_descriptors_go_as_bytes(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        c.value("objpool.hello", {"fds": True})
        for size in (5, 1 << 20):
            value = os.urandom(size)
            file = os.memfd_create("x", os.MFD_ALLOW_SEALING)
            os.write(file, b"before" + value)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            ref = b"\0\0" + (6).to_bytes(6, "big") + b"\0\0" + size.to_bytes(6, "big")
            socket.send_fds(c.socket, [msgpack.packb([0, 7, "p@h2.echo", [1, msgpack.ExtType(112, ref), 2]])], [file])
            os.close(file)
            message = gateway.receive()
            if message[0] == played.OPEN:
                message = gateway.receive()
            assert message[2][3] == [1, value, 2]
            gateway.answer(message[1], 7, len(value))
            assert c.wait(7) == (None, size)


def test_labels(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        assert c.full("p:all", "slot", labels=True) == (None, [["h1", 0, 0], ["h1", 1, 1]])
        mine, session, theirs = forwarded(c, gateway, "objpool.call", "p@*:all", "slot", [], {"labels": True})
        gateway.answer(session, theirs, [["h2", 0, 0]])
        assert c.wait(mine) == (None, [["h2", 0, 0]])


# ---- which calls go ----


def test_remote_pools(cluster):
    pools = {"a": {"workers": 1, "share": "yes"}, "b": {"workers": 1, "share": "yes"}}
    daemon, gateway = cluster("\n[remote a]\nprefer = local\n[remote b]\nprefer = load\n[remote far]\n", pools=pools)

    def tell(*ready):
        gateway.send(played.STATE, "connected", "nats://played")
        gateway.send(played.HOSTS, [{"name": "h2", "state": "ready", "pools": [[name, "C", 1, 1, 0, 0] for name in ready]}], BUS)
        wait_for(lambda: {pool["pool"] for host in daemon_hosts() for pool in host["pools"]} == set(ready), lambda: "the hosts to be known")

    def daemon_hosts():
        with daemon.client() as client:
            return client.value("objpool.hosts")["hosts"]

    def goes(client, method, *params):
        mine, session, theirs = forwarded(client, gateway, method, *params)
        gateway.answer(session, theirs, "there")
        return client.wait(mine) == (None, "there")

    with daemon.client() as c, daemon.client() as busy:
        assert c.value("b.echo", 1) == 1 and c.value("b:map.echo", [1]) == [1]   # nobody else has it
        tell("a", "b")
        assert c.value("a.echo", 1) == 1 and c.value("a.echo", 1) == 1   # the second time from the client's memo
        assert goes(c, "b.echo", 1) and goes(c, "b:map.echo", [1]) and goes(c, "far.echo", 1) and goes(c, "far:0.echo", 1)
        assert c.value("b:0.echo", 1) == 1 and c.value("b:all.echo", 1) == [1] and c.value("b:key=k.echo", 1) == 1
        assert goes(c, "objpool.call", "far:all", "echo", [1], {})
        # As many wait as slots are: the next goes.
        first = busy.start("a.sleep", 60)
        wait_for(lambda: c.value("objpool.status", "a")["pools"][0]["running"] == 1, lambda: "the call runs")
        second = busy.start("a.echo", 2)
        wait_for(lambda: c.value("objpool.status", "a")["pools"][0]["queue"] == 1, lambda: "the call waits")
        assert goes(c, "a.echo", 1)
        tell("b")
        third = c.start("a.echo", 3)
        wait_for(lambda: busy.value("objpool.status", "a")["pools"][0]["queue"] == 2, lambda: "the call waits here")
        busy.value("objpool.cancel", first)
        assert busy.wait(second) == (None, 2) and c.wait(third) == (None, 3)
        assert c.value("a.echo", 1) == 1


def test_without_a_cluster(start):
    with start().client() as c:
        assert "needs [cluster]" in c.error("p@h2.echo", 1) and "needs [cluster]" in c.error("objpool.lease", "p@h2")
        assert c.value("objpool.hosts") == {"name": None, "hosts": []}


# ---- rights ----


USERS = """
[user me]
uid = {uid}
call = p.echo far.get*
all = p.echo
describe = p
[user h2/alice]
call = p.* hidden.*
all = p.*
describe = *
admin = p
create = *
code = *
watch = yes
operate = yes
[user h2/*]
call = p.echo
deny = p.fail
[user bus/*]
call = q.*
"""


def test_rights_are_checked_before_a_call_goes(cluster):
    daemon, gateway = cluster(USERS.format(uid=os.getuid()) + "[remote far]\n")
    with daemon.client().maps() as c:
        for method in ("p@h2.set", "q@*.echo", "far.set", "far:all.get", "p@h2:all.set"):
            error = c.error(method, 1)
            assert (error["code"], error["user"]) == ("DENIED", "me"), error
        assert c.error("objpool.lease", "q@h2")["code"] == "DENIED"
        assert c.error("objpool.forget", "p@h2")["right"] == "admin"
        assert c.error("objpool.describe", "q@h2")["right"] == "describe"
        mine = c.start("far.get", 1)
        _, details = gateway.expect(played.OPEN)
        assert details == {"user": "me", "errors": "map", "client": "test"}
        session, theirs, method, _ = gateway.request()
        gateway.answer(session, theirs, 1)
        assert c.wait(mine) == (None, 1)


def test_rights_on_behalf(cluster):
    daemon, gateway = cluster(USERS.format(uid=4242), pools={"p": {"share": "yes"}, "hidden": {}, "q": {"share": "yes"}})
    alice, bob, other, bus = (gateway.session(*who) for who in (("h2", "alice"), ("h2", "-"), ("h3", "x"), ("bus", "y")))
    for client in (alice, bob, other, bus):
        client.maps()
    assert alice.value("p.echo", 1) == 1 and alice.value("p:all.echo", 1) == [1, 1]
    assert alice.value("objpool.forget", "p") == 0
    assert alice.value("objpool.lease", "p") == {"slot": 0, "generation": 1}
    assert [pool["name"] for pool in alice.value("objpool.pools")] == ["p", "q"]
    who = alice.value("objpool.whoami")
    assert (who["user"], who["by"]) == ("h2/alice", "host") and "create" not in who["rights"]
    for method, params in (("hidden.echo", [1]), ("q.echo", [1]), ("nothing.echo", [1])):
        assert alice.error(method, *params)["code"] == "DENIED"
    for method, params in (("objpool.create", [{"pool": "x", "plugin": "probe", "class": "Probe"}]), ("objpool.reload", []),
                           ("objpool.clients", []), ("objpool.describe", ["hidden"]),
                           ("objpool.drop", ["p"]), ("objpool.shutdown", [])):
        assert alice.error(method, *params)["code"] == "DENIED", method
    assert bob.value("p.echo", 1) == 1 and bob.error("p.set", 1)["user"] == "h2/*"
    assert bob.error("objpool.forget", "p")["code"] == "DENIED"
    assert other.error("p.echo", 1)["code"] == "DENIED"       # nobody's user: there is no [user *]
    assert bus.value("q.echo", 1) == 1 and bus.error("p.echo", 1)["user"] == "bus/*"


def test_rights_on_behalf_without_users(cluster):
    code = {"plugin": "python", "class": "json:JSONEncoder", "share": "yes", "unpickle": "yes", "trust": "h2", "workers": 1}
    daemon, gateway = cluster(pools={"p": {"share": "yes"}, "hidden": {}, "code": code})
    client = gateway.session("h2", "alice").maps()
    assert client.value("p.echo", 1) == 1 and client.value("p:all.echo", 1) == [1, 1]
    assert [pool["name"] for pool in client.value("objpool.pools")] == ["p", "code"]
    assert client.value("objpool.describe", "p")["pool"] == "p"
    for method, params in (("hidden.echo", [1]), ("objpool.forget", ["p"]), ("objpool.scale", ["p", 1]), ("objpool.reload", []),
                           ("objpool.create", [{"pool": "x", "plugin": "probe", "class": "Probe"}]), ("objpool.kick", [1])):
        error = client.error(method, *params)
        assert (error["code"], error["user"]) == ("DENIED", "h2/alice"), (method, error)
    assert [pool["name"] for pool in gateway.session("h3", "alice").value("objpool.pools")] == ["p"]
    with daemon.client() as admin:
        peers = {row["user"]: row for row in admin.value("objpool.clients")}
        assert peers["h2/alice"]["by"] == "host"


def test_a_session_for_a_local_client_has_its_rights(cluster):
    daemon, gateway = cluster(USERS.format(uid=os.getuid()), pools={"p": {}, "q": {}})
    with daemon.client().maps() as c:
        _, session, _ = forwarded(c, gateway, "objpool.call", "p@*", "echo", [1], {})
        local = gateway.session(None, session).maps()
        assert local.value("p.echo", 1) == 1                    # also of a pool that isn't shared: it is one's own
        assert local.error("q.echo", 1)["user"] == "me"
        daemon.users = daemon.users.replace("call = p.echo", "call = q.echo")
        daemon.write_config()
        os.kill(daemon.process.pid, signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        assert local.value("q.echo", 1) == 1 and local.error("p.echo", 1)["code"] == "DENIED"
    assert gateway.session(None, session + 1000).receive() is None


def test_a_user_s_limits_count_once(cluster):
    users = f"\n[user me]\nuid = {os.getuid()}\ncall = *.*\nrate = 2/h\nmax_inflight = 2\nmax_sessions = 1\n"
    daemon, gateway = cluster(users)
    with daemon.client().maps() as c:
        first, session, _ = forwarded(c, gateway, "p@*.echo", 1)
        local = gateway.session(None, session).maps()
        for _ in range(5):
            assert local.value("p.echo", 1) == 1
        _, session, theirs = forwarded(c, gateway, "p@*.echo", 2)
        assert c.error("p@*.echo", 3)["code"] == "OVERLOADED"      # more than max_inflight: the third was not sent


def test_calls_that_methods_make(cluster):
    users = f"\n[user me]\nuid = {os.getuid()}\ncall = *.*\n[user h2/*]\ncall = *.*\n"
    daemon, gateway = cluster(users, pools={"p": {"share": "yes", "workers": 1}})
    with daemon.client().maps() as c:
        outer = c.start("p.relay", "p@h3.echo", 7)
        session, details = gateway.expect(played.OPEN)
        assert (details["user"], details["errors"]) == ("me", "map")
        got, msgid, method, params = gateway.request()
        assert (got, method, params) == (session, "p@h3.echo", [7])
        gateway.send(played.MESSAGE_BACK, session, [2, "objpool.result", [msgid, 0, None, 1]])      # dropped
        gateway.answer(session, msgid, "there")
        assert c.wait(outer) == (None, "there")
        # For another caller it goes under another number.
        guest = gateway.session("h2", "bob").maps()
        outer = guest.start("p.relay", "p@h3.echo", 8)
        assert gateway.expect(played.CLOSE) == [session]
        other, details = gateway.expect(played.OPEN)
        assert other != session and details["user"] == "h2/*"
        got, msgid, method, params = gateway.request()
        gateway.answer(other, msgid, error={"code": "FAILED", "message": "no", "ran": "yes"})
        assert guest.wait(outer)[0]["code"] == "FAILED"
        outer = c.start("p.relay", "p@h3.echo", 9)
        gateway.expect(played.CLOSE), gateway.expect(played.OPEN), gateway.request()
        os.kill(gateway.pid, signal.SIGKILL)
        assert "HOST_LOST" in str(c.wait(outer)[0])
        assert c.value("p.echo", 1) == 1


def test_calls_by_http(cluster, place):
    daemon, gateway = cluster(daemon={"http": f"unix:{place}/web", "http_calls": "yes"})
    web = socket.socket(socket.AF_UNIX)
    web.connect(f"{place}/web")
    web.sendall(b"POST /call/p@h2.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]")
    session, _ = gateway.expect(played.OPEN)
    _, msgid, method, params = gateway.request()
    assert (method, params) == ("p@h2.echo", [1])
    gateway.answer(session, msgid, error={"code": "HOST_LOST", "message": "h2 went", "ran": "maybe", "host": "h2"})
    web.settimeout(harness.DEADLINE)
    answer = b""
    while b"\n\r\n" not in answer and b'"host"' not in answer:
        answer += web.recv(4096)
    assert answer.startswith(b"HTTP/1.1 502") and b'"HOST_LOST"' in answer
    assert gateway.expect(played.CLOSE) == [session]
    web.close()


# ---- the gateway dies, and is slow ----


def test_a_gateway_that_says_nothing_is_killed(cluster):
    daemon, gateway = cluster()
    with daemon.client().maps() as c:
        call, _, _ = forwarded(c, gateway, "p@h2.echo", 1)
        c.deadline = 30 + harness.DEADLINE
        assert c.wait(call)[0]["code"] == "HOST_LOST"
        daemon.wait_log("has said nothing for 10 s")


def test_the_gateway_dies_and_is_started_again(cluster):
    daemon, gateway = cluster()
    with daemon.client().maps() as c:
        mine, _, _ = forwarded(c, gateway, "p@h2.echo", 1)
        local = c.start("p.sleep", 0.2)
        cluster.players.path.rename(cluster.players.path.with_suffix(".away"))
        os.kill(gateway.pid, signal.SIGKILL)
        error, _ = c.wait(mine)
        assert (error["code"], error["ran"]) == ("HOST_LOST", "maybe") and "killed by signal 9" in error["message"]
        assert (error["host"], error["pool"]) == ("h2", "p")
        assert c.wait(local)[0] is None
        error = c.error("p@h2.echo", 1)
        assert (error["code"], error["ran"], error["host"]) == ("UNREACHABLE", "no", "h2"), error
        assert c.error("objpool.lease", "p@h3")["host"] == "h3" and "host" not in c.error("p@*.echo", 1)
        daemon.wait_log("can't run .*: No such file")
        assert "No such file" in c.error("p@h2.echo", 1)["message"]
        cluster.players.path.with_suffix(".away").rename(cluster.players.path)
        after = cluster.players.next()
        after.expect(played.CONFIG)
        mine, session, theirs = forwarded(c, after, "p@h2.echo", 2)
        after.answer(session, theirs, 2)
        assert c.wait(mine) == (None, 2)
        hosts = c.value("objpool.hosts")["gateway"]
        assert (hosts["starts"], hosts["lost"]) == (2, 1)


def test_what_it_has_answered_before_it_died_arrives(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        mine, session, theirs = forwarded(c, gateway, "p@h2.echo", 1)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        gateway.answer(session, theirs, 1)
        os.kill(gateway.pid, signal.SIGKILL)
        os.kill(daemon.process.pid, signal.SIGCONT)
        assert c.wait(mine) == (None, 1)


def test_what_was_not_sent_has_not_run(cluster):
    daemon, gateway = cluster()
    with daemon.client().maps() as c:
        calls = [c.start("p@h2.echo", b"x" * 1000000) for _ in range(3)]  # more than the socket holds
        wait_for(lambda: daemon.client().value("objpool.hosts")["gateway"]["requests"] == 3, lambda: "the requests")
        os.kill(gateway.pid, signal.SIGKILL)
        ran = [c.wait(call)[0]["ran"] for call in calls]
        assert ran[-1] == "no" and set(ran) <= {"maybe", "no"} and sorted(ran) == ran


@pytest.mark.parametrize("bytes_", [b"\xc1", msgpack.packb([9, 1]), msgpack.packb("x"), msgpack.packb([played.SESSION, 1, "h2", "x"]),
                                    msgpack.packb([played.HOSTS, [{"name": 7}], {}]), msgpack.packb([played.MESSAGE_BACK, 1, [0, 1, "p.echo", []]])])
def test_a_gateway_that_breaks_the_protocol(cluster, bytes_):
    daemon, gateway = cluster()
    with daemon.client().maps() as c:
        mine, _, _ = forwarded(c, gateway, "p@h2.echo", 1)
        gateway.link.sendall(bytes_)
        assert c.wait(mine)[0]["code"] == "HOST_LOST"
        daemon.wait_log("no message of a gateway")
        cluster.players.next().expect(played.CONFIG)
        assert c.value("p.echo", 1) == 1


def test_a_program_that_can_t_be_run(start, place):
    file = place / "x.conf"
    file.write_text("[daemon]\nlisten = unix:/tmp/x\n" + CLUSTER.format(program=place / "nothing"))
    place.chmod(0o755)
    done = subprocess.run([harness.BUILD / "objpoold", "--config", file, "--check"], text=True, capture_output=True, timeout=harness.DEADLINE)
    assert done.returncode == 1 and "[cluster] needs objpool-gateway" in done.stderr
    daemon = start(users=CLUSTER.format(program=place / "nothing"))
    daemon.wait_log("cluster: can't run .*/nothing: No such file")
    with daemon.client().maps() as c:
        assert c.value("p.echo", 1) == 1
        error = c.error("p@h2.echo", 1)
        assert (error["code"], error["ran"]) == ("UNREACHABLE", "no") and "No such file" in error["message"]
        assert c.value("objpool.hosts")["bus"]["state"] == "stopped"


def test_a_gateway_that_does_not_read_holds_only_those_who_call_other_hosts(cluster):
    daemon, gateway = cluster()
    flood = msgpack.packb([2, "p@h2.echo", [b"x" * 100000]])
    with daemon.client() as c, daemon.client() as local:
        c.socket.setblocking(False)
        sent = 0
        try:
            while sent < 100 << 20:
                sent += c.socket.send(flood[sent % len(flood):])
                harness.select.select([], [c.socket], [], 1)
        except BlockingIOError:
            pass
        assert sent < 20 << 20                                     # it is not read any more
        assert local.value("p.echo", 1) == 1
        status = {row["session"]: row for row in local.value("objpool.clients")}
        assert sum(row["memory"] for row in status.values()) < 16 << 20
        got = 0
        gateway.expect(played.OPEN)
        while got < sent // len(flood):
            gateway.expect(played.MESSAGE)
            got += 1
        c.socket.setblocking(True)
        c.send_raw(flood[sent % len(flood):] if sent % len(flood) else flood)
        gateway.expect(played.MESSAGE)


def test_a_client_that_does_not_read_is_not_confirmed(cluster):
    daemon, gateway = cluster()
    with daemon.client() as c:
        mine, session, theirs = forwarded(c, gateway, "objpool.call", "p@*:map", "echo", [[1]], {"stream": True})
        piece = [2, "objpool.result", [theirs, 0, None, b"x" * 100000]]
        for _ in range(30):
            gateway.send(played.MESSAGE_BACK, session, piece)
        taken = 0
        for _ in range(30):
            c.receive()
        while taken < 30 * 100000 - (128 << 10):
            number, count = gateway.expect(played.TAKEN)
            assert number == session
            taken += count
        assert taken <= 30 * len(msgpack.packb(piece))


# ---- reload, stop ----


def test_reload(cluster, place):
    daemon, gateway = cluster()

    def reload(old, new):
        daemon.users = daemon.users.replace(old, new)
        daemon.write_config()
        with daemon.client() as admin:
            admin.value("objpool.reload")

    reload("domain = test\n", "domain = other\n")
    config, = gateway.expect(played.CONFIG)
    assert config["domain"] == "other" and config["remotes"] == {}
    daemon.users += "[remote q]\n"
    reload("", "")
    config, = gateway.expect(played.CONFIG)
    assert config["domain"] == "other" and list(config["remotes"]) == ["q"]
    daemon.pools["p"]["share"] = "no"
    reload("", "")
    gateway.expect(played.CONFIG)
    gateway.wait_pools(lambda pools: pools == {})
    with daemon.client().maps() as c:
        mine, _, _ = forwarded(c, gateway, "q.echo", 1)
        before = daemon.users
        reload(before, "")
        assert c.wait(mine)[0]["code"] == "HOST_LOST"
        assert "needs [cluster]" in c.error("p@h2.echo", 1)["message"] and c.error("q.echo", 1)["code"] == "NO_SUCH_POOL"
        assert c.value("objpool.hosts")["name"] is None
        daemon.users = before
        reload("", "")
        again = cluster.players.next()
        again.expect(played.CONFIG)
        mine, session, theirs = forwarded(c, again, "p@h2.echo", 1)
        again.answer(session, theirs, 1)
        assert c.wait(mine) == (None, 1)


def test_drain(cluster):
    daemon, gateway = cluster()
    with daemon.client().maps() as c:
        mine, session, theirs = forwarded(c, gateway, "p@h2.echo", 1)
        daemon.process.send_signal(signal.SIGTERM)
        gateway.expect(played.DRAIN)
        assert c.error("p@h2.echo", 1)["code"] == "UNAVAILABLE"
        gateway.answer(session, theirs, 1)
        assert c.wait(mine) == (None, 1)
        while gateway.receive() is not None:
            pass
        gateway.close()
        assert daemon.process.wait(harness.DEADLINE) == 0


# ---- who is there ----


HOST = {"name": "h2", "state": "ready", "incarnation": 1 << 63, "since_ms": 5000, "heard_ms": 100, "rtt_us": 250,
        "pools": [["p", "Probe", 4, 3, 2, 1], ["q", "Q", 1, 1, 0, 0]], "calls": 7, "late": 5, "new": [1]}
BUS = {"server": "nats://127.0.0.1:1", "reconnects": 2, "slow": 3, "late": 4, "memory": 50, "memory_limit": 60, "in_bytes": 70}


def test_hosts(cluster):
    daemon, gateway = cluster()
    gateway.send(played.STATE, "connected", "to nats://127.0.0.1:1")
    gateway.send(played.LOG, 4, "a word")
    gateway.send(played.HOSTS, [{"name": "h1", "state": "self", "pools": []}, HOST], BUS)
    daemon.wait_log("cluster: connected: to nats://127.0.0.1:1")
    daemon.wait_log("gateway: a word")
    with daemon.client() as c:
        wait_for(lambda: c.value("objpool.hosts")["hosts"], lambda: "hosts")
        hosts = c.value("objpool.hosts")
        assert (hosts["name"], hosts["domain"], hosts["bus"]["state"], hosts["bus"]["reconnects"]) == ("h1", "test", "connected", 2)
        assert {key: hosts["gateway"][key] for key in ("late", "memory", "memory_limit")} == {"late": 4, "memory": 50, "memory_limit": 60}
        assert [host["name"] for host in hosts["hosts"]] == ["h1", "h2"]
        other = hosts["hosts"][1]
        assert (other["state"], other["incarnation"], other["rtt_us"], other["since_s"]) == ("ready", "8000000000000000", 250, 5)
        assert other["pools"][0] == {"pool": "p", "class": "Probe", "slots": 4, "ready": 3, "queue": 2, "running": 1}
        assert (other["calls"], other["served"], other["late"], other["lost"]) == (7, 0, 5, 0)


def test_pools_of_other_hosts_are_listed(cluster):
    """Those with a plain name here; who may not describe them does not see them."""
    secrets = "".join(f"\n[user {name}]\ntoken_sha256 = {hashlib.sha256(name.encode()).hexdigest()}\ndescribe = {seen}\n"
                      for name, seen in (("one", "r p"), ("all", "*")))
    daemon, gateway = cluster(secrets + "\n[remote p]\n[remote q]\nhosts = h3 h2\n[remote r]\n")
    others = [{"name": name, "state": state, "pools": pools} for name, state, pools in (
        ("h2", "ready", [["q", "Q", 4, 3, 2, 1]]), ("h3", "ready", [["q", "Q", 1, 1, 0, 0], ["p", "Probe", 1, 1, 0, 0]]),
        ("h4", "ready", [["q", "Q", 9, 9, 9, 9]]), ("h5", "gone", [["r", "R", 1, 1, 0, 0]]))]
    gateway.send(played.HOSTS, [{"name": "h1", "state": "self", "pools": []}, *others], BUS)
    with daemon.client() as c:
        assert c.value("objpool.hello", {"token": "all"})["pools"] == ["p", "q", "r"]
        wait_for(lambda: c.value("objpool.hosts")["hosts"], lambda: "hosts")
        here, q, r = c.value("objpool.pools")
        assert here["name"] == "p" and "hosts" not in here
        assert q == {"name": "q", "plugin": "", "class": "Q", "workers": 5, "ready": 4, "state": "ready", "queue": 2, "paused": False,
                     "error": "", "hosts": ["h2", "h3"]}
        assert (r["state"], r["hosts"], r["error"]) == ("unavailable", [], "no other host shares it now")
    with daemon.client() as c:
        assert c.value("objpool.hello", {"token": "one"})["pools"] == ["p", "r"]
        assert [pool["name"] for pool in c.value("objpool.pools")] == ["p", "r"]


def test_events_of_hosts(cluster):
    """Who may ask for events sees them, as objpool.hosts: also who may see no pool's."""
    daemon, gateway = cluster(f"\n[user ci]\ntoken_sha256 = {hashlib.sha256(b'ci').hexdigest()}\ndescribe = other\n")

    def told(hosts):
        gateway.send(played.HOSTS, [{"name": name, "state": state, "incarnation": n, "pools": []} for name, state, n in hosts], {})
    gateway.send(played.STATE, "connected", "to nats://127.0.0.1:1")
    told([("h1", "self", 1), ("h2", "ready", 2)])
    told([("h0", "ready", 7), ("h1", "self", 1), ("h2", "silent", 2), ("h3", "ready", 3)])
    told([("h0", "ready", 8), ("h1", "self", 1), ("h2", "ready", 2), ("h3", "gone", 3)])
    told([("h0", "ready", 8), ("h1", "self", 1), ("h2", "ready", 2)])
    gateway.send(played.STATE, "connecting", "it has gone")
    gateway.send(played.STATE, "refused", "another h1")
    with daemon.client() as c:
        c.value("objpool.hello", {"token": "ci"})

        def events():
            return c.value("objpool.events")["events"]
        wait_for(lambda: any(event["kind"] == "bus.refused" for event in events()), lambda: f"the last event: {events()}")
        assert [(e["kind"], e.get("host"), e["text"]) for e in events()] == [
            ("gateway.started", None, "objpool-gateway has started"),
            ("bus.connected", None, "the bus is connected: to nats://127.0.0.1:1"),
            ("host.ready", "h2", "host h2 is ready"),
            ("host.ready", "h0", "host h0 is ready"), ("host.silent", "h2", "host h2 is not heard: it gets no new calls"),
            ("host.ready", "h3", "host h3 is ready"),
            ("host.ready", "h0", "host h0 has started again"), ("host.ready", "h2", "host h2 is heard again"),
            ("host.gone", "h3", "host h3 is gone"),
            ("bus.lost", None, "the connection to the bus is lost: it has gone"), ("bus.refused", None, "another h1")]
        assert len(c.value("objpool.events", {"kinds": "host"})["events"]) == 7
        os.kill(gateway.pid, signal.SIGKILL)
        wait_for(lambda: any(event["kind"] == "gateway.died" for event in events()), lambda: "its death")
        died = [event for event in events() if event["kind"] == "gateway.died"][0]
        assert (died["text"], died["pid"], died["signal"]) == ("objpool-gateway was killed by signal 9 (Killed)", gateway.pid, 9)


def next_event(stream):
    line = stream.readline()
    assert stream.readline() == b"\n"
    return json.loads(line.removeprefix(b"data: "))


def test_the_page_is_told_of_hosts(cluster):
    """With the pools that its user may describe; it is never sent more than it shows."""
    users = "".join(f"\n[user {name}]\ntoken_sha256 = {hashlib.sha256(name.encode()).hexdigest()}\n{key}\n"
                    for name, key in (("one", "describe = q"), ("all", "watch = yes")))
    daemon, gateway = cluster(users, daemon={"http": "tcp:127.0.0.1:0"})
    host, port = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1).rsplit(":", 1)

    def look(user):
        connection = http.client.HTTPConnection(host, int(port), timeout=harness.DEADLINE)
        connection.request("GET", "/events", headers={"Authorization": f"Bearer {user}"})
        return connection.getresponse()
    gateway.send(played.STATE, "connected", "to nats://127.0.0.1:1")
    gateway.send(played.HOSTS, [{"name": "h1", "state": "self", "pools": []}, HOST], BUS)
    daemon.wait_log("cluster: connected")
    for user, pools in ("one", ["q"]), ("all", ["p", "q"]):
        with look(user) as stream:
            event = next_event(stream)
            told = event["cluster"]
            assert (told["name"], told["state"], told["server"], told["ready"], told["count"]) == ("h1", "connected", BUS["server"], 1, 2)
            other = told["hosts"][1]
            assert (other["name"], other["rtt_us"], other["calls"], [pool["pool"] for pool in other["pools"]]) == ("h2", 250, 7, pools)
            assert [row["kind"] for row in event["host_events"]] == ["gateway.started", "bus.connected", "host.ready"]
    many = [["q", "Q", 1, 1, 0, 0]] * 50
    with look("all") as stream:
        next_event(stream)
        gateway.send(played.HOSTS, [{"name": f"h{i:03}", "state": "ready", "pools": many} for i in range(300)], {})
        while (event := next_event(stream))["cluster"]["count"] != 300:
            assert "host_events" not in event
        assert len(event["cluster"]["hosts"]) == 100 and event["cluster"]["hosts"][0]["pool_count"] == 50
        assert {len(row["pools"]) for row in event["cluster"]["hosts"]} == {20}
        assert len(event["host_events"]) == 50


def test_hosts_for_people_status_and_metrics(cluster):
    daemon, gateway = cluster()
    gateway.send(played.STATE, "connected", "to nats://127.0.0.1:1")
    gateway.send(played.HOSTS, [{"name": "h1", "state": "self", "pools": []}, HOST], BUS)
    daemon.wait_log("cluster: connected")

    def objpool(*words):
        return subprocess.run([harness.BUILD / "objpool", "-s", daemon.address, *words], text=True, capture_output=True, timeout=harness.DEADLINE)

    wait_for(lambda: "h2" in objpool("hosts").stdout, lambda: "h2")
    lines = objpool("hosts").stdout.splitlines()
    assert lines[0] == "host h1 of domain test: connected: to nats://127.0.0.1:1"
    assert [line.split() for line in lines[1:]] == [
        ["HOST", "STATE", "POOL", "READY", "QUEUE", "BUSY", "RTT/us", "CALLS", "IN", "FLIGHT", "LOST"],
        ["h1", "self", "-", "-", "-", "-", "-", "0", "0", "0"],
        ["h2", "ready", "p", "3/4", "2", "1", "250", "7", "0", "0"],
        ["-", "-", "q", "1/1", "0", "0", "-", "-", "-", "-"]]
    assert max(map(len, lines)) <= 80
    assert '"name": "h2"' in objpool("hosts", "--json").stdout
    assert "is host h1 of domain test, connected, 1 other host, 0 under way there" in objpool("status").stdout
    printed = objpool("top", "-b", "-n", "1").stdout
    assert ", 1 other host, " in printed and [line.split()[:4] for line in printed.splitlines()[-3:]] == [
        ["HOST", "STATE", "READY", "QUEUE"], ["h1", "self", "-/-", "-"], ["h2", "ready", "4/5", "2"]]
    assert "HOST" not in objpool("top", "p", "-b", "-n", "1").stdout
    with daemon.client() as c:
        assert c.value("objpool.status")["cluster"] == {"name": "h1", "domain": "test", "bus": "connected", "hosts": 1, "requests": 0}
        metrics = c.value("objpool.metrics")
        for line in ("objpool_cluster_connected 1", 'objpool_cluster_hosts{state="ready"} 1', 'objpool_host_ready{host="h2"} 1',
                     'objpool_host_rtt_seconds{host="h2"} 0.00025', "objpool_cluster_gateway_starts_total 1", 'objpool_host_calls_total{host="h2"} 7',
                     'objpool_host_late_packets_total{host="h2"} 5', 'objpool_host_duplicate_packets_total{host="h2"} 0',
                     "objpool_cluster_dropped_messages_total 3", "objpool_cluster_late_packets_total 4", "objpool_cluster_received_bytes_total 70",
                     "objpool_cluster_gateway_memory_bytes 50", "objpool_cluster_gateway_memory_limit_bytes 60"):
            assert line in metrics.splitlines(), (line, metrics)


def test_hosts_without_a_cluster(start):
    done = subprocess.run([harness.BUILD / "objpool", "-s", start().address, "hosts"], text=True, capture_output=True, timeout=harness.DEADLINE)
    assert done.returncode == 1 and "in no cluster" in done.stderr


def test_hosts_and_rights(cluster):
    daemon, gateway = cluster(USERS.format(uid=os.getuid()))
    gateway.send(played.HOSTS, [HOST], BUS)
    with daemon.client() as c:
        wait_for(lambda: c.value("objpool.hosts")["hosts"], lambda: "hosts")
        assert [pool["pool"] for pool in c.value("objpool.hosts")["hosts"][0]["pools"]] == ["p"]
    assert gateway.session("h2", "-").maps().error("objpool.hosts")["code"] == "DENIED"
