# SPDX-License-Identifier: Apache-2.0
"""TLS: listeners, handshakes, certificates, and what goes through."""
import contextlib
import ctypes
import functools
import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

import msgpack
import pytest
from cryptography import x509

import harness
from certificates import DAY, Authority, now, serve_tls


@pytest.fixture
def ca(place):
    return Authority(place)


class Secure(harness.Client):
    """A client whose connection is TLS."""

    def __init__(self, address, context, deadline=harness.DEADLINE, name="localhost"):
        super().__init__(address, deadline)
        self.socket = context.wrap_socket(self.socket, server_hostname=name)


def context_for(ca, cert=None, key=None, alpn=("objpool/1",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca.path)
    if cert:
        context.load_cert_chain(cert, key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


@pytest.fixture
def serve(start, ca):
    """serve(pools, users, **keys) -> a daemon that listens on tls:127.0.0.1:0 with a certificate of `ca`."""
    return functools.partial(serve_tls, start, ca)


def connect(daemon):
    host, _, port = daemon.tls[4:].rpartition(":")
    return socket.create_connection((host, int(port)), harness.DEADLINE)


def test_a_call(serve, ca):
    daemon = serve()
    with Secure(daemon.tls, context_for(ca)) as client:
        assert client.value("p.echo", "hello") == "hello"
        assert client.socket.version() == "TLSv1.3"
        assert client.socket.selected_alpn_protocol() == "objpool/1"
        assert daemon.tls in client.value("objpool.status")["listen"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_byte_by_byte(serve, ca, version):
    daemon = serve()
    context = context_for(ca)
    context.maximum_version = version
    with Secure(daemon.tls, context) as client:
        for byte in msgpack.packb([0, 1, "p.echo", ["slowly"]]):
            client.send_raw(bytes([byte]))
        assert client.wait(1) == (None, "slowly")


def test_sizes_around_a_record(serve, ca):
    daemon = serve()
    with Secure(daemon.tls, context_for(ca)) as client:
        for size in (0, 1, (16 << 10) - 40, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, (32 << 10) + 1, (64 << 10) - 1, 300_000):
            value = os.urandom(size)
            assert client.value("p.echo", value) == value


def test_64_mib_there_and_back(serve, ca):
    daemon = serve()
    value = os.urandom(1 << 20) * 64
    with Secure(daemon.tls, context_for(ca), deadline=60) as client:
        assert client.value("p.echo", value) == value


def test_many_calls_together(serve, ca):
    daemon = serve()
    with Secure(daemon.tls, context_for(ca)) as client:
        client.send_raw(b"".join(msgpack.packb([0, i, "p.echo", [i]]) for i in range(1, 5001)))
        assert [client.wait(i) for i in range(1, 5001)] == [(None, i) for i in range(1, 5001)]


def test_requests_that_come_with_the_end_of_the_handshake(serve, ca):
    """The daemon reads them together with the handshake: no event tells of them afterwards."""
    daemon = serve()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context_for(ca).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connect(daemon) as raw:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(1 << 16))
        tls.write(msgpack.packb([0, 7, "p.echo", ["early"]]))
        raw.sendall(outgoing.read())
        while True:
            incoming.write(raw.recv(1 << 16))
            try:
                assert msgpack.unpackb(tls.read()) == [1, 7, None, "early"]
                break
            except ssl.SSLWantReadError:
                pass


def test_an_address_becomes_tls_at_reload(start, ca):
    cert, key, _ = ca.issue_server()
    daemon = start()
    plain = daemon.tcp
    with daemon.client() as client:
        daemon.daemon.update(listen="tls:" + plain[4:], tls_cert=cert, tls_key=key)
        daemon.write_config()
        config = daemon.config.read_text().replace("listen = tcp:127.0.0.1:0\n", "")
        daemon.config.write_text(config)
        client.value("objpool.reload")
        with Secure(plain, context_for(ca)) as secure:
            assert secure.value("p.echo", 1) == 1
        daemon.config.write_text(config.replace("listen = tls:", "listen = tcp:"))
        client.value("objpool.reload")
        with daemon.client(plain) as again:
            assert again.value("p.echo", 2) == 2


def connected(path):
    """A client, or None: nobody listens yet, though there may be a file."""
    try:
        return harness.Client(f"unix:{path}")
    except OSError:
        return None


def test_a_socket_that_is_passed(place, ca):
    """TLS on a socket of systemd's; a reload that fails does not change what is spoken on it."""
    cert, key, _ = ca.issue_server()
    config, path = place / "passed.conf", place / "s"
    with socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]

        def write(*listen):
            config.write_text(f"[daemon]\nlisten = unix:{path}\ntls_cert = {cert}\ntls_key = {key}\n"
                              + "".join(f"listen = {address}\n" for address in listen))

        write(f"tls:127.0.0.1:{port}")
        daemon = subprocess.Popen(
            ["bash", "-c", f'exec 3<&{passed.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"', "bash",
             harness.BUILD / "objpoold", "--config", config], pass_fds=[passed.fileno()], stderr=subprocess.DEVNULL)
    try:
        with harness.wait_for(lambda: connected(path), lambda: "the daemon") as admin:
            with Secure(f"tls:127.0.0.1:{port}", context_for(ca)) as client:
                assert client.value("objpool.ping") == []
            write(f"tcp:127.0.0.1:{port}", f"unix:{place}/missing/s")
            assert admin.error("objpool.reload")
            write()
            admin.value("objpool.reload")
            with Secure(f"tls:127.0.0.1:{port}", context_for(ca)) as client:
                assert client.value("objpool.ping") == []
    finally:
        daemon.terminate()
        daemon.wait(harness.DEADLINE)


# ---- who is let in ----


def refused(daemon, context, words):
    """The connection ends without an answer, and the log says why."""
    with pytest.raises((ssl.SSLError, EOFError)) as error:
        with Secure(daemon.tls, context) as client:
            client.value("p.echo", 1)
    daemon.wait_log("TLS: the handshake with tls:127.0.0.1:.* failed: .*" + words)
    return error.value


def test_required(serve, ca, place):
    daemon = serve(tls_client_ca=ca.path)
    (place / "other").mkdir()
    other = Authority(place / "other", "other")
    cert, key, _ = ca.issue("ann", [x509.DNSName("ann.example.org")])
    with Secure(daemon.tls, context_for(ca, cert, key)) as client:
        assert client.value("p.echo", 1) == 1
    assert "certificate required" in str(refused(daemon, context_for(ca), "given no certificate")).lower()
    cert, key, _ = ca.issue("late", ends=now() - DAY / 2)
    assert "expired" in str(refused(daemon, context_for(ca, cert, key), "certificate has expired .*late"))
    cert, key, _ = other.issue("stranger")
    assert "unknown ca" in str(refused(daemon, context_for(ca, cert, key), "unable to get local issuer certificate")).lower()


def test_optional(serve, ca, place):
    daemon = serve(tls_client_ca=ca.path, tls_client="optional")
    cert, key, _ = ca.issue("ann")
    for context in context_for(ca), context_for(ca, cert, key):
        with Secure(daemon.tls, context) as client:
            assert client.value("p.echo", 1) == 1
    cert, key, _ = ca.issue("late", ends=now() - DAY / 2)
    refused(daemon, context_for(ca, cert, key), "certificate has expired")


def test_not_asked_for(serve, ca):
    daemon = serve(tls_client_ca=ca.path, tls_client="none")
    cert, key, _ = ca.issue("late", ends=now() - DAY / 2)
    with Secure(daemon.tls, context_for(ca, cert, key)) as client:
        assert client.value("p.echo", 1) == 1


def test_revoked(serve, ca):
    bad, bad_key, revoked = ca.issue("bad")
    good, good_key, _ = ca.issue("good")
    daemon = serve(tls_client_ca=ca.path, tls_crl=ca.revoke())
    with Secure(daemon.tls, context_for(ca, bad, bad_key)) as before, daemon.client() as admin:
        assert before.value("p.echo", 1) == 1
        ca.revoke(revoked)
        admin.value("objpool.reload")
        assert "revoked" in str(refused(daemon, context_for(ca, bad, bad_key), "certificate revoked .*bad"))
        with Secure(daemon.tls, context_for(ca, good, good_key)) as client:
            assert client.value("p.echo", 1) == 1
        assert before.value("p.echo", 2) == 2


def test_application_protocols(serve, ca):
    daemon = serve()
    for alpn in ((), ("h2", "objpool/1")):
        with Secure(daemon.tls, context_for(ca, alpn=alpn)) as client:
            assert client.value("p.echo", 1) == 1
    refused(daemon, context_for(ca, alpn=("h2", "http/1.1")), "ALPN")


def test_old_versions(serve, ca):
    daemon = serve()
    context = context_for(ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    refused(daemon, context, "no version of TLS from 1.2 on")


def test_the_client_does_not_trust_the_daemon(serve, ca, place):
    daemon = serve()
    (place / "other").mkdir()
    refused(daemon, context_for(Authority(place / "other", "other")), "does not trust the daemon's certificate")


# ---- the certificates of the configuration ----


def test_bad_files(place, ca):
    (place / "other").mkdir()
    other = Authority(place / "other", "other")
    cert, key, _ = ca.issue_server()
    old, old_key, _ = ca.issue_server(file="old", ends=now() - DAY / 2)
    future, future_key, _ = ca.issue_server(file="future", begins=now() + DAY / 2)
    (place / "empty").write_text("")
    (place / "broken").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    subprocess.run(["openssl", "ec", "-aes128", "-in", key, "-out", place / "locked", "-passout", "pass:x"], check=True,
                   capture_output=True)
    late_list = ca.revoke(ends=now() - DAY / 2)
    cases = [
        ("tls_cert = /nowhere\ntls_key = /nowhere", 3, "No such file"),
        (f"tls_cert = {place}\ntls_key = {key}", 3, "directory"),
        (f"tls_cert = {place}/empty\ntls_key = {key}", 3, "no certificate"),
        (f"tls_cert = {place}/broken\ntls_key = {key}", 3, "malformed"),
        (f"tls_cert = {cert}\ntls_key = {place}/empty", 4, "no private key"),
        (f"tls_cert = {cert}\ntls_key = {place}/locked", 4, "encrypted"),
        (f"tls_cert = {cert}\ntls_key = {old_key}", 4, "not the key"),
        (f"tls_cert = {old}\ntls_key = {old_key}", 3, "expired"),
        (f"tls_cert = {future}\ntls_key = {future_key}", 3, "not valid yet"),
        (f"tls_cert = {cert}", 3, "tls_key"),
        (f"tls_key = {key}", 3, "tls_cert"),
        (f"tls_cert = {cert}\ntls_key = {key}\ntls_crl = {late_list}", 5, "tls_client_ca"),
        (f"tls_cert = {cert}\ntls_key = {key}\ntls_client = required", 5, "tls_client_ca"),
        (f"tls_cert = {cert}\ntls_key = {key}\ntls_client_ca = {key}", 5, "no certificate"),
        (f"tls_cert = {cert}\ntls_key = {key}\ntls_client_ca = {other.path}\ntls_crl = {late_list}", 6, "expired"),
        (f"tls_cert = {cert}\ntls_key = {key}\ntls_client_ca = {other.path}\ntls_crl = {cert}", 6, "no revocation list"),
        ("listen = tls:127.0.0.1:0", 3, "tls_cert"),
        ("http = tls:127.0.0.1:0", 3, "tls_cert"),
        ("tls_client = perhaps", 3, "none, optional or required"),
    ]
    path = place / "conf"
    for text, line, words in cases:
        path.write_text(f"[daemon]\nlog_level = info\n{text}\n")
        for arguments, status in ((["--check=syntax"], 1), ([], 78)):
            if not arguments and words in ("expired", "not valid yet"):
                continue  # the daemon starts: test_it_starts_with_an_expired_certificate
            done = subprocess.run([harness.BUILD / "objpoold", "--config", path, *arguments], capture_output=True, text=True,
                                  timeout=harness.DEADLINE, check=False)
            if not arguments and done.returncode != status:
                pytest.fail(f"{text}: {done}")
            assert f"{path}:{line}: " in done.stderr and words in done.stderr, (text, done.stderr)
            assert done.returncode == status, done


def test_it_starts_with_an_expired_certificate(start, ca):
    old, old_key, _ = ca.issue_server("old", ends=now() - DAY / 2)
    daemon = start(daemon={"listen": "tls:127.0.0.1:0", "tls_cert": old, "tls_key": old_key})
    daemon.wait_log(r"objpoold.conf:\d+: tls_cert = .*has expired.*; clients over TLS will not be served")
    daemon.tls = "tls:" + daemon.wait_log(r"listening on tls:(\S+)").group(1)
    assert "expired" in str(refused(daemon, context_for(ca), "it has expired"))
    with daemon.client() as client:
        assert client.value("p.echo", 1) == 1
        assert "has expired" in str(client.error("objpool.reload"))  # certificates of a reload must be sound
        ca.issue_server("old")
        client.value("objpool.reload")
    with Secure(daemon.tls, context_for(ca)) as client:
        assert client.value("p.echo", 1) == 1


def test_an_address_for_all_needs_tls_or_consent(place, ca):
    cert, key, _ = ca.issue_server()
    path = place / "conf"
    path.write_text(f"[daemon]\nlisten = tls:0.0.0.0:7118\nhttp = tls:0.0.0.0:7119\ntls_cert = {cert}\ntls_key = {key}\n")
    done = subprocess.run([harness.BUILD / "objpoold", "--config", path, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run([harness.BUILD / "objpoold", "--config", path, "--print-config"], capture_output=True, text=True, check=True)
    assert "tls_client = none\n" in shown.stdout and f"tls_key = {key}\n" in shown.stdout


def test_reload_under_load(serve, ca):
    """Certificates change a few times: no call fails, and a bad file changes nothing."""
    daemon = serve()
    stop, failures, done = threading.Event(), [], [0, 0]

    def call(who):
        try:
            while not stop.is_set():
                with Secure(daemon.tls, context_for(ca)) as client:
                    for i in range(50):
                        assert client.value("p.echo", i) == i
                    done[who] += 1
        except Exception as error:  # pylint: disable=broad-except
            failures.append(error)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(2)]
    with Secure(daemon.tls, context_for(ca)) as old, daemon.client() as admin:
        for thread in threads:
            thread.start()
        for _ in range(5):
            _, _, certificate = ca.issue_server()
            admin.value("objpool.reload")
            with Secure(daemon.tls, context_for(ca)) as client:
                assert x509.load_der_x509_certificate(client.socket.getpeercert(True)).serial_number == certificate.serial_number
        (ca.place / "server.key").write_text("nonsense")
        assert "tls_key" in str(admin.error("objpool.reload"))
        with Secure(daemon.tls, context_for(ca)) as client:
            assert x509.load_der_x509_certificate(client.socket.getpeercert(True)).serial_number == certificate.serial_number
        stop.set()
        for thread in threads:
            thread.join()
        assert old.value("p.echo", 1) == 1
    assert not failures and min(done) > 0


# ---- handshakes that go wrong ----


def ends_cleanly(raw):
    """The connection ends, and is not reset. Returns what came before."""
    raw.settimeout(harness.DEADLINE)
    came = b""
    while True:
        data = raw.recv(4096)
        if not data:
            return came
        came += data


def test_plain_text(serve):
    daemon = serve()
    with connect(daemon) as raw:
        raw.sendall(msgpack.packb([0, 1, "p.echo", ["x" * 100_000]]))
        assert ends_cleanly(raw) == b""
    daemon.wait_log("does not speak TLS")


def test_garbage(serve, ca):
    daemon = serve()
    for garbage in (b"\x16", b"\x16\x03\x01\x00\x05", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x16" + os.urandom(5000),
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(300)):
        with connect(daemon) as raw:
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            ends_cleanly(raw)
    with Secure(daemon.tls, context_for(ca)) as client:
        assert client.value("p.echo", 1) == 1


def test_garbage_in_the_middle(serve, ca):
    daemon = serve()
    with Secure(daemon.tls, context_for(ca)) as client:
        assert client.value("p.echo", 1) == 1
        raw = socket.socket(fileno=client.socket.detach())
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        ends_cleanly(raw)
        raw.close()
    daemon.wait_log("no TLS that can be read")


def test_renegotiation_is_refused(serve, ca):
    daemon = serve()
    host = daemon.tls[4:]
    process = subprocess.Popen(["openssl", "s_client", "-connect", host, "-tls1_2", "-CAfile", ca.path, "-servername", "localhost"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seen = b""
    while b"Verify return code" not in seen:
        seen += os.read(process.stdout.fileno(), 4096)
    process.stdin.write(b"R\n")
    process.stdin.flush()
    rest = process.communicate(timeout=harness.DEADLINE)[0]
    assert b"RENEGOTIATING" in rest and b"no renegotiation" in rest.lower(), rest


class Rekeying:
    """A client of TLS 1.3 that changes its keys as often as it likes, which Python's ssl can't."""

    def __init__(self, address):
        self.ssl, self.crypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
        self.context = self.pointer(self.ssl, "SSL_CTX_new", self.pointer(self.ssl, "TLS_client_method"))
        self.connection = self.pointer(self.ssl, "SSL_new", self.context)
        self.input, self.output = (self.pointer(self.crypto, "BIO_new", self.pointer(self.crypto, "BIO_s_mem")) for _ in range(2))
        self.ssl.SSL_set_bio(self.connection, self.input, self.output)
        self.ssl.SSL_set_connect_state(self.connection)
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), harness.DEADLINE)
        while self.ssl.SSL_do_handshake(self.connection) != 1:
            self.socket.sendall(self.made())
            self.take()
        self.socket.sendall(self.made())

    @staticmethod
    def pointer(library, name, *arguments):
        function = getattr(library, name)
        function.restype = ctypes.c_void_p
        return ctypes.c_void_p(function(*arguments))

    def made(self):
        """The bytes that are to be sent."""
        buffer = ctypes.create_string_buffer(1 << 16)
        pieces = iter(lambda: self.crypto.BIO_read(self.output, buffer, len(buffer)), -1)
        return b"".join(buffer.raw[:n] for n in pieces)

    def take(self):
        data = self.socket.recv(65536)
        self.crypto.BIO_write(self.input, data, len(data))
        return data

    def keys(self, times):
        for _ in range(times):
            assert self.ssl.SSL_key_update(self.connection, 0) == 1
            assert self.ssl.SSL_do_handshake(self.connection) == 1
        self.socket.sendall(self.made())

    def write(self, data):
        assert self.ssl.SSL_write(self.connection, data, len(data)) == len(data)
        self.socket.sendall(self.made())

    def read(self):
        buffer = ctypes.create_string_buffer(1 << 16)
        while (n := self.ssl.SSL_read(self.connection, buffer, len(buffer))) <= 0:
            assert self.take(), "the connection has ended"
        return buffer.raw[:n]

    def close(self):
        self.socket.close()
        self.ssl.SSL_free(self.connection)
        self.ssl.SSL_CTX_free(self.context)


def test_keys_change(serve):
    daemon = serve()
    with contextlib.closing(Rekeying(daemon.tls[4:])) as client:
        for i in range(50):
            client.keys(2)
            client.write(msgpack.packb([0, i, "p.echo", [i]]))
            assert msgpack.unpackb(client.read()) == [1, i, None, i]


def test_many_changes_of_keys_together(serve):
    """OpenSSL takes one after another as long as they come: it would do nothing else for seconds."""
    daemon = serve(http="tls:127.0.0.1:0")
    for address, most in ((daemon.tls[4:], 32), (daemon.wait_log(r"by HTTP on tls:(\S+)").group(1), 1024)):
        with contextlib.closing(Rekeying(address)) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what is not read resets the connection
                client.keys(most + 2)
                ends_cleanly(client.socket)
    daemon.wait_log("many records of TLS without data")


def test_openssl_as_client(serve, ca):
    daemon = serve()
    asked = msgpack.packb([0, 1, "p.echo", ["from openssl"]])
    process = subprocess.Popen(["openssl", "s_client", "-connect", daemon.tls[4:], "-CAfile", ca.path, "-quiet", "-verify_return_error",
                                "-verify_hostname", "localhost", "-alpn", "objpool/1"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(asked)
    process.stdin.flush()
    unpacker = msgpack.Unpacker()
    while True:
        unpacker.feed(os.read(process.stdout.fileno(), 4096))
        answers = list(unpacker)
        if answers:
            break
    assert answers == [[1, 1, None, "from openssl"]]
    process.kill()
    process.communicate()


def test_half_closed(serve, ca):
    """As on plain TCP: a client that has ended its side is gone. What runs for it is cancelled, and the session ends."""
    daemon = serve()
    for clean in True, False:
        client = Secure(daemon.tls, context_for(ca))
        client.start("p.sleep", 30)
        with daemon.client() as other:
            harness.wait_for(lambda: other.value("objpool.status")["sessions"] == 2, lambda: "the session")
            if clean:
                client.socket.unwrap()  # it says that it has ended, and waits for the daemon to say so
            else:
                client.socket.shutdown(socket.SHUT_WR)
            harness.wait_for(lambda: other.value("objpool.status")["sessions"] == 1, lambda: "its end")
        client.close()


def test_a_thousand_stalled_handshakes(serve, ca):
    """The oldest give way, and calls go on meanwhile."""
    daemon = serve()
    stalled = []
    with Secure(daemon.tls, context_for(ca)) as client:
        for i in range(1000):
            raw = connect(daemon)
            if i % 2:
                raw.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            stalled.append(raw)
            if i % 100 == 0:
                assert client.value("p.echo", i) == i
        with Secure(daemon.tls, context_for(ca)) as another:
            assert another.value("p.echo", 1) == 1
        assert client.value("p.echo", 2) == 2
    daemon.wait_log("it was the oldest")
    assert daemon.log().count("it was the oldest") <= 40
    for raw in stalled:
        raw.close()


def test_memory_of_connections_is_counted(serve, ca):
    daemon = serve()

    def used(client):
        return client.value("objpool.status")["memory"]["used"]

    with daemon.client() as client:
        before = used(client)
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                assert stack.enter_context(Secure(daemon.tls, context_for(ca))).value("p.echo", 1) == 1
            assert used(client) - before >= 20 * 16384
        harness.wait_for(lambda: used(client) - before < 16384, lambda: "the memory of the connections")


def test_max_connections(serve, ca):
    """Handshakes count, and give way to others."""
    daemon = serve(max_connections=3)
    first, second = connect(daemon), connect(daemon)
    third = connect(daemon)
    with daemon.client() as client:
        assert client.value("p.echo", 1) == 1
        assert ends_cleanly(first) == b""
        with Secure(daemon.tls, context_for(ca)) as secure:
            assert secure.value("p.echo", 1) == 1
            assert ends_cleanly(second) == b""
            with Secure(daemon.tls, context_for(ca)) as another:
                assert another.value("p.echo", 1) == 1
                with pytest.raises((OSError, EOFError)):
                    with Secure(daemon.tls, context_for(ca)) as one_too_many:
                        one_too_many.value("p.echo", 1)
    third.close()
    first.close()
    second.close()


# ---- clients that others have written ----


@pytest.fixture
def forwarded(serve, ca, place):
    """A Unix socket for clients that speak no TLS: socat forwards it, and verifies the daemon."""
    daemon = serve(tls_client_ca=ca.path)
    cert, key, _ = ca.issue("ann")
    path = place / "plain"
    socat = subprocess.Popen(["socat", "-dd", f"UNIX-LISTEN:{path}", f"OPENSSL:{daemon.tls[4:]},cafile={ca.path},cert={cert},key={key},"
                              "commonname=localhost"], stderr=subprocess.PIPE, text=True)
    for line in socat.stderr:
        if "listening on" in line:
            break
    yield path
    socat.terminate()
    socat.communicate(timeout=harness.DEADLINE)


def test_pynvim_as_client(forwarded):
    pynvim = pytest.importorskip("pynvim.msgpack_rpc")
    session = pynvim.socket_session(str(forwarded))
    try:
        assert session.request("p.echo", "hello") == "hello"
        assert session.request("p:all.echo", 7) == [7, 7]
        assert len(session.request("p.echo", "x" * 100_000)) == 100_000
    finally:
        session.close()


@pytest.mark.skipif(not shutil.which("nvim"), reason="neovim is not installed")
def test_neovim_as_client(forwarded):
    script = (f"let pool = sockconnect('pipe', '{forwarded}', {{'rpc': v:true}}) | "
              "call writefile([string(rpcrequest(pool, 'p:all.echo', 'hello'))], '/dev/stdout') | quit")
    done = subprocess.run(["nvim", "--headless", "--clean", "-c", script], capture_output=True, text=True,
                          timeout=harness.DEADLINE, check=False)
    assert "['hello', 'hello']" in done.stdout + done.stderr, done


# ---- users ----

USERS = ("[user ann]\ncert = cn:ann\ncall = p.*\ndescribe = *\n[user two]\ncert = san:dns:two.example.org\ncall = p.echo\n"
         "[user clash]\ncert = cn:two\n[user ci]\ntoken_sha256 = " + hashlib.sha256(b"secret").hexdigest() + "\nwatch = yes\n")


def who(client):
    known = client.value("objpool.whoami")
    return known["user"], known["by"]


def test_users_by_certificate_and_token(serve, ca):
    daemon = serve(users=USERS, tls_client_ca=ca.path, tls_client="optional")
    ann, ann_key, _ = ca.issue("ann")
    with Secure(daemon.tls, context_for(ca, ann, ann_key)) as client:
        assert who(client) == ("ann", "cert") and client.value("p.echo", 1) == 1
        assert client.error("q.echo", 1).startswith('DENIED: user ann may not "call" q.echo')
    with Secure(daemon.tls, context_for(ca)) as client:
        client.value("objpool.hello", {"token": "secret"})
        assert who(client) == ("ci", "token")
    other, other_key, _ = ca.issue("nobody")
    with Secure(daemon.tls, context_for(ca, other, other_key)) as client:
        assert who(client) == (None, "none")
    with Secure(daemon.tls, context_for(ca, other, other_key)) as client:
        client.value("objpool.hello", {"token": "secret"})  # a certificate that no section names says nothing
        assert who(client) == ("ci", "token")
    with Secure(daemon.tls, context_for(ca, ann, ann_key)) as client:
        client.value("objpool.hello", {"token": "secret"})
        assert who(client) == ("ann", "cert")
    with Secure(daemon.tls, context_for(ca, ann, ann_key)) as client:
        assert client.error("objpool.hello", {"token": "wrong"}).startswith("DENIED: ")
    both, both_key, _ = ca.issue("two", [x509.DNSName("two.example.org")])
    with Secure(daemon.tls, context_for(ca, both, both_key)) as client:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.value("p.echo", 1)
    daemon.wait_log("refused: .*two.*clash|refused: .*clash.*two")


# ---- HTTP ----


def test_https_of_users(serve, ca):
    daemon = serve(users=USERS, tls_client_ca=ca.path, tls_client="optional", http="tls:127.0.0.1:0")
    port = daemon.wait_log(r"by HTTP on tls:(\S+)").group(1).split(":")[1]

    def status(*arguments):
        return subprocess.run(["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "--cacert", ca.path, *arguments,
                               f"https://localhost:{port}/metrics"],
                              capture_output=True, text=True, timeout=harness.DEADLINE, check=True).stdout

    def shown(name, *names):
        cert, key, _ = ca.issue(name, names)
        return "--cert", cert, "--key", key

    assert status() == "403"
    assert status(*shown("ann")) == "200"
    assert status(*shown("nobody")) == "403"
    assert status("-H", "Authorization: Bearer secret") == "200"
    assert status("-H", "Authorization: Bearer wrong") == "401"
    assert status(*shown("two", x509.DNSName("two.example.org"))) == "403"


def test_https(serve, ca):
    cert, key, _ = ca.issue("scraper")
    daemon = serve(tls_client_ca=ca.path, http="tls:127.0.0.1:0")
    address = daemon.wait_log(r"by HTTP on tls:(\S+)").group(1)

    def fetch(path, *arguments):
        return subprocess.run(["curl", "-sS", "--resolve", f"localhost:{address.split(':')[1]}:127.0.0.1", "--cacert", ca.path,
                               f"https://localhost:{address.split(':')[1]}{path}", *arguments],
                              capture_output=True, text=True, timeout=harness.DEADLINE, check=False)

    page = fetch("/metrics", "--cert", cert, "--key", key)
    assert page.returncode == 0 and "objpool_tls_failed_handshakes_total 0" in page.stdout, page
    assert "objpool_tls_certificate_expiry_seconds" in page.stdout
    assert fetch("/livez", "--cert", cert, "--key", key, "--http1.1").stdout == "ok\n"
    assert fetch("/livez").returncode != 0
    with daemon.client() as client:  # the same address without TLS
        daemon.daemon["http"] = "tcp:127.0.0.1:0"
        daemon.write_config()
        client.value("objpool.reload")
        plain = subprocess.run(["curl", "-sS", f"http://{address}/livez"], capture_output=True, text=True, check=False)
        assert plain.stdout == "ok\n", plain


def https(start, ca, **keys):
    """(daemon, where it speaks HTTPS)"""
    daemon = serve_tls(start, ca, http="tls:127.0.0.1:0", **keys)
    host, port = daemon.wait_log(r"by HTTP on tls:(\S+)").group(1).split(":")
    return daemon, (host, int(port))


def livez(ca, address):
    with socket.create_connection(address, harness.DEADLINE) as raw:
        with context_for(ca, alpn=("http/1.1",)).wrap_socket(raw, server_hostname="localhost") as secure:
            secure.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b"".join(iter(lambda: secure.recv(4096), b""))


def handshakes(client):
    """How many are not done, and how many have failed."""
    text = client.value("objpool.metrics")
    return [int(re.search(rf"^objpool_tls_{name} (\d+)$", text, re.M).group(1)) for name in ("handshakes", "failed_handshakes_total")]


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_stalled_handshakes_of_https(start, ca, hello):
    """They are among the others, and the oldest give way."""
    daemon, address = https(start, ca)
    stalled = []
    with daemon.client() as client:
        for i in range(1000):
            stalled.append(socket.create_connection(address, harness.DEADLINE))
            stalled[-1].sendall(hello)
            if i % 100 == 20:
                harness.wait_for(lambda: handshakes(client)[0] >= 20, lambda: "handshakes that are counted")
                assert livez(ca, address).endswith(b"ok\n") and client.value("p.echo", i) == i
        assert handshakes(client)[0] <= 64
        for raw in stalled:
            raw.close()
        harness.wait_for(lambda: handshakes(client)[0] == 0, lambda: "no handshakes")
        assert livez(ca, address).endswith(b"ok\n")


def test_an_address_that_is_closed_ends_handshakes(start, ca):
    daemon, address = https(start, ca)
    with contextlib.ExitStack() as stack, daemon.client() as client:
        for i in range(20):
            raw = stack.enter_context(socket.create_connection(address, harness.DEADLINE))
            raw.sendall(b"\x16\x03\x01\x02\x00\x01"[:i % 7])
        harness.wait_for(lambda: handshakes(client)[0] == 20, lambda: "the handshakes to begin")
        del daemon.daemon["http"]
        daemon.write_config()
        client.value("objpool.reload")
        assert handshakes(client)[0] == 0 and client.value("p.echo", 1) == 1


def test_handshakes_of_https_that_fail(start, ca, place):
    cert, key, _ = Authority(place, "other").issue("ann")
    daemon, address = https(start, ca, tls_client_ca=ca.path, tls_client="optional")
    with socket.create_connection(address, harness.DEADLINE) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        assert ends_cleanly(raw) == b""
    with socket.create_connection(address, harness.DEADLINE) as raw:
        raw.sendall(b"\x16\x03\x01\x02")
        raw.shutdown(socket.SHUT_WR)
        ends_cleanly(raw)
    with pytest.raises(ssl.SSLError):
        with socket.create_connection(address, harness.DEADLINE) as raw:
            context_for(ca, cert, key, ("http/1.1",)).wrap_socket(raw, server_hostname="localhost").recv(1)
    with pytest.raises(ssl.SSLError):
        with socket.create_connection(address, harness.DEADLINE) as raw:
            context_for(ca).wrap_socket(raw, server_hostname="localhost")
    for reason in ("does not speak TLS", "gone in the middle", "certificate is refused", "that of this address is not among them"):
        daemon.wait_log(f"TLS: the handshake with .* failed: .*{reason}")
    with daemon.client() as client:
        assert handshakes(client) == [0, 4]
        assert livez(ca, address).endswith(b"ok\n")
