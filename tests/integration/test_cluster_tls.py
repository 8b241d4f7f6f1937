# SPDX-License-Identifier: Apache-2.0
"""Hosts of a cluster over TLS, with the example for the NATS server that comes with objpool: certificates are the hosts' names."""
import re
import shutil

from certificates import Authority
from cluster import cluster, needs_cluster  # noqa: F401
from cryptography import x509
from harness import ROOT

pytestmark = needs_cluster

EXAMPLE = (ROOT / "packaging/nats-server.conf").read_text()


def server_config(place, servers, hosts):
    """The example, with the files of the test and without its address."""
    text = re.sub(r"^listen:.*\n", "", EXAMPLE, flags=re.M)
    cert, key, _ = servers.issue_server()
    for known, here in (("/etc/nats/server.pem", cert), ("/etc/nats/server.key", key), ("/etc/nats/hosts.pem", hosts.path)):
        assert known in text
        text = text.replace(known, str(here))
    return text


def add(hosts, name, authority, certificate=None, **keys):
    """A host that shows the certificate of that name, by default its own."""
    cert, key, _ = authority.issue(certificate or name, [x509.DNSName(certificate or name)], file=f"{name}-{certificate}")
    keys = {"domain": "prod", "bus_ca": authority.place / "servers.pem", "bus_cert": cert, "bus_key": key, **keys}
    return hosts.add(name, bus=f"tls://127.0.0.1:{hosts.server.port}", cluster=keys)


def test_certificates_are_the_hosts_names(cluster, place):
    authority = Authority(place, "hosts")
    hosts = cluster((), config=server_config(place, Authority(place, "servers"), authority))
    for name in ("h1", "h2"):
        add(hosts, name, authority)
    hosts.settle()
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2" and c.value("p@*:all.tag") == ["h1", "h1", "h2", "h2"]
    for host in hosts.hosts.values():
        assert "the bus says" not in host.daemon.log() and "does not tell" not in host.daemon.log(), host.daemon.log()

    liar = add(hosts, "h3", authority, "h2")            # says that it is h3, with the certificate of h2
    liar.daemon.wait_log("(?i)permissions violation")
    stranger = add(hosts, "h4", Authority(place, "others"))
    deceived = add(hosts, "h5", authority, bus_ca=authority.path)    # does not know who vouches for the server
    stranger.daemon.wait_log("cluster: connecting: .*: the server has closed the connection: it doesn't let this host in")
    deceived.daemon.wait_log("(?i)cluster: connecting: .*(certificate|handshake|ssl)")
    for host in (liar, stranger, deceived):
        with host.client() as c:
            # The liar hears h1, and what it says to h1 is not let through.
            assert c.error("p@h1.tag").startswith(("UNREACHABLE: ", "HOST_LOST: ") if host is liar else "UNREACHABLE: ")
            assert c.value("p.tag") == host.name
    assert sorted(hosts["h1"].hosts()) == ["h1", "h2"]
    with liar.client() as c:
        assert c.value("objpool.hosts")["bus"]["text"].endswith("; it does not let this host say that it is h3: others do not see it")
    said = liar.daemon.log().count("Permissions Violation for Publish")
    assert 1 <= said <= 3, f"once in ten seconds, not for each beat:\n{liar.daemon.log()}"


def test_renewed_certificates_need_no_reload(cluster, place):
    """Another authority for hosts and server: who has the new files under the old names comes back, when connections are made anew."""
    old = Authority(place, "old")
    hosts = cluster((), config=server_config(place, old, old))
    for name in ("h1", "h2", "h3"):
        add(hosts, name, old, bus_ca=place / "old.pem")
    hosts.settle()
    new = Authority(place, "new")
    server = hosts.server
    server.stop()
    server.config = server_config(place, new, new)
    shutil.copy(new.path, old.path)
    new.issue("h1", [x509.DNSName("h1")], file="h1-None")
    (place / "h2-None.key").write_text("half writ")
    server.start()
    hosts["h2"].daemon.wait_log("what the files had before is used")
    new.issue("h2", [x509.DNSName("h2")], file="h2-None")
    for name in ("h1", "h2"):
        hosts[name].sees({"h1": 2, "h2": 2})
    hosts["h3"].daemon.wait_log("it doesn't let this host in")
    with hosts["h1"].client() as c:
        assert c.value("p@h2.tag") == "h2" and c.error("p@h3.tag").startswith("UNREACHABLE: ")
    assert hosts["h2"].daemon.log().count("what the files had before is used") == 1


def test_a_changed_password_needs_no_reload(cluster, place):
    creds = place / "creds"
    creds.write_text("hosts:first\n")
    hosts = cluster(("h1", "h2"), config='authorization { user: "hosts", password: "first" }', cluster={"bus_creds": creds})
    hosts.server.stop()
    hosts.server.config = 'authorization { token: "second" }'
    hosts.server.start()
    for host in hosts.hosts.values():
        host.daemon.wait_log("(?i)cluster: connecting: .*authorization")
    creds.write_text("second\n")
    hosts.settle()


def test_a_file_that_comes_later(cluster, place):
    creds = place / "creds"
    hosts = cluster((), config='authorization { token: "secret" }')
    for name in ("h1", "h2"):
        hosts.add(name, cluster={"bus_creds": creds})
    for host in hosts.hosts.values():
        host.daemon.wait_log(f"cluster: connecting: .*: {creds} can't be read: No such file or directory")
    creds.write_text("secret\n")
    hosts.settle()
