# SPDX-License-Identifier: Apache-2.0
"""Rows of objpool.compat.multiprocess beside the standard library's: what locks.py and managers.py have in common."""
import json
import sys

HEAD = ["| µs | multiprocessing | objpool | times |", "|---|---:|---:|---:|"]


def measured(rows, both, rounds):
    """(row, µs of the one, µs of the other): in each round one after the other, the best of the rounds. both: what rows measure."""
    for name, measure in rows.items():
        yield name, *(1e6 * min(times) for times in zip(*([measure(one) for one in both] for _ in range(rounds))))


def line(name, theirs, ours):
    return f"| {name} | {theirs:.3g} | {ours:.3g} | {theirs / ours:.2g} |"


def show(results, rounds="5", form="table"):
    """form: "json" for a line of JSON for each row. The rest are the words of a command line."""
    if form == "table":
        print(*HEAD, sep="\n")
    for result in results(int(rounds)):
        print(line(*result) if form == "table" else json.dumps(result), flush=True)


def main(results):
    show(results, *sys.argv[1:])
