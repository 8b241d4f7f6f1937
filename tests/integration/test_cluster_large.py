# SPDX-License-Identifier: Apache-2.0
"""Answers of other hosts that are larger than this host takes: they fail, and nothing else does."""
import contextlib
import resource
import threading

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from cluster_calls import gateway_memory
from harness import wait_for

pytestmark = needs_cluster
SMALL, LARGE = 1000, 6 << 20


@pytest.fixture
def hosts(cluster):
    """h1 takes messages of 1 MiB, h2 larger ones."""
    hosts = cluster(())
    hosts.add("h1", pools={}, daemon={"max_message": "1M"})
    hosts.add("h2")
    hosts["h1"].sees({"h1": 0, "h2": 2})
    return hosts


def is_too_large(error, **more):
    wanted = {"code": "TOO_LARGE", "ran": "yes", "host": "h2", **more}
    assert {key: error.get(key) for key in wanted} == wanted, error
    assert "max_message" in error["message"] and "1048576" in error["message"], error


def test_an_answer_over_max_message_fails_its_call_alone(hosts):
    with hosts["h1"].client().maps() as c:
        lease = c.value("objpool.lease", "p@h2")
        other = c.start("p@h2.sleep", 1)
        error, _ = c.call("p@h2.blob", LARGE)
        is_too_large(error)
        assert c.wait(other) == (None, 1)
        assert c.value("objpool.release", "p@h2", lease["slot"]) is True
        assert len(c.value("p@h2.blob", SMALL)) == SMALL


def test_of_many_results_those_that_are_too_large_fail(hosts):
    sizes = [SMALL, LARGE, SMALL, SMALL, LARGE, SMALL]
    with hosts["h1"].client().maps() as c:
        for target in ("p@h2:map", "p@*:map"):
            for options in ({}, {"ordered": False}):
                results = {}
                c.start("objpool.call", target, "blob", [sizes], {"stream": True, "errors": "collect", **options}, msgid=9)
                while (message := c.receive())[0] == 2:
                    results[message[2][1]] = message[2][2:]
                assert message[2:] == [None, {"items": 6, "failed": 2}], (target, message)
                for index, size in enumerate(sizes):
                    error, value = results[index]
                    if size == LARGE:
                        is_too_large(error)
                    else:
                        assert error is None and len(value) == SMALL
        c.start("objpool.call", "p@h2:map", "blob", [sizes], {"stream": True}, msgid=10)
        while (message := c.receive())[0] == 2:
            pass
        is_too_large(message[2], items=6, failed=2)
        error, results = c.full("p@*:map", "blob", [sizes], errors="collect")
        assert error is None and [bool(error) for error, _ in results] == [size == LARGE for size in sizes]
        for index in (1, 4):
            is_too_large(results[index][0], index=index)


def test_results_of_all_that_are_too_large(hosts):
    with hosts["h1"].client().maps() as c:
        error, results = c.full("p@*:all", "blob", [LARGE], errors="collect")
        assert error is None and len(results) == 2
        for index, (error, _) in enumerate(results):
            is_too_large(error, index=index)
        is_too_large(c.full("p@*:all", "blob", [LARGE])[0])
        assert c.value("p@*:all.slot") == [0, 1]


def test_clients_with_large_answers_leave_room_for_others(cluster):
    """Six clients are owed eighteen answers, which together are far over max_memory: they come one after the other, and others go
    on meanwhile."""
    hosts = cluster(("h2", "h3", "h4"))
    h1 = hosts.add("h1", pools={}, cluster={"max_memory": "32M"})
    h1.sees({"h1": 0, "h2": 2, "h3": 2, "h4": 2})
    size = 8 << 20
    with contextlib.ExitStack() as stack:
        greedy = [stack.enter_context(h1.client().maps()) for _ in range(6)]
        small = stack.enter_context(h1.client().maps())
        calls = [(client, client.start(f"p@{host}.blob", size)) for client in greedy for host in ("h2", "h3", "h4")]
        done = []

        def take():
            for client, number in calls:
                error, value = client.wait(number)
                done.append(error or len(value))

        taker = threading.Thread(target=take)
        taker.start()
        others = 0
        while taker.is_alive():
            error, slot = small.call("p@h2.slot")
            if error:    # of the answers so many bytes were under way that there is twice max_memory
                assert (error["code"], error["ran"]) == ("OVERLOADED", "no")
            else:
                assert slot in (0, 1)
                others += 1
        taker.join()
        assert done == [size] * len(calls)
        assert others > 5
        assert gateway_memory(h1) < 150 << 20


def test_many_small_calls_that_wait_hold_little(cluster):
    """Each comes by itself, so that the gateway reads it by itself."""
    hosts = cluster(("h1", "h2"))
    pid = hosts["h1"].gateway()
    before = address_space(pid)
    with hosts["h1"].client().maps() as c:
        for _ in range(1000):
            c.start("p@*.sleep", 60)
            c.value("objpool.ping")
        wait_for(lambda: sum(host["inflight"] for host in hosts["h1"].hosts().values()) == 1000, lambda: "all to be asked")
        assert address_space(pid) - before < 32 << 20
        assert hosts["h1"].gateway() == pid


def address_space(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
