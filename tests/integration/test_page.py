# SPDX-License-Identifier: Apache-2.0
"""The page for people by HTTP, and what it asks for: /events, /history and /describe. tests/page looks at it in a browser."""
import base64
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import time

import msgpack
import pytest

from certificates import Authority
from harness import DEADLINE, wait_for

ON = {"http": "tcp:127.0.0.1:0", "http_calls": "yes"}
VIEWERS_MAX, VIEWERS_KEPT, VIEWERS_OF_USER = 32, 4, 16
AWKWARD = "</script><script>alert(1)</script>'\"&<!--\u202e\u2028\\ \x1b[31m\x7f é"


def hash_of(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Site:
    def __init__(self, daemon, headers=None):
        host, port = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1).rsplit(":", 1)
        self.place = host, int(port)
        self.headers = headers or {}

    def begin(self, path, headers=None, method="GET", host=None):
        connection = http.client.HTTPConnection(host or self.place[0], self.place[1], timeout=DEADLINE)
        connection.request(method, path, headers={**self.headers, **(headers or {})})
        return connection, connection.getresponse()

    def get(self, path, headers=None, method="GET", host=None):
        """(status, headers, text)"""
        connection, answer = self.begin(path, headers, method, host)
        try:
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def json(self, path, headers=None):
        status, got, text = self.get(path, headers)
        assert (status, got["Content-Type"]) == (200, "application/json"), text
        return json.loads(text)

    def events(self, query="", headers=None):
        return Events(*self.begin("/events" + query, headers))


class Events:
    """A viewer; what it has been told so far."""

    def __init__(self, connection, answer):
        self.connection, self.answer = connection, answer
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
        self.pools, self.slots, self.lines = {}, {}, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answer.close()
        self.connection.close()

    def next(self):
        """The next event; None at the end of the stream."""
        line = self.answer.readline()
        if not line:
            return None
        assert line.startswith(b"data: ") and self.answer.readline() == b"\n", line
        event = json.loads(line[6:])
        if "end" in event:
            return event
        if "names" in event:
            self.pools = {name: self.pools.get(name) for name in event["names"]}
        self.pools.update((pool["name"], pool) for pool in event["pools"])
        self.slots.update((slot["slot"], slot) for slot in event.get("slots", ()))
        self.lines += event.get("log", ())
        return event

    def until(self, check):
        until = time.monotonic() + DEADLINE
        while time.monotonic() < until:
            event = self.next()
            assert event is not None, "the stream has ended"
            if check(event):
                return event
        raise AssertionError(f"no such event; the last is {event}")


@pytest.fixture
def site(start):
    def begin(pools=None, daemon=None, headers=None, **keywords):
        started = start(pools=pools or {"p": {}}, daemon={**ON, **(daemon or {})}, **keywords)
        return Site(started, headers), started
    return begin


# ---- the page ----


def test_the_page_lets_a_browser_run_its_own_script_and_no_other(site):
    pages, _ = site()
    status, headers, text = pages.get("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = headers["Content-Security-Policy"]
    for kind, tag in ("script", "script"), ("style", "style"):
        inside, = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    rest = re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.S)
    assert not re.search(r"\b(src|style|on[a-z]+)\s*=\s*[\"']", rest) and "://" not in text
    assert set(re.findall(r'href="([^"#]*)', rest)) <= {"", "data:,"}
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY" and headers["Cache-Control"] == "no-store"


def test_heads_and_other_methods(site):
    pages, _ = site()
    for path in "/", "/events", "/history", "/describe?pool=p":
        status, headers, text = pages.get(path, method="HEAD")
        assert (status, text) == (200, ""), path
        assert pages.get(path, method="POST")[0] == 405
    assert pages.get("/describe?pool=none")[0] == 404 and pages.get("/history?pool=none")[0] == 404
    assert pages.get("/describe")[0] == 404 and pages.get("/other")[0] == 404
    assert pages.get("/history?pool=%")[0] in (400, 404)


# ---- events ----


def test_a_viewer_is_sent_all_and_then_what_changes(site):
    pages, daemon = site({"p": {"workers": 3}, "q": {}})
    with pages.events("?pool=p") as viewer, daemon.client() as client:
        first = viewer.next()
        assert first["names"] == ["p", "q"] and first["hello"]["watch"] and not first["hello"]["users"]
        assert list(viewer.pools) == ["p", "q"] and sorted(viewer.slots) == [0, 1, 2]
        assert {slot["state"] for slot in viewer.slots.values()} == {"ready"} and viewer.pools["q"]["ready"] == 2
        assert client.value("p:1.echo", 5) == 5
        event = viewer.until(lambda event: viewer.pools["p"]["calls"] == 1 and viewer.slots[1]["calls"] == 1)
        assert "names" not in event and "hello" not in event
        event = viewer.until(lambda event: not event["slots"] and not event["pools"])
        assert "names" not in event and event["now"] > first["now"]


def test_pools_that_come_and_go(site):
    pages, daemon = site()
    with daemon.client() as client, pages.events() as viewer:
        assert viewer.next()["names"] == ["p"]
        client.value("objpool.create", {"pool": "made", "plugin": "probe", "class": "Probe", "workers": 1})
        assert viewer.until(lambda event: "names" in event)["names"] == ["p", "made"]
        assert viewer.pools["made"]["state"] == "ready"
        client.value("objpool.drop", "made")
        assert viewer.until(lambda event: "names" in event)["names"] == ["p"]


def test_what_runs_waits_and_has_failed(site):
    pages, daemon = site({"p": {"workers": 1}})
    with daemon.client() as client:
        assert "no luck" in client.error("p.fail", "no luck")
        client.start("p.sleep", 60)
        client.start("p.echo", 1)
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"], lambda: "a call that runs")
        with pages.events("?pool=p") as viewer:
            viewer.next()
            slot, pool = viewer.slots[0], viewer.pools["p"]
            assert slot["running"] == "sleep" and slot["last_failure"] == "no luck" and slot["failed_at"] > 0
            assert pool["last_failure"] == "no luck" and pool["failures"] == 1 and pool["failed_slot"] == 0
            os.kill(slot["pid"], signal.SIGKILL)
            viewer.until(lambda _: viewer.slots[0]["restarts"] == 1 and viewer.lines)
            assert "killed by signal 9" in viewer.slots[0]["last_failure"] and viewer.pools["p"]["lost"] >= 1
            assert "pool p slot 0: " in viewer.lines[-1]["text"] and "signal 9" in viewer.lines[-1]["text"]


def test_clients_are_listed_if_wanted(site):
    pages, daemon = site()
    with daemon.client() as client:
        client.value("objpool.hello", {"client": AWKWARD})
        with pages.events() as viewer:
            first = viewer.next()
            assert "clients" not in first and first["daemon"]["clients"] == 2
        with pages.events("?clients=yes") as viewer:
            listed, _ = viewer.next()["clients"]
            assert listed["name"] == AWKWARD and listed["kind"] == "session" and "process" in listed["peer"]


def test_the_history_of_a_pool(site):
    pages, daemon = site()
    calls, p50, p99 = (pages.json("/history?pool=p")["fields"].index(name) for name in ("calls", "p50", "p99"))
    wait_for(lambda: pages.json("/history?pool=p")["samples"], lambda: "the first sample")
    with daemon.client() as client:
        for _ in range(50):
            client.value("p.echo")

    def has_all():
        whole = pages.json("/history?pool=p")
        return whole if sum(sample[calls] for sample in whole["samples"]) == 50 else None

    whole = wait_for(has_all, lambda: "samples of all calls")
    assert all((sample[p50] is None) == (sample[calls] == 0) for sample in whole["samples"])
    assert all(0 < sample[p50] <= sample[p99] < 10 for sample in whole["samples"] if sample[calls])
    everything = pages.json("/history")
    assert everything["step"] == 10 and sum(everything["pools"]["p"]) == 50 and len(everything["pools"]["p"]) == 60
    assert sum(sample[calls] for sample in everything["samples"]) == 50


def refusal(pages, headers=None):
    """Why there is no stream."""
    connection, answer = pages.begin("/events", headers)
    try:
        assert answer.status == 429 and answer.headers["Retry-After"]
        return answer.read().decode()
    finally:
        connection.close()


def test_too_many_viewers_are_refused(site):
    pages, _ = site()
    viewers = [pages.events() for _ in range(VIEWERS_MAX)]
    assert refusal(pages) == "OVERLOADED: too many pages are open\n"
    for viewer in viewers:
        assert viewer.next()["names"] == ["p"]
    assert f"\nobjpool_http_viewers {VIEWERS_MAX}\n" in pages.get("/metrics")[2]
    for viewer in viewers:
        viewer.__exit__()
    wait_for(lambda: pages.begin("/events")[1].status == 200, lambda: "room for a viewer")
    assert pages.get("/livez")[0] == 200


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(self.path)


def begin_by_unix(path, query=""):
    connection = UnixConnection(path)
    connection.request("GET", "/events" + query)
    return Events(connection, connection.getresponse())


def test_a_viewer_that_does_not_read_misses_events_but_no_news(start, place):
    daemon = start({"p": {"workers": 400, "isolation": "thread"}}, {"http": f"unix:{place}/http"})
    with daemon.client() as client:
        client.error("p:all.fail", "x" * 250)       # each slot has something to say: an event outgrows what a socket holds
        with begin_by_unix(place / "http", "?pool=p") as slow, begin_by_unix(place / "http") as quick:
            quick.next()
            assert client.value("p:7.echo", 1) == 1
            quick.until(lambda _: quick.pools["p"]["calls"] == 2)
            last = quick.next()
            first = slow.next()
            second = slow.next()
            assert len(first["slots"]) == 400 and second["now"] >= last["now"] > first["now"] + 1000
            assert slow.slots[7]["calls"] == 2 and slow.pools["p"]["calls"] == 2


def test_viewers_that_do_not_read_are_charged_what_they_hold(start, place):
    """And the memory of others is not theirs: when it is short, streams end before sessions are closed."""
    daemon = start({"p": {"workers": 400, "isolation": "thread"}}, {"http": f"unix:{place}/http", "max_memory": "2M"})
    with daemon.client() as client:
        client.error("p:all.fail", "x" * 250)
        viewers = [begin_by_unix(place / "http", "?pool=p")]
        held = wait_for(lambda: [row["memory"] for row in client.value("objpool.clients") if row["kind"] == "page"], lambda: "a page")
        assert 100_000 < held[0] < 1_000_000
        viewers += [begin_by_unix(place / "http", "?pool=p") for _ in range(20)]
        daemon.wait_log(r"session \d+, a page that is open: it holds \d+ bytes, and memory is short: ending it")
        assert client.value("p:3.echo", 3) == 3
        for viewer in viewers:
            viewer.__exit__()
        wait_for(lambda: client.value("objpool.status")["memory"]["used"] < 200_000,
                 lambda: client.value("objpool.status")["memory"])


def test_a_reload_that_moves_the_address_ends_the_streams(site, place):
    pages, daemon = site()
    with pages.events() as viewer, pages.events("?pool=p&clients=yes") as other:
        assert viewer.next() and other.next()
        daemon.daemon["http"] = f"unix:{place}/http"
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        for stream in viewer, other:        # the last event, which says why, may come too late to be sent
            while stream.next():
                pass
    with begin_by_unix(place / "http") as viewer:
        assert viewer.next()["names"] == ["p"]


def test_a_daemon_that_stops_ends_the_streams(site):
    pages, daemon = site()
    with pages.events() as viewer, daemon.client() as client:
        viewer.next()
        client.start("p.sleep", 60)
        wait_for(lambda: client.value("objpool.status")["pools"][0]["running"], lambda: "a call that runs")
        daemon.signal(signal.SIGTERM)
        viewer.until(lambda event: event["daemon"]["state"] == "draining")
        daemon.signal(signal.SIGTERM)
        viewer.until(lambda event: event.get("end") == "the daemon stops")
        assert viewer.next() is None
    daemon.stop()


def test_the_streams_of_an_idle_daemon_end_whole(site):
    pages, daemon = site()
    with pages.events() as viewer, pages.events() as other:
        assert viewer.next() and other.next()
        daemon.signal(signal.SIGTERM)
        for stream in viewer, other:
            stream.answer.read()        # raises IncompleteRead if the end is missing
    daemon.stop()


# ---- texts of others ----


def test_texts_of_others_stay_texts(site):
    pages, daemon = site({"p": {"workers": 1}})
    with daemon.client() as client, pages.events("?pool=p") as viewer:
        viewer.next()
        client.call("p.fail", AWKWARD)
        client.call(f"p.{AWKWARD}")
        client.send_raw(msgpack.packb([0, 77, "p.fail", [b"\xff\x00<b>".decode("latin-1")]]))
        viewer.until(lambda _: viewer.slots[0]["failures"] >= 2)
        assert viewer.pools["p"]["last_failure"] == viewer.slots[0]["last_failure"]


# ---- who may see what ----

USERS = (f"[user eye]\ntoken_sha256 = {hash_of('all')}\nwatch = yes\n"
         f"[user part]\ntoken_sha256 = {hash_of('part')}\ndescribe = p\ncall = p.echo\n"
         f"[user none]\ntoken_sha256 = {hash_of('none')}\ncall = p.echo\n")


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_there_is_nothing_but_the_page(site):
    pages, daemon = site({"p": {}, "q": {}}, users=USERS)
    assert pages.get("/")[0] == 200
    for path in "/events", "/history", "/history?pool=p", "/describe?pool=p":
        status, headers, text = pages.get(path)
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer") and text.startswith("DENIED: "), path
        assert pages.get(path, bearer("wrong"))[0] == 401
        assert pages.get(path, bearer("none"))[0] == 403
    daemon.wait_log("DENIED: the page needs the right describe or watch")


def test_a_user_sees_its_own_pools_alone(site):
    pages, daemon = site({"p": {}, "q": {}}, users=USERS)
    mine = bearer("part")
    with pages.events("?pool=q&clients=yes", mine) as viewer:
        first = viewer.next()
        assert first["names"] == ["p"] and [pool["name"] for pool in first["pools"]] == ["p"]
        assert first["hello"]["user"] == "part" and not first["hello"]["watch"]
        assert not {"slots", "clients", "log"} & first.keys() and first["daemon"] == {"state": "running", "calls": True}
    assert list(pages.json("/history", mine)["pools"]) == ["p"] and pages.json("/describe?pool=p", mine)["pool"] == "p"
    for path in "/history?pool=q", "/describe?pool=q", "/history?pool=none", "/describe?pool=none":
        assert pages.get(path, mine)[0] == 403, path
    with pages.events("?pool=q&clients=yes", bearer("all")) as viewer:
        first = viewer.next()
        assert first["names"] == ["p", "q"] and len(first["slots"]) == 2 and first["hello"]["watch"]
        assert [client["kind"] for client in first["clients"]] == ["page"]


def test_a_certificate_says_who_looks(start, place):
    ca = Authority(place, "test CA")
    cert, key, _ = ca.issue("localhost")
    ann, ann_key, _ = ca.issue("ann")
    daemon = start({"p": {}, "q": {}}, {"http": "tls:127.0.0.1:0", "tls_cert": cert, "tls_key": key, "tls_client_ca": ca.path,
                                        "tls_client": "optional"}, users="[user ann]\ncert = cn:ann\ndescribe = q\n")
    port = daemon.wait_log(r"by HTTP on tls:\S+:(\d+)").group(1)

    def begin(certificate):
        context = ssl.create_default_context(cafile=ca.path)
        if certificate:
            context.load_cert_chain(*certificate)
        connection = http.client.HTTPSConnection("localhost", int(port), timeout=DEADLINE, context=context)
        connection.request("GET", "/events?pool=q")
        return connection, connection.getresponse()

    with Events(*begin((ann, ann_key))) as viewer:
        first = viewer.next()
        assert first["names"] == ["q"] and first["hello"]["user"] == "ann" and len(first["slots"]) == 2
        assert viewer.next()["now"] > first["now"]
    connection, answer = begin(None)
    assert answer.status == 401
    connection.close()


def test_viewers_that_come_and_go_leave_nothing_behind(site):
    pages, daemon = site()
    with pages.events("?pool=p&clients=yes") as viewer:
        assert viewer.next()
    wait_for(lambda: "\nobjpool_http_viewers 0\n" in pages.get("/metrics")[2], lambda: "no viewers")
    before = daemon.descriptors()
    for n in range(100):
        with pages.events("?pool=p&clients=yes") as viewer:
            assert n % 2 or viewer.next()
    wait_for(lambda: "\nobjpool_http_viewers 0\n" in pages.get("/metrics")[2], lambda: "no viewers")
    wait_for(lambda: daemon.descriptors() <= before, lambda: f"{before} descriptors, not {daemon.descriptors()}")


def reload(daemon):
    daemon.write_config()
    daemon.signal(signal.SIGHUP)


def ends(viewer):
    """Why the stream ends."""
    event = viewer.until(lambda event: "end" in event)
    assert viewer.next() is None and event.keys() == {"now", "end"}
    return event["end"]


def test_a_stream_goes_on_over_a_reload(site):
    """With a whole event: the page may be another's, and see other pools."""
    pages, daemon = site({"p": {"workers": 1}, "gone": {}}, users=USERS)
    with pages.events("?pool=p", bearer("all")) as viewer:
        assert viewer.next()["names"] == ["p", "gone"]
        del daemon.pools["gone"]
        reload(daemon)
        event = viewer.until(lambda event: event.get("names") == ["p"])
        assert list(viewer.pools) == ["p"]
        event = viewer.until(lambda event: "hello" not in event)
        assert "names" not in event
        for _ in range(3):      # nothing has changed
            reload(daemon)
            event = viewer.until(lambda event: "hello" in event)
            assert event["names"] == ["p"] and len(event["slots"]) == 1 and event["hello"]["user"] == "eye"


def test_a_stream_shows_what_its_user_may_see_after_a_reload(site):
    pages, daemon = site({"p": {}, "q": {}}, users=USERS)
    with pages.events("?pool=p", bearer("part")) as viewer:
        assert viewer.next()["names"] == ["p"]
        daemon.users = USERS.replace("describe = p\n", "describe = q\n")
        reload(daemon)
        event = viewer.until(lambda event: "hello" in event)
        assert event["names"] == ["q"] and [pool["name"] for pool in event["pools"]] == ["q"] and "slots" not in event
        daemon.users = USERS.replace("describe = p\n", "watch = yes\n")
        reload(daemon)
        event = viewer.until(lambda event: "hello" in event)
        assert event["names"] == ["p", "q"] and event["hello"]["watch"] and len(event["slots"]) == 2


@pytest.mark.parametrize("change, why", [
    (lambda daemon: setattr(daemon, "users", USERS.replace(hash_of("part"), hash_of("other"))), "DENIED: the token is no user's"),
    (lambda daemon: setattr(daemon, "users", USERS.replace("describe = p\n", "")), "DENIED: the page needs the right describe or watch"),
    (lambda daemon: daemon.daemon.pop("http_hosts"), 'DENIED: host "pool.example" is not known'),
    (lambda daemon: daemon.daemon.pop("http_origins"), "DENIED: pages of https://app.example may not call"),
], ids=["token", "rights", "host", "origin"])
def test_a_reload_ends_streams_that_would_be_refused_now(site, change, why):
    pages, daemon = site(users=USERS, daemon={"http_hosts": "pool.example", "http_origins": "https://app.example"})
    strange = {**bearer("part"), "Host": "pool.example", "Origin": "https://app.example"}
    with pages.events("", strange) as viewer, pages.events("", bearer("all")) as other:
        assert viewer.next() and other.next()
        change(daemon)
        reload(daemon)
        assert ends(viewer).startswith(why)
        assert other.until(lambda event: "hello" in event)
    assert pages.get("/events", strange)[0] in (401, 403)


def test_a_stream_without_tls_ends_when_the_address_gets_it(site, place):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    pages, daemon = site(daemon={"http": f"tcp:127.0.0.1:{port}"})
    with pages.events() as viewer:
        assert viewer.next()
        cert, key, _ = Authority(place, "test CA").issue("localhost")
        daemon.daemon.update(http=f"tls:127.0.0.1:{port}", tls_cert=cert, tls_key=key)
        reload(daemon)
        assert ends(viewer) == "this address has TLS now"


def test_a_page_is_listed_as_a_client_and_can_be_kicked(site):
    pages, daemon = site(users=USERS + "[user root]\nuid = 0\nwatch = yes\noperate = yes\n")
    with daemon.client() as client, pages.events("?clients=yes", {**bearer("all"), "User-Agent": AWKWARD.encode().decode("latin-1")}) as viewer:
        assert [row["kind"] for row in viewer.next()["clients"]] == ["session", "page"]
        row, = [row for row in client.value("objpool.clients") if row["kind"] == "page"]
        assert (row["user"], row["by"], row["calls"], row["in_flight"]) == ("eye", "token", 0, 0)
        assert row["peer"].startswith("tcp:127.0.0.1:") and row["name"] and row["since_s"] < DEADLINE
        assert client.value("objpool.kick", row["session"]) is True
        assert ends(viewer) == "the page was closed by objpool.kick"
        assert client.value("objpool.kick", row["session"]) is False
        assert [row["kind"] for row in client.value("objpool.clients")] == ["session"]


def test_some_streams_are_kept_for_those_who_watch(site):
    users = USERS + f"[user more]\ntoken_sha256 = {hash_of('more')}\ndescribe = p\n"
    pages, _ = site(users=users)
    viewers = [pages.events("", bearer("part")) for _ in range(VIEWERS_OF_USER)]
    assert refusal(pages, bearer("part")) == "OVERLOADED: this user has too many pages open\n"
    viewers += [pages.events("", bearer("more")) for _ in range(VIEWERS_MAX - VIEWERS_KEPT - VIEWERS_OF_USER)]
    assert refusal(pages, bearer("more")) == "OVERLOADED: too many pages are open\n"
    viewers += [pages.events("", bearer("all")) for _ in range(VIEWERS_KEPT)]
    assert refusal(pages, bearer("all")) == "OVERLOADED: too many pages are open\n"
    for viewer in viewers:
        viewer.__exit__()


def test_pages_of_strangers_see_nothing(site):
    pages, _ = site()
    for path in "/", "/events", "/history", "/describe?pool=p", "/livez", "/readyz", "/metrics":
        assert pages.get(path, {"Host": "evil.example"})[0] == 403, path
        assert pages.get(path, {"Origin": "http://evil.example"})[0] == 403, path
        assert "Access-Control-Allow-Origin" not in pages.get(path, {"Origin": "http://evil.example"})[1]


def test_pages_of_strangers_can_not_embed_what_the_page_loads(site):
    """A browser sends no Origin for an image or a script: streams would stay open for a page that can't even read them."""
    pages, _ = site(daemon={"http_origins": "https://app.example.org"})
    for path in "/history", "/events", "/describe?pool=p":
        status, _, text = pages.get(path, {"Sec-Fetch-Site": "cross-site"})
        assert status == 403 and "another site" in text, path
    assert pages.get("/history", {"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.org"})[0] == 200
    assert [pages.get("/history", {"Sec-Fetch-Site": value})[0] for value in ("same-origin", "none")] == [200, 200]
    assert pages.get("/", {"Sec-Fetch-Site": "cross-site"})[0] == 200       # a link


def test_other_machines_see_nothing_where_there_are_no_users(site):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback's")
        own = s.getsockname()[0]
    pages, daemon = site(daemon={"http": "tcp:0.0.0.0:0", "http_calls": "no", "insecure_remote": "yes"})
    pages.place = "127.0.0.1", pages.place[1]
    assert pages.get("/history")[0] == 200
    status, _, text = pages.get("/history", host=own)
    assert status == 403 and text.startswith("DENIED: from other machines the page needs users")
    assert pages.get("/events", host=own)[0] == 403 and pages.get("/metrics", host=own)[0] == 200
    daemon.daemon["http_calls"] = "yes"
    daemon.write_config()
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: pages.get("/history", host=own)[0] == 200, lambda: "what calls open")
