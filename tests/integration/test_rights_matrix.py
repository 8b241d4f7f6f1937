# SPDX-License-Identifier: Apache-2.0
"""Each user, selector, pool, method, and method of the daemon: is it DENIED? A model of the configuration says so, too."""
import hashlib
import itertools
import re

import pytest

USERS = """
[role reader]
call = sim.get* dice.*
describe = *
[user ci]
token_sha256 = {ci}
is = reader
all = dice.set
create = tmp-*
admin = sim
deny = *.delete*
[user all]
token_sha256 = {all}
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
call = sim.step
call = *.pid
[user denied]
token_sha256 = {denied}
call = *.*
all = *.*
deny = dice.* *.get*
direct = *
[user broad]
token_sha256 = {broad}
all = s*m.*
describe = d*
direct = dice
[user direct]
token_sha256 = {direct}
call = sim.* dice.get
direct = sim dice
[user watcher]
token_sha256 = {watcher}
watch = yes
call = *.*e*
[user operator]
token_sha256 = {operator}
operate = yes
admin = *-1
[user none]
token_sha256 = {none}
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


def connect(daemon, name):
    if name is None:
        return daemon.client(daemon.tcp).maps()
    client = daemon.client()
    client.value("objpool.hello", {"client": name, "errors": "map", "token": token(name)})
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
        yield "objpool.restart", [pool, "bad"], model.pool("admin", pool)
        yield "objpool.forget", [pool], model.pool("admin", pool)
        yield "objpool.create", [{"pool": pool}], model.pool("create", pool)
        allowed = model.pool("create", pool) and model.pool("code", pool)
        yield "objpool.create", [{"pool": pool, "plugin": "/no/such.so", "class": "C"}], allowed
    yield "objpool.drop", ["ghost"], model.pool("create", "ghost")
    yield "objpool.drop", ["tmp-9"], model.pool("create", "tmp-9")
    yield "objpool.pools", [], model.has("describe")
    yield "objpool.status", [], sees
    yield "objpool.metrics", [], sees
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


@pytest.mark.parametrize("anyone", [True, False])
def test_every_cell(start, anyone):
    config = text(anyone)
    daemon = start(pools={name: {"workers": 1} for name in POOLS[:3]}, users=config)
    total, wrong = 0, []
    for name in [*NAMES, None]:
        model = Model(config, "*" if name is None else name)
        with connect(daemon, name) as client:
            if name is not None:
                client.value("objpool.hello", {"fds": True})
            cells = [cell for cell in [*call_cells(model), *own_cells(model)] if name is not None or cell[0] != "objpool.attach"]
            count, found = look(client, cells, name)
            total += count
            wrong += found
    assert not wrong, (len(wrong), wrong[:10])
    assert total >= 5000, total
