# SPDX-License-Identifier: Apache-2.0
"""This package and pools of other machines: targets, labels, errors, and multiprocess.Pool(hosts="*")."""
import asyncio
import concurrent.futures
import json
import os
import pathlib
import pickle
import subprocess
import sys

import objpool
import objpool.aio
import pytest
from cluster import POOL, cluster, needs_cluster  # noqa: F401
from harness import BUILD, wait_for

from objpool import errors
from objpool.compat import multiprocess
from objpool.compat.multiprocess.pool import PoolTerminated

pytestmark = needs_cluster

FAR = """
import os, time
def square(x): return x * x
def add(a, b=0): return a + b
def pair(x): return (x, {x})
def invert(x): return 1 / x
def daemon(_=None): return os.getppid()
def slow(x):
    time.sleep(0.05)
    return x
def for_ever():
    while True: time.sleep(0.01)
"""


@pytest.fixture
def far(place, monkeypatch):
    """A module that this program and all hosts can import."""
    folder = place / "code"
    folder.mkdir()
    (folder / "far.py").write_text(FAR)
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("far", None)
    import far
    yield far
    sys.modules.pop("far", None)


def functions(far):
    return {"functions": {"plugin": "python", "class": "objpool:Functions", "kwargs": "{}", "workers": 2, "share": "yes",
                          "python_path": json.dumps([str(pathlib.Path(far.__file__).parent)]), "unpickle": "yes", "trust": "*",
                          "cancel_grace": "0.2"}}


# ---- pools ----

def test_hosts_as_targets(cluster):
    hosts = cluster(("h1", "h2"))
    with objpool.connect(hosts["h1"].daemon.address) as client:
        for pool in (client.pool("p@h2"), client.pool("p", host="h2")):
            assert pool.tag() == "h2" and pool[1].slot() == 1 and pool.all.slot() == [0, 1]
            assert pool.map.add([1, 2], [3, 4]) == [4, 6] and pool.key("k").tag() == "h2"
            assert pool.tag.future().result() == "h2" and list(pool.map.echo.stream([1, 2, 3])) == [1, 2, 3]
            with pool.lease() as leased:
                assert leased.tag() == "h2"
        everywhere = client.pool("p", host="*")
        assert everywhere.all.tag() == ["h1", "h1", "h2", "h2"]
        assert everywhere.all.options(labels=True).slot() == [["h1", 0, 0], ["h1", 1, 1], ["h2", 0, 0], ["h2", 1, 1]]
        assert everywhere.map.add(range(100), [1] * 100) == list(range(1, 101))


def test_errors_say_the_host(cluster):
    hosts = cluster(("h1", "h2"))
    with objpool.connect(hosts["h1"].daemon.address) as client:
        with pytest.raises(errors.Unreachable) as raised:
            client.pool("p", host="h9").tag()
        assert (raised.value.host, raised.value.ran) == ("h9", "no") and "h9" in str(raised.value)
        with pytest.raises(errors.CallFailed) as raised:
            client.pool("p", host="h2").fail("no")
        assert raised.value.host == "h2"
        waiting = client.pool("p", host="h2").sleep.future(1000)
        runs(hosts["h2"], "p")
        hosts["h2"].kill()
        with pytest.raises(errors.HostLost) as raised:
            waiting.result()
        assert (raised.value.host, raised.value.ran) == ("h2", "maybe")


def test_a_typed_client(cluster, place, monkeypatch):
    hosts = cluster(("h1", "h2"))
    text = subprocess.run([BUILD / "objpool", "-s", hosts["h1"].daemon.address, "describe", "p@h2", "--generate", "python"],
                          capture_output=True, text=True, check=True).stdout
    (place / "typed_of_h2.py").write_text(text)
    monkeypatch.syspath_prepend(str(place))
    from typed_of_h2 import Probe
    with objpool.connect(hosts["h1"].daemon.address) as client:
        assert Probe(client.pool("p", host="h2")).tag() == "h2"
        assert Probe(client.pool("p@h2")[1]).slot() == 1


def runs(host, pool):
    """Waits until one of its instances has something to do."""
    with host.client() as client:
        wait_for(lambda: any(slot["running"] for slot in client.value("objpool.status", pool)["pools"][0]["slots"]),
                 lambda: f"a call to run on {host.name}")


def test_asyncio(cluster):
    hosts = cluster(("h1", "h2"))

    async def play():
        async with objpool.aio.connect(hosts["h1"].daemon.address) as client:
            assert await client.pool("p@h2").tag() == "h2"
            assert await client.pool("p", host="*").all.tag() == ["h1", "h1", "h2", "h2"]
            assert [value async for value in client.pool("p@*").map.echo.stream([1, 2, 3])] == [1, 2, 3]
            with pytest.raises(errors.Unreachable):
                await client.pool("p@h9").tag()
            waiting = asyncio.ensure_future(client.pool("p@h2").sleep(1000))
            await asyncio.get_running_loop().run_in_executor(None, runs, hosts["h2"], "p")
            hosts["h2"].kill()
            with pytest.raises(errors.HostLost) as raised:
                await waiting
            assert raised.value.host == "h2"
    asyncio.run(play())


# ---- multiprocess ----

def test_pool_over_hosts(cluster, far):
    hosts = cluster(("h1", "h2"), pools=functions(far))
    with multiprocess.Pool(hosts="*", address=hosts["h1"].daemon.address) as pool:
        assert pool._processes == 4
        assert pool.map(far.square, range(1000)) == [x * x for x in range(1000)]
        assert pool.starmap(far.add, [(1, 2), (3, 4)]) == [3, 7]
        assert list(pool.imap(far.square, range(50))) == [x * x for x in range(50)]
        assert list(pool.imap(far.square, range(50), chunksize=7)) == [x * x for x in range(50)]
        assert sorted(pool.imap_unordered(far.square, iter(range(50)))) == [x * x for x in range(50)]
        assert pool.apply(far.add, (1,), {"b": 5}) == 6 == pool.apply_async(far.add, (1, 5)).get()
        assert pool.map(far.pair, [1]) == [(1, {1})]    # values of Python, as they are
        assert pool.map(abs, [-1, 2]) == [1, 2]
        told = []
        pool.map_async(far.square, [3], callback=told.append).wait()
        assert told == [[9]]
        assert set(pool.map(far.daemon, range(100), chunksize=1)) == {host.daemon.process.pid for host in hosts.hosts.values()}
        with pytest.raises(ZeroDivisionError) as raised:
            pool.map(far.invert, [1, 0])
        assert "invert" in str(raised.value.__cause__)
        results = pool.imap(far.invert, [1, 0, 2])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert next(results) == 0.5
        pool.close()
        pool.join()
    with multiprocess.Pool(hosts="h2", address=hosts["h1"].daemon.address) as pool:
        assert set(pool.map(far.daemon, range(20), chunksize=1)) == {hosts["h2"].daemon.process.pid}


def test_what_other_hosts_can_not_import(cluster, far):
    hosts = cluster(("h1", "h2"), pools=functions(far))
    address = hosts["h1"].daemon.address
    with multiprocess.Pool(hosts="*", address=address) as pool:
        with pytest.raises(pickle.PicklingError, match="has no name by which they could import it"):
            pool.map(lambda x: x, [1])
        with pytest.raises(ModuleNotFoundError, match="test_cluster"):
            pool.map(runs, [1])     # this module is on no host
    program = f"""
from objpool.compat import multiprocess
def mine(x): return x
with multiprocess.Pool(hosts="*", address={address!r}) as pool:
    try:
        pool.map(mine, [1])
    except Exception as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}).stdout
    assert "is of the program itself, __main__" in told
    with pytest.raises(ValueError, match="initializer and maxtasksperchild are keys"):
        multiprocess.Pool(hosts="*", address=address, initializer=far.daemon)
    with pytest.raises(errors.Unreachable, match="no host that is there shares a pool nothing"):
        multiprocess.Pool(hosts="*", address=address, pool="nothing")
    with pytest.raises(errors.Unreachable, match="host h9 is not there, or shares no pool functions"):
        multiprocess.Pool(hosts=["h9"], address=address)
    with pytest.raises(errors.Unreachable, match="none of the hosts h8, h9 is there and shares a pool functions"):
        multiprocess.Pool(hosts=("h8", "h9"), address=address)
    for wrong in ([], 5, ["h1", 2]):
        with pytest.raises(TypeError, match="a list of names, and not"):
            multiprocess.Pool(hosts=wrong, address=address)
    with pytest.raises(ValueError, match="not in a list of names"):
        multiprocess.Pool(hosts=["*", "h1"], address=address)
    with objpool.connect(address) as client, pytest.raises(TypeError, match=r"configure a section \[remote functions\]"):
        client.pool("functions", host=["h1", "h2"])


def pids(hosts, *names):
    return {hosts[name].daemon.process.pid for name in names}


def test_pool_over_some_hosts(cluster, far):
    """A list of names: each task goes to the one with the least to do, and no other host has any."""
    hosts = cluster(("h1", "h2", "h3"), pools=functions(far))
    address = hosts["h1"].daemon.address
    with multiprocess.Pool(hosts=["h1", "h3", "h1"], address=address) as pool:
        assert pool._processes == 4
        assert pool.map(far.square, range(1000)) == [x * x for x in range(1000)]
        told = pool.map(far.daemon, range(100), chunksize=1)
        assert set(told) == pids(hosts, "h1", "h3") and min(map(told.count, set(told))) > 10
        assert {pool.apply(far.daemon) for _ in range(10)} <= pids(hosts, "h1", "h3")
        with pytest.raises(ZeroDivisionError):
            pool.map(far.invert, [0])
        with pytest.raises(ModuleNotFoundError):
            pool.apply(runs)
    with multiprocess.Pool(hosts=["h9", "h3"], address=address) as pool:    # h9 may come
        assert pool._processes == 2
        assert set(pool.map(far.daemon, range(20), chunksize=1)) == pids(hosts, "h3")
        assert pool.apply(far.daemon) in pids(hosts, "h3")


def test_pool_over_some_hosts_of_which_one_is_lost(cluster, far):
    hosts = cluster(("h1", "h2", "h3"), pools=functions(far))
    address = hosts["h1"].daemon.address
    with multiprocess.Pool(hosts=["h2", "h3"], address=address) as once, \
            multiprocess.Pool(hosts=["h2", "h3"], address=address, idempotent=True) as again:
        waiting = [once.apply_async(far.for_ever) for _ in range(2)]            # one on each
        mapped = again.map_async(far.slow, range(200), chunksize=5)
        applied = concurrent.futures.ThreadPoolExecutor(4)
        singly = [applied.submit(again.apply, far.slow, (n,)) for n in range(40)]
        runs(hosts["h2"], "functions")
        hosts["h2"].kill()
        wait_for(lambda: any(one.ready() for one in waiting), lambda: "the loss to be told")
        lost, = [one for one in waiting if one.ready()]
        with pytest.raises(errors.HostLost) as raised:
            lost.get()
        assert (raised.value.host, raised.value.ran) == ("h2", "maybe")
        once.terminate()    # what it has on h3 would hold one of the two instances there
        assert mapped.get() == list(range(200)) and [one.result() for one in singly] == list(range(40))
        assert set(again.map(far.daemon, range(20), chunksize=1)) == pids(hosts, "h3")     # what h2 can't be asked goes to h3
        hosts["h3"].kill()
        with pytest.raises((errors.HostLost, errors.Unreachable)):
            again.map(far.square, range(20), chunksize=1)
        with pytest.raises(errors.Unreachable):
            again.apply(far.square, (1,))


def test_pool_and_a_host_that_is_lost(cluster, far):
    hosts = cluster(("h1", "h2"), pools=functions(far))
    address = hosts["h1"].daemon.address
    with multiprocess.Pool(hosts="h2", address=address) as pool, multiprocess.Pool(hosts="*", address=address, idempotent=True) as others:
        waiting = pool.apply_async(far.for_ever)
        mapped = others.map_async(far.slow, range(200), chunksize=5)
        runs(hosts["h2"], "functions")
        hosts["h2"].kill()
        with pytest.raises(errors.HostLost) as raised:
            waiting.get()
        assert (raised.value.host, raised.value.ran) == ("h2", "maybe")
        assert mapped.get() == list(range(200))     # what h2 had was run again


def test_terminate(cluster, far):
    hosts = cluster(("h1", "h2"), pools=functions(far))
    with hosts["h1"].client() as c:
        before = {client["session"] for client in c.value("objpool.clients")}
        with multiprocess.Pool(hosts="*", address=hosts["h1"].daemon.address) as pool:
            assert pool.map(far.square, [1]) == [1]
        wait_for(lambda: {client["session"] for client in c.value("objpool.clients")} == before, lambda: "the pool's connection to end")
    pool = multiprocess.Pool(hosts="*", address=hosts["h1"].daemon.address)
    applied = concurrent.futures.ThreadPoolExecutor(1).submit(pool.apply, far.for_ever)
    waiting = [pool.apply_async(far.for_ever) for _ in range(8)]
    pool.terminate()
    pool.join()
    for get in [*(one.get for one in waiting), applied.result]:
        with pytest.raises(PoolTerminated):
            get()
    with multiprocess.Pool(hosts="*", address=hosts["h1"].daemon.address) as pool:
        with hosts["h2"].client() as c:
            wait_for(lambda: not any(slot["running"] for slot in c.value("objpool.status", "functions")["pools"][0]["slots"]),
                     lambda: "the calls to be cancelled")
        assert pool.map(far.square, range(8)) == [x * x for x in range(8)]
