#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What beats of many hosts cost: for docs/SCALE.md.

beats.py BUILD [HOSTS...]   bytes of a beat on the wire; for each number of hosts the CPU time of one gateway, its daemon and
                            the server, where a program beats for all others; and that of a server that takes each beat to all
"""
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

import msgpack

import cluster
import figure

EVERY = 0.4     # seconds between beats: HOST_BEAT in gateway/core/hosts.h
SECONDS = 5
POOL = ["q", "Probe", 4, 4, 0, 0, False, None]


class Bus:
    """The text protocol of NATS, as little of it as this needs."""

    def __init__(self, url):
        host, port = url.removeprefix("nats://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.read()
        self.socket.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')

    def read(self):
        return self.socket.recv(1 << 16)

    def publish(self, subject, payload):
        self.socket.sendall(b"PUB %s %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))


def size_on_the_wire(bus, name):
    """(payload, all that the server sends for it) of one beat of that host, in bytes."""
    bus.socket.sendall(f"SUB objpool.bench.beat.{name} 1\r\n".encode())
    text = b""
    while b"\r\n" not in text.partition(b"MSG ")[2]:
        text += bus.read()
    head = b"MSG " + text.partition(b"MSG ")[2].partition(b"\r\n")[0]
    payload = int(head.split()[-1])
    bus.socket.sendall(b"UNSUB 1\r\n")
    return payload, len(head) + 2 + payload + 2


class Others:
    """Hosts that are nothing but their beats."""

    def __init__(self, bus, count):
        rng = random.Random(count)
        self.bus = bus
        self.names = [f"other{i:04}" for i in range(count)]
        self.incarnations = [rng.getrandbits(63) + 1 for _ in range(count)]
        self.round = 0
        self.next = time.monotonic()

    def beat_until(self, until):
        """Sends each one's beat every EVERY seconds, spread evenly."""
        step = EVERY / max(len(self.names), 1)
        at = 0
        while time.monotonic() < until:
            if at == 0:
                self.round += 1
            if self.names:
                beat = [1, self.incarnations[at], self.round, 10_000 + self.round, False, [POOL]]
                self.bus.publish(f"objpool.bench.beat.{self.names[at]}", msgpack.packb(beat))
                at = (at + 1) % len(self.names)
            self.next = max(self.next + step, time.monotonic() - 0.1)
            self.bus.socket.setblocking(True)
            wait = self.next - time.monotonic()
            if wait > 0 and select.select([self.bus.socket], [], [], wait)[0] and b"PING" in self.bus.read():
                self.bus.socket.sendall(b"PONG\r\n")


def fan_out(bench, count):
    """As many subscribers as hosts: what the server spends on each beat that it takes to one of them."""
    reader = os.fork()
    if reader == 0:
        read_all([Bus(bench.bus) for _ in range(count)])
    try:
        others = Others(Bus(bench.bus), count)
        others.beat_until(time.monotonic() + 2)
        server, rounds, begin = bench.processes[0].pid, others.round, time.monotonic()
        before = figure.spent(server)[0]
        others.beat_until(begin + SECONDS)
        seconds, spent = time.monotonic() - begin, (figure.spent(server)[0] - before) / 1e9
        sent = (others.round - rounds) * count * count
    finally:
        os.kill(reader, signal.SIGKILL)
        os.waitpid(reader, 0)
    print(f"{count:>6} subscribers, {sent / seconds:>8,.0f} beats/s to all of them: the server has {spent / seconds:7.2%} of one "
          f"CPU, {spent / sent * 1e6:.2f} µs each", flush=True)


def read_all(buses):
    poll = select.epoll()
    for bus in buses:
        bus.socket.sendall(b"SUB objpool.bench.beat.* 1\r\n")
        poll.register(bus.socket, select.EPOLLIN)
    by_fd = {bus.socket.fileno(): bus for bus in buses}
    while True:
        for fd, _ in poll.poll():
            if by_fd[fd].read().endswith(b"PING\r\n"):
                by_fd[fd].socket.sendall(b"PONG\r\n")


def seen_by(host):
    with cluster.Client(host) as client:
        return sum(one["state"] in ("ready", "self") for one in client.call("objpool.hosts")[1]["hosts"])


def measure(bench, host, count):
    others = Others(Bus(bench.bus), count)
    others.beat_until(time.monotonic() + 2)
    pids = {"gateway": [pid for pid in host.pids() if cluster.role(pid) == "gateways"], "daemon": [host.process.pid],
            "server": [bench.processes[0].pid]}
    before = {who: sum(figure.spent(pid)[0] for pid in of) for who, of in pids.items()}
    begin = time.monotonic()
    others.beat_until(begin + SECONDS)
    seconds = time.monotonic() - begin
    assert seen_by(host) == count + 1, f"{seen_by(host)} of {count + 1} hosts are seen"
    cpu = {who: (sum(figure.spent(pid)[0] for pid in of) - before[who]) / 1e9 / seconds for who, of in pids.items()}
    gateway, calls = sum(figure.spent(pid)[0] for pid in pids["gateway"]), 5000
    load = subprocess.Popen([bench.build / "bench/load", "rtt", host.path, "p@*.echo", "32", str(calls)],
                            stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    while load.poll() is None:
        others.beat_until(time.monotonic() + 0.05)
    gateway = sum(figure.spent(pid)[0] for pid in pids["gateway"]) - gateway - cpu["gateway"] * 1e9 * (time.monotonic() - begin)
    print(f"{count:>6} other hosts, {count / EVERY:>6.0f} beats/s: of one CPU the gateway has {cpu['gateway']:7.2%}, the daemon "
          f"{cpu['daemon']:7.2%}, the server {cpu['server']:7.2%}; a call of p@* costs the gateway "
          f"{gateway / (1.1 * calls) / 1e3:.1f} µs", flush=True)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory(prefix="objpool-beats-") as place:
        bench = cluster.Bench(build, True, place, pathlib.Path(os.devnull))
        try:
            with bench.hosts(1, 1) as (host,):
                payload, wire = size_on_the_wire(Bus(bench.bus), host.name)
                print(f"a beat of a host with one pool: {payload} bytes, {wire} from the server to each other host")
                for count in map(int, sys.argv[2:] or ("0", "10", "100", "1000")):
                    measure(bench, host, count)
            for count in (10, 30, 100, 300):
                fan_out(bench, count)
        finally:
            bench.stop_all()


if __name__ == "__main__":
    main()
