# SPDX-License-Identifier: Apache-2.0
"""libobjpool against a real daemon."""
import os
import pathlib
import subprocess

from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER


def test_streams_and_leases_from_c(start, place):
    daemon = start(pools={"p": {"workers": 3}})
    sanitize = ["-fsanitize=address,undefined"] if "address" in BUILD.name else []
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", *sanitize, f"-I{ROOT}/client/include",
                    pathlib.Path(__file__).with_name("client_streams.c"), BUILD / "libobjpool.a", *MSGPACK, "-o", place / "streams"],
                   check=True, timeout=DEADLINE)
    done = subprocess.run([*UNDER, place / "streams"], env={**os.environ, "OBJPOOL_ADDRESS": daemon.address}, text=True,
                          capture_output=True, timeout=DEADLINE)
    assert done.returncode == 0, done
