# SPDX-License-Identifier: Apache-2.0
"""What objpool is to reach, each as a limit for a row or for its ratio to a peer; and what the rows mean."""
import operator

# Row, peer (None: the figure itself), at most or at least, limit.
GOALS = [
    ("one small call, unpipelined, p50", "relay", "≤", 1.1),
    ("one small call, unpipelined, p50, all on one CPU", "relay", "≤", 1.1),
    ("one small call, unpipelined, p50", "gearmand", "≤", 0.5),
    ("one small call, unpipelined, p50", "NATS", "≤", 0.5),
    ("one small call, direct channel, p50", "socketpair", "≤", 1.2),
    ("one small call, direct channel, p50", "the ordinary way", "≤", 0.5),
    ("one small call, direct channel with rings, p50", "socketpair", "≤", 1.2),
    ("one small call, direct channel with rings, p50", "the ordinary way", "≤", 0.5),
    ("small calls, direct channel, 64 in flight", "the ordinary way", "≥", 1.5),
    ("small calls, direct channel with rings, 64 in flight", "the ordinary way", "≥", 1.5),
    ("small calls, 1 client, 64 in flight each", "redis PING -P 64", "≥", 1),
    ("small calls, 8 clients, 64 in flight each", "redis PING -P 64", "≥", 1),
    ("small calls, 8 clients, 64 in flight each", "NATS, 1,024 in flight", "≥", 5),
    ("the supervisor's user time for each of these calls, 8 clients", None, "≤", 200),
    ("1 KiB there and back, p50", "relay", "≤", 1.15),
    ("64 small calls at once: TLS / TCP", "redis' TLS / TCP", "≥", 1),
    ("one small call, p50: TLS / TCP", "redis' TLS / TCP", "≤", 1),
    ("1 MiB there and back, p50: TLS / TCP", "redis' TLS / TCP", "≤", 1),
    ("map of 1,000,000 small items", None, "≥", 5e6),
    ("map of 1,000,000 small items", "multiprocessing.Pool.map", "≥", 1),
    ("map of 1,000,000 small items", "its chunksize 1", "≥", 50),
    ("64 MiB there and back, p50", "relay", "≤", 1.2),
    ("64 MiB there and back, with descriptors, p50", "memcpy", "≤", 2),
    ("64 MiB to all of 4 workers, with a descriptor, p50", "four stream copies", "≤", 0.4),
    ("memory per idle connection (10,000 held)", None, "≤", 4096),
    ("p99 beside 10,000 connections", None, "≤", 5000),
    ("p50 beside 10,000 connections", "beside none", "≤", 1.25),
    ("p50 of a call, 64 pools", "one pool, few workers", "≤", 1.25),
    ("p50 of a call, 64 workers", "one pool, few workers", "≤", 1.25),
    ("a worker killed: its caller is told", "to reach", "≤", 1),
    ("a worker killed: its slot answers, first death", "to reach", "≤", 1),
]

NOTES = """
What costs the same for any number of pools, workers or connections is taken to be reached up to 1.25 ×.

## What the rows are

* **There and back in turn** is waking processes: the same call takes 30 µs when client, daemon and worker share a CPU
  (as they do when another process has the other one), and 90 µs when each is woken on a CPU of its own. Rows of such
  calls are medians of 21 short rounds.
* **All on one CPU**: the same rows once more, where every process of the row, its peer's too, may use one CPU only. No
  process waits there for another CPU to wake, so what a call costs in all shows.
* **Beside a busy process**: one that computes without a break, at normal priority. It has the CPU that a call's next
  process would be woken on, about half of the time.
* **Direct channel**: calls by libobjpool from a client to one instance's worker, past the daemon. The socketpair beside
  it goes to a process that does nothing but send back what it reads: two switches a call.
* **TLS / TCP**: what is left of the throughput over plain TCP with TLS, or how many times as long it takes; one client,
  TLS 1.3 with the same certificate and library as redis.
* **Streams** carry a notification per item, of 20 bytes and more, where a gathered map has the bare values: that,
  made and read, is what they cost beside the map. *Fed*: the client sends the items against credit, with the default
  window. The client looks at each result.
* **A lease** is answered when the worker is to be had; the *8 clients* hold theirs over two round trips each, so that
  at most 2 of the 8 get on at any time.
* **A call that calls another** takes four wake-ups more than one call: as many as a client that makes both. The
  instance waits meanwhile, so with 8 clients no more than two chains are under way.
* **To and fro** is four calls, of which two wait for the other client's: Redis does them in one process, objpool has
  one worker per queue.
* **Beside a map** both workers are busy without a break, and nothing that runs is interrupted. A call waits for what
  a worker has in hand: up to 1 ms of short items, or the one long item that runs. So p50 near 1 ms is by design; that
  it does not grow with the million that waits is the point. The relay beside it has two processes to share the CPUs
  with, and no queue.
"""


def check(figures, goal):
    work, peer, sign, limit = goal
    ours, peers = figures.get(work, (None, {}))
    value = ours if peer is None else ours and peers.get(peer) and ours / peers[peer]
    if value is None:
        return None
    return value, (operator.le if sign == "≤" else operator.ge)(value, limit)


def lines(figures):
    """The goals as a table, missed ones first."""
    rows = [(goal, check(figures, goal)) for goal in GOALS]
    rows.sort(key=lambda row: row[1] is not None and row[1][1])
    text = ["", "## What it must reach", "", "| | beside | to reach | reached | |", "|---|---|---:|---:|---|"]
    for (work, peer, sign, limit), result in rows:
        unit = " ×" if peer else ""
        reached = f"{result[0]:,.3g}{unit} | {'yes' if result[1] else '**no**'}" if result else "not measured |"
        text.append(f"| {work} | {peer or ''} | {sign} {limit:,.4g}{unit} | {reached} |")
    return text + NOTES.rstrip("\n").split("\n")
