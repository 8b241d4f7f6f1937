#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench-cluster: calls between hosts beside plain NATS on the same server, a map beside Dask and Ray, 64 MiB beside TCP, and
how soon a killed host is known. Hosts are daemons of this machine; its servers and peers are its own, on loopback.
"""
import argparse
import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import msgpack

import figure
import goals
import run
import sections
import service

HEADING = "Several machines"
GOALS = [
    ("one small call to another host, p50", "NATS request/reply", "≤", 1.3),
    ("small calls to another host, 64 in flight", "NATS", "≥", 1 / 1.3),
    ("map of 1,000,000 small items over 3 hosts", "Dask, a task for each item", "≥", 10),
    ("map of 1,000,000 small items over 3 hosts", "Ray actors, a call for each item", "≥", 10),
    ("a host killed: no new call goes there, the slowest", None, "≤", 2000),
    ("a host killed: its callers are told, the slowest", None, "≤", 2000),
]
MIB = 1 << 20
LARGE = 64 * MIB
DASK_ITEMS, RAY_ITEMS = 5_000, 20_000   # of which each is a task of its own: as many as take a few seconds
ABOUT = """All hosts are daemons of one machine, with one NATS server: what the network costs is not in these figures, and all \
share the CPUs. A call to another host goes from the client to its daemon, to that daemon's gateway, through the \
NATS server to the other gateway, its daemon and a worker, and all the way back: twelve times a process is woken. \
NATS' own request wakes six times: four processes, and at each end a thread of the library that hands the message to \
another one; a call here wakes four times. So one small call at a time, where waking takes most of the time, costs at \
least a request of NATS and a call here together: daemons check rights and queues, and keep workers busy, at both ends. \
A row has that sum, of the same run. With many in flight each wake-up is for many. Dask (three processes of one thread) and Ray (three actors \
of one node) have no hop to another host here. They were given fewer items: 5,000 and 20,000 as tasks of their own, \
200,000 and 1,000,000 in chunks. A host is killed with all its processes, and its callers wait for what it owes. Its \
silence alone tells, or a server whose account of the hosts imports the end of connections (packaging/nats-server.conf)."""
# As packaging/nats-server.conf has it.
TELLS = """
accounts {
  OBJPOOL {
    users: [{user: "host", password: "bench"}]
    imports: [{stream: {account: SYS, subject: "$SYS.ACCOUNT.OBJPOOL.DISCONNECT"}}]
  }
  SYS { exports: [{stream: "$SYS.ACCOUNT.OBJPOOL.DISCONNECT", accounts: [OBJPOOL]}] }
}
system_account: SYS
no_auth_user: "host"
"""


def role(pid):
    try:
        name = pathlib.Path(os.readlink(f"/proc/{pid}/exe")).name.split(" ")[0]
    except OSError:
        return "others"
    return {"objpool-gateway": "gateways", "objpool-worker": "workers"}.get(name, name)


class Host:
    def __init__(self, bench, name, workers):
        self.bench, self.name = bench, name
        self.path = bench.place / f"{name}.sock"
        config = bench.place / f"{name}.conf"
        config.write_text(f"[daemon]\nlisten = unix:{self.path}\nplugin_dir = {bench.build}/plugins\nlog_level = error\n"
                          f"[cluster]\nname = {name}\ndomain = bench\nbus = {bench.bus}\n"
                          f"[pool p]\nplugin = probe\nclass = Probe\nworkers = {workers}\nshare = yes\n")
        self.process = bench.start(bench.build / "objpoold", "--config", config)
        self.process.role = "daemons"

    def pids(self):
        return [self.process.pid, *figure.children(self.process.pid)]

    def kill(self):
        """No word to anybody."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.bench.processes.remove(self.process)


class Client:
    def __init__(self, host):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(host.path))
        self.unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)
        self.answers = {}
        self.last = 0

    def start(self, method, *args):
        self.last += 1
        self.socket.sendall(msgpack.packb([0, self.last, method, args]))
        return self.last

    def wait(self, msgid):
        while msgid not in self.answers:
            self.unpacker.feed(self.socket.recv(1 << 20))
            self.answers.update({answer[1]: answer[2:] for answer in self.unpacker})
        return self.answers.pop(msgid)

    def call(self, method, *args):
        return self.wait(self.start(method, *args))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Bench(run.Bench):
    def __init__(self, build, quick, place, peers):
        super().__init__(build, quick, place)
        self.peers = peers
        self.bus = self.server()

    def server(self, *options):
        port = run.free_port()
        self.start("nats-server", "-a", "127.0.0.1", "-p", port, *options)
        run.wait_for(lambda: run.answers(port), "nats-server")
        return f"nats://127.0.0.1:{port}"

    def servers(self):
        for process in self.processes:
            yield process.role, process.pid
            if process.role == "daemons":
                yield from ((role(pid), pid) for pid in figure.children(process.pid))

    @contextlib.contextmanager
    def hosts(self, count, workers):
        """So many hosts h1, h2 ... that see each other."""
        made = [Host(self, f"h{i + 1}", workers) for i in range(count)]
        run.wait_for(lambda: all(host.path.exists() for host in made), "the daemons")
        for host in made:
            run.wait_for(lambda host=host: self.sees(host, count * workers), f"{host.name} to see the others")
        try:
            yield made
        finally:
            for host in made:
                if host.process in self.processes:
                    self.stop(host.process)

    def sees(self, host, slots):
        with Client(host) as client:
            error, result = client.call("p@*:all.slot")
            return error is None and len(result) == slots

    @contextlib.contextmanager
    def responders(self, *ways):
        """(subject, group, more words) of each."""
        made = [self.start(self.build / "bench/nats", "responder", self.bus, *way) for way in ways]
        for process in made:
            process.role = "its responders"
        try:
            time.sleep(0.3)     # until they have subscribed: the program does not say
            yield
        finally:
            for process in made:
                self.stop(process)

    # ---- rows

    def one_hop(self):
        def rtt(path, target):
            return lambda: run.percentiles(self.load("load", "rtt", path, f"{target}.echo", 32, n))

        def pipe(path, target):
            return lambda: self.load("load", "pipe", path, f"{target}.echo", 1, 64, self.seconds)["calls"]
        with self.hosts(2, 2) as (host, _), self.responders(*2 * [("asap", "q", "asap")], *2 * [("pipe", "q")]):
            with service.short_rounds(self) as n:
                ours, peer, local = self.percentile_medians(
                    rtt(host.path, "p@h2"), lambda: run.percentiles(
                        self.load("nats", "rtt", self.bus, "asap", 32, n, "asap"), "rtt_asap_"), rtt(host.path, "p"))
            self.percentile_rows("one small call to another host", ours, ("NATS request/reply", peer), ("a call here", local))
            self.row("one small call to another host, p50, beside what a hop costs at least", ours[0], "µs",
                     ("NATS request/reply + a call here, added", peer[0] + local[0]))
            results = self.medians(
                pipe(host.path, "p@h2"),
                lambda: list(self.load("nats", "pipe", self.bus, "pipe", 32, 64, 1, self.seconds).values())[0],
                pipe(host.path, "p"))
            self.row("small calls to another host, 64 in flight", results[0], "1/s", ("NATS", results[1]), ("here", results[2]))

    def any_host(self):
        with self.hosts(4, 1) as hosts, self.responders(*4 * [("asap", "q", "asap")], *4 * [("pipe", "q")]):
            path = hosts[0].path
            with service.short_rounds(self) as n:
                ours, named, peer = self.percentile_medians(
                    *(lambda target=target: run.percentiles(self.load("load", "rtt", path, f"{target}.echo", 32, n))
                      for target in ("p@*", "p@h2")),
                    lambda: run.percentiles(self.load("nats", "rtt", self.bus, "asap", 32, n, "asap"), "rtt_asap_"))
            self.percentile_rows("one small call to any of 4 hosts", ours, ("to a named one", named),
                                 ("NATS, a group of 4", peer))
            results = self.medians(
                *(lambda target=target: self.load("load", "pipe", path, f"{target}.echo", 1, 64, self.seconds)["calls"]
                  for target in ("p@*", "p@h2")),
                lambda: list(self.load("nats", "pipe", self.bus, "pipe", 32, 64, 1, self.seconds).values())[0])
            self.row("small calls to any of 4 hosts, 64 in flight", results[0], "1/s", ("to a named one", results[1]),
                     ("NATS, a group of 4", results[2]))

    def all_of_all(self):
        n = 300
        with self.hosts(4, 4) as hosts, self.responders(*16 * [("each", "-", "asap")]):
            ours, peer, here = self.medians(
                lambda: self.timed(str(hosts[0].path), msgpack.packb([0, 1, "p@*:all.echo", [1]]), n),
                lambda: self.load("nats", "gather", self.bus, "each", 32, n, 16, "asap")["gather_asap_rtt_p50"],
                lambda: self.timed(str(hosts[0].path), msgpack.packb([0, 1, "p:all.echo", [1]]), n))
        self.row("all over 4 × 4 instances, p50", ours, "µs", ("NATS, 16 subscribers, by count", peer),
                 ("all over 4 instances here", here))

    def peer(self, name, count, chunk):
        """Items per second of a map over three workers of Dask's or Ray's; None: not installed, or it has not ended in time."""
        done = None
        if (self.peers / "bin/python").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                program = [self.peers / "bin/python", run.ROOT / "bench/cluster_peers.py"]
                done = subprocess.run([*program, name, str(count), str(chunk)],
                                      text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                                      env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"})
        if not done or done.returncode:
            print(f"{name}: {done.stderr[-600:] if done else 'not installed, or too slow'}", file=sys.stderr)
            return None
        return float(done.stdout.split("R\titems\t")[1].split()[0])

    def map(self):
        n = 200_000 if self.quick else 1_000_000
        with self.hosts(3, 1) as hosts:
            ours, here = self.medians(lambda: self.load("stream", "map", hosts[0].path, "p@*", n)["items"],
                                      lambda: self.load("stream", "map", hosts[0].path, "p", n)["items"])
        self.row(f"map of {n:,} small items over 3 hosts", ours, "items/s", ("one worker here", here),
                 ("Dask, a task for each item", self.peer("dask", DASK_ITEMS, 1)),
                 ("Dask, chunks of 1,000 by hand", self.peer("dask", 40 * DASK_ITEMS, 1000)),
                 ("Ray actors, a call for each item", self.peer("ray", RAY_ITEMS, 1)),
                 ("Ray actors, chunks of 1,000 by hand", self.peer("ray", 50 * RAY_ITEMS, 1000)))

    def large(self):
        def tcp():
            """To another process that reads it all and answers with a byte."""
            times = []
            with socket.create_connection(sink.getsockname()) as c:
                for _ in range(5):
                    begin = time.perf_counter()
                    c.sendall(value)
                    assert c.recv(1) == b"."
                    times.append(time.perf_counter() - begin)
            return statistics.median(times) * 1e3
        value = bytes(LARGE)
        with socket.create_server(("127.0.0.1", 0)) as sink, self.hosts(2, 1) as hosts:
            reader = os.fork()
            if reader == 0:
                drain(sink)
            try:
                ours, plain, here = self.medians(
                    lambda: self.load("load", "bulk", hosts[0].path, "p@h2.sum", LARGE, 3)["p50"] / 1e3, tcp,
                    lambda: self.load("load", "bulk", hosts[0].path, "p.sum", LARGE, 3)["p50"] / 1e3)
            finally:
                os.kill(reader, signal.SIGKILL)
                os.waitpid(reader, 0)
        self.row("64 MiB to a method of another host, p50", ours, "ms", ("plain TCP", plain), ("to a method here", here))

    def death(self):
        self.deaths("a host killed")
        config = self.place / "tells.conf"
        config.write_text(TELLS)
        silent, self.bus = self.bus, self.server("-c", config)
        self.deaths("a host killed, of which the server tells")
        self.bus = silent

    def deaths(self, name):
        told, unused = [], []
        for _ in range(2 if self.quick else 5):
            with self.hosts(3, 1) as hosts, Client(hosts[0]) as client, Client(hosts[0]) as other:
                owed = client.start("p@h2.sleep", 60)
                run.wait_for(lambda: self.runs(hosts[1]), "the method to run")
                begin = time.perf_counter()
                hosts[1].kill()
                noticed = threading.Thread(target=lambda: unused.append(until_refused(other) - begin))
                noticed.start()
                error, _ = client.wait(owed)
                told.append(time.perf_counter() - begin)
                assert error, "an answer of the dead"
                noticed.join()
        for what, times in (("no new call goes there", unused), ("its callers are told", told)):
            self.row(f"{name}: {what}, median", statistics.median(times) * 1e3, "ms")
            self.row(f"{name}: {what}, the slowest", max(times) * 1e3, "ms")

    def runs(self, host):
        with Client(host) as client:
            return client.call("objpool.status", "p")[1]["pools"][0]["running"] == 1

    def run(self):
        for part in (self.one_hop, self.any_host, self.all_of_all, self.map, self.large, self.death):
            part()


def until_refused(client):
    """When a call of h2 is first refused at once. Each has a deadline, so that none waits for what has died."""
    while True:
        error, _ = client.call("objpool.call", "p@h2", "echo", [1], {"timeout_ms": 20})
        if error and "UNREACHABLE" in str(error):
            return time.perf_counter()


def drain(sink):
    room = bytearray(4 * MIB)
    while True:
        connection, _ = sink.accept()
        got = 0
        while n := connection.recv_into(room):
            got += n
            if got % LARGE == 0:
                connection.sendall(b".")


def markdown(bench):
    versions = [run.version(str(bench.build / "objpoold"), "--version"), run.version("nats-server", "--version")]
    for name in ("distributed", "ray"):
        if (bench.peers / "bin/python").exists():
            versions.append(f"{name} " + run.version(str(bench.peers / "bin/python"), "-c",
                                                     f"import importlib.metadata as m; print(m.version('{name}'))"))
    about = (f"Written by `make bench-cluster` on {datetime.date.today()}: {os.cpu_count()} CPUs, Linux {os.uname().release}; "
             f"{'; '.join(versions)}.")
    lines = [f"## {HEADING}", "", *run.filled(about),
             "", *run.filled(ABOUT), *run.doubt(bench), "", "| work | objpool | beside |", "|---|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in bench.rows]
    lines += ["", "### Between hosts: what it must reach", "", "| | beside | to reach | reached | |", "|---|---|---:|---:|---|"]
    for goal in GOALS:
        work, peer, sign, limit = goal
        result, unit = goals.check(bench.figures, goal), " ×" if peer else " ms"
        reached = f"{result[0]:,.3g}{unit} | {'yes' if result[1] else '**no**'}" if result else "not measured |"
        lines.append(f"| {work} | {peer or ''} | {sign} {limit:,.3g}{unit} | {reached} |")
    lines += ["", "### Between hosts: CPU time for each call", "", *run.filled(run.ABOUT_COST), "",
              "| work | of | user + system ns |", "|---|---|---|"]
    for work, spent in bench.costs:
        lines += [f"| {work if i == 0 else ''} | {who} | {text} |" for i, (who, text) in enumerate(spent)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--peers", default="build/bench/cluster-peers", type=pathlib.Path, help="a Python with dask and ray")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", metavar="PART", help="one_hop, any_host, all_of_all, map, large or death")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    if not shutil.which("nats-server"):
        sys.exit("nats-server is not installed: scripts/deps.sh bench")
    with tempfile.TemporaryDirectory(prefix="objpool-bench-") as place:
        bench = Bench(options.build.resolve(), options.quick, place, options.peers.absolute())
        try:
            bench.run() if not options.only else getattr(bench, options.only)()
        finally:
            bench.stop_all()
        if options.markdown:
            sections.put(pathlib.Path(options.markdown), markdown(bench))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
