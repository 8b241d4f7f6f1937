# SPDX-License-Identifier: Apache-2.0
"""Methods that call other pools, or their own, through their host."""
import os
import signal

from harness import wait_for

POOLS = {"p": {"workers": 2}, "q": {"workers": 1}, "r": {"workers": 1}}


def running(client, pool):
    return client.value("objpool.status", pool)["pools"][0]["running"]


def test_a_method_calls_another_pool(start):
    with start(POOLS).client() as client:
        assert client.value("p.relay", "q.echo", [1, {"a": b"x"}]) == [1, {"a": b"x"}]
        assert client.value("p.relay", "q:all.slot") == [0]
        assert client.value("p.relay", "p:map.add", [1, 2], [10, 20]) == [11, 22]
        assert client.value("p.relay", "objpool.call", "q", "kwargs", [], {"kwargs": {"k": 5}}) == {"k": 5}
        assert client.value("p.relay", "q.relay", "r.relay", "p.echo", "deep") == "deep"


def test_large_values_and_many_calls(start):
    with start(POOLS).client() as client:
        blob = os.urandom(3 << 20)
        assert client.value("p.relay", "q.echo", blob) == blob
        error, values = client.full("p:map", "relay", [["q.echo"] * 2000, list(range(2000))])
        assert error is None and values == list(range(2000))


def test_errors_come_back_to_the_method(start):
    with start(POOLS).client() as client:
        client.maps()
        for args, code in ((["q.fail", "x"], "FAILED"), (["nothing.x"], "NO_SUCH_POOL"), (["q:9.echo"], "NO_SUCH_SLOT"),
                           (["q"], "BAD_TARGET"), (["q.crash"], "WORKER_LOST"), (["q.nothing"], "NO_SUCH_METHOD")):
            error, _ = client.call("p.relay", *args)
            assert (error["code"], error["type"]) == ("FAILED", code), error


def test_a_call_of_ones_own_pool_uses_another_instance(start):
    with start({"p": {"workers": 2}}).client() as client:
        for _ in range(20):
            assert client.value("p:0.relay", "p.slot") == 1


def test_loops_are_refused_at_once(start):
    with start({**POOLS, "one": {"workers": 1}}).client() as client:
        client.maps()
        for method, *args in (("one.relay", "one.echo", 1), ("p:0.relay", "p:0.echo", 1), ("p:1.relay", "p:all.echo", 1),
                              ("one.relay", "q.relay", "one.echo", 1), ("one.relay", "one:key=a.echo", 1),
                              ("one.relay", "one:map.echo", [1, 2]), ("p:0.relay", "p.relay", "p.echo", 1),
                              ("one.relay", "q.relay", "r.relay", "one.echo", 1)):
            error, _ = client.call(method, *args)
            assert "wait for itself" in error["message"], (method, args, error)
            assert error["type"] in ("UNAVAILABLE", "FAILED")   # each relay says FAILED of what it called
        assert client.value("one.relay", "q.echo", 1) == 1


def test_two_that_would_wait_for_each_other(start):
    """one -> q while q -> one: neither path has a loop, but one of the two has to fail."""
    with start({"one": {"workers": 1}, "q": {"workers": 1}}).client() as client:
        client.maps()
        for _ in range(20):
            a = client.start("one.relay", "q.relay", "one.echo", 1)
            b = client.start("q.relay", "one.sleep", 0.01)
            c = client.start("one.relay", "q.sleep", 0.01)
            outcomes = [client.wait(call)[0] for call in (a, b, c)]
            assert any(outcomes) and all(e is None or "wait for itself" in e["message"] for e in outcomes), outcomes


def test_large_arguments_of_calls_that_are_put_aside(start):
    """They come while a method waits for another's answer, and lie in files that wait with them."""
    with start(POOLS).client() as client:
        blobs = [bytes([i]) * (300 << 10) for i in range(8)]
        for i in range(50):
            assert client.value("p:0.relay", "q.echo", i) == i and client.value("p:0.echo", blobs[0]) == blobs[0]  # both are short
        calls = [client.start(f"p:0.{method}", *args) for i in range(40) for method, *args in (("relay", "q.echo", i), ("echo", blobs[i % 8]))]
        assert [client.wait(call) for call in calls] == [(None, value) for i in range(40) for value in (i, blobs[i % 8])]
        assert client.value("p:0.generation") == 1


def test_other_calls_are_not_held_up(start):
    """What was handed to a worker whose method waits goes to another."""
    daemon = start(POOLS)
    with daemon.client() as client, daemon.client() as other:
        for _ in range(50):
            client.value("p.echo", 1)      # they are known to be short
        waits = client.start("p.relay", "q.sleep", 0.5)
        wait_for(lambda: running(other, "q"), lambda: "it to wait")
        assert [other.value("p.echo", i) for i in range(50)] == list(range(50))
        assert client.wait(waits)[0] is None


def test_cancel_goes_down_the_path(start):
    daemon = start(POOLS)
    with daemon.client() as client, daemon.client() as other:
        call = client.start("p.relay", "q.sleep", 60)
        wait_for(lambda: running(other, "q"), lambda: "it to wait")
        client.value("objpool.cancel", call)
        wait_for(lambda: not running(other, "q") and not running(other, "p"), lambda: "both to end")
        error, _ = client.full("p", "relay", ["q.sleep", 60], timeout_ms=50)
        assert error.startswith("TIMEOUT: ")
        wait_for(lambda: not running(other, "q") and not running(other, "p"), lambda: "both to end")


def test_the_death_of_the_caller_cancels_what_it_waits_for(start):
    daemon = start(POOLS)
    with daemon.client() as client, daemon.client() as other:
        pid = other.value("p:0.pid")
        call = client.start("p:0.relay", "q.sleep", 60)
        wait_for(lambda: running(other, "q"), lambda: "it to wait")
        os.kill(pid, signal.SIGKILL)
        assert client.wait(call)[0].startswith("WORKER_LOST: ")
        wait_for(lambda: not running(other, "q"), lambda: "the callee to end")


def test_the_death_of_the_callee_is_told(start):
    daemon = start(POOLS)
    with daemon.client() as client, daemon.client() as other:
        call = client.start("p.relay", "q.sleep", 60)
        wait_for(lambda: other.value("objpool.status", "q")["pools"][0]["slots"][0]["running"], lambda: "it to have begun")
        os.kill(daemon.pids(other, "q")[0], signal.SIGKILL)
        client_error = client.wait(call)[0]
        assert client_error.startswith("FAILED: ") and "killed by signal 9" in client_error


def held_up(daemon, client, *relayed):
    """Two calls of the pool `p` that are accepted: one holds the other up until it is cancelled."""
    first, second = client.start("p.sleep", 60), client.start("p.relay", *relayed)
    with daemon.client() as other:
        wait_for(lambda: running(other, "p"), lambda: "the first to run")
    return first, second


def test_what_accepted_calls_call_is_finished_while_the_daemon_drains(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1},
                    "asleep": {"workers": 0, "workers_min": 0, "workers_max": 1}})
    with daemon.client() as client:
        client.maps()
        first, second = held_up(daemon, client, "q.relay", "asleep.relay", "q:map.echo", [1])
        third = client.start("p.relay", "q.relay", "asleep.echo", 42)
        daemon.signal(signal.SIGTERM)
        daemon.wait_log("finishing what runs")
        assert client.call("q.echo", 1)[0]["code"] == "UNAVAILABLE"    # a new call
        client.value("objpool.cancel", first)
        assert "wait for itself" in client.wait(second)[0]["message"]   # judged as ever
        assert client.wait(third) == (None, 42)
        assert daemon.process.wait(10) == 0


def test_the_end_of_drain_timeout_ends_nested_calls_too(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, daemon={"drain_timeout": 0.05})
    with daemon.client() as client:
        client.maps()
        call = client.start("p.relay", "q.sleep_hard", 60)
        with daemon.client() as other:
            wait_for(lambda: running(other, "q"), lambda: "it to wait")
        daemon.signal(signal.SIGTERM)
        assert client.wait(call)[0]["code"] == "UNAVAILABLE"
        assert daemon.process.wait(10) == 0


def test_a_reload_while_accepted_calls_have_not_called_yet(start):
    """What replaces a pool answers the calls of methods that ran before; one that has been removed is not there for them either."""
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})
    with daemon.client() as client:
        client.maps()
        for now, outcome in (({"q": {"workers": 1, "class": "Echo", "kwargs": "{}"}}, (None, "A")), ({}, "NO_SUCH_POOL")):
            first, second = held_up(daemon, client, "q.upper", "a")
            daemon.pools = {"p": {"workers": 1}, **now}
            daemon.write_config()
            client.value("objpool.reload")
            client.value("objpool.cancel", first)
            error, value = client.wait(second)
            assert outcome in ((error, value), error and error["type"]), (error, value)


def test_a_pool_that_goes_finishes_what_methods_have_called(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})
    with daemon.client() as client:
        client.maps()
        call = client.start("p.relay", "q.sleep", 0.1)
        with daemon.client() as other:
            wait_for(lambda: running(other, "q"), lambda: "it to wait")
        queued = client.start("q.echo", 1)
        client.value("objpool.ping")
        daemon.pools = {}
        daemon.write_config()
        client.value("objpool.reload")
        assert client.wait(call) == (None, 0.1)
        assert client.wait(queued) == (None, 1)
