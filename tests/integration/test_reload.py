# SPDX-License-Identifier: Apache-2.0
"""What a reload says of each pool: the answer, the log and the status, when what is new works and when it can't be built."""
import json
import os
import shutil
import signal
import subprocess

import msgpack
import pytest
from harness import BUILD, wait_for


def change(daemon, **pools):
    for name, keys in pools.items():
        daemon.pools[name] = keys
    daemon.write_config()


def pool(client, name="p"):
    return client.value("objpool.status", name)["pools"][0]


def command(daemon, *words, status=0):
    done = subprocess.run([BUILD / "objpool", *words], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "OBJPOOL_ADDRESS": daemon.address})
    assert done.returncode == status, done
    return done.stdout


def test_a_plugin_that_cannot_be_loaded_changes_nothing(start, place):
    plugin = place / "new.so"
    daemon = start({"p": {"workers": 2}, "q": {}})
    with daemon.client() as client:
        pids = client.value("p:all.pid")
        change(daemon, p={"workers": 3, "max_queue": 7, "plugin": plugin})
        for count in 1, 2:      # it tries again
            answer = client.value("objpool.reload")
            assert (answer["restarted"], answer["unchanged"]) == ([], ["q"])
            fault = answer["failed"].pop("p")
            assert not answer["failed"] and str(plugin) in fault
            assert fault.startswith("slot 0: can't load plugin: ")
            assert fault.endswith("; 2 instances from before the reload serve on")
            wait_for(lambda: daemon.log().count(f"error reload: failed: p: {fault}\n") == count, lambda: "the same words")
            assert client.value("p:all.pid") == pids
            status = pool(client)
            assert (status["state"], status["error"], status["plugin"], status["workers"]) == ("ready", fault, "probe", 2)
        lines = command(daemon, "reload", status=1).splitlines()
        assert lines == ["unchanged: q", f"failed: p: {fault}"]
        daemon.wait_log(f" reload: {lines[0]}\n")
        os.kill(pids[1], signal.SIGKILL)    # one that dies is built again as it was
        wait_for(lambda: pool(client)["ready"] == 2, lambda: "two instances")
        assert client.value("p:1.echo", 1) == 1
        shutil.copy(BUILD / "plugins/probe.so", plugin)
        answer = client.value("objpool.reload")
        assert answer["restarted"] == ["p"] and "failed" not in answer
        assert not set(client.value("p:all.pid")) & set(pids)
        status = pool(client)
        assert (status["state"], status["error"], status["plugin"], status["workers"]) == ("ready", "", str(plugin), 3)
        assert client.value("objpool.reload")["unchanged"] == ["p", "q"]


def test_a_constructor_that_fails_in_a_later_slot_ends_it_there(start):
    daemon = start({"p": {"workers": 3}})
    with daemon.client() as client:
        keys = {"tag": "new", "fail": "no", "fail_slots": [1]}
        change(daemon, p={"workers": 3, "kwargs": json.dumps(keys)})
        for _ in range(2):
            fault = client.value("objpool.reload")["failed"]["p"]
            assert fault.startswith("slot 1: ") and fault.endswith("; 1 new instance and 2 from before the reload serve")
            assert pool(client)["error"] == fault and client.value("p:all.tag") == ["new", None, None]
        change(daemon, p={"workers": 3, "kwargs": '{"tag": "good"}'})
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert client.value("p:all.tag") == ["good"] * 3 and pool(client)["error"] == ""


def test_a_constructor_gets_the_start_timeout_of_its_own_section(start):
    daemon = start({"p": {"start_timeout": 1}})
    with daemon.client() as client:
        change(daemon, p={"start_timeout": 20, "kwargs": '{"tag": "slow", "sleep": 1.1}'})
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert client.value("p:all.tag") == ["slow", "slow"]
        change(daemon, p={"start_timeout": 1, "kwargs": '{"tag": "too slow", "sleep": 10}'})
        assert "took longer than start_timeout" in client.value("objpool.reload")["failed"]["p"]
        client.value("objpool.restart", "p", 0)     # as before the reload
        assert client.value("p:all.tag") == ["slow", "slow"]


def test_to_take_a_change_back_takes_the_error_back(start):
    daemon = start({"p": {}})
    with daemon.client() as client:
        pids = client.value("p:all.pid")
        change(daemon, p={"args": "[1, 2, 3]", "plugin": "missing"})
        assert client.value("objpool.reload")["failed"]
        change(daemon, p={})
        assert client.value("objpool.reload")["unchanged"] == ["p"]
        assert pool(client)["error"] == "" and client.value("p:all.pid") == pids


@pytest.mark.parametrize("before, keys", [
    (None, {"class": "Missing"}),                                    # a new pool
    ({"class": "Sampler", "plugin": "sampler"}, {"class": "Missing"}),    # one that is replaced as a whole
    ({"isolation": "thread"}, {"isolation": "thread", "kwargs": '{"fail": "no"}'}),
])
def test_a_pool_that_is_new_and_cannot_be_built(start, before, keys):
    daemon = start({"p": before} if before else {})
    with daemon.client() as client:
        change(daemon, p=keys)
        for _ in range(2):
            answer = client.value("objpool.reload")
            assert answer["failed"]["p"].startswith("slot 0: ") and answer["failed"]["p"].endswith("; no instance serves")
            assert not answer["started"] and not answer["restarted"]
            assert pool(client)["state"] == "unavailable" and pool(client)["error"]
        change(daemon, p={"kwargs": '{"tag": "x"}'})
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert client.value("p:all.tag") == ["x", "x"] and pool(client)["error"] == ""


def test_instances_that_could_not_be_built_are_tried_again_at_once(start, place):
    (place / "times").write_text("1000")
    daemon = start({"p": {"kwargs": json.dumps({"fail": "not yet", "fail_times_file": str(place / "times")})}})
    with daemon.client() as client:
        assert pool(client)["state"] == "unavailable"
        (place / "times").write_text("0")
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert pool(client)["state"] == "ready" and pool(client)["error"] == ""


def test_a_reload_while_another_is_under_way(start):
    daemon = start({"p": {"workers": 2}}, {"log_level": "debug"})
    with daemon.client() as client, daemon.client() as other:
        change(daemon, p={"workers": 2, "kwargs": '{"tag": "second", "sleep": 0.3}'})
        first = client.start("objpool.reload")
        daemon.wait_log("forked, generation 2")
        assert pool(other)["state"] == "ready"
        same = client.start("objpool.reload")
        wait_for(lambda: daemon.log().count("configuration reloaded") == 2, lambda: "the second reload")
        change(daemon, p={"workers": 2, "kwargs": '{"tag": "third"}'})
        last = client.start("objpool.reload")
        for call in first, same, last:
            error, answer = client.wait(call)
            assert error is None and answer["restarted"] == ["p"] and "failed" not in answer, answer
        assert client.value("p:all.tag") == ["third", "third"]
        change(daemon, p={"workers": 2, "plugin": "missing"})
        calls = [client.start("objpool.reload") for _ in range(2)]
        for call in calls:
            assert client.wait(call)[1]["failed"]["p"].endswith("; 2 instances from before the reload serve on")
        assert client.value("p:all.tag") == ["third", "third"]


def test_a_lease_does_not_hold_the_answer_back(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        slot = client.value("objpool.lease", "p")["slot"]
        change(daemon, p={"workers": 2, "kwargs": '{"tag": "new"}'})
        assert client.value("objpool.reload")["restarted"] == ["p"]
        assert client.value(f"p:{1 - slot}.tag") == "new"
        client.value("objpool.release", "p", slot)
        wait_for(lambda: client.value("p:all.tag") == ["new", "new"], lambda: "the leased one to be replaced, too")


def test_a_pool_that_goes_while_it_is_being_replaced(start):
    daemon = start({"p": {"workers": 1}}, {"log_level": "debug"})
    with daemon.client() as client:
        change(daemon, p={"workers": 1, "kwargs": '{"sleep": 20}'})
        first = client.start("objpool.reload")
        daemon.wait_log("forked, generation 2")
        daemon.pools = {}
        daemon.write_config()
        assert client.value("objpool.reload")["stopped"] == ["p"]
        assert client.wait(first)[1]["failed"] == {"p": "the pool was removed"}


@pytest.mark.parametrize("how", ["objpool.reload", "objpool.restart"])
def test_a_pool_that_shrinks_and_grows_while_it_is_being_replaced(start, how):
    slow = {"workers": 2, "kwargs": '{"sleep": 0.1}'}
    daemon = start({"p": {"workers": 2} if how == "objpool.reload" else slow}, {"log_level": "debug"})
    with daemon.client() as client:
        change(daemon, p=slow)
        call = client.start(how, *["p"] * (how == "objpool.restart"))
        daemon.wait_log("pool p slot 1: worker .* forked, generation 2")
        client.send_raw(b"".join(msgpack.packb([2, "objpool.scale", ["p", size]]) for size in (1, 2)))   # in one turn of the loop
        assert client.wait(call)[1]["restarted"] in (["p"], 1, 2)
        assert client.value("p:all.slot") == [0, 1]


# ---- sizes ----


def sizes(client):
    status = pool(client)
    return status["workers"], status["workers_min"], status["workers_max"]


@pytest.mark.parametrize("keys, what", [
    ({"workers": 2, "max_queue": 9}, "unchanged"), ({"workers": 2, "kwargs": '{"tag": "x"}'}, "restarted"),
    ({"workers": 2, "class": "Sampler", "plugin": "sampler"}, "restarted"),
])
def test_a_reload_keeps_the_size_that_scale_has_set(start, keys, what):
    daemon = start({"p": {"workers": 2}})
    sentence = "4 workers, as objpool scale has set; the configuration says 2"
    with daemon.client() as client:
        client.value("objpool.scale", "p", 4)
        change(daemon, p=keys)
        answer = client.value("objpool.reload")
        assert answer[what] == ["p"] and answer["scaled"] == {"p": sentence}
        assert sizes(client) == (4, 4, 4)
        daemon.wait_log(f"reload: scaled: p: {sentence}\n")
        assert command(daemon, "reload") == f"unchanged: p\nscaled: p: {sentence}\n"
        change(daemon, p={**keys, "workers": 3})     # the configuration's own size has changed: it counts again
        answer = client.value("objpool.reload")
        assert answer["resized"] == ["p"] and "scaled" not in answer and sizes(client) == (3, 3, 3)


def test_a_size_that_follows_the_load_keeps_the_bounds_that_scale_has_widened(start):
    keys = {"workers": 1, "workers_min": 1, "workers_max": 2, "idle_timeout": "never"}
    daemon = start({"p": keys})
    with daemon.client() as client:
        client.value("objpool.scale", "p", 3)
        change(daemon, p={**keys, "max_queue": 5})
        answer = client.value("objpool.reload")
        assert answer["unchanged"] == ["p"] and "3 workers" in answer["scaled"]["p"] and sizes(client) == (3, 1, 3)
        change(daemon, p={**keys, "workers_max": 1})
        assert client.value("objpool.reload")["resized"] == ["p"] and sizes(client) == (1, 1, 1)


# ---- a pool's code ----


CODE = """
class Counter:
    version = {version}
    def __init__(self):
        self.n = 0
        if {version} < 0:
            raise ValueError("version {version}")
    def add(self):
        self.n += 1
        return [self.version, self.n]
    def snapshot(self):
        return self.n
    def restore(self, n):
        self.n = n
"""


def test_changed_code_is_loaded_and_states_go_over(start, place):
    module = place / "counting.py"
    module.write_text(CODE.format(version=1))
    daemon = start({"py": {"plugin": "python", "class": "counting:Counter", "python_path": f'["{place}"]'}, "q": {}})
    with daemon.client() as client:
        assert client.value("py:all.add") == [[1, 1]] * 2
        others = client.value("q:all.pid")
        for version, fault in (-1, "version -1"), ("(", "SyntaxError"):
            module.write_text(CODE.format(version=version))
            answer = client.value("objpool.reload_code", "py")
            assert fault in answer["failed"]["py"] and answer["failed"]["py"].endswith("2 instances from before the reload serve on")
            before = client.value("py:all.add")
            assert [v for v, _ in before] == [1, 1]
            assert fault in pool(client, "py")["error"]
        os.kill(daemon.pids(client, "py")[0], signal.SIGKILL)   # built again by the old template
        wait_for(lambda: pool(client, "py")["ready"] == 2, lambda: "two instances")
        assert client.value("py:0.add") == [1, 1]
        module.write_text(CODE.format(version=2))
        assert command(daemon, "reload", "--code", "py") == "restarted: py\n"
        assert client.value("py:all.add") == [[2, 2], [2, before[1][1] + 1]]
        status = pool(client, "py")
        assert status["error"] == "" and status["template"]["failed_loads"] >= 1
        assert client.value("q:all.pid") == others
        assert client.value("objpool.restart", "py") == {"restarted": 2}    # the new template serves from now on
        assert [v for v, _ in client.value("py:all.add")] == [2, 2]


def test_a_plugins_file_is_loaded_anew(start, place):
    plugin, other = place / "mine.so", place / "other.so"
    shutil.copy(BUILD / "plugins/probe.so", plugin)
    daemon = start({"p": {"plugin": plugin}})
    with daemon.client() as client:
        pids = client.value("p:all.pid")
        shutil.copy(BUILD / "plugins/sampler.so", other)
        other.rename(plugin)
        assert command(daemon, "reload", "--code", "p", status=1).startswith("failed: p: slot 0: ")
        assert client.value("p:all.pid") == pids
        shutil.copy(BUILD / "plugins/probe.so", other)
        other.rename(plugin)
        assert client.value("objpool.reload_code", "p")["restarted"] == ["p"]
        assert not set(client.value("p:all.pid")) & set(pids)


def test_code_of_threads_can_not_be_loaded_anew(start):
    with start({"p": {"isolation": "thread"}}).client().maps() as client:
        error = client.error("objpool.reload_code", "p")
        assert error["code"] == "FAILED" and "threads of one process" in error["message"]
        assert client.error("objpool.reload_code", "none")["code"] == "NO_SUCH_POOL"
        assert client.error("objpool.reload_code", "p", 1)["code"] == client.error("objpool.reload_code")["code"] == "BAD_ARGUMENT"


def test_a_pool_of_a_client_has_its_code_loaded_anew(start):
    with start({}).client() as client:
        client.value("objpool.create", {"pool": "mine", "plugin": "probe", "class": "Probe", "workers": 2, "kwargs": {"tag": "x"}})
        pids = client.value("mine:all.pid")
        for _ in range(2):
            assert client.value("objpool.reload_code", "mine")["restarted"] == ["mine"]
            assert client.value("mine:all.tag") == ["x", "x"] and not set(client.value("mine:all.pid")) & set(pids)
