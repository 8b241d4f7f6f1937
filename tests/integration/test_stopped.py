# SPDX-License-Identifier: Apache-2.0
"""Workers that do not react because they are stopped: what others can do they do, and what shall end ends."""
import os
import signal

import pytest

from harness import wait_for

STOP_TIMEOUT = 0.3


def slots(client, pool="p"):
    return client.value("objpool.status", pool)["pools"][0]["slots"]


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", lambda: "the worker to stop")


@pytest.fixture
def pool(start):
    """pool(workers): a daemon whose first worker is about to be stopped, a client, and the workers' pids."""
    clients = []

    def begin(workers=2, **keys):
        daemon = start({"p": {"workers": workers, "stop_timeout": STOP_TIMEOUT, **keys}})
        client = daemon.client().maps()
        clients.append(client)
        client.value("p:all.echo", 1)
        return daemon, client, daemon.pids(client)

    yield begin
    for client in clients:
        client.close()




# ---- calls ----

def test_calls_go_to_those_that_react(pool):
    daemon, client, pids = pool(3)
    stop(pids[0])
    assert {client.value("p.pid") for _ in range(50)} <= set(pids[1:])
    ids = [client.start("p.pid") for _ in range(500)]
    assert {client.wait(msgid)[1] for msgid in ids} == set(pids[1:])


def test_a_map_goes_to_those_that_react(pool):
    daemon, client, pids = pool(3)
    stop(pids[1])
    assert client.full("p:map", "echo", [list(range(20000))]) == (None, list(range(20000)))


def test_a_large_call_goes_to_another_once(pool):
    """The worker that takes it in takes its time; the one that is stopped takes nothing."""
    daemon, client, pids = pool(2, **{})
    stop(pids[0])
    data = bytes(range(256)) * (1 << 14)
    for _ in range(3):
        assert client.value("p.sum", data) == sum(data)


def test_one_that_goes_on_is_given_something_again(pool):
    daemon, client, pids = pool(2)
    stop(pids[0])
    assert {client.value("p.pid") for _ in range(20)} == {pids[1]}
    os.kill(pids[0], signal.SIGCONT)
    busy = client.start("p:1.sleep", 10)
    assert client.value("p.pid") == pids[0]
    client.notify("objpool.cancel", busy)


def test_what_is_for_a_stopped_worker_alone_waits_for_it(pool):
    daemon, client, pids = pool(2)
    stop(pids[0])
    own = [client.start("p:0.count") for _ in range(3)]
    assert client.value("p:1.count") == 1
    error, _ = client.full("p:all", "pid", timeout_ms=200)
    assert error["code"] == "TIMEOUT"
    os.kill(pids[0], signal.SIGCONT)
    assert [client.wait(msgid)[1] for msgid in own] == [1, 2, 3]
    assert client.value("p:all.pid") == pids


def test_the_results_of_the_others_come(pool):
    daemon, client, pids = pool(3)
    stop(pids[0])
    msgid = client.start("objpool.call", "p:all", "pid", [], {"stream": True, "ordered": False, "timeout_ms": 5000})
    assert {tuple(client.receive()[2]) for _ in range(2)} == {(msgid, 1, None, pids[1]), (msgid, 2, None, pids[2])}
    os.kill(pids[0], signal.SIGCONT)
    assert client.receive()[2] == [msgid, 0, None, pids[0]]
    assert client.wait(msgid) == (None, {"items": 3, "failed": 0})


def test_cancelling_what_lies_in_a_stopped_worker(pool):
    daemon, client, pids = pool(1)
    stop(pids[0])
    calls = [client.start("p.echo", i) for i in range(10)]
    for msgid in calls:
        client.notify("objpool.cancel", msgid)
    assert {client.wait(msgid)[0]["ran"] for msgid in calls} == {"no"}
    assert client.full("p", "echo", [1], timeout_ms=50)[0]["ran"] == "no"
    os.kill(pids[0], signal.SIGCONT)
    assert client.value("p.calls") == 2     # with the first, of the fixture


# ---- what shall end ----

@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("given", ["nothing", "waiting", "running"])
def test_restarting_a_stopped_worker(pool, workers, given):
    daemon, client, pids = pool(workers)
    if given == "running":
        call = client.start("p:0.sleep_hard", 30)
        wait_for(lambda: slots(client)[0]["running"], lambda: "the call to run")
    stop(pids[0])
    if given == "waiting":
        call = client.start("p:0.generation")
    assert client.value("objpool.restart", "p", 0) == {"restarted": 1}
    assert client.value("p:0.generation") == 2
    if given == "waiting":
        assert client.wait(call) == (None, 2)
    if given == "running":
        error = client.wait(call)[0]
        assert (error["code"], error["ran"], error["signal"]) == ("WORKER_LOST", "maybe", signal.SIGKILL)


def test_restarting_all_workers_one_of_which_is_stopped(pool):
    daemon, client, pids = pool(3)
    call = client.start("p:1.sleep_hard", 30)
    wait_for(lambda: slots(client)[1]["running"], lambda: "the call to run")
    stop(pids[1])
    assert client.value("objpool.restart", "p") == {"restarted": 3}
    assert client.value("p:all.generation") == [2] * 3


def test_a_worker_that_reacts_has_its_time(pool):
    """However long what it runs takes."""
    daemon, client, pids = pool(1)
    call = client.start("p.sleep_hard", 4 * STOP_TIMEOUT)
    wait_for(lambda: slots(client)[0]["running"], lambda: "the call to run")
    assert client.value("objpool.restart", "p", 0) == {"restarted": 1}
    assert client.wait(call) == (None, 4 * STOP_TIMEOUT)


@pytest.mark.parametrize("how", ["scale", "reload"])
def test_a_stopped_worker_that_is_not_needed_any_more(pool, how):
    daemon, client, pids = pool(2)
    stop(pids[1])
    call = client.start("p:1.pid")
    if how == "scale":
        client.value("objpool.scale", "p", 1)
    else:
        daemon.pools["p"]["workers"] = 1
        daemon.write_config()
        client.value("objpool.reload")
    assert client.wait(call)[0]["code"] == "NO_SUCH_SLOT"
    assert client.value("p:all.pid") == pids[:1]


@pytest.mark.parametrize("how", ["drop", "reload"])
def test_a_pool_that_goes_with_a_stopped_worker(pool, how):
    daemon, client, pids = pool(1)
    stop(pids[0])
    call = client.start("p.pid")
    client.value("objpool.ping")
    if how == "drop":
        client.value("objpool.drop", "p")
        assert client.wait(call)[0]["code"] in ("CANCELLED", "NO_SUCH_POOL")
    else:
        daemon.pools = {"q": {}}
        daemon.write_config()
        client.value("objpool.reload")
        assert client.wait(call)[1] not in pids     # a new worker has done it
    daemon.wait_log("pool p: stopped")


def test_a_daemon_that_ends_with_a_stopped_worker(pool):
    daemon, client, pids = pool(1, **{})
    stop(pids[0])
    call = client.start("p.pid")
    client.value("objpool.ping")
    daemon.signal(signal.SIGTERM)
    assert client.wait(call)[1] not in pids
    assert daemon.process.wait(20) == 0
