# SPDX-License-Identifier: Apache-2.0
"""Templates that clients offer and that don't answer: the daemon's patience with them, ten seconds, is waited out."""
import itertools
import socket
import subprocess

import pytest

from harness import is_alive, wait_for
from template_player import KILL, begin, begin_all, make, offer, offers, ready  # noqa: F401


def test_the_daemon_stops(start, offers):
    daemon = start({}, daemon={"drain_timeout": 0})
    with daemon.client() as client:
        for i, offer in enumerate(offers(2)):
            make(client, offer, pool=f"works{i}")
        begin_all(client, offers, "started", start_timeout=0.1)
        begin_all(client, offers, "starting", start_timeout=1000)
        daemon.stop()


def test_a_worker_that_will_not_end_takes_the_pool_with_it(start, offer):
    daemon = start({})
    with daemon.client() as client:
        (pid, channel), (_, other) = make(client, offer, workers=2)
        lost = [client.start("mine.anything") for _ in range(2)]
        assert channel.recv(1 << 16) and other.recv(1 << 16)
        channel.send(b"\xc1")
        assert offer.receive() == [KILL, pid]
        assert all("the template process does not answer" in client.wait(one)[0] for one in lost)
        wait_for(lambda: "has ended" in client.error("mine.anything"), lambda: "the pool's last word")
        assert offer.workers[0].poll() is None and offer.workers[1].poll() is None  # the daemon kills nobody itself


def test_pools_whose_templates_are_stuck_end(start, offers):
    daemon = start({})
    with daemon.client() as client:
        lost, drops = [], []
        for offer, (how, end) in zip(offers(9), itertools.product(["silent", "closed", "nonsense"], ["drop", "scale", "restart"])):
            pool = f"{how}-{end}"
            made = make(client, offer, workers=2, pool=pool)
            lost += [client.start(f"{pool}.anything") for _ in range(2)]
            if how == "closed":
                offer.channel.close()
            if how == "nonsense":
                made[0][1].send(b"\xc1")
            if end != "drop":
                client.start(f"objpool.{end}", pool, *[1] * (end == "scale"))
            drops.append(client.start("objpool.drop", pool))
        assert all(client.wait(one)[0] is not None for one in lost)
        assert all(client.wait(drop) == (None, True) for drop in drops)


@pytest.mark.parametrize("deaf", [False, True])
def test_nobody_else_is_killed(start, offer, deaf):
    """It says that a bystander and a worker of another pool were its workers."""
    daemon = start({})
    bystander = subprocess.Popen(["sleep", "1000"])
    with daemon.client() as client:
        create = begin(client, offer, workers=2, owner="daemon")
        client.value("objpool.ping")
        assert client.call("objpool.create", {"pool": "honest", "plugin": "probe", "class": "Probe", "workers": 1})[0] is None
        worker = daemon.pids(client, "honest")[0]
        offer.load()
        channels = [offer.fork(pid)[1] for pid in (bystander.pid, worker)]
        for channel in channels:
            ready(channel)
        assert client.wait(create)[0] is None
        if deaf:
            offer.channel.shutdown(socket.SHUT_RD)          # nothing can be sent to it
        drop = client.start("objpool.drop", "mine")
        if not deaf:
            assert {tuple(offer.receive()) for _ in range(2)} == {(KILL, bystander.pid), (KILL, worker)}
            offer.channel.close()
        assert client.wait(drop)[0] is None
        assert is_alive(worker) and bystander.poll() is None
        assert client.value("honest.echo", 1) == 1
    bystander.kill()
    bystander.wait()
