# SPDX-License-Identifier: Apache-2.0
"""libobjpool's large values: by descriptor where that is possible, whole everywhere, and nothing of them stays behind."""
import os
import pathlib
import signal
import subprocess

import pytest

from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER
from test_payloads import Census


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("client") / "payloads"
    sanitize = ["-fsanitize=address,undefined"] if "address" in BUILD.name else ["-fsanitize=thread"] if "thread" in BUILD.name else []
    subprocess.run(["cc", "-g", "-O3", "-Wall", "-Wextra", "-Werror", *sanitize, f"-I{ROOT}/client/include",
                    pathlib.Path(__file__).with_name("client_payloads.c"), BUILD / "libobjpool.a", *MSGPACK, "-lpthread", "-o", path],
                   check=True, timeout=4 * DEADLINE)
    return path


def run(program, address, *arguments, preexec=None):
    return subprocess.run([*UNDER, program, *arguments], env={**os.environ, "OBJPOOL_ADDRESS": address}, text=True, capture_output=True,
                          timeout=10 * DEADLINE, preexec_fn=preexec)


POOLS = {"p": {"workers": 3}}


def check(start, program, arguments, config=None, tcp=False):
    daemon = start(POOLS, config)
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        done = run(program, daemon.tcp if tcp else daemon.address, *arguments)
        assert done.returncode == 0, done
        census.check()


def test_by_descriptor(start, program):
    check(start, program, ["all"])


def test_switched_off(start, program):
    check(start, program, ["bytes", "off"])


def test_a_daemon_that_says_no(start, program):
    check(start, program, ["bytes"], {"payload_min": 0})


def test_over_tcp(start, program):
    check(start, program, ["bytes"], tcp=True)


def test_a_client_that_dies_with_descriptors_in_flight(start, program):
    daemon = start(POOLS)
    with daemon.client() as c:
        c.value("p:all.calls")
        census = Census(daemon, c)
        for _ in range(3):
            done = run(program, daemon.address, "vanish")
            assert done.returncode == -signal.SIGKILL, done
        census.check()
