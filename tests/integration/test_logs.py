# SPDX-License-Identifier: Apache-2.0
"""objpool.logs, and `objpool logs`: what workers have printed, as far as the daemon keeps it."""
import json
import os
import subprocess

import pytest
from harness import BUILD, DEADLINE, wait_for


@pytest.fixture
def objpool(start):
    daemon = start({"p": {"workers": 2}}, {"worker_log_level": "error"})

    def run(*words, status=0):
        done = subprocess.run([BUILD / "objpool", *map(str, words)], text=True, capture_output=True, timeout=60,
                              env={**os.environ, "OBJPOOL_ADDRESS": daemon.address})
        assert done.returncode == status, done
        return done.stdout

    run.daemon = daemon
    return run


def lines(client, after=0, pool="p"):
    return client.value("objpool.logs", pool, after)


def printed(client, text, slot=0):
    """Has a worker print the text, and waits until the daemon has it."""
    last = lines(client)["last"]
    client.value(f"p:{slot}.print", text + "\n")
    return wait_for(lambda: lines(client)["last"] >= last + text.count("\n") + 1, lambda: text)


def test_lines_are_kept_whatever_is_logged(objpool):
    with objpool.daemon.client() as client:
        printed(client, "one")
        printed(client, "two\x1b[31m", 1)
        answer = lines(client)
        assert (answer["last"], answer["missed"]) == (2, 0)
        assert [(line["number"], line["slot"], line["stream"], line["text"]) for line in answer["lines"]] == [
            (1, 0, "stdout", "one"), (2, 1, "stdout", r"two\e[31m")]
        assert 0 <= answer["lines"][1]["at_s"] - answer["lines"][0]["at_s"] < DEADLINE
        assert [line["number"] for line in lines(client, 1)["lines"]] == [2] and lines(client, 2)["lines"] == []
        assert "stdout" not in objpool.daemon.log()
        assert objpool("logs", "p") == "slot 0 stdout: one\nslot 1 stdout: two\\e[31m\n"
        assert objpool("logs", "p", "--slot", 1) == "slot 1 stdout: two\\e[31m\n"
        assert objpool("logs", "p", "-n", 1).startswith("slot 1 ")
        assert json.loads(objpool("logs", "p", "--json", "--slot", 0))["text"] == "one"
        client.value("objpool.restart", "p")        # the pool's lines outlive its workers, and its template
        client.value("objpool.reload_code", "p")
        printed(client, "three")
        assert [line["text"] for line in lines(client)["lines"]] == ["one", r"two\e[31m", "three"]


def test_memory_is_bounded_and_what_is_missed_is_told(objpool):
    with objpool.daemon.client() as client:
        printed(client, "\n".join(f"line {i}" for i in range(1500)))
        answer = lines(client)
        assert (answer["last"], answer["missed"], len(answer["lines"])) == (1500, 500, 1000)
        assert lines(client, 600)["missed"] == 0 and lines(client, 400)["missed"] == 100
        printed(client, "\n".join("x" * 4000 for _ in range(40)))
        answer = lines(client)
        assert sum(len(line["text"]) for line in answer["lines"]) <= 64 << 10 and answer["lines"][-1]["number"] == 1540
        assert answer["missed"] == 1540 - len(answer["lines"])


def test_following(objpool):
    with objpool.daemon.client() as client:
        printed(client, "before")
        follower = subprocess.Popen([BUILD / "objpool", "logs", "p", "-f", "-n", "1"], text=True, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env={**os.environ, "OBJPOOL_ADDRESS": objpool.daemon.address})
        try:
            assert follower.stdout.readline() == "slot 0 stdout: before\n"
            printed(client, "after", 1)
            assert follower.stdout.readline() == "slot 1 stdout: after\n"
        finally:
            follower.kill()
            follower.communicate()


def test_wrong_questions(objpool):
    with objpool.daemon.client().maps() as client:
        assert client.error("objpool.logs", "none")["code"] == "NO_SUCH_POOL"
        assert client.error("objpool.logs", "p", "x")["code"] == client.error("objpool.logs")["code"] == "BAD_ARGUMENT"
    objpool("logs", "p", "--slot", "x", status=2)
