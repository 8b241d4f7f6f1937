# SPDX-License-Identifier: Apache-2.0
"""Failures of hosts, gateways, servers and networks, while calls of every kind are under way: each call ends once, in time, and
what is said of it is true. `make check-cluster` makes more rounds of each, and prints the table."""
import os
import pathlib
import random
import signal
import threading
import time

import pytest
from bus_proxy import Proxy, awkward, loses_from
from cluster import Cluster, Host, needs_cluster
from cluster_calls import (HTTP, KINDS, LOCAL, THIRD, Book, Caller, build_ledger, gateway_memory, pools, rights, simple,
                           wait_until_ended, wait_until_quiet)
from harness import wait_for

pytestmark = needs_cluster
ROUNDS = int(os.environ.get("OBJPOOL_MATRIX_ROUNDS", "1"))
SEED = int(os.environ.get("OBJPOOL_MATRIX_SEED", "1"))
MEMORY = 200 << 20      # bytes that a gateway may take: of what is under way here it needs far less


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_ledger(tmp_path_factory.mktemp("ledger"))


class Field:
    """Three hosts, h1 and h2 behind proxies, and callers of every kind on h1."""

    def __init__(self, place, library, config=""):
        self.library, self.file = library, place / "runs"
        self.cluster = Cluster(place, (), config)
        self.proxies = {name: Proxy(self.cluster.server.port) for name in ("h1", "h2")}
        self.book = Book()
        self.healed = threading.Event()
        self.random = random.Random(SEED)
        for name in ("h1", "h2", "h3"):
            self.add(name)
        self.cluster.settle_p()

    def __getitem__(self, name):
        return self.cluster[name]

    def add(self, name):
        bus = self.proxies[name].url if name in self.proxies else None
        host = self.cluster.add(name, bus, pools=pools(self.library, self.file, name), sections=rights(), daemon=HTTP)
        host.nats_port = self.cluster.server.port
        return host

    def call(self, kinds, host="h1", unharmed=False):
        return [Caller(self.book, self[host], kind, make, SEED, self.healed, unharmed) for kind, make in kinds.items()]

    def warm(self, callers):
        """Until each has had its first answers."""
        wait_for(lambda: all(caller.count > 2 or not caller.is_alive() for caller in callers),
                 lambda: f"first calls: {[(c.kind, c.count) for c in callers if c.count <= 2]}")

    def finish(self, callers):
        self.cluster.settle_p()
        self.healed.set()
        wait_until_ended(callers, self.book)
        wait_until_quiet(self.cluster.hosts.values())
        self.book.judge(self.file)
        for host in self.cluster.hosts.values():
            used = gateway_memory(host)
            if used > MEMORY:
                self.book.blame("memory", f"the gateway of {host.name} has taken {used} bytes")

    def stop(self):
        for proxy in self.proxies.values():
            proxy.judge = None
            proxy.flow()
        self.cluster.stop()
        for proxy in self.proxies.values():
            proxy.stop()


def stay(seconds):
    """Lets a failure last: it is a time that is tested here, no event."""
    threading.Event().wait(seconds)


# ---- failures ----

def host_killed(field):
    field["h2"].kill()
    field["h1"].sees({"h1": 2, "h3": 2})
    field.add("h2")


def host_frozen(field):
    field["h2"].freeze()
    stay(3.5)
    field["h2"].freeze(signal.SIGCONT)


def frozen_for_a_moment(field):
    field["h2"].freeze()
    stay(0.7)
    field["h2"].freeze(signal.SIGCONT)
    stay(0.5)


def gateway_frozen(field):
    """For so long that other hosts take its host for gone, and its daemon does not yet start another one."""
    pid = field["h2"].gateway()
    os.kill(pid, signal.SIGSTOP)
    stay(2.5)
    os.kill(pid, signal.SIGCONT)


def gateway_frozen_for_ever(field):
    old = field["h2"].gateway()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: field["h2"].gateway_now() not in (None, old), lambda: "another gateway")


def daemon_frozen(field):
    os.kill(field["h2"].daemon.process.pid, signal.SIGSTOP)
    stay(6)
    os.kill(field["h2"].daemon.process.pid, signal.SIGCONT)


def own_daemon_frozen(field):
    os.kill(field["h1"].daemon.process.pid, signal.SIGSTOP)
    stay(4)
    os.kill(field["h1"].daemon.process.pid, signal.SIGCONT)


def own_gateway_frozen(field):
    """The daemon does not wait for it for ever, but starts another one."""
    old = field["h1"].gateway()
    os.kill(old, signal.SIGSTOP)
    wait_for(lambda: field["h1"].gateway_now() not in (None, old), lambda: "another gateway")


def pool_not_ready(field):
    with field["h2"].client() as client:
        client.value("objpool.pause", "p")
        stay(3)
        client.value("objpool.resume", "p")


def rival(field):
    """Another host of that name, which comes later: it serves nobody, and the first one goes on."""
    path = field.cluster.place / f"rival-{field.cluster.starts}"
    field.cluster.starts += 1
    other = Host(path, "h2", field.cluster.server.url, pools(field.library, field.file, "rival"), rights())
    try:
        with other.client() as client:
            wait_for(lambda: client.value("objpool.hosts")["bus"]["state"] == "refused", lambda: f"it to be refused\n{other.daemon.log()}")
            stay(1)
    finally:
        other.daemon.stop()


def gateway_killed(name):
    def fail(field):
        old = field[name].gateway()
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: field[name].gateway_now() not in (None, old), lambda: "another gateway")
    return fail


def daemon_killed_alone(field):
    field["h2"].daemon.process.kill()
    field["h2"].daemon.process.wait()
    field["h1"].sees({"h1": 2, "h3": 2})
    field.add("h2")


def worker_killed(field):
    with field["h2"].client() as client:
        for pid in field["h2"].daemon.pids(client):
            os.kill(pid, signal.SIGKILL)


def daemon_stopped(field):
    field["h2"].daemon.stop()
    field.add("h2")


def server_restarted(field):
    field.cluster.server.stop()
    field.cluster.server.start()


def server_away(field):
    field.cluster.server.stop()
    stay(3)
    field.cluster.server.start()


def connection_cut(field):
    field.proxies["h2"].cut()
    stay(0.3)


def partition(*judges):
    """(at, of): what comes from the host `of` does not arrive at `at`."""
    def fail(field):
        for at, of in judges:
            field.proxies[at].judge = loses_from(of)
        stay(4)
        for at, _ in judges:
            field.proxies[at].judge = None
    return fail


def messages_lost(field):
    for name, proxy in field.proxies.items():
        proxy.judge = awkward(random.Random(f"{SEED} {name}"), 0.08)
    stay(3)
    for proxy in field.proxies.values():
        proxy.judge = None
        assert proxy.lost and proxy.delayed and proxy.doubled


def slow_consumer(field):
    """The server gives up a connection that takes nothing."""
    proxy = field.proxies["h2"]
    proxy.stall("in")
    stay(3)
    proxy.flow()


def no_failure(field):
    stay(0.5)


FAILURES = {
    "none": (no_failure, "all"),
    "host killed": (host_killed, "third"),
    "host frozen": (host_frozen, "third"),
    "host frozen for a moment": (frozen_for_a_moment, "third"),
    "host's gateway frozen": (gateway_frozen, "third"),
    "host's gateway frozen for ever": (gateway_frozen_for_ever, "third"),
    "host's daemon frozen": (daemon_frozen, "third"),
    "host's gateway killed": (gateway_killed("h2"), "third"),
    "own daemon frozen": (own_daemon_frozen, "local"),
    "own gateway frozen": (own_gateway_frozen, "local"),
    "pool not ready": (pool_not_ready, "third"),
    "rival of its name": (rival, "all"),
    "own gateway killed": (gateway_killed("h1"), "local"),
    "daemon killed alone": (daemon_killed_alone, "third"),
    "daemon stopped": (daemon_stopped, "third"),
    "worker killed": (worker_killed, "third"),
    "server restarted": (server_restarted, "local"),
    "server away": (server_away, "local"),
    "connection cut": (connection_cut, "third"),
    "partition to the host": (partition(("h2", "h1")), "third"),
    "partition from the host": (partition(("h1", "h2")), "third"),
    "partition both ways": (partition(("h1", "h2"), ("h2", "h1")), "third"),
    "messages lost": (messages_lost, "local"),
    "slow consumer": (slow_consumer, "third"),
    "small max_payload, host killed": (host_killed, "third"),
}
CONFIGS = {
    "small max_payload, host killed": "max_payload: 64KB",
    "slow consumer": 'max_pending: 2MB\nwrite_deadline: "1s"',
}
# Kinds that can't keep what they promise: the own gateway sees to deadlines, and the own daemon carries what it says; and what
# comes twice from the server is two requests of a program, while between hosts packets have numbers.
WITHOUT = {"own daemon frozen": {"deadline"}, "own gateway frozen": {"deadline"}, "messages lost": {"program on the bus"}}
# What is enough for each change; the rest is `make check-cluster`.
USUAL = {"none", "host killed", "host frozen", "own gateway killed", "server restarted", "messages lost",
         "pool not ready", "own daemon frozen", "rival of its name"}


@pytest.mark.parametrize("failure", [name for name in FAILURES if ROUNDS > 1 or name in USUAL])
def test_calls_of_every_kind_under(failure, place, library, capsys):
    fail, unharmed = FAILURES[failure]
    field = Field(place, library, CONFIGS.get(failure, ""))
    try:
        kinds = {kind: make for kind, make in KINDS.items() if kind not in WITHOUT.get(failure, ())}
        callers = field.call(kinds, unharmed=unharmed == "all")
        callers += field.call({"from h3: any": simple("p@*"), "from h3: host": simple("p@h1")}, host="h3")
        callers += field.call({"local": LOCAL["local"]}, unharmed=True)
        callers += field.call({"own name": LOCAL["own name"]}, unharmed=unharmed != "local")
        callers += field.call(THIRD, unharmed=unharmed != "local")
        field.warm(callers)
        for _ in range(ROUNDS):
            fail(field)
            stay(0.2 if ROUNDS == 1 else 1)
            if ROUNDS > 1:
                field.cluster.settle_p()
        field.finish(callers)
        with capsys.disabled():
            if ROUNDS > 1:
                print(f"\n{failure}:\n  " + "\n  ".join(field.book.table()))
        assert not field.book.wrong, "\n".join(f"{kind}: {text}" for kind, text in field.book.wrong[:30])
    finally:
        field.stop()
