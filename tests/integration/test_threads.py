# SPDX-License-Identifier: Apache-2.0
"""isolation = thread: a pool's instances on threads of one process."""
import os
import signal

from harness import wait_for

THREADS = {"isolation": "thread", "workers": 4}


def slots(client):
    return client.value("objpool.status", "p")["pools"][0]["slots"]


def test_instances_are_threads_of_one_process(start):
    daemon = start({"p": THREADS})
    with daemon.client() as client:
        assert len(set(client.value("p:all.pid"))) == 1 and len(daemon.children()) == 1
        assert client.value("p:all.slot") == [0, 1, 2, 3]
        client.value("p:scatter.set", ["a", "b", "c", "d"])
        assert client.value("p:all.get") == ["a", "b", "c", "d"]
        assert client.value("p:map.add", list(range(5000)), list(range(5000))) == [2 * i for i in range(5000)]


def test_they_run_at_the_same_time(start):
    with start({"p": THREADS}).client() as client:
        calls = [client.start(f"p:{i}.sleep", 60) for i in range(4)]
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"] == 4, lambda: "all to run")
        for call in calls:
            client.notify("objpool.cancel", call)
            client.wait(call)


def test_a_crash_takes_all_and_each_caller_is_told(start):
    daemon = start({"p": THREADS})
    with daemon.client() as client:
        client.full("p:all", "append", [1], sticky="append")
        sleeping = [client.start(f"p:{i}.sleep", 60) for i in (1, 2)]
        wait_for(lambda: [s["running"] for s in slots(client)].count("sleep") == 2, lambda: "both to run")
        error = client.error("p:0.crash")
        assert error.startswith("WORKER_LOST: ") and "signal 11" in error
        for call in sleeping:
            assert client.wait(call)[0].startswith("WORKER_LOST: ")
        wait_for(lambda: all(s["state"] == "ready" and s["generation"] == 2 for s in slots(client)), lambda: "all to be back")
        assert client.value("p:all.list") == [[1]] * 4
        assert len(daemon.children()) == 1


def test_exit_in_a_method(start):
    daemon = start({"p": THREADS})
    with daemon.client() as client:
        assert "status 3" in client.error("p.exit", 3)
        wait_for(lambda: all(s["state"] == "ready" for s in slots(client)), lambda: "all to be back")
        assert client.value("p.echo", 1) == 1


def test_kill_from_outside_again_and_again(start):
    daemon = start({"p": THREADS})
    with daemon.client() as client:
        for _ in range(5):
            pid = wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["ready"] == 4 and slots(client)[0]["pid"],
                           lambda: "all to be up")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: slots(client)[0]["pid"] != pid, lambda: "the death to be seen")
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["ready"] == 4, lambda: "all to be up")
        assert len(daemon.children()) == 1


def test_scale_restart_and_recycle(start):
    daemon = start({"p": {**THREADS, "max_calls": 10}})
    with daemon.client() as client:
        pid = client.value("p.pid")
        for _ in range(5):
            client.value("p:0.count")
        assert client.value("objpool.restart", "p", 0) == {"restarted": 1}
        assert client.value("p:0.count") == 6, "the state went over"
        client.value("objpool.scale", "p", 1)
        client.value("objpool.scale", "p", 6)
        client.value("p:map.echo", list(range(300)))
        assert client.value("p.pid") == pid
        assert max(s["generation"] for s in slots(client)) > 2
        threads = len(os.listdir(f"/proc/{pid}/task"))
        descriptors = daemon.descriptors(pid)
        for _ in range(10):
            client.value("objpool.restart", "p", 0)
        wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) <= threads and daemon.descriptors(pid) <= descriptors,
                 lambda: "threads and descriptors to be given back")


def test_a_constructor_that_fails_hurts_its_slot_only(start):
    daemon = start({"p": {**THREADS, "kwargs": '{"fail": "no", "fail_slots": [2]}'}})
    with daemon.client() as client:
        wait_for(lambda: [s["state"] for s in slots(client)] == ["ready", "ready", "failed", "ready"], lambda: "one to fail")
        assert client.value("p.echo", 1) == 1
        assert client.error("p:2.echo", 1).startswith("UNAVAILABLE: ")


def test_a_class_that_is_not_safe_is_refused(start):
    daemon = start({"p": {"plugin": "spell", "class": "Dictionary", "isolation": "thread"}}, expect_ready=False)
    daemon.wait_log("does not say that it is safe for threads")
    with daemon.client() as client:
        assert "isolation = process" in client.error("p.check", "word")


def test_destructors_run(start, place):
    file = place / "destroyed"
    daemon = start({"p": {**THREADS, "kwargs": f'{{"destroy_file": "{file}"}}'}})
    with daemon.client() as client:
        assert client.value("p.echo", 1) == 1
    daemon.stop()
    assert sorted(file.read_text().splitlines()) == ["0 1", "1 1", "2 1", "3 1"]


def test_nested_and_deferred_calls_on_threads(start):
    daemon = start({"p": THREADS, "q": {"plugin": "queue", "class": "Queue", "isolation": "thread", "workers": 1}})
    with daemon.client() as client:
        assert client.value("p:0.relay", "p.slot") != 0
        call = client.start("p.relay", "q.get")
        wait_for(lambda: client.value("q.waiting")["getters"] == 1, lambda: "it to wait")
        client.value("q.put", "item")
        assert client.wait(call) == (None, "item")
