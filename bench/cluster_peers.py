#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A map over three workers of Dask's or of Ray's, for bench/cluster.py: items/s, from the first task to the last result.

cluster_peers.py dask|ray ITEMS CHUNK   CHUNK 1: each item is a task of its own; else the caller has made chunks of so many
"""
import sys
import time

WORKERS = 3


def echo(x):
    return x


def echo_all(chunk):
    return [echo(x) for x in chunk]


def chunks(n, size):
    return [list(range(at, min(at + size, n))) for at in range(0, n, size)]


def check(results, n, chunk):
    values = results if chunk == 1 else [x for part in results for x in part]
    assert values == list(range(n))


def in_dask(n, chunk):
    from dask.distributed import Client, LocalCluster
    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.gather(client.map(echo, range(100), pure=False))
        parts = chunks(n, chunk)
        begin = time.perf_counter()
        if chunk == 1:
            results = client.gather(client.map(echo, range(n), pure=False))
        else:
            results = client.gather(client.map(echo_all, parts, pure=False))
        seconds = time.perf_counter() - begin
        check(results, n, chunk)
    return seconds


def in_ray(n, chunk):
    import ray
    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, object_store_memory=256 << 20)

    @ray.remote
    class Actor:
        def echo(self, x):
            return echo(x)

        def echo_all(self, chunk):
            return echo_all(chunk)

    actors = [Actor.remote() for _ in range(WORKERS)]
    ray.get([actor.echo.remote(0) for actor in actors for _ in range(30)])
    parts = chunks(n, chunk)
    begin = time.perf_counter()
    if chunk == 1:
        results = ray.get([actors[i % WORKERS].echo.remote(i) for i in range(n)])
    else:
        results = ray.get([actors[i % WORKERS].echo_all.remote(part) for i, part in enumerate(parts)])
    seconds = time.perf_counter() - begin
    check(results, n, chunk)
    ray.shutdown()
    return seconds


if __name__ == "__main__":
    count, size = int(sys.argv[2]), int(sys.argv[3])
    took = {"dask": in_dask, "ray": in_ray}[sys.argv[1]](count, size)
    print(f"R\titems\t{count / took:.6g}\t1/s")
    print(f"R\ttotal\t{count}\tcalls")
