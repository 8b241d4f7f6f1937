# SPDX-License-Identifier: Apache-2.0
"""A host is killed while maps over hosts are under way, with each mixture of their options. Each ends, and what it says is true:
of each item there is one result, nothing runs twice that is not idempotent, and of an idempotent map nothing is lost."""
import itertools
import threading

import pytest
from cluster import Cluster, needs_cluster
from cluster_calls import Book, Caller, Wrong, build_ledger, pools, wait_until_ended, wait_until_quiet
from harness import wait_for

pytestmark = needs_cluster
ITEMS, SECONDS, FEED = 40, 0.004, 7
FORMS = ["gathered", "given", "runs", "fed"]
MIXTURES = [dict(zip(("form", "ordered", "errors", "sync"), mixture)) for mixture in itertools.product(
    FORMS, (True, False), ("wait", "first", "collect"), (False, True)) if mixture[0] != "gathered" or mixture[1]]


class Items:
    """The items of one map, what is fed of them, and the results that come one by one."""

    def __init__(self, line, ordered):
        self.line, self.ordered = line, ordered
        self.tokens = [line.token() for _ in range(ITEMS)]
        self.results = {}
        self.room = self.sent = 0

    def notice(self, name, rest):
        if name == "objpool.credit":
            self.room += rest[0]
            self.feed()
        elif name == "objpool.result":
            self.take(rest[0], rest[1:])
        elif name == "objpool.results":
            for at, value in enumerate(rest[1], rest[0]):
                self.take(at, [None, value])
        else:
            raise Wrong(f"{name} {rest}")

    def take(self, at, result):
        if at in self.results or not 0 <= at < ITEMS or (self.ordered and at != len(self.results)):
            raise Wrong(f"result {at} after {len(self.results)}")
        self.results[at] = result

    def feed(self):
        while self.sent < ITEMS and self.room > self.sent:
            more = self.tokens[self.sent:min(self.room, self.sent + FEED)]
            self.line.client.notify("objpool.feed", self.line.msgid, [[token, SECONDS] for token in more])
            self.sent += len(more)
            if self.sent == ITEMS:
                self.line.client.notify("objpool.feed_end", self.line.msgid)

    def judge(self, kind, mixture, idempotent, error, answer):
        for at, token in enumerate(self.tokens):
            if at not in self.results:
                self.line.book.tell(kind, token, "maybe", idempotent)
        ends = [self.line.one(kind, self.tokens[at], *result, self.tokens[at], idempotent)
                for at, result in self.results.items()]
        failed = sum(end != "ok" for end in ends)
        if error is None:
            if len(self.results) != ITEMS or (failed and mixture["errors"] != "collect"):
                raise Wrong(f"ended well, with {len(self.results)} results, and {failed} failures: {mixture}")
            if mixture["form"] != "gathered" and answer != {"items": ITEMS, "failed": failed}:
                raise Wrong(f"the summary {answer} of {failed} failures")
            return next((end for end in ends if end != "ok"), "ok")
        self.line.honest(error)
        if mixture["errors"] == "collect":
            raise Wrong(f"{error} of a map that collects errors")
        if mixture["form"] != "gathered" and (error["items"], error["failed"]) != (len(self.results), failed + (
                mixture["errors"] == "first")):
            raise Wrong(f"{error} after {len(self.results)} results, and {failed} failures")
        if mixture["form"] != "gathered" and mixture["errors"] == "wait" and (len(self.results) != ITEMS or not failed):
            raise Wrong(f"{error} after {len(self.results)} results, and {failed} failures")
        return error["code"]


def mixed(idempotent):
    def call(line, kind, rng):
        mixture = rng.choice(MIXTURES)
        items = Items(line, mixture["ordered"])
        args = None if mixture["form"] == "fed" else [[token, SECONDS] for token in items.tokens]
        options = {"args_as": "positional", "errors": mixture["errors"], "ordered": mixture["ordered"], "sync": mixture["sync"],
                   "idempotent": idempotent}
        if mixture["form"] != "gathered":
            options["stream"] = "runs" if mixture["form"] == "runs" else True
        error, answer = line.full("p@*:map", "mark", args, notice=items.notice, **options)
        if mixture["form"] == "gathered" and error is None:
            if len(answer) != ITEMS:
                raise Wrong(f"{len(answer)} results")
            items.results = dict(enumerate(answer if mixture["errors"] == "collect" else [[None, value] for value in answer]))
        return items.judge(kind, mixture, idempotent, error, answer)
    return call


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_ledger(tmp_path_factory.mktemp("ledger"))


def test_a_host_is_killed_while_maps_run(place, library):
    file, book, healed = place / "runs", Book(), threading.Event()
    cluster = Cluster(place, ())
    add = lambda name: cluster.add(name, pools=pools(library, file, name))  # noqa: E731
    try:
        for name in ("h1", "h2", "h3"):
            add(name)
        cluster.settle_p()
        kinds = [(f"{kind} {n}", kind == "idempotent map") for kind in ("map", "idempotent map") for n in range(6)]
        callers = [Caller(book, cluster["h1"], kind, mixed(idempotent), 1, healed, unharmed=idempotent)
                   for kind, idempotent in kinds]
        wait_for(lambda: all(caller.count > 2 or not caller.is_alive() for caller in callers),
                 lambda: f"first calls: {book.table()}")
        for _ in range(2):
            cluster["h3"].kill()
            cluster["h1"].sees({"h1": 2, "h2": 2})
            add("h3")
            cluster.settle_p()
        healed.set()
        wait_until_ended(callers, book)
        wait_until_quiet(cluster.hosts.values())
        book.judge(file)
        assert not book.wrong, "\n".join([*map(str, book.wrong[:20]), *book.table()])
        lost = sum(ends["HOST_LOST"] for kind, ends in book.ends.items() if not kind.startswith("idempotent"))
        assert lost, "\n".join(book.table())         # else nothing was tested
    finally:
        cluster.stop()
