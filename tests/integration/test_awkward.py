# SPDX-License-Identifier: Apache-2.0
"""A class that fails where others don't (awkward.c): one failure is of one thing, and never of the next."""
import subprocess

import msgpack
import pytest
from harness import BUILD, MSGPACK, ROOT, wait_for


@pytest.fixture
def awkward(start, place):
    def start_awkward(daemon=None, **keys):
        library = place / "awkward.so"
        subprocess.run(["cc", "-std=gnu11", "-shared", "-fPIC", f"-I{ROOT}/plugins/include", "-o", library,
                        ROOT / "tests/integration/awkward.c", *MSGPACK], check=True)
        return start({"p": {"plugin": library, "class": "Awkward", "workers": 1, **keys}}, daemon)
    return start_awkward


def events(client):
    return dict(zip(("woken", "gone", "ended"), client.value("p.events")))


def test_a_deferred_call_that_fails_has_ended(awkward):
    with awkward().client() as client:
        for _ in range(3):
            assert client.error("p.defer_and_fail") == "FAILED: deferred and failed"
        call = client.start("p.defer")  # whose number is a new one
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["deferred"] == 1, lambda: "the call to be deferred")
        end = client.start("objpool.call", "p", "defer_and_fail", [], {"timeout_ms": 60_000})
        assert client.wait(end)[0] == "FAILED: deferred and failed"
        assert client.value("p.answer", 0) == 1 and client.wait(call) == (None, b"")
        client.value("p.pause", 30)  # longer than any of them would have waited
        assert events(client)["woken"] == 0
        assert client.value("objpool.status", "p")["pools"][0]["slots"][0]["generation"] == 1


def test_what_session_end_and_released_say_is_nobodys(awkward):
    daemon = awkward()
    with daemon.client() as client:
        with daemon.client() as other:
            other.value("p.events")
        wait_for(lambda: events(client)["ended"] == 1, lambda: "the class to be told")  # no call fails
        client.value("objpool.lease", "p")
        assert client.value("p:0.events") == [0, 0, 1]
        client.value("objpool.release", "p")
        assert events(client)["ended"] == 1


def test_gone_is_not_said_of_what_was_answered_too_late(awkward):
    with awkward().client() as client:
        for late in 1, 2:
            call = client.start("p.defer")
            wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["deferred"] == 1, lambda: "the call to be deferred")
            answer = client.start("p.answer", 0) if late == 1 else None
            client.notify("objpool.cancel", call)
            assert client.wait(call)[0] in (None, "CANCELLED: the call was cancelled by its caller")
            if answer:
                client.wait(answer)
        wait_for(lambda: events(client)["gone"] == 1, lambda: "the second to be given up")


def test_a_method_that_was_cancelled_does_not_wait_for_others(awkward):
    """What it calls then would never be cancelled: here, a call whose answer nobody gives."""
    daemon = awkward(workers=2)
    with daemon.client() as client:
        for end in "cancel", "timeout", "vanish":
            with daemon.client() as other:
                call = other.start("objpool.call", "p:0", "call_in_vain", ["p:1.defer"], {"timeout_ms": 30 if end == "timeout" else 60_000})
                wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "it to begin")
                if end == "cancel":
                    other.notify("objpool.cancel", call)
                if end != "vanish":
                    assert other.wait(call)[1] is None
            assert client.value("p:0.call_in_vain") == "CANCELLED"
        assert client.value("p:1.answer", 0) == 0  # none has begun


def test_what_a_worker_overwrites_loses_no_calls(awkward):
    """The supervisor and its worker share memory: calls that wait in the worker are known from there."""
    with awkward().client() as client:
        client.maps()
        for _ in range(40):
            client.value("p.overwrite_board", 0)
            client.value("p.events")  # both are short, so that they are handed over ahead: mostly
        calls = [client.start("p:0.overwrite_board", 20)] + [client.start("p:0.events") for _ in range(3)]
        assert client.wait(calls[0]) == (None, None)
        for call in calls[1:]:
            error, value = client.wait(call)
            assert value == [0, 0, 0] or (error["code"], error["ran"]) == ("WORKER_LOST", "maybe")


def deferred_before_the_board_is_overwritten(client):
    call = client.start("p.defer")
    client.value("p.overwrite_board", 1)
    return call


def test_deferred_calls_whose_state_is_overwritten_have_ended(awkward):
    with awkward().client() as client:
        client.maps()
        call = deferred_before_the_board_is_overwritten(client)
        answer = client.start("p.answer", 0)
        assert [client.wait(i)[0]["code"] for i in (call, answer)] == ["WORKER_LOST"] * 2
        call = deferred_before_the_board_is_overwritten(client)
        client.notify("objpool.cancel", call)
        assert client.wait(call)[0]["code"] == "CANCELLED"
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["generation"] == 3, lambda: "the worker to end")


@pytest.mark.skipif("-" in BUILD.name, reason="a sanitizer needs memory of its own")
def test_what_no_worker_can_take_in_is_not_tried_for_ever(awkward):
    """It ends the worker before the method begins. Items that are too large together are tried one by one."""
    with awkward({"payload_min": 0}, kwargs='{"memory": %d}' % (120 << 20)).client() as client:
        client.maps()
        error = client.error("p.size_of", bytes(66 << 20))
        assert (error["code"], error["ran"], error["generation"]) == ("WORKER_LOST", "no", 4)
        assert client.full("p:map", "size_of", [[bytes(11 << 20)] * 6], chunk=6) == (None, [11 << 20] * 6)


@pytest.mark.parametrize("head", [b"\x96\x0b", b"\x96\xcc\x0b", b"\xdc\x00\x06\x0b", b"\x96\xcf" + bytes(7) + b"\x0b"])
def test_a_loan_without_a_file_is_none_however_it_is_encoded(awkward, head):
    """The message itself is large, and so lies in a file of the supervisor's; the value that it tells of lies nowhere."""
    with awkward().client() as client:
        client.maps()
        message = head + b"".join(msgpack.packb(field) for field in (0, 0, 1 << 44, 100_000, bytes(300_000)))
        assert client.error("p.say", message)["code"] == "WORKER_LOST"
        assert client.value("p.events") == [0, 0, 0]


def test_a_deferred_answer_is_bounded(awkward):
    daemon = awkward({"max_message": 65536})
    with daemon.client() as client:
        calls = [client.start("p.defer") for _ in range(3)]
        assert client.value("p.answer", 60_000) == 3
        assert [len(client.wait(call)[1]) for call in calls] == [60_000] * 3
        call = client.start("p.defer")
        assert client.value("p.answer", 65_536) == 1
        assert client.wait(call)[0] == "TOO_LARGE: the result is 65541 bytes, over max_message = 65536 bytes"


def test_rows_of_methods_may_be_longer_than_the_hosts(awkward):
    with awkward().client() as client:
        assert [m["name"] for m in client.value("objpool.describe", "p")["methods"]] == [
            "defer_and_fail", "defer", "answer", "pause", "events", "overwrite_board", "size_of", "large", "shorten_answers", "say", "call_in_vain"]
        assert client.value("p.events") == [0, 0, 0]


def test_a_worker_that_changes_an_answer_after_it_has_sent_it_changes_no_message(awkward):
    """A large answer lies in the worker's memory until the client reads it. Where the answer ends is settled when it came."""
    daemon = awkward()
    with daemon.client() as slow, daemon.client() as other:
        calls = [slow.start("p.large", size) for size in (4 << 20, 300_200)]  # the first fills the socket
        wait_for(lambda: other.value("objpool.status", "p")["pools"][0]["slots"][0]["calls"] == 2, lambda: "both calls to be answered")
        assert other.value("p:0.shorten_answers") == 2
        last = slow.start("p.events")
        assert [len(slow.wait(call)[1]) for call in calls] == [4 << 20, 300_200]
        assert slow.wait(last)[0] is None
