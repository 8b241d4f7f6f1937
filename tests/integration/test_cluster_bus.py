# SPDX-License-Identifier: Apache-2.0
"""The gateway and its bus: servers that do not answer, and connections that end as soon as they are made."""
import select
import signal
import socket
import subprocess

import pytest

from cluster import cluster, needs_cluster  # noqa: F401
from harness import BUILD, DEADLINE, wait_for

pytestmark = needs_cluster

# The first connection: the thread that has made it gets no CPU until it has been lost, and for some time yet.
LATE = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

bool natsConnection_IsClosed(void *connection);

int natsConnection_Connect(void **made, void *options)
{
	int (*connect)(void **, void *) = (int (*)(void **, void *))dlsym(RTLD_NEXT, "natsConnection_Connect");
	const int status = connect(made, options), fd = status ? -1 : open(getenv("CONNECTED"), O_CREAT | O_EXCL | O_WRONLY, 0600);

	if (fd < 0 || close(fd) < 0)
		return status;
	while (!natsConnection_IsClosed(*made))
		usleep(1000);
	usleep(200000);
	return status;
}
"""


@pytest.fixture
def late(place):
    """A gateway's program whose first connection ends so; and a file that is there when it has been made."""
    library, program, connected = place / "late.so", place / "gateway", place / "connected"
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fPIC", "-shared", "-o", library, "-xc", "-", "-ldl"],
                   input=LATE, text=True, check=True)
    program.write_text(f"#!/bin/sh\nCONNECTED={connected} LD_PRELOAD={library} exec {(BUILD / 'objpool-gateway').resolve()}\n")
    program.chmod(0o755)
    return program, connected


@pytest.mark.skipif("address" in BUILD.name or "thread" in BUILD.name, reason="the sanitizer's library must come first")
def test_a_connection_that_is_lost_as_it_is_made_is_made_anew(cluster, late):
    program, connected = late
    hosts = cluster(())
    host = hosts.add("h1", cluster={"gateway_program": program})
    wait_for(connected.exists, lambda: f"a connection:\n{host.daemon.log()}")
    hosts.server.stop()
    hosts.server.start()
    host.daemon.wait_log("cluster: connected: nats:")


def test_servers_that_do_not_answer_do_not_stop_the_gateway(cluster):
    hosts = cluster(())
    silent = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    before = " ".join(f"nats://127.0.0.1:{server.getsockname()[1]}" for server in silent)
    host = hosts.add("h1", bus=before)
    pid = host.gateway()
    assert select.select(silent, [], [], DEADLINE)[0], host.daemon.log()     # it waits for one of them to speak
    host.daemon.users = host.daemon.users.replace(before, hosts.server.url)
    host.daemon.write_config()
    host.daemon.signal(signal.SIGHUP)
    host.daemon.wait_log("cluster: connected: nats:")
    assert host.gateway() == pid, host.daemon.log()
    for server in silent:
        server.close()
