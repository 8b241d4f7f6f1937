# SPDX-License-Identifier: Apache-2.0
"""TLS and tokens of libobjpool and of the command line."""
import functools
import hashlib
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading

import pytest

from certificates import DAY, Authority, now, serve_tls
from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER
from relay import Relay

USERS = ("[user ann]\ncert = cn:ann\ncall = p.*\n[user ci]\ntoken_sha256 = " + hashlib.sha256(b"secret").hexdigest() + "\ncall = p.*\n")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("OBJPOOL_TLS", "OBJPOOL_TOKEN"))}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """client_tls.c. It is linked without OpenSSL: only addresses with TLS need it."""
    path = tmp_path_factory.mktemp("client") / "client_tls"
    sanitize = ["-fsanitize=address,undefined"] if "address" in BUILD.name else []
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-g", *sanitize, f"-I{ROOT}/client/include",
                    pathlib.Path(__file__).with_name("client_tls.c"), BUILD / "libobjpool.a", *MSGPACK, "-o", path],
                   check=True, timeout=DEADLINE)
    return path


@pytest.fixture
def say(program):
    """say(what, address, **options) -> what client_tls prints."""
    def run(what, address, environment=None, **options):
        words = [f"{name}={value}" for name, value in options.items()]
        done = subprocess.run([*UNDER, program, what, address, *words], env={**CLEAN, **(environment or {})}, text=True,
                              capture_output=True, timeout=DEADLINE * 3, check=False)
        assert done.stderr == "" and done.returncode in (0, 1), done
        return done.stdout.strip()

    return run


@pytest.fixture
def ca(place):
    return Authority(place)


@pytest.fixture
def serve(start, ca):
    return functools.partial(serve_tls, start, ca)


def cli(*words, **environment):
    return subprocess.run([BUILD / "objpool", *map(str, words)], env={**CLEAN, **environment}, text=True, capture_output=True,
                          timeout=DEADLINE, check=False)


def secret(place, text="secret\n", mode=0o600):
    path = place / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


# ---- what goes through ----


def test_a_call_and_sizes(serve, ca, say):
    daemon = serve()
    assert say("call", daemon.tls, ca=ca.path) == "hello"
    for what in ("sizes", "large", "both", "map"):
        assert say(what, daemon.tls, ca=ca.path, name="localhost") == ""


def test_version_1_2(serve, ca, say, place):
    daemon = serve()
    (place / "openssl.cnf").write_text("openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = TLSv1.2\n")
    environment = {"OPENSSL_CONF": str(place / "openssl.cnf")}
    for what in ("call", "sizes", "both"):
        assert say(what, daemon.tls, environment, ca=ca.path) == ("hello" if what == "call" else "")


def test_byte_by_byte(serve, ca, say):
    daemon = serve()
    with Relay(daemon.tls) as relay:
        assert say("call", relay.tls, ca=ca.path) == "hello"


def test_a_server_that_stalls_in_the_handshake(say, ca):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tls:127.0.0.1:%d" % listener.getsockname()[1]
        assert say("call", address, ca=ca.path, ms=200) == "ETIMEDOUT: the server does not answer in the TLS handshake"
        assert cli("-s", address, "ping", "--timeout", "0.2", "--tls-ca", ca.path).stderr == \
            f"objpool: {address}: the server does not answer in the TLS handshake\n"


def test_a_connection_that_is_lost(serve, ca, program):
    daemon = serve()
    with Relay(daemon.tls, 1 << 16) as relay:
        process = subprocess.Popen([*UNDER, program, "lost", relay.tls, f"ca={ca.path}"], env=CLEAN, text=True, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "connected\n"
        relay.ends[0].sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # a record that nobody has encrypted
        said = process.communicate(timeout=DEADLINE)[0]
        assert re.fullmatch("DISCONNECTED: the connection to the daemon was lost: TLS with the server has failed: "
                            ".*(bad record mac|record layer failure)\n", said), said


# ---- options ----


def test_options_and_environment(serve, ca, say):
    daemon = serve(users=USERS, tls_client_ca=ca.path)
    cert, key, _ = ca.issue("ann")
    both = ca.place / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    options = {"ca": ca.path, "cert": cert, "key": key, "name": "localhost"}
    environment = {"OBJPOOL_TLS_" + name.upper(): str(value) for name, value in options.items()}
    assert say("whoami", daemon.tls, **options) == "ann"
    assert say("whoami", daemon.tls, environment) == "ann"
    assert say("whoami", daemon.tls, {**environment, "OBJPOOL_TLS_CERT": "/nowhere", "OBJPOOL_TLS_NAME": ""}, cert=both, key=both) == "ann"
    assert say("whoami", daemon.tls, ca=ca.path, cert=both) == "ann"
    words = [word for name, value in options.items() for word in (f"--tls-{name}", value)]
    for done in (cli("-s", daemon.tls, *words, "call", "p.echo", "1"), cli("call", "p.echo", "1", "-s", daemon.tls, *words),
                 cli("call", "p.echo", "1", OBJPOOL_ADDRESS=daemon.tls, **environment)):
        assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)


def test_the_systems_cas(serve, ca, say):
    """OpenSSL's own variable stands for the system's file."""
    daemon = serve()
    assert say("call", daemon.tls, {"SSL_CERT_FILE": str(ca.path)}) == "hello"
    assert say("call", daemon.tls) == "EKEYREJECTED: no CA that is known here has signed the server's certificate"


def test_tokens(serve, start, ca, say, place):
    daemon = serve(users=USERS)
    token = secret(place)
    assert say("whoami", daemon.tls, ca=ca.path, token=token) == "ci"
    assert say("whoami", daemon.address, token=token) == "ci"
    assert say("whoami", daemon.address, {"OBJPOOL_TOKEN_FILE": str(token)}) == "ci"
    assert say("whoami", daemon.tcp, token=token) == f"EINVAL: a token goes over TLS or a Unix socket only (the token file {token})"
    done = cli("-s", daemon.tls, "--tls-ca", ca.path, "--token-file", token, "call", "p.echo", "7")
    assert (done.stdout, done.stderr, done.returncode) == ("7\n", "", 0)
    assert cli("whoami", OBJPOOL_ADDRESS=daemon.address, OBJPOOL_TOKEN_FILE=str(token)).stdout.startswith("user ci, by token")
    secret(place, "wrong")
    assert say("whoami", daemon.tls, ca=ca.path, token=token).startswith("EACCES: ")
    done = cli("-s", daemon.address, "--token-file", token, "ping")
    assert done.returncode == 77 and "token" in done.stderr and "wrong" not in done.stderr, done


@pytest.mark.parametrize("text, mode, words", [
    ("secret", 0o644, "is open to others: its mode is 0644; chmod 600 it"),
    ("secret", 0o602, "is open to others: its mode is 0602; chmod 600 it"),
    ("", 0o600, "is empty"), (" \n", 0o600, "is empty"),
    ("two words", 0o600, "must hold a token, and nothing else"), ("a\0b", 0o600, "must hold a token, and nothing else"),
    ("x" * 5000, 0o600, "is too long for a token"),
], ids=["readable", "writable", "empty", "blank", "two words", "NUL", "long"])
def test_token_files_that_are_refused(start, say, place, text, mode, words):
    daemon = start()
    token = secret(place, text, mode)
    assert say("call", daemon.address, token=token) == f"EINVAL: the token file {token} {words}"


def test_token_files_that_are_none(start, say, place):
    daemon = start()
    assert say("call", daemon.address, token=place) == f"EINVAL: the token file {place} is no ordinary file"
    os.mkfifo(place / "pipe")
    assert say("call", daemon.address, token=place / "pipe") == f"EINVAL: the token file {place / 'pipe'} is no ordinary file"
    done = cli("-s", daemon.address, "--token-file", "/nowhere", "ping")
    assert done.returncode == 2 and "the token file /nowhere: No such file or directory" in done.stderr


def test_files_that_can_not_be_used(serve, ca, say, place):
    daemon = serve()
    cert, key, _ = ca.issue("ann")
    _, other_key, _ = ca.issue("other")
    locked, empty = place / "locked", place / "empty"
    subprocess.run(["openssl", "ec", "-aes128", "-in", key, "-out", locked, "-passout", "pass:x"], check=True, capture_output=True)
    empty.write_text("")
    for options, words in [
            ({"ca": "/nowhere"}, "EINVAL: the file of CAs /nowhere: No such file or directory"),
            ({"ca": empty}, f"EINVAL: the file of CAs {empty} can't be used: "),
            ({"cert": "/nowhere"}, "EINVAL: the certificate /nowhere: No such file or directory"),
            ({"cert": empty, "key": key}, f"EINVAL: the certificate {empty} can't be used: "),
            ({"cert": cert}, f"EINVAL: the key {cert} can't be used: "),
            ({"cert": cert, "key": locked}, f"EINVAL: the key {locked} can't be used: "),
            ({"cert": cert, "key": other_key}, f"EINVAL: the key {other_key} is not that of the certificate {cert}"),
            ({"key": key}, f"EINVAL: the key {key} has no certificate: both are needed")]:
        said = say("call", daemon.tls, **{"ca": ca.path, **options})
        assert said.startswith(words) and "does not say why" not in said, said


# ---- who is not trusted ----


def test_certificates_of_the_server(start, ca, say, place):
    issued = {"old": {"ends": now() - DAY / 2}, "future": {"begins": now() + DAY / 2}}
    for name, words in ("old", "the server's certificate has expired"), ("future", "the server's certificate is not valid yet"):
        cert, key, _ = ca.issue_server(name, **issued[name])
        daemon = start(daemon={"listen": "tls:127.0.0.1:0", "tls_cert": cert, "tls_key": key})
        address = "tls:" + daemon.wait_log(r"listening on tls:(\S+)").group(1)
        assert say("call", address, ca=ca.path) == "EKEYREJECTED: " + words
        done = cli("-s", address, "--tls-ca", ca.path, "ping")
        assert (done.returncode, done.stderr) == (3, f"objpool: {address}: {words}\n")


def test_a_wrong_name_and_an_unknown_ca(serve, ca, say, place):
    daemon = serve()
    (place / "other").mkdir()
    other = Authority(place / "other", "other")
    assert say("call", daemon.tls, ca=ca.path, name="other.example.org") == \
        "EKEYREJECTED: the server's certificate is not for other.example.org"
    assert say("call", daemon.tls, ca=ca.path, name="127.0.0.2") == "EKEYREJECTED: the server's certificate is not for 127.0.0.2"
    assert say("call", daemon.tls, ca=other.path) == "EKEYREJECTED: no CA that is known here has signed the server's certificate"
    daemon.wait_log("the client does not trust the daemon's certificate: it does not know the CA")  # the alert has come


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_certificates_of_the_client(serve, ca, say, place, version):
    daemon = serve(tls_client_ca=ca.path, tls_crl=ca.revoke())
    (place / "openssl.cnf").write_text(f"openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMaxProtocol = {version}\n")
    environment = {"OPENSSL_CONF": str(place / "openssl.cnf")}
    (place / "other").mkdir()
    late, late_key, _ = ca.issue("late", ends=now() - DAY / 2)
    stranger, stranger_key, _ = Authority(place / "other", "other").issue("stranger")
    gone, gone_key, revoked = ca.issue("gone")
    assert say("call", daemon.tls, environment, ca=ca.path) == \
        "EACCES: the server asks for a client's certificate, and none was given"
    assert say("call", daemon.tls, environment, ca=ca.path, cert=late, key=late_key) == \
        "EACCES: the server refuses the client's certificate: it has expired"
    assert say("call", daemon.tls, environment, ca=ca.path, cert=stranger, key=stranger_key) == \
        "EACCES: the server refuses the client's certificate: it does not know the CA"
    ca.revoke(revoked)
    with daemon.client() as admin:
        admin.value("objpool.reload")
    assert say("call", daemon.tls, environment, ca=ca.path, cert=gone, key=gone_key) == \
        "EACCES: the server refuses the client's certificate: it is revoked"
    done = cli("-s", daemon.tls, "--tls-ca", ca.path, "ping")
    assert (done.returncode, done.stderr) == (77, f"objpool: {daemon.tls}: the server asks for a client's certificate, and none was given\n")


def test_servers_without_tls(start, ca, say):
    daemon = start()
    assert say("call", "tls:" + daemon.tcp[4:], ca=ca.path) == "EPROTO: the server does not speak TLS"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tls:127.0.0.1:%d" % listener.getsockname()[1]

        def hang_up():
            with listener.accept()[0] as connection:
                connection.recv(1 << 16)

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert say("call", address, ca=ca.path) == \
            "EPROTO: the server has ended the connection in the TLS handshake; perhaps it does not speak TLS"
        thread.join()
    assert say("call", address, ca=ca.path) == "ECONNREFUSED:"


def test_another_protocol(ca, say):
    """A server of something else, which has a good certificate."""
    cert, key, _ = ca.issue_server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        assert say("call", "tls:127.0.0.1:%d" % listener.getsockname()[1], ca=ca.path) == "EPROTO:"
        thread.join()
