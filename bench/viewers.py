# SPDX-License-Identifier: Apache-2.0
"""What the page costs the daemon: the share of a CPU that it takes with three viewers and without, and its descriptors.

usage: bench/viewers.py BUILD [--pools N] [--workers N] [--seconds N]

100 pools of 64 instances that are threads, none of which is called; then with 200 calls per second. Each viewer has opened a pool.
CPU time is that of all threads of the daemon, by /proc/PID/task/*/schedstat.
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))

PERIOD = 0.5    # seconds, in which each pool is called once


def cpu_seconds(pid):
    tasks = f"/proc/{pid}/task"
    return sum(int(pathlib.Path(tasks, task, "schedstat").read_text().split()[0]) for task in os.listdir(tasks)) / 1e9


def measure(daemon, seconds):
    """Percent of a CPU."""
    before, began = cpu_seconds(daemon.process.pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(daemon.process.pid) - before) / (time.monotonic() - began)


class Viewer(threading.Thread):
    """Reads events until it is closed."""

    def __init__(self, address, query):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(*address.rsplit(":", 1), timeout=10)
        self.connection.request("GET", "/events" + query)
        self.socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.over = False

    def run(self):
        while not self.over:
            self.answer.readline()

    def close(self):
        self.over = True
        self.join()
        self.answer.close()


@contextlib.contextmanager
def viewers(daemon, pools):
    address = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1)
    made = [Viewer(address, f"?pool={name}") for name in pools]
    for viewer in made:
        viewer.start()
    try:
        yield
    finally:
        for viewer in made:
            viewer.close()


@contextlib.contextmanager
def calls(daemon, pools):
    over = threading.Event()

    def call_all():
        with daemon.client() as client:
            while not over.wait(PERIOD):
                for number in [client.start(f"{name}.echo", 1) for name in pools]:
                    client.wait(number)

    thread = threading.Thread(target=call_all)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def report(daemon, pools, what, seconds):
    with viewers(daemon, pools[:3]):
        time.sleep(3)       # the first events are whole
        looked_at = measure(daemon, seconds)
    time.sleep(2)
    alone = measure(daemon, seconds)
    print(f"{what}: {looked_at:.2f} % of a CPU with three viewers, {alone:.2f} % without", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    os.environ["OBJPOOL_BUILD"] = os.path.abspath(options.build)
    from harness import Daemon      # it reads OBJPOOL_BUILD
    pools = [f"p{n:03}" for n in range(options.pools)]
    with tempfile.TemporaryDirectory() as place:
        daemon = Daemon(pathlib.Path(place), pools={name: {"workers": options.workers, "isolation": "thread"} for name in pools},
                        daemon={"http": "tcp:127.0.0.1:0"})
        try:
            print(f"{options.pools} pools of {options.workers} threads: {daemon.descriptors()} descriptors", flush=True)
            with daemon.client() as client:
                for name in pools:
                    client.value(f"{name}:all.echo", 1)
            report(daemon, pools, "nothing is called", options.seconds)
            with calls(daemon, pools):
                report(daemon, pools, f"{len(pools) / PERIOD:.0f} calls per second", options.seconds)
        finally:
            daemon.stop()


main()
