# SPDX-License-Identifier: Apache-2.0
"""Calls of every kind over hosts, and what is true of them: each has a token, and each run of it is a line in a file (ledger.c).

A Book has what clients were told of each token; `judge` compares that with the file, once nothing runs any more. What is wrong is
a sentence.
"""
import collections
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import random
import select
import subprocess
import threading
import time

import msgpack
from bus_program import Nats
from harness import DEADLINE, MSGPACK, ROOT, wait_for

# How a call may end, beside well: a host, or what lies between, has failed; or an instance is being built.
HONEST = {"HOST_LOST", "UNREACHABLE", "WORKER_LOST", "UNAVAILABLE", "OVERLOADED"}
RAN = {"no", "maybe", "yes"}
PROGRAM_PATIENCE = 4    # seconds that a program on the bus waits for an answer
TOKEN = "a token that is no secret"
HTTP = {"http": "tcp:127.0.0.1:0", "http_calls": "yes"}     # keys of [daemon]


def build_ledger(path):
    """Builds the class; its shared object's path."""
    made = pathlib.Path(path) / "ledger.so"
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-I", ROOT / "plugins/include",
                    "-o", made, ROOT / "tests/integration/ledger.c", *MSGPACK], check=True)
    return made


def pools(library, file, host, **keys):
    """Pool p, which is shared, and q, which is not."""
    kwargs = json.dumps({"file": str(file), "host": host})
    pool = {"plugin": str(library), "class": "Ledger", "workers": 2, "kwargs": kwargs, **keys}
    return {"p": {**pool, "share": "yes"}, "q": {**pool, "workers": 1}}


def rights():
    """All may do all, so that calls can be sticky. The plain name p stands for all hosts."""
    keys = "call = *.*\nall = *.*\ndescribe = *\nwatch = yes\nadmin = *\n"
    me = f"\n[user me]\nuid = {os.getuid()}\n{keys}" if os.getuid() else ""
    others = [f"h{n}/*" for n in range(1, 5)] + ["bus/*"]
    web = f"\n[user web]\ntoken_sha256 = {hashlib.sha256(TOKEN.encode()).hexdigest()}\n{keys}"
    return me + web + "".join(f"\n[user {name}]\n{keys}" for name in others) + "\n[remote p]\nprefer = load\n"


class Wrong(Exception):
    """Something that must not be."""


class Book:
    """What became of all calls, as clients were told."""

    def __init__(self):
        self.tokens = itertools.count(1)
        self.lock = threading.Lock()
        self.same = {}                  # each kind of entry once
        self.told = {}                  # token -> (kind, ran, idempotent)
        self.places = {}                # token -> (kind, {(host, slot): ran})
        self.wrong = []                 # (kind, sentence)
        self.calls = collections.Counter()
        self.ends = collections.defaultdict(collections.Counter)   # kind -> code or "ok" -> how often
        self.longest = collections.Counter()
        self.unanswered = 0

    def token(self):
        return next(self.tokens)

    def count(self):
        return len(self.told) + len(self.places)

    def tell(self, kind, token, ran, idempotent=False):
        told = kind, ran, idempotent
        self.told[token] = self.same.setdefault(told, told)

    def tell_places(self, kind, token, ran):
        self.places[token] = (kind, ran)

    def ended(self, kind, how, seconds):
        with self.lock:
            self.calls[kind] += 1
            self.ends[kind][how] += 1
            self.longest[kind] = max(self.longest[kind], seconds)

    def blame(self, kind, sentence):
        with self.lock:
            self.wrong.append((kind, sentence))

    def judge(self, file):
        """Compares with what has run. Tokens that the file has and nobody was told of are wrong, too."""
        runs, at = collections.Counter(), collections.defaultdict(collections.Counter)
        with open(file) as lines:
            for line in lines:
                token, host, slot = line.split()
                runs[int(token)] += 1
                if int(token) in self.places:
                    at[int(token)][host, int(slot)] += 1
        for token, (kind, ran, idempotent) in self.told.items():
            n = runs.pop(token, 0)
            if ran == "no" and n:
                self.blame(kind, f"token {token} has run {n} times: the client was told that it had not")
            if ran == "yes" and not n:
                self.blame(kind, f"token {token} has not run: the client was told that it had")
            if n > 1 and not idempotent:
                self.blame(kind, f"token {token} has run {n} times")
        for token, (kind, places) in self.places.items():
            runs.pop(token, 0)
            for (host, slot), ran in places.items():
                n = at[token].pop((host, slot), 0)
                if n > 1 or (ran == "no" and n) or (ran == "yes" and not n):
                    self.blame(kind, f"token {token} has run {n} times on {host}:{slot}: the client was told {ran}")
            for place in at[token] if places else []:
                self.blame(kind, f"token {token} has run on {place}, which is no place of the call")
        for token, n in runs.items():
            self.blame("?", f"token {token} has run {n} times, and nobody knows it")

    def table(self):
        kinds = sorted(self.calls)
        blamed = collections.Counter(kind for kind, _ in self.wrong)
        return [f"{kind:18} {self.calls[kind]:8} calls, {blamed[kind]} wrong; longest {self.longest[kind]:.2f} s; " +
                ", ".join(f"{how} {n}" for how, n in self.ends[kind].most_common()) for kind in kinds]


class Line:
    """A client that has one call at a time, and takes nothing that is not of this call."""

    def __init__(self, host, book):
        self.host = host
        self.book = book
        self.client = host.client()
        self.msgid = 1      # of the call in flight
        self.tokens = []    # of the call in flight
        self.target = ""    # likewise; of a notification the last one's
        self.client.value("objpool.hello", {"client": "test", "errors": "map"})

    def token(self):
        self.tokens.append(self.book.token())
        return self.tokens[-1]

    def give_up(self, kind):
        """The own daemon is gone: nothing is known of what was in flight."""
        for token in self.tokens:
            if token not in self.book.told and token not in self.book.places:
                self.book.tell(kind, token, "maybe", "idempotent" in kind)
                self.book.unanswered += 1

    def receive(self, what):
        try:
            message = self.client.receive()
        except TimeoutError:
            raise Wrong(f"{what} has no answer after {DEADLINE} s") from None
        if message is None:
            raise EOFError
        return message

    def ask_many(self, requests):
        """Makes all these calls at once. Their [error, value], in order."""
        ids = {}
        self.target = requests[0][0].partition(".")[0]
        for at in range(len(requests)):
            self.msgid = self.msgid % 0xffffffff + 1
            ids[self.msgid] = at
        self.client.send_raw(b"".join(msgpack.packb([0, msgid, requests[at][0], list(requests[at][1:])])
                                      for msgid, at in ids.items()))
        answers = [None] * len(requests)
        while ids:
            message = self.receive(f"{len(ids)} of {len(requests)} calls of {requests[0][0]}")
            if message[0] != 1 or message[1] not in ids:
                raise Wrong(f"this answers no call in flight: {str(message)[:200]}")
            answers[ids.pop(message[1])] = message[2:]
        return answers

    def ask(self, method, *params, notice=None):
        self.msgid = msgid = self.msgid % 0xffffffff + 1
        self.target = params[0] if method.startswith("objpool.") else method.partition(".")[0]
        self.client.start(method, *params, msgid=msgid)
        while True:
            message = self.receive(f"{method}{params[:2]}")
            if message[0] == 1:
                if message[1] != msgid:
                    raise Wrong(f"an answer to call {message[1]}, which is not in flight: {str(message)[:200]}")
                return message[2], message[3]
            if message[0] != 2 or message[2][0] != msgid or not notice:
                raise Wrong(f"this came while call {msgid} was in flight: {str(message)[:200]}")
            notice(message[1], message[2][1:])

    def full(self, target, method, args, notice=None, **options):
        return self.ask("objpool.call", target, method, args, options, notice=notice)

    # ---- what an answer must be ----

    def honest(self, error, more=(), **place):
        """The `ran` of an error that may be. `place`: fields that it has where it stands for one of many results."""
        if not isinstance(error, dict) or error.get("code") not in HONEST | set(more) or error.get("ran") not in RAN or \
                not error.get("message"):
            raise Wrong(f"error {error}")
        pool, _, host = self.target.partition(":")[0].partition("@")
        if error["code"] == "HOST_LOST" and (not error.get("host") or error.get("pool") != pool):
            raise Wrong(f"HOST_LOST does not say which host, or which pool: {error}")
        if error["code"] in ("HOST_LOST", "UNREACHABLE"):
            place.update({"host": host} if host not in ("", "*") else {})
            if any(error.get(key) != value for key, value in place.items()):
                raise Wrong(f"{self.target}: {error} is about {place}")
        if error["code"] == "UNREACHABLE" and error["ran"] != "no":
            raise Wrong(f"UNREACHABLE, and may have run: {error}")
        return error["ran"]

    def one(self, kind, token, error, value, expected, idempotent=False, more=(), **place):
        """Books one task. How it ended."""
        if error is None:
            self.book.tell(kind, token, "yes", idempotent)
            if value != expected and isinstance(value, list) and isinstance(value[1], bytes):
                at = next((i for i, (a, b) in enumerate(zip(value[1], expected[1])) if a != b), len(value[1]))
                raise Wrong(f"token {token}: the answer is of {value[0]}, {len(value[1])} bytes of {len(expected[1])}; from byte "
                            f"{at} on it is {value[1][at:at + 40]}")
            if value != expected:
                raise Wrong(f"token {token}: the answer is {str(value)[:100]}, not {str(expected)[:100]}")
            return "ok"
        self.book.tell(kind, token, "maybe", idempotent)
        self.book.tell(kind, token, self.honest(error, more, **place), idempotent)
        return error["code"]

    def many(self, kind, tokens, error, pairs, idempotent=False, more=()):
        """Books the tasks of a gather: `pairs` has [error, value] of each, or the call has failed as a whole."""
        if error is not None:
            for token in tokens:
                self.one(kind, token, error, None, None, idempotent, more)
            return error["code"]
        for token in tokens:
            self.book.tell(kind, token, "maybe", idempotent)
        if len(pairs) != len(tokens):
            raise Wrong(f"{len(pairs)} results of {len(tokens)} tasks")
        ends = [self.one(kind, token, *pair, token, idempotent, more, index=index)
                for index, (token, pair) in enumerate(zip(tokens, pairs))]
        return next((end for end in ends if end != "ok"), "ok")


# ---- kinds of calls: (line, kind, random) -> "ok" or a code ----

def simple(target, seconds=0.01, **options):
    def call(line, kind, _):
        token = line.token()
        return line.one(kind, token, *line.full(target, "mark", [token, seconds], **options), token,
                        bool(options.get("idempotent")))
    return call


def key(line, kind, rng):
    token = line.token()
    return line.one(kind, token, *line.full(f"p@*:key=k{rng.randrange(100)}", "mark", [token, 0.01]), token)


def large(size):
    def call(line, kind, rng):
        token = line.token()
        data = rng.randbytes(size)
        return line.one(kind, token, *line.full("p@h2", "mark", [token, 0.0, data]), [token, data])
    return call


def gather_all(line, kind, _):
    token = line.token()
    line.book.tell_places(kind, token, {})
    error, results = line.full("p@*:all", "mark", [token, 0.01], errors="collect", labels=True)
    if error is not None:
        line.honest(error)
        if error["ran"] == "no":
            line.book.tell(kind, token, "no")
        return error["code"]
    places, end = {}, "ok"
    for index, (host, slot, (error, value)) in enumerate(results):
        if (host, slot) in places:
            raise Wrong(f"two results of {host}:{slot}")
        if error is None and value != token:
            raise Wrong(f"{host}:{slot} answers {value}, not {token}")
        places[host, slot] = "yes" if error is None else line.honest(error, host=host, slot=slot, pool="p", index=index)
        end = end if error is None else error["code"]
    if list(places) != sorted(places) or not places:
        raise Wrong(f"places {list(places)}")
    line.book.tell_places(kind, token, places)
    return end


def scatter(line, kind, _):
    error, where = line.full("p@*:all", "where", [], errors="collect")
    if error is not None:
        line.honest(error)
        return error["code"]
    tokens = [line.token() for _ in where]
    return line.many(kind, tokens, *line.full("p@*:scatter", "mark", [tokens], errors="collect"), more=["BAD_ARGUMENT"])


def map_(target, n=24, seconds=0.003, **options):
    def call(line, kind, _):
        tokens = [line.token() for _ in range(n)]
        return line.many(kind, tokens, *line.full(target, "mark", [tokens, [seconds] * n], errors="collect", **options),
                         bool(options.get("idempotent")))
    return call


class Stream:
    """Results of a stream, each in its place."""

    def __init__(self, line, tokens):
        self.line, self.tokens, self.results = line, tokens, []
        self.room = 0

    def notice(self, name, rest):
        if name == "objpool.credit":
            self.room += rest[0]
        elif name != "objpool.result" or rest[0] != len(self.results):
            raise Wrong(f"{name} {str(rest)[:100]} after {len(self.results)} results")
        else:
            self.results.append(rest[1:])

    def judge(self, kind, error, summary):
        done = len(self.results)
        end = self.line.many(kind, self.tokens[:done], None, self.results)
        if error is not None:
            self.line.many(kind, self.tokens[done:], error, None)
            return error["code"]
        failed = sum(result[0] is not None for result in self.results)
        for token in self.tokens[done:]:
            self.line.book.tell(kind, token, "maybe")
        if done != len(self.tokens) or summary != {"items": done, "failed": failed}:
            raise Wrong(f"{done} results of {len(self.tokens)}, and the summary {summary}")
        return end


def streamed(line, kind, _, n=24, seconds=0.003):
    stream = Stream(line, [line.token() for _ in range(n)])
    return stream.judge(kind, *line.full("p@*:map", "mark", [stream.tokens, [seconds] * n], errors="collect", stream=True,
                                         notice=stream.notice))


def fed(line, kind, _, n=24, seconds=0.003):
    stream = Stream(line, [line.token() for _ in range(n)])
    sent = 0

    def notice(name, rest):
        nonlocal sent
        stream.notice(name, rest)
        give = min(stream.room - sent, n - sent, 5)
        if give > 0:
            line.client.notify("objpool.feed", line.msgid, [[token, seconds] for token in stream.tokens[sent:sent + give]])
            sent += give
            if sent == n:
                line.client.notify("objpool.feed_end", line.msgid)

    return stream.judge(kind, *line.full("p@*:map", "mark", None, errors="collect", stream=True, args_as="positional", window=10,
                                         notice=notice))


def progress(line, kind, _):
    token = line.token()
    seen = []

    def notice(name, rest):
        if name != "objpool.progress" or (seen and rest[0] < seen[-1]):
            raise Wrong(f"{name} {rest} after {seen}")
        seen.append(rest[0])

    return line.one(kind, token, *line.full("p@*", "mark", [token, 0.05], progress=True, notice=notice), token)


def lease(line, kind, _):
    error, got = line.ask("objpool.lease", "p@*", {"timeout_ms": 5000})
    if error is not None:
        line.honest(error, ["TIMEOUT"])
        return error["code"]
    place = f"p@{got['host']}:{got['slot']}"
    token = line.token()
    end = line.one(kind, token, *line.full(place, "mark", [token, 0.005]), token)
    error, released = line.ask("objpool.release", f"p@{got['host']}", got["slot"])
    if error is not None:
        line.honest(error, ["NO_SUCH_LEASE", "BAD_ARGUMENT"])
        return error["code"]
    return end


def deadline(slack):
    """Ends by its deadline, whatever the host does; `slack` seconds are for a busy machine, and for an own daemon that is frozen."""
    def call(line, kind, _):
        token = line.token()
        begin = time.monotonic()
        end = line.one(kind, token, *line.full("p@*", "mark", [token, 0.01], timeout_ms=1500), token, more=["TIMEOUT"])
        if time.monotonic() - begin > 1.5 + slack:
            raise Wrong(f"ended {time.monotonic() - begin:.1f} s after it began, at a deadline of 1.5 s")
        return end
    return call


def errors_first(line, kind, _, n=24):
    """The call fails as a whole at the first failure. Of the other items nothing is told."""
    tokens = [line.token() for _ in range(n)]
    error, values = line.full("p@*:map", "mark", [tokens, [0.003] * n], errors="first")
    for token in tokens:
        line.book.tell(kind, token, "yes" if error is None else "maybe")
    if error is None and values != tokens:
        raise Wrong(f"{values} is not {tokens}")
    return "ok" if error is None else line.honest(error) and error["code"]


def describe(line, kind, _):
    error, value = line.ask("objpool.describe", "p@h2")
    if error is not None:
        line.honest(error)
        return error["code"]
    if value["class"] != "Ledger":
        raise Wrong(f"the description {str(value)[:100]}")
    return "ok"


def forget(line, kind, _):
    """Beside a call: sticky calls of a method that has none. Others have."""
    token = line.token()
    end = line.one(kind, token, *line.full("p@*", "mark", [token, 0.01]), token)
    if end != "ok":
        return end
    error, count = line.ask("objpool.forget", "p@*", "mark")
    if error is not None:
        line.honest(error)
        return error["code"]
    if count != 0:
        raise Wrong(f"{count} calls were forgotten")
    return "ok"


def by_http(line, kind, _):
    token = line.token()
    line.target = "p@*"
    line.book.tell(kind, token, "maybe")
    address = line.host.daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1)
    connection = http.client.HTTPConnection(address, timeout=DEADLINE)
    connection.request("POST", "/call/p@*.mark", json.dumps([token, 0.01]),
                       {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    return line.one(kind, token, said.get("error"), said.get("result"), token)


def of_a_program(line, kind, _):
    """A program on the bus: it speaks with the server alone, so what fails there is known by its own patience."""
    token = line.token()
    line.book.tell(kind, token, "maybe")
    try:
        with Nats(line.host.nats_port, patience=PROGRAM_PATIENCE) as program:
            answer = program.request("objpool.test.call.p.mark", json.dumps([token, 0.01]).encode())
    except (OSError, AssertionError):
        return "no answer"
    if answer.headers.get("Status") == "503":
        line.book.tell(kind, token, "no")
        return "no responders"
    if "Nats-Service-Error" in answer.headers:
        line.target = "p"
        return line.one(kind, token, json.loads(answer.body), None, token)
    return line.one(kind, token, None, json.loads(answer.body), token)


def notification(line, kind, _):
    token = line.token()
    line.book.tell(kind, token, "maybe")
    line.client.notify("p@*.mark", token)
    token = line.token()
    return line.one(kind, token, *line.full("p@*", "mark", [token, 0.005]), token)


def sticky(line, kind, _):
    """Instances keep the highest token; those that are built later get it, too."""
    token = line.token()
    line.book.tell_places(kind, token, {})
    error, results = line.full("p@*:all", "keep", [token], errors="collect", labels=True, sticky="replace")
    if error is not None:
        line.honest(error)
        return error["code"]
    ends = {(host, slot): "ok" if error is None else line.honest(error) and error["code"] for host, slot, (error, _) in results}
    line.book.tell_places(kind, token, {})
    end = next((end for end in ends.values() if end != "ok"), "ok")
    if end != "ok":
        return end
    error, results = line.full("p@*:all", "where", [], errors="collect", labels=True)
    if error is not None:
        line.honest(error)
        return error["code"]
    for host, slot, (error, value) in results:
        if error is not None:
            line.honest(error)
        elif value != [host, slot, token]:
            raise Wrong(f"the instance {host}:{slot} has {value}, not {token}")
    return "ok"


KINDS = {
    "any": simple("p@*"),
    "host": simple("p@h2"),
    "slot": simple("p@h2:1"),
    "key": key,
    "all": gather_all,
    "scatter": scatter,
    "map": map_("p@*:map"),
    "map of a host": map_("p@h2:map"),
    "map streamed": streamed,
    "map fed": fed,
    "map idempotent": map_("p@*:map", idempotent=True),
    "lease and call": lease,
    "progress": progress,
    "idempotent": simple("p@*", idempotent=True),
    "deadline": deadline(1.5),
    "large": large(256 << 10),
    "notification": notification,
    "sticky": sticky,
    "plain name": simple("p"),
    "errors first": errors_first,
    "describe": describe,
    "forget": forget,
    "by HTTP": by_http,
    "program on the bus": of_a_program,
}
LOCAL = {"local": simple("q", 0.005), "own name": simple("p@h1", 0.005)}
THIRD = {"third host": simple("p@h3", 0.005)}


class Caller(threading.Thread):
    """Makes calls of one kind, one after the other, until one that began after `healed` ends well."""

    def __init__(self, book, host, kind, make, seed, healed, unharmed=False):
        super().__init__(daemon=True)
        self.book, self.host, self.kind, self.make = book, host, kind, make
        self.random = random.Random(f"{seed} {host.name} {kind}")
        self.healed, self.unharmed = healed, unharmed
        self.count = 0
        self.start()

    def run(self):
        try:
            line = Line(self.host, self.book)
            while not self.call(line):
                pass
            line.client.close()
        except EOFError:
            self.book.blame(self.kind, "the daemon has closed the connection")
        except Exception as error:      # whatever it is, it is this kind's fault
            self.book.blame(self.kind, f"{type(error).__name__}: {error}")

    def call(self, line):
        """True: it was the last."""
        healed, begin = self.healed.is_set(), time.monotonic()
        line.tokens.clear()
        try:
            end = self.make(line, self.kind, self.random)
        except Wrong as wrong:
            self.book.ended(self.kind, "WRONG", time.monotonic() - begin)
            self.book.blame(self.kind, str(wrong))
            return True
        self.count += 1
        self.book.ended(self.kind, end, time.monotonic() - begin)
        if end != "ok":
            if self.unharmed:
                self.book.blame(self.kind, f"{end}, though nothing has befallen it")
            select.select([], [], [], 0.01)     # nobody asks at full speed for what is not there
        return healed and end == "ok"


def wait_until_ended(callers, book, deadline=2 * DEADLINE):
    until = time.monotonic() + deadline
    for caller in callers:
        caller.join(max(0, until - time.monotonic()))
        if caller.is_alive():
            book.blame(caller.kind, "no call ends well, though all hosts are there again")


def wait_until_quiet(hosts):
    """Until nothing runs anywhere that could still write a line."""
    for host in hosts:
        with host.client() as client:
            wait_for(lambda: all(pool["running"] == 0 and pool["queue"] == 0 for pool in client.value("objpool.status")["pools"]),
                     lambda: f"nothing to run on {host.name}: {client.value('objpool.status')['pools']}")
            status = lambda: client.value("objpool.hosts")  # noqa: E731
            wait_for(lambda: status()["gateway"]["requests"] == 0 and all(h["inflight"] == 0 for h in status()["hosts"]),
                     lambda: f"{host.name} to owe nothing: {status()}")


def gateway_memory(host):
    for line in pathlib.Path(f"/proc/{host.gateway()}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0
