# SPDX-License-Identifier: Apache-2.0
"""Calls of classes written in Python that are answered later."""
import itertools
import json
import pathlib
import time

from harness import wait_for

CLASSES = pathlib.Path(__file__).parent / "classes"
MAILBOX = {"m": {"plugin": "python", "class": "mailbox:Mailbox", "python_path": json.dumps([str(CLASSES)]), "workers": 1}}


def wait_until_they_wait(client, count):
    wait_for(lambda: client.value("m.waiting") == count, lambda: f"{count} calls to wait")


def test_another_call_answers(start):
    daemon = start(MAILBOX)
    with daemon.client() as taker, daemon.client() as giver:
        calls = [taker.start("m.get") for _ in range(1000)]
        wait_until_they_wait(giver, 1000)
        for i in range(1000):
            assert giver.value("m.put", i) is True
        assert [taker.wait(call) for call in calls] == [(None, i) for i in range(1000)]
        assert giver.value("m.put", "kept") is False and taker.value("m.get") == "kept"


def test_events(start):
    """A time that comes, a call that is cancelled, a client that goes."""
    daemon = start(MAILBOX)
    with daemon.client() as client, daemon.client() as other:
        error, _ = client.maps().full("m", "get", [0.01])
        assert (error["type"], error["message"]) == ("TimeoutError", "nothing came")
        call = client.start("m.get")
        other.start("m.get")
        wait_until_they_wait(client, 2)
        assert client.value("objpool.cancel", call) is True and client.wait(call)[0]["code"] == "CANCELLED"
        other.close()
        wait_until_they_wait(client, 0)
        assert client.value("m.told") == [["wake", True, False], ["gone", False, False], ["gone", False, False]]
        assert client.value("m.put", 1) is False


def test_one_that_fails_after_all_is_forgotten(start):
    with start(MAILBOX).client() as client:
        error, _ = client.maps().full("m", "defer_and_fail")
        assert (error["type"], error["message"]) == ("ValueError", "after all")
        assert client.value("m.kept_answers") == [False, False, False]


def test_a_value_that_cannot_be_sent_answers_nothing(start):
    with start(MAILBOX).client() as client:
        call = client.start("m.get")
        wait_until_they_wait(client, 1)
        assert "would have to be pickled" in client.value("m.put_what_cannot_be_sent")
        assert client.value("m.put_elsewhere") == [
            "a deferred call can be answered only on the thread that runs the methods"]
        assert client.value("m.put", 1) is True and client.wait(call) == (None, 1)


def test_a_get_that_is_cancelled_as_it_succeeds_loses_nothing(start):
    """Either its caller has the item, or the mailbox has."""
    with start(MAILBOX).client() as client:
        outcomes = set()
        for i in itertools.count():
            client.value("m.put", i)
            get = client.start("m.get")
            until = time.perf_counter() + i % 100 * (1 + i // 500) * 1e-6   # longer and longer: at last some get is faster
            while time.perf_counter() < until:
                pass
            client.notify("objpool.cancel", get)
            error, item = client.wait(get)
            outcomes.add(error and error.split(":")[0])
            if error:
                item = client.value("m.get")
            assert item == i
            if i > 1000 and outcomes == {None, "CANCELLED"}:
                break
