# SPDX-License-Identifier: Apache-2.0
"""A host of the domain that means no good: what it can't reach by way of another host, and what it can't fill."""
import resource
import threading

import msgpack
from bus_host import BY_OPENER, CLOSE, DATA, HEAD, OPEN, BusHost, frame, frames_of, sum_of
from bus_program import Nats
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster


def ask(evil, host, incarnation, *requests):
    """The answers of the host's daemon to a session of evil's: msgid -> (error, result)."""
    body = b"".join(msgpack.packb([0, msgid, *request]) for msgid, request in enumerate(requests))
    evil.send(host, incarnation, frame(OPEN | BY_OPENER, 1, b"-") + frame(DATA | BY_OPENER, 1, body))
    unpacker, answers = msgpack.Unpacker(), {}
    while len(answers) < len(requests):
        for kind, _, payload in frames_of(evil.packet()[4]):
            if kind == DATA:
                unpacker.feed(payload)
        answers.update((message[1], tuple(message[2:])) for message in unpacker)
    return answers


def test_a_host_gets_no_rights_by_way_of_another(cluster):
    hosts = cluster(("h1",))
    hosts.add("h2", sections="\n[user h1/*]\ncall = p.*\nall = p.*\ndescribe = *\n")
    hosts.add("h3", sections="\n[remote p]\nprefer = load\n")
    hosts.settle()
    for name in ("h1", "h3"):
        with BusHost(hosts.server.port, "evil-" + name) as evil:
            wait_for(lambda: evil.name in hosts[name].hosts(), lambda: "the host to be seen")
            answers = ask(evil, name, int(hosts[name].hosts()[name]["incarnation"], 16),
                          ("p@h2.tag", []), ("objpool.call", ["p@*:all", "tag"]), ("objpool.lease", ["p@h2"]),
                          ("objpool.describe", ["p@h2"]), (f"p@{name}.tag", []), (f"p@{name}:all.tag", []))
        for msgid in range(4):
            assert "DENIED" in answers[msgid][0] and "for its own pools only" in answers[msgid][0], (msgid, answers)
        assert answers[4] == (None, name) and answers[5] == (None, [name, name])
    with hosts["h1"].client() as c:
        assert c.full("p", "relay", ["p@h2.tag"]) == (None, "h2")  # a method may ask others


def test_a_host_that_comes_and_goes_does_not_fill_the_log(cluster):
    def beat(number, bye):
        body = msgpack.packb([1, 1 + number // 2, 1 + number % 2, 0, bye, None])
        return body + sum_of(body).to_bytes(8, "big")

    hosts = cluster(("h1",))
    with Nats(hosts.server.port) as evil:
        for number in range(1000):
            evil.publish("objpool.test.beat.evil", beat(number, number % 2 == 1))
        for number in range(1100):
            evil.publish(f"objpool.test.beat.other{number // 2}", beat(number, number % 2 == 1))
        evil.publish("objpool.test.beat.last", beat(0, False))
        wait_for(lambda: "last" in hosts["h1"].hosts(), lambda: "the last beat to be heard")
    lines = [line for line in hosts["h1"].daemon.log().splitlines() if " gateway: " in line]
    of_evil = [line for line in lines if "host evil" in line]
    assert len(of_evil) == 21 and of_evil[-1].endswith("host evil: more about it is left out for a minute"), len(of_evil)
    assert 900 < len(lines) <= 1000, len(lines)


def open_sessions(evil, host, incarnation, count, refused):
    """Asks for so many sessions, and keeps them, until that many were refused."""
    each = 100
    for seq in range(count // each):
        ids = range(1 + each * seq, 1 + each * (seq + 1))
        evil.send(host, incarnation, b"".join(frame(OPEN | BY_OPENER, one, b"-") for one in ids), seq=1 + seq)
    closed = received = 0
    while closed < refused:
        message = evil.nats.next()
        _, flags, _, _, _, epoch, seq, _, _ = HEAD.unpack_from(message.body)
        if seq == received + 1:
            received = seq
            closed += sum(kind == CLOSE for kind, _, _ in frames_of(message.body[HEAD.size:]))
        evil.send(host, incarnation, epoch=epoch, ack=received, flags=2 if flags & 1 else 0)
    return threading.Thread(target=answer_pings, args=(evil, host, incarnation, received))


def answer_pings(evil, host, incarnation, received):
    while not evil.over.is_set():
        message = evil.nats.next()
        _, flags, _, _, _, epoch, seq, _, _ = HEAD.unpack_from(message.body)
        received = max(received, seq)
        if flags & 1 or seq:
            evil.send(host, incarnation, epoch=epoch, ack=received, flags=2)


def test_a_host_does_not_use_up_the_descriptors(cluster):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))

    hosts = cluster(("h1", "h2"), preexec=few)
    with BusHost(hosts.server.port, "evil") as evil, hosts["h1"].client() as c, hosts["h2"].client() as there:
        wait_for(lambda: "evil" in hosts["h1"].hosts(), lambda: "the host to be seen")
        keeper = open_sessions(evil, "h1", int(hosts["h1"].hosts()["h1"]["incarnation"], 16), 2000, 1700)
        keeper.start()
        try:
            assert c.call("p@*:all.tag") == there.call("p@*:all.tag") == (None, ["h1", "h1", "h2", "h2"])
            assert there.call("p@h1.tag") == (None, "h1")
        finally:
            evil.over.set()
            keeper.join()
    assert "is refused" not in hosts["h1"].daemon.log()


def test_a_program_that_asks_too_much_is_not_heard_for_a_while(cluster):
    """What other hosts send comes on the same connection."""
    hosts = cluster(("h1", "h2"))
    flood = b"PUB objpool.test.call.p@h1.tag 1\r\n{\r\n" * 2000
    over = threading.Event()

    def send():
        with Nats(hosts.server.port) as program:
            while not over.is_set():
                program.socket.sendall(flood)

    thread = threading.Thread(target=send)
    with hosts["h2"].client() as c, Nats(hosts.server.port) as other:
        thread.start()
        try:
            hosts["h1"].daemon.wait_log("requests in a second that were refused: none is taken for a second")
            assert [c.call("p@h1.tag") for _ in range(200)] == [(None, "h1")] * 200
        finally:
            over.set()
            thread.join()
        wait_for(lambda: other.request("objpool.test.call.p@h1.tag").body == b'"h1"', lambda: "h1 to take requests again")
    assert hosts["h1"].daemon.log().count("requests in a second that were refused") == 1
    assert "is silent" not in hosts["h1"].daemon.log() + hosts["h2"].daemon.log()
