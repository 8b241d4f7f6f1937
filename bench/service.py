# SPDX-License-Identifier: Apache-2.0
"""Rows of `make bench`: streams, leases, nested calls, deferred replies; and is one client's work felt by another?

Each function takes the Bench of run.py.
"""
import contextlib
import multiprocessing
import subprocess
import time

from figure import percentiles

QUEUE = "plugin = queue\nclass = Queue\nworkers = 1\n"


def mean(values):
    return values["mean"]


def cycles(values):
    return values["cycles"]


def per_second(values):
    """Of one client that does one after the other."""
    return 1e6 / values["mean"]


@contextlib.contextmanager
def beside(bench, count, *command, ready=True, env=None):
    """While `count` of these run; `ready`: each says with a line when it has begun."""
    processes = [subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
                 for _ in range(count)]
    bench.processes += processes
    try:
        if ready and not all(process.stdout.readline() for process in processes):
            raise RuntimeError(f"{command} has not begun")
        yield
    finally:
        for process in processes:
            bench.stop(process)
            process.stdin.close()
            process.stdout.close()


def busy(bench, count):
    """While `count` processes burn a CPU each, if they get it."""
    spin = "import os\nos.write(1, b'begun\\n')\nwhile True: pass"
    return beside(bench, count, "/usr/bin/python3", "-c", spin)


@contextlib.contextmanager
def short_rounds(bench):
    """More rounds, and how many cycles each has: a process keeps the CPU that it happens to get, beside its peer's
    or on it, and so all of a round is fast, or slow by a factor of three."""
    rounds = bench.rounds
    bench.rounds = 3 if bench.quick else 21
    try:
        yield 1000
    finally:
        bench.rounds = rounds


def streams(bench):
    n = 200_000 if bench.quick else 1_000_000

    def run(path, *words):
        return lambda: bench.load("stream", words[0], path, "p", n, *words[1:])["items"]

    def imap(pool, method, chunksize, count):
        with bench.spending_too(count):
            begin = time.perf_counter()
            for _ in getattr(pool, method)(abs, range(count), chunksize):
                pass
            return count / (time.perf_counter() - begin)
    with bench.daemon({"p": 2}) as path, multiprocessing.Pool(2) as pool:
        plain, *ours, imap_best, imap_one = bench.medians(
            run(path, "map"), run(path, "args", "ordered"), run(path, "args", "unordered"),
            run(path, "feed", "ordered"), run(path, "feed", "unordered"),
            lambda: imap(pool, "imap", 1000, n), lambda: imap(pool, "imap", 1, 20000))
    names = "ordered", "unordered", "ordered, fed against credit", "unordered, fed against credit"
    for name, value in zip(names, ours):
        bench.row(f"stream of {n:,} small items, {name}", value, "items/s", ("map, same client", plain),
                  ("multiprocessing.Pool.imap, chunksize 1,000", imap_best), ("its chunksize 1", imap_one))


def turns(bench, path, *words):
    return lambda: bench.load("turns", words[0], path, *words[1:])


def of(figure, load):
    return lambda: figure(load())


def leases(bench):
    s = 0.5 if bench.quick else 1.5
    spread = []

    def contend():
        values = bench.load("turns", "contend", path, s, 8, "p")
        spread.append((values["least"], values["most"]))
        return values["cycles"]
    with bench.daemon({"p": 2}) as path:
        with short_rounds(bench) as n:
            plans = (("lease", n, "p"), ("cycle", n, "p.echo", "p.echo"), ("leased", n, "p"), ("cycle", n, "p:0.echo"),
                     ("cycle", n, "p.echo"))
            lease, two, leased, slot, plain = bench.medians(*(of(mean, turns(bench, path, *plan)) for plan in plans))
        contended, crowd = bench.medians(contend, of(cycles, turns(bench, path, "crowd", s, 8, *["p.echo"] * 3)))
    bench.row("lease and release, one client", 1e6 / lease, "1/s", ("two plain calls", 1e6 / two))
    bench.row("a call of what is leased, mean", leased, "µs", ("a call of a slot", slot), ("a plain call", plain))
    bench.row("lease, call, release; 8 clients, 2 instances", contended, "1/s", ("three plain calls, 8 clients", crowd))
    least, most = min(spread, key=lambda pair: pair[0] / pair[1])
    bench.row("who got the fewest leases of these 8", least, "leases", ("who got the most", most))


def nested(bench):
    s = 0.5 if bench.quick else 1.5
    plans = ("p.relay=q.echo",), ("p.echo", "q.echo"), ("p.echo",)
    with bench.daemon({"p": 2, "q": 2}) as path:
        with short_rounds(bench) as n:
            inner, two, one = bench.percentile_medians(*(of(percentiles, turns(bench, path, "cycle", n, *plan))
                                                         for plan in plans))
        crowds = bench.medians(*(of(cycles, turns(bench, path, "crowd", s, 8, *plan)) for plan in plans[:2]))
    bench.percentile_rows("a call that calls another pool", inner, ("the client calls both in turn", two), ("one call", one))
    bench.row("the same, 8 clients, 2 instances each", crowds[0], "1/s", ("the clients call both in turn", crowds[1]))


def deferred(bench, redis):
    s, rounds = (0.5, 20) if bench.quick else (1.5, 200)
    pair, echoes = ("many.put", "many.get!"), ("p.echo", "p.echo")

    def held(count):
        with beside(bench, 1, bench.build / "bench/waiters", "hold", path, "held", count):
            return bench.load("turns", "cycle", path, n, "held.size!")["p50"]
    with bench.daemon({"p": 1, **{name: QUEUE for name in ("ab", "ba", "one", "many", "late", "held")}}) as path:
        with short_rounds(bench) as n:
            pong, bare, peer, alone, two, full, few = bench.medians(
                lambda: bench.load("pong", "objpool", path, n)["round_trips"],
                lambda: bench.load("pong", "socketpair", "-", n)["round_trips"],
                redis and (lambda: bench.load("pong", "redis", redis, n)["round_trips"]),
                of(per_second, turns(bench, path, "cycle", n, "one.put", "one.get!")),
                of(per_second, turns(bench, path, "cycle", n, *echoes)), lambda: held(10000), lambda: held(1))
        crowd = bench.medians(*(of(cycles, turns(bench, path, "crowd", s, 8, *plan)) for plan in (pair, echoes)))
        late, soon = bench.medians(*(lambda mode=mode: bench.load("waiters", mode, path, "late", 1000, rounds)["pairs"]
                                     for mode in ("late", "soon")))
    bench.row("to and fro of two clients by two queues", pong, "1/s", ("redis RPUSH, BLPOP", peer),
              ("four plain calls in turn", two / 2), ("a socketpair", bare))
    bench.row("put and get of a queue, one client", alone, "1/s", ("two plain calls", two))
    bench.row("put and get of a queue, 8 clients", crowd[0], "1/s", ("two plain calls, 8 clients", crowd[1]))
    bench.row("1,000 gets at once that wait for their puts", late, "pairs/s", ("the puts first: none waits", soon))
    bench.row("p50 of a call beside 10,000 gets that wait", full, "µs", ("beside one", few))


def fairness(bench):
    items = 200_000 if bench.quick else 1_000_000

    def call(path):
        return percentiles(bench.load("load", "rtt", path, "p.echo", 32, n))

    def call_beside(path, *work):
        with beside(bench, 1, bench.build / "bench/stream", "beside", path, "p", items, *work):
            return call(path)

    def relay_beside():
        with busy(bench, 2):
            return percentiles(bench.load("relay", "rtt", 45, n))
    with bench.daemon({"p": 2}) as path, short_rounds(bench) as n:
        alone, small, long, waits, relay = bench.percentile_medians(
            lambda: call(path), lambda: call_beside(path, "echo"), lambda: call_beside(path, "spin", 0.0001),
            lambda: call_beside(path, "sleep_hard", 0.001), relay_beside)
    for work, values in ((f"{items:,} small items", small), (f"{items:,} items that burn 0.1 ms each", long),
                         (f"{items:,} items that sleep 1 ms each", waits)):
        bench.percentile_rows(f"one call beside a map of {work}", values, ("beside no map", alone),
                              ("relay beside two busy processes", relay))
