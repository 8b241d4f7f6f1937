# SPDX-License-Identifier: Apache-2.0
"""A pool that is paused: what waits, what goes on, who is told."""
from harness import Client, wait_for
from test_metrics import Web


def status(client, pool="p"):
    return client.value("objpool.status", pool)["pools"][0]


def wait_running(client, pool="p"):
    """A task that a worker has, and has not begun, would be taken back."""
    wait_for(lambda: any(slot["running"] for slot in status(client, pool)["slots"]), lambda: "a method to run")


def test_pause_waits_for_what_runs_and_holds_what_comes(start):
    daemon = start({"p": {"workers": 1}}, {"http": "tcp:127.0.0.1:0"})
    with daemon.client() as c, daemon.client() as admin:
        running = c.start("p.sleep", 0.2)
        wait_running(admin)
        queued = c.start("p.echo", "queued")
        pausing = admin.start("objpool.pause", "p")
        late = c.start("p:0.echo", "late")
        items = c.start("p:map.add", [1, 2], [3, 4])
        assert c.wait(running) == (None, 0.2)
        assert admin.wait(pausing) == (None, True)
        assert not c.answers
        pool = status(admin)
        assert pool["paused"] is True and pool["state"] == "paused" and pool["queue"] == 3 and pool["running"] == 0
        assert 'objpool_pool_paused{pool="p"} 1\n' in admin.value("objpool.metrics")
        assert Web(daemon).get("/readyz") == (200, "p ok: paused\n")
        assert admin.value("objpool.pause", "p") is True  # once more
        assert admin.value("objpool.resume", "p") is True
        assert [c.wait(i) for i in (queued, late, items)] == [(None, "queued"), (None, "late"), (None, [4, 6])]
        assert admin.value("objpool.resume", "p") is False
        assert status(admin)["paused"] is False
        assert 'objpool_pool_paused{pool="p"} 0\n' in admin.value("objpool.metrics")
    daemon.wait_log("pool p: paused: nothing runs")


def test_what_waits_may_be_cancelled_or_late(start):
    daemon = start({"p": {"workers": 1, "max_queue": 2}})
    with daemon.client() as c:
        c.value("objpool.pause", "p")
        assert c.full("p", "echo", [1], timeout_ms=20)[0].startswith("TIMEOUT: ")
        waiting = c.start("p.echo", 1)
        c.notify("objpool.cancel", waiting)
        assert c.wait(waiting)[0].startswith("CANCELLED: ")
        leasing = c.start("objpool.lease", "p", {"timeout_ms": 20})
        assert c.wait(leasing)[0].startswith("TIMEOUT: ")
        waiting = [c.start("p.echo", i) for i in range(2)]
        assert c.error("p.echo", 3).startswith("OVERLOADED: ")
        assert c.value("objpool.resume", "p") is True
        assert [c.wait(i) for i in waiting] == [(None, 0), (None, 1)]


def test_a_stream_waits_in_the_middle(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c, daemon.client() as admin:
        stream = c.start("objpool.call", "p:map", "sleep", [[0.02] * 20], {"stream": True, "chunk": 1})
        first = c.receive()
        assert first[1] == "objpool.result"
        admin.value("objpool.pause", "p")
        left = status(admin)["calls"]
        assert left == 1 and status(admin)["running"] == 0
        admin.value("objpool.resume", "p")
        seen = [first[2][1]]
        while True:
            message = c.receive()
            if message[0] == 1:
                break
            seen.append(message[2][1])
        assert seen == list(range(20)) and message[1] == stream and message[2] is None


def test_a_resume_ends_the_wait_for_the_pause(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c, daemon.client() as admin:
        running = c.start("p.sleep", 30)
        wait_running(admin)
        pausing = admin.start("objpool.pause", "p")
        assert admin.value("objpool.resume", "p") is True
        error, _ = admin.wait(pausing)
        assert error.startswith("CANCELLED: pool p was resumed")
        with daemon.client() as other:  # its pause stays when it goes
            other.start("objpool.pause", "p")
            wait_for(lambda: status(admin)["paused"], lambda: "the pool to be paused")
        assert status(admin)["paused"] is True
        c.value("objpool.cancel", running)


def test_nested_calls_come_to_their_end(start):
    daemon = start({"p": {"workers": 2}, "q": {"workers": 1}})
    with daemon.client() as c, daemon.client() as admin:
        running = c.start("p.relay", "q.relay", "p.sleep", 0.2)
        wait_running(admin, "q")
        assert admin.value("objpool.pause", "p") is True
        assert c.wait(running) == (None, 0.2)
        outside = c.start("q.relay", "p.echo", 1)  # of another pool's method: it waits
        wait_for(lambda: status(admin)["queue"] == 1, lambda: "the nested call to wait")
        assert admin.value("objpool.resume", "p") is True
        assert c.wait(outside) == (None, 1)


def test_a_reload_and_the_end(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1, "isolation": "thread"}})
    with daemon.client() as c, daemon.client() as admin:
        for pool in "pq":
            admin.value("objpool.pause", pool)
            daemon.pools[pool]["kwargs"] = '{"tag": "new"}'
        daemon.write_config()
        waiting = c.start("p.tag")
        wait_for(lambda: status(admin, "p")["queue"] == 1, lambda: "the call to wait")
        assert sorted(admin.value("objpool.reload")["restarted"]) == ["p", "q"]
        assert status(admin, "p")["paused"] and status(admin, "q")["paused"]
        later = c.start("q.tag")
        wait_for(lambda: status(admin, "q")["queue"] == 1, lambda: "the call to wait")
        assert admin.value("objpool.shutdown") is True
        assert c.wait(waiting) == (None, "new") and c.wait(later) == (None, "new")
    assert daemon.process.wait(20) == 0


def test_a_daemon_that_stops_pauses_nothing(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c, daemon.client() as admin:
        running = c.start("p.sleep", 30)
        wait_running(admin)
        pausing = admin.start("objpool.pause", "p")
        assert admin.value("objpool.shutdown") is True
        assert admin.wait(pausing)[0].startswith("CANCELLED: ")
        assert admin.error("objpool.pause", "p").startswith("UNAVAILABLE: ")
        c.value("objpool.cancel", running)
    assert daemon.process.wait(20) == 0


def test_who_may_pause(start):
    daemon = start(daemon={"admin": "unix"})
    with Client(daemon.tcp) as tcp, daemon.client() as c:
        assert tcp.error("objpool.pause", "p").startswith("DENIED: ")
        assert tcp.error("objpool.resume", "p").startswith("DENIED: ")
        assert c.error("objpool.pause", "nothing").startswith("NO_SUCH_POOL: ")
        assert c.error("objpool.pause").startswith("BAD_ARGUMENT: ")
