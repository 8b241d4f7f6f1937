# SPDX-License-Identifier: Apache-2.0
"""Direct channels of the Python client, against a daemon and workers that are played here: what goes where, and how channels end."""
import array
import asyncio
import fcntl
import itertools
import os
import socket
import threading

import msgpack
import pytest

import harness
import objpool
import objpool.aio
from objpool import _direct

ALL = object()
LARGE = _direct.LARGE_RESULT


def wait_for(check):
    harness.wait_for(check, lambda: "what the test looks for")


class Peer:
    """One end of a stream of messages, served by a thread."""

    def __init__(self, sock, on_message, on_end=lambda: None):
        self.sock, self._on_message, self._on_end = sock, on_message, on_end
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        unpacker = msgpack.Unpacker(strict_map_key=False)
        try:
            while True:
                data = self.sock.recv(65536)
                if not data:
                    break
                unpacker.feed(data)
                for message in unpacker:
                    self._on_message(self, message)
        except OSError:
            pass
        self._on_end()

    def say(self, *message, fd=None):
        data = msgpack.packb(message)
        if fd is None:
            self.sock.sendall(data)
        else:
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def name_of(method, params):
    """(the method's name, its arguments)"""
    return (params[1], params[2]) if method == "objpool.call" else (method.rpartition(".")[2], params)


class Daemon:
    """It answers calls with ["ordinary", method, params]; its workers with ["direct", slot, method, params]. The method `blob`
    gives so many bytes: the daemon's in a file beside the socket."""

    def __init__(self, path, protocol=(1, 1)):
        self.address = f"unix:{path}"
        self.protocol = protocol
        self.heard = []  # methods and parameters, on the ordinary connection
        self.channels = {}  # number -> the worker's Peer
        self.direct = []  # (number of the channel, method, parameters)
        self.refusal = None  # a code: objpool.attach fails
        self.slots = itertools.cycle([0])
        self.ends = {}  # number of a channel -> what objpool.detached says
        self.held = set()  # methods that workers don't answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.sessions = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            self.sessions.append(Peer(sock, self._on_message))

    def close(self):
        self.listener.close()
        for peer in [*self.sessions, *self.channels.values()]:
            peer.sock.close()

    def _on_message(self, peer, message):
        method, params = message[-2:]
        self.heard.append((method, params))
        if message[0] == 2:
            return
        msgid = message[1]
        if method == "objpool.hello":
            peer.say(1, msgid, None, {"fds": True, "fds_mark": 7, "protocol": list(self.protocol), "limits": {}})
        elif method == "objpool.attach":
            self._attach(peer, msgid, params)
        elif method == "objpool.detached":
            peer.say(1, msgid, None, self.ends.get(params[0], {"reason": "client", "begun": 1 << 32, "error": None}))
        elif method == "objpool.lease":
            peer.say(1, msgid, None, {"slot": 0, "generation": 1})
        elif method == "objpool.release":
            peer.say(1, msgid, None, True)
        elif name_of(method, params)[0] == "blob":
            self._lend(peer, msgid, *name_of(method, params)[1])
        else:
            peer.say(1, msgid, None, ["ordinary", method, params])

    def _lend(self, peer, msgid, size):
        fd = os.memfd_create("result", os.MFD_ALLOW_SEALING)
        os.truncate(fd, size)
        fcntl.fcntl(fd, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
        reference = (7).to_bytes(2, "big") + bytes(8) + size.to_bytes(6, "big")
        peer.say(1, msgid, None, msgpack.ExtType(112, reference), fd=fd)
        os.close(fd)

    def _attach(self, peer, msgid, params):
        if self.refusal:
            peer.say(1, msgid, {"code": self.refusal, "message": "there is none", "ran": "no"}, None)
            return
        ours, theirs = socket.socketpair()
        slot = params[1] if len(params) > 1 else next(self.slots)
        number = len(self.channels) + 1
        self.channels[number] = Peer(ours, lambda worker, message: self._on_direct(worker, number, slot, message), ours.close)
        peer.say(1, msgid, None, {"slot": slot, "generation": 1, "channel": number}, fd=theirs.fileno())
        theirs.close()

    def _on_direct(self, worker, number, slot, message):
        _, msgid, method, params = message
        self.direct.append((number, method, params))
        name, args = name_of(method, params)
        if name == "blob":
            worker.say(1, msgid, None, bytes(*args))
        elif name == "fail":
            worker.say(1, msgid, {"code": "FAILED", "message": "as asked", "type": "E", "ran": "yes", "slot": slot}, None)
        elif name == "note":
            worker.say(2, "objpool.progress", [msgid, 1, 2, "half"])
            worker.say(1, msgid, None, 0)
        elif name not in self.held:
            worker.say(1, msgid, None, ["direct", slot, method, params])

    def methods(self):
        """The calls that came on the ordinary connection, but for hello."""
        return [method for method, _ in self.heard if method not in ("objpool.hello", "objpool.give_back")]

    def die(self, number, begun, error=ALL):
        """Ends a channel with its worker."""
        lost = {"code": "WORKER_LOST", "message": "it died", "ran": "maybe", "pool": "p", "slot": 0, "signal": 9}
        self.ends[number] = {"reason": "lost", "begun": begun, "error": lost if error is ALL else error}
        self.channels[number].sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def daemon(tmp_path):
    daemon = Daemon(tmp_path / "s")
    yield daemon
    daemon.close()


@pytest.fixture
def client(daemon):
    with objpool.connect(daemon.address) as client:
        yield client


@pytest.fixture
def pool(client):
    return client.pool("p").options(direct=True)


def test_calls_go_to_the_worker(daemon, client, pool):
    assert pool.step(1, [2]) == ["direct", 0, "step", [1, [2]]]
    assert pool.step(k=3) == ["direct", 0, "objpool.call", [None, "step", [], {"kwargs": {"k": 3}}]]
    assert pool.options(timeout=5).step() == ["direct", 0, "objpool.call", [None, "step", [], {"timeout_ms": 5000}]]
    assert pool[2].step() == ["direct", 2, "step", []]
    assert client.pool("p").step() == ["ordinary", "p.step", []]
    assert daemon.methods() == ["objpool.attach", "objpool.attach", "p.step"]


def test_errors_and_progress(daemon, pool):
    with pytest.raises(objpool.CallFailed, match="as asked") as failed:
        pool.fail()
    assert (failed.value.slot, failed.value.ran) == (0, "yes")
    told = []
    pool.options(progress=lambda *news: told.append(news)).note()
    assert told == [(1, 2, "half")]


def test_other_calls_go_to_the_daemon(daemon, pool):
    assert pool.all.step()[0] == "ordinary"
    assert pool.key("a").step()[0] == "ordinary"
    assert pool.map.step([1])[0] == "ordinary"
    assert pool.options(idempotent=True).step()[0] == "ordinary"
    assert daemon.direct == []


def test_large_arguments_go_to_the_daemon(daemon, pool):
    assert pool.step(1)[0] == "direct"
    assert pool.step(b"x" * 200000)[0] == "ordinary"
    assert pool.step(2)[0] == "direct"


@pytest.mark.parametrize("how", ["plain", "with keywords", "with a timeout", "future", "leased", "by Python"])
def test_a_method_whose_results_are_large_goes_to_the_daemon(daemon, client, how, monkeypatch):
    """There they come beside the socket. Where a call goes follows from the last result."""
    if how == "by Python":
        monkeypatch.setenv("OBJPOOL_WIRE", "0")
    pool = client.pool("p").options(direct=True, **({"timeout": 10} if how == "with a timeout" else {}))
    if how == "leased":
        pool = pool.lease()
    sizes = LARGE, LARGE, 5, LARGE - 1, 6
    for size in sizes:
        if how == "future":
            assert pool.blob.future(size).result(10) == bytes(size)
        else:
            assert pool.blob(size, **({"k": 1} if how == "with keywords" else {})) == bytes(size)
        assert pool.step()[0] == "direct"
    heard = [name_of(method, params) for method, params in daemon.heard]
    direct = [name_of(method, params) for _, method, params in daemon.direct]
    assert [args for name, args in heard if name == "blob"] == [[LARGE], [5]]
    assert [args for name, args in direct if name == "blob"] == [[LARGE], [LARGE - 1], [6]]


def test_slots_of_a_pool_share_what_is_known_of_results(daemon, pool):
    pool[0].blob(LARGE)
    pool[1].blob(LARGE)
    assert [name_of(method, params)[0] for _, method, params in daemon.direct] == ["blob"]
    assert daemon.methods() == ["objpool.attach", "p:1.blob"]


@pytest.mark.parametrize("refusal", ["DENIED", "UNAVAILABLE", "BAD_REQUEST"])
def test_a_refusal_is_no_error(daemon, pool, refusal):
    daemon.refusal = refusal
    assert pool.step()[0] == "ordinary"
    assert pool.step()[0] == "ordinary"
    assert daemon.methods().count("objpool.attach") == 1


def test_a_daemon_without_channels(tmp_path):
    daemon = Daemon(tmp_path / "s", protocol=(1, 0))
    with objpool.connect(daemon.address) as client:
        assert client.pool("p").options(direct=True).step()[0] == "ordinary"
    daemon.close()
    assert daemon.methods() == ["p.step"]


def test_one_channel_for_each_instance(daemon, pool):
    daemon.slots = itertools.cycle([0, 1])
    daemon.held.add("wait")
    futures = [pool.wait.future() for _ in range(3)]
    wait_for(lambda: len(daemon.direct) == 3)
    assert sorted(number for number, _, _ in daemon.direct) == [1, 1, 2]
    assert daemon.methods() == ["objpool.attach"] * 3  # the third was for an instance that has a channel
    assert pool.step()[1] == 1  # the idler one
    for future in futures:
        future.cancel()


def test_closing(daemon, pool):
    """The worker answers what was sent. What comes then goes elsewhere."""
    daemon.held.add("wait")
    future = pool.wait.future()
    wait_for(lambda: daemon.direct)
    worker = daemon.channels[1]
    worker.say(2, "objpool.closing", ["replaced"])
    worker.thread.join(10)  # the client has shut down its side
    assert not worker.thread.is_alive()
    assert pool.step() == ["direct", 0, "step", []] and len(daemon.channels) == 2
    with pytest.raises(objpool.ConnectionLost, match="ended: client"):
        future.result(10)  # this worker does not keep to it


def test_closing_with_a_call(daemon, pool):
    daemon.held.add("wait")
    future = pool.wait.future()
    wait_for(lambda: daemon.direct)
    worker = daemon.channels[1]
    worker.sock = socket.socket(fileno=os.dup(worker.sock.fileno()))  # its thread closes the other
    worker.say(2, "objpool.closing", ["replaced"])
    worker.thread.join(10)
    worker.say(1, 1, None, "at last")
    assert future.result(10) == "at last"


def start_three(daemon, pool):
    daemon.held.add("wait")
    futures = [pool.wait.future(i) for i in range(3)]
    wait_for(lambda: [method for _, method, _ in daemon.direct].count("wait") == 3)
    return futures


def test_death(daemon, pool):
    """What the worker has begun fails, with how it died. The rest goes to the daemon."""
    first, second, third = start_three(daemon, pool[0])
    daemon.die(1, begun=2)
    with pytest.raises(objpool.WorkerLost) as lost:
        first.result(10)
    assert (lost.value.ran, lost.value.signal, lost.value.slot) == ("yes", 9, 0)
    with pytest.raises(objpool.WorkerLost) as lost:
        second.result(10)
    assert lost.value.ran == "maybe"
    assert third.result(10) == ["ordinary", "p:0.wait", [2]]
    assert daemon.methods().count("objpool.detached") == 1


def test_death_of_a_call_that_waits(daemon, pool):
    daemon.held.add("wait")
    threading.Thread(target=lambda: (wait_for(lambda: daemon.direct), daemon.die(1, begun=1)), daemon=True).start()
    with pytest.raises(objpool.WorkerLost) as lost:
        pool.wait()
    assert lost.value.ran == "maybe"
    threading.Thread(target=lambda: (wait_for(lambda: len(daemon.direct) == 2), daemon.die(2, begun=0)), daemon=True).start()
    assert pool.wait() == ["ordinary", "p.wait", []]


def test_death_of_a_leased_instance(daemon, client, pool):
    """Its calls run nowhere else: the lease has ended with the worker."""
    assert pool.step()[0] == "direct"
    with pool.lease() as leased:
        futures = start_three(daemon, leased)
        assert pool.step()[:2] == ["direct", 0] and len(daemon.channels) == 3  # another channel than the shared one of before
        daemon.direct.clear()
        daemon.die(2, begun=1)
        for future, ran in zip(futures, ["maybe", "no", "no"]):
            with pytest.raises(objpool.WorkerLost) as lost:
                future.result(10)
            assert lost.value.ran == ran


def test_end_without_death(daemon, pool):
    first, second, third = start_three(daemon, pool[0])
    daemon.die(1, begun=1, error=None)
    with pytest.raises(objpool.ConnectionLost) as lost:
        first.result(10)
    assert lost.value.ran == "maybe"
    assert second.result(10)[0] == third.result(10)[0] == "ordinary"


def test_a_worker_that_reads_no_more(daemon, pool):
    """A send fails: what was answered before is read, and the call goes to the daemon."""
    assert pool.step()[0] == "direct"
    worker = daemon.channels[1]
    daemon.ends[1] = {"reason": "replaced", "begun": 1, "error": None}
    worker.sock.shutdown(socket.SHUT_RDWR)
    worker.thread.join(10)
    assert pool.step()[0] == "ordinary"
    assert pool.step()[:2] == ["direct", 0]


def test_timeout_and_cancel(daemon, pool):
    daemon.held.add("wait")
    with pytest.raises(objpool.Timeout, match="the instance has not answered within 0.01 s"):
        pool.options(timeout=0.01).wait()
    future = pool.wait.future()
    wait_for(lambda: len(daemon.direct) == 2)
    assert future.cancel()
    wait_for(lambda: len(daemon.heard) >= 4)
    assert daemon.heard[-2:] == [("objpool.cancel", [1, 0]), ("objpool.cancel", [1, 1])]


def test_the_end_of_the_connection(daemon, client, pool):
    daemon.held.add("wait")
    future = pool.wait.future()
    wait_for(lambda: daemon.direct)
    client.close()
    with pytest.raises(objpool.ConnectionLost):
        future.result(10)
    daemon.channels[1].thread.join(10)
    assert not daemon.channels[1].thread.is_alive()


def test_threads_share_a_client(daemon, pool):
    daemon.slots = itertools.cycle([0, 1])
    results = []

    def work(n):
        for i in range(100):
            results.append(pool.step(n, i)[-1] == [n, i])
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [True] * 400
    assert len(daemon.direct) > 200 and {number for number, _, _ in daemon.direct} >= {1, 2}


def test_a_fork_of_the_program(daemon, pool):
    assert pool.step(1)[0] == "direct"
    child = os.fork()
    if child == 0:
        os._exit(0 if pool.step(2)[:2] == ["direct", 0] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.step(3)[0] == "direct"
    assert [number for number, _, _ in daemon.direct] == [1, 2, 1]


def test_the_client_is_freed_without_garbage_collection(daemon):
    client = objpool.connect(daemon.address)
    assert client.pool("p").options(direct=True).step()[0] == "direct"
    del client
    daemon.channels[1].thread.join(10)
    assert not daemon.channels[1].thread.is_alive()


def test_pauses_after_refusals(daemon, client, pool, monkeypatch):
    daemon.refusal = "UNAVAILABLE"
    now = [1000.0]
    monkeypatch.setattr(_direct.time, "monotonic", lambda: now[0])
    for asked in (1, 2, 3):
        pool.step()
        pool.step()
        assert daemon.methods().count("objpool.attach") == asked
        now[0] += _direct.PAUSE_MOST
    daemon.refusal = None
    assert pool.step()[0] == "direct"


# ---- in an event loop ---------------------------------------------------------------------------------------------------------


def in_loop(daemon, test):
    async def run():
        async with objpool.aio.connect(daemon.address) as client:
            await test(client, client.pool("p").options(direct=True))
    asyncio.run(asyncio.wait_for(run(), 20))


async def three_in_loop(daemon, target):
    daemon.held.add("wait")
    tasks = []
    for i in range(3):
        tasks.append(target.wait.future(i))
        while len(daemon.direct) <= i:
            await asyncio.sleep(0)
    return tasks


def test_aio_calls(daemon):
    async def test(client, pool):
        assert await pool.step(1) == ["direct", 0, "step", [1]]
        assert await pool[2].step(k=1) == ["direct", 2, "objpool.call", [None, "step", [], {"kwargs": {"k": 1}}]]
        assert (await pool.all.step())[0] == (await client.pool("p").step())[0] == "ordinary"
        assert (await pool.step(b"x" * 200000))[0] == "ordinary"
        with pytest.raises(objpool.CallFailed):
            await pool.fail()
        daemon.refusal = "DENIED"
        assert (await pool[3].step())[0] == "ordinary"
    in_loop(daemon, test)


def test_aio_large_results(daemon):
    async def test(client, pool):
        for call in pool.blob, (await pool.lease()).blob:
            daemon.heard.clear()
            daemon.direct.clear()
            for size in LARGE, LARGE, 5, 6:
                assert await call(size) == bytes(size)
            assert [params for method, params in daemon.heard if method.endswith("blob")] == [[LARGE], [5]]
            assert [params for _, _, params in daemon.direct] == [[LARGE], [6]]
    in_loop(daemon, test)


def test_aio_closing(daemon):
    async def test(client, pool):
        assert (await pool.step())[0] == "direct"
        daemon.channels[1].say(2, "objpool.closing", ["replaced"])
        while daemon.channels[1].thread.is_alive():
            await asyncio.sleep(0)
        assert (await pool.step())[0] == "direct"
        assert len(daemon.channels) == 2
    in_loop(daemon, test)


def test_aio_death(daemon):
    async def test(client, pool):
        first, second, third = await three_in_loop(daemon, pool[0])
        daemon.die(1, begun=2)
        with pytest.raises(objpool.WorkerLost) as lost:
            await first
        assert (lost.value.ran, lost.value.signal) == ("yes", 9)
        with pytest.raises(objpool.WorkerLost) as lost:
            await second
        assert lost.value.ran == "maybe"
        assert await third == ["ordinary", "p:0.wait", [2]]
        assert daemon.methods().count("objpool.detached") == 1
    in_loop(daemon, test)


def test_aio_lease_and_cancel(daemon):
    async def test(client, pool):
        async with pool.lease() as leased:
            tasks = await three_in_loop(daemon, leased)
            tasks[2].cancel()
            while daemon.heard[-1] != ("objpool.cancel", [1, 2]):
                await asyncio.sleep(0)
            daemon.die(1, begun=0)
            with pytest.raises(objpool.WorkerLost) as lost:
                await tasks[0]
            assert lost.value.ran == "no"
            tasks[1].cancel()
        with pytest.raises(objpool.Timeout, match="the instance"):
            await pool.options(timeout=0.01).wait()
    in_loop(daemon, test)
