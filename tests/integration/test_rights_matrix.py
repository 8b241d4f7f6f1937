# SPDX-License-Identifier: Apache-2.0
"""Each user, selector, pool, method, and method of the daemon, by each way to the daemon: is it DENIED? A model of the configuration
says so, too."""
import hashlib
import itertools
import json
import re
import socket
import ssl

import pytest

import harness
from certificates import Authority

USERS = """
[role reader]
call = sim.get* dice.*
describe = *
[user ci]
token_sha256 = {ci}
cert = cn:ci
is = reader
all = dice.set
create = tmp-*
admin = sim
deny = *.delete*
[user all]
token_sha256 = {all}
cert = cn:all
call = *.*
all = *.*
describe = *
create = *
code = tmp-*
admin = *
direct = *
watch = yes
operate = yes
[user narrow]
token_sha256 = {narrow}
cert = cn:narrow
call = sim.step
call = *.pid
[user denied]
token_sha256 = {denied}
cert = cn:denied
call = *.*
all = *.*
deny = dice.* *.get*
direct = *
[user broad]
token_sha256 = {broad}
cert = cn:broad
all = s*m.*
describe = d*
direct = dice
[user direct]
token_sha256 = {direct}
cert = cn:direct
call = sim.* dice.get
direct = sim dice
[user watcher]
token_sha256 = {watcher}
cert = cn:watcher
watch = yes
call = *.*e*
[user operator]
token_sha256 = {operator}
cert = cn:operator
operate = yes
admin = *-1
[user none]
token_sha256 = {none}
cert = cn:none
"""
ANYONE = "[user *]\ndescribe = dice\ncall = dice.get\n"
NAMES = re.findall(r"^\[user (\w+)\]", USERS, re.M)
POOLS = ["sim", "dice", "tmp-1", "ghost"]
METHODS = ["get", "get_all", "step", "set", "pid", "delete", "delete.all", "a.b.c", "no"]
SELECTORS = ["", ":0", ":7", ":all", ":map", ":scatter", ":key=a"]


def token(name):
    return f"token-of-{name}"


def text(anyone):
    hashes = {name: hashlib.sha256(token(name).encode()).hexdigest() for name in NAMES}
    return USERS.format(**hashes) + (ANYONE if anyone else "")


class Model:
    """What a [user] section allows, from the text."""

    def __init__(self, config, name):
        sections = {head: body for head, body in re.findall(r"^\[(\w+ [\w*]+)\]\n((?:[^\[].*\n?)*)", config, re.M)}
        body = sections.get(f"user {name}")
        self.known = body is not None
        body = body or ""
        for role in self.words(body, "is"):
            body += sections[f"role {role}"]
        self.body = body

    @staticmethod
    def words(body, key):
        return [word for line in re.findall(rf"^{key} = (.*)$", body, re.M) for word in line.split()]

    @staticmethod
    def glob(pattern, name):
        return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.S) is not None

    def rules(self, key):
        return [word.split(".", 1) for word in self.words(self.body, key)]

    def method(self, key, pool, method):
        def is_about(rule):
            return self.glob(rule[0], pool) and self.glob(rule[1], method)
        return any(map(is_about, self.rules(key))) and not any(map(is_about, self.rules("deny")))

    def pool(self, key, pool):
        return any(self.glob(word, pool) for word in self.words(self.body, key))

    def any_call(self, pool, whole=False):
        covers = [rule for rule in self.rules("deny") if self.glob(rule[0], pool) and set(rule[1]) == {"*"}]
        rules = [rule for rule in self.rules("call") if self.glob(rule[0], pool)]
        return not covers and any(not whole or set(rule[1]) == {"*"} for rule in rules)

    def direct(self, pool):
        denied = any(self.glob(rule[0], pool) for rule in self.rules("deny"))
        return self.pool("direct", pool) and self.any_call(pool, True) and not denied

    def has(self, key):
        return bool([word for word in self.words(self.body, key) if word != "no"])


# ---- ways to the daemon ----


class Ways:
    """A daemon with an address of each kind, and what users show there: a token, or a certificate."""

    def __init__(self, start, place, config):
        self.ca = Authority(place)
        cert, key, _ = self.ca.issue_server()
        keys = {"tls_cert": cert, "tls_key": key, "tls_client_ca": self.ca.path, "tls_client": "optional", "http_calls": "yes"}
        self.daemon = start(pools={name: {"workers": 1} for name in POOLS[:3]}, users=config,
                            daemon={**keys, "listen": "tls:127.0.0.1:0", "http": "tcp:127.0.0.1:0"})
        self.tls = "tls:" + self.daemon.wait_log(r"listening on tls:(\S+)").group(1)
        self.contexts = {}

    def use_https(self):
        self.daemon.daemon["http"] = "tls:127.0.0.1:0"
        self.daemon.write_config()
        with self.daemon.client() as client:
            client.value("objpool.hello", {"token": token("all")})
            client.value("objpool.reload")

    def http(self, kind):
        host, port = self.daemon.wait_log(rf"calls by HTTP on {kind}:(\S+)").group(1).split(":")
        return host, int(port)

    def context(self, name, shown):
        """What the client shows of itself by TLS."""
        if (name, shown) not in self.contexts:
            self.contexts[name, shown] = context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(self.ca.path)
            if shown == "cert" and name:
                context.load_cert_chain(*self.ca.issue(name)[:2])
        return self.contexts[name, shown]

    def client(self, name, shown, address):
        """A session of that user; None: of [user *]."""
        client = harness.Client(address)
        if address.startswith("tls:"):
            client.socket = self.context(name, shown).wrap_socket(client.socket, server_hostname="localhost")
        hello = {"client": name or "?", "errors": "map"}
        client.value("objpool.hello", {**hello, "token": token(name)} if name and shown == "token" else hello)
        return client


def is_denied(answer):
    return answer[0] is not None and answer[0]["code"] == "DENIED"


def call_cells(model):
    """(method, params, allowed)"""
    for pool, selector, method in itertools.product(POOLS, SELECTORS, METHODS):
        allowed = model.method("all" if selector == ":all" else "call", pool, method)
        args = [[1]] if selector in (":map", ":scatter") else []
        yield f"{pool}{selector}.{method}", args, allowed
        yield "objpool.call", [pool + selector, method, args], allowed
        yield "objpool.call", [pool + selector, method, args, {"stream": True, "timeout_ms": 10000}], allowed
    for pool, method in itertools.product(POOLS, METHODS):
        yield "objpool.call", [f"{pool}:all", method, [], {"sticky": "replace"}], model.method("all", pool, method)


def own_cells(model):
    sees = model.has("describe") or model.has("watch")
    for pool in POOLS:
        yield "objpool.describe", [pool], model.pool("describe", pool)
        yield "objpool.status", [pool], model.pool("describe", pool) or model.has("watch")
        yield "objpool.lease", [pool, {"bad": 0}], model.any_call(pool)
        yield "objpool.release", [pool], model.any_call(pool)
        yield "objpool.attach", [pool], model.direct(pool)
        yield "objpool.scale", [pool], model.pool("admin", pool)
        yield "objpool.logs", [pool, "bad"], model.has("watch")
        yield "objpool.events", [{"pool": pool}], model.pool("describe", pool) or model.has("watch")
        yield "objpool.call", ["objpool", "logs", [pool, "bad"]], model.has("watch")
        yield "objpool.restart", [pool, "bad"], model.pool("admin", pool)
        yield "objpool.reload_code", [pool, "bad"], model.pool("admin", pool)
        yield "objpool.forget", [pool], model.pool("admin", pool)
        yield "objpool.create", [{"pool": pool}], model.pool("create", pool)
        allowed = model.pool("create", pool) and model.pool("code", pool)
        yield "objpool.create", [{"pool": pool, "plugin": "/no/such.so", "class": "C"}], allowed
    yield "objpool.drop", ["ghost"], model.pool("create", "ghost")
    yield "objpool.drop", ["tmp-9"], model.pool("create", "tmp-9")
    yield "objpool.pools", [], model.has("describe")
    yield "objpool.status", [], sees
    yield "objpool.metrics", [], sees
    yield "objpool.events", [], sees
    yield "objpool.call", ["objpool", "events", [{"follow": False}], {"stream": True}], sees
    yield "objpool.acl", ["ci", "call", "sim.get"], model.has("watch")
    yield "objpool.hello", [{"client": "x"}], True
    yield "objpool.ping", [1], True
    yield "objpool.whoami", [], True
    yield "objpool.cancel", [99999], model.known
    yield "objpool.nothing", [], model.known
    if not model.has("operate"):
        yield "objpool.reload", [], False
        yield "objpool.shutdown", [], False


def look(client, cells, user):
    """How many cells there are, and which are wrong. Requests are sent ahead of their answers."""
    wrong, count, cells = [], 0, list(cells)
    for begin in range(0, len(cells), 200):
        part = cells[begin:begin + 200]
        msgids = [client.start(method, *params) for method, params, _ in part]
        for msgid, (method, params, allowed) in zip(msgids, part):
            while msgid not in client.answers:
                message = client.receive()
                assert message is not None
                if message[0] == 1:
                    client.answers[message[1]] = (message[2], message[3])
            answer = client.answers.pop(msgid)
            count += 1
            if is_denied(answer) == allowed:
                wrong.append((user, method, params, allowed, answer))
    return count, wrong


def look_at_all(config, connect, cells_of):
    """Looks at the cells of all users, through the clients that connect(name) gives."""
    total, wrong = 0, []
    for name in [*NAMES, None]:
        with connect(name) as client:
            count, found = look(client, cells_of(name, Model(config, name or "*")), name)
            total += count
            wrong += found
    assert not wrong, (len(wrong), wrong[:10])
    return total


@pytest.mark.parametrize("anyone", [True, False])
def test_every_cell(start, anyone):
    config = text(anyone)
    daemon = start(pools={name: {"workers": 1} for name in POOLS[:3]}, users=config)

    def connect(name):
        client = daemon.client(None if name else daemon.tcp)
        hello = {"client": name or "?", "errors": "map"}
        client.value("objpool.hello", {**hello, "token": token(name), "fds": True} if name else hello)
        return client

    def cells(name, model):
        return [cell for cell in [*call_cells(model), *own_cells(model)] if name or cell[0] != "objpool.attach"]
    assert look_at_all(config, connect, cells) >= 5000


@pytest.mark.parametrize("shown", ["token", "cert"])
def test_every_cell_by_tls(start, place, shown):
    """A certificate is never shown without TLS. Direct channels need a Unix socket."""
    config = text(True)
    ways = Ways(start, place, config)

    def cells(_, model):
        return [cell for cell in [*call_cells(model), *own_cells(model)] if cell[0] != "objpool.attach"]
    assert look_at_all(config, lambda name: ways.client(name, shown, ways.tls), cells) >= 5000


# ---- HTTP: a connection for each cell ----


def http_cells(model):
    """(path, body, headers, allowed), by turns as plain call, with options, and as a stream"""
    forms = itertools.cycle([("{}", ""), ('{{"args": {}, "options": {{"timeout_ms": 10000}}}}', ""),
                             ("{}", "Accept: application/x-ndjson\r\n")])
    for pool, selector, method in itertools.product([*POOLS, "objpool"], SELECTORS, METHODS):
        form, headers = next(forms)
        args = "[[1]]" if selector in (":map", ":scatter") else "[]"
        allowed = model.method("all" if selector == ":all" else "call", pool, method)
        yield f"{pool}{selector}.{method}", form.format(args), headers, allowed


def post(cell, name, shown):
    path, body, headers, _ = cell
    if name and shown == "token":
        headers += f"Authorization: Bearer {token(name)}\r\n"
    return (f"POST /call/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def read_all(stream):
    got = b""
    while more := stream.recv(1 << 16):
        got += more
    return got


def http_answer(got):
    """(status, the code of its error, or None)"""
    head, _, body = got.partition(b"\r\n\r\n")
    first = body[body.index(b"{"):].splitlines()[0]  # a stream is chunked
    return int(head.split()[1]), json.loads(first).get("error", {}).get("code")


def look_by_http(connect, cells, name, shown):
    wrong, cells = [], list(cells)
    for begin in range(0, len(cells), 8):
        part = [(cell, connect()) for cell in cells[begin:begin + 8]]
        for cell, stream in part:
            stream.sendall(post(cell, name, shown))
        for cell, stream in part:
            with stream:
                answer = http_answer(read_all(stream))
            denied = (401 if name is None else 403, "DENIED")
            if (answer == denied) == cell[-1] or (answer[1] == "DENIED") == cell[-1]:
                wrong.append((name, cell, answer))
    return len(cells), wrong


@pytest.mark.parametrize("kind, shown, step, least", [("tcp", "token", 1, 3000), ("tls", "token", 6, 500), ("tls", "cert", 5, 600)])
def test_cells_by_http(start, place, kind, shown, step, least):
    config = text(True)
    ways = Ways(start, place, config)
    if kind == "tls":
        ways.use_https()
    address, total, wrong = ways.http(kind), 0, []

    for i, name in enumerate([*NAMES, None]):
        def connect():
            raw = socket.create_connection(address, harness.DEADLINE)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return raw if kind == "tcp" else ways.context(name, shown).wrap_socket(raw, server_hostname="localhost")
        cells = list(http_cells(Model(config, name or "*")))[i % step::step]
        count, found = look_by_http(connect, cells, name, shown)
        total += count
        wrong += found
    assert not wrong, (len(wrong), wrong[:10])
    assert total >= least, total
