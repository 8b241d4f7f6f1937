# SPDX-License-Identifier: Apache-2.0
"""The trace to which a call belongs reaches its method, the calls that this makes, and the log."""
import json
import pathlib
import subprocess

import pytest
from harness import BUILD
from test_direct import Owner

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "cc-" + "1" * 32 + "-" + "2" * 16 + "-ff"
NONE = ["", "x", TRACE[:-1], TRACE + "0", TRACE.upper(), TRACE.replace("-", "_"), "ff" + TRACE[2:], "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + TRACE[52:], 7, [TRACE]]


def test_it_reaches_the_method(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        assert c.full("p", "traceparent", traceparent=TRACE) == (None, TRACE)
        assert c.value("p.traceparent") is None
        assert c.full("p", "traceparent") == (None, None)
        assert c.full("p", "traceparent", traceparent=None) == (None, None)
        assert c.full("p", "traceparent", traceparent=OTHER, timeout_ms=20000) == (None, OTHER)
        assert c.full("p:all", "traceparent", traceparent=TRACE) == (None, [TRACE])
        for wrong in NONE:
            assert c.full("p", "traceparent", traceparent=wrong)[0].startswith("BAD_REQUEST: option traceparent"), wrong


def test_each_item_has_it(start):
    daemon = start({"p": {"workers": 2}, "q": {"workers": 1}})
    with daemon.client() as c:
        items = ["q.traceparent"] * 20
        assert c.full("p:map", "relay", [items], traceparent=TRACE) == (None, [TRACE] * 20)
        assert c.full("p:map", "relay", [items]) == (None, [None] * 20)


def test_calls_that_a_method_makes_have_it(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}, "r": {"workers": 1}})
    with daemon.client() as c:
        assert c.full("p", "relay", ["q.relay", "r.traceparent"], traceparent=TRACE) == (None, TRACE)
        assert c.value("p.relay", "q.relay", "r.traceparent") is None
        other = ["q", "relay", ["r.traceparent"], {"traceparent": OTHER}]
        assert c.full("p", "relay", ["objpool.call", *other], traceparent=TRACE) == (None, OTHER)


@pytest.mark.parametrize("rings", [False, True])
def test_on_direct_channels(start, rings, monkeypatch):
    monkeypatch.setattr(Owner, "rings", rings)
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})
    with Owner(daemon) as client, client.attach("p") as channel:
        assert channel.call("objpool.call", None, "traceparent", [], {"traceparent": TRACE}) == (None, TRACE)
        assert channel.call("traceparent") == (None, None)
        assert channel.call("objpool.call", None, "relay", ["q.traceparent"], {"traceparent": TRACE}) == (None, TRACE)
        assert channel.call("relay", "q.traceparent") == (None, None)
        for wrong in NONE:
            error, _ = channel.call("objpool.call", None, "traceparent", [], {"traceparent": wrong})
            assert error["code"] == "BAD_REQUEST" and "option traceparent" in error["message"], wrong


def test_calls_that_are_put_off_have_their_own(start):
    classes = json.dumps([str(pathlib.Path(__file__).parent / "classes")])
    daemon = start({"p": {"plugin": "python", "class": "gates:Gates", "python_path": classes, "workers": 1},
                    "q": {"workers": 1}})
    with daemon.client() as c:
        traces = [TRACE, None, OTHER] * 5
        calls = [c.start("objpool.call", "p", "trace", ["q.traceparent"], {"traceparent": trace}) for trace in traces]
        assert [c.wait(call) for call in calls] == [(None, [trace, trace]) for trace in traces]


def test_the_log_has_it(start):
    daemon = start({"p": {"workers": 1, "slow_log": "0.05"}}, {"log_level": "debug"})
    with daemon.client() as c:
        assert c.full("p", "sleep", [0.3], traceparent=TRACE) == (None, 0.3)
        assert c.value("p.sleep", 0.3) == 0.3
    daemon.wait_log(rf"slow: sleep has been running for .* session \d+, traceparent {TRACE}\)")
    daemon.wait_log(r"slow: sleep has been running for .* session \d+\)")
    daemon.wait_log(rf"call \d+, sleep: comes, with 1 task, traceparent {TRACE}")


def test_the_command_line(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}})

    def run(*words, **keywords):
        return subprocess.run([BUILD / "objpool", "-s", daemon.address, *words], capture_output=True, text=True, timeout=60, **keywords)

    assert run("call", "p.traceparent", "--traceparent", TRACE).stdout == f'"{TRACE}"\n'
    assert run("map", "p.relay", "--traceparent", TRACE, input='"q.traceparent"\n' * 3).stdout == f'"{TRACE}"\n' * 3
    refused = run("call", "p.traceparent", "--traceparent", "x")
    assert refused.returncode == 1 and "option traceparent must be" in refused.stderr
