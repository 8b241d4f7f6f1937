#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long calls of any host take where all hosts call at once: real daemons and gateways, for docs/SCALE.md.

spread.py BUILD   five hosts of four instances; calls come at random times, sleep 20 ms on average, and load the instances by 75 %
"""
import os
import pathlib
import random
import select
import statistics
import sys
import tempfile
import threading
import time

import msgpack

import cluster

HOSTS, INSTANCES, SLEEP, USE, SECONDS = 5, 4, 0.02, 0.75, 8
RATE = USE * INSTANCES / SLEEP      # calls per second of each host's client


def call_until(until, host, seed, times):
    """Begins calls at their times, whatever waits, and notes how long each takes."""
    rng, begun, due, last = random.Random(seed), {}, time.monotonic(), 0
    with cluster.Client(host) as client:
        while (now := time.monotonic()) < until:
            while due <= now:
                last += 1
                begun[last] = due
                client.socket.sendall(msgpack.packb([0, last, "p@*.sleep", [rng.expovariate(1 / SLEEP)]]))
                due += rng.expovariate(RATE)
            if select.select([client.socket], [], [], max(due - now, 0))[0]:
                client.unpacker.feed(client.socket.recv(1 << 16))
                for _, msgid, error, _ in client.unpacker:
                    assert error is None, error
                    times.append((time.monotonic() - begun.pop(msgid)) * 1e3)


def main():
    with tempfile.TemporaryDirectory(prefix="objpool-spread-") as place:
        bench = cluster.Bench(pathlib.Path(sys.argv[1]).resolve(), True, place, pathlib.Path(os.devnull))
        try:
            with bench.hosts(HOSTS, INSTANCES) as hosts:
                until, times = time.monotonic() + SECONDS, [[] for _ in hosts]
                threads = [threading.Thread(target=call_until, args=(until, host, i, times[i])) for i, host in enumerate(hosts)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            bench.stop_all()
    settled = sorted(took for of_host in times for took in of_host[len(of_host) // 4:])
    print(f"{len(settled)} calls: mean {statistics.fmean(settled):.1f} ms, p50 {settled[len(settled) // 2]:.1f}, "
          f"p99 {settled[len(settled) * 99 // 100]:.1f}")


if __name__ == "__main__":
    main()
