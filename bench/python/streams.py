# SPDX-License-Identifier: Apache-2.0
"""Streams by how long their items take: objpool's own client with its default options, with chunks by hand, and Pool.imap.

    PYTHONPATH=client/python OBJPOOL_BIN=build python3 bench/python/streams.py [--times 10,36] [--rounds 5] [--seconds 0.5]

An item is a number: so many turns of a loop that keeps the CPU busy. So a worker that waits for the CPU takes longer, as in any
program. In each round all contestants have their turn, each round in another order. A cell is items per second: the median of all
rounds, the best of the chunks by hand (`chunk=`, `chunksize=`) with its chunk, and the median of the rounds' ratios to these two.
"""
import argparse
import multiprocessing
import random
import statistics
import sys
import time

import objpool

CHUNKS = 1, 4, 16, 64, 256, 1024
NAMES = {"1": "1 µs", "10": "10 µs", "36": "36 µs", "100": "100 µs", "1000": "1 ms", "10000": "10 ms", "mixed": "mixed"}
LEAST = 64      # items of a turn


def burn(turns):
    for _ in range(turns):
        pass
    return turns


class Work:
    def burn(self, turns):
        return burn(turns)


def turns_per_microsecond():
    begin = time.process_time()
    burn(5_000_000)
    return 5 / (time.process_time() - begin)


def items(kind, seconds, pace):
    """As much work as two workers do in that time, roughly."""
    if kind != "mixed":
        return [int(float(kind) * pace)] * min(200_000, max(LEAST, int(2e6 * seconds / (float(kind) + 2))))
    choose, times, left = random.Random(1), [], 2e6 * seconds
    while left > 0:
        times.append(choose.choice((1, 10, 36, 36, 36, 100)) if choose.random() > 0.002 else 10_000)
        left -= times[-1]
    return [int(x * pace) for x in times]


class Bench:
    def __init__(self, options):
        self.options = options
        self.native = objpool.create_pool(Work, workers=2)
        self.pool = multiprocessing.Pool(2)
        self.pace = turns_per_microsecond()

    def contestants(self, ordered, size):
        """name -> a function of the input that returns the results."""
        method = self.native.map.burn
        imap = self.pool.imap if ordered else self.pool.imap_unordered
        found = {"default": lambda xs: method.stream(xs, ordered=ordered)}
        for chunk in self.options.chunks:
            if chunk == 1 or chunk * 4 <= size:
                found["chunk", chunk] = lambda xs, c=chunk: method.options(chunk=c).stream(xs, ordered=ordered)
                found["imap", chunk] = lambda xs, c=chunk: imap(burn, xs, chunksize=c)
        return found

    def turn(self, function, xs, source):
        begin = time.perf_counter()
        count = sum(1 for _ in function(xs if source == "list" else (x for x in xs)))
        seconds = time.perf_counter() - begin
        assert count == len(xs)
        return count / seconds

    def cell(self, kind, source, ordered):
        xs = items(kind, self.options.seconds, self.pace)
        rates = {}
        contestants = self.contestants(ordered, len(xs))
        for number in range(self.options.rounds):
            names = list(contestants)
            names = names[number % len(names):] + names[:number % len(names)]
            for name in names:
                rates.setdefault(name, []).append(self.turn(contestants[name], xs, source))
        return rates

    def row(self, kind, source, ordered):
        rates = self.cell(kind, source, ordered)
        text = f"| {NAMES.get(kind, kind + ' µs')} | {source} | {'ordered' if ordered else 'unordered'} | "
        text += f"{statistics.median(rates['default']):,.0f}"
        for group in "chunk", "imap":
            best = max((name for name in rates if name[0] == group), key=lambda name: statistics.median(rates[name]))
            ratios = [a / b for a, b in zip(rates["default"], rates[best])]
            text += f" | {statistics.median(rates[best]):,.0f} ({best[1]}) | {statistics.median(ratios):.2f}"
        return text + " |"

    def close(self):
        self.native.close()
        self.pool.terminate()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", default=",".join(NAMES), help="microseconds of an item, or mixed; with commas between")
    parser.add_argument("--sources", default="list,generator")
    parser.add_argument("--orders", default="ordered,unordered")
    parser.add_argument("--chunks", default=",".join(map(str, CHUNKS)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of work of two workers in a turn, roughly")
    options = parser.parse_args()
    options.chunks = [int(chunk) for chunk in options.chunks.split(",")]
    bench = Bench(options)
    print("| item | source | order | default, items/s | best chunk | × | Pool.imap, best chunk | × |")
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for kind in options.times.split(","):
        for source in options.sources.split(","):
            for order in options.orders.split(","):
                print(bench.row(kind, source, order == "ordered"), flush=True)
    bench.close()


if __name__ == "__main__":
    sys.exit(main())
