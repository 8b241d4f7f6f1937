# SPDX-License-Identifier: Apache-2.0
"""TLS and tokens of the Python client, for threads and for asyncio."""
import asyncio
import functools
import hashlib
import os
import socket
import threading

import pytest

import harness
import objpool
import objpool.aio
from certificates import DAY, Authority, now, serve_tls
from objpool.compat.multiprocess import managers
from relay import Relay

USERS = "[user ann]\ncert = cn:ann\ncall = p.*\n[user ci]\ntoken_sha256 = " + hashlib.sha256(b"secret").hexdigest() + "\ncall = p.*\n"
LARGE = 64 << 20


@pytest.fixture
def ca(place):
    return Authority(place)


@pytest.fixture
def serve(start, ca):
    return functools.partial(serve_tls, start, ca)


def secret(place, text="secret\n", mode=0o600):
    path = place / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


async def asked(work, address, options):
    async with objpool.aio.connect(address, **options) as client:
        return await work(client)


def ask(address, **options):
    """Calls p.echo with a client of either kind; returns what it raises, once."""
    found = []
    options = {"timeout": harness.DEADLINE, **options}
    for kind in "threads", "asyncio":
        try:
            if kind == "threads":
                with objpool.connect(address, **options) as client:
                    found.append(client.call("p.echo", 1))
            else:
                found.append(asyncio.run(asked(lambda client: client.call("p.echo", 1), address, options)))
        except objpool.ObjpoolError as error:
            found.append((type(error), error.message.replace(f"can't connect to {address}: ", "")))
    assert found[0] == found[1]
    return found[0]


# ---- what goes through ----

SIZES = [0, 1, (16 << 10) - 40, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, (64 << 10) - 1, (64 << 10) + 1, 300_000]


def test_sizes(serve, ca):
    daemon = serve()
    with objpool.connect(daemon.tls, tls_ca=ca.path) as client:
        for size in SIZES:
            value = os.urandom(size)
            assert client.call("p.echo", value) == value
    value = os.urandom(300_000)
    assert asyncio.run(asked(lambda client: client.call("p.echo", value), daemon.tls, {"tls_ca": ca.path})) == value


def test_64_mib_both_ways(serve, ca):
    """Several together: neither end waits for the other to read."""
    daemon = serve()
    value = os.urandom(1 << 20) * (LARGE >> 20)
    with objpool.connect(daemon.tls, tls_ca=ca.path) as client:
        assert client.call("p.echo", value) == value
        part = value[:4 << 20]
        futures = [client.pool("p").echo.future(part) for _ in range(4)]
        assert all(future.result() == part for future in futures)


def test_64_mib_both_ways_in_a_loop(serve, ca):
    daemon = serve()
    value = os.urandom(1 << 20) * (LARGE >> 20)

    async def work(client):
        assert await client.call("p.echo", value) == value
        part = value[:4 << 20]
        assert all(got == part for got in await asyncio.gather(*[client.call("p.echo", part) for _ in range(4)]))

    asyncio.run(asked(work, daemon.tls, {"tls_ca": ca.path}))


def test_threads_maps_and_progress(serve, ca):
    daemon = serve()
    with objpool.connect(daemon.tls, tls_ca=ca.path) as client:
        pool = client.pool("p")
        wrong = []

        def call(number):
            wrong.extend(i for i in range(200) if pool.echo([number, i]) != [number, i])

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert list(pool.map.echo.stream(range(2000))) == list(range(2000))
        steps = []
        assert pool.options(progress=lambda *step: steps.append(step)).progress(3, 0.01, "x") == 3
        assert steps[-1][2] == "x"
        for thread in threads:
            thread.join()
        assert wrong == []


def test_maps_in_a_loop(serve, ca):
    daemon = serve()

    async def work(client):
        return [value async for value in client.pool("p").map.echo.stream(range(2000))]

    assert asyncio.run(asked(work, daemon.tls, {"tls_ca": ca.path})) == list(range(2000))


def test_byte_by_byte(serve, ca):
    daemon = serve()
    with Relay(daemon.tls) as relay:
        assert ask(relay.tls, tls_ca=ca.path) == 1


def test_a_server_that_stalls_in_the_handshake(ca):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "tls:127.0.0.1:%d" % listener.getsockname()[1]
        assert ask(address, tls_ca=ca.path, timeout=0.2) == (objpool.NoDaemon, "the server does not answer in the TLS handshake")


def test_it_connects_again(serve, ca):
    daemon = serve()
    with Relay(daemon.tls, 1 << 16) as relay, objpool.connect(relay.tls, tls_ca=ca.path) as client:
        assert client.call("p.echo", 1) == 1
        relay.ends[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(objpool.ConnectionLost):
            client.call("p.echo", 2)
        assert client.call("p.echo", 3) == 3


def test_what_can_not_be_decrypted(serve, ca):
    daemon = serve()
    with Relay(daemon.tls, 1 << 16) as relay, objpool.connect(relay.tls, tls_ca=ca.path) as client:
        relay.ends[0].sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(objpool.ConnectionLost, match="TLS with the server has failed: .*bad record mac"):
            client.call("p.echo", 1)


# ---- options ----


def test_options_and_environment(serve, ca, monkeypatch):
    daemon = serve(users=USERS, tls_client_ca=ca.path)
    cert, key, _ = ca.issue("ann")
    both = ca.place / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    options = {"tls_ca": str(ca.path), "tls_cert": cert, "tls_key": key, "tls_name": "localhost"}
    assert ask(daemon.tls, **options) == 1
    assert ask(daemon.tls, tls_ca=ca.path, tls_cert=both) == 1
    for name, value in options.items():
        monkeypatch.setenv("OBJPOOL_" + name.upper(), str(value))
    assert ask(daemon.tls) == 1
    assert ask(daemon.tls, tls_name="elsewhere") == (objpool.NoDaemon, "the server's certificate is not for elsewhere")
    monkeypatch.setenv("OBJPOOL_ADDRESS", daemon.tls)
    with objpool.connect() as client:
        assert client.call("objpool.whoami")["user"] == "ann"


def test_the_systems_cas(serve, ca, monkeypatch):
    daemon = serve()
    assert ask(daemon.tls) == (objpool.NoDaemon, "no CA that is known here has signed the server's certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.path))
    assert ask(daemon.tls) == 1


def test_tokens(serve, ca, place, monkeypatch):
    daemon = serve(users=USERS)
    token = secret(place)
    assert ask(daemon.tls, tls_ca=ca.path, token_file=token) == 1
    assert ask(daemon.address, token_file=token) == 1
    assert ask(daemon.tcp, token_file=token) == \
        (objpool.BadArgument, f"a token goes over TLS or a Unix socket only (the token file {token})")
    monkeypatch.setenv("OBJPOOL_TOKEN_FILE", str(token))
    with objpool.connect(daemon.address) as client:
        assert client.call("objpool.whoami")["user"] == "ci"
    secret(place, "wrong")
    kind, words = ask(daemon.tls, tls_ca=ca.path)
    assert kind is objpool.Denied and "token" in words


@pytest.mark.parametrize("text, mode, words", [
    ("secret", 0o644, "is open to others: its mode is 0644; chmod 600 it"),
    (" \n", 0o600, "is empty"),
    ("two words", 0o600, "must hold a token, and nothing else"),
    ("x" * 5000, 0o600, "is too long for a token"),
], ids=["readable", "blank", "two words", "long"])
def test_token_files_that_are_refused(daemon, place, text, mode, words):
    token = secret(place, text, mode)
    assert ask(daemon.address, token_file=token) == (objpool.BadArgument, f"the token file {token} {words}")


def test_token_files_that_are_none(daemon, place):
    assert ask(daemon.address, token_file=place) == (objpool.BadArgument, f"the token file {place} is no ordinary file")
    assert ask(daemon.address, token_file="/nowhere") == (objpool.BadArgument, "the token file /nowhere: No such file or directory")


def test_files_that_can_not_be_used(serve, ca, place):
    daemon = serve()
    cert, key, _ = ca.issue("ann")
    _, other_key, _ = ca.issue("other")
    (place / "empty").write_text("")
    for options, words in [
            ({"tls_ca": "/nowhere"}, "the file of CAs /nowhere: No such file or directory"),
            ({"tls_ca": place / "empty"}, f"the file of CAs {place}/empty can't be used: "),
            ({"tls_cert": "/nowhere"}, "the certificate /nowhere: No such file or directory"),
            ({"tls_cert": cert}, f"the certificate {cert} and the key {cert} can't be used: "),
            ({"tls_cert": cert, "tls_key": other_key}, f"the key {other_key} is not that of the certificate {cert}"),
            ({"tls_key": key}, f"the key {key} has no certificate: both are needed")]:
        kind, said = ask(daemon.tls, **{"tls_ca": ca.path, **options})
        assert kind is objpool.BadArgument and said.startswith(words), said


def test_managers_share_by_name(serve, ca, monkeypatch):
    daemon = serve(users="[user *]\ncreate = *\ncode = *\ncall = *.*\n")
    monkeypatch.setenv("OBJPOOL_TLS_CA", str(ca.path))
    with managers.SyncManager(daemon.tls + "#shared") as first, managers.SyncManager(daemon.tls + "#shared") as second:
        first.named("counts", "dict", a=1)["b"] = 2
        assert second.named("counts", "dict").copy() == {"a": 1, "b": 2}


# ---- who is not trusted ----


def test_certificates_of_the_server(start, ca):
    cert, key, _ = ca.issue_server("old", ends=now() - DAY / 2)
    daemon = start(daemon={"listen": "tls:127.0.0.1:0", "tls_cert": cert, "tls_key": key})
    address = "tls:" + daemon.wait_log(r"listening on tls:(\S+)").group(1)
    assert ask(address, tls_ca=ca.path) == (objpool.NoDaemon, "the server's certificate has expired")
    assert ask(address, tls_ca=ca.path, tls_name="127.0.0.2")[0] is objpool.NoDaemon


def test_certificates_of_the_client(serve, ca, place):
    daemon = serve(tls_client_ca=ca.path)
    (place / "other").mkdir()
    late, late_key, _ = ca.issue("late", ends=now() - DAY / 2)
    stranger, stranger_key, _ = Authority(place / "other", "other").issue("stranger")
    assert ask(daemon.tls, tls_ca=ca.path) == \
        (objpool.Denied, "the server asks for a client's certificate, and none was given")
    assert ask(daemon.tls, tls_ca=ca.path, tls_cert=late, tls_key=late_key) == \
        (objpool.Denied, "the server refuses the client's certificate: it has expired")
    assert ask(daemon.tls, tls_ca=ca.path, tls_cert=stranger, tls_key=stranger_key) == \
        (objpool.Denied, "the server refuses the client's certificate: it does not know the CA")


def test_servers_without_tls(start, ca):
    daemon = start()
    assert ask("tls:" + daemon.tcp[4:], tls_ca=ca.path) == (objpool.NoDaemon, "the server does not speak TLS")
