# SPDX-License-Identifier: Apache-2.0
"""Programs on the bus that are not objpool's call shared pools, which are NATS services."""
import json

import msgpack
import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for
from bus_program import Nats

pytestmark = needs_cluster

CALL = "objpool.test.call.p."


@pytest.fixture
def bus():
    """bus(cluster) -> a program on the bus."""
    made = []

    def make(hosts, **options):
        made.append(Nats(hosts.server.port, **options))
        return made[-1]

    yield make
    for one in made:
        one.__exit__()


def value(nats, method, *arguments, **headers):
    answer = nats.request(CALL + method, json.dumps(arguments).encode() if arguments else b"", headers or None)
    assert "Nats-Service-Error-Code" not in answer.headers, answer
    return json.loads(answer.body)


def failure(answer):
    """The error of an answer, whose headers say the same."""
    error = json.loads(answer.body)
    assert answer.headers["Nats-Service-Error"] == f"{error['code']}: {error['message']}", answer
    return int(answer.headers["Nats-Service-Error-Code"]), error


def ask(nats, subject):
    return json.loads(nats.request("$SRV." + subject).body)


def is_offered(hosts, nats):
    """Waits until each host offers its pool, and the daemon has described it: offers come a moment after a host is seen."""
    for name, host in hosts.hosts.items():
        wait_for(lambda: nats.request(f"objpool.test.call.p@{name}.tag").headers.get("Status") != "503",
                 lambda: f"{name} to offer p:\n{host.daemon.log()}")
    count = len(hosts.hosts)

    def look():
        infos = nats.request("$SRV.INFO.p", count=count)
        return all(len(json.loads(info.body)["endpoints"]) > 10 for info in (infos if count > 1 else [infos]))
    wait_for(look, lambda: "all descriptions")


@pytest.fixture
def one(cluster, bus):
    hosts = cluster(("h1",))
    nats = bus(hosts)
    is_offered(hosts, nats)
    return hosts, nats


# ---- requests and answers ----

def test_json(one):
    _, nats = one
    assert value(nats, "tag") == "h1"
    assert value(nats, "add", 1, 2) == 3
    assert value(nats, "echo", {"a": [1, 2.5, None, True, "\u20ac"]}) == {"a": [1, 2.5, None, True, "\u20ac"]}
    for body, back in ((b'"x"', "x"), (b" 7", 7), (b"[[1]]", [1]), (b'{"k": 1}', {"k": 1}), (b"null", None), (b"-1.5", -1.5),
                       (b'{"$bin": "AAE="}', {"$bin": "AAE="})):
        assert json.loads(nats.request(CALL + "echo", body).body) == back, body


def test_msgpack(one):
    _, nats = one
    for arguments, back in (([1, 2], 3), ([b"a", b"b"], None)):
        answer = nats.request(CALL + "add", msgpack.packb(arguments))
        if back is not None:
            assert msgpack.unpackb(answer.body) == back
        else:
            assert msgpack.unpackb(answer.body)["code"] and answer.headers["Nats-Service-Error-Code"]
    assert msgpack.unpackb(nats.request(CALL + "echo", msgpack.packb({"a": b"\0"})).body) == {"a": b"\0"}
    header = {"content-type": "application/msgpack"}
    assert msgpack.unpackb(nats.request(CALL + "echo", b"\x5b", header).body) == 91  # "[", without the header
    assert msgpack.unpackb(nats.request(CALL + "tag", b"", header).body) == "h1"
    assert json.loads(nats.request(CALL + "echo", b'"x"', {"Content-Type": "application/json; charset=utf-8"}).body) == "x"


def test_options_and_selectors(one):
    _, nats = one
    options = json.dumps({"kwargs": {"message": "no", "type": "Own"}})
    code, error = failure(nats.request(CALL + "fail", b"", {"Objpool-Options": options}))
    assert (code, error["message"], error["type"], error["ran"]) == (500, "no", "Own", "yes")
    for slot in (0, 1):
        assert value(nats, "slot", **{"Objpool-Selector": slot}) == slot
    assert value(nats, "slot", **{"Objpool-Selector": "all"}) == [0, 1]
    assert value(nats, "add", [1, 2], [3, 4], **{"Objpool-Selector": "map"}) == [4, 6]
    late = nats.request(CALL + "sleep", b"[60]", {"Objpool-Options": '{"timeout_ms": 20}'})
    code, error = failure(late)
    assert (code, error["code"]) == (504, "TIMEOUT")


def test_what_is_refused(one):
    _, nats = one
    for body, headers, code, word in (
            (b"[1", None, 400, "line 1 column 3"), (b"\xc1", None, 400, "msgpack"), (b"\x93\x01", None, 400, "msgpack"),
            (b"\x01\x02", None, 400, "msgpack"), (b"[]", {"Content-Type": "text/xml"}, 400, "Content-Type"),
            (b"[]", {"Objpool-Options": "[]"}, 400, "Objpool-Options"), (b"[]", {"Objpool-Options": '{"stream": true}'}, 400, "stream"),
            (b"[]", {"Objpool-Options": "{"}, 400, "Objpool-Options is no JSON"),
            (b"[]", {"Objpool-Options": '{"sticky": true}'}, 400, "sticky"), (b"[]", {"Objpool-Options": '{"none": 1}'}, 400, "none"),
            (b"[]", {"Objpool-Selector": "x y"}, 400, ""), (b"[]", {"Objpool-Selector": "7"}, 404, ""),
            (b"[" * 40 + b"]" * 40, None, 400, "deep"), (b"\x91" * 60 + b"\x01", None, 400, "deep")):
        answer = nats.request(CALL + "echo", body, headers)
        as_json = body[:1] in b"[" or "Content-Type" in (headers or {})
        error = json.loads(answer.body) if as_json else msgpack.unpackb(answer.body)
        assert answer.headers["Nats-Service-Error-Code"] == str(code), (body, answer)
        assert error["ran"] == "no" and word in error["message"], (body, error)
    code, error = failure(nats.request(CALL + "no_such", b"[]"))
    assert (code, error["code"], error["ran"]) == (404, "NO_SUCH_METHOD", "no")
    assert value(nats, "tag") == "h1"


def test_a_value_that_stands_for_a_descriptor(one):
    """It would be taken for a descriptor of another program's, or waited for: it is refused before the daemon sees it."""
    _, nats = one
    as_json = b'[{"$ext": [112, "' + b"A" * 22 + b'=="]}]'
    for body in (b"\x91\xd8\x70" + bytes(16), b"\xd8\x70" + bytes(16), b"\x81\xa1k\xd8\x70" + bytes(16), as_json):
        answer = nats.request(CALL + "echo", body)
        error = json.loads(answer.body) if body is as_json else msgpack.unpackb(answer.body)
        assert (error["code"], error["ran"]) == ("BAD_REQUEST", "no") and "which the bus can't carry" in error["message"], answer
    options = {"Objpool-Options": '{"kwargs": {"x": {"$ext": [112, "' + "A" * 22 + '=="]}}}'}
    assert "which the bus can't carry" in failure(nats.request(CALL + "echo", b"[]", options))[1]["message"]
    assert value(nats, "tag") == "h1"


def test_only_pools_can_be_reached(one):
    """Not the daemon's own methods."""
    hosts, nats = one
    for subject in ("objpool.test.call.objpool.shutdown", "objpool.test.call.q.tag", "objpool.test.call.p@h2.tag"):
        assert nats.request(subject, b"[]").headers["Status"] == "503"
    code, _ = failure(nats.request(CALL + "objpool.shutdown", b"[]"))
    assert code == 404
    with hosts["h1"].client() as client:
        assert client.value("p.tag") == "h1"


def test_a_call_that_nobody_waits_for(one):
    hosts, nats = one
    nats.publish(CALL + "set", b'["kept"]', headers={"Objpool-Selector": "0"})
    nats.flush()
    with hosts["h1"].client() as client:
        wait_for(lambda: client.value("p:0.get") == "kept", lambda: "the call")
    assert ask(nats, "STATS.p")["endpoints"]


def test_no_answer_goes_where_hosts_speak(one, bus):
    """Whoever asks names the subject of the answer, which is sent with the host's permissions."""
    hosts, nats = one
    listener = bus(hosts)
    for reply in ("objpool.test.to.h1.h2", "objpool.test.beat.h1", "$SRV.x", "$JS.API.x", "_INBOX_objpool_h1.x"):
        listener.subscribe(reply)
        for subject in (CALL + "tag", "$SRV.PING", "$SRV.INFO.p"):
            nats.publish(subject, b"[]", reply)
    listener.subscribe("_INBOX.heard")
    nats.publish(CALL + "tag", b"[]", "_INBOX.heard")
    heard = [listener.next()]
    while heard[-1].subject != "_INBOX.heard":
        heard.append(listener.next())
    assert [m.subject for m in heard if m.body == b'"h1"' or b"io.nats.micro" in m.body] == ["_INBOX.heard"]


# ---- sizes ----

def test_an_answer_that_the_bus_cannot_carry(one):
    _, nats = one
    largest = nats.info["max_payload"]
    text = "x" * (largest - 100)
    assert value(nats, "echo", text) == text
    as_json, packed = {"Content-Type": "application/json"}, {"Content-Type": "application/msgpack"}
    fits = largest * 9 // 10  # packed, but not in base64
    assert len(msgpack.unpackb(nats.request(CALL + "blob", msgpack.packb([fits]), packed).body)) == fits
    for size in (fits, 30 << 20):  # the second is not even kept
        code, error = failure(nats.request(CALL + "blob", str(size).encode(), as_json))
        assert (code, error["code"], error["ran"]) == (413, "TOO_LARGE", "yes")
    answer = nats.request(CALL + "fail", json.dumps(["x" * (largest - 100)]).encode())
    assert answer.headers["Nats-Service-Error-Code"] == "500" and len(answer.headers["Nats-Service-Error"]) < 300
    assert value(nats, "tag") == "h1"


def test_too_many_calls(one):
    _, nats = one
    inbox = "_INBOX.many"
    nats.subscribe(inbox)
    for _ in range(4300):
        nats.publish(CALL + "sleep", b"[30]", inbox, {"Objpool-Options": '{"timeout_ms": 2000}'})
    codes = [json.loads(nats.next().body)["code"] for _ in range(4300)]
    assert codes.count("OVERLOADED") >= 4300 - 4096 and set(codes) <= {"OVERLOADED", "TIMEOUT"}, set(codes)
    assert value(nats, "tag") == "h1"


# ---- discovery ----

def test_what_services_say(one):
    _, nats = one
    ping = ask(nats, "PING")
    assert ping["type"] == "io.nats.micro.v1.ping_response" and ping["name"] == "p"
    assert ping["metadata"] == {"host": "h1", "domain": "test", "class": "Probe", "slots": "2", **ping["metadata"]}
    assert all(isinstance(text, str) for text in ping["metadata"].values())
    for subject in ("PING.p", f"PING.p.{ping['id']}"):
        assert ask(nats, subject) == ping
    info = ask(nats, f"INFO.p.{ping['id']}")
    assert info["type"] == "io.nats.micro.v1.info_response" and "for tests" in info["description"]
    add = next(e for e in info["endpoints"] if e["name"] == "add")
    assert add["subject"] == CALL + "add" and add["queue_group"] == "objpool" and add["metadata"]["signature"].startswith("(")
    for subject in ("PING.q", "PING.p.other", "INFO.p.other", "OTHER", "PING.p." + ping["id"] + ".more"):
        nats.publish("$SRV." + subject, b"", "_INBOX.none")
    assert ask(nats, "PING") == ping and not nats.waiting


def test_what_is_counted(one):
    _, nats = one
    for i in range(5):
        value(nats, "add", i, 1)
    nats.request(CALL + "add", b'[1, "x"]')
    nats.request(CALL + "sleep", b"[0.05]")
    stats = ask(nats, "STATS.p")
    assert stats["type"] == "io.nats.micro.v1.stats_response" and stats["started"].endswith("Z")
    of = {endpoint["name"]: endpoint for endpoint in stats["endpoints"]}
    assert (of["add"]["num_requests"], of["add"]["num_errors"]) == (6, 1) and of["add"]["last_error"].startswith("BAD_ARGUMENT: ")
    assert of["sleep"]["num_requests"] == 1 and of["sleep"]["average_processing_time"] >= 50e6
    assert of["echo"]["num_requests"] == 0 and of["echo"]["average_processing_time"] == 0


def test_several_hosts_are_one_service(cluster, bus):
    hosts = cluster(("h1", "h2"))
    nats = bus(hosts)
    is_offered(hosts, nats)
    assert {json.loads(a.body)["metadata"]["host"] for a in nats.request("$SRV.PING.p", count=2)} == {"h1", "h2"}
    assert {value(nats, "tag") for _ in range(60)} == {"h1", "h2"}
    for name in ("h1", "h2"):
        assert {json.loads(nats.request(f"objpool.test.call.p@{name}.tag").body) for _ in range(10)} == {name}
    hosts["h2"].daemon.stop()
    assert {value(nats, "tag") for _ in range(20)} == {"h1"}
    assert nats.request("objpool.test.call.p@h2.tag").headers["Status"] == "503"
    hosts["h1"].daemon.stop()
    assert nats.request(CALL + "tag").headers["Status"] == "503"


def test_a_host_without_a_ready_instance(cluster, bus):
    """It leaves the requests to the others, and takes them again."""
    hosts = cluster(("h1", "h2"))
    nats = bus(hosts)
    is_offered(hosts, nats)
    with hosts["h1"].client() as client:
        client.value("objpool.pause", "p")
        short = {"Objpool-Options": '{"timeout_ms": 100}'}

        def look():
            """Not even a late answer of h1."""
            return all(nats.request(CALL + "tag", b"", short).body == b'"h2"' for _ in range(30))
        wait_for(look, lambda: "h1 to leave")
        client.value("objpool.resume", "p")
        wait_for(lambda: {value(nats, "tag") for _ in range(30)} == {"h1", "h2"}, lambda: "h1 to be back")


def test_a_call_is_not_sent_on(cluster, bus):
    """Though the host's own clients may be sent to other hosts."""
    hosts = cluster(("h1", "h2"), sections="\n[remote p]\nhosts = *\nprefer = load\n")
    nats = bus(hosts)
    is_offered(hosts, nats)
    for name in ("h1", "h2"):
        subject = f"objpool.test.call.p@{name}.tag"
        assert {json.loads(nats.request(subject).body) for _ in range(30)} == {name}


def test_the_session_of_the_bus_is_closed(one):
    """What it owed has an answer, and the next request has a new session."""
    hosts, nats = one
    with hosts["h1"].client() as client:
        nats.subscribe("_INBOX.lost")
        nats.publish(CALL + "sleep", b"[30]", "_INBOX.lost")
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"] == 1, lambda: "the call")
        session = next(c["session"] for c in client.value("objpool.clients") if c["name"] == "bus")
        assert client.value("objpool.kick", session) is True
    code, error = failure(nats.next())
    assert (code, error["code"], error["ran"]) == (503, "UNAVAILABLE", "maybe")
    assert value(nats, "tag") == "h1"


def test_a_server_that_comes_back(one, bus):
    hosts, nats = one
    hosts.server.stop()
    hosts.server.start()
    again = bus(hosts)
    is_offered(hosts, again)
    assert value(again, "tag") == "h1"


# ---- rights ----

def test_the_user_of_the_bus(cluster, bus):
    hosts = cluster(("h1",), sections="\n[user bus/*]\ncall = p.tag\n[user *]\nwatch = yes\ndescribe = *\n")
    nats = bus(hosts)
    wait_for(lambda: nats.request(CALL + "tag").headers.get("Status") != "503", lambda: "the pool")
    assert value(nats, "tag") == "h1"
    code, error = failure(nats.request(CALL + "echo", b"[1]"))
    assert (code, error["code"], error["ran"]) == (403, "DENIED", "no") and "bus/" in error["message"]
    endpoints = ask(nats, "INFO.p")["endpoints"]  # it may not see the description
    assert [(e["name"], e["subject"]) for e in endpoints] == [("call", CALL + ">")]
    assert ask(nats, "STATS.p")["endpoints"][0]["num_errors"] >= 1


def test_what_is_not_shared(cluster, bus):
    hosts = cluster(("h1",), pools={"p": {"workers": 1, "share": "yes"}, "own": {"workers": 1},
                                    "pickles": {"workers": 1, "share": "yes", "unpickle": "yes", "trust": "h2"}})
    nats = bus(hosts)
    is_offered(hosts, nats)
    for name in ("own", "pickles"):
        assert nats.request(f"objpool.test.call.{name}.tag").headers["Status"] == "503"
    assert ask(nats, "PING")["name"] == "p"
