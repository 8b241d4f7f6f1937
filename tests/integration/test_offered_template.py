# SPDX-License-Identifier: Apache-2.0
"""objpool.create with a template: a process of the client's that is broken, or out to break the daemon."""
import array
import contextlib
import itertools
import os
import socket
import subprocess
import threading

import msgpack
import pytest

from harness import DEADLINE, is_alive, wait_for

LOAD, FORK, KILL = range(3)
LOADED, FORKED, EXITED = range(3)
CALL, REPLY, PROGRESS = 1, 1, 4   # to and from a worker
DESCRIPTION = {"plugin": "mine", "version": "1", "class": "Mine", "open": True, "methods": []}
_numbers = itertools.count()


class Offer:
    """A template that says what a test has it say. Its workers are children of this process that do nothing; their channels are here."""

    def __init__(self, backlog=8):
        self.name = f"objpool-test-{os.getpid()}-{next(_numbers)}"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.settimeout(DEADLINE)
        self.listener.bind("\0" + self.name)
        self.listener.listen(backlog)
        self.channel = None
        self.workers, self.descriptors = [], []

    def accept(self):
        self.channel, _ = self.listener.accept()
        self.channel.settimeout(DEADLINE)
        assert self.receive()[0] == LOAD

    def send(self, *message):
        self.channel.send(msgpack.packb(message))

    def receive(self):
        """The next message; [] at the end. What comes with it is added to the descriptors."""
        space = socket.CMSG_LEN(3 * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.channel.recvmsg(1 << 18, space)
        except ConnectionResetError:
            return []
        for _, _, content in ancillary:
            numbers = array.array("i")
            numbers.frombytes(content)
            self.descriptors += numbers
        return msgpack.unpackb(data) if data else []

    def load(self):
        self.accept()
        self.send(LOADED, DESCRIPTION)

    def fork(self, pid=None):
        """Answers a FORK, with a child of this process unless another pid is given. Returns the worker's pid and channel."""
        number, slot, generation = self.receive()
        assert number == FORK
        if pid is None:
            self.workers.append(subprocess.Popen(["sleep", "1000"]))
            pid = self.workers[-1].pid
        channel = socket.socket(fileno=os.dup(self.descriptors[-3]))
        self.close_descriptors()
        self.send(FORKED, slot, generation, pid)
        return pid, channel

    def close_descriptors(self):
        for number in self.descriptors:
            os.close(number)
        self.descriptors = []

    def close(self):
        self.listener.close()
        if self.channel:
            self.channel.close()
        self.close_descriptors()
        for worker in self.workers:
            worker.kill()
            worker.wait()


@pytest.fixture
def offer():
    offer = Offer()
    yield offer
    offer.close()


def begin(client, offer, **more):
    return client.start("objpool.create", {"pool": "mine", "plugin": "probe", "class": "Mine", "workers": 1, "template": offer.name,
                                           "start_timeout": 1, "stop_timeout": 0.2, **more})


def ready(channel):
    """What a worker says when its constructor has run, once it has been told to start."""
    channel.settimeout(DEADLINE)
    assert channel.recv(1 << 16)
    channel.send(msgpack.packb([0]))


def make(client, offer, workers=1, **more):
    """A pool that works, and its workers."""
    create = begin(client, offer, workers=workers, **more)
    offer.load()
    made = [offer.fork() for _ in range(workers)]
    for _, channel in made:
        ready(channel)
    assert client.wait(create) == (None, {"workers": workers})
    return made


def names(client):
    return [pool["name"] for pool in client.value("objpool.pools")]


# ---- what it says ----

def stay_silent(offer):
    offer.accept()


def never_accept(offer):
    pass


def stay_silent_when_loaded(offer):
    offer.load()


def fail_silently(offer):
    offer.load()
    offer.fork()


def close_at_once(offer):
    offer.accept()
    offer.channel.close()


def close_when_loaded(offer):
    offer.load()
    offer.channel.close()


def close_when_told_to_fork(offer):
    offer.load()
    offer.receive()
    offer.channel.close()


def close_when_forked(offer):
    offer.load()
    offer.fork()
    offer.channel.close()


def say(*messages):
    def hostile(offer):
        offer.accept()
        for message in messages:
            try:
                offer.channel.send(message if isinstance(message, bytes) else msgpack.packb(message))
            except BrokenPipeError:
                return
    hostile.__name__ = repr(messages)[:60]
    return hostile


def tell(pid):
    def hostile(offer):
        offer.load()
        offer.fork(pid)
    hostile.__name__ = f"tell_{pid}"
    return hostile


def exit_before_forked(offer):
    offer.load()
    number, slot, generation = offer.receive()
    offer.workers.append(subprocess.Popen(["true"]))
    pid = offer.workers[-1].pid
    offer.send(EXITED, pid, 0)
    offer.send(FORKED, slot, generation, pid)
    offer.close_descriptors()


def exit_twice(offer):
    offer.load()
    pid, _ = offer.fork()
    offer.send(EXITED, pid, 256)
    offer.send(EXITED, pid, 256)


LONG = "é" * 1000
HOSTILE = [
    close_at_once, close_when_loaded, close_when_told_to_fork, close_when_forked, exit_twice,
    say(b"x"), say(b"\xc1"), say([]), say([LOADED]), say([LOADED, 7]), say([LOADED, None, 7]), say([LOADED, None, "why"]), say([LOADED, None, LONG]),
    say([LOADED, None, "x" + LONG]), say([LOADED, {"methods": [{}]}]), say([LOADED, DESCRIPTION], [LOADED, DESCRIPTION]), say([LOADED, {**DESCRIPTION, "open": 1}]),
    say([FORKED, 0, 1, 1]), say([EXITED, 0, 0]), say([EXITED, -1, 0]), say([EXITED, 1]), say([7]), say([LOADED, DESCRIPTION], [FORKED, 5, 1, 1]),
    say([LOADED, DESCRIPTION], [FORKED]), say(b"x" * 100000),
    tell(0), tell(1), tell(-1), tell(-11), tell(-1 << 63), tell((1 << 63) - 1), tell(1 << 32), tell((1 << 32) + 1), tell((1 << 32) - 1),
]
SILENT = [never_accept, stay_silent, stay_silent_when_loaded, fail_silently, exit_before_forked, say([EXITED, 1, 0]), say([EXITED, 1 << 32, 0]),
          say([LOADED, DESCRIPTION], [EXITED, 5, 1 << 40]), tell(4194304)]


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


@pytest.fixture
def offers():
    """offers(n): as many of them."""
    made = []

    def make_some(count):
        some = [Offer() for _ in range(count)]
        made.extend(some)
        return some

    yield make_some
    for offer in made:
        offer.close()


def begin_all(client, offers, prefix, **more):
    """The daemon meets all that there are, each as a pool of its own. The ids of their creations."""
    some = offers(len(SILENT + HOSTILE))
    ids = [begin(client, offer, pool=f"{prefix}{i}", **more) for i, offer in enumerate(some)]
    for offer, hostile in zip(some, SILENT + HOSTILE):
        hostile(offer)
    return ids


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


def test_the_daemon_stops(start, offers):
    daemon = start({}, daemon={"drain_timeout": 0})
    with daemon.client() as client:
        for i, offer in enumerate(offers(2)):
            make(client, offer, pool=f"works{i}")
        begin_all(client, offers, "started", start_timeout=0.1)
        begin_all(client, offers, "starting", start_timeout=1000)
        daemon.stop()


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
            assert offer.receive()[0] == FORK
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
