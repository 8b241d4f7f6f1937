# SPDX-License-Identifier: Apache-2.0
"""A worker that may have no more memory: each call gets its whole value, or an error that speaks of memory."""
import pathlib
import re
import resource

import pytest

from harness import BUILD
from test_python import section

pytestmark = pytest.mark.skipif("-" in BUILD.name, reason="a sanitizer needs memory of its own, and ends the process without")
MIB = 1 << 20
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


class Cramped:
    """A pool of one worker, whose address space ends `extra` bytes beyond what it has while a call runs."""

    def __init__(self, client):
        self.client = client

    def call(self, extra, method, *args, **options):
        pid = self.client.value("p.pid")
        size = int(re.search(r"VmSize:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10
        resource.prlimit(pid, resource.RLIMIT_AS, (size + extra, resource.RLIM_INFINITY))
        error, value = self.client.full("p", method, args, **options)
        try:
            resource.prlimit(pid, resource.RLIMIT_AS, NO_LIMIT)
        except ProcessLookupError:
            pass
        return error, value

    def check(self, right, method, *args):
        """At every limit the call is right, or fails for want of memory; at some it fails, with the worker alive."""
        refused = 0
        for extra in (0, 1, 2, 3, 5, 8, 12, 16, 20, 24, 32):
            error, value = self.call(extra * MIB, method, *args)
            if error is None:
                assert value == right, (extra, str(value)[:40])
            else:
                assert error["code"] == "WORKER_LOST" or "memory" in error["message"], (extra, error)
                refused += error["code"] != "WORKER_LOST"
        assert refused > 0


@pytest.fixture
def cramped(start):
    with start({"p": {"workers": 1}}).client() as client:
        yield Cramped(client.maps())


def test_results(cramped):
    data = b"A" * (3 * MIB)
    cramped.check([data, data, 7], "echo", data, data, 7)


def test_arguments_that_become_objects(cramped):
    """msgpack-c says the same of a lack of memory and of a value that is nested too deeply."""
    rows = [[i, [i]] for i in range(100_000)]
    cramped.check(rows, "echo", rows)


def test_results_of_python(start):
    text = "x" * MIB
    with start({"p": section("Hog")}).client() as client:
        cramped = Cramped(client.maps())
        cramped.check([text] * 20, "texts", 20)
        cramped.check([text] * 12, "series", 12)


def test_an_instance_that_refuses_everything_is_not_preferred(start):
    data = b"A" * (3 * MIB)
    with start({"p": {"workers": 2}}).client() as client:
        client.maps()
        pid = client.value("p:0.pid")
        size = int(re.search(r"VmSize:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10
        resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        error = client.error("p:0.echo", data)
        assert (error["code"], error["ran"]) == ("FAILED", "no") and "memory" in error["message"]
        errors = []
        for _ in range(8):
            calls = [client.start("p.echo", data) for _ in range(3)]
            errors += [error for error, _ in map(client.wait, calls) if error]
        assert len(errors) <= 6, errors  # it is tried again now and then, and else idle
        resource.prlimit(pid, resource.RLIMIT_AS, NO_LIMIT)
        assert client.value("p:0.echo", 1) == 1
        assert client.value("p:all.pid")[0] == pid
