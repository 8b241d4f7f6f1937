# SPDX-License-Identifier: Apache-2.0
"""libobjpool's direct channels against a real daemon: calls go on while instances are replaced, and while workers die."""
import os
import pathlib
import signal
import subprocess

import pytest

from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER, wait_for


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The path of client_direct."""
    path = tmp_path_factory.mktemp("client") / "direct"
    sanitize = ["-fsanitize=address,undefined"] if "address" in BUILD.name else []
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", *sanitize, f"-I{ROOT}/client/include",
                    pathlib.Path(__file__).with_name("client_direct.c"), BUILD / "libobjpool.a", *MSGPACK, "-o", path],
                   check=True, timeout=DEADLINE)
    return path


class Load:
    """The program, while it runs."""

    def __init__(self, program, daemon, rings):
        env = {**os.environ, "OBJPOOL_ADDRESS": daemon.address, **({"RINGS": "1"} if rings else {})}
        self.process = subprocess.Popen([*UNDER, program], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.client = daemon.client()
        self.daemon = daemon

    def slots(self):
        return self.client.value("objpool.status", "p")["pools"][0]["slots"]

    def await_calls(self, count=200):
        """Waits until so many more calls have been made on direct channels."""
        begun = sum(slot["calls"] for slot in self.slots())
        wait_for(lambda: sum(slot["calls"] for slot in self.slots()) > begun + count and any(slot["direct"] for slot in self.slots()),
                 lambda: f"calls on channels: {self.slots()}")

    def end(self):
        """The failures, and the last line."""
        output, _ = self.process.communicate(timeout=DEADLINE)
        *failures, last = output.splitlines()
        return failures, last


@pytest.fixture(params=[False, True], ids=["socket", "rings"])
def load(program, start, request):
    load = Load(program, start({"p": {"workers": 2}}), request.param)
    yield load
    load.process.kill()
    load.process.communicate()


def test_restarts_fail_no_call(load):
    for _ in range(3):
        load.await_calls()
        assert load.client.value("objpool.restart", "p") == {"restarted": 2}
    load.await_calls()
    failures, last = load.end()
    assert failures == [] and last.endswith(" right, 0 wrong, 0")
    assert [(slot["generation"], slot["lost"]) for slot in load.slots()] == [(4, 0)] * 2


def test_reloads_fail_no_call(load):
    """Instances are replaced by some that are made otherwise; then the pool gives no channels any more."""
    made = {"kwargs": '{"sleep": 0.01}'}
    for keys in made, {**made, "max_direct": 0}:
        load.await_calls()
        load.daemon.pools["p"] = {"workers": 2, **keys}
        load.daemon.write_config()
        load.client.value("objpool.reload")
    wait_for(lambda: not any(slot["direct"] for slot in load.slots()), lambda: f"the channels to close: {load.slots()}")
    begun = sum(slot["calls"] for slot in load.slots())
    wait_for(lambda: sum(slot["calls"] for slot in load.slots()) > begun + 100, lambda: "calls the ordinary way")
    failures, last = load.end()
    assert failures == [] and last.endswith(" right, 0 wrong, 0")
    assert all(slot["generation"] > 1 for slot in load.slots())


def test_a_pool_that_grows_and_shrinks_fails_no_call(load):
    for workers in 3, 1, 2:
        load.await_calls()
        assert load.client.value("objpool.scale", "p", workers)["workers"] == workers
    load.await_calls()
    failures, last = load.end()
    assert failures == [] and last.endswith(" right, 0 wrong, 0")


def test_workers_that_die(load):
    """Only what a worker had begun fails, with how it died; at most one call of it may have run in part."""
    for number in 0, 1, 0:
        load.await_calls()
        os.kill(load.slots()[number]["pid"], signal.SIGKILL)
        wait_for(lambda: load.slots()[number]["state"] == "ready", lambda: "the successor")
    load.await_calls()
    failures, last = load.end()
    assert last.endswith(" right, 0 wrong, 0")
    assert set(failures) <= {"WORKER_LOST maybe 9", "WORKER_LOST yes 9"} and failures.count("WORKER_LOST maybe 9") <= 3
