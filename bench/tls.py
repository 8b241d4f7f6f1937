# SPDX-License-Identifier: Apache-2.0
"""Rows of `make bench`: what TLS costs, beside plain TCP, and beside what it costs redis."""
import shutil
import socket
import subprocess

KINDS = [("64 small calls at once", 16, 64, "calls", "1/s"), ("one small call, p50", 16, 1, "p50", "µs"),
         ("1 MiB there and back, p50", 1 << 20, 1, "p50", "µs")]


def make_certificate(place):
    """One that signs itself, with an elliptic key; (certificate, key)."""
    cert, key = place / "tls.pem", place / "tls.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def two_ports():
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def start_redis(bench, cert, key):
    """Its ports: plain and TLS. None: there is none, or it has no TLS."""
    if not shutil.which("redis-server"):
        return None
    plain, tls = two_ports()
    process = bench.start("redis-server", "--bind", "127.0.0.1", "--port", plain, "--tls-port", tls, "--tls-cert-file", cert,
                          "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no", "--save", "",
                          "--appendonly", "no", "--dir", bench.place)
    while process.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", tls)) == 0:
                return plain, tls
    bench.processes.remove(process)
    return None


def row(bench, name, size, depth, what, unit, ports, redis, cert):
    """The row's figures, and what TLS makes of TCP's for each."""
    n = max(3, (300 if bench.quick else 3000) * (10 if depth == 1 else 1) // (100 if size > 65536 else 1))

    def measure(kind, port, ca):
        return lambda: bench.load("tls", kind, port, ca, size, depth, n)[what]
    tls, plain, redis_tls, redis_plain = bench.medians(
        measure("objpool", ports[1], cert), measure("objpool", ports[0], "plain"),
        redis and measure("redis", redis[1], cert), redis and measure("redis", redis[0], "plain"))
    bench.row(f"{name}, TLS", tls, unit, ("the same over TCP", plain), ("redis, TLS", redis_tls), ("redis, TCP", redis_plain))
    bench.row(f"{name}: TLS / TCP", float(tls) / float(plain), "×",
              ("redis' TLS / TCP", redis and float(redis_tls) / float(redis_plain)))


def rows(bench):
    cert, key = make_certificate(bench.place)
    ports = two_ports()
    redis = start_redis(bench, cert, key)
    keys = f"listen = tcp:127.0.0.1:{ports[0]}\nlisten = tls:127.0.0.1:{ports[1]}\ntls_cert = {cert}\ntls_key = {key}\n"
    rounds = bench.rounds
    with bench.daemon({"p": 2}, keys):
        bench.rounds = 3 if bench.quick else 9
        for kind in KINDS:
            row(bench, *kind, ports, redis, cert)
    bench.rounds = rounds
    bench.stop_all()
