# SPDX-License-Identifier: Apache-2.0
"""The fake server takes what clients of any kind say, and nothing else."""
import socket
import subprocess
import sys
import threading

import dialogue
import fake_server
import player
import pytest
from harness import DEADLINE
from msgpack import packb, unpackb

PATHS = [path for path in dialogue.paths() if any("do" in step for step in dialogue.read(path)["steps"])]
STEPS = {path.stem: [step for step in dialogue.read(path)["steps"] if not step.get("raw")] for path in PATHS}


class Served:
    """A fake server at the other end of a socket."""

    def __init__(self, steps, piece=0):
        self.socket, other = socket.socketpair()
        self.socket.settimeout(DEADLINE)
        self.amiss = None
        self.thread = threading.Thread(target=self.serve, args=(other, steps, piece), daemon=True)
        self.thread.start()
        self.unpacker = dialogue.msgpack.Unpacker()

    def serve(self, sock, steps, piece):
        with sock:
            try:
                fake_server.Server(sock, steps, piece).play()
            except fake_server.Amiss as error:
                self.amiss = str(error)

    def say(self, *message):
        self.socket.sendall(packb(message))

    def hear(self):
        while True:
            for message in self.unpacker:
                return message
            self.unpacker.feed(self.socket.recv(1 << 16))

    def end(self):
        """What was amiss."""
        self.socket.close()
        self.thread.join(DEADLINE)
        return self.amiss


@pytest.mark.parametrize("piece", [1, 3, 4096])
def test_who_says_what_the_files_say(piece, monkeypatch):
    assert len(STEPS) > 25
    for name, steps in STEPS.items():
        served = Served(steps, piece)
        monkeypatch.setattr(player, "connected", lambda address, deadline: served.socket)  # noqa: B023
        player.play(steps, "", piece, DEADLINE)
        assert served.end() is None, name


CALL = [{"client": [0, 1, "p:map.add", [[1], [2]]]}, {"daemon": [1, 1, {"code": "FAILED", "message": "m", "ran": "no"}, None]}]
FEED = [{"client": [0, 1, "objpool.call", ["p:map", "echo", None, {"stream": True}]]}, {"daemon": [2, "objpool.credit", [1, 2]]},
        {"client": [2, "objpool.feed", [1, [7]]]}, {"client": [2, "objpool.feed", [1, [8]]]}, {"client": [2, "objpool.feed_end", [1]]},
        {"daemon": [1, 1, None, {"items": 2, "failed": 0}]}]
CANCEL = [{"client": [0, 1, "p.x", []]}, {"client": [0, 2, "objpool.cancel", [1]]}, {"daemon": [1, 1, None, 0]}, {"daemon": [1, 2, None, True]}]
for told in (*CALL, *FEED, *CANCEL):
    told["bytes"] = packb(told[dialogue.said_by(told)]).hex()


@pytest.mark.parametrize("form, error", [(None, "FAILED: m"), ("pair", [0, "FAILED: m"]), ("map", unpackb(bytes.fromhex(CALL[1]["bytes"]))[2])])
def test_numbers_forms_and_errors_are_the_clients_own(form, error):
    served = Served(CALL)
    if form:
        served.say(0, 70, "objpool.hello", [{"errors": form}])
        assert served.hear()[3]["server"] == "objpool"
    served.say(0, 71, "objpool.call", ["p:map", "add", [[1], [2]], {"kwargs": None, "errors": "wait"}])
    assert served.hear() == [1, 71, error, None] and served.end() is None


def test_what_is_fed_may_come_at_once_or_one_by_one():
    for feeds in ([[7, 8]], [[7], [8]], [[], [7], [8]]):
        served = Served(FEED)
        served.say(0, 9, "objpool.call", ["p:map", "echo", None, {"stream": "runs", "window": 5}])
        assert served.hear() == [2, "objpool.credit", [9, 2]]
        for items in feeds:
            served.say(2, "objpool.feed", [9, items])
        served.say(2, "objpool.feed_end", [9])
        assert served.hear() == [1, 9, None, {"items": 2, "failed": 0}] and served.end() is None


def test_a_cancel_may_be_a_notification():
    served = Served(CANCEL)
    served.say(0, 0, "p.x", [])
    served.say(2, "objpool.cancel", [0])
    assert served.hear() == [1, 0, None, 0] and served.end() is None


@pytest.mark.parametrize("steps, said", [
    (CALL, [[0, 1, "p:map.add", [[1], [3]]]]), (CALL, [[2, "p:map.add", [[1], [2]]]]), (CALL, [[1, 1, None, None]]), (CALL, [7]), (CALL, []),
    (CALL, [[0, 1, "objpool.call", ["p:map", "add", [[1], [2]], {"timeout_ms": 1}]]]),
    (CALL, [[0, 1, "p:map.add", [[1], [2]]], [0, 2, "p.x", []]]),
    (FEED, [[0, 1, *FEED[0]["client"][2:]], [2, "objpool.feed", [1, [7, 9]]]]), (FEED, [[0, 1, *FEED[0]["client"][2:]], [2, "objpool.feed", [5, [7]]]]),
    (FEED, [[0, 1, *FEED[0]["client"][2:]], [2, "objpool.feed", [1, [7, 8, 9]]], [2, "objpool.feed_end", [1]]]),
    (CANCEL, [[0, 1, "p.x", []], [0, 2, "objpool.cancel", [2]]]),
])
def test_who_says_something_else_is_told(steps, said):
    served = Served(steps)
    for message in said:
        served.socket.sendall(packb(message))
    served.socket.shutdown(socket.SHUT_WR)
    served.thread.join(DEADLINE)
    assert served.end()


@pytest.mark.parametrize("options", [[], ["--tcp", "--piece", "3"]])
def test_the_program(options):
    path = next(path for path in PATHS if path.stem == "call_scatter")
    for steps in (STEPS[path.stem], STEPS[path.stem][:3]):
        server = subprocess.Popen([sys.executable, fake_server.__file__, path, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            player.play(steps, server.stdout.readline().strip())
            _, amiss = server.communicate(timeout=DEADLINE)
        finally:
            server.kill()
        assert (server.returncode == 0) == (amiss == "") == (steps is STEPS[path.stem]), amiss
