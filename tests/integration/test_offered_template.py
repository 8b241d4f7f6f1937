# SPDX-License-Identifier: Apache-2.0
"""objpool.create with a template: a process of the client's that is broken, or out to break the daemon."""
import contextlib
import socket
import threading

import msgpack
import pytest

from harness import wait_for
from template_player import CALL, EXITED, FORK, HOSTILE, KILL, PROGRESS, REPLY, Offer, begin, begin_all  # noqa: F401
from template_player import make, names, offer, offers, ready  # noqa: F401


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.__name__)
def test_the_caller_has_an_answer_and_nothing_is_left(start, offer, hostile):
    daemon = start({})
    with daemon.client() as client:
        client.value("objpool.ping")
        before = daemon.descriptors()
        create = begin(client, offer)
        hostile(offer)
        error, _ = client.wait(create)
        assert error.startswith("FAILED: pool mine could not be created: "), error
        wait_for(lambda: names(client) == [] and daemon.descriptors() == before, lambda: f"{daemon.descriptors()} descriptors, not {before}")


def test_all_at_once_are_waited_for_and_dropped_and_left(start, offers):
    daemon = start({})
    with daemon.client() as client, daemon.client() as leaver:
        client.value("objpool.ping")
        leaver.value("objpool.ping")
        before = daemon.descriptors()
        awaited = begin_all(client, offers, "awaited")
        dropped = begin_all(client, offers, "dropped", start_timeout=1000)
        begin_all(leaver, offers, "left", start_timeout=1000)
        leaver.close()
        drops = [client.start("objpool.drop", f"dropped{i}") for i in range(len(dropped))]
        for drop in drops:
            client.wait(drop)
        for create in awaited + dropped:
            assert client.wait(create)[0] is not None
        wait_for(lambda: names(client) == [] and daemon.descriptors() == before - 1, lambda: f"{daemon.descriptors()} descriptors, not {before - 1}")


# ---- of a pool that works ----

def next_call(channel):
    """The id of a call that the worker is handed."""
    kind, number, *_ = msgpack.unpackb(channel.recv(1 << 16))
    assert kind == CALL
    return number


def test_one_that_does_what_it_should(start, offer):
    daemon = start({})
    with daemon.client() as client:
        (pid, channel), = make(client, offer)
        call = client.start("mine.anything")
        next_call(channel)
        offer.send(EXITED, pid, 9)                          # and has not begun with it
        _, channel = offer.fork()
        ready(channel)
        channel.send(msgpack.packb([REPLY, next_call(channel), None, 7]))
        assert client.wait(call) == (None, 7)
        assert client.value("objpool.status", "mine")["pools"][0]["slots"][0]["last_failure"] == "killed by signal 9 (Killed)"
        drop = client.start("objpool.drop", "mine")
        assert channel.recv(1 << 16)                        # STOP
        offer.send(EXITED, offer.workers[-1].pid, 0)
        assert client.wait(drop) == (None, True)
        assert offer.receive() == []


def test_the_daemon_is_no_worker_of_its_own(start, offer):
    daemon = start({})
    with daemon.client() as client:
        create = begin(client, offer)
        offer.load()
        offer.fork(daemon.process.pid)
        assert "no message of a template" in client.wait(create)[0]


def test_a_worker_that_another_says_is_its_own_ends_where_it_belongs(start, offer):
    daemon = start({})
    with daemon.client() as client:
        create = begin(client, offer)
        assert client.call("objpool.create", {"pool": "honest", "plugin": "probe", "class": "Probe", "workers": 1})[0] is None
        worker = daemon.pids(client, "honest")[0]
        offer.load()
        ready(offer.fork(worker)[1])
        assert client.wait(create)[0] is None
        lost = client.start("honest.crash")
        assert client.wait(lost)[0].startswith("WORKER_LOST: pool honest ")
        assert client.value("objpool.status", "mine")["pools"][0]["slots"][0]["state"] == "ready"


def test_a_worker_that_was_said_to_have_ended_talks_to_nobody(start, offer):
    """It would be read for ever."""
    daemon = start({})
    with daemon.client() as client:
        (pid, channel), = make(client, offer)
        client.start("mine.anything")
        number = next_call(channel)
        stop = threading.Event()

        def talk():
            words = msgpack.packb([PROGRESS, number, 1, 1, ""]) * 10000
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    channel.sendall(words)

        talkers = [threading.Thread(target=talk) for _ in range(2)]
        for talker in talkers:
            talker.start()
        try:
            offer.send(EXITED, pid, 0)
            client.value("objpool.ping")
            kind = offer.receive()[0]
            while kind == KILL:  # before it had ended: the words of the two talkers were mixed up
                kind = offer.receive()[0]
            assert kind == FORK
        finally:
            stop.set()
            for talker in talkers:
                talker.join()


def test_a_name_where_too_many_wait(start):
    daemon = start({})
    offer, others = Offer(backlog=0), []
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                others.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
                others[-1].connect("\0" + offer.name)
        with daemon.client() as client:
            assert "can't be reached" in client.wait(begin(client, offer))[0]
    finally:
        for other in others:
            other.close()
        offer.close()
