# SPDX-License-Identifier: Apache-2.0
"""What run.py has measured, as the section "Python" of docs/BENCHMARKS.md; what is to be reached, and what the rows mean."""
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import textwrap

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import sections  # noqa: E402  beside bench/run.py
import beside  # noqa: E402
from contestants import CONTESTANTS  # noqa: E402

HEADING = "## Python"
SCALE = {"items/s": None, "µs": 1e6, "ms": 1e3}
NATIVE = "native"
TIE = 0.97      # of rounds that differ by more than this themselves

# Row, who of ours, peer, at least so many times as fast.
GOALS = [
    ("imap", "compat-multiprocess", "multiprocessing", 5),
    ("imap", NATIVE, "multiprocessing", 5),
    ("p50", "compat-multiprocess", "multiprocessing", 2),
    ("p50", NATIVE, "multiprocessing", 2),
    ("p50", "native-direct", "multiprocessing", 6),
    ("broadcast", "compat-multiprocess", "multiprocessing", 10),
    ("broadcast", NATIVE, "multiprocessing", 10),
]
# What locks.py and managers.py measure beside multiprocessing's, and the rows of managers.py that have to be faster than it.
BESIDE = {"locks": "Locks and queues of objpool.compat.multiprocess", "managers": "Managers of objpool.compat.multiprocess"}
BESIDE_GOALS = {"Queue: put + get": 5, "Queue: put + get, 8 clients": 5, "list: append": 3, "dict: get": 2, "Lock: acquire + release": 2}
NOT_A_GOAL = {"life", "relife"}
# Threads hand over references, and parallelize has processes of one call only: what objpool's own client does is another thing.
NOT_LIKE_NATIVE = {"objectproxypool-threads", "parallelize"}


def text(bench, seconds):
    rows = bench.rows
    lines = [HEADING, "", *head(bench, seconds), ""]
    lines += summary(rows, bench.besides)
    for key, row in rows.items():
        lines += ["", f"### {row.title[0].upper()}{row.title[1:]}", ""]
        lines += memory_table(row) if key == "endless" else table(row)
    for name, measured in bench.besides.items():
        lines += ["", f"### {BESIDE[name]}", "", *beside.HEAD, *(beside.line(*result) for result in measured)]
    return "\n".join(lines) + "\n" + NOTES


def head(bench, seconds):
    others = bench.others()
    return [
        *filled(f"Written by `make bench-python` on {datetime.date.today()}: {os.cpu_count()} CPUs ({processor()}), "
                f"{memory():.0f} GiB, Linux {os.uname().release}; {version(bench)}; Python {platform.python_version()} for "
                f"objpool and the standard library; the same with {packages(bench)} for the peers. Up to {bench.size.rounds} rounds; "
                f"{seconds:.0f} s in all."), "",
        *filled(f"**While none of the contestants did anything, other programs kept {others:.0%} of this machine busy.** "
                + ("Absolute figures are therefore too slow. Ratios are uncertain too, those of single calls and p99 above all. "
                   "Don't rely on a verdict near its limit, nor on one on which the rounds differ."
                   if others >= 0.05 else "So it was nearly at rest.")),
        *(f"\n{CONTESTANTS[name].title} did not take part: {why}." for name, why in bench.absent.items()),
    ]


def filled(paragraph):
    return textwrap.wrap(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def processor():
    with open("/proc/cpuinfo") as info:
        return next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())


def memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30


def version(bench):
    return subprocess.run([bench.build / "objpoold", "--version"], capture_output=True, text=True).stdout.strip()


def packages(bench):
    wanted = ["objectproxypool", "py_stateful_map", "multiprocess", "dill", "pyparallelize", "joblib", "mpire", "ray", "numpy"]
    code = f"""
import importlib.metadata as m
for n in {wanted!r}:
    try: print(n, m.version(n))
    except m.PackageNotFoundError: pass
"""
    done = subprocess.run([bench.venv / "bin" / "python", "-c", code], capture_output=True, text=True)
    return ", ".join(done.stdout.splitlines())


# Tables

def figure(seconds, unit):
    return 1 / seconds if SCALE[unit] is None else seconds * SCALE[unit]


def shown(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(row, ours, peer):
    """Median, least and most of the rounds' ratios; None: not measured together."""
    values = row.times_as_fast(ours, peer) if ours else []
    return (statistics.median(values), min(values), max(values)) if values else None


def ratio_text(row, ours, peer):
    found = ratio(row, ours, peer)
    return f"**{found[0]:.3g} ×** ({found[1]:.3g} to {found[2]:.3g})" if found else ""


def table(row):
    lines = [f"| | {row.unit}, median | best | its drop-in is so many times as fast | objpool's own client |",
             "|---|---:|---:|---:|---:|"]
    names = [name for name in CONTESTANTS if row.seconds(name) or name in row.failures]
    most = max(row.counts.values(), default=0)
    for name in names:
        title, drop_in = CONTESTANTS[name].title, CONTESTANTS[name].drop_in
        seconds = row.seconds(name)
        if not seconds:
            lines.append(f"| {title} | {row.failures[name]} | | | |")
            continue
        if row.counts.get(name, most) < most:
            title += f" ({row.counts[name]:,} of them)"
        lines.append(f"| {title} | {shown(figure(statistics.median(seconds), row.unit))}"
                     f" | {shown(figure(min(seconds), row.unit))} | "
                     f"{ratio_text(row, drop_in, name)} | {ratio_text(row, NATIVE, name) if drop_in else ''} |")
    return lines


def memory_table(row):
    lines = ["| | MiB after a quarter of the time | at its end | items taken | items read ahead |", "|---|---:|---:|---:|---:|"]
    for name, (first, last, taken, read) in row.counts.items():
        lines.append(f"| {CONTESTANTS[name].title} | {first:.1f} | {last:.1f} | {taken:,} | {read - taken:,} |")
    for name, why in row.failures.items():
        lines.append(f"| {CONTESTANTS[name].title} | {why} | | | |")
    return lines


# What is to be reached

def summary(rows, besides):
    lines = ["### What it must reach", "", "| | beside | to reach | reached | |", "|---|---|---:|---:|---|"]
    goals = [goal for goal in map(lambda g: goal_line(rows, *g), GOALS) if goal]
    slower = [line for key, row in rows.items() if key not in NOT_A_GOAL | {"endless"} for line in nowhere_slower(row)]
    return lines + sorted(goals + slower + beside_goals(besides), key=lambda line: "**no**" not in line)


def beside_goals(besides):
    """A line for each goal of managers, and for each row that is slower."""
    lines = []
    for name, measured in besides.items():
        for what, theirs, ours in measured:
            least = BESIDE_GOALS.get(what, 1) if name == "managers" else 1
            times = theirs / ours
            reached = times >= (TIE if least == 1 else least)
            if least > 1 or not reached:
                lines.append(f"| {BESIDE[name]}: {what} | multiprocessing | ≥ {least} × | {times:.3g} × | "
                             f"{'yes' if reached else '**no**'} |")
    return lines


def goal_line(rows, key, ours, peer, least):
    found = ratio(rows[key], ours, peer) if key in rows else None
    return found and verdict(f"{rows[key].title}: {CONTESTANTS[ours].title}", CONTESTANTS[peer].title, least, found)


def nowhere_slower(row):
    """A line for each that is faster than ours, and one for all others together."""
    missed, least = [], None
    for peer, contestant in CONTESTANTS.items():
        for ours in filter(None, {contestant.drop_in: 1, contestant.drop_in and NATIVE: 1}):
            found = ratio(row, ours, peer)
            if not found or peer == "threads" or ours == NATIVE and peer in NOT_LIKE_NATIVE:
                continue
            if found[0] < TIE:
                missed.append(verdict(f"{row.title}: {CONTESTANTS[ours].title}", contestant.title, 1, found))
            elif least is None or found[0] < least[0][0]:
                least = found, ours, contestant.title
    if least:
        others = "all others" if missed else "all"
        missed.append(verdict(row.title, f"{others}; the nearest: {least[2]}", 1, least[0]))
    return missed


def verdict(what, beside, least, found):
    """Of the median; and whether all rounds say so."""
    median, worst, best = found
    reached = median >= (TIE if least == 1 else least)
    agreed = worst >= least if reached else best < least
    return (f"| {what} | {beside} | ≥ {least} × | {median:.3g} × ({worst:.3g} to {best:.3g}) | {'yes' if reached else '**no**'}"
            f"{'' if agreed else ', not in all rounds'} |")


def write(path, section):
    """In place of the section that is there."""
    sections.put(path, section)


NOTES = """
### How to read it

* **× means times as fast**, in the same round: the median of the rounds (least to most). More than 1: objpool is ahead.
  A tie counts as reached from 0.97 on.
* **Its drop-in** is what a program for that system runs on when its import line is changed ([COMPAT](COMPAT.md)). For
  joblib, mpire, Ray and ThreadPoolExecutor that is `objpool.compat.multiprocess.Pool`.
* **A slow contestant does fewer items**, so that its turn takes two seconds, roughly. In brackets is how many items its
  turn had. What a map costs once weighs more there.
* **Ray** also works when nobody asks it to. So it is measured after all others, beside the two of objpool's that it is
  compared with.
* **objpool** is `objpool.create_pool`: an object in each worker, `pool.map.method(xs)`, `pool.map.method.stream(xs)`
  for imap, `pool.all.method(array)` for the broadcast.
* **py_stateful_map** can do one map, so each map has a new pool, whose start isn't counted. Its unit is its default,
  chunks of 100.
* **parallelize** makes its processes for each call: their start is part of it.
* **The broadcast**: each worker reads something of every page, and the sum is checked. The array is another one each
  time. Threads, and parallelize's forked processes, have it without its being sent. For Ray it is put into the store
  once a turn. joblib maps large arrays from a file, as is its default.
* **Start**: each time in a new program that has imported the package's names and no more, until each worker has done
  something that takes a millisecond. So four items of a millisecond on each worker are in it (for objpool's own client,
  one).
* **Locks, queues and managers** are measured in turns, by `bench/python/locks.py` and `managers.py`: the best of the
  rounds, of managers the median of each. A manager's server of objpool's is one thread, that of multiprocessing has one
  for each client.
* **Memory** is that of the program and all processes it has started, while a result of 1 KiB is taken each millisecond.
  What they share is counted once (PSS). What grows with time may grow without end: few seconds don't tell. *Read
  ahead*: how many items of the input had been read and were not taken yet.

### Where objpool is behind, and what is known of it

Measured apart on 2026-11-21 (the map: 2026-11-29) on the same machine, nearly at rest.

* **Map by objpool's own client**: each item is a call, whose argument and result pass one by one through the interface
  that plugins of all languages have. The drop-in sends pickles of 4,096 items, and its workers run them as
  multiprocessing's do. CPU time for each of 1,000,000 items, by /proc/PID/task/*/schedstat, medians of five maps in
  each of two programs: the client 46 and 48 ns, the daemon 10 and 12, the two workers 91 and 107 together; with
  multiprocessing the program 87 and 82, its workers 106 and 116. So it takes three quarters to five sixths of the CPU
  time, and those maps took 90 and 98 ms beside 117 and 111. In `perf record` no function has a tenth of it: the first
  is Python's interpreter with 8%.
* **Start**: objpool's workers are forks of a fork of the program, which takes one fork more than multiprocessing does.
  They also need messages between that fork and a daemon, which takes 2.9 ms to start (median of 15). A program that
  makes a pool for each call, as parallelize does, pays for that each time. In `perf record` of pools that are made and
  ended, half of the functions at the top are the kernel's, copying pages.
* **An array for parallelize**: as there, its processes have it by birth. What differs is their start.
* **ThreadPoolExecutor** calls a function of the same process: no other process has to be woken.
* **Single calls**: the client's thread stays awake for up to 0.2 ms when answers come that fast, which costs CPU time:
  69 to 95 µs a call when one program calls, 38 to 45 when four do. With all processes on one CPU it doesn't stay awake,
  and a call takes as long as multiprocessing's.
* **Memory**: a longer run, 29,000 results in 32 s, in an earlier version: own client 25.7 to 27.9 MiB, drop-in 33.9 to
  37.0, most of it early. Results don't pile up (they would be 28 MiB). That it stays flat for ever isn't shown.
"""
