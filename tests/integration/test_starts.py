# SPDX-License-Identifier: Apache-2.0
"""Workers that can't be had at the first try: forks that fail for a moment, and templates whose forks don't live."""
import errno
import json
import os
import pathlib
import re
import resource

import pytest

import no_memory_files
from harness import BUILD, DEADLINE, wait_for
from template_player import FORK, FORKED, begin, offer, ready  # noqa: F401

BROKEN_AT_FIRST = """
import os
path = os.path.join(os.path.dirname(__file__), "loaded")
with open(path, "a") as file:
    file.write("x")
loads = os.path.getsize(path)

class Broken:
    def __init__(self):
        if loads <= {most}:
            {how}

    def loads(self):
        return loads
"""


def states(client):
    return [slot["state"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"]]


def refuse(offer, error):
    number, slot, generation = offer.receive()
    assert number == FORK
    offer.close_descriptors()
    offer.send(FORKED, slot, generation, -error)


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_for_a_moment_is_tried_again(start, offer, error):
    daemon = start({})
    with daemon.client() as client:
        create = begin(client, offer, start_timeout=20)
        offer.load()
        for _ in range(3):
            refuse(offer, error)
        _, channel = offer.fork()
        ready(channel)
        assert client.wait(create) == (None, {"workers": 1})
        status, = client.value("objpool.status", "mine")["pools"]
        assert status["slots"][0]["state"] == "ready" and status["slots"][0]["generation"] == 1
        assert daemon.log().count("could not be forked") == 1       # one line, however often it is tried
        channel.close()


def test_a_fork_that_fails_for_good_is_not(start, offer):
    daemon = start({})
    with daemon.client() as client:
        create = begin(client, offer, start_timeout=20)
        offer.load()
        refuse(offer, errno.EPERM)
        error, _ = client.wait(create)
        assert "could not be forked: Operation not permitted" in str(error)


def test_a_worker_that_is_not_wanted_any_more_is_not_forked_again(start, offer):
    daemon = start({})
    with daemon.client().maps() as client:
        create = begin(client, offer, start_timeout=0.5)
        offer.load()
        offer.channel.settimeout(0.2)
        try:
            while True:
                refuse(offer, errno.EAGAIN)
        except (TimeoutError, ValueError):
            pass        # it is not asked any more: start_timeout has come
        error, _ = client.wait(create)
        assert "could not be forked within start_timeout" in error["message"]


def test_a_daemon_without_descriptors_starts_the_worker_when_there_are_some(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.value("objpool.ping")        # the daemon has accepted the connection
        before = daemon.descriptors()
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (before + 1, limits[1]))   # a worker takes three
        scale = client.start("objpool.scale", "p", 2)
        daemon.wait_log("could not be forked: Too many open files")
        wait_for(lambda: daemon.descriptors() <= before + 1, lambda: "between two tries, no more than the board that it will have")
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
        error, _ = client.wait(scale)
        assert error is None
        wait_for(lambda: states(client) == ["ready"] * 2, lambda: "two workers")
        assert client.value("p:all.echo", 1) == [1, 1]
        assert "no instance" not in daemon.log()


@pytest.mark.skipif("address" in BUILD.name or "thread" in BUILD.name, reason="a sanitizer needs memory")
def test_a_worker_for_which_there_is_no_memory_costs_no_descriptor(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.value("objpool.ping")        # the daemon has accepted the connection
        before = daemon.descriptors()
        limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_AS)
        size = int(re.search(r"VmSize:\s+(\d+)", pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()).group(1)) << 10
        resource.prlimit(daemon.process.pid, resource.RLIMIT_AS, (size + (900 << 10), limits[1]))   # a board takes one MiB
        scale = client.start("objpool.scale", "p", 3)
        daemon.wait_log("could not be forked: Cannot allocate memory")
        for _ in range(20):
            client.value("objpool.status")
        assert daemon.descriptors() <= before + 1
        resource.prlimit(daemon.process.pid, resource.RLIMIT_AS, limits)
        assert client.wait(scale)[0] is None
        wait_for(lambda: states(client) == ["ready"] * 3, lambda: "three workers")


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "raise OSError('stale')"])
def test_a_template_whose_forks_all_die_is_replaced(start, place, how):
    (place / "broken.py").write_text(BROKEN_AT_FIRST.format(most=1, how=how))
    daemon = start({"p": {"plugin": "python", "class": "broken:Broken", "python_path": json.dumps([str(place)]), "workers": 4}})
    with daemon.client() as client:
        wait_for(lambda: states(client) == ["ready"] * 4, lambda: "four workers")
        assert client.value("p:all.loads") == [2] * 4
        daemon.wait_log("workers in a row have ended before they were ready: the template process is replaced")


def test_a_template_whose_forks_die_for_another_reason_is_replaced_ever_more_seldom(start, place):
    (place / "broken.py").write_text(BROKEN_AT_FIRST.format(most=1000, how="raise OSError('for good')"))
    daemon = start({"p": {"plugin": "python", "class": "broken:Broken", "python_path": json.dumps([str(place)]), "workers": 12}})
    with daemon.client() as client:
        wait_for(lambda: len(re.findall("no instance: the constructor failed", daemon.log())) >= 36, lambda: "three failures of each slot")
        assert os.path.getsize(place / "loaded") <= 4       # after 3, 6 and 12 failures


def test_workers_by_the_hundred(start):
    daemon = start({"p": {"workers": 150}})
    with daemon.client() as client:
        assert len(set(client.value("p:all.pid"))) == 150
        assert "could not be forked" not in daemon.log()


# ---- no memory to share ----


@pytest.mark.skipif(no_memory_files.NUMBER is None, reason="the number of memfd_create is not known")
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EMFILE])
def test_memfd_create_that_fails_is_named(start, error):
    daemon = start(expect_ready=False, preexec=lambda: no_memory_files.forbid(error))
    assert daemon.process.wait(DEADLINE) != 0
    assert f"there is no memory to share with workers (memfd_create): {os.strerror(error)}" in daemon.log()
