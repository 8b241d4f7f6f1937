#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: one table, every figure beside a peer of the same run, medians of rounds that take turns.

Starts its own daemon and the peers on loopback or private sockets, and stops them by pid.
"""
import argparse
import contextlib
import datetime
import multiprocessing
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time

import msgpack

import figure
import goals
import sections
import service
import soak
import tls
from figure import Cost, Figure, PERCENTILES, percentiles

ROOT = pathlib.Path(__file__).resolve().parents[1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(check, what, seconds=20):
    until = time.monotonic() + seconds
    while not check():
        if time.monotonic() > until:
            raise RuntimeError(f"waited for {what}")
        select.select([], [], [], 0.01)


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def cpu_busy():
    """Seconds that the machine's CPUs have worked, and that we and those we waited for made them."""
    user, nice, system, _, _, irq, soft, steal = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    ours = os.times()
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK"), sum(ours[:4])


class Bench:
    def __init__(self, build, quick, place):
        self.build, self.quick, self.place = build, quick, pathlib.Path(place)
        self.rounds = 1 if quick else 3
        self.seconds = 0.5 if quick else 1.5
        self.processes = []
        self.current = None
        self.rows = []
        self.costs = []
        self.noted = set()
        self.figures = {}
        self.where = ""
        self.cost = Cost()
        self.began = time.monotonic(), cpu_busy()

    def others(self):
        """The part of the machine that other work had since this began."""
        (began, (all_before, ours_before)), (now, (all_now, ours_now)) = self.began, (time.monotonic(), cpu_busy())
        return max(0, (all_now - all_before) - (ours_now - ours_before)) / ((now - began) * os.cpu_count())

    # ---- processes

    def start(self, *command, **keywords):
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, **keywords)
        process.role = pathlib.Path(command[0]).name
        self.processes.append(process)
        return process

    def stop(self, process):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def stop_all(self):
        for process in reversed(list(self.processes)):
            self.stop(process)

    @contextlib.contextmanager
    def daemon(self, pools, keys=""):
        """An objpoold with these pools (name -> workers of class Probe, or the lines of its section); gives its socket's path.
        `keys`: more lines of [daemon]."""
        path = self.place / "s"
        config = self.place / "objpoold.conf"
        text = f"[daemon]\nlisten = unix:{path}\nplugin_dir = {self.build}/plugins\nmax_connections = 12000\nlog_level = error\n"
        text += keys
        for name, workers in pools.items():
            text += f"[pool {name}]\n"
            text += workers if isinstance(workers, str) else f"plugin = probe\nclass = Probe\nworkers = {workers}\n"
        config.write_text(text)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self.place / "notify"))
            notify.settimeout(20)
            self.current = self.start(self.build / "objpoold", "--config", config,
                                      env={**os.environ, "NOTIFY_SOCKET": str(self.place / "notify")})
            while b"READY=1" not in notify.recv(4096):
                pass
        (self.place / "notify").unlink()
        try:
            yield str(path)
        finally:
            self.stop(self.current)

    def servers(self):
        """(who, pid) of the daemon, its workers, the peers, and the processes of a multiprocessing.Pool."""
        for process in self.processes:
            if process is self.current:
                yield "supervisor", process.pid
                yield from (("workers", pid) for pid in figure.children(process.pid))
            elif hasattr(process, "role"):
                yield process.role, process.pid
        yield from (("its workers", process.pid) for process in multiprocessing.active_children())

    @contextlib.contextmanager
    def spending(self, calls=0):
        """Adds to self.cost what the servers spend meanwhile on so many calls."""
        before = [(who, pid, figure.spent(pid)) for who, pid in self.servers()]
        yield
        for who, pid, earlier in before:
            self.cost.add(who, figure.less(figure.spent(pid), earlier))
        self.cost.calls += calls

    @contextlib.contextmanager
    def spending_too(self, calls):
        """The same, where this process is the client."""
        before = figure.of_rusage(resource.getrusage(resource.RUSAGE_SELF))
        with self.spending(calls):
            yield
        self.cost.add("client", figure.less(figure.of_rusage(resource.getrusage(resource.RUSAGE_SELF)), before))

    def output_of(self, command):
        """What a client prints. Adds to self.cost what it has spent, and the servers meanwhile."""
        before = figure.of_rusage(resource.getrusage(resource.RUSAGE_CHILDREN))
        with self.spending():
            done = subprocess.run([*map(str, command)], text=True, capture_output=True, timeout=120)
        self.cost.add("client", figure.less(figure.of_rusage(resource.getrusage(resource.RUSAGE_CHILDREN)), before))
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stderr}")
        return done.stdout

    def load(self, name, *arguments):
        """The figures that a load prints: {name: value}."""
        lines = [line.split("\t") for line in self.output_of([self.build / "bench" / name, *arguments]).splitlines()]
        figures = {words[1]: float(words[2]) for words in lines if words[0] == "R"}
        for _, who, user, system in (words for words in lines if words[0] == "C"):
            own = int(user) + int(system), int(user), int(system)
            self.cost.add(who, own)
            self.cost.add("client", figure.less((0, 0, 0), own))  # which has waited for that process
        self.cost.calls += figures.get("total", 0)
        return figures

    # ---- rows

    def row(self, work, ours, unit, *peers):
        """peers: (name, value or None); the ratio is ours / peer."""
        work += self.where
        text = ", ".join(f"{name} {value:,.4g} ({ours / value:.2f} ×)" if value else f"{name}: not installed"
                         for name, value in peers)
        self.figures[work] = ours, dict(peers)
        self.rows.append((work, f"{ours:,.4g} {unit}", text))
        print(f"{work:<46} {ours:>14,.4g} {unit:<8} {text}", flush=True)
        self.note_cost(work, ("objpool", ours), *peers)

    def note_cost(self, work, *values):
        """Notes what the figures of this row have cost, unless it has been noted with a row before."""
        spent = [(who, value.cost) for who, value in values if isinstance(value, Figure) and value.cost.calls]
        spent = [(who, str(cost)) for who, cost in spent if cost not in self.noted]
        self.noted.update(value.cost for _, value in values if isinstance(value, Figure))
        if spent:
            self.costs.append((work, spent))
        for who, text in spent:
            print(f"    {who}: {text}", flush=True)

    def percentile_rows(self, work, ours, *peers):
        """peers: (name, percentiles or None)."""
        for i, name in enumerate(PERCENTILES):
            self.row(f"{work}, {name}", ours[i], "µs", *((peer, values and values[i]) for peer, values in peers))

    def in_turns(self, measures):
        """What the measures (None: not to be had) give in all rounds, and what that cost."""
        results = [([], Cost()) for _ in measures]
        for _ in range(self.rounds):
            for measure, (values, self.cost) in zip(measures, results):
                if measure:
                    values.append(measure())
        return results

    def medians(self, *measures):
        """Runs the measures in turns; the median of each."""
        return [Figure(statistics.median(r), spent) if r else None for r, spent in self.in_turns(measures)]

    def percentile_medians(self, *measures):
        """The same for measures that give percentiles."""
        return [tuple(Figure(statistics.median(x), spent) for x in zip(*r)) if r else None
                for r, spent in self.in_turns(measures)]

    # ---- peers

    def start_gearman(self):
        if not shutil.which("gearmand") or not (self.build / "bench/gearman").exists():
            return None
        port = free_port()
        self.start("gearmand", "-L", "127.0.0.1", "-p", port, "-t", "0", "-l", self.place / "gearmand.log", "--verbose=ERROR",
                   "-P", self.place / "gearmand.pid", "-u", "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"))
        wait_for(lambda: answers(port), "gearmand")
        for _ in range(2):
            self.start(self.build / "bench/gearman", "worker", port).role = "its workers"
        return port

    def start_nats(self):
        if not shutil.which("nats-server") or not (self.build / "bench/nats").exists():
            return None
        port = free_port()
        self.start("nats-server", "-a", "127.0.0.1", "-p", port)
        wait_for(lambda: answers(port), "nats-server")
        url = f"nats://127.0.0.1:{port}"
        for _ in range(2):
            for subject, *options in (("bench.asap", "q", "asap"), ("bench.pipe", "q")):
                self.start(self.build / "bench/nats", "responder", url, subject, *options).role = "its responders"
        return url

    def start_redis(self):
        if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
            return None
        path = self.place / "redis.sock"
        self.start("redis-server", "--port", 0, "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", self.place)
        wait_for(path.exists, "redis-server")
        return path

    def redis_ping(self, path, clients):
        n = 300_000 if self.quick else 1_500_000
        command = ["redis-benchmark", "-s", path, "-t", "ping_mbulk", "-n", n, "-c", clients, "-P", 64, "--csv", "-q"]
        self.cost.calls += n
        return float(re.search(r'"PING_MBULK","([\d.]+)"', self.output_of(command)).group(1))

    # ---- the work

    def latency(self, gearman, nats, redis, name="one small call, unpipelined", beside=contextlib.nullcontext):
        """`beside`: what the machine does meanwhile."""
        with self.daemon({"p": 2}) as path, service.short_rounds(self) as n, beside():
            ours, floor, gear, nat = self.percentile_medians(
                lambda: percentiles(self.load("load", "rtt", path, "p.echo", 32, n)),
                lambda: percentiles(self.load("relay", "rtt", 45, n)),
                gearman and (lambda: percentiles(self.load("gearman", "rtt", gearman, 32, n), "rtt_")),
                nats and (lambda: percentiles(self.load("nats", "rtt", nats, "bench.asap", 32, n, "asap"), "rtt_asap_")))
        self.percentile_rows(name, ours, ("relay", floor), ("gearmand", gear), ("NATS", nat))

    def latency_beside_a_busy_process(self, *peers):
        self.latency(*peers, name="one small call beside a busy process", beside=lambda: service.busy(self, 1))

    def direct(self):
        """Direct channels, by libobjpool, beside the ordinary way by it."""
        with self.daemon({"p": 1}) as path, service.short_rounds(self) as n:
            ours, rings, floor, ordinary = self.percentile_medians(
                lambda: percentiles(self.load("small", "direct", "rtt", path, "p.echo", n)),
                lambda: percentiles(self.load("small", "rings", "rtt", path, "p.echo", n)),
                lambda: percentiles(self.load("relay", "pair", 45, n)),
                lambda: percentiles(self.load("small", "ordinary", "rtt", path, "p.echo", n)))
        self.percentile_rows("one small call, direct channel", ours, ("socketpair", floor), ("the ordinary way", ordinary))
        self.percentile_rows("one small call, direct channel with rings", rings, ("socketpair", floor),
                             ("the ordinary way", ordinary))
        with self.daemon({"p": 1}) as path:
            ours, rings, ordinary = self.medians(*(
                lambda way=way: self.load("small", way, "pipe", path, "p.echo", 64, self.seconds)["calls"]
                for way in ("direct", "rings", "ordinary")))
        self.row("small calls, direct channel, 64 in flight", ours, "1/s", ("the ordinary way", ordinary))
        self.row("small calls, direct channel with rings, 64 in flight", rings, "1/s", ("the ordinary way", ordinary))

    def throughput(self, gearman, nats, redis):
        s = self.seconds
        with self.daemon({"p": 2}) as path:
            for k in (1, 8, 64) if not (self.quick and self.where) else (8,):
                gear_k = min(k, 32)
                results = self.medians(
                    lambda: self.load("load", "pipe", path, "p.echo", k, 64, s)["calls"],
                    redis and (lambda: self.redis_ping(redis, k)),
                    nats and (lambda: list(self.load("nats", "pipe", nats, "bench.pipe", 32, 64, min(k, 8), s).values())[0]),
                    nats and (lambda: list(self.load("nats", "pipe", nats, "bench.pipe", 32, 1024, min(k, 8), s).values())[0]),
                    gearman and (lambda: list(self.load("gearman", "tasks", gearman, 32, 64, gear_k, s).values())[0]))
                self.row(f"small calls, {k} client{'s' * (k > 1)}, 64 in flight each", results[0], "1/s",
                         ("redis PING -P 64", results[1]), ("NATS", results[2]), ("NATS, 1,024 in flight", results[3]),
                         ("gearmand", results[4]))
                if k == 8:
                    user, _ = results[0].cost.per_call("supervisor")
                    self.row("the supervisor's user time for each of these calls, 8 clients", user, "ns",
                             ("redis-server's", results[1] and results[1].cost.per_call("redis-server")[0]))

    def call(self, connection, unpacker, message):
        connection.sendall(message)
        while True:
            for answer in unpacker:
                return answer
            unpacker.feed(connection.recv(1 << 20))

    def timed(self, path, message, n):
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(path)
            unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)
            times = []
            with self.spending_too(n):
                for _ in range(n):
                    begin = time.perf_counter()
                    answer = self.call(c, unpacker, message)
                    times.append(time.perf_counter() - begin)
                    assert answer[2] is None, answer
        return statistics.median(times) * 1e6

    def broadcast(self):
        n = 300 if self.quick else 2000
        with self.daemon({"a": 2, "b": 4, "c": 16}) as path:
            targets = "a", "a:all", "b:all", "c:all"
            one, *all_of = self.medians(*(
                lambda message=msgpack.packb([0, 1, f"{target}.echo", [1]]): self.timed(path, message, n)
                for target in targets))
            for workers, p50 in zip((2, 4, 16), all_of):
                self.row(f"all over {workers} workers, p50 (Python client)", p50, "µs", ("one call, same client", one))

    def map(self):
        n = 200_000 if self.quick else 1_000_000
        items = list(range(n))
        message = msgpack.packb([0, 1, "p:map.echo", [items]])
        expected = 7 + len(msgpack.packb(items)) - 2  # 94 01 01 c0 and the array

        def ours():
            with socket.socket(socket.AF_UNIX) as c, self.spending_too(n):
                c.connect(path)
                begin, got = time.perf_counter(), 0
                sent = memoryview(message)
                c.setblocking(False)
                while got < expected - 1:
                    readable, writable, _ = select.select([c], [c] if sent else [], [])
                    if writable:
                        sent = sent[c.send(sent[:1 << 20]):]
                    if readable:
                        got += len(c.recv(1 << 20))
                return n / (time.perf_counter() - begin)

        def pool_map(chunksize, count):
            with self.spending_too(count):
                begin = time.perf_counter()
                pool.map(abs, items[:count], chunksize)
                return count / (time.perf_counter() - begin)
        with self.daemon({"p": 2}) as path, multiprocessing.Pool(2) as pool:
            ours()
            results = self.medians(ours, lambda: pool_map(None, n), lambda: pool_map(1, 20000))
        self.row(f"map of {n:,} small items", results[0], "items/s",
                 ("multiprocessing.Pool.map", results[1]), ("its chunksize 1", results[2]))

    def small_payloads(self):
        with self.daemon({"p": 1}) as path:
            for size, text in ((1024, "1 KiB"), (10240, "10 KiB"), (65536, "64 KiB")):
                with service.short_rounds(self) as n:
                    ours, floor = self.medians(lambda: self.load("load", "rtt", path, "p.echo", size, n)["p50"],
                                               lambda: self.load("relay", "rtt", size, n)["p50"])
                self.row(f"{text} there and back, p50", ours, "µs", ("relay", floor))

    def payloads(self):
        with self.daemon({"p": 1}) as path:
            for size, text, n in ((16 << 20, "16 MiB", 5), (64 << 20, "64 MiB", 3)):
                self.large_payload(path, size, text, n)
        self.payload_to_all()

    def large_payload(self, path, size, text, n):
        bulk = {}

        def relay():
            bulk.update(self.load("relay", "bulk", size >> 20, n))
            return bulk["p50"]

        def row(how, value):
            self.row(f"{text} there and back{how}, p50", value / 1e3, "ms",
                     ("relay", floor / 1e3), ("memcpy", bulk["memcpy_p50"] / 1e3))

        def ours(program, how, count):
            return lambda: self.load(program, how, path, "p.echo", size, count)["p50"]

        plain, floor, *client, passed = self.medians(
            ours("load", "rtt", n), relay, *(ours("client", how, 3 * n) for how in ("bytes", "copy", "place")),
            ours("load", "fds", 3 * n))
        row("", plain)
        for value, what in zip(client, ("without descriptors", "with descriptors", "packed in place")):
            row(f" by libobjpool, {what}", value)
        row(", with descriptors", passed)

    def payload_to_all(self):
        size, n = 64 << 20, 5
        with self.daemon({"p": 4}) as path:
            def measure(program, how):
                return lambda: self.load(program, how, path, "p:all.sum", size, n)["p50"]
            ours, passed, *client, floor = self.medians(
                measure("load", "bulk"), measure("load", "fds"), *(measure("client", how) for how in ("bytes", "copy", "place")),
                lambda: self.load("relay", "copies", size >> 20, n)["p50"])
        how = [f" by libobjpool, {how}" for how in ("without descriptors", "with a descriptor", "packed in place")]
        for text, value in (("", ours), (", with a descriptor", passed), *zip(how, client)):
            self.row(f"64 MiB to all of 4 workers{text}, p50", value / 1e3, "ms", ("four stream copies", floor / 1e3))

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.current.pid}/status").read_text()).group(1)) * 1024

    def idle(self):
        n = 1000 if self.quick else 10000
        calls = 2000 if self.quick else 5000
        with self.daemon({"p": 2}) as path:
            before = self.load("load", "rtt", path, "p.echo", 32, calls)
            base = self.rss()
            command = [self.build / "bench/load", "idle", path, str(n)]
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            holder.stdout.readline()
            beside = self.load("load", "rtt", path, "p.echo", 32, calls)
            per_connection = (self.rss() - base) / n
            holder.communicate()
        self.row(f"memory per idle connection ({n:,} held)", per_connection, "bytes", ("libevent alone", 1024))
        for name in PERCENTILES:
            self.row(f"{name} beside {n:,} connections", beside[name], "µs", ("beside none", before[name]))

    def flat(self):
        n = 3000 if self.quick else 10000
        many_pools = {"p": 2, **{f"q{i}": 1 for i in range(63)}}
        for what, few, many in (("pools", {"p": 2}, many_pools), ("workers", {"p": 1}, {"p": 64})):
            def p50(pools):
                with self.daemon(pools) as path:
                    return statistics.median(self.load("load", "rtt", path, "p.echo", 32, n)["p50"] for _ in range(3))
            ours, one = self.medians(lambda: p50(many), lambda: p50(few))
            self.row(f"p50 of a call, 64 {what}", ours, "µs", ("one pool, few workers", one))

    def death(self):
        told, back = [], []
        with self.daemon({"p": 1}) as path:
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(path)
                unpacker = msgpack.Unpacker()
                for i in range(5):
                    pid = self.call(c, unpacker, msgpack.packb([0, 1, "p.pid", []]))[3]
                    c.sendall(msgpack.packb([0, 2, "p.sleep_hard", [60]]))
                    c.sendall(msgpack.packb([0, 3, "objpool.ping", []]))
                    for answer in iter(lambda: self.call(c, unpacker, b""), None):
                        if answer[1] == 3:
                            break
                    # The call has been handed over when a status says so.
                    status = msgpack.packb([0, 4, "objpool.status", []])
                    while not self.call(c, unpacker, status)[3]["pools"][0]["slots"][0]["running"]:
                        pass
                    begin = time.perf_counter()
                    os.kill(pid, signal.SIGKILL)
                    assert self.call(c, unpacker, b"")[2]
                    told.append((time.perf_counter() - begin) * 1e3)
                    self.call(c, unpacker, msgpack.packb([0, 5, "p.pid", []]))
                    back.append((time.perf_counter() - begin) * 1e3)
                    if i == 0:
                        first_back = back[-1]
        self.row("a worker killed: its caller is told", statistics.median(told), "ms", ("to reach", 5))
        self.row("a worker killed: its slot answers, first death", first_back, "ms", ("to reach", 20))

    @contextlib.contextmanager
    def on_one_cpu(self):
        """All that is started meanwhile runs on the same CPU, and the rows say so."""
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cpus)})
        self.where = ", all on one CPU"
        try:
            yield
        finally:
            self.where = ""
            os.sched_setaffinity(0, cpus)

    def beside_peers(self, *parts):
        peers = self.start_gearman(), self.start_nats(), self.start_redis()
        for part in parts:
            part(*peers)
        self.stop_all()

    def run(self):
        self.beside_peers(self.latency, self.latency_beside_a_busy_process, self.throughput,
                          lambda gearman, nats, redis: service.deferred(self, redis))
        self.direct()
        tls.rows(self)
        for part in (service.streams, service.leases, service.nested, service.fairness):
            part(self)
        for part in (self.broadcast, self.map, self.small_payloads, self.payloads, self.idle, self.flat, self.death):
            part()
        with self.on_one_cpu():
            self.beside_peers(self.latency, self.throughput)
            self.direct()
            self.small_payloads()
            if not self.quick:
                for part in (service.streams, service.leases, service.nested):
                    part(self)
                self.broadcast()
                self.map()


def version(*command):
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=10).stdout.strip().splitlines()[0].strip()
    except (OSError, IndexError):
        return f"{command[0]}: not installed"


def doubt(bench):
    """What to say of a run that was disturbed."""
    if bench.others() < 0.1:
        return []
    return ["", *filled(f"**Other work had {bench.others():.0%} of this machine while these were measured**, now more and now"
                        " less: what needs both CPUs was held up, unevenly, p99 above all. Ratios of single rows may be off by a"
                        " factor of two. Run it again on a machine at rest.")]


ABOUT = """Each figure is the median of rounds that take turns with its peers' in one run; in brackets the ratio objpool : peer. \
Machines that are shared and noisy move absolute figures by a third within minutes: read the ratios. `relay` is the floor: the \
same bytes go through an epoll process to an echo process and back, and nothing is done to them. Large values with descriptors \
are looked at where they arrive, which `relay` and `memcpy` don't do."""


def filled(paragraph):
    return textwrap.wrap(paragraph, 120, break_long_words=False, break_on_hyphens=False)


ABOUT_COST = """Nanoseconds for each call (or item, or cycle) of the row: user + system time of each process, or of all processes of a \
kind. All rounds count, and the calls before the measurement too. `client` is the program that measures."""


def cost_lines(bench):
    lines = ["", "## CPU time for each call", "", *filled(ABOUT_COST), "", "| work | of | user + system ns |", "|---|---|---|"]
    for work, spent in bench.costs:
        lines += [f"| {work if i == 0 else ''} | {who} | {text} |" for i, (who, text) in enumerate(spent)]
    return lines


def write_markdown(bench, path, command):
    versions = [version(str(bench.build / "objpoold"), "--version"), version("redis-server", "--version")[:22].strip(),
                version("nats-server", "--version"), version("gearmand", "--version"), f"Python {sys.version.split()[0]}"]
    lines = ["# Benchmarks", "", *filled(f"Written by `{command}` on {datetime.date.today()}: {os.cpu_count()} CPUs, "
                                         f"Linux {os.uname().release}; {'; '.join(versions)}."), "", *filled(ABOUT),
             *doubt(bench), "", "| work | objpool | beside |", "|---|---:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in bench.rows]
    lines += cost_lines(bench)
    lines += goals.lines(bench.figures)
    sections.put_own(pathlib.Path(path), "\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown")
    parser.add_argument("--soak", type=float, metavar="SECONDS", help="no table: the memory of all processes must stay flat")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="objpool-bench-") as place:
        bench = Bench(options.build.resolve(), options.quick, place)
        try:
            if options.soak:
                return soak.run(bench, options.soak)
            bench.run()
        finally:
            bench.stop_all()
        if options.markdown:
            write_markdown(bench, options.markdown, "make bench")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
