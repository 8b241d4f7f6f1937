# SPDX-License-Identifier: Apache-2.0
"""Descriptors: what clients hand over and should not, and what is left for the daemon's own when they have many."""
import array
import contextlib
import fcntl
import os
import resource
import select
import signal
import socket
import struct

import msgpack
import pytest
from harness import DEADLINE, Client, wait_for

HELLO = msgpack.packb([0, 1, "objpool.hello", [{"fds": True}]])
REFERENCE = msgpack.ExtType(112, bytes(8) + (0).to_bytes(2, "big") + (1).to_bytes(6, "big"))


def send_with(client, data, *fds):
    client.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])


def hello(client):
    client.send_raw(HELLO)
    assert client.wait(1)[0] is None
    return client


def memfd():
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, b"x")
    fcntl.fcntl(fd, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
    return fd


def gone(daemon, before):
    wait_for(lambda: daemon.descriptors() <= before, lambda: f"{daemon.descriptors()} descriptors to be {before}")


@pytest.mark.parametrize("greeted", [True, False])
def test_sockets_that_are_passed_into_themselves(start, greeted):
    daemon = start()
    with daemon.client() as c:
        c.value("p:all.echo", 1)
        before = daemon.descriptors()
        for _ in range(5):
            a, b, alone = (hello(daemon.client()) if greeted else daemon.client() for _ in range(3))
            send_with(alone, b"\x94", alone.socket.fileno())
            send_with(a, b"\x94", b.socket.fileno())
            send_with(b, b"\x94", a.socket.fileno())
            for client in (a, b, alone):
                client.close()
        wait_for(lambda: c.value("objpool.status")["sessions"] == 1, lambda: "their sessions to end")
        gone(daemon, before)


@pytest.mark.parametrize("held_back", ["unsent", "inflight"])
def test_sockets_in_connections_that_are_not_read(start, held_back):
    """Behind other bytes and other descriptors, and crosswise."""
    daemon = start(pools={"p": {"workers": 1}, "q": {"workers": 1}}, 
                   daemon={"max_unsent": 4096, "max_inflight": 5, "payload_min": 0 if held_back == "unsent" else 65536})
    with daemon.client() as c:
        c.value("p.echo", c.value("q.echo", 1))
        before = daemon.descriptors()
        pair = [hello(daemon.client()) if held_back == "inflight" else daemon.client() for _ in range(2)]
        for client in pair:
            if held_back == "unsent":
                client.start("q.blob", 3_000_000)
                assert select.select([client.socket], [], [], DEADLINE)[0]  # and the rest of it waits in the daemon
            for _ in range(8):
                client.start("p.sleep", 1000)
            client.send_raw(msgpack.packb([2, "p.set", ["behind"]]))
        fd = memfd()
        for client, other in zip(pair, reversed(pair)):
            send_with(client, b"\x94", fd)
            send_with(client, b"\x00", other.socket.fileno())
        for client in pair:
            client.close()
        os.close(fd)
        gone(daemon, before)
        assert c.value("p.get") == "behind"
    daemon.wait_log("hands over a socket")


def test_what_came_before_lost_descriptors(start):
    daemon = start(pools={"p": {"workers": 1}})
    with daemon.client() as c, hello(daemon.client()) as sender:
        fd = memfd()
        daemon.signal(signal.SIGSTOP)
        wait_for(lambda: "T (stopped)" in open(f"/proc/{daemon.process.pid}/status", encoding="ascii").read(), lambda: "it to stop")
        sender.send_raw(msgpack.packb([2, "p.set", ["whole"]]))
        call = msgpack.packb([2, "p.set", [REFERENCE]])
        for byte in call[:-1]:
            send_with(sender, bytes([byte]), *[fd] * 100)
        os.close(fd)
        daemon.signal(signal.SIGCONT)
        assert "BAD_REQUEST" in sender.receive()[2]
        assert sender.receive() is None
        wait_for(lambda: c.value("p.get") == "whole", lambda: "what came before")


def lingering():
    """A connection whose close waits, for a quarter of an hour, for its other end to read; and that end."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sender = socket.create_connection(listener.getsockname())
        reader = listener.accept()[0]
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
    return sender, reader


@pytest.mark.parametrize("way", ["refused", "not asked for", "not read", "turned away"])
def test_what_takes_long_to_close(start, way):
    daemon = start({"p": {"workers": 1}}, daemon={"max_inflight": 1, "max_connections": 2})
    with daemon.client() as c:
        c.value("p.echo", 1)
        before = daemon.descriptors()
        client = daemon.client()
        if way == "refused":
            hello(client)
        if way == "not read":
            client.start("p.sleep", 100)
        c.value("objpool.ping")
        daemon.signal(signal.SIGSTOP)
        sender, reader = lingering()
        with reader, daemon.client() if way == "turned away" else client as last:
            send_with(last, b"\x94", sender.fileno())
            sender.close()
            last.close()
            daemon.signal(signal.SIGCONT)
            assert c.value("objpool.ping", 1) == [1]
            client.close()
            gone(daemon, before)


def few(number):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def kill_all(daemon, c):
    for pid in daemon.children():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: c.call("p:all.echo", 1) == (None, [1, 1, 1]), lambda: "the workers to come back")


def test_workers_come_back_though_clients_have_all_descriptors(start):
    daemon = start(pools={"p": {"workers": 3}}, preexec=few(120))
    with daemon.client() as c:
        others = [daemon.client() for _ in range(200)]
        daemon.wait_log("can't accept connections for a moment: clients hold all")
        for _ in range(3):
            kill_all(daemon, c)
        for other in others:
            other.close()
    with daemon.client() as c:
        assert c.value("p:all.echo", 2) == [2, 2, 2]


@pytest.mark.parametrize("isolation, each", [("process", 4), ("thread", 2)])
def test_what_a_worker_needs(start, isolation, each):
    """docs/SIZING.md says so, and descriptors.c counts so."""
    daemon = start(pools={"p": {"workers": 5, "isolation": isolation}})
    with daemon.client() as c:
        assert c.value("p:all.echo", 1) == [1] * 5
        before = daemon.descriptors()
        c.value("objpool.scale", "p", 25)
        assert c.value("p:all.echo", 1) == [1] * 25
        assert daemon.descriptors() - before == 20 * each


def test_a_limit_that_is_too_low_for_the_workers_is_warned_of(start):
    daemon = start(pools={"p": {"workers": 20}}, preexec=few(120))
    found = daemon.wait_log(r"the process may open 120 files, and its pools need (\d+): when clients hold the rest, workers can't start; "
                            r"raise LimitNOFILE= or ulimit -n to (\d+)")
    assert 120 < int(found.group(1)) < int(found.group(2)) - 9999
    with daemon.client() as c:
        c.value("objpool.scale", "p", 21)
        c.value("objpool.scale", "p", 2)
        wait_for(lambda: len(daemon.children()) < 10, lambda: "the end of 19 workers")
        c.value("objpool.ping")
        c.value("objpool.scale", "p", 20)
        assert daemon.log().count("files, and its pools need") == 2     # once each time that it comes to that
    daemon = start(pools={"p": {"workers": 20, "isolation": "thread"}}, preexec=few(200))
    assert "files, and its pools need" not in daemon.log()


def test_a_client_may_hand_over_a_part_of_them(start):
    daemon = start(pools={"p": {"workers": 3}}, preexec=few(200))
    with daemon.client() as c, hello(daemon.client()) as greedy:
        fd = memfd()
        for _ in range(3):
            c.start("p.sleep", 100)     # so that what comes waits, and holds its descriptors
        for i in range(100, 110):       # one by one: what is refused must be closed before more of that can come
            send_with(greedy, msgpack.packb([0, i, "p.sleep", [REFERENCE] * 20]), *[fd] * 20)
            greedy.value("objpool.ping")
            if i in greedy.answers:
                break
        error = greedy.wait(i)[0]
        assert "as many descriptors" in error and error.startswith("OVERLOADED")
        send_with(greedy, b"\x94", *[fd] * 200)
        for _ in range(2):
            kill_all(daemon, c)
        os.close(fd)
    with Client(daemon.address, DEADLINE) as c:
        assert c.value("objpool.ping", 1) == [1]


@pytest.mark.parametrize("way", ["refused", "not asked for", "not read"])
def test_who_hands_over_too_many_that_must_be_closed_is_cut_off(start, way):
    """Each counts until it is closed, and a close may take as long as a stranger likes."""
    daemon = start({"p": {"workers": 1}}, daemon={"max_inflight": 1}, preexec=few(300))
    with daemon.client() as c, daemon.client() as sender:
        c.value("p.echo", 1)
        before = daemon.descriptors()
        if way == "refused":
            hello(sender)
        if way == "not read":
            sender.start("p.sleep", 100)
            c.value("objpool.ping")
        mine, other = os.pipe()
        with contextlib.suppress(BrokenPipeError):      # it may be cut off before the last
            for _ in range(1 if way == "refused" else 3):
                send_with(sender, b"\x94", *[mine] * 200)
        while sender.receive() is not None:
            pass
        os.close(mine)
        os.close(other)
        gone(daemon, before - 1)
        with hello(daemon.client()) as another:
            fd = memfd()
            send_with(another, msgpack.packb([0, 2, "p.sum", [REFERENCE]]), fd)
            os.close(fd)


def test_a_file_can_not_grow_once_it_is_counted(start):
    with start({"p": {"workers": 1}}).client() as c:
        hello(c)
        fd = memfd()
        send_with(c, msgpack.packb([0, 2, "p.sum", [REFERENCE]]), fd)
        assert c.wait(2) == (None, ord("x"))
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 1 << 20)
        with pytest.raises(PermissionError):
            os.posix_fallocate(fd, 0, 1 << 20)
        sealed = memfd()
        fcntl.fcntl(sealed, 1033, 1)  # F_SEAL_SEAL: it can't be sealed against growing any more
        send_with(c, msgpack.packb([0, 3, "p.sum", [REFERENCE]]), sealed)
        assert "BAD_ARGUMENT" in c.wait(3)[0]
        os.close(sealed)
        os.close(fd)
