# SPDX-License-Identifier: Apache-2.0
"""What the supervisor does about a worker, whatever that says and whenever it ends: workers as a test plays them."""
import array
import fcntl
import os
import signal
import socket
import subprocess

import msgpack
import pytest
from harness import wait_for
from template_player import EXITED, FORK, FORKED, KILL, REPLY, begin, make, offer  # noqa: F401

PAYLOAD = 11
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def next_call(channel):
    """The id of the CALL that comes next."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    while True:
        unpacker.feed(channel.recv(1 << 16))
        for message in unpacker:
            if message[0] == 1:
                return message[1]


def test_the_size_of_a_board_is_sealed(start, offer):
    with start({}).client() as client:
        begin(client, offer)
        offer.load()
        assert offer.receive()[0] == FORK
        board = offer.descriptors[-3]
        assert fcntl.fcntl(board, fcntl.F_GET_SEALS) & SEALS == SEALS


def test_a_worker_that_nobody_wants_when_it_has_been_forked(start, offer):
    with start({}).client() as client:
        first = make(client, offer)
        client.start("objpool.scale", "mine", 2)
        _, slot, generation = offer.receive()
        assert client.value("objpool.scale", "mine", len(first)) == {"workers": 1}
        offer.workers.append(subprocess.Popen(["sleep", "1000"]))
        pid = offer.workers[-1].pid
        offer.send(FORKED, slot, generation, pid)
        assert offer.receive() == [KILL, pid]
        offer.send(EXITED, pid, signal.SIGKILL)


def test_what_a_worker_has_said_counts_though_its_end_is_known_first(start, offer):
    daemon = start({})
    with daemon.client() as client:
        (pid, channel), = make(client, offer)
        call = client.start("mine.x")
        number = next_call(channel)
        daemon.signal(signal.SIGSTOP)
        wait_for(lambda: open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T", lambda: "it to stop")
        offer.send(EXITED, pid, 0)
        channel.send(msgpack.packb([REPLY, number, None, "its last word"]))
        daemon.signal(signal.SIGCONT)
        assert client.wait(call) == (None, "its last word")


def lend(channel, number, size):
    value = msgpack.packb(bytes(size - 5))
    fd = os.memfd_create("lent", os.MFD_ALLOW_SEALING)
    os.write(fd, value)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    message = msgpack.packb([PAYLOAD, number, 0, 0, len(value), len(value)])
    channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    os.close(fd)


def test_a_lent_result_is_bounded(start, offer):
    daemon = start({}, {"max_message": 1 << 20})
    with daemon.client() as client:
        (pid, channel), = make(client, offer)
        call = client.start("mine.x")
        lend(channel, next_call(channel), 1 << 20)
        assert len(client.wait(call)[1]) == (1 << 20) - 5
        call = client.start("mine.x")
        lend(channel, next_call(channel), 2 << 20)
        assert offer.receive() == [KILL, pid]


RESULTS, CALL, CALLS = 2, 1, 15


def next_message(channel, unpacker, kind):
    while True:
        for message in unpacker:
            if message[0] == kind:
                return message
        unpacker.feed(channel.recv(1 << 16))


def a_train(client, channel):
    """Three calls that came together: (msgids, the message that the worker got)."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    first = client.start("mine.x")
    channel.send(msgpack.packb([REPLY, next_message(channel, unpacker, CALL)[1], None, 0]))
    assert client.wait(first) == (None, 0)
    ids = [71, 72, 73]
    client.send_raw(b"".join(msgpack.packb([0, i, "mine.x", []]) for i in ids))
    return ids, next_message(channel, unpacker, CALLS)


def test_a_train_that_is_answered(start, offer):
    with start({}).client() as client:
        (pid, channel), = make(client, offer)
        ids, (_, number, session, method, item, count, requests) = a_train(client, channel)
        assert (method, item, count) == ("x", 0, len(requests))
        assert requests == [[0, i, "mine.x", []] for i in ids[:count]]
        channel.send(msgpack.packb([RESULTS, number, 0, [[1, i, None, i] for i in ids[:count]]]))
        assert [client.wait(i) for i in ids[:count]] == [(None, i) for i in ids[:count]]


@pytest.mark.parametrize("answer", [[1, 72, None, 5], [1, 74, None, 5], [0, 71, None, 5], [1, 71, "error", 5],
                                    [1, 71, None], [1, 71, None, 5, 6], 5, None, [], ["x"], [1, -71, None, 5],
                                    [2, "objpool.result", [71, 0, None, 5]]])
def test_a_worker_that_answers_what_it_was_not_asked(start, offer, answer):
    with start({}).client().maps() as client:
        (pid, channel), = make(client, offer)
        ids, (_, number, *_) = a_train(client, channel)
        channel.send(msgpack.packb([RESULTS, number, 0, [answer]]))
        assert offer.receive() == [KILL, pid]
        assert client.value("objpool.ping") is not None and client.answers == {}
        offer.send(EXITED, pid, signal.SIGKILL)
