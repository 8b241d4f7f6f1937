# SPDX-License-Identifier: Apache-2.0
"""objpool.events, and `objpool events`: what happens in the daemon is told, once, in order, and to those who may know it."""
import datetime
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from harness import BUILD, DEADLINE, SLOW, Client, wait_for
from test_cages import tree  # noqa: F401
from test_rights import CI, sha

KEPT = 1000     # events that the daemon keeps
READERS = 64


class Events:
    """A stream of events over a connection of its own."""

    def __init__(self, daemon, client=None, **options):
        self.client = client or daemon.client().maps()
        self.msgid = self.client.start("objpool.call", "objpool", "events", [options], {"stream": True})
        self.index = 0
        self.answer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def next(self):
        """The next event; None: the stream has ended, and `answer` is set."""
        message = self.client.receive()
        assert message is not None, "the daemon closed the connection"
        if message[0] == 1:
            assert message[1] == self.msgid
            self.answer = (message[2], message[3])
            return None
        assert message[:2] == [2, "objpool.result"] and message[2][:3] == [self.msgid, self.index, None], message
        self.index += 1
        return message[2][3]

    def until(self, kind, **fields):
        """The next event of that kind with these fields, and what came before it."""
        before = []
        while True:
            event = self.next()
            assert event is not None, (kind, fields, before)
            if event["kind"] == kind and fields.items() <= event.items():
                return event, before
            before.append(event)

    def all(self):
        found = []
        while True:
            event = self.next()
            if event is None:
                return found
            found.append(event)


def kept(client, **options):
    return client.value("objpool.events", options)["events"]


def kinds(events):
    return [event["kind"] for event in events]


def change(client, count, pool="p"):
    """Makes 2 * count events that nothing bounds."""
    for begin in range(0, count, 100):
        calls = [client.start(f"objpool.{method}", pool) for _ in range(min(100, count - begin)) for method in ("pause", "resume")]
        for call in calls:
            client.wait(call)


# ---- each kind ----


def test_the_beginning_and_the_form(start):
    before = time.time()
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        events = kept(client)
        assert [e["number"] for e in events] == list(range(1, len(events) + 1))
        assert kinds(events) == ["pool.created", "template.started", "template.ready", "slot.starting", "slot.ready",
                                 "daemon.started"]
        (pid,) = daemon.pids(client)
        ready = events[4]
        assert list(ready) == ["time", "at_s", "number", "kind", "pool", "slot", "generation", "pid", "text"]
        assert (ready["pool"], ready["slot"], ready["generation"], ready["pid"]) == ("p", 0, 1, pid)
        at = datetime.datetime.strptime(ready["time"], "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        assert abs(at - ready["at_s"]) < 0.001 and before - 1 < at < time.time() + 1
        assert events[0]["text"] == "1 worker with Probe of probe" and "session" not in events[0]
        assert events[-1]["pid"] == daemon.process.pid and "1 of 1 instances ready" in events[-1]["text"]
        assert client.value("objpool.events")["last"] == len(events)


def test_deaths_failures_and_pauses_before_a_start(start):
    daemon = start({"p": {"workers": 1}, "bad": {"workers": 1, "kwargs": '{"fail": "no licence"}'}})
    with daemon.client() as client, Events(daemon, pool="p", last=0) as events:
        (failed, *_), (backoff, *_) = kept(client, kinds="slot.failed"), kept(client, kinds="slot.backoff")
        assert failed["text"] == "there is no instance: the constructor failed: ProbeError: no licence"
        assert (failed["pool"], failed["slot"], failed["generation"], failed["exit_status"]) == ("bad", 0, 1, 1)
        assert backoff["text"] == "the next start follows in 0.100 s" and backoff["number"] == failed["number"] + 1
        (pid,) = daemon.pids(client)
        client.value("p.print", "the disk\n is \x1b[31m full", "stderr")
        client.error("p.crash", 9)
        died, _ = events.until("slot.died")
        assert (died["signal"], died["pid"], died["generation"], died["slot"]) == (9, pid, 1, 0)
        assert died["text"] == "the worker was lost: killed by signal 9 (Killed)"
        assert died["last_words"] == r" is \e[31m full"
        events.until("slot.starting", generation=2)
        events.until("slot.ready", generation=2)
        client.error("p.exit", 3)
        died, _ = events.until("slot.died")
        assert died["exit_status"] == 3 and "signal" not in died and "last_words" not in died
        client.error("p.crash", 9)
        events.until("slot.died")
        assert events.next()["kind"] == "slot.backoff"


def test_calls_that_are_killed(start, tree):  # noqa: F811
    daemon = start({"p": {"workers": 1, "cancel_grace": 0.05}, "m": {"workers": 1, "memory_max": "256M"}})
    with daemon.client() as client, Events(daemon, kinds=["call", "slot.died", "slot.killed"]) as events:
        assert client.full("p", "sleep_hard", [1000], timeout_ms=50)[0].startswith("TIMEOUT")
        killed, before = events.until("call.killed", pool="p")
        assert not before and killed["text"].startswith("sleep_hard, which had run for 0.")
        assert killed["text"].endswith(": a cancelled call did not end within cancel_grace")
        died, before = events.until("slot.died", pool="p")
        assert not before and died["signal"] == 9 and "cancel_grace" in died["text"] and died["pid"] == killed["pid"]
        (leaf,) = tree.glob("m.*/0.1")
        (leaf / "memory.events").write_text("oom 1\noom_kill 1\n")
        (pid,) = daemon.pids(client, "m")
        call = client.start("m.spin", 1000)
        wait_for(lambda: client.value("objpool.status", "m")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        os.kill(pid, signal.SIGKILL)
        assert client.wait(call)[0].startswith("WORKER_LOST")
        killed, _ = events.until("call.killed", pool="m")
        assert killed["pid"] == pid and killed["text"].startswith("spin, which had run for ")
        assert killed["text"].endswith("killed by the kernel's out-of-memory killer: memory_max = 256M")
        events.until("slot.died", pool="m", signal=9)


def test_an_instance_that_starts_too_slowly(start):
    daemon = start({"p": {"workers": 1, "start_timeout": 1, "kwargs": '{"sleep": 1000}'}})
    with Events(daemon) as events:
        killed, _ = events.until("slot.killed")
        failed, _ = events.until("slot.failed")
        assert "start_timeout" in killed["text"] and killed["text"] in failed["text"] and failed["signal"] == 9


def test_why_instances_are_replaced(start):
    daemon = start({"p": {"workers": 1}, "few": {"workers": 1, "max_calls": 2}, "old": {"workers": 1, "max_age": 0.1}})
    with daemon.client() as client, Events(daemon, kinds=["slot.replaced", "pool.changed", "template"], last=0) as events:
        old, _ = events.until("slot.replaced", pool="old")
        assert old["text"] == "a new instance has taken the place: max_age"
        daemon.pools["old"]["max_age"] = 0
        daemon.write_config()
        client.value("objpool.reload")
        client.value("objpool.restart", "p")
        assert events.until("slot.replaced", pool="p")[0]["text"].endswith(": restart")
        client.value("few.pid"), client.value("few.pid")
        replaced, _ = events.until("slot.replaced", pool="few")
        assert replaced["text"].endswith(": max_calls") and replaced["generation"] == 2
        client.value("objpool.reload_code", "p")
        ready, _ = events.until("template.ready", pool="p")
        assert ready["text"].startswith("template 2 has loaded its class in ")
        assert events.until("slot.replaced", pool="p")[0]["text"].endswith(": reload")
        assert events.until("pool.changed", pool="p")[0]["text"] == "reload: restarted"


def test_templates_that_fail_and_die(start):
    daemon = start({"p": {"workers": 1}, "none": {"plugin": "nothing-here", "workers": 1}})
    with daemon.client() as client, Events(daemon, kinds="template") as events:
        failed, _ = events.until("template.failed", pool="none")
        assert "nothing-here.so" in failed["text"] and failed["pid"] > 0
        pid = client.value("objpool.status", "p")["pools"][0]["template"]["pid"]
        os.kill(pid, signal.SIGKILL)
        died, _ = events.until("template.died", pool="p")
        assert died["pid"] == pid and died["text"] == "the template process died"


def test_pools_and_the_configuration(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, Events(daemon, kinds=["pool", "config"], last=0) as events:
        section = {"pool": "new", "plugin": "probe", "class": "Probe", "workers": 1}
        client.value("objpool.create", section)
        session = client.value("objpool.hello")["session"]
        events.until("pool.created", pool="new", session=session)
        client.value("objpool.scale", "new", 2)
        assert events.until("pool.changed", pool="new", session=session)[0]["text"] == "scaled from 1 to 2 workers"
        client.value("objpool.pause", "new"), client.value("objpool.pause", "new")
        client.value("objpool.resume", "new"), client.value("objpool.resume", "new")
        client.value("objpool.drop", "new")
        _, between = events.until("pool.removed", pool="new")
        assert kinds(between) == ["pool.paused", "pool.resumed"]
        daemon.pools["p"]["workers"] = 2
        daemon.write_config()
        client.value("objpool.reload")
        assert events.next()["text"] == f"{daemon.config} was read"
        assert events.until("pool.changed", pool="p")[0]["text"] == "reload: resized"
        daemon.pools["p"]["workers"] = "x"
        daemon.write_config()
        client.error("objpool.reload")
        refused = events.next()
        assert refused["kind"] == "config.refused" and "objpoold.conf:" in refused["text"], refused


def test_full_queues(start):
    daemon = start({"p": {"workers": 1, "max_queue": 2}})
    with daemon.client().maps() as client:
        for _ in range(50):
            client.start("p.sleep", 1000)
        client.value("objpool.ping")
        wait_for(lambda: kept(client, kinds="pool.full"), lambda: "pool.full")
        (full,) = kept(client, kinds="pool.full")     # not one for each call
        assert full["text"].startswith("its queue is full (max_queue = 2): calls are refused") and full["pool"] == "p"


def test_leases(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, Events(daemon, kinds="lease") as events:
        session = client.value("objpool.hello")["session"]
        client.value("objpool.lease", "p")
        client.value("objpool.release", "p")
        client.value("objpool.lease", "p", {"lease_ms": 20})
        about = {"pool": "p", "slot": 0, "generation": 1, "session": session}
        events.until("lease.opened", **about)
        assert events.next()["kind"] == "lease.released" and events.next()["kind"] == "lease.opened"
        broken, before = events.until("lease.broken", **about)
        assert not before and broken["text"].endswith("has lost its lease: its time is over")
        client.value("objpool.release", "p")
        client.value("objpool.lease", "p")
        client.error("p:0.crash")
        assert events.until("lease.broken")[0]["text"].endswith("the worker died")
        assert set(kinds(kept(client, kinds="lease"))) == {"lease.broken"}  # the others only while somebody reads them


def test_clients(start):
    daemon = start({"p": {"workers": 1}}, {"max_connections": 3})
    with Events(daemon, kinds="client") as events, daemon.client() as client:
        session = client.value("objpool.hello")["session"]
        come, _ = events.until("client.connected", session=session)
        assert come["text"].startswith(f"Unix socket: process {os.getpid()}, ")
        with daemon.client(), daemon.client() as fourth:
            assert fourth.receive()[2].startswith("OVERLOADED")
            assert "max_connections = 3" in events.until("client.refused")[0]["text"]
        events.until("client.gone")
        client.close()
        assert events.until("client.gone", session=session)[0]["text"] == "the client has gone"
    with daemon.client() as client:
        assert set(kinds(kept(client, kinds="client"))) == {"client.refused"}


def test_the_end(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, Events(daemon, kinds=["daemon", "pool"], last=0) as events:
        call = client.start("p.sleep", 0.3)
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"], lambda: "the call to run")
        daemon.signal(signal.SIGTERM)
        draining = events.next()
        assert (draining["kind"], draining["text"]) == ("daemon.draining", "the daemon takes no new calls, finishes 1 call, and stops")
        assert client.wait(call)[0] is None
        assert kinds(events.all()) == ["daemon.stopping", "pool.removed"]
        assert events.answer == (None, {"items": 3, "failed": 0})
        assert daemon.process.wait(DEADLINE) == 0


# ---- reading ----


def test_where_a_reader_begins_and_what_it_wants(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})
    with daemon.client() as client:
        change(client, 2)
        all_of_them = kept(client)
        numbers = [e["number"] for e in all_of_them]
        assert kinds(kept(client, kinds="pool", pool="p")) == ["pool.created"] + 2 * ["pool.paused", "pool.resumed"]
        assert {e["pool"] for e in kept(client, pool="q")} == {"q"}
        assert kept(client, after=numbers[-3]) == kept(client, last=2) == all_of_them[-2:]
        assert kept(client, last=2, pool="q") == kept(client, pool="q")[-2:] and kept(client, last=0) == []
        assert kept(client, after=10**9) == all_of_them            # a number of an earlier daemon
        at = all_of_them[-1]["at_s"]
        assert kept(client, since=at)[-1] == all_of_them[-1] and kept(client, since=at + 3600) == []
        assert kept(client, since=0, kinds=None, follow=None, last=None) == all_of_them
        with Events(daemon, follow=False) as events:
            assert events.all() == all_of_them and events.answer == (None, {"items": len(all_of_them), "failed": 0})
        with Events(daemon, last=1) as events:
            assert events.next() == all_of_them[-1]
            change(client, 1)
            assert events.next()["number"] == numbers[-1] + 1


def test_the_ring_is_bounded(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        change(client, 2 * KEPT)
        memory = daemon.rss()
        answer = client.value("objpool.events")
        assert len(answer["events"]) == KEPT and answer["last"] == answer["events"][-1]["number"] > 4 * KEPT
        change(client, 2 * KEPT)
        assert daemon.rss() - memory < (16 << 20 if SLOW else 1 << 20)  # a sanitizer keeps what is freed


def test_comings_and_goings_displace_nothing(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, Events(daemon, kinds="lease"):
        before = kept(client)
        for _ in range(KEPT):
            client.value("objpool.lease", "p"), client.value("objpool.release", "p")
        assert client.value("objpool.events")["last"] >= 2 * KEPT and kept(client) == before


def test_a_slow_reader_is_told_what_it_has_lost(start):
    daemon = start({"p": {"workers": 1}})
    slow = daemon.client()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with daemon.client() as client, Events(daemon, slow, kinds="pool", last=0) as events:
        change(client, 5 * KEPT)
        (me,) = [c for c in client.value("objpool.clients") if c["waits_for"] and c["unsent"]]
        assert me["unsent"] < 128 << 10                 # it holds up nobody, and holds next to nothing
        last = kept(client)[-1]["number"]
        seen, lost = [], 0
        while not seen or seen[-1]["number"] < last:
            event = events.next()
            if event["kind"] == "events.lost":
                assert event["number"] == seen[-1]["number"] + event["lost"], event
                assert event["text"].startswith(f"{event['lost']} events of all kinds were overwritten")
                lost += event["lost"]
            else:
                assert not seen or event["number"] == seen[-1]["number"] + 1 or lost > 0
            seen.append(event)
        assert lost > KEPT and lost + len([e for e in seen if e["kind"] != "events.lost"]) == 10 * KEPT


def test_how_a_stream_ends(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as client:
        msgid = client.start("objpool.call", "objpool", "events", [{"last": 0}], {"stream": "runs", "timeout_ms": 30})
        assert client.wait(msgid)[0]["code"] == "TIMEOUT"
        msgid = client.start("objpool.call", "objpool", "events", [{"last": 0}], {"stream": True})
        assert client.value("objpool.cancel", msgid) is True
        assert client.wait(msgid)[0]["code"] == "CANCELLED"
        change(client, 1)                                            # nothing comes of either
    many = [Events(daemon, last=0) for _ in range(READERS)]
    with Events(daemon) as one_more:
        assert one_more.next() is None and one_more.answer[0]["code"] == "OVERLOADED"
    for events in many:
        events.client.close()
    with daemon.client() as client:
        wait_for(lambda: len(client.value("objpool.clients")) == 1, lambda: "the others to have gone")
        with Events(daemon, last=1) as events:
            assert events.next()["kind"] == "pool.resumed"
        client.notify("objpool.call", "objpool", "events", [{}], {"stream": True})
        client.notify("objpool.events")
        client.value("objpool.ping")


def test_events_as_notifications_of_their_own(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as other:
        msgid = client.start("objpool.events", {"follow": True, "last": 1, "pool": "p"})
        kind, method, (of, event) = client.receive()
        assert (kind, method, of) == (2, "objpool.event", msgid) and event == kept(other, pool="p", last=1)[0]
        change(other, 1)
        later = client.receive()[2][1]
        assert later == kept(other, pool="p", after=event["number"])[0]
        client.notify("objpool.cancel", msgid)
        while (message := client.receive())[0] == 2:
            pass
        assert message[1] == msgid and message[2].startswith("CANCELLED: ")


def test_wrong_questions(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client().maps() as client:
        wrong = [{"kinds": "slo"}, {"kinds": ["slot", 1]}, {"kinds": 1}, {"since": "x"}, {"since": -1}, {"after": -1}, {"last": "x"},
                 {"follow": 1}, {"pool": ""}, {"pool": 1}, {"pool": "x" * 300}, {"other": 1}, {1: 1}]
        for options in wrong:
            assert client.error("objpool.events", options)["code"] == "BAD_ARGUMENT", options
        assert client.error("objpool.events", 1)["code"] == client.error("objpool.events", {}, {})["code"] == "BAD_ARGUMENT"
        assert "did you" not in client.error("objpool.events", {"kinds": "slo"})["message"]
        assert kept(client, pool="none") == []
        events = ("objpool.call", "objpool", "events")
        for params in ([], {}), ([{}], 1), ([{}], {"stream": 1}), ([{}], {"stream": "x"}), ([{}], {"nonsense": 1}), (1, {}), \
                ([], {"timeout_ms": "x"}):
            got = client.call(*events, *params)
            assert (got[0] is None) if params == ([], {}) else got[0]["code"] == "BAD_REQUEST", (params, got)
        assert client.call("objpool.call", "objpool")[0]["code"] == "BAD_REQUEST"
        assert client.full("objpool", "pools")[1][0]["name"] == "p"         # a method of the daemon's own is called so, too
        assert client.full("objpool", "pools", stream=True)[0]["code"] == "BAD_REQUEST"
        assert client.full("objpool", "nonsense")[0]["code"] == "NO_SUCH_METHOD"
        assert client.full("objpool", "call")[0]["code"] == "NO_SUCH_METHOD"


# ---- rights ----


def ask(client, **options):
    return client.value("objpool.events", options)["events"]


def test_rights(start):
    watcher = f"[user watcher]\ntoken_sha256 = {sha('watch')}\nwatch = yes\n"
    nobody = f"[user poor]\ntoken_sha256 = {sha('poor')}\ncall = p.*\n"
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, users=CI + watcher + nobody)

    def login(token):
        client = daemon.client()
        client.value("objpool.hello", {"errors": "map", "token": token})
        return client

    with login("secret") as ci, login("watch") as watch, login("poor") as poor:
        assert ci.error("q.echo", 1)["code"] == "DENIED"
        assert {e.get("pool") for e in ask(ci)} == {"p"} and not [k for k in kinds(ask(ci)) if k.startswith(("client", "daemon"))]
        assert ci.error("objpool.events", {"pool": "q"})["code"] == "DENIED"
        assert poor.error("objpool.events")["code"] == poor.error("objpool.events", {"pool": "p"})["code"] == "DENIED"
        assert poor.full("objpool", "events", stream=True)[0]["code"] == "DENIED"
        assert {e.get("pool") for e in ask(watch)} == {"p", "q", None}
        (denied, *_) = [e for e in ask(watch, kinds="client.denied") if "q.echo" in e["text"]]
        assert denied["text"].startswith('user ci may not "call" q.echo (objpoold.conf:')
        with Events(daemon, login("secret"), kinds=["pool", "client"], last=0) as of_ci, \
                Events(daemon, login("watch"), kinds="pool", last=0) as of_watch:
            with daemon.client() as root:       # which no token names
                change(root, 1, "q"), change(root, 1, "p")
            assert [e["pool"] for e in (of_watch.next(), of_watch.next(), of_watch.next(), of_watch.next())] == ["q", "q", "p", "p"]
            assert of_ci.next()["pool"] == of_ci.next()["pool"] == "p"
            daemon.users = daemon.users.replace("describe = p\n", "describe = q\n")     # rights are those of the moment
            daemon.write_config()
            with daemon.client() as root:
                root.value("objpool.reload")
                change(root, 1, "p"), change(root, 1, "q")
            assert of_ci.next()["pool"] == of_ci.next()["pool"] == "q"
    with daemon.client(daemon.tcp).maps() as stranger:
        assert stranger.error("objpool.events")["code"] == "DENIED"
        assert stranger.full("objpool", "events")[0]["code"] == stranger.full("objpool", "none")[0]["code"] == "DENIED"


def test_without_users_the_daemons_own_events_are_for_who_may_administer(start):
    daemon = start({"p": {"workers": 1}}, {"admin": "unix"})
    with daemon.client() as admin, Client(daemon.tcp).maps() as other:
        assert "daemon.started" in kinds(ask(admin))
        assert {e.get("pool") for e in ask(other)} == {"p"}


# ---- the command line ----


@pytest.fixture
def objpool(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})

    def run(*words, status=0, **more):
        done = subprocess.run([BUILD / "objpool", *map(str, words)], text=True, capture_output=True, timeout=60,
                              env={**os.environ, "OBJPOOL_ADDRESS": daemon.address, **more})
        assert done.returncode == status, done
        return done.stdout if status == 0 else done.stderr

    run.daemon = daemon
    return run


def test_the_command(objpool):
    def events(*words, **more):
        return [json.loads(line) for line in objpool("events", *words, **more).splitlines()]

    with objpool.daemon.client() as client:
        change(client, 2)
        all_of_them = kept(client)
        assert events() == all_of_them
        assert events("q") == kept(client, pool="q")
        assert events("p", "-n", 1) == all_of_them[-1:] == events("--after", all_of_them[-2]["number"])
        assert set(kinds(events("-k", "pool.paused,slot"))) == {"pool.paused", "slot.starting", "slot.ready"}
        assert events("--since", "1h30m") == all_of_them == events("--since", int(all_of_them[0]["at_s"]))
        at = datetime.datetime.fromtimestamp(all_of_them[-1]["at_s"] + 3600, datetime.timezone.utc)
        in_utc = at.strftime("%Y-%m-%dT%H:%M:%S")
        later = (at + datetime.timedelta(hours=2)).strftime("%Y-%m-%d %H:%M")
        for since in in_utc + "Z", in_utc + ".5Z", in_utc + "+00:00", later, in_utc:
            assert events("--since", since, TZ="UTC") == [], since
        assert events("--since", in_utc + "+01:10") == events("--since", "2001-01-01") == all_of_them
    for words in ("--since", "x"), ("--since", "1x"), ("--since", "2026-11-29T10:00:00Q"), ("-n", "x"), ("--after", "-1"), ("p", "q"):
        objpool("events", *words, status=2)
    assert "there is no kind of event" in objpool("events", "-k", "nonsense", status=1)
    assert "daemon.started" in objpool("complete", "--", "events", "--kind", "da")


def test_the_command_follows_until_the_daemon_stops(objpool):
    daemon = objpool.daemon
    follower = subprocess.Popen([BUILD / "objpool", "events", "-f", "-n", "1", "p"], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={**os.environ, "OBJPOOL_ADDRESS": daemon.address})
    try:
        assert json.loads(follower.stdout.readline())["kind"] == "slot.ready"
        with daemon.client() as client:
            change(client, 1)
        assert [json.loads(follower.stdout.readline())["kind"] for _ in range(2)] == ["pool.paused", "pool.resumed"]
        daemon.signal(signal.SIGTERM)
        rest, errors = follower.communicate(timeout=DEADLINE)
        assert follower.returncode == 0 and not errors and json.loads(rest.splitlines()[-1])["kind"] == "pool.removed"
    finally:
        follower.kill()
        follower.communicate()


def test_the_command_ends_with_its_reader(objpool):
    follower = subprocess.Popen([BUILD / "objpool", "events", "-f"], text=True, stdout=subprocess.PIPE,
                                env={**os.environ, "OBJPOOL_ADDRESS": objpool.daemon.address})
    try:
        follower.stdout.readline()
        follower.stdout.close()
        with objpool.daemon.client() as client:
            change(client, 50)
        assert follower.wait(DEADLINE) != 0
    finally:
        follower.kill()
        follower.wait()
