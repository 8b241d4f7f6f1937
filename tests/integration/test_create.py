# SPDX-License-Identifier: Apache-2.0
"""Pools that clients make and drop."""
import json
import os

import pytest

from harness import BUILD, wait_for

PROBE = {"plugin": "probe", "class": "Probe"}


def names(client):
    return [pool["name"] for pool in client.value("objpool.pools")]


def make(client, name="made", **keys):
    return client.call("objpool.create", {"pool": name, **PROBE, **keys})


def test_a_pool_is_made_and_called_and_dropped(start):
    daemon = start({})
    with daemon.client() as client:
        assert make(client, workers=3, owner="daemon", kwargs={"tag": "t"}) == (None, {"workers": 3})
        assert client.value("made:all.tag") == ["t"] * 3
        assert client.value("objpool.status", "made")["pools"][0]["state"] == "ready"
        assert client.value("objpool.drop", "made") is True
        assert names(client) == []
        wait_for(lambda: daemon.children() == [], lambda: "its template, which has been killed, to end")
        assert client.error("made.echo", 1).startswith("NO_SUCH_POOL: ")


def test_kwargs_per_slot_and_positional_arguments(start):
    daemon = start({})
    with daemon.client() as client:
        assert make(client, workers=2, kwargs={"tag": "x"}, slot_kwargs=[{"tag": "a"}, {}])[0] is None
        assert client.value("made:all.tag") == ["a", "x"]
        error, _ = client.call("objpool.create", {"pool": "dice", "plugin": "sampler", "class": "Sampler", "args": [3.0, 0.0]})
        assert error is None and client.value("dice.get_normal_sample") == 3.0


def test_a_constructor_that_fails_leaves_nothing_behind(start):
    daemon = start({})
    with daemon.client() as client:
        client.value("objpool.ping")  # it has been accepted
        before = daemon.descriptors()
        error, _ = make(client, workers=3, kwargs={"fail": "no licence", "fail_slots": [1]})
        assert error.startswith("FAILED: pool made could not be created: ") and "no licence" in error
        assert names(client) == []
        wait_for(lambda: daemon.children() == [] and daemon.descriptors() == before, lambda: "the last worker to end")
        assert make(client)[0] is None


@pytest.mark.parametrize("keys, words", [
    ({"plugin": "nothing"}, ["FAILED", "nothing"]), ({"class": "Nothing"}, ["FAILED", "Nothing"]),
    ({"workers": 0}, ["BAD_ARGUMENT", "workers"]), ({"workers": "many"}, ["BAD_ARGUMENT", "workers must be"]),
    ({"colour": 1}, ["BAD_ARGUMENT", "colour"]), ({"args": {}}, ["BAD_ARGUMENT", "args"]),
    ({"slot_kwargs": [{}]}, ["BAD_ARGUMENT", "slot_kwargs"]), ({"pool": "a b"}, ["BAD_ARGUMENT", "a b"]),
    ({"pool": "objpool"}, ["BAD_ARGUMENT", "objpool"]), ({"pool": ""}, ["BAD_ARGUMENT", "name"]),
    ({"owner": "me"}, ["BAD_ARGUMENT", "owner"]), ({"plugin": "../probe"}, ["FAILED", "probe"]),
])
def test_what_is_wrong_is_told(start, keys, words):
    daemon = start({})
    with daemon.client() as client:
        error, _ = client.call("objpool.create", {"pool": "made", **PROBE, "workers": 2, **keys})
        assert all(word in error for word in words), error
        assert names(client) == []


def test_a_name_that_is_taken(start):
    with start().client() as client:
        error, _ = make(client, "p")
        assert error == "BAD_ARGUMENT: there is a pool p already"
        assert client.value("p.echo", 1) == 1


def test_a_pool_of_a_session_goes_with_it(start):
    daemon = start({})
    with daemon.client() as other:
        client = daemon.client()
        assert make(client, owner="session", workers=2)[0] is None
        assert make(client, "stays", owner="daemon")[0] is None
        call = other.start("made.sleep", 60)
        wait_for(lambda: other.value("objpool.status", "made")["pools"][0]["running"], lambda: "the call to run")
        client.close()
        assert other.wait(call)[0].startswith("CANCELLED: ")
        wait_for(lambda: names(other) == ["stays"], lambda: "the pool to go")
        wait_for(lambda: len(daemon.children()) == 2, lambda: "its processes to end")


def test_drop_answers_every_caller(start):
    daemon = start({"p": {"workers": 1, "stop_timeout": 0.2}})
    with daemon.client() as client, daemon.client() as other:
        calls = [other.start("p.sleep_hard", 60)] + [other.start("p.echo", i) for i in range(20)]
        lease = other.start("objpool.lease", "p")
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"], lambda: "the call to run")
        assert client.value("objpool.drop", "p") is True
        for call in calls + [lease]:
            assert other.wait(call)[0].startswith("CANCELLED: ")
        wait_for(lambda: daemon.children() == [], lambda: "its template, which has been killed, to end")


@pytest.mark.parametrize("what", ["a call", "a destructor"])
def test_drop_says_how_long_workers_may_take(start, place, what):
    pipe = place / "pipe"
    os.mkfifo(pipe)     # whoever opens it to write waits for a reader
    daemon = start({"p": {"workers": 1, "stop_timeout": 1000, "kwargs": json.dumps({"destroy_file": str(pipe)})}})
    with daemon.client() as client:
        if what == "a call":
            client.start("p.sleep_hard", 1000)
            wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"], lambda: "the call to run")
        else:
            client.value("p.echo", 1)
            client.start("objpool.restart", "p")
            wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["generation"] == 2, lambda: "a new instance")
        assert client.value("objpool.drop", "p", 0.1) is True


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", [1]])
def test_drop_refuses_what_is_no_time(start, seconds):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        assert client.error("objpool.drop", "p", seconds).startswith("BAD_ARGUMENT: ")
        assert client.value("p.echo", 1) == 1
        assert client.value("objpool.drop", "p", None) is True


def test_who_may(start):
    daemon = start({"p": {}}, {"create": "unix", "admin": "unix"})
    with daemon.client() as local, daemon.client(daemon.tcp) as remote:
        assert remote.error("objpool.create", {"pool": "made", **PROBE}).startswith("DENIED: ")
        assert remote.error("objpool.drop", "p").startswith("DENIED: ")
        assert make(local)[0] is None
    daemon = start({}, {"create": "all", "admin": "none"})
    with daemon.client(daemon.tcp) as remote:
        path = str(BUILD / "plugins/probe.so")
        assert remote.error("objpool.create", {"pool": "made", "plugin": path, "class": "Probe"}).startswith("DENIED: ")
        assert make(remote)[0] is None
        assert remote.value("objpool.drop", "made") is True, "it is its own"
        with daemon.client() as local:
            assert local.call("objpool.create", {"pool": "made", "plugin": path, "class": "Probe"})[0] is None


def test_how_many(start):
    with start({"p": {}}, {"max_pools": 3}).client() as client:
        assert make(client, "a")[0] is None and make(client, "b")[0] is None
        assert make(client, "c")[0].startswith("OVERLOADED: ")


def test_a_reload_leaves_them_alone(start):
    daemon = start()
    with daemon.client() as client:
        make(client)
        pid = client.value("made.pid")
        assert client.value("objpool.reload")["stopped"] == []
        assert client.value("made.pid") == pid


def test_settings_count(start):
    with start({}).client() as client:
        make(client, workers=1, workers_min=0, workers_max=2, idle_timeout=0.1, max_queue=1000)
        wait_for(lambda: client.value("objpool.status", "made")["pools"][0]["workers"] == 0, lambda: "it to shrink")
        assert client.value("made.echo", 1) == 1


def test_a_client_that_goes_while_its_pool_is_made(start):
    daemon = start({})
    client = daemon.client()
    client.start("objpool.create", {"pool": "made", **PROBE, "kwargs": {"sleep": 0.3}})
    with daemon.client() as other:
        wait_for(lambda: names(other) == ["made"], lambda: "it to begin")
        client.close()
        wait_for(lambda: names(other) == [] and daemon.children() == [], lambda: "it to go")


def test_a_create_that_is_cancelled_takes_the_pool_back(start):
    with start({}).client() as client:
        created = client.start("objpool.create", {"pool": "made", **PROBE, "owner": "daemon", "kwargs": {"sleep": 60}})
        wait_for(lambda: names(client) == ["made"], lambda: "it to begin")
        client.notify("objpool.cancel", created)
        assert client.wait(created)[0].startswith("CANCELLED: ")
        wait_for(lambda: names(client) == [], lambda: "it to go")


def test_a_create_without_an_answer_outlives_who_asked(start):
    daemon = start({})
    client = daemon.client()
    client.notify("objpool.create", {"pool": "made", **PROBE, "owner": "daemon", "kwargs": {"sleep": 0.2}})
    with daemon.client() as other:
        wait_for(lambda: names(other) == ["made"], lambda: "it to begin")
        client.close()
        assert other.value("made.echo", 1) == 1


def test_what_waits_for_a_pool_ends_with_it(start):
    daemon = start({"p": {}})
    with daemon.client() as client, daemon.client() as other:
        for fails in True, False:
            spec = {"pool": "x", "plugin": "probe", "class": "Probe", "workers": 1, "kwargs": {"sleep": 0.3, **({"fail": "no"} if fails else {})}}
            created = client.start("objpool.create", spec)
            wait_for(lambda: "x" in [pool["name"] for pool in other.value("objpool.pools")], lambda: "the pool")
            waiting = [other.start("objpool.scale", "x", 2), other.start("objpool.restart", "x")]
            if not fails:
                assert other.value("objpool.drop", "x") is True
            error, _ = client.wait(created)
            assert error.startswith("FAILED: " if fails else "CANCELLED: ")
            assert [other.wait(call)[0] for call in waiting] == ["CANCELLED: pool x was removed"] * 2
        assert client.value("p.echo", 1) == 1
