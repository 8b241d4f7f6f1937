# SPDX-License-Identifier: Apache-2.0
"""The daemon's own methods, its signals, and its life."""
import json
import os
import signal
import time

import pytest
from harness import DEADLINE, Client, wait_for


def test_hello_ping_pools_describe(start):
    with start(pools={"p": {"workers": 2}, "q": {"workers": 1}}).client() as c:
        hello = c.value("objpool.hello", {"client": "me", "errors": "map"})
        assert set(hello) == {"server", "version", "protocol", "session", "pools", "limits"}
        assert hello["server"] == "objpool" and hello["pools"] == ["p", "q"] and hello["session"] >= 1
        assert c.value("objpool.ping", 1, "x", [None]) == [1, "x", [None]]
        assert [(p["name"], p["class"], p["workers"], p["ready"], p["state"]) for p in c.value("objpool.pools")] == [
            ("p", "Probe", 2, 2, "ready"), ("q", "Probe", 1, 1, "ready")]
        described = c.value("objpool.describe", "p")
        assert described["class"] == "Probe" and described["doc"]
        assert {"name", "signature", "doc"} <= set(described["methods"][0])
        assert "echo" in [m["name"] for m in described["methods"]]
        assert c.error("objpool.describe", "nope")["code"] == "NO_SUCH_POOL"
        assert c.error("objpool.describe")["code"] == "BAD_ARGUMENT"
        assert c.error("objpool.create", {"pool": "x"})["code"] == "BAD_ARGUMENT"


def test_describe_before_the_class_is_loaded(start, place):
    """A pool that is being started, or sleeps, is told from one that can't be started."""
    (place / "slowly.py").write_text("import os\nopen(os.path.dirname(__file__) + '/gate').read()\nclass A:\n  pass\n")
    os.mkfifo(place / "gate")
    python = {"plugin": "python", "class": "slowly:A", "python_path": json.dumps([str(place)])}
    daemon = start(pools={"p": python, "asleep": {"workers": 0, "workers_max": 1}, "broken": {**python, "class": "nowhere:A"}},
                   expect_ready=False)
    daemon.wait_log("pool broken slot 0: no instance")
    with daemon.client() as c:
        for pool in "p", "asleep":
            assert c.error("objpool.describe", pool) == f"UNAVAILABLE: pool {pool} has not loaded its class yet"
        assert "nowhere" in c.error("objpool.describe", "broken")
        with open(place / "gate", "w"):
            pass
        for pool, name in ("p", "slowly:A"), ("asleep", "Probe"):  # asking has woken it
            described = wait_for(lambda: c.call("objpool.describe", pool)[1], lambda: "the class")
            assert described["class"] == name


def test_status(start):
    daemon = start(pools={"p": {"workers": 2}, "q": {}})
    with daemon.client() as c, daemon.client() as other:
        running = other.start("p:1.sleep", 10)
        slot = wait_for(lambda: [s for s in c.value("objpool.status", "p")["pools"][0]["slots"] if s["running"]], lambda: "a call")[0]
        assert slot["slot"] == 1 and slot["running"] == "sleep" and slot["generation"] == 1 and slot["pid"] > 0
        other.start("objpool.cancel", running)
        other.wait(running)
        c.error("p:0.fail", "the reason")
        status = c.value("objpool.status")
        assert status["pid"] == daemon.process.pid and status["state"] == "running" and status["sessions"] == 2
        assert daemon.address in status["listen"] and daemon.tcp in status["listen"]
        assert [p["name"] for p in status["pools"]] == ["p", "q"]
        assert status["pools"][0]["slots"][0]["last_failure"] == "the reason"
        assert status["pools"][0]["failures"] == 1


def template_of(client, pool="p"):
    return client.value("objpool.status", pool)["pools"][0]["template"]


@pytest.mark.parametrize("isolation, kind", [("process", "forks"), ("thread", "threads")])
def test_status_shows_templates(start, isolation, kind):
    daemon = start({"p": {"isolation": isolation}})
    with daemon.client() as c:
        first, pids = template_of(c), daemon.pids(c)
        assert (first["kind"], first["state"], first["generation"]) == (kind, "ready", 1)
        assert first["pid"] in daemon.children() and (first["pid"] in pids) == (kind == "threads")
        assert first["rss"] > 100_000 and first["cpu_s"] >= 0 and first["since_s"] >= 0
        assert (first["loads"], first["failed_loads"]) == (1, 0) and 0 < first["load_s"] < DEADLINE
        os.kill(first["pid"], signal.SIGKILL)
        gone = wait_for(lambda: [t for t in [template_of(c)] if t["pid"] != first["pid"]], lambda: "its end")[0]
        assert kind == "threads" or (gone["state"], gone["pid"], gone["rss"], gone["generation"]) == ("none", 0, 0, 1)
        c.value("objpool.restart", "p")
        again = template_of(c)
        assert (again["state"], again["generation"], again["loads"], again["failed_loads"]) == ("ready", 2, 2, 0)


def test_status_counts_templates_that_do_not_load(start):
    daemon = start({"p": {}})
    with daemon.client() as c:
        pid = template_of(c)["pid"]
        daemon.pools["p"]["plugin"] = "sampler"
        daemon.write_config()
        assert "no class Probe" in str(c.value("objpool.reload"))
        kept = template_of(c)
        assert (kept["pid"], kept["state"], kept["generation"]) == (pid, "ready", 1)
        assert kept["loads"] == kept["failed_loads"] + 1 >= 2


def test_scale_while_calls_go_on(start):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c, daemon.client() as other:
        calls = [other.start("p.sleep", 0.01) for _ in range(100)]
        first = daemon.pids(c)
        assert c.value("objpool.scale", "p", 5) == {"workers": 5}
        assert c.value("p:all.slot") == [0, 1, 2, 3, 4]
        assert daemon.pids(c)[:2] == first
        assert c.value("objpool.scale", "p", 1) == {"workers": 1}
        assert c.value("p:all.slot") == [0]
        assert c.error("p:4.echo", 1).startswith("NO_SUCH_SLOT: ")
        assert all(other.wait(i)[0] is None for i in calls)
        assert c.value("p.pid") == first[0]
        assert c.error("objpool.scale", "p", 0).startswith("BAD_ARGUMENT: ")


def test_a_slot_that_leaves_finishes_its_call(start):
    with start(pools={"p": {"workers": 2}}).client() as c:
        running = c.start("p:1.sleep", 0.3)
        queued = c.start("p:1.slot")
        c.value("objpool.scale", "p", 1)
        assert c.wait(running) == (None, 0.3)
        error, result = c.wait(queued)
        assert error is None and result == 1


def test_restart_is_rolling(start):
    daemon = start(pools={"p": {"workers": 3}})
    with daemon.client() as c, daemon.client() as other:
        before = daemon.pids(c)
        calls = [other.start("p.sleep", 0.01) for _ in range(100)]
        assert c.value("objpool.restart", "p", 1) == {"restarted": 1}
        after = daemon.pids(c)
        assert after[0] == before[0] and after[1] != before[1] and after[2] == before[2]
        assert c.value("objpool.restart", "p") == {"restarted": 3}
        assert not set(daemon.pids(c)) & set(before)
        assert all(other.wait(i)[0] is None for i in calls)
        assert c.error("objpool.restart", "p", 9).startswith("NO_SUCH_SLOT: ")


def test_sigusr2_restarts_all(start):
    daemon = start(pools={"p": {}, "q": {}})
    with daemon.client() as c:
        before = daemon.pids(c, "p") + daemon.pids(c, "q")
        daemon.signal(signal.SIGUSR2)
        daemon.wait_log("pool p: 2 workers restarted")
        daemon.wait_log("pool q: 2 workers restarted")
        assert not set(before) & set(daemon.pids(c, "p") + daemon.pids(c, "q"))


def reload(daemon, client, how):
    if how == "method":
        return client.call("objpool.reload")
    daemon.signal(signal.SIGHUP)
    daemon.wait_notify("RELOADING=1")
    daemon.wait_notify("READY=1")
    return None


@pytest.mark.parametrize("how", ["method", "signal"])
def test_reload(start, how):
    daemon = start(pools={"same": {}, "grows": {}, "goes": {}, "changes": {}})
    with daemon.client() as c:
        same, grows = daemon.pids(c, "same"), daemon.pids(c, "grows")
        running = c.start("goes.sleep", 0.2)
        daemon.pools = {"same": {}, "grows": {"workers": 3}, "changes": {"kwargs": '{"tag": "new"}'}, "comes": {"workers": 1}}
        daemon.write_config()
        answer = reload(daemon, c, how)
        if answer:
            assert answer == (None, {"started": ["comes"], "stopped": ["goes"], "resized": ["grows"], "restarted": ["changes"],
                                     "unchanged": ["same"]})
        assert c.wait(running) == (None, 0.2)
        assert c.error("goes.pid").startswith("NO_SUCH_POOL: ")
        assert c.value("comes.slot") == 0
        assert c.value("changes.tag") == "new"
        assert daemon.pids(c, "same") == same
        assert c.value("grows:all.slot") == [0, 1, 2] and daemon.pids(c, "grows")[:2] == grows


def test_reloads_remember_what_the_last_one_said(start):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        for workers, what in (3, "resized"), (3, "unchanged"), (2, "resized"), (2, "unchanged"):
            daemon.pools["p"]["workers"] = workers
            daemon.write_config()
            assert c.value("objpool.reload")[what] == ["p"]
            assert c.value("objpool.status", "p")["pools"][0]["workers"] == workers


def test_a_new_pool_whose_name_is_the_end_of_anothers_is_reported(start):
    daemon = start(pools={"ab": {}})
    with daemon.client() as c:
        daemon.pools = {"ab": {"plugin": "sampler", "class": "Sampler"}, "b": {}}
        daemon.write_config()
        answer = c.value("objpool.reload")
        assert answer["restarted"] == ["ab"] and answer["started"] == ["b"]


def test_a_reload_that_fails_leaves_no_address_open(start):
    daemon = start()
    with daemon.client() as c:
        daemon.daemon["http"] = f"unix:{daemon.path}/http"
        daemon.daemon["listen"] = "unix:/nowhere/at/all"
        daemon.write_config()
        assert "/nowhere/at/all" in c.error("objpool.reload")
        assert not (daemon.path / "http").exists()


@pytest.mark.parametrize("how", ["method", "signal"])
def test_a_bad_reload_changes_nothing(start, how):
    daemon = start()
    with daemon.client() as c:
        before = daemon.pids(c)
        daemon.pools = {"p": {"workers": 5, "colour": "red"}}
        daemon.write_config()
        answer = reload(daemon, c, how)
        where = f"{daemon.config}:{len(daemon.config.read_text().splitlines())}"
        if answer:
            assert answer[0].startswith("FAILED: ") and where in answer[0]
        daemon.wait_log(f"nothing has changed: {where}.*colour")
        assert daemon.pids(c) == before


def test_reload_of_listeners(start, place):
    daemon = start()
    with daemon.client() as c:
        daemon.daemon["listen"] = f"unix:{place}/more"
        daemon.write_config()
        c.value("objpool.reload")
        with Client(f"unix:{place}/more") as other:
            assert other.value("p.echo", 1) == 1
        daemon.daemon["listen"] = "unix:/nowhere/at/all"
        daemon.write_config()
        assert "/nowhere/at/all" in c.error("objpool.reload")
        with Client(f"unix:{place}/more") as other:
            assert other.value("p.echo", 1) == 1


def is_refused(daemon):
    try:
        daemon.client(daemon.tcp).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_drains(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("p.sleep", 0.4)
        queued = c.start("p.echo", "queued")
        c.value("objpool.ping")
        daemon.signal(signal.SIGTERM)
        daemon.wait_notify("STOPPING=1")
        assert c.error("p.echo", 1).startswith("UNAVAILABLE: ")
        wait_for(lambda: is_refused(daemon), lambda: "the TCP port to be closed")
        assert c.wait(running) == (None, 0.4)
        assert c.wait(queued) == (None, "queued")
        assert c.receive() is None
    assert daemon.process.wait(20) == 0


def test_a_second_sigterm_stops_now(start):
    daemon = start({"p": {"workers": 1, "stop_timeout": "0.5"}}, {"log_level": "debug"})
    with daemon.client() as c:
        c.maps()
        running = c.start("p.sleep_hard", 60)
        queued = c.start("p.echo", 1)
        wait_for(lambda: c.value("objpool.status")["pools"][0]["slots"][0]["running"], lambda: "the call to run")
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        daemon.wait_notify("STOPPING=1")
        daemon.signal(signal.SIGTERM)
        error, _ = c.wait(running)
        assert error["code"] in ("UNAVAILABLE", "WORKER_LOST")
        error, _ = c.wait(queued)
        assert error["code"] == "UNAVAILABLE" and error["ran"] == "no"
        assert daemon.process.wait(20) == 0
        assert time.monotonic() - began < 15
    assert "was lost" not in daemon.log() and "generation 2" not in daemon.log()  # it was killed on purpose, and is not built again


def test_shutdown(start):
    daemon = start()
    with daemon.client() as c:
        assert c.value("objpool.shutdown") is True
    assert daemon.process.wait(20) == 0


def test_admin_over_unix_only(start):
    daemon = start(daemon={"admin": "unix"})
    with Client(daemon.tcp) as tcp, daemon.client() as c:
        for method, params in (("scale", ["p", 3]), ("restart", ["p"]), ("reload", []), ("shutdown", [])):
            assert tcp.error(f"objpool.{method}", *params).startswith("DENIED: ")
        assert tcp.value("p.echo", 1) == 1
        assert c.value("objpool.scale", "p", 3) == {"workers": 3}
