# SPDX-License-Identifier: Apache-2.0
"""Senders that go at once: their notifications are carried out to the end, their requests are not."""
import os
import signal

import msgpack
import pytest
from harness import wait_for


def notification(method, *params):
    return msgpack.packb([2, method, list(params)])


def full(target, method, args, **options):
    return notification("objpool.call", target, method, list(args), options)


def send_and_go(daemon, data, over="unix"):
    client = daemon.client(daemon.tcp if over == "tcp" else None)
    client.send_raw(data)
    client.close()


def equals(client, method, wanted):
    wait_for(lambda: client.value(method) == wanted, lambda: f"{method} to give {wanted}, not {client.value(method)}")


CASES = {
    "any": notification("p.append", 1),
    "slot": notification("p:1.append", 1),
    "key": notification("p:key=k.append", 1),
    "all": notification("p:all.append", 1),
    "map": notification("p:map.append", [1, 2, 3]),
    "scatter": notification("p:scatter.append", [1, 2]),
    "call": full("p:all", "append", [1]),
    "idempotent": full("p", "append", [1], idempotent=True),
    "sticky": full("p:all", "append", [1], sticky="append"),
}
RUNS = {"any": 1, "slot": 1, "key": 1, "all": 2, "map": 3, "scatter": 2, "call": 2, "idempotent": 1, "sticky": 2}


@pytest.mark.parametrize("over", ["unix", "tcp"])
@pytest.mark.parametrize("busy", [False, True])
def test_notifications_of_a_sender_that_goes(start, over, busy):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        runs = 0
        for kind, message in CASES.items():
            held = [c.start("p:all.sleep", 0.03)] if busy else []
            send_and_go(daemon, message, over)
            for msgid in held:
                assert c.wait(msgid)[0] is None
            runs += RUNS[kind]
            wait_for(lambda runs=runs: sum(map(len, c.value("p:all.list"))) == runs, lambda kind=kind: f"{kind} to run")
        assert c.value("objpool.status")["sessions"] == 1


def test_more_than_a_session_may_have_in_flight(start):
    """What lies in the daemon's buffer and in the kernel's is taken in as the first ones end, and others have their turns."""
    daemon = start(pools={"p": {"workers": 1}}, daemon={"max_inflight": 10})
    with daemon.client() as c:
        running = c.start("p.sleep", 0.1)
        messages = b"".join(notification("p.append", i) for i in range(3000))
        sender = daemon.client()
        sender.send_raw(messages + notification("p.append", 3000) + b"\x93\x02")
        sender.close()
        echo, listed = c.start("p.echo", 1), c.start("p.list")
        c.wait(running)
        assert c.wait(echo)[1] == 1
        assert len(c.wait(listed)[1]) < 3000
        wait_for(lambda: len(c.value("p.list")) == 3001, lambda: "all that it left")
        assert c.value("p.list") == list(range(3001))
        wait_for(lambda: c.value("objpool.status")["sessions"] == 1, lambda: "the connection to be closed")


def test_a_sender_that_does_not_read_and_goes(start):
    daemon = start(pools={"p": {"workers": 1}}, daemon={"max_unsent": 4096})
    with daemon.client() as c:
        sender = daemon.client()
        for i in range(100):
            sender.start("p.blob", 30000)
        sender.send_raw(notification("p.set", "left"))
        wait_for(lambda: c.value("p.calls") > 3, lambda: "some of its calls to run")
        sender.close()
        equals(c, "p.get", "left")


def test_what_came_before_garbage(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("p.sleep", 0.1)
        with daemon.client() as sender:
            sender.send_raw(notification("p.set", "whole") + b"\xc1" + notification("p.set", "after"))
            assert "BAD_REQUEST" in sender.receive()[2]
            assert sender.receive() is None
        assert c.wait(running)[0] is None
        equals(c, "p.get", "whole")


def test_requests_of_who_has_gone_are_dropped(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("p.sleep", 0.1)
        sender = daemon.client()
        sender.start("p.append", "asked")
        sender.start("objpool.call", "p", "append", ["asked"], {"idempotent": True})
        sender.notify("p.append", "told")
        sender.close()
        c.wait(running)
        equals(c, "p.list", ["told"])
        assert c.value("p.calls") == 4  # sleep, append, list


def test_a_time_limit_and_a_full_queue_still_apply(start):
    daemon = start(pools={"p": {"workers": 1, "max_queue": 3}})
    with daemon.client() as c:
        running = c.start("p.sleep", 60)
        send_and_go(daemon, full("p", "append", ["late"], timeout_ms=20) + b"".join(notification("p.append", i) for i in range(5)))
        status = lambda: c.value("objpool.status", "p")["pools"][0]
        wait_for(lambda: status()["rejected"] == 3 and status()["queue"] == 2, lambda: "the late one to be dropped")
        assert c.value("objpool.cancel", running) is True
        equals(c, "p.list", [0, 1])


def test_the_sessions_end_comes_after_its_notifications(start):
    daemon = start(pools={"p": {"workers": 1}, "idle": {"workers": 1}})
    with daemon.client() as c, daemon.client() as sender:
        session = sender.value("objpool.hello", {})["session"]
        assert sender.value("idle.echo", 1) == 1
        running = c.start("p.sleep", 60)
        sender.notify("p.append", 1)
        sender.close()
        equals(c, "idle.ended", [session])  # nothing of it waits there
        assert c.value("objpool.cancel", running) is True
        equals(c, "p.ended", [session])
        assert c.value("p.list") == [1]


def test_a_lease_lasts_for_the_holders_notifications(start):
    daemon = start(pools={"p": {"workers": 1}, "other": {"workers": 1}})
    with daemon.client() as c, daemon.client() as holder:
        for pool in ("p", "other"):
            assert holder.value("objpool.lease", pool)["slot"] == 0
        holder.send_raw(notification("p:0.sleep", 0.05) + b"".join(notification("p:0.append", i) for i in range(2000)))
        holder.close()
        assert c.value("other.echo", 1) == 1  # given back
        assert c.value("p.list") == list(range(2000))


def test_a_pool_of_a_session_that_goes(start):
    daemon = start(pools={"p": {"workers": 1}}, daemon={"create": "all"})
    pool = {"pool": "mine", "plugin": "probe", "class": "Probe", "workers": 1, "owner": "session"}
    with daemon.client() as c:
        maker = daemon.client()
        maker.value("objpool.create", pool)
        maker.notify("mine.relay", "p.set", "from there")
        maker.close()
        equals(c, "p.get", "from there")
        wait_for(lambda: "mine" not in [p["name"] for p in c.value("objpool.pools")], lambda: "the pool to go with its maker")
        send_and_go(daemon, notification("objpool.create", {**pool, "pool": "kept", "owner": "daemon"}) +
                    notification("objpool.create", {**pool, "pool": "gone"}))
        wait_for(lambda: sorted(p["name"] for p in c.value("objpool.pools")) == ["kept", "p"], lambda: "one pool to stay")
        assert c.value("kept.echo", 1) == 1


def test_workers_that_die(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        pid = c.value("p.pid")
        running = c.start("p.sleep", 20)
        wait_for(lambda: c.value("objpool.status", "p")["pools"][0]["slots"][0]["running"] == "sleep", lambda: "it to run")
        send_and_go(daemon, b"".join(notification("p.append", i) for i in range(5)))
        wait_for(lambda: c.value("objpool.status", "p")["pools"][0]["queue"] == 5, lambda: "them to wait")
        os.kill(pid, signal.SIGKILL)
        assert "WORKER_LOST" in c.wait(running)[0]
        equals(c, "p.list", [0, 1, 2, 3, 4])


def test_a_drain_and_a_drop(start):
    daemon = start(pools={"p": {"workers": 1}, "q": {"workers": 1}, "dropped": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("q.sleep", 60)
        c.start("dropped.sleep", 20)
        send_and_go(daemon, notification("dropped.append", 1) + notification("q.print", "carried out", "stdout"))
        wait_for(lambda: [p["queue"] for p in c.value("objpool.status")["pools"]] == [0, 1, 1], lambda: "them to wait")
        assert c.value("objpool.drop", "dropped") is True
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("finishing what runs")
        c.notify("objpool.cancel", running)
        assert daemon.process.wait(20) == 0
    daemon.wait_log("carried out")


def test_senders_that_went_are_no_connections(start):
    daemon = start(pools={"p": {"workers": 2}}, daemon={"max_connections": 100})
    with daemon.client() as c:
        assert c.value("objpool.ping") == []
        before = daemon.descriptors()
        busy = c.start("p:all.sleep", 60)
        for round in range(1, 6):
            for _ in range(80):
                send_and_go(daemon, notification("p.append", 1))
            wait_for(lambda n=80 * round: c.value("objpool.status", "p")["pools"][0]["queue"] == n, lambda: "them to wait")
        wait_for(lambda: daemon.descriptors() <= before, lambda: "their descriptors to be closed")
        assert c.value("objpool.cancel", busy) is True
        wait_for(lambda: sum(map(len, c.value("p:all.list"))) == 400, lambda: "all of them")
