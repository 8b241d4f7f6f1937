# SPDX-License-Identifier: Apache-2.0
"""Hosts on a NATS server that tells of connections that have ended: the hosts' account imports that from the system account."""
import socket

from cluster import cluster, needs_cluster  # noqa: F401
from harness import DEADLINE, wait_for

pytestmark = needs_cluster

ACCOUNTS = """
accounts {
  OBJPOOL {
    users: [{user: "host", password: "secret"}]
    imports: [{stream: {account: SYS, subject: "$SYS.ACCOUNT.OBJPOOL.DISCONNECT"}}]
  }
  SYS { exports: [{stream: "$SYS.ACCOUNT.OBJPOOL.DISCONNECT", accounts: [OBJPOOL]}] }
}
system_account: SYS
no_auth_user: "host"
"""
WITHOUT = """
accounts {
  OBJPOOL { users: [{user: "host", password: "secret", permissions: {publish: ">", subscribe: ["objpool.>", "_INBOX.>", "$SRV.>"]}}] }
}
no_auth_user: "host"
"""
TOLD = "the bus tells that host {} has disconnected"


def test_a_host_that_dies_is_known_at_once(cluster):
    hosts = cluster(("h1", "h2"), config=ACCOUNTS)
    with hosts["h1"].client().maps() as c:
        msgid = c.start("p@h2.sleep", 60)
        with hosts["h2"].client() as there:
            wait_for(lambda: there.value("objpool.status", "p")["pools"][0]["running"] == 1, lambda: "the method to run")
        hosts["h2"].kill()
        error = c.wait(msgid)[0]
        assert error["code"] == "HOST_LOST" and error["ran"] == "maybe"
    hosts["h1"].daemon.wait_log("host h2 is gone")
    log = hosts["h1"].daemon.log()
    assert log.index(TOLD.format("h2")) < log.index("host h2 is silent") < log.index("host h2 is gone"), log


def test_somebody_else_of_that_name_disconnects(cluster):
    hosts = cluster(("h1", "h2"), config=ACCOUNTS)
    with socket.create_connection(("127.0.0.1", hosts.server.port), DEADLINE) as other:
        other.sendall(b'CONNECT {"verbose": false, "name": "objpool test h2"}\r\nPING\r\n')
        received = b""
        while b"PONG" not in received:
            received += other.recv(4096)
    hosts["h1"].daemon.wait_log(TOLD.format("h2"))
    hosts["h1"].daemon.wait_log(TOLD.format("h2") + "(?s:.*)host h2 is there")
    assert "is gone" not in hosts["h1"].daemon.log()
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2"


def test_a_server_that_does_not_tell(cluster):
    hosts = cluster(("h1", "h2"), config=WITHOUT)
    hosts["h1"].daemon.wait_log("the bus does not tell of hosts that disconnect: their silence does")
    assert "the bus says" not in hosts["h1"].daemon.log()
    hosts["h2"].kill()
    hosts["h1"].daemon.wait_log("host h2 is gone")
