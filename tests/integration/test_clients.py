# SPDX-License-Identifier: Apache-2.0
"""Who is connected, how a connection is closed for its client, and what the log tells of those who administer."""
import json
import os
import re
import signal
import subprocess

import pytest
from harness import BUILD, Client, wait_for


def clients(client):
    return {entry["session"]: entry for entry in client.value("objpool.clients")}


def hello(client, name="test"):
    return client.value("objpool.hello", {"client": name})["session"]


def wait_running(client):
    wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "a method to run")


def test_who_is_there_and_what_it_waits_for(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as admin, daemon.client() as c, Client(daemon.tcp) as tcp:
        me, it, far = hello(admin, "me"), hello(c, "it\n\x1b[1m"), hello(tcp, "far")
        [c.value("p.echo", i) for i in range(3)]
        running = c.start("p.sleep", 30)
        wait_running(admin)
        queued = tcp.start("p.echo", 1)
        leased = tcp.start("objpool.lease", "p")
        wait_for(lambda: clients(admin)[far]["in_flight"] == 2, lambda: "the lease to wait")
        there = clients(admin)
        assert sorted(there) == sorted([me, it, far])
        assert there[me]["peer"] == f"process {os.getpid()}, user {os.getuid()}, group {os.getgid()}"
        assert there[far]["peer"] == "tcp:127.0.0.1:%d" % tcp.socket.getsockname()[1]
        assert there[far]["user"] is None and there[far]["by"] == "anyone" and there[far]["name"] == "far"
        assert there[it]["calls"] == 4 and there[it]["in_flight"] == 1 and there[it]["unsent"] == 0
        assert there[it]["waits_for"] == "p.sleep" and there[it]["waits_slot"] == 0 and there[it]["waits_s"] > 0
        assert there[far]["waits_for"] == "p.echo" and there[far]["waits_slot"] is None
        assert there[me]["waits_for"] is None and there[me]["waits_s"] == 0 and there[me]["since_s"] >= there[far]["since_s"]
        tcp.notify("objpool.cancel", queued)
        wait_for(lambda: clients(admin)[far]["waits_for"] == "a lease of p", lambda: "the lease to be the oldest")
        c.value("objpool.cancel", running)
        assert tcp.wait(leased)[0] is None
        assert clients(admin)[far]["leases"] == 1
        shown = subprocess.run([BUILD / "objpool", "-s", daemon.address, "clients"], capture_output=True, text=True, check=True)
        assert r"it\n\e[1m" in shown.stdout and "p.echo" not in shown.stdout
        rows = subprocess.run([BUILD / "objpool", "-s", daemon.address, "clients", "--json"], capture_output=True, text=True,
                              check=True).stdout.splitlines()
        assert {json.loads(row)["session"] for row in rows} > {me, it, far}


def test_kick(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as admin, daemon.client() as c:
        hello(admin)
        it = hello(c, "it")
        c.start("p.sleep", 30)
        c.start("p.echo", 1)
        c.start("objpool.lease", "p")
        wait_running(admin)
        assert admin.value("objpool.kick", it) is True
        assert c.receive() is None  # the connection is closed
        wait_for(lambda: it not in clients(admin), lambda: "the session to go")
        assert admin.value("objpool.kick", it) is False
        kick = subprocess.run([BUILD / "objpool", "-s", daemon.address, "kick", str(it)], capture_output=True, text=True)
        assert (kick.returncode, kick.stdout) == (1, "false\n"), kick.stderr
        assert admin.value("p.echo", 2) == 2  # what it had asked for has ended
        assert admin.error("objpool.kick", "it").startswith("BAD_ARGUMENT: ")
    daemon.wait_log(rf"session \d+ \(user root by root, process {os.getpid()}, .*, \"test\"\): objpool.kick {it}: done")


def test_who_kicks_itself_is_answered(start):
    daemon = start()
    with daemon.client() as c:
        assert c.value("objpool.kick", hello(c)) is True
        assert c.receive() is None


def test_who_does_not_read_is_kicked_as_well(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as admin, daemon.client() as c:
        it = hello(c)
        for _ in range(40):
            c.start("p.blob", 1 << 20)
        wait_for(lambda: clients(admin)[it]["unsent"] > 1 << 20, lambda: "its answers not to be read")
        assert admin.value("objpool.kick", it) is True
        wait_for(lambda: it not in clients(admin), lambda: "the session to go")
        assert admin.value("p.echo", 2) == 2


def test_a_notification_of_who_is_kicked_is_carried_out(start, place):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as admin, daemon.client() as c:
        it = hello(c)
        before = admin.value("p.calls")
        c.start("p.sleep", 30)
        wait_running(admin)
        c.notify("p.echo", 1)
        wait_for(lambda: clients(admin)[it]["in_flight"] == 2, lambda: "the notification to come")
        assert admin.value("objpool.kick", it) is True
        wait_for(lambda: admin.value("p.calls") > before + 2, lambda: "the notification to be carried out")


@pytest.mark.parametrize("kick_last", [True, False])
def test_many_are_kicked_at_once_while_they_ask(start, kick_last):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as admin:
        hello(admin)
        others = [daemon.client() for _ in range(20)]
        ids = [hello(other) for other in others]
        for other in others:
            for i in range(200):
                other.start("objpool.ping", i)
        asked = [admin.start("objpool.kick", i) for i in (reversed(ids) if kick_last else ids)]
        assert all(admin.wait(i) == (None, True) for i in asked)
        for other in others:
            while other.receive() is not None:
                pass
            other.close()
        wait_for(lambda: len(clients(admin)) == 1, lambda: "all to go")


def test_the_log_tells_who_did_what(start):
    daemon = start()
    with daemon.client() as c, Client(daemon.tcp) as tcp:
        hello(c, 'x" y\nforged')
        c.value("objpool.scale", "p", 3)
        c.error("objpool.drop", "not\nthere")
        c.value("objpool.create", {"pool": "n", "plugin": "probe", "class": "Probe", "kwargs": {"tag": "s3cret"}})
        tcp.value("objpool.resume", "p")
        tcp.value("objpool.status")
        c.value("objpool.ping")
    who = rf"session \d+ \(user root by root, process {os.getpid()}, user \d+, group \d+, \"x\" y\\nforged\"\)"
    for what in ("scale p 3: accepted", r"drop not\\nthere: NO_SUCH_POOL: there is no pool .*", "create n: accepted"):
        daemon.wait_log(f"(?m)^.*{who}: objpool.{what}$")
    daemon.wait_log(r"session \d+ \(tcp:127.0.0.1:\d+\): objpool.resume p: done")
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0  # the log is whole
    assert "s3cret" not in daemon.log() and not re.search("objpool.(status|ping)", daemon.log())


def test_the_log_is_not_filled(start):
    daemon = start()
    with daemon.client() as c:
        asked = [c.start("objpool.resume", "p") for _ in range(300)]
        assert all(c.wait(i) == (None, False) for i in asked)
        c.value("objpool.shutdown")
    assert daemon.process.wait(20) == 0  # the log is whole
    assert len(re.findall("objpool.resume p: done", daemon.log())) == 100


def test_who_may_see_and_close_connections(start):
    daemon = start(daemon={"admin": "unix"})
    with Client(daemon.tcp) as tcp:
        assert tcp.error("objpool.clients").startswith("DENIED: ")
        assert "watch" not in tcp.value("objpool.whoami")["rights"]
        assert tcp.error("objpool.kick", 1).startswith("DENIED: ")
        assert not re.search("objpool.kick", daemon.log().split("DENIED")[0])


def test_the_rights_of_users(start):
    uid = os.getuid()
    daemon = start(users=f"[user w]\nuid = {uid}\nwatch = yes\n")
    with daemon.client() as c:
        it = hello(c)
        assert clients(c)[it]["user"] == "w" and clients(c)[it]["by"] == "uid"
        assert c.error("objpool.kick", it).startswith('DENIED: user w may not "operate" kick')
        daemon.users = f"[user o]\nuid = {uid}\noperate = yes\n"
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        assert c.error("objpool.clients").startswith('DENIED: user o may not "watch" clients')
        assert c.value("objpool.kick", it) is True
    daemon.wait_log(r"\(user o by uid, process .*objpool.kick")
