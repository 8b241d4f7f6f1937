# SPDX-License-Identifier: Apache-2.0
"""A private daemon on a temporary socket, and a client that knows nothing but MessagePack-RPC.

Every wait has a deadline; nothing sleeps. The daemon says READY=1 on a notify socket of its own.
"""
import itertools
import os
import pathlib
import re
import select
import shlex
import signal
import socket
import subprocess
import time

import msgpack
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("OBJPOOL_BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
SLOW = "address" in BUILD.name or "thread" in BUILD.name
DEADLINE = float(os.environ.get("OBJPOOL_TEST_DEADLINE", 60 if SLOW else 20))
# Words before a client program in C: `make check-valgrind` has these programs run under valgrind.
UNDER = shlex.split(os.environ.get("OBJPOOL_UNDER", ""))
# What `make` found: NAME := value. A plugin and a program with libobjpool.a are linked with MSGPACK.
FOUND = dict(re.findall(r"^(\w+) := *(.*?) *$", (BUILD / "needs.mk").read_text(), re.M))
MSGPACK = FOUND["MSGPACK_LIBS"].split()


def needs(part):
    """The mark of a test for which an optional part of the build is needed."""
    return pytest.mark.skipif(f"WITH_{part}" not in FOUND, reason=f"objpool was built without {part}")


SANITIZERS = re.compile(r"ERROR: \w+Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class Client:
    """One connection. Responses are kept by msgid, whatever order they come in."""

    def __init__(self, address, deadline=DEADLINE):
        kind, _, rest = address.partition(":")
        if kind == "unix":
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(rest)
        else:
            host, _, port = rest.rpartition(":")
            connection = socket.create_connection((host.strip("[]"), int(port)))
        self.use(connection, deadline)

    def use(self, connection, deadline):
        self.socket = connection
        self.deadline = deadline
        self.socket.settimeout(deadline)
        self.unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, max_buffer_size=1 << 30)
        self.answers = {}
        self.order = []
        self.ids = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send_raw(self, data):
        self.socket.sendall(data)

    def start(self, method, *params, msgid=None):
        msgid = next(self.ids) if msgid is None else msgid
        self.send_raw(msgpack.packb([0, msgid, method, list(params)]))
        return msgid

    def notify(self, method, *params):
        self.send_raw(msgpack.packb([2, method, list(params)]))

    def receive(self):
        """The next message; None at the end of the stream."""
        until = time.monotonic() + self.deadline
        while True:
            for message in self.unpacker:
                return message
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.unpacker.feed(data)

    def wait(self, msgid):
        """(error, result) of that call."""
        while msgid not in self.answers:
            message = self.receive()
            if message is None:
                raise EOFError("the daemon closed the connection")
            kind, got, error, result = message
            assert kind == 1 and got not in self.answers
            self.answers[got] = (error, result)
            self.order.append(got)
        return self.answers.pop(msgid)

    def call(self, method, *params):
        return self.wait(self.start(method, *params))

    def value(self, method, *params):
        error, result = self.call(method, *params)
        assert error is None, error
        return result

    def error(self, method, *params):
        error, result = self.call(method, *params)
        assert error is not None and result is None, result
        return error

    def full(self, target, method, args=(), **options):
        return self.call("objpool.call", target, method, list(args), options)

    def maps(self):
        self.value("objpool.hello", {"client": "test", "errors": "map"})
        return self


class Daemon:
    """objpoold with a configuration of its own; `pools` maps a name to the keys of its section."""

    def __init__(self, path, pools=None, daemon=None, expect_ready=True, arguments=(), preexec=None, pass_fds=(), stderr=None,
                 users=""):
        self.path = pathlib.Path(path)
        self.socket_path = self.path / "s"
        self.address = f"unix:{self.socket_path}"
        self.config = self.path / "objpoold.conf"
        self.log_path = self.path / "log"
        self.daemon = {"plugin_dir": BUILD / "plugins", "log_level": "info", **(daemon or {})}
        self.pools = {"p": {}} if pools is None else pools
        self.users = users      # sections of users and roles, as text
        self.write_config()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.path / "notify"))
        self.notify.settimeout(DEADLINE)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "objpoold", "--config", self.config, *arguments], stderr=log if stderr is None else stderr, stdout=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": str(self.path / "notify")}, preexec_fn=preexec,
                pass_fds=pass_fds)
        if expect_ready:
            self.wait_notify("READY=1")

    def write_config(self):
        lines = ["[daemon]", f"listen = {self.address}", "listen = tcp:127.0.0.1:0"]
        lines += [f"{key} = {value}" for key, value in self.daemon.items()]
        for name, keys in self.pools.items():
            if keys.get("plugin") in ("spell", "python") and f"WITH_{keys['plugin']}" not in FOUND:
                pytest.skip(f"objpool was built without the plugin {keys['plugin']}")
            lines += ["", f"[pool {name}]"]
            lines += [f"{key} = {value}" for key, value in {"plugin": "probe", "class": "Probe", "workers": 2, **keys}.items()]
        self.config.write_text("\n".join(lines) + "\n" + self.users)

    def wait_notify(self, text):
        until = time.monotonic() + DEADLINE
        while True:
            self.notify.settimeout(max(0.01, until - time.monotonic()))
            try:
                if text in self.notify.recv(4096).decode().split("\n"):
                    return
            except socket.timeout:
                raise AssertionError(f"no {text}:\n{self.log()}") from None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_log(self, pattern):
        """The match of the pattern in the log, once it is there."""
        return wait_for(lambda: re.search(pattern, self.log()), lambda: f"{pattern} in the log:\n{self.log()}")

    @property
    def tcp(self):
        return "tcp:" + self.wait_log(r"listening on tcp:(\S+)").group(1)

    def client(self, address=None):
        return Client(address or self.address)

    def children(self):
        """Pids of all processes that the daemon has, directly or not, but for the keeper."""
        parents = {}
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    name, fields = pathlib.Path(entry.path, "stat").read_text(errors="replace").rsplit(")", 1)
                    fields = fields.split()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if fields[0] != "Z" and not name.endswith("(objpool-keeper"):
                    parents.setdefault(int(fields[1]), []).append(int(entry.name))
        found, look = [], [self.process.pid]
        while look:
            here = parents.get(look.pop(), [])
            found += here
            look += here
        return found

    def descriptors(self, pid=None):
        return len(os.listdir(f"/proc/{pid or self.process.pid}/fd"))

    def memory_files(self):
        """How many files of large values the daemon has, results among them that clients have not given back."""
        place = f"/proc/{self.process.pid}/fd"
        return sum("memfd:objpool-payload" in os.readlink(f"{place}/{fd}") for fd in os.listdir(place))

    def rss(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text()).group(1)) << 10

    def pids(self, client, pool="p"):
        return [slot["pid"] for slot in client.value("objpool.status", pool)["pools"][0]["slots"]]

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """An orderly end, and nothing left behind."""
        children = self.children()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE)
        self.notify.close()
        log = self.log()
        assert not SANITIZERS.search(log), log
        assert status == 0, (status, log)
        assert not self.socket_path.exists()
        assert not [pid for pid in children if is_alive(pid)], "processes that outlive the daemon"

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(check, what, deadline=DEADLINE):
    """Polls for what sends no event (another process's end, a log line)."""
    until = time.monotonic() + deadline
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < until, f"waited for {what()}"
        select.select([], [], [], 0.005)
