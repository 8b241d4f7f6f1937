# SPDX-License-Identifier: Apache-2.0
"""Measures objpool for Python beside other pools of Python, in one run: `make bench-python`.

Each contestant (contestants.py) is a process of its own (player.py), which waits while others are measured. In each round all
have their turn, each round in another order. A ratio is that of two turns of one round; the report has the median of all rounds.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time

import report
from contestants import CONTESTANTS

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
LIMIT = 30      # seconds that a turn may take
BESIDE_LIMIT = 600      # that locks.py, or managers.py, may take
OURS = [name for name, contestant in CONTESTANTS.items() if contestant.title.startswith("objpool")]

# rounds; seconds of all rounds of a row, after which no more begin; seconds of a turn, roughly; the most items of a map and of an
# imap; calls; MiB; seconds of the endless input; whether contestants that keep working are started over and over
Size = collections.namedtuple("Size", "rounds row seconds map imap calls mebibytes endless restart_noisy")
FULL = Size(5, 60, 2, 1_000_000, 100_000, 2000, 64, 4, True)
QUICK = Size(1, 5, 0.1, 100_000, 5_000, 200, 16, 0.5, False)


class Failed(Exception):
    """A contestant could not do it; why."""


class Player:
    """A contestant's process."""

    def __init__(self, name, bench):
        self.name = name
        self._place = tempfile.TemporaryDirectory(prefix="objpool-bench-", ignore_cleanup_errors=True)
        environ = {**os.environ, "OBJPOOL_BENCH": self._place.name, "OBJPOOL_BIN": str(bench.build),
                   "PYTHONPATH": f"{CHECKOUT}/client/python", "RAY_USAGE_STATS_ENABLED": "0"}
        environ.pop("OBJPOOL_ADDRESS", None)
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled, as those of installed packages are
        self._log = open(f"{self._place.name}/log", "wb+")
        self._process = subprocess.Popen(
            [bench.python(name), str(HERE / "player.py"), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, env=environ, start_new_session=True)

    def ask(self, what, *arguments, limit=LIMIT):
        """What the player says; Failed, when it can't, or takes too long: then it is gone."""
        if self._process.poll() is not None:
            raise Failed("has gone" + self._last_words())
        self._process.stdin.write(json.dumps([what, *arguments]).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], limit)[0]:
            self.kill()
            raise Failed(f"not done after {limit} s")
        line = self._process.stdout.readline()
        if not line:
            raise Failed("died" + self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["result"]

    def _last_words(self):
        if self._log.closed:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def end(self):
        """As the contestant likes it; not for ever."""
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            self._process.stdin.close()
            self._process.wait(15)
        self.kill()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        self._place.cleanup()


class Row:
    """What was measured of one kind of work: of each set of contestants that took turns, the seconds of each in each round."""

    def __init__(self, title, unit):
        self.title, self.unit = title, unit
        self.sets = []
        self.failures = {}
        self.counts = {}

    def seconds(self, name):
        return [value for times in self.sets for value in times.get(name, ())]

    def times_as_fast(self, ours, peer):
        """Of each round that both were in: how many times as fast is ours?"""
        return [b / a for times in self.sets for a, b in zip(times.get(ours, ()), times.get(peer, ()))]


class Bench:
    def __init__(self, options):
        self.build, self.venv = options.build.resolve(), options.venv.resolve()
        self.size = QUICK if options.quick else FULL
        self.only = options.only.split(",") if options.only else list(CONTESTANTS)
        self.rows = {}
        self.absent = {}
        self.besides = {}       # script -> its rows: (what, µs of multiprocessing, µs of objpool)
        self.players = {}
        self._busy = self._all = 0

    def python(self, name):
        return "/usr/bin/python3" if CONTESTANTS[name].python == "system" else str(self.venv / "bin" / "python")

    def row(self, key, title, unit):
        return self.rows.setdefault(key, Row(title, unit))

    # Players

    def names(self, noisy):
        """Who is measured together: all that keep still, or the others beside those of ours that are like them."""
        if not noisy:
            return [name for name in self.only if not CONTESTANTS[name].noisy and name not in self.absent]
        loud = [name for name in self.only if CONTESTANTS[name].noisy and name not in self.absent]
        return loud and [name for name in ("native", "compat-multiprocess") if name in self.only] + loud

    @contextlib.contextmanager
    def playing(self, names, workers):
        self.players = {}
        try:
            for name in names:
                self._admit(name, workers)
            yield
        finally:
            for player in self.players.values():
                player.end()
            self.players = {}

    def _admit(self, name, workers):
        player = Player(name, self)
        try:
            player.ask("open", workers)
        except Failed as failure:
            self.absent[name] = str(failure)
            player.kill()
            say(f"  {CONTESTANTS[name].title} does not take part: {failure}")
        else:
            self.players[name] = player

    def able(self, method, but=()):
        return [name for name in self.players if hasattr(CONTESTANTS[name], method) and name not in but]

    # Turns

    def rounds(self, row, names, turn):
        """In each round each has its turn: turn(name, round) is its seconds, or several times."""
        times = {name: [] for name in names}
        row.sets.append(times)
        began = time.monotonic()
        for number in range(self.size.rounds):
            if number and time.monotonic() - began > self.size.row:
                break
            self._look_at_others()
            for name in turned(list(times), number):
                try:
                    times[name].append(turn(name, number))
                except Failed as failure:
                    self._out(row, name, failure)
                    del times[name]

    def _out(self, row, name, failure):
        row.failures[name] = str(failure)
        say(f"  {CONTESTANTS[name].title}: {failure}")

    def _look_at_others(self):
        """How busy is the machine while we do nothing?"""
        if any(CONTESTANTS[name].noisy for name in self.players):
            return
        before = cpu_times()
        time.sleep(0.05)
        after = cpu_times()
        self._busy += after[0] - before[0]
        self._all += after[1] - before[1]

    def others(self):
        return self._busy / self._all if self._all else 0

    def items(self, row, what, names, most):
        """How many each does in a turn: all, or as many as it can in its time."""
        counts = {}
        for name in names:
            n = most // 50
            try:
                for _ in range(2):
                    seconds = self.players[name].ask(what, n)
                    n = int(max(n, min(most, n * self.size.seconds / seconds)))
            except Failed as failure:
                self._out(row, name, failure)
            else:
                counts[name] = n
        row.counts.update(counts)
        return counts

    # What is measured

    def many(self, what, title, most, but=()):
        say(title)
        row = self.row(what, title, "items/s")
        counts = self.items(row, what, self.able(what, but), most)
        self.rounds(row, counts, lambda name, _: self.players[name].ask(what, counts[name]) / counts[name])

    def latency(self):
        say("latency")
        n = self.size.calls
        p50, p99 = self.row("p50", "one call and its answer, p50", "µs"), self.row("p99", "one call and its answer, p99", "µs")
        both = Row("", "")
        self.rounds(both, self.able("call"), lambda name, _: self.players[name].ask("latency", n))
        for place, row in enumerate((p50, p99)):
            row.failures.update(both.failures)
            row.sets += [{name: [pair[place] for pair in pairs] for name, pairs in times.items()} for times in both.sets]

    def broadcast(self):
        mebibytes = self.size.mebibytes
        row = self.row("broadcast", f"an array of {mebibytes} MiB to each of 4 workers", "ms")
        say(row.title)
        for name in self.able("broadcast"):
            with contextlib.suppress(Failed):
                self.players[name].ask("broadcast", mebibytes, 99)
        self.rounds(row, self.able("broadcast"), lambda name, number: self.players[name].ask("broadcast", mebibytes, number + 1))

    def start(self, noisy):
        rows = [self.row(key, title, "ms") for key, title in (
            ("start", "the program's first pool of 4: until each worker has done something"),
            ("life", "the same, until it is closed"),
            ("restart", "another pool of 4: until each worker has done something"),
            ("relife", "the same, until it is closed"))]
        say("start")
        names = [name for name in self.names(noisy) if hasattr(CONTESTANTS[name], "begin")]
        all_of_it = Row("", "")
        self.rounds(all_of_it, names, lambda name, _: self._start_alone(name))
        for place, row in enumerate(rows):
            row.failures.update(all_of_it.failures)
            row.sets.append({name: [values[place] for values in rounds] for name, rounds in all_of_it.sets[0].items()})

    def _start_alone(self, name):
        """In a program of its own: the seconds of its first pool, until that is closed, and of another."""
        player = Player(name, self)
        try:
            begun, closed, again, closed_again = player.ask("start", 4)
            return begun, closed, again, closed_again
        finally:
            player.end()

    def endless(self, noisy):
        row = self.row("endless", "memory of an imap over an endless input", "MiB")
        say(row.title)
        for name in self.names(noisy):
            if hasattr(CONTESTANTS[name], "imap") and (name not in row.counts):
                try:
                    row.counts[name] = self._endless_alone(name)
                except Failed as failure:
                    self._out(row, name, failure)

    def _endless_alone(self, name):
        player = Player(name, self)
        try:
            player.ask("open", 2)
            return player.ask("endless", self.size.endless, limit=self.size.endless + 8)
        finally:
            player.kill()

    def beside(self):
        """Locks, queues and managers beside the standard library's, each by a script of its own."""
        for name in report.BESIDE:
            say(name)
            environ = {**os.environ, "OBJPOOL_BIN": str(self.build)}
            environ.pop("OBJPOOL_ADDRESS", None)
            done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), str(self.size.rounds), "json"], env=environ,
                                  capture_output=True, text=True, timeout=BESIDE_LIMIT)
            self.besides[name] = [json.loads(row) for row in done.stdout.splitlines()]
            if done.returncode:
                say(f"{name}.py failed: {done.stderr.strip()}")

    def run(self):
        for noisy in False, True:
            names = self.names(noisy)
            if not names:
                continue
            with self.playing(names, 2):
                self.many("map", f"map of {self.size.map:,} small calls, 2 workers", self.size.map)
                self.many("imap", f"imap of {self.size.imap:,} small calls, chunks of one, 2 workers", self.size.imap,
                          but=("py_stateful_map", "compat-py_stateful_map"))
                self.latency()
            with self.playing(self.names(noisy), 4):
                self.broadcast()
            if not noisy or self.size.restart_noisy:
                self.start(noisy)
                self.endless(noisy)


def turned(names, number):
    """Another order for each round."""
    names = names if number % 2 == 0 else names[::-1]
    shift = number * len(names) // 3 % max(1, len(names))
    return names[shift:] + names[:shift]


def cpu_times():
    """(busy, all) jiffies of the machine."""
    with open("/proc/stat") as stat:
        values = [int(word) for word in stat.readline().split()[1:9]]
    return sum(values) - values[3] - values[4], sum(values)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=CHECKOUT / "build")
    parser.add_argument("--venv", type=pathlib.Path, required=True, help="where the packages of requirements.txt are")
    parser.add_argument("--quick", action="store_true", help="in less than a minute; only shows that all works")
    parser.add_argument("--only", help="contestants, with commas between")
    parser.add_argument("--markdown", type=pathlib.Path, help="a file whose section \"Python\" is written anew")
    options = parser.parse_args()
    bench = Bench(options)
    began = time.monotonic()
    bench.run()
    if not options.only:
        bench.beside()
    text = report.text(bench, time.monotonic() - began)
    print(text)
    if options.markdown:
        report.write(options.markdown, text)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
