# SPDX-License-Identifier: Apache-2.0
"""Chaos: calls of every kind over several hosts, while hosts, gateways, servers and workers are killed and frozen at random.

    python3 tests/cluster_chaos.py [--calls N] [--failures N] [--hosts N] [--seed S]

Each call, and each item of a map, has a token, and must end exactly once; what its client is told of it is compared with what has
run (tests/integration/cluster_calls.py). Exit status 1: something was wrong. The seed decides what is done and to whom, not what
comes of it.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "integration"))

import cluster_calls as calls  # noqa: E402
from cluster import Cluster  # noqa: E402

BURST = 100


def burst(line, kind, _):
    """Many calls of any host at once."""
    tokens = [line.token() for _ in range(BURST)]
    answers = line.ask_many([("p@*.mark", token) for token in tokens])
    ends = [line.one(kind, token, *answer, token) for token, answer in zip(tokens, answers)]
    return next((end for end in ends if end != "ok"), "ok")


KINDS = {**calls.KINDS,
         "burst": burst,
         "burst, too": burst,
         "deadline": calls.deadline(5),
         "map": calls.map_("p@*:map", 500, 0.0),
         "map slow": calls.map_("p@*:map", 50, 0.002),
         "map of a host": calls.map_("p@h2:map", 300, 0.0),
         "map idempotent": calls.map_("p@*:map", 500, 0.0, idempotent=True),
         "map streamed": lambda line, kind, rng: calls.streamed(line, kind, rng, 300, 0.0),
         "map fed": lambda line, kind, rng: calls.fed(line, kind, rng, 200, 0.0)}


class Survivor(calls.Caller):
    """A caller that goes on with the next daemon of that name when its own is killed."""

    def __init__(self, chaos, name, kind, make):
        self.chaos, self.name_of_host = chaos, name
        super().__init__(chaos.book, chaos.cluster[name], kind, make, chaos.seed, chaos.over)

    def run(self):
        while True:
            line = None
            try:
                line = calls.Line(self.chaos.cluster[self.name_of_host], self.book)
                while not self.call(line):
                    pass
                return line.client.close()
            except (EOFError, ConnectionError, FileNotFoundError) as error:
                if self.name_of_host not in self.chaos.killed:
                    return self.book.blame(self.kind, f"the connection is closed: {error}")
                if line:
                    line.give_up(self.kind)
                    line.client.close()
                self.chaos.tick.wait(0.05)
            except Exception as error:      # whatever it is, it is this kind's fault
                return self.book.blame(self.kind, f"{type(error).__name__}: {error}")


class Chaos:
    def __init__(self, place, hosts, seed):
        self.seed, self.random = seed, random.Random(seed)
        self.library, self.file = calls.build_ledger(place), place / "runs"
        self.file.touch()
        self.book = calls.Book()
        self.over, self.tick = threading.Event(), threading.Event()
        self.killed = set()     # names of hosts that have been killed at some time
        self.done = {}
        self.cluster = Cluster(place, (), servers=2)
        for n in range(hosts):
            self.add(f"h{n + 1}")
        self.cluster.settle_p()

    def add(self, name):
        host = self.cluster.add(name, pools=calls.pools(self.library, self.file, name), sections=calls.rights(), daemon=calls.HTTP)
        host.nats_port = self.cluster.server.port

    def pick(self):
        return self.random.choice(sorted(self.cluster.hosts))

    # ---- what is done ----

    def kill_host(self):
        name = self.pick()
        self.killed.add(name)
        self.cluster[name].kill()
        self.tick.wait(self.random.choice((0, 1, 3)))
        self.add(name)

    def kill_daemon(self):
        name = self.pick()
        self.killed.add(name)
        self.cluster[name].daemon.kill()
        self.add(name)

    def kill_gateway(self):
        os.kill(self.cluster[self.pick()].gateway(), signal.SIGKILL)

    def freeze_host(self):
        host = self.cluster[self.pick()]
        pids = host.daemon.process.pid, host.gateway()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self.tick.wait(self.random.choice((0.3, 1.2, 3)))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def kill_server(self):
        server = self.random.choice(self.cluster.servers)
        server.stop()
        self.tick.wait(self.random.choice((0, 0.5, 2)))
        server.start()

    def kill_both_servers(self):
        for server in self.cluster.servers:
            server.stop()
        self.tick.wait(self.random.choice((0, 1)))
        for server in self.cluster.servers:
            server.start()

    def kill_worker(self):
        host = self.cluster[self.pick()]
        with host.client() as client:
            os.kill(self.random.choice([pid for pid in host.daemon.pids(client) if pid]), signal.SIGKILL)

    def fail(self):
        often = self.kill_host, self.kill_gateway, self.kill_server
        seldom = self.kill_daemon, self.freeze_host, self.kill_both_servers, self.kill_worker
        what = self.random.choice(2 * often + seldom)
        self.done[what.__name__] = self.done.get(what.__name__, 0) + 1
        try:
            what()
        except (ProcessLookupError, IndexError):
            pass        # it was gone already

    def run(self, wanted, failures):
        callers = [Survivor(self, name, kind, make) for name in ("h1", "h3") for kind, make in KINDS.items()
                   if (name, kind) != ("h3", "sticky")]     # of two, each would see what the other has set
        begin = shown = time.monotonic()
        while (self.book.count() < wanted or sum(self.done.values()) < failures) and not self.book.wrong:
            self.tick.wait(self.random.uniform(0.3, 2.5))
            self.fail()
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(f"{shown - begin:5.0f} s: {self.book.count()} tokens, {self.done}", flush=True)
        for kind, text in self.book.wrong:
            print(f"WRONG {kind}: {text}", flush=True)
        self.cluster.settle_p()
        self.over.set()
        calls.wait_until_ended(callers, self.book)
        calls.wait_until_quiet(self.cluster.hosts.values())
        seconds = time.monotonic() - begin
        self.book.judge(self.file)
        print("\n".join(self.book.table()))
        print(f"{self.book.count()} tokens in {seconds:.0f} s; of {self.book.unanswered} the client's own daemon was killed")
        print("done: " + ", ".join(f"{what} {n}" for what, n in sorted(self.done.items())))
        memory = {name: calls.gateway_memory(host) >> 20 for name, host in self.cluster.hosts.items()}
        print(f"MiB that gateways have taken at most: {memory}")
        for kind, text in self.book.wrong[:30]:
            print(f"WRONG {kind}: {text}")
        print(f"seed {self.seed}: {len(self.book.wrong)} wrong")
        return not self.book.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=1000000, help="how many calls and items, at least")
    parser.add_argument("--failures", type=int, default=200, help="how many failures, at least")
    parser.add_argument("--hosts", type=int, default=3, help="at least 3")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(prefix="objpool-chaos-"))
    print(f"seed {options.seed}; in {place}", flush=True)
    chaos = Chaos(place, max(options.hosts, 3), options.seed)
    try:
        good = chaos.run(options.calls, options.failures)
    finally:
        for host in chaos.cluster.hosts.values():
            host.kill()
        for server in chaos.cluster.servers:
            server.stop()
    if good:
        shutil.rmtree(place)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
