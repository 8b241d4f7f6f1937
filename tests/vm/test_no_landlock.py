# SPDX-License-Identifier: Apache-2.0
"""A kernel without Landlock: a pool that needs it can't be had, and says so."""
import pytest

REASON = "this kernel has no Landlock, or it is not enabled: read, write, network and syscalls need it"


@pytest.mark.parametrize("key, value", [("read", '["/tmp"]'), ("write", '["/tmp"]'), ("network", "no"), ("syscalls", "default"),
                                        ("syscalls", "strict")])
def test_what_needs_landlock(start, key, value):
    client = start({"p": {key: value}, "free": {"umask": "077", "limit_files": 100}}).client()
    assert REASON in client.error("p.pid")
    assert client.value("objpool.status", "p")["pools"][0]["slots"][0]["last_failure"].startswith(REASON)
    assert client.value("free.pid")
