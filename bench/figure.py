# SPDX-License-Identifier: Apache-2.0
"""Figures of measurements, and the CPU time behind them: what the processes spend, in user mode and in the kernel."""
import os
import pathlib

PERCENTILES = "p50", "p99", "p99.9"
NS_PER_TICK = 10**9 // os.sysconf("SC_CLK_TCK")


def percentiles(values, prefix=""):
    """Of the figures that a load prints."""
    return tuple(values[prefix + name] for name in PERCENTILES)


def children(pid):
    try:
        return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def spent(pid):
    """(all, user, system) of a process so far, in nanoseconds. `all` is exact, its parts are counted in ticks."""
    try:
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
        exact = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
        user, system = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0, 0, 0
    return exact, int(user) * NS_PER_TICK, int(system) * NS_PER_TICK


def of_rusage(usage):
    user, system = int(usage.ru_utime * 1e9), int(usage.ru_stime * 1e9)
    return user + system, user, system


def less(now, before):
    return tuple(a - b for a, b in zip(now, before))


class Cost:
    """Of `calls` calls, by who spent it."""

    def __init__(self):
        self.calls = 0
        self.by = {}

    def add(self, who, spent_now):
        self.by[who] = tuple(a + b for a, b in zip(self.by.get(who, (0, 0, 0)), spent_now))

    def per_call(self, who):
        """(user, system) nanoseconds."""
        exact, user, system = self.by.get(who, (0, 0, 0))
        share = user / (user + system) if user + system else 0
        return exact * share / self.calls, exact * (1 - share) / self.calls

    def __str__(self):
        """Without those who spent next to nothing."""
        if not self.calls:
            return ""
        least = sum(exact for exact, _, _ in self.by.values()) / 50
        return ", ".join("{} {:,.0f} + {:,.0f}".format(who, *self.per_call(who))
                         for who, (exact, _, _) in self.by.items() if exact > least)


class Figure(float):
    """A figure that knows what the calls behind it cost, also when it is given in another unit."""

    def __new__(cls, value, cost):
        figure = super().__new__(cls, value)
        figure.cost = cost
        return figure

    def __truediv__(self, divisor):
        return Figure(float(self) / divisor, self.cost)

    def __rtruediv__(self, dividend):
        return Figure(dividend / float(self), self.cost)
