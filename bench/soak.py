# SPDX-License-Identifier: Apache-2.0
"""make bench-soak: work of all kinds at once, for a while. The memory of the daemon, of each worker and of each client
that stays must be flat: the most of the last quarter beside the most of the second one.
"""
import contextlib
import os
import pathlib
import re
import sys
import threading
import time

import figure
import service

ROOT = pathlib.Path(__file__).resolve().parents[1]
GROWTH_MAX = 2 << 20, 0.02      # bytes and a part: what comes and goes does not always meet a sample

CLASS = """
class Soak:
    def echo(self, value):
        return value

    def fail(self):
        raise ValueError("as it should")
"""

# As a program does that runs for days: calls of all kinds, arrays, streams, leases, and errors.
CLIENT = """
import itertools, sys
import numpy
import objpool

client = objpool.connect(sys.argv[1])
pool = client.pool("py")
array = numpy.arange(1 << 15)
print("begun", flush=True)
for i in itertools.count():
    assert pool.echo(i) == i
    assert pool.all.echo("x") == ["x", "x"]
    assert pool.map.echo(list(range(1000)))[-1] == 999
    assert sum(pool.map.echo.stream(range(1000))) == 499500
    assert (pool.echo(array) == array).all()
    with pool.lease() as leased:
        leased.echo(1)
    try:
        pool.fail()
    except objpool.errors.CallFailed:
        pass
"""


def memory(pid):
    """Bytes that are the process's own, or shared with others as memory is; 0: it has gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(kib) for kib in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status)) << 10


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return "?"


class Watch:
    """Samples of all processes, taken while the work is done."""

    def __init__(self, pids, seconds):
        self.names = {pid: f"{name_of(pid)} {pid}" for pid in pids}
        self.samples = {pid: [] for pid in pids}
        self.seconds = seconds
        self.thread = threading.Thread(target=self.take)
        self.thread.start()

    def take(self):
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            for pid, samples in self.samples.items():
                samples.append(memory(pid))
            time.sleep(self.seconds / 400)

    def running(self):
        return self.thread.is_alive()

    def report(self):
        """Prints how each has done. True: all are flat."""
        flat = True
        for pid, samples in self.samples.items():
            quarter = len(samples) // 4
            before, after = max(samples[quarter:2 * quarter]), max(samples[-quarter:])
            grown = after > before * (1 + GROWTH_MAX[1]) + GROWTH_MAX[0]
            ended = samples[-1] == 0
            flat = flat and not grown and not ended
            what = "has ended" if ended else "has grown" if grown else "flat"
            print(f"{self.names[pid]:<28} {before / 1024:>10,.0f} KiB {after / 1024:>10,.0f} KiB  {what}", flush=True)
        return flat


def short_work(bench, path):
    """One round of clients that come, do something, and go."""
    for program, *arguments in (
            ("load", "rtt", path, "p.echo", 1024, 2000),
            ("load", "fds", path, "p.echo", 1 << 18, 50),
            ("load", "rtt", path, "p.echo", 1 << 18, 20),
            ("client", "copy", path, "p.echo", 1 << 18, 50),
            ("stream", "map", path, "p", 20000),
            ("stream", "feed", path, "p", 20000, "ordered"),
            ("turns", "contend", path, 0.2, 8, "p"),
            ("turns", "cycle", path, 500, "p.relay=r.echo"),
            ("waiters", "late", path, "queue", 1000, 5)):
        bench.load(program, *arguments)


def run(bench, seconds):
    """0: all were flat; 1: not."""
    (bench.place / "soak_class.py").write_text(CLASS)
    python = f'plugin = python\nclass = soak_class:Soak\npython_path = ["{bench.place}"]\nworkers = 2\n'
    pools = {"p": 2, "r": 1, "py": python, "queue": service.QUEUE}
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client/python")}
    with bench.daemon(pools) as path, \
            service.beside(bench, 1, bench.build / "bench/load", "pipe", path, "p.echo", 8, 64, 10 * seconds, ready=False), \
            service.beside(bench, 1, "/usr/bin/python3", "-c", CLIENT, f"unix:{path}", env=environment):
        supervisor = bench.current.pid
        pids = [supervisor, *figure.children(supervisor), *(p.pid for p in bench.processes if p is not bench.current)]
        watch = Watch(pids, seconds)
        rounds = 0
        while watch.running():
            short_work(bench, path)
            rounds += 1
        flat = watch.report()
    print(f"{rounds} rounds of short clients in {seconds:.0f} s: {'all flat' if flat else 'NOT FLAT'}", file=sys.stderr)
    return 0 if flat else 1
