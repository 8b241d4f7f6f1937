# SPDX-License-Identifier: Apache-2.0
"""A class in C that goes on with deferred calls between methods (ticker.c)."""
import os
import subprocess

import pytest

from harness import MSGPACK, ROOT, wait_for
from test_direct import Owner


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("ticker") / "ticker.so"
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", ROOT / "plugins/include", "-o", path,
                    ROOT / "tests/integration/ticker.c", *MSGPACK], check=True)
    return path


@pytest.fixture
def ticker(start, library):
    return lambda **keys: start({"p": {"plugin": str(library), "class": "Ticker", "workers": 1, **keys}})


def deferred(client):
    return client.value("objpool.status", "p")["pools"][0]["slots"][0]["deferred"]


def test_it_is_called_when_its_descriptor_can_be_read(ticker):
    with ticker().client() as client:
        calls = [client.start("p.read") for _ in range(3)]
        wait_for(lambda: deferred(client) == 3, lambda: "them to be put off")
        for call in calls:
            client.value("p.write")
            assert client.wait(call) == (None, "x")


def test_it_does_not_spin(ticker):
    with ticker().client() as client:
        call = client.start("p.read")
        wait_for(lambda: deferred(client) == 1, lambda: "it to be put off")
        before = client.value("p.counts")[2]
        for _ in range(20):
            client.value("p.counts")
        assert client.value("p.counts")[2] == before
        client.notify("objpool.cancel", call)
        wait_for(lambda: client.value("p.counts")[1] == 1, lambda: "it to be told")


def test_values_of_a_deferred_call_wait_for_a_slow_client(ticker):
    daemon = ticker()
    with daemon.client() as client, daemon.client() as reader:
        call = reader.start("objpool.call", "p", "values", [400], {"stream": True})
        wait_for(lambda: deferred(client) == 1, lambda: "it to be put off")
        before = None
        while before != (before := client.value("p.counts")[2]):  # it stops, and the instance serves others
            client.value("objpool.ping")
        for i in range(400):
            assert len(reader.receive()[2][3]) == 100_000
        assert reader.wait(call)[1]["items"] == 400
        assert client.value("p.counts")[0] > 0


def test_values_that_are_yielded_before_the_method_ends(ticker):
    daemon = ticker()
    with daemon.client() as client:
        call = client.start("objpool.call", "p", "values_at_once", [60], {"stream": True})
        for i in range(60):
            assert len(client.receive()[2][3]) == 100_000
        assert client.wait(call)[1]["items"] == 60


@pytest.mark.parametrize("way", ["ordinary", "direct"])
def test_an_answer_to_a_call_that_nobody_waits_for(ticker, way):
    """The class gives it while it is told so."""
    with Owner(ticker()) as client:
        caller = client.attach("p") if way == "direct" else client
        call = caller.start("read" if way == "direct" else "p.read")
        wait_for(lambda: deferred(client) == 1, lambda: "it to be put off")
        assert client.value("objpool.cancel", *((caller.number, 0) if way == "direct" else (call,))) is True
        assert caller.wait(call)[0]["code"] == "CANCELLED"
        wait_for(lambda: client.value("p.counts")[3] == 1, lambda: "the class to be told")
        if way == "direct":
            assert caller.value("counts")[3] == 1
            caller.close()


def test_a_caller_that_takes_no_values_is_told_so(ticker):
    with ticker().client() as client:
        assert "not supported" in client.error("p.values", 3)


def test_an_instance_that_is_replaced_ends_its_work_first(ticker):
    daemon = ticker()
    with daemon.client() as client, daemon.client() as other:
        call = client.start("p.read")
        wait_for(lambda: deferred(other) == 1, lambda: "it to be put off")
        restart = other.start("objpool.restart", "p")
        wait_for(lambda: len(daemon.children()) > 0, lambda: "the workers")
        assert client.value("objpool.cancel", call) is True
        assert other.wait(restart)[0] is None
        assert client.wait(call)[0].startswith("CANCELLED: ")
        assert other.value("p.counts") == [0, 0, 0, 0]
