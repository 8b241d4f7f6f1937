# SPDX-License-Identifier: Apache-2.0
"""The life of a pool: sticky calls, successors, recycling, sizes, leases."""
import json
import os
import pathlib
import re
import signal
import time

import pytest
from harness import is_alive, wait_for


def slots(client, pool="p"):
    return client.value("objpool.status", pool)["pools"][0]["slots"]


def kill_pid(pid):
    """Unless it has ended by itself."""
    try:
        if pid:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def kill(daemon, client, slot, pool="p"):
    """Kills the slot's worker, and waits for the next one."""
    before = slots(client, pool)[slot]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for(lambda: (s := slots(client, pool)[slot])["generation"] > before["generation"] and s["state"] == "ready",
             lambda: "the slot to be rebuilt")


# ---- sticky ----


def test_sticky_calls_are_replayed_after_a_kill_a_growth_and_a_restart(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        calls = [client.start("objpool.call", "p:all", "append", [i], {"sticky": "append"}) for i in range(100)]
        assert [client.wait(call) for call in calls] == [(None, [i + 1] * 2) for i in range(100)]
        for value in ("a", "b"):
            assert client.full("p:all", "set", [value], sticky="replace") == (None, [None, None])
        client.value("p:all.append", "passing")     # not sticky
        kill(daemon, client, 0)
        client.value("objpool.scale", "p", 3)
        client.value("objpool.restart", "p", 1)
        assert client.value("p:2.list") == list(range(100))
        assert client.value("p:0.list") == list(range(100))
        assert client.value("p:all.get") == ["b"] * 3


def test_forget(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.full("p:all", "append", [1], sticky="append")
        client.full("p:all", "append", [2], sticky="append")
        client.full("p:all", "set", [3], sticky="replace")
        assert client.value("objpool.forget", "p", "append") == 2
        kill(daemon, client, 0)
        assert client.value("p.list") == [] and client.value("p.get") == 3
        assert client.value("objpool.forget", "p") == 1
        kill(daemon, client, 0)
        assert client.value("p.get") is None


def test_a_sticky_call_that_all_refuse_is_not_remembered(start):
    with start({"p": {"workers": 2}}).client() as client:
        error, _ = client.full("p:all", "fail", ["no"], sticky="append")
        assert error == "FAILED: no"
        assert client.value("objpool.forget", "p") == 0


def test_what_is_remembered_is_replaced_by_what_has_run_only(start):
    daemon = start({"p": {"workers": 2, "max_sticky": 4096}})
    with daemon.client() as client, daemon.client() as other:
        sticky = lambda *args: client.full("p:all", "set", list(args), sticky="replace")
        assert sticky(7) == (None, [None, None])
        assert sticky(b"x" * 5000)[0].startswith("OVERLOADED: ")
        assert sticky(1, 2, 3)[0].startswith("BAD_ARGUMENT: ")
        kill(daemon, other, 0)
        assert client.value("p:all.get") == [7, 7]

        # A slot that waits for its next start: until the new value has been set there, it has the old one.
        while slots(client)[0]["state"] == "ready":
            pid = slots(client)[0]["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: slots(client)[0]["pid"] != pid, lambda: "the worker to go")
        get = other.start("p:0.get")
        other.value("objpool.ping")
        assert sticky(8) == (None, [None, None])
        assert other.wait(get) == (None, 7)
        assert client.value("p:all.get") == [8, 8]


def test_a_slow_sticky_call_does_not_keep_its_slot_down(start):
    """start_timeout is for the constructor; what was slow when it was called may be so when it is replayed."""
    daemon = start({"p": {"workers": 1, "start_timeout": 0.7}})
    with daemon.client() as client:
        assert client.full("p:all", "sleep", [0.8], sticky="append") == (None, [0.8])
        assert client.full("p:all", "append", [1], sticky="append") == (None, [1])
        os.kill(daemon.pids(client)[0], signal.SIGKILL)
        wait_for(lambda: client.value("p:0.list") == [1], lambda: "it to be as before")
        assert client.value("p:0.generation") == 2


def test_what_dies_of_a_sticky_call_says_so(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.full("p:all", "crash", [], sticky="append")
        daemon.wait_log(r"no instance: the worker was killed by signal 11 .* in a sticky call that was replayed: crash")
        assert "replayed: crash" in client.value("objpool.status", "p")["pools"][0]["slots"][0]["last_failure"]
        assert client.value("objpool.forget", "p") == 1
        wait_for(lambda: client.call("p.echo", 1) == (None, 1), lambda: "it to be back")


def test_sticky_needs_the_right_that_forget_needs(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, daemon={"admin": "unix", "create": "all"})
    with daemon.client() as client, daemon.client(daemon.tcp) as stranger:
        sticky = {"sticky": "append"}
        assert client.full("p:all", "append", [1], **sticky) == (None, [1])
        assert stranger.full("p:all", "append", [1], **sticky)[0].startswith("DENIED: ")
        assert stranger.error("q.relay", "objpool.call", "p:all", "append", [1], sticky).startswith("FAILED: this connection may not")
        assert client.value("q.relay", "objpool.call", "p:all", "append", [2], sticky) == [2]
        assert stranger.error("objpool.forget", "p").startswith("DENIED: ")
        made = {"pool": "made", "plugin": "probe", "class": "Probe", "workers": 1}
        assert stranger.value("objpool.create", made) == {"workers": 1}
        assert stranger.full("made:all", "append", [1], **sticky) == (None, [1])
        assert client.value("p:all.list") == [[1, 2]]


def test_sticky_with_kwargs_and_bind(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        error, _ = client.full("p:all", "set", [], kwargs={"value": 5}, sticky="replace")
        assert error is None
        kill(daemon, client, 0)
        assert client.value("p.get") == 5
        error, _ = client.full("p:all", "append", [], bind=[6], sticky="append")
        kill(daemon, client, 0)
        assert client.value("p.list") == [6]


def test_what_is_sticky_is_bounded(start):
    with start({"p": {"workers": 1, "max_sticky": "10K"}}).client() as client:
        for _ in range(9):
            assert client.full("p:all", "append", ["x" * 900], sticky="append")[0] is None
        error, _ = client.full("p:all", "append", ["x" * 2000], sticky="append")
        assert error.startswith("OVERLOADED: ") and "max_sticky" in error
        assert len(client.value("p.list")) == 9
        assert client.full("p:all", "set", ["x"], sticky="replace")[0] is None


def test_a_sticky_call_reaches_every_slot_although_its_caller_dies(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        busy = client.start("p:1.sleep", 0.4)
        caller = daemon.client()
        caller.start("objpool.call", "p:all", "append", [1], {"sticky": "append"})
        wait_for(lambda: client.value("p:0.list") == [1], lambda: "slot 0 to have it")
        caller.close()
        client.wait(busy)
        assert client.value("p:1.list") == [1]


def test_sticky_calls_and_kills_in_any_order_leave_siblings_alike(start):
    daemon = start({"p": {"workers": 3}})
    with daemon.client() as client, daemon.client() as other:
        calls = []
        for i in range(60):
            calls.append(client.start("objpool.call", "p:all", "append", [i], {"sticky": "append", "errors": "collect"}))
            if i % 12 == 5:
                kill_pid(daemon.pids(other)[i % 3])
        for call in calls:
            assert client.wait(call)[0] is None
        wait_for(lambda: all(s["state"] == "ready" for s in slots(other)), lambda: "all to be up")
        assert other.value("p:all.list") == [list(range(60))] * 3


# ---- successors ----


def test_the_old_instance_serves_until_the_new_one_is_ready(start):
    daemon = start({"p": {"workers": 1, "kwargs": '{"sleep": 0.3}'}})
    with daemon.client() as client, daemon.client() as other:
        restart = other.start("objpool.restart", "p")
        answers = 0
        while slots(client)[0]["generation"] == 1:
            assert client.value("p.echo", 1) == 1
            answers += 1
        assert other.wait(restart) == (None, {"restarted": 1})
        assert answers > 10 and client.value("p.generation") == 2


def test_a_restart_hands_the_state_over(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        client.value("p:0.set", "zero"), client.value("p:1.set", "one")
        for _ in range(3):
            client.value("p:1.count")
        assert client.value("objpool.restart", "p") == {"restarted": 2}
        assert client.value("p:all.get") == ["zero", "one"]
        assert client.value("p:1.count") == 4
        assert client.value("p:all.generation") == [2, 2]


def test_a_reload_hands_the_state_over(start):
    daemon = start({"p": {"workers": 2, "kwargs": '{"tag": "old"}'}})
    with daemon.client() as client:
        client.value("p:scatter.set", ["zero", "one"])
        client.full("p:all", "append", [1], sticky="append")
        daemon.pools["p"] = {"workers": 3, "kwargs": '{"tag": "new"}'}
        daemon.write_config()
        calls = [client.start("p.echo", i) for i in range(100)]
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert [client.wait(call)[1] for call in calls] == list(range(100))
        wait_for(lambda: client.value("p:all.tag") == ["new"] * 3, lambda: "all to be replaced")
        assert client.value("p:all.get") == ["zero", "one", None]
        assert client.value("p:all.list") == [[1]] * 3
        wait_for(lambda: len(daemon.children()) == 4, lambda: "the old processes to end")


def test_a_reload_to_what_cannot_be_built_leaves_the_old_instances(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        pids = client.value("p:all.pid")
        daemon.pools["p"] = {"workers": 2, "kwargs": '{"fail": "no"}'}
        daemon.write_config()
        client.value("objpool.reload")
        daemon.wait_log("the constructor failed: ProbeError: no")
        assert client.value("p:all.pid") == pids
        daemon.pools["p"] = {"workers": 2, "kwargs": '{"tag": "x"}'}
        daemon.write_config()
        client.value("objpool.reload")
        wait_for(lambda: client.value("p:all.tag") == ["x", "x"], lambda: "both to be replaced")


def test_a_snapshot_that_fails_leaves_a_fresh_instance_with_what_is_sticky(start):
    daemon = start({"p": {"workers": 1, "kwargs": '{"snapshot_fail": true}'}})
    with daemon.client() as client:
        client.value("p.set", 1)
        for i in range(30):
            client.full("p:all", "append", [i], sticky="append")
        client.value("objpool.restart", "p")
        assert client.value("p.get") is None and client.value("p.list") == list(range(30))
        daemon.wait_log("its state could not be saved")


def test_destructors_run_at_an_orderly_end(start, place):
    file = place / "destroyed"
    daemon = start({"p": {"workers": 2, "kwargs": f'{{"destroy_file": "{file}"}}'}})
    with daemon.client() as client:
        client.value("objpool.restart", "p", 1)
        wait_for(lambda: file.exists() and file.read_text() == "1 1\n", lambda: "the old one's destructor")
    daemon.stop()
    assert sorted(file.read_text().splitlines()) == ["0 1", "1 1", "1 2"]


def test_a_successor_that_cannot_be_built_changes_nothing(start, place):
    file = place / "failures"
    file.write_text("0\n")
    daemon = start({"p": {"workers": 1, "kwargs": f'{{"fail": "not now", "fail_times_file": "{file}"}}'}})
    with daemon.client() as client:
        pid = client.value("p.pid")
        file.write_text("1\n")
        error = client.error("objpool.restart", "p")
        assert error.startswith("UNAVAILABLE: ") and "not now" in error
        assert client.value("p.pid") == pid
        assert client.value("objpool.restart", "p") == {"restarted": 1}


def test_kills_in_the_middle_of_restarts(start):
    daemon = start({"p": {"workers": 2, "kwargs": '{"sleep": 0.05}'}})
    with daemon.client() as client, daemon.client() as other:
        client.full("p:all", "append", [1], sticky="append")
        for _ in range(6):
            restart = client.start("objpool.restart", "p")
            for pid in daemon.pids(other):
                kill_pid(pid)
            client.wait(restart)
        wait_for(lambda: all(s["state"] == "ready" for s in slots(other)), lambda: "all to be up")
        assert other.value("p:all.list") == [[1], [1]]
        daemon_children = daemon.children()
        assert len(daemon_children) == 3, "two workers and a template"


# ---- recycling ----


def test_no_instance_has_more_calls_than_max_calls(start):
    daemon = start({"p": {"workers": 2, "max_calls": 10}})
    with daemon.client() as client:
        error, pids = client.full("p:map", "pid", [[]] * 200, args_as="positional")
        assert error is None
        assert all(pids.count(pid) <= 10 for pid in pids) and len(set(pids)) >= 20
        wait_for(lambda: len(daemon.children()) == 3, lambda: "the old ones to end")


def test_an_instance_is_replaced_after_its_last_call_and_not_before(start):
    daemon = start({"p": {"workers": 1, "max_calls": 20}})
    with daemon.client() as client:
        pids = [client.value("p.pid") for _ in range(100)]
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [20] * 5


def test_a_restart_takes_the_successor_that_waits_for_the_last_call(start):
    daemon = start({"p": {"workers": 1, "max_calls": 20}})
    with daemon.client() as client:
        pids = {client.value("p.pid") for _ in range(18)}
        wait_for(lambda: len(daemon.children()) == 3, lambda: "the successor")
        assert client.value("objpool.restart", "p") == {"restarted": 1}
        assert client.value("p.pid") not in pids


def test_a_lease_takes_the_successor_that_waits_for_the_last_call(start):
    daemon = start({"p": {"workers": 1, "max_calls": 20}})
    with daemon.client() as client:
        pids = {client.value("p.pid") for _ in range(18)}
        wait_for(lambda: len(daemon.children()) == 3, lambda: "the successor")
        assert client.value("objpool.lease", "p")["generation"] == 2
        assert client.value("p:0.pid") not in pids


def test_a_leased_instance_may_have_more_calls_and_goes_when_it_is_given_back(start):
    daemon = start({"p": {"workers": 1, "max_calls": 5}})
    with daemon.client() as client:
        client.value("objpool.lease", "p")
        assert len({client.value("p:0.pid") for _ in range(20)}) == 1
        first = client.value("p:0.pid")
        client.value("objpool.release", "p")
        wait_for(lambda: client.value("p.pid") != first, lambda: "the next instance")


def test_max_calls_of_one(start):
    daemon = start({"p": {"workers": 1, "max_calls": 1}})
    with daemon.client() as client:
        pids = [client.value("p.pid") for _ in range(20)]
        assert len(set(pids)) == 20


def test_recycling_keeps_the_state_where_the_class_can(start):
    daemon = start({"p": {"workers": 1, "max_calls": 5}})
    with daemon.client() as client:
        assert [client.value("p.count") for _ in range(23)] == list(range(1, 24))
        assert slots(client)[0]["generation"] >= 4


def test_recycling_by_age(start):
    daemon = start({"p": {"workers": 1, "max_age": 0.2}})
    with daemon.client() as client:
        wait_for(lambda: slots(client)[0]["generation"] >= 3, lambda: "two successors")
        assert client.value("p.echo", 1) == 1


@pytest.mark.parametrize("keys", [{"max_calls": 5}, {"max_age": 0.2}])
def test_a_reload_that_begins_to_recycle_counts_what_instances_have_done(start, keys):
    """Also of those that are over the new bound already, and idle."""
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        calls = [client.start("p.echo", i) for i in range(100)] + [client.start(f"p:{i % 2}.echo", i) for i in range(100)]
        assert [client.wait(call)[1] for call in calls] == [*range(100)] * 2
        daemon.pools["p"] |= keys
        daemon.write_config()
        assert client.value("objpool.reload")["unchanged"] == ["p"]
        assert client.full("p:map", "echo", [list(range(20))]) == (None, list(range(20)))
        wait_for(lambda: min(client.value("p:all.generation")) > 1, lambda: "both to be replaced")


def test_a_reload_that_shortens_idle_timeout_takes_effect_at_once(start):
    daemon = start({"p": {"workers": 3, "workers_min": 1, "workers_max": 3, "idle_timeout": 3600}})
    with daemon.client() as client:
        daemon.pools["p"] |= {"idle_timeout": 0.1}
        daemon.write_config()
        client.value("objpool.reload")
        wait_for(lambda: len(slots(client)) == 1, lambda: "it to shrink")


def test_recycling_by_memory(start):
    daemon = start({"p": {"workers": 2, "max_rss": "100M"}})
    with daemon.client() as client:
        pid = client.value("p:0.pid")
        client.value("p:0.allocate", 150 << 20)
        wait_for(lambda: not is_alive(pid), lambda: "the large one to be replaced")
        assert client.value("p:all.generation") == [2, 1]


def test_shared_memory_is_nobody_s_own(start):
    """An argument larger than max_rss, which the workers look at together, is no reason to replace them."""
    daemon = start({"p": {"workers": 2, "max_rss": "30M"}})
    with daemon.client() as client:
        pids = set(client.value("p:all.pid"))
        blob = b"x" * (60 << 20)
        until = time.monotonic() + 2.5  # the daemon looks twice a second
        while time.monotonic() < until:
            assert client.value("p:all.sum", blob) == [120 * len(blob)] * 2
        assert set(client.value("p:all.pid")) == pids


def test_an_instance_is_told_of_a_session_that_ended_while_it_took_over(start):
    daemon = start({"p": {"workers": 1, "kwargs": '{"snapshot_sleep": 0.3}'}})
    with daemon.client() as client:
        with daemon.client() as gone:
            session = gone.value("objpool.hello")["session"]
            gone.value("p.count")
            restart = client.start("objpool.restart", "p")
            wait_for(lambda: slots(gone)[0]["state"] == "stopping", lambda: "the snapshot")
        assert client.wait(restart) == (None, {"restarted": 1})
        wait_for(lambda: session in client.value("p.ended"), lambda: "the class to be told")


# ---- a size that follows the load ----


def size(client):
    return client.value("objpool.status", "p")["pools"][0]["workers"]


def test_a_pool_grows_while_calls_wait_and_shrinks_when_idle(start):
    daemon = start({"p": {"workers": 1, "workers_min": 1, "workers_max": 4, "idle_timeout": 0.2}})
    with daemon.client() as client, daemon.client() as other:
        calls = [client.start("p.sleep", 0.3) for _ in range(24)]
        wait_for(lambda: size(other) == 4, lambda: "the pool to grow")
        for call in calls:
            assert client.wait(call)[0] is None
        wait_for(lambda: size(other) == 1, lambda: "the pool to shrink")
        wait_for(lambda: len(daemon.children()) == 2, lambda: "a template and one worker")
        assert other.value("p.echo", 1) == 1


def test_a_pool_of_none_is_started_by_its_first_call(start):
    daemon = start({"p": {"workers": 0, "workers_min": 0, "workers_max": 2, "idle_timeout": 0.2}})
    with daemon.client() as client:
        assert size(client) == 0
        assert client.value("p.echo", 1) == 1
        wait_for(lambda: size(client) == 0, lambda: "the pool to shrink to nothing")
        assert client.value("p:all.echo", 2) == [2]
        wait_for(lambda: size(client) == 0, lambda: "the pool to shrink to nothing")
        assert client.value("p:map.echo", [1, 2, 3]) == [1, 2, 3]
        assert client.value("objpool.pools")[0]["state"] in ("ready", "starting")


@pytest.mark.parametrize("keys", [{"workers": 0, "workers_max": 2}, {"workers": 0, "workers_max": 2, "kwargs": '{"tag": "new"}'}])
def test_what_waits_when_a_pool_goes_to_sleep_is_done(start, keys):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as holder:
        client.start("p.sleep_hard", 0.3)
        wait_for(lambda: slots(client)[0]["running"], lambda: "it to run")
        waiting = [client.start("p.echo", i) for i in range(50)]
        lease = holder.start("objpool.lease", "p")
        client.value("objpool.ping")
        holder.value("objpool.ping")
        daemon.pools["p"] = keys
        daemon.write_config()
        client.value("objpool.reload")
        assert [client.wait(call) for call in waiting] == [(None, i) for i in range(50)]
        assert holder.wait(lease)[0] is None


def test_sticky_calls_survive_a_pool_that_went_to_sleep(start):
    daemon = start({"p": {"workers": 1, "workers_min": 0, "workers_max": 2, "idle_timeout": 0.1}})
    with daemon.client() as client:
        client.full("p:all", "set", ["kept"], sticky="replace")
        wait_for(lambda: size(client) == 0, lambda: "the pool to shrink to nothing")
        assert client.value("p.get") == "kept"


# ---- keys ----


def test_keys_move_as_little_as_they_can(start):
    daemon = start({"p": {"workers": 4}})
    with daemon.client() as client:
        def places():
            return [client.full(f"p:key=k{i}", "slot")[1] for i in range(200)]
        before = places()
        assert places() == before and set(before) == {0, 1, 2, 3}
        client.value("objpool.scale", "p", 5)
        after = places()
        moved = [(a, b) for a, b in zip(before, after) if a != b]
        assert {b for _, b in moved} == {4} and 20 <= len(moved) <= 65


# ---- leases ----


def test_a_leased_instance_serves_its_client_alone(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client, daemon.client() as other:
        lease = client.value("objpool.lease", "p")
        slot = lease["slot"]
        assert lease["generation"] == 1
        assert {other.value("p.slot") for _ in range(50)} == {1 - slot}
        addressed = other.start(f"p:{slot}.slot")
        everyone = other.start("p:all.slot")
        assert client.value(f"p:{slot}.slot") == slot
        assert {client.value("p.slot") for _ in range(50)} == {1 - slot}, "its other calls go to the others"
        assert not other.answers
        assert client.value("objpool.release", "p", slot) is True
        assert other.wait(addressed) == (None, slot) and other.wait(everyone) == (None, [0, 1])
        assert client.value("objpool.release", "p", slot) is False


def test_a_lost_lease_outlives_its_pool(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client, daemon.client() as other:
        client.value("objpool.lease", "p")
        assert other.value("objpool.drop", "p") is True
        for name in ("p", "q"):
            assert client.error("objpool.release", name).startswith("NO_SUCH_POOL")
        assert client.value("objpool.ping") == []


def test_a_restart_waits_for_a_lease_to_end(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as other:
        client.value("objpool.lease", "p")
        restart = other.start("objpool.restart", "p")
        assert client.value("p:0.generation") == 1
        other.value("objpool.ping")
        assert restart not in other.answers and client.value("p:0.generation") == 1
        client.value("objpool.release", "p")
        assert other.wait(restart) == (None, {"restarted": 1}) and client.value("p.generation") == 2


def test_leases_are_granted_in_their_order(start):
    daemon = start({"p": {"workers": 1}})
    clients = [daemon.client() for _ in range(4)]
    calls = [client.start("objpool.lease", "p") for client in clients]
    order = []
    for client, call in zip(clients, calls):
        error, lease = client.wait(call)
        assert error is None and lease["slot"] == 0
        order.append(client.value("p:0.session"))
        client.value("objpool.release", "p")
    assert order == sorted(order)
    for client in clients:
        client.close()


def test_a_lease_waits_for_a_busy_pool_and_gives_up_in_time(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as other:
        busy = other.start("p.sleep", 0.3)
        wait_for(lambda: slots(client)[0]["running"], lambda: "it to run")
        for ms in 50, 0:
            error, _ = client.call("objpool.lease", "p", {"timeout_ms": ms})
            assert error.startswith("TIMEOUT: ")
        assert client.value("objpool.lease", "p", {"timeout_ms": 20000}) == {"slot": 0, "generation": 1}
        assert other.wait(busy)[0] is None


def test_a_lease_goes_with_its_client_and_with_its_time(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        holder = daemon.client()
        holder.value("objpool.lease", "p")
        waiting = client.start("p.echo", 1)
        holder.close()
        assert client.wait(waiting) == (None, 1)

        client.value("objpool.lease", "p", {"lease_ms": 100})
        with daemon.client() as other:
            assert other.value("p.echo", 2) == 2
        error = client.error("p:0.echo", 3)
        assert error.startswith("WORKER_LOST: ") and "time is over" in error
        assert client.value("objpool.release", "p") is False
        assert client.value("p:0.echo", 3) == 3


def test_a_lease_ends_with_its_worker(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client, daemon.client() as other:
        slot = client.value("objpool.lease", "p")["slot"]
        kill(daemon, other, slot)
        error = client.error(f"p:{slot}.echo", 1)
        assert error.startswith("WORKER_LOST: ") and "died" in error
        assert other.value(f"p:{slot}.echo", 1) == 1
        client.value("objpool.release", "p", slot)
        assert client.value(f"p:{slot}.echo", 1) == 1


def test_who_waits_for_a_lease_is_told_when_no_instance_can_be_built(start, place):
    """Those that wait when a start fails, of one slot or of all of them, and those that ask afterwards."""
    count = place / "count"
    count.write_text("0")
    daemon = start({"p": {"workers": 2, "kwargs": json.dumps({"fail": "no licence", "fail_times_file": str(count)})}})
    with daemon.client() as holder, daemon.client() as client, daemon.client() as other:
        pids = [slot["pid"] for slot in slots(holder)]
        assert [holder.value("objpool.lease", "p", {"slot": slot})["slot"] for slot in (0, 1)] == [0, 1]
        addressed, whichever = client.start("objpool.lease", "p", {"slot": 1}), client.start("objpool.lease", "p")
        client.value("objpool.ping")
        count.write_text("1000000")
        os.kill(pids[1], signal.SIGKILL)
        assert client.wait(addressed)[0] == "UNAVAILABLE: pool p slot 1 has no instance: the constructor failed: ProbeError: no licence"
        assert client.error("objpool.lease", "p", {"slot": 1}).startswith("UNAVAILABLE: ")
        assert whichever not in client.answers and slots(other)[0]["leased"]
        os.kill(pids[0], signal.SIGKILL)
        error = client.wait(whichever)[0]
        assert error.startswith("UNAVAILABLE: pool p has no instance: ") and "no licence" in error
        assert client.error("objpool.lease", "p").startswith("UNAVAILABLE: ")
        count.write_text("0")
        wait_for(lambda: not client.call("objpool.lease", "p")[0], lambda: "an instance")
        assert other.value("objpool.status", "p")["pools"][0]["leases_waiting"] == 0


def test_who_waits_is_told_when_the_last_slot_that_could_serve_is_removed(start):
    daemon = start({"p": {"workers": 2, "kwargs": '{"fail": "no licence", "fail_slots": [0]}'}})
    with daemon.client() as holder, daemon.client() as client:
        wait_for(lambda: slots(holder)[1]["state"] == "ready", lambda: "slot 1")
        holder.value("objpool.lease", "p", {"slot": 1})
        waiting = [client.start("objpool.lease", "p"), client.start("p.echo", 1)]
        client.value("objpool.ping")
        holder.start("objpool.scale", "p", 1)
        for call in waiting:
            assert client.wait(call)[0].startswith("UNAVAILABLE: pool p has no instance: ")


def test_what_a_lease_s_holder_has_asked_ends_with_the_lease(start):
    """It reaches neither the next instance, when the worker dies, nor anybody's, when the time is over."""
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.value("objpool.lease", "p")
        pid = client.value("p:0.pid")
        running, *waiting = [client.start("p:0.sleep_hard", 30), client.start("p:0.echo", 1), client.start("p:0.pid")]
        client.value("objpool.ping")
        os.kill(pid, signal.SIGKILL)
        assert client.wait(running)[0].startswith("WORKER_LOST: ")
        for call in waiting:
            assert "the lease of pool p slot 0 has ended: the worker died" in client.wait(call)[0]
        client.value("objpool.release", "p")

        client.value("objpool.lease", "p", {"lease_ms": 50})
        running, waiting = client.start("p:0.sleep_hard", 0.3), client.start("p:0.echo", 1)
        assert client.wait(running) == (None, 0.3)
        assert "its time is over" in client.wait(waiting)[0]


def test_a_restart_waits_for_a_lease(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as admin:
        client.value("objpool.lease", "p")
        pid = client.value("p:0.pid")
        restart = admin.start("objpool.restart", "p")
        assert admin.value("objpool.ping", 1) == [1]
        assert client.value("p:0.pid") == pid
        client.value("objpool.release", "p")
        assert admin.wait(restart) == (None, {"restarted": 1})
        assert client.value("p:0.pid") != pid


def test_the_class_is_told_of_leases_and_may_refuse(start):
    daemon = start({"p": {"workers": 1}, "no": {"workers": 1, "kwargs": '{"lease_fail": "not mine"}'}})
    with daemon.client() as client:
        client.value("objpool.lease", "p")
        leases = client.value("p:0.leases")
        assert leases["leased"] == 1 and leases["released"] == 0
        client.value("objpool.release", "p")
        assert client.value("p:0.leases")["released"] == 1
        assert client.error("objpool.lease", "no") == "FAILED: not mine"
        assert client.value("no.echo", 1) == 1


def test_wrong_leases(start):
    with start({"p": {"workers": 2}}).client() as client:
        assert client.error("objpool.lease", "nothing").startswith("NO_SUCH_POOL: ")
        assert client.error("objpool.lease", "p", {"slot": 7}).startswith("NO_SUCH_SLOT: ")
        assert client.error("objpool.lease", "p", {"colour": 1}).startswith("BAD_ARGUMENT: ")
        assert client.value("objpool.lease", "p", {"slot": 1}) == {"slot": 1, "generation": 1}


# ---- cancel ----


def test_a_cancelled_call_that_goes_on_is_killed_after_the_grace(start):
    daemon = start({"p": {"workers": 1, "cancel_grace": 0.1}})
    with daemon.client() as client:
        pid = client.value("p.pid")
        error, _ = client.full("p", "sleep_hard", [30], timeout_ms=50)
        assert error.startswith("TIMEOUT: ")
        wait_for(lambda: not is_alive(pid), lambda: "the worker to be killed")
        assert client.value("p.generation") == 2
        error, _ = client.full("p", "sleep", [30], timeout_ms=50)   # looks, and gives up in time
        assert client.value("p.generation") == 2


def test_progress_of_a_method_reaches_its_caller(start):
    with start({"p": {"workers": 1}}).client() as client:
        msgid = client.start("objpool.call", "p", "progress", [100, 0.5, "step"], {"progress": True})
        seen = []
        while (message := client.receive())[0] == 2:
            assert message[1] == "objpool.progress" and message[2][0] == msgid
            seen.append(message[2][1:])
        assert message == [1, msgid, None, 100]
        assert seen[-1] == [100, 100, "step"] and 3 <= len(seen) <= 20
        assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
        assert client.value("p.progress", 5) == 5       # who doesn't ask isn't told


# ---- preload ----


def pss(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1)) << 10


def test_what_the_template_has_preloaded_is_shared_by_the_workers(start):
    """200 MB are there once, not five times; and a successor shares them too."""
    size = 200 << 20
    daemon = start({"p": {"workers": 4, "kwargs": f'{{"preload_bytes": {size}}}'}})
    with daemon.client() as client:
        client.value("objpool.restart", "p", 0)
        assert client.value("p:all.preloaded") == [size] * 4     # each has read all of it
        pids = client.value("p:all.pid")
        wait_for(lambda: len(daemon.children()) == 5, lambda: "the old one to end")
        shares = [pss(pid) for pid in pids]
        assert all(share < size / 3 for share in shares), shares
        assert size * 0.9 < sum(pss(pid) for pid in daemon.children()) < size * 1.25
