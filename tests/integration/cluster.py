# SPDX-License-Identifier: Apache-2.0
"""Several daemons on a NATS server of the test's own, all on loopback addresses."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import harness
from harness import DEADLINE, wait_for

needs_cluster = [harness.needs("nats"),
                 pytest.mark.skipif(not shutil.which("nats-server"), reason="nats-server is not installed")]
DOMAIN = "test"
POOL = {"workers": 2, "share": "yes"}


class Server:
    """A nats-server. After the first start it keeps its ports. One that is `routed` can have another beside it."""

    def __init__(self, path, config="", routed=False, beside=None):
        self.path = pathlib.Path(path)
        self.path.mkdir(exist_ok=True)
        self.config = config
        self.port = self.route_port = -1
        self.routed, self.other = routed or beside is not None, beside
        if beside:
            beside.other = self
        self.process = None
        self.start()

    def start(self):
        file = self.path / "nats.conf"
        ports = self.path / "ports"
        shutil.rmtree(ports, ignore_errors=True)
        ports.mkdir()
        file.write_text(f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{ports}"\n{self.config}\n{self._routes()}')
        with open(self.path / "nats.log", "ab") as log:
            self.process = subprocess.Popen(["nats-server", "-c", file], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        made = wait_for(lambda: self._ports(ports), lambda: f"the NATS server:\n{self.log()}")
        self.port = int(made["nats"][0].rpartition(":")[2])
        if "cluster" in made:
            self.route_port = int(made["cluster"][0].rpartition(":")[2])

    def _routes(self):
        if not self.routed:
            return ""
        routes = f'routes: ["nats://127.0.0.1:{self.other.route_port}"]' if self.other else ""
        return f'cluster {{ name: "both", listen: "127.0.0.1:{self.route_port}", {routes} }}\n'

    def _ports(self, place):
        assert self.process.poll() is None, self.log()
        for file in place.iterdir():
            try:
                made = json.loads(file.read_text())
            except ValueError:
                return None
            return made if "cluster" in made or not self.routed else None
        return None

    def log(self):
        return (self.path / "nats.log").read_text(errors="replace")

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def stop(self, how=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
        self.process.wait(DEADLINE)


class Host:
    """A daemon with a section [cluster]."""

    def __init__(self, path, name, bus, pools=None, sections="", cluster=None, daemon=None, preexec=None):
        self.name = name
        pools = {"p": POOL} if pools is None else pools
        pools = {pool: {"kwargs": json.dumps({"tag": name}), **keys} for pool, keys in pools.items()}
        keys = {"name": name, "domain": DOMAIN, "bus": bus, **(cluster or {})}
        text = "\n[cluster]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) + sections
        path.mkdir()
        self.daemon = harness.Daemon(path, pools, daemon, users=text, preexec=preexec)

    def client(self):
        return self.daemon.client()

    def gateway(self):
        """The pid of its gateway, as soon as it has one."""
        return wait_for(self.gateway_now, lambda: f"a gateway of {self.name}:\n{self.daemon.log()}")

    def gateway_now(self):
        """None: it has none at present."""
        for pid in self.daemon.children():
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")).split(" ")[0] == "objpool-gateway":
                    return pid
            except OSError:
                pass
        return None

    def hosts(self):
        """name -> what objpool.hosts says of it."""
        with self.client() as client:
            return {host["name"]: host for host in client.value("objpool.hosts")["hosts"]}

    def sees(self, ready):
        """Waits until it sees so: {name: instances of pool p that are ready}, and no other host as ready."""
        def look():
            seen = {name: host for name, host in self.hosts().items() if host["state"] in ("ready", "self")}
            return {name: sum(pool["ready"] for pool in host["pools"]) for name, host in seen.items()} == ready
        wait_for(look, lambda: f"{self.name} to see {ready}: it sees {self.hosts()}\n{self.daemon.log()}")

    def kill(self):
        """The host's end: no word to anybody."""
        children = self.daemon.children()
        for pid in [self.daemon.process.pid, *children]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.daemon.process.wait(DEADLINE)

    def freeze(self, number=signal.SIGSTOP):
        for pid in (self.daemon.process.pid, self.gateway()):
            os.kill(pid, number)


class Cluster:
    def __init__(self, place, names=("h1", "h2", "h3"), config="", servers=1, **keywords):
        self.place = place
        self.server = Server(place / "nats", config, servers > 1)
        self.servers = [self.server]
        if servers == 2:
            self.servers.append(Server(place / "nats2", config, beside=self.server))
        self.hosts = {}
        self.starts = 0
        for name in names:
            self.add(name, **keywords)
        self.settle()

    def add(self, name, bus=None, **keywords):
        self.starts += 1
        bus = bus or " ".join(server.url for server in self.servers)
        host = Host(self.place / f"{name}-{self.starts}", name, bus, **keywords)
        self.hosts[name] = host
        return host

    def __getitem__(self, name):
        return self.hosts[name]

    def settle(self):
        """Waits until each host sees all, with all their instances."""
        ready = {name: sum(keys.get("workers", 2) for keys in host.daemon.pools.values() if keys.get("share") == "yes")
                 for name, host in self.hosts.items()}
        for host in self.hosts.values():
            host.sees(ready)

    def settle_p(self):
        """The same, of pool p alone."""
        for host in self.hosts.values():
            host.sees({name: other.daemon.pools["p"]["workers"] for name, other in self.hosts.items()})

    def stop(self):
        failures = []
        for host in self.hosts.values():
            if host.daemon.process.returncode is None:
                try:
                    host.daemon.stop()
                except AssertionError as error:
                    host.daemon.kill()
                    failures.append(error)
        for server in self.servers:
            server.stop()
        if failures:
            raise failures[0]


@pytest.fixture
def cluster(place):
    """cluster(names, …) -> Cluster; stopped, and checked, when the test ends."""
    made = []

    def make(*arguments, **keywords):
        made.append(Cluster(place / str(len(made)), *arguments, **keywords))
        return made[-1]

    def make_place(*arguments, **keywords):
        (place / str(len(made))).mkdir()
        return make(*arguments, **keywords)

    yield make_place
    for one in made:
        one.stop()
