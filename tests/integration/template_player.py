# SPDX-License-Identifier: Apache-2.0
"""Templates of clients as tests play them: what is right, and all kinds of what is not."""
import array
import contextlib
import itertools
import os
import socket
import subprocess

import msgpack
import pytest

from harness import DEADLINE

LOAD, FORK, KILL = range(3)
LOADED, FORKED, EXITED = range(3)
CALL, REPLY, PROGRESS = 1, 1, 4   # to and from a worker
DESCRIPTION = {"plugin": "mine", "version": "1", "class": "Mine", "open": True, "methods": []}
_numbers = itertools.count()


class GaveUp(Exception):
    """The daemon has closed its end: start_timeout is over."""


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
        assert self.receive_request()[0] == LOAD

    def send(self, *message):
        with contextlib.suppress(BrokenPipeError):      # the daemon may have had enough
            self.channel.send(msgpack.packb(message))

    def receive(self):
        """The next message; [] at the end. What comes with it is added to the descriptors."""
        space = socket.CMSG_LEN(4 * array.array("i").itemsize)
        try:
            data, ancillary, _, _ = self.channel.recvmsg(1 << 18, space)
        except ConnectionResetError:
            return []
        for _, _, content in ancillary:
            numbers = array.array("i")
            numbers.frombytes(content)
            self.descriptors += numbers
        return msgpack.unpackb(data) if data else []

    def receive_request(self):
        message = self.receive()
        if not message:
            raise GaveUp
        return message

    def load(self):
        self.accept()
        self.send(LOADED, DESCRIPTION)

    def fork(self, pid=None):
        """Answers a FORK, with a child of this process unless another pid is given. Returns the worker's pid and channel."""
        number, slot, generation = self.receive_request()
        assert number == FORK
        if pid is None:
            self.workers.append(subprocess.Popen(["sleep", "1000"]))
            pid = self.workers[-1].pid
        channel = socket.socket(fileno=os.dup(self.descriptors[-4]))
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
    number, slot, generation = offer.receive_request()
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
        with contextlib.suppress(GaveUp):   # where this process was too late
            hostile(offer)
    return ids
