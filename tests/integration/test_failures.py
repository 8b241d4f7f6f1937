# SPDX-License-Identifier: Apache-2.0
"""Death of workers, templates, clients and the daemon; plugins that are bad in every way."""
import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import threading
import time

import pytest
from harness import DEADLINE, ROOT, is_alive, wait_for


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGTERM])
def test_a_crash_fails_its_call_and_no_other(start, number):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        c.maps()
        for i in [c.start("p.echo", i) for i in range(500)]:
            c.wait(i)
        before = [c.start("p.echo", i) for i in range(200)]
        crash = c.start("p.crash", int(number))
        after = [c.start("p.echo", i) for i in range(200)]
        for n, i in enumerate(before):
            assert c.wait(i) == (None, n)
        for n, i in enumerate(after):
            assert c.wait(i) == (None, n)
        error, _ = c.wait(crash)
        assert error["code"] == "WORKER_LOST" and error["signal"] == number and error["ran"] == "maybe"
        slot = error["slot"]
        assert c.value(f"p:{slot}.generation") == 2
        assert c.value(f"p:{1 - slot}.generation") == 1


@pytest.mark.parametrize("status", [0, 1, 77])
def test_exit_in_a_method_is_a_lost_worker(start, status):
    with start().client() as c:
        c.maps()
        error = c.error("p.exit", status)
        assert error["code"] == "WORKER_LOST" and error["exit_status"] == status and str(status) in error["message"]
        assert c.value("p:all.echo", 1) == [1, 1]


def test_a_crash_in_a_map_loses_one_item(start):
    with start(pools={"p": {"workers": 2}}).client() as c:
        c.maps()
        c.value("p:map.echo", list(range(20000)))  # so that chunks are long
        items = [0] * 5000
        items[2500] = "crash"
        error, result = c.full("p:map", "add", [items, [1] * 5000], errors="collect")
        assert error is None and [e["code"] for e, _ in result if e] == ["BAD_ARGUMENT"]
        error, result = c.full("p:map", "crash", [[11]], errors="collect")
        assert error is None and result[0][0]["code"] == "WORKER_LOST"
        error, result = c.full("p:all", "echo", [7], errors="collect")
        assert result == [[None, 7], [None, 7]]


def test_all_with_one_that_dies(start):
    daemon = start(pools={"p": {"workers": 3}})
    with daemon.client() as c, daemon.client() as other:
        c.maps()
        call = c.start("objpool.call", "p:scatter", "sleep_hard", [[0, 30, 0]], {"errors": "collect"})

        def running():
            return [s["pid"] for s in other.value("objpool.status", "p")["pools"][0]["slots"] if s["slot"] == 1 and s["running"]]
        os.kill(wait_for(running, lambda: "the call to run")[0], signal.SIGKILL)
        error, result = c.wait(call)
        assert error is None
        assert result[0] == [None, 0] and result[2] == [None, 0]
        assert result[1][0]["code"] == "WORKER_LOST" and result[1][0]["slot"] == 1 and result[1][0]["signal"] == 9


def test_idempotent_calls_are_run_again(start, place):
    with start(pools={"p": {"workers": 2}}).client() as c:
        c.maps()
        error, _ = c.full("p", "crash", [9], idempotent=True)  # poison: every time
        assert error["code"] == "WORKER_LOST"
        assert c.value("p:all.echo", 1) == [1, 1]
        generations = sum(c.value("p:all.generation"))
        assert 2 + 1 < generations <= 2 + 4


def test_workers_killed_by_the_hundred(start):
    daemon = start(pools={"p": {"workers": 8}})
    stop = threading.Event()
    wrong, counts = [], {"ok": 0, "lost": 0}

    def caller(number):
        rng = random.Random(number)
        with daemon.client() as c:
            c.maps()
            while not stop.is_set():
                calls = {}
                for n in range(60):
                    if rng.random() < 0.8:
                        calls[c.start("p.echo", f"{number}-{n}")] = f"{number}-{n}"
                    else:
                        calls[c.start("p:map.echo", list(range(n)))] = list(range(n))
                for msgid, expected in calls.items():
                    error, result = c.wait(msgid)
                    if error is None and result == expected:
                        counts["ok"] += 1
                    elif error and error["code"] == "WORKER_LOST":
                        counts["lost"] += 1
                    else:
                        wrong.append((error, result, expected))

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    kills = 0
    with daemon.client() as c:
        while kills < 100:
            # Those that are up: one killed in its constructor is a failed start, which is another thing.
            pids = [s["pid"] for s in c.value("objpool.status", "p")["pools"][0]["slots"] if s["state"] == "ready"]
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
            wait_for(lambda: [p for p in daemon.pids(c) if p and p not in pids], lambda: "new workers")
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert not wrong, wrong[:3]
        assert counts["ok"] > 0
        status = c.value("objpool.status", "p")["pools"][0]
        assert status["queue"] == 0 and status["running"] == 0
        wait_for(lambda: c.value("objpool.pools")[0]["ready"] == 8, lambda: "all slots to be back")
        assert c.value("p:all.echo", 1) == [1] * 8


def test_no_descriptor_is_leaked(start):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        c.value("p:all.echo", 1)
        before = daemon.descriptors()
        of_worker = daemon.descriptors(c.value("p:0.pid"))
        for i in range(10):
            c.error("p:0.crash", 9)
            c.error("p:1.exit", 0)
            daemon.client().close()
        assert c.value("p:all.echo", 1) == [1, 1]
        wait_for(lambda: daemon.descriptors() == before, lambda: f"{before} descriptors, not {daemon.descriptors()}")
        assert daemon.descriptors(c.value("p:0.pid")) == of_worker


@pytest.mark.parametrize("what", ["close_fds", "close_std"])
def test_a_method_that_closes_descriptors_hurts_its_worker_only(start, what):
    with start(pools={"p": {"workers": 2}}).client() as c:
        c.call(f"p:0.{what}")
        assert c.value("p:all.echo", 1) == [1, 1]


def test_300_clients_that_vanish(start):
    daemon = start(pools={"p": {"workers": 2}})
    for _ in range(300):
        client = daemon.client()
        client.start("p.sleep", 30)
        client.close()
    with daemon.client() as c:
        began = time.monotonic()
        assert c.value("p:all.echo", 1) == [1, 1]
        assert time.monotonic() - began < 10


def test_workers_die_with_the_daemon(start):
    daemon = start(pools={"p": {"workers": 3}})
    with daemon.client() as c:
        c.start("p:0.spin", 60)
        c.start("p:1.sleep_hard", 60)
        wait_for(lambda: sum(bool(s["running"]) for s in c.value("objpool.status")["pools"][0]["slots"]) == 2, lambda: "two that run")
        children = daemon.children()
        assert len(children) >= 4
        daemon.kill()
        for pid in children:
            wait_for(lambda pid=pid: not is_alive(pid), lambda pid=pid: f"process {pid} to end")


def test_the_template_may_die(start):
    daemon = start(pools={"p": {"workers": 2}})
    with daemon.client() as c:
        workers = daemon.pids(c)
        template = [pid for pid in daemon.children() if pid not in workers]
        assert len(template) == 1
        os.kill(template[0], signal.SIGKILL)
        daemon.wait_log("template process died")
        assert daemon.pids(c) == workers and c.value("p:all.echo", 1) == [1, 1]
        c.error("p:0.crash", 9)
        assert c.value("p:0.generation") == 2


def test_a_constructor_that_always_fails(start):
    daemon = start(pools={"p": {"kwargs": '{"fail": "no licence"}'}, "good": {}})
    with daemon.client() as c:
        error = c.error("p.echo", 1)
        assert error.startswith("UNAVAILABLE: ") and "no licence" in error
        assert c.value("good.echo", 1) == 1
        pools = {p["name"]: p for p in c.value("objpool.pools")}
        assert pools["p"]["state"] == "unavailable" and "no licence" in pools["p"]["error"]
        daemon.wait_log("pool p slot 0: .*no licence")


@pytest.mark.parametrize("keys, state, text", [
    ({"kwargs": json.dumps({"fail": "no licence\nMAINPID=1"})}, "unavailable", "1 pool, none of 2 instances is up: pool p: slot "),
    ({"workers": 0, "workers_min": 0, "workers_max": 2}, "asleep", "1 pool, asleep"),
])
def test_nothing_says_ready_when_no_instance_is(start, keys, state, text):
    daemon = start(pools={"p": keys}, expect_ready=False)
    told = daemon.notify.recv(4096).decode().split("\n")
    with daemon.client() as client:
        assert told[0] == "READY=1" and len(told) == 2 and told[1].startswith("STATUS=" + text)
        log = daemon.wait_log("started: .*").group()
        assert log.startswith("started: " + text) and not re.search("ready[:,]", daemon.log())
        pool, = client.value("objpool.pools")
        assert pool["state"] == state and pool["ready"] == 0
        if state == "asleep":
            assert client.value("objpool.restart", "p") == {"restarted": 0}
            client.value("p.echo", 1)
            daemon.wait_notify("STATUS=1 pool, 1 of 1 instances ready")
        else:
            assert r"no licence\nMAINPID=1" in told[1]
            assert client.error("objpool.restart", "p").startswith("UNAVAILABLE: ")


def test_a_constructor_that_fails_on_some_slots(start):
    with start(pools={"p": {"workers": 3, "kwargs": '{"fail": "broken", "fail_slots": [1]}'}}).client() as c:
        c.maps()
        assert c.value("p.echo", 1) == 1
        assert c.error("p:1.echo", 1)["code"] == "UNAVAILABLE"
        error, result = c.full("p:all", "slot", errors="collect")
        assert result[0] == [None, 0] and result[2] == [None, 2] and result[1][0]["code"] == "UNAVAILABLE"
        assert [p["state"] for p in c.value("objpool.pools")] == ["degraded"]


@pytest.mark.parametrize("kwargs, text", [('{"crash": true}', "signal"), ('{"exit": 3}', "status 3")])
def test_a_constructor_that_dies(start, kwargs, text):
    with start(pools={"p": {"workers": 1, "kwargs": kwargs}, "good": {"workers": 1}}).client() as c:
        error = c.error("p.echo", 1)
        assert error.startswith("UNAVAILABLE: ") and text in error
        assert c.value("good.echo", 1) == 1


def test_a_constructor_that_takes_too_long(start):
    with start(pools={"p": {"workers": 1, "start_timeout": "0.2", "kwargs": '{"sleep": 30}'}}).client() as c:
        error = c.error("p.echo", 1)
        assert error.startswith("UNAVAILABLE: ") and "start_timeout" in error


@pytest.mark.parametrize("keys, text", [
    ({"plugin": "missing"}, "missing.so"), ({"plugin": "/etc/passwd"}, "/etc/passwd"),
    ({"plugin": "/lib/x86_64-linux-gnu/libm.so.6"}, "no plugin"), ({"class": "Missing"}, "no class Missing"),
])
def test_plugins_that_are_none(start, keys, text):
    with start(pools={"p": keys, "good": {}}).client() as c:
        error = c.error("p.echo", 1)
        assert error.startswith("UNAVAILABLE: ") and text in error
        assert c.value("good.echo", 1) == 1


def test_a_plugin_of_another_abi(start, place):
    source = place / "old.c"
    source.write_text("""#include <objpool/plugin.h>
const struct objpool_plugin objpool_plugin = {.abi = OBJPOOL_ABI + 1, .size = sizeof(struct objpool_plugin)};
""")
    subprocess.run(["cc", "-shared", "-fPIC", f"-I{ROOT}/plugins/include", "-o", place / "old.so", source], check=True)
    with start(pools={"p": {"plugin": place / "old.so"}}).client() as c:
        error = c.error("p.echo", 1)
        assert error.startswith("UNAVAILABLE: ") and "ABI" in error


def test_cancel_grace_kills_who_does_not_listen(start):
    with start(pools={"p": {"workers": 1, "cancel_grace": "0.1"}}).client() as c:
        error, _ = c.full("p", "sleep_hard", [60], timeout_ms=50)
        assert error.startswith("TIMEOUT: ")
        assert c.value("p.generation") == 2


def test_the_grace_of_a_cancelled_call_is_not_the_next_ones(start):
    with start(pools={"p": {"workers": 1, "cancel_grace": "0.15"}}).client() as c:
        assert c.full("p", "sleep", [60], timeout_ms=30)[0].startswith("TIMEOUT: ")  # it listens, and ends within its grace
        assert c.full("p", "sleep_hard", [0.4])[0] is None
        assert c.value("p.generation") == 1


def test_what_workers_print_is_logged(start):
    daemon = start()
    with daemon.client() as c:
        c.value("p:1.print", "hello from below")
        c.value("p:0.print", "an error line", "stderr")
    daemon.wait_log("info pool p slot 1: stdout: hello from below")
    daemon.wait_log("warning pool p slot 0: stderr: an error line")


def test_out_of_descriptors(start):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
    daemon = start(pools={"p": {"workers": 1}}, preexec=few)
    clients = [daemon.client() for _ in range(100)]
    daemon.wait_log("can't accept connections")
    ticks = sum(int(x) for x in open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])
    assert clients[0].value("p.echo", 1) == 1
    for client in clients:
        client.close()
    with daemon.client() as c:
        assert c.value("p.echo", 2) == 2
    spent = sum(int(x) for x in open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) - ticks
    assert spent < 200  # hundredths of a second: it did not spin


def test_max_connections(start):
    daemon = start(daemon={"max_connections": 3})
    clients = [daemon.client() for _ in range(3)]
    assert all(c.value("objpool.ping") == [] for c in clients)
    with daemon.client() as c:
        assert c.receive()[2].startswith("OVERLOADED: ")
        assert c.receive() is None
    for c in clients:
        c.close()
