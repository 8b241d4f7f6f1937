# SPDX-License-Identifier: Apache-2.0
"""Rings of a direct channel: what a client that breaks the rules can do, which is nothing. test_direct.py runs all else on them."""
import contextlib
import mmap
import os
import resource
import socket
import struct

import msgpack
import pytest

from harness import DEADLINE, wait_for
from rings import BYTES, offered
from test_direct import Owner, slot_of

WRITTEN, READ = 0, 128 + 64  # words of the client: bytes written to ring 0, and read from ring 1


class Raw:
    """A channel with rings, and their memory."""

    def __init__(self, client):
        answer = client.value("objpool.attach", "p", 0, {"rings": True})
        self.number = answer["channel"]
        self.socket = socket.socket(fileno=client.files.pop(0))
        self.socket.settimeout(DEADLINE)
        params, self.files = offered(self.socket)
        assert params == [BYTES]
        self.memory = mmap.mmap(self.files[0], 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        self.socket.close()
        for fd in self.files:
            os.close(fd)

    def write(self, word, value):
        self.memory[word:word + 8] = struct.pack("=Q", value)

    def wake(self):
        os.write(self.files[1], b"\0")


@pytest.fixture(autouse=True)
def rings(monkeypatch):
    monkeypatch.setattr(Owner, "rings", True)


@pytest.fixture
def client(start):
    with Owner(start({"p": {"workers": 1}})) as client:
        yield client


def is_served(client):
    with contextlib.closing(client.attach("p", 0)) as other:
        return other.value("echo", 1) == 1 and client.value("p.echo", 2) == 2


@pytest.mark.parametrize("value", [BYTES + 1, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_bytes_that_were_never_written(client, value):
    with Raw(client) as raw:
        raw.write(WRITTEN, value)
        raw.wake()
        assert raw.socket.recv(1) == b""
        assert client.value("objpool.detached", raw.number)["reason"] == "client"
        assert is_served(client)
        assert slot_of(client)["generation"] == 1


@pytest.mark.parametrize("value", [1, BYTES + 1, 1 << 40, (1 << 64) - 1])
def test_bytes_that_were_never_there_are_read(client, value):
    with Raw(client) as raw:
        raw.write(READ, value)
        message = msgpack.packb([0, 1, "echo", [1]])
        raw.memory[4096:4096 + len(message)] = message
        raw.write(WRITTEN, len(message))
        raw.wake()
        wait_for(lambda: slot_of(client)["calls"] == 1, lambda: "the call to run")
        assert is_served(client)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.socket.recv(1) == b""
        assert slot_of(client)["generation"] == 1


def test_bytes_that_are_no_message(client):
    with Raw(client) as raw:
        raw.memory[4096:4097] = b"\xc1"
        raw.write(WRITTEN, 1)
        raw.wake()
        assert raw.socket.recv(1) == b""
        assert client.value("objpool.detached", raw.number)["reason"] == "protocol"
        assert is_served(client)


def test_a_pipe_that_is_full_all_the_time(client):
    with Raw(client) as raw:
        os.set_blocking(raw.files[1], False)
        for _ in range(20):
            with contextlib.suppress(BlockingIOError):
                while os.write(raw.files[1], bytes(4096)):
                    pass
            assert is_served(client)


def test_a_pipe_that_is_closed(client):
    """The client can't wake the worker any more: its channel ends, and the worker does not look at it again and again."""
    with Raw(client) as raw:
        os.close(raw.files.pop(1))
        assert raw.socket.recv(1) == b""
        assert client.value("objpool.detached", raw.number)["reason"] == "client"
    assert is_served(client)


def test_a_client_that_dies_while_it_waits(client):
    """Nobody reads the pipe that would wake it."""
    with Raw(client) as raw:
        message = msgpack.packb([0, 1, "sleep", [0.2]])
        raw.memory[4096:4096 + len(message)] = message
        raw.memory[136:140] = struct.pack("=I", 1)  # it sleeps
        raw.write(WRITTEN, len(message))
        raw.wake()
        wait_for(lambda: slot_of(client)["running"] == "sleep", lambda: "the call to run")
        os.close(raw.files.pop(2))
        wait_for(lambda: slot_of(client)["running"] is None, lambda: "the call to end")
        assert is_served(client)
    assert slot_of(client)["generation"] == 1


def test_a_client_that_sends_no_more_while_it_waits(client):
    """What waits behind the call is carried out, and the channel ends."""
    with contextlib.closing(client.attach("p", 0)) as channel:
        asked = channel.start("sleep", 0.05)
        after = channel.start("echo", 7)
        wait_for(lambda: slot_of(client)["running"] == "sleep", lambda: "the call to run")
        channel.socket.shutdown(socket.SHUT_WR)
        assert channel.wait(asked)[0] is None and channel.wait(after) == (None, 7)
        assert channel.receive() is None
        assert client.value("objpool.detached", channel.number)["reason"] == "client"


def test_a_worker_without_room_for_files_offers_none(client):
    pid = slot_of(client)["pid"]
    used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
    socket_and_memory = [fd for fd in range(1000) if fd not in used][:2]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (socket_and_memory[-1] + 1, limits[1]))  # no number is left for the pipes
    client.value("objpool.attach", "p", 0, {"rings": True})
    with socket.socket(fileno=client.files.pop(0)) as channel:
        channel.settimeout(DEADLINE)
        assert offered(channel) == ([None], [])
        channel.sendall(msgpack.packb([0, 1, "echo", [5]]))
        assert msgpack.unpackb(channel.recv(4096)) == [1, 1, None, 5]
    assert slot_of(client)["generation"] == 1


@pytest.mark.parametrize("options", [{"rings": 1}, {"ring": True}, [], 1, {"rings": None}])
def test_options(client, options):
    error = client.error("objpool.attach", "p", None, options)
    assert error["code"] == "BAD_ARGUMENT" and "rings" in error["message"]
