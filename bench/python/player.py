# SPDX-License-Identifier: Apache-2.0
"""One contestant in a process of its own: does what bench/python/run.py writes to its standard input, a line of JSON each,
and answers with a line. What the contestant prints goes nowhere.
"""
import itertools
import json
import os
import sys
import time

from contestants import CONTESTANTS

WARM_UP = 200
CLOCK = time.perf_counter


class Player:
    def __init__(self, name):
        self.contestant = CONTESTANTS[name]()
        self.workers = 0

    def open(self, workers):
        self.contestant.open(workers)
        self.workers = workers
        return True

    def end(self):
        if self.workers:
            self.contestant.close()

    def fresh(self, name):
        """A pool that does one map is made before it, and gone after it."""
        if self.contestant.one_use:
            self.contestant.close()
            self.contestant.open(self.workers, name)

    def map(self, n):
        xs = list(range(n))
        self.fresh("increment")
        begin = CLOCK()
        results = self.contestant.map(xs)
        seconds = CLOCK() - begin
        check(len(results) == n and results[0] == 1 and results[n - 1] == n)
        return seconds

    def imap(self, n):
        self.fresh("increment")
        begin = CLOCK()
        count, result = 0, None
        for result in self.contestant.imap(range(n), "increment"):
            count += 1
        seconds = CLOCK() - begin
        check(count == n and getattr(result, "ret_val", result) == n)
        return seconds

    def latency(self, n):
        call = self.contestant.call
        for x in range(WARM_UP):
            check(call(x) == x + 1)
        times = []
        for x in range(n):
            begin = CLOCK()
            call(x)
            times.append(CLOCK() - begin)
        times.sort()
        return times[n // 2], times[n * 99 // 100]

    def broadcast(self, mebibytes, seed):
        import numpy
        array = numpy.full(mebibytes << 17, float(seed))
        self.fresh("touch")
        begin = CLOCK()
        results = self.contestant.broadcast(array)
        seconds = CLOCK() - begin
        check(len(results) >= self.workers and set(results) == {float(seed) * (mebibytes << 8)})
        return seconds

    def start(self, workers):
        """The seconds of a pool's whole life, with something small done by each worker; of the first one, and of another."""
        times = []
        for _ in range(2):
            begin = CLOCK()
            if self.contestant.one_use:
                self.contestant.open(workers, "begin")
            else:
                self.contestant.open(workers)
            self.contestant.begin()
            times.append(CLOCK() - begin)
            self.contestant.close()
            times.append(CLOCK() - begin)
        return times

    def endless(self, seconds):
        """Takes from a map of an endless input, slowly: (MiB at first, MiB at the end, items taken, items read by then)."""
        self.fresh("kilobyte")
        read = itertools.count()
        results = self.contestant.imap(map(lambda _: next(read), itertools.repeat(None)), "kilobyte")
        begin = CLOCK()
        taken = take_slowly(results, begin + seconds / 4)
        first = memory()
        taken += take_slowly(results, begin + seconds)
        return first, memory(), taken, next(read)


def check(right):
    if not right:
        raise AssertionError("wrong results")


def take_slowly(results, until):
    taken = 0
    while CLOCK() < until:
        next(results)
        taken += 1
        time.sleep(0.001)
    return taken


def memory():
    """MiB of this process and all that it has started; what they share is counted once."""
    mark = b"OBJPOOL_BENCH=" + os.environb[b"OBJPOOL_BENCH"]
    parents, ours = {}, {os.getpid()}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/environ", "rb") as environ:
                parents[int(pid)] = int(stat.read().rpartition(")")[2].split()[1])
                if mark in environ.read().split(b"\0"):
                    ours.add(int(pid))
        except OSError:
            continue
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours |= more
        grown = bool(more)
    return sum(map(proportional, ours)) / 1024


def proportional(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def main():
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    commands = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    player = Player(sys.argv[1])
    for line in iter(commands.readline, ""):
        what, *arguments = json.loads(line)
        try:
            answer = {"result": getattr(player, what)(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
    player.end()


if __name__ == "__main__":
    main()
