# SPDX-License-Identifier: Apache-2.0
"""What run.py has measured, as the section "Python" of docs/BENCHMARKS.md; what is to be reached, and what the rows mean."""
import datetime
import os
import platform
import statistics
import subprocess

from contestants import CONTESTANTS

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
    ("broadcast", "compat-multiprocess", "multiprocessing", 10),
    ("broadcast", NATIVE, "multiprocessing", 10),
]
NOT_A_GOAL = {"life", "relife"}
# Threads hand over references, and parallelize has processes of one call only: what objpool's own client does is another thing.
NOT_LIKE_NATIVE = {"objectproxypool-threads", "parallelize"}


def text(bench, seconds):
    rows = bench.rows
    lines = [HEADING, "", *head(bench, seconds), ""]
    lines += summary(rows)
    for key, row in rows.items():
        lines += ["", f"### {row.title[0].upper()}{row.title[1:]}", ""]
        lines += memory_table(row) if key == "endless" else table(row)
    return "\n".join(lines) + "\n" + NOTES


def head(bench, seconds):
    others = bench.others()
    return [
        f"Written by `make bench-python` on {datetime.date.today()}: {os.cpu_count()} CPUs ({processor()}), {memory():.0f} GiB, Linux {os.uname().release}; "
        f"{version(bench)}; Python {platform.python_version()} for objpool and the standard library; the same with", f"{packages(bench)} for the peers. "
        f"Up to {bench.size.rounds} rounds; {seconds:.0f} s in all.", "",
        f"**While none of the contestants did anything, other programs kept {others:.0%} of this machine busy.** "
        + ("Absolute figures are therefore too slow, and single rounds may be far off; the ratios are of turns that follow each other in one round, and hold better."
           if others >= 0.05 else "So it was nearly at rest."),
        *(f"\n{CONTESTANTS[name].title} did not take part: {why}." for name, why in bench.absent.items()),
    ]


def processor():
    with open("/proc/cpuinfo") as info:
        return next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())


def memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30


def version(bench):
    return subprocess.run([bench.build / "objpoold", "--version"], capture_output=True, text=True).stdout.strip()


def packages(bench):
    wanted = ["objectproxypool", "py_stateful_map", "multiprocess", "dill", "pyparallelize", "joblib", "mpire", "ray", "numpy"]
    code = "import importlib.metadata as m\nfor n in %r:\n try: print(n, m.version(n))\n except m.PackageNotFoundError: pass" % wanted
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
    lines = [f"| | {row.unit}, median | best | its drop-in is so many times as fast | objpool's own client |", "|---|---:|---:|---:|---:|"]
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
        lines.append(f"| {title} | {shown(figure(statistics.median(seconds), row.unit))} | {shown(figure(min(seconds), row.unit))} | "
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

def summary(rows):
    lines = ["### What it must reach", "", "| | beside | to reach | reached | |", "|---|---|---:|---:|---|"]
    goals = [goal for goal in map(lambda g: goal_line(rows, *g), GOALS) if goal]
    slower = [line for key, row in rows.items() if key not in NOT_A_GOAL | {"endless"} for line in nowhere_slower(row)]
    return lines + sorted(goals + slower, key=lambda line: "**no**" not in line)


def goal_line(rows, key, ours, peer, least):
    found = ratio(rows[key], ours, peer) if key in rows else None
    return found and verdict(f"{rows[key].title}: {CONTESTANTS[ours].title}", CONTESTANTS[peer].title, least, found[0], found[0] >= least)


def nowhere_slower(row):
    """A line for each that is faster than ours, and one for all others together."""
    missed, least = [], None
    for peer, contestant in CONTESTANTS.items():
        for ours in filter(None, {contestant.drop_in: 1, contestant.drop_in and NATIVE: 1}):
            found = ratio(row, ours, peer)
            if not found or peer == "threads" or ours == NATIVE and peer in NOT_LIKE_NATIVE:
                continue
            if found[0] < TIE:
                missed.append(verdict(f"{row.title}: {CONTESTANTS[ours].title}", contestant.title, 1, found[0], False))
            elif least is None or found[0] < least[0]:
                least = found[0], ours, contestant.title
    if least:
        others = "all others" if missed else "all"
        missed.append(verdict(row.title, f"{others}; the nearest: {least[2]}", 1, least[0], True))
    return missed


def verdict(what, beside, least, reached, well):
    return f"| {what} | {beside} | ≥ {least} × | {reached:.3g} × | {'yes' if well else '**no**'} |"


def write(path, section):
    """In place of the section that is there; after all else."""
    before = path.read_text().partition(f"\n{HEADING}\n")[0].rstrip("\n")
    path.write_text(f"{before}\n\n{section}")


NOTES = """
### How to read it

* **× means times as fast**, in the same round, median of the rounds (least to most). More than 1: objpool is ahead. *Its drop-in* is what a program
  for that system runs on when its import line is changed ([COMPAT](COMPAT.md)); for joblib, mpire, Ray and ThreadPoolExecutor that is `objpool.compat.multiprocess.Pool`.
  A tie counts as reached from 0.97 on.
* **Who is slow does less of it**: in brackets how many items a turn had, so that it took two seconds, roughly. What a map costs once weighs more there.
* **Ray** works also when nobody asks it to: it is measured after all others, beside the two of objpool's that it is compared with.
* **objpool** is `objpool.create_pool`: an object in each worker, `pool.map.method(xs)`, `pool.map.method.stream(xs)` for imap, `pool.all.method(array)` for the broadcast.
* **py_stateful_map** can do one map, so each has a new pool, whose start isn't counted. Its unit is its default, chunks of 100.
  **parallelize** makes its processes for each call: their start is part of it.
* **The broadcast**: each worker reads something of every page, and the sum is checked; the array is another one each time. Threads, and parallelize's forked processes, have
  it without its being sent. joblib and Ray write it to shared memory once, the others pickle it for each worker.
* **Start**: each time in a new program that has imported the package's names and no more; until each worker has done something that takes a millisecond. So four items
  of a millisecond on each worker are in it (for objpool's own client, one).
* **Memory** is that of the program and all processes it has started, what they share counted once (PSS), while a result of 1 KiB is taken each millisecond. What grows with time
  grows without end. *Read ahead*: how many items of the input had been read and were not taken yet. joblib's generator reads ahead as far as its workers get;
  multiprocessing's Pool and multiprocess's do, too.

### Where objpool is behind, and why

* **One call** wakes the daemon twice, beside the worker and the client: four process switches, where multiprocessing has two and some of threads. On this machine at rest, and in turns of 400 calls,
  objpool's own client took 50 µs (21 of CPU in the client, 20 in the daemon, 10 in the worker), multiprocessing 68, the drop-in 95 (47, 27, 29): twice as fast as multiprocessing would be as fast as the
  C client. ThreadPoolExecutor has no process to wake at all.
* **Map by objpool's own client**: each item is a value and a call of its own to the daemon and to the worker (180 ns of CPU there; no such item costs another one its result), and goes through
  msgpack twice in between. The drop-in sends chunks that nobody opens on the way, as multiprocessing does.
* **Start**: multiprocessing forks the program, which is there. objpool starts a daemon (3 ms) and another Python, which imports what it needs (40 to 60 ms, a quarter of that `inspect`, another `cloudpickle`)
  before its workers are forked from it; workers are free of what the program has done, threads and locks above all. A second pool of the drop-in's gets the first one's workers.
* **The broadcast by the drop-in**: `Pool.map(f, [array] * 4, 1)` is four tasks with an array each, and each is filled into memory of its own; joblib and Ray see that it is the same one.
  py_stateful_map's stand-in pickles arrays into its messages. What parallelize's processes inherit must be sent here.
"""
