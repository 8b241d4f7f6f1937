# SPDX-License-Identifier: Apache-2.0
"""Calls by HTTP: POST /call/pool[:selector].method, with JSON arguments and answers."""
import hashlib
import http.client
import json
import re
import socket
import subprocess

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from certificates import Authority
from harness import DEADLINE, wait_for

ON = {"http": "tcp:127.0.0.1:0", "http_calls": "yes"}
JSON = {"Content-Type": "application/json"}
LINES = {**JSON, "Accept": "application/x-ndjson"}


class Caller:
    def __init__(self, daemon):
        address = daemon.wait_log(r"calls by HTTP on tcp:(\S+)").group(1)
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)

    def begin(self, path, body, headers=JSON, method="POST"):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=DEADLINE)
        connection.request(method, path, body, headers)
        return connection

    def ask(self, path, body, headers=JSON, method="POST"):
        connection = self.begin(path, body, headers, method)
        return connection, connection.getresponse()

    def send(self, path, body, headers=JSON, method="POST"):
        """(status, headers, text)"""
        connection, answer = self.ask(path, body, headers, method)
        try:
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def call(self, method, *arguments):
        status, headers, text = self.send(f"/call/{method}", json.dumps(arguments))
        assert (status, headers["Content-Type"]) == (200, "application/json"), text
        return json.loads(text)["result"]

    def error(self, method, body, status, code, headers=JSON):
        got, _, text = self.send(f"/call/{method}", body, headers)
        error = json.loads(text)["error"]
        assert (got, error["code"]) == (status, code), text
        return error

    def raw(self, data, shut=False):
        """All that comes for these bytes."""
        with socket.create_connection((self.host, self.port), timeout=DEADLINE) as s:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            got = b""
            while True:
                more = s.recv(65536)
                if not more:
                    return got
                got += more


@pytest.fixture
def caller(start):
    def begin(pools=None, daemon=None, **keywords):
        started = start(pools=pools or {"p": {}}, daemon={**ON, **(daemon or {})}, **keywords)
        return Caller(started), started
    return begin


def post(path, body, more="", version="1.1"):
    return (f"POST {path} HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def count_of(client, what):
    return sum(pool[what] for pool in client.value("objpool.status")["pools"])


def running(daemon, count):
    with daemon.client() as client:
        wait_for(lambda: count_of(client, "running") == count, lambda: "calls that run")


# ---- values ----


def test_values_come_back(caller):
    http_, _ = caller()
    values = [None, True, -5, 2 ** 64 - 1, -2 ** 63, 1.5, 0.1, 1e300,
              "é\u0000\U0001f600\"\\\n", [], {}, [[[1]]], {"a": {"b": [1]}},
              {"$bin": "AQID"}, {"$ext": [5, "AQ=="]}, {"$float": "nan"}, {"$map": [[1, 2], ["$x", None]]}, {"$str": "/w=="}]
    assert http_.call("p.echo", values) == values
    assert http_.call("p.echo") == [] and http_.call("p.echo", 1, 2) == [1, 2]
    assert http_.call("p.sum", {"$bin": "AQID"}) == 6
    assert http_.call("p.blob", 3) == {"$bin": "AAEC"}


def test_selectors_and_percent_encoding(caller):
    http_, _ = caller()
    assert http_.call("p:all.slot") == [0, 1] and http_.call("p:1.slot") == 1 and http_.call("p%3A1%2Eslot") == 1
    assert http_.call("p:map.add", [1, 2], [3, 4]) == [4, 6] and http_.call("p:scatter.echo", [1, 2]) == [1, 2]
    assert http_.call("p:key=a%20b.slot") in (0, 1)


def test_keywords_and_options(caller):
    http_, _ = caller()

    def call(method, **parts):
        return json.loads(http_.send(f"/call/{method}", json.dumps(parts))[2])
    assert call("p.echo", args=[1], kwargs={"a": 2}) == {"result": {"args": [1], "kwargs": {"a": 2}}}
    assert call("p.kwargs", kwargs={"a": None}) == {"result": {"a": None}}
    assert call("p:map.add", args=[[1, 2]], options={"bind": [10]}) == {"result": [11, 12]}
    assert call("p:map.fail", args=[["x"]], options={"errors": "collect"})["result"][0][0]["message"] == "x"
    assert call("p.sleep", args=[60], options={"timeout_ms": 20})["error"]["code"] == "TIMEOUT"
    assert call("p.progress", args=[2], options={"progress": True}) == {"result": 2}


def test_traces(caller):
    http_, _ = caller()
    trace = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
    other = trace.replace("a1", "c3")
    assert http_.send("/call/p.traceparent", '{"options": {"traceparent": "%s"}}' % other, {**JSON, "traceparent": trace})[2] == (
        '{"result": "%s"}\n' % other)
    assert http_.send("/call/p.traceparent", "[]", {**JSON, "traceparent": trace})[2] == '{"result": "%s"}\n' % trace
    assert http_.send("/call/p.traceparent", "[]", {**JSON, "traceparent": "nonsense"})[2] == '{"result": null}\n'


def test_nested_calls_cannot_be_sticky(caller):
    http_, _ = caller({"p": {}, "q": {}})
    _, _, text = http_.send("/call/p.relay", '["objpool.call", "q:all", "set", [1], {"sticky": "append"}]')
    assert "may not make calls of pool q sticky" in text


# ---- errors ----


def test_each_error_has_its_status(caller):
    http_, daemon = caller({"p": {"workers": 1, "max_queue": 1}, "broken": {"kwargs": '{"fail": "no"}'}})
    assert "Failed" in http_.error("p.fail", '["it", "Failed"]', 500, "FAILED")["type"]
    assert http_.error("none.x", "[]", 404, "NO_SUCH_POOL")["ran"] == "no"
    http_.error("p:7.echo", "[]", 404, "NO_SUCH_SLOT")
    http_.error("p.nothing", "[]", 404, "NO_SUCH_METHOD")
    http_.error("p", "[]", 400, "BAD_TARGET")
    http_.error("p:x.echo", "{}", 400, "BAD_TARGET")
    http_.error("p.add", "[1]", 400, "BAD_ARGUMENT")
    http_.error("objpool.status", "[]", 404, "NO_SUCH_POOL")
    http_.error("p.crash", "[9]", 502, "WORKER_LOST")
    http_.error("broken.echo", "[]", 503, "UNAVAILABLE")
    http_.error("p.sleep", '{"args": [60], "options": {"timeout_ms": 10}}', 504, "TIMEOUT")
    with daemon.client() as client:
        client.start("p.sleep", 60)
        wait_for(lambda: (count_of(client, "running"), count_of(client, "queue")) == (1, 0), lambda: "a busy worker")
        client.start("p.sleep", 60)
        wait_for(lambda: count_of(client, "queue") == 1, lambda: "a full queue")
        status, headers, text = http_.send("/call/p.echo", "[]")
        assert status == 429 and headers["Retry-After"] and "OVERLOADED" in text


@pytest.mark.parametrize("body, text", [
    ("", "line 1 column 1: the text ends where a value is expected"),
    ("[1,\n 2,]", "line 2 column 4: a value is expected"),
    ("[1e999]", "line 1 column 2: the number is too large for a float"),
    ('{"args": [1], "args": [2]}', "line 1 column 1: the object has the same key twice"),
    ("5", "the body must be an array of arguments"),
    ('{"arguments": []}', 'the body has a key "arguments"; there are args, kwargs and options'),
    ('{"args": null}', '"args" must be an array'),
    ('{"kwargs": []}', '"kwargs" must be an object'),
    ('{"options": []}', '"options" must be an object'),
    ('{"options": {"stream": true}}', "application/x-ndjson"),
    ('{"options": {"sticky": "append"}}', "can't be sticky"),
    ('{"options": {"nothing": 1}}', 'there is no option "nothing"'),
    ("[" * 100000, "nested too deep"),
    ("[" * 34 + "]" * 34, None),
])
def test_bodies_that_are_refused(caller, body, text):
    http_, _ = caller()
    error = http_.error("p.echo", body, 400, "BAD_REQUEST")
    assert text is None or text in error["message"]


def test_what_a_request_must_be(caller):
    http_, _ = caller()
    http_.error("p.echo", "[]", 415, "BAD_REQUEST", {})
    http_.error("p.echo", "[]", 415, "BAD_REQUEST", {"Content-Type": "text/plain"})
    assert http_.send("/call/p.echo", "[]", {"Content-Type": "Application/JSON; charset=utf-8"})[0] == 200
    status, headers, _ = http_.send("/call/p.echo", None, {}, "GET")
    assert (status, headers["Allow"]) == (405, "POST, OPTIONS")
    assert http_.send("/call", "[]")[0] in (404, 405) and http_.send("/livez", None, {}, "GET")[0] == 200


def test_calls_are_off_by_default(start):
    daemon = start(daemon={"http": "tcp:127.0.0.1:0"})
    port = int(daemon.wait_log(r"metrics by HTTP on tcp:\S+:(\d+)").group(1))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("POST", "/call/p.echo", "[]", JSON)
    answer = connection.getresponse()
    assert answer.status == 404 and b"http_calls = yes" in answer.read()


# ---- bounds ----


def test_bodies_and_results_are_bounded(caller):
    http_, daemon = caller(daemon={"http_max_body": "64K"})
    assert http_.call("p.echo", "x" * 60000) == "x" * 60000
    assert http_.send("/call/p.echo", json.dumps(["x" * 70000]))[0] == 413
    chunked = b"".join(b"8000\r\n" + b" " * 0x8000 + b"\r\n" for _ in range(3)) + b"0\r\n\r\n"
    head = (b"POST /call/p.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n")
    assert status_of(http_.raw(head + chunked)) == 413
    http_.error("p.blob", "[70000]", 413, "TOO_LARGE")
    assert len(http_.call("p.blob", 65536)["$bin"]) == 87384
    daemon.daemon["http_max_body"] = "1M"
    daemon.write_config()
    with daemon.client() as client:
        client.value("objpool.reload")
    assert len(http_.call("p.echo", "x" * 500000)) == 500000


def test_a_large_answer_comes_in_pieces(caller):
    http_, _ = caller()
    numbers = [i / 7 for i in range(50000)]
    assert http_.call("p.echo", numbers) == numbers
    answer = http_.raw(post("/call/p.echo", json.dumps([numbers]), version="1.0"))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"chunked" not in head and json.loads(body)["result"] == numbers


def test_chunked_bodies_and_http_1_0(caller):
    http_, _ = caller()
    head = "POST /call/p.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert http_.raw((head + "3\r\n[1,\r\n3\r\n 2]\r\n0\r\n\r\n").encode()).endswith(b'\r\n\r\n{"result": [1, 2]}\n')
    assert http_.raw(b"POST /call/p.echo HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[5]").endswith(
        b'{"result": 5}\n')


def test_probes_are_answered_beside_many_calls(caller):
    http_, daemon = caller({"p": {"workers": 1}})
    sockets = []
    for _ in range(100):
        s = socket.create_connection((http_.host, http_.port), timeout=DEADLINE)
        s.sendall(post("/call/p.sleep", "[60]"))
        sockets.append(s)
    with daemon.client() as client:
        wait_for(lambda: count_of(client, "queue") == 99, lambda: "calls that wait")
        for _ in range(100):
            assert http_.send("/livez", None, {}, "GET")[0] == 200
        assert count_of(client, "queue") == 99
        for s in sockets:
            s.close()
        wait_for(lambda: count_of(client, "queue") == 0, lambda: "no calls")


def test_head_has_no_body(caller):
    http_, _ = caller()
    got = http_.raw(b"HEAD /call/p.echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(got) == 405 and got.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("body", [b"0" * 65536, b"1;" + b"x" * 65536])
def test_a_line_without_end(caller, body):
    """As the size of a chunk. libevent would gather it, and look at it from its beginning for each piece that comes."""
    http_, daemon = caller(daemon={"http_max_body": "64K"})
    with socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s, daemon.client() as client:
        before = memory(client)
        s.sendall(b"POST /call/p.echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(1000):
                s.sendall(body)
        wait_for(lambda: memory(client) < before + 100000, lambda: "what came to be freed")
    assert http_.call("p.echo", 1) == 1


# ---- streams ----


def read_lines(answer):
    return [json.loads(line) for line in answer.read().decode().splitlines()]


def test_streams(caller):
    http_, _ = caller()

    def lines(method, body):
        connection, answer = http_.ask(f"/call/{method}", body, LINES)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-ndjson")
        got = read_lines(answer)
        connection.close()
        return got
    assert lines("p:map.echo", "[[1, 2]]") == [{"index": 0, "result": 1}, {"index": 1, "result": 2},
                                               {"end": {"items": 2, "failed": 0}}]
    assert [line["result"] for line in lines("p.series", "[3]")[:-1]] == [0, 1, 2]
    got = lines("p:map.fail", '{"args": [["x"]], "options": {"errors": "collect"}}')
    assert got[0]["index"] == 0 and got[0]["error"]["message"] == "x" and got[1] == {"end": {"items": 1, "failed": 1}}
    got = lines("p:map.fail", '[["x"]]')
    assert got[0]["error"]["message"] == "x" and got[-1]["error"]["code"] == "FAILED"
    got = lines("p.progress", '{"args": [2, 0, "t"], "options": {"progress": true}}')
    assert {"progress": [2, 2, "t"]} in got and got[-2:] == [{"index": 0, "result": 2}, {"end": {"items": 1, "failed": 0}}]
    status, headers, text = http_.send("/call/none.x", "[]", LINES)
    assert (status, headers["Content-Type"]) == (404, "application/json") and "NO_SUCH_POOL" in text


def test_the_first_item_comes_before_the_last(caller):
    http_, _ = caller()
    connection, answer = http_.ask("/call/p.series", "[]", LINES)  # without an end
    assert [json.loads(answer.readline())["result"] for _ in range(1000)] == list(range(1000))
    connection.close()


def test_a_client_that_does_not_read_holds_its_stream(caller):
    http_, daemon = caller({"p": {"workers": 1}}, daemon={"max_unsent": "64K"})
    connection, answer = http_.ask("/call/p.series", json.dumps([None, "x" * 1000]), LINES)
    assert json.loads(answer.readline()) == {"index": 0, "result": "x" * 1000}

    def items():
        with daemon.client() as client:
            return client.value("objpool.status")["memory"]["used"]
    before = [0]

    def rests():
        now, last = items(), before[0]
        before[0] = now
        return now == last
    wait_for(rests, lambda: "memory that rests")
    assert items() < 2 << 20
    for i in range(1, 5000):  # it goes on
        assert json.loads(answer.readline())["index"] == i
    connection.close()


# ---- clients that leave ----


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_who_leaves_cancels_the_call(caller, headers):
    http_, daemon = caller({"p": {"workers": 1}})
    s = socket.create_connection((http_.host, http_.port), timeout=DEADLINE)
    s.sendall(post("/call/p.sleep", "[60]", "Accept: application/x-ndjson\r\n" if headers is LINES else ""))
    running(daemon, 1)
    s.close()
    running(daemon, 0)
    assert http_.call("p.echo", 1) == 1


def test_bytes_behind_a_request_hurt_nobody(caller):
    http_, daemon = caller({"p": {"workers": 1}})
    with socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s:
        s.sendall(post("/call/p.sleep", "[60]"))
        running(daemon, 1)
        s.setblocking(False)
        try:
            for _ in range(1000):
                s.send(b"x" * 65536)
        except BlockingIOError:
            pass
        assert http_.send("/livez", None, {}, "GET")[0] == 200
    assert http_.raw(post("/call/p.echo", "[1]") + post("/call/p.echo", "[2]")).count(b"result") == 1


# ---- rights ----


USERS = (f"[user ci]\ntoken_sha256 = {hashlib.sha256(b'secret').hexdigest()}\ncall = p.*\ndeny = p.crash\nrate = 1000/s\n"
         "[user *]\ncall = p.echo\n")


def test_rights(caller):
    http_, daemon = caller({"p": {}, "q": {}}, users=USERS)
    bearer = {**JSON, "Authorization": "Bearer secret"}
    assert http_.call("p.echo", 1) == 1
    error = http_.error("p.slot", "[]", 401, "DENIED")
    assert error["right"] == "call" and "objpoold.conf:" in error["message"]
    assert http_.send("/call/p.slot", "[]", bearer)[0] == 200
    error = http_.error("p.crash", "[]", 403, "DENIED", bearer)
    assert error["user"] == "ci"
    http_.error("p:all.echo", "[]", 403, "DENIED", bearer)
    http_.error("nothing.echo", "[]", 403, "DENIED", bearer)
    status, headers, text = http_.send("/call/p.echo", "[]", {**JSON, "Authorization": "Bearer wrong"})
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer") and "no user's" in text


def test_refusals_of_requests_that_are_nobodys_are_in_the_log(caller):
    http_, daemon = caller(users=USERS.replace("rate = 1000/s", "watch = yes"))
    wrong = {**JSON, "Authorization": "Bearer wrong"}
    assert http_.send("/call/p.echo", "[]", wrong)[0] == 401
    assert http_.send("/metrics", None, wrong, "GET")[0] == 401
    assert http_.send("/call/p.echo", "[]", {**JSON, "Host": "evil.example.org"})[0] == 403
    assert http_.send("/metrics", None, {}, "GET")[0] == 403
    assert http_.send("/call/p.echo", "[]", {"Content-Type": "text/plain"})[0] == 415
    wait_for(lambda: daemon.log().count("a request by HTTP: DENIED") >= 4, lambda: f"four refusals in the log:\n{daemon.log()}")
    log = daemon.log()
    assert re.search(r'DENIED: host "evil.example.org" is not known.*, from tcp:127', log)
    assert len(re.findall(r"a request by HTTP: DENIED: the token is no user's, from tcp:127\.0\.0\.1:\d+\n", log)) == 2
    assert log.count("a request by HTTP: DENIED") == 4
    status, _, text = http_.send("/metrics", None, {"Authorization": "Bearer secret"}, "GET")
    assert status == 200 and "objpool_denied_requests_total 4\n" in text


def test_limits_of_users(caller):
    http_, daemon = caller({"p": {"workers": 1}}, users=USERS.replace("1000/s", "2/h"))
    bearer = {**JSON, "Authorization": "Bearer secret"}
    assert [http_.send("/call/p.slot", "[]", bearer)[0] for _ in range(2)] == [200, 200]
    status, headers, _ = http_.send("/call/p.slot", "[]", bearer)
    assert status == 429 and 1700 < int(headers["Retry-After"]) <= 1800


@pytest.mark.parametrize("limit", ["max_inflight", "max_sessions"])
def test_calls_count_for_their_user(caller, limit):
    http_, _ = caller({"p": {"workers": 1}}, users=USERS.replace("rate = 1000/s", f"{limit} = 1"))
    bearer = {**JSON, "Authorization": "Bearer secret"}
    with socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s:
        s.sendall(post("/call/p.sleep", "[60]", "Authorization: Bearer secret\r\n"))
        wait_for(lambda: http_.send("/call/p.slot", "[]", bearer)[0] == 429, lambda: "a refusal")
    wait_for(lambda: http_.send("/call/p.slot", "[]", bearer)[0] == 200, lambda: "room")


# ---- who calls, and how one is got rid of ----


def clients(client):
    return [entry for entry in client.value("objpool.clients") if entry["kind"] == "http"]


def test_clients_and_the_log_tell_of_calls(caller):
    http_, daemon = caller({"p": {"workers": 1}}, users=USERS)
    with socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s:
        s.sendall(post("/call/p.sleep", "[60]", "Authorization: Bearer secret\r\nUser-Agent: nightly/1\r\n"))
        here = "tcp:127.0.0.1:%d" % s.getsockname()[1]
        running(daemon, 1)
        with daemon.client() as client:
            [entry] = clients(client)
            assert [entry[key] for key in ("user", "by", "peer", "name", "in_flight", "calls", "waits_for", "waits_slot")] == [
                "ci", "token", here, "nightly/1", 1, 1, "p.sleep", 0]
    http_.error("p.crash", "[]", 403, "DENIED", {**JSON, "Authorization": "Bearer secret"})
    daemon.wait_log(r'DENIED: user ci may not "call" p.crash.*, from tcp:127\.0\.0\.1:\d+')


def test_clients_over_a_unix_socket(start, place):
    daemon = start(pools={"p": {"workers": 1}}, daemon={**ON, "http": f"unix:{place}/web"})
    with socket.socket(socket.AF_UNIX) as s, daemon.client() as client:
        s.connect(f"{place}/web")
        s.sendall(post("/call/p.sleep", "[60]"))
        running(daemon, 1)
        [entry] = clients(client)
        assert entry["peer"].startswith("process ") and (entry["user"], entry["by"], entry["name"]) == (None, "anyone", "")


def test_kick(caller):
    http_, daemon = caller({"p": {"workers": 1}})
    with socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s, daemon.client() as client:
        s.sendall(post("/call/p.sleep", "[60]"))
        running(daemon, 1)
        [entry] = clients(client)
        assert client.value("objpool.kick", entry["session"]) is True
        got = s.recv(65536)
        assert status_of(got) == 503 and b'"CANCELLED"' in got
        assert client.value("objpool.kick", entry["session"]) is False and clients(client) == []
        running(daemon, 0)
        connection, answer = http_.ask("/call/p.series", "[]", LINES)
        assert json.loads(answer.readline())["index"] == 0
        assert client.value("objpool.kick", clients(client)[0]["session"]) is True
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()
        connection.close()
        running(daemon, 0)


def metric(client, name):
    lines = client.value("objpool.metrics").splitlines()
    [value] = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{name} ")]
    return int(value)


def test_metrics(caller):
    http_, daemon = caller({"p": {"workers": 1}}, users=USERS.replace("1000/s", "1/h"))
    bearer = {**JSON, "Authorization": "Bearer secret"}
    assert [http_.send("/call/p.crash", "[]", bearer)[0], http_.send("/call/p.echo", "[]", bearer)[0]] == [403, 200]
    assert http_.send("/call/p.echo", "[]", bearer)[0] == 429
    assert http_.send("/call/p.echo", "[]", {})[0] == 415
    with daemon.client() as client:
        assert metric(client, 'objpool_user_denied_requests_total{user="ci"}') == 1
        assert metric(client, 'objpool_user_overloaded_requests_total{user="ci"}') == 1
        assert metric(client, 'objpool_http_calls_total') == 3 and metric(client, 'objpool_http_refused_requests_total') == 1
        assert metric(client, "objpool_http_running_calls") == 0


# ---- memory ----


def memory(client):
    return client.value("objpool.status")["memory"]["used"]


def test_bodies_on_their_way_are_counted(caller):
    http_, daemon = caller(daemon={"http_max_body": "16M", "max_memory": "4M"})
    with daemon.client() as client, socket.create_connection((http_.host, http_.port), timeout=DEADLINE) as s:
        before = memory(client)
        head = post("/call/p.echo", "", "").replace(b"Content-Length: 0", b"Content-Length: 9000000")
        s.sendall(head + b" " * 2000000)
        wait_for(lambda: memory(client) >= before + 2000000, lambda: "the body to be counted")
        try:
            s.sendall(b" " * 7000000)
            assert s.recv(100) == b""  # over its share
        except (ConnectionResetError, BrokenPipeError):
            pass
        wait_for(lambda: memory(client) < before + 100000, lambda: "the body to be freed")
        assert http_.call("p.echo", "x" * 100000) == "x" * 100000
        assert memory(client) < before + 100000


def test_many_bodies_at_once(caller):
    """They are read in turns; some of their senders have gone by then."""
    http_, daemon = caller(daemon={"http_max_body": "4M"})
    body = json.dumps([[0.1] * 100000])
    with daemon.client() as client:
        before = memory(client)
        sockets = [socket.create_connection((http_.host, http_.port), timeout=DEADLINE) for _ in range(24)]
        for s in sockets:
            s.sendall(post("/call/p.slot", body))
        for s in sockets[::2]:
            s.close()
        assert client.value("p.echo", 1) == 1
        for s in sockets[1::2]:
            assert status_of(s.recv(65536)) == 400
            s.close()
        wait_for(lambda: memory(client) < before + 100000, lambda: "their memory")


def test_a_call_far_above_its_share_ends(caller):
    http_, daemon = caller(daemon={"http_max_body": "16M", "max_memory": "8M"})
    connection, answer = http_.ask("/call/p:map.blob", f"[[{6 << 20}, {6 << 20}]]", LINES)
    daemon.wait_log(r"session \d+, a call by HTTP: the daemon holds \d+ bytes, over max_memory = 8388608, .*: ending it")
    with daemon.client() as client:
        wait_for(lambda: memory(client) < 1 << 20, lambda: "its memory")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()


# ---- browsers ----


def test_host_and_origin(caller):
    http_, _ = caller(daemon={"http_hosts": "Pool.example.org", "http_origins": "https://app.example.org"})

    def answer(**headers):
        status, got, text = http_.send("/call/p.echo", "[]", {**JSON, **headers})
        return status, got["Access-Control-Allow-Origin"]
    here = f"{http_.host}:{http_.port}"
    assert answer(Host="pool.example.org:80") == answer(Host="localhost") == answer(Host="[::1]:9") == (200, None)
    assert answer(Host="evil.example.org") == answer(Host="127.0.0.1.evil.example.org") == answer(Host="a:b") == (403, None)
    assert answer(Origin=f"http://{here}") == (200, None)
    assert answer(Origin="https://app.example.org") == (200, "https://app.example.org")
    for origin in (f"https://{here}", "http://evil.example.org", "null", "https://app.example.org.evil.example.org"):
        assert answer(Origin=origin) == (403, None)
    status, headers, _ = http_.send("/call/p.echo", None, {"Origin": "https://app.example.org"}, "OPTIONS")
    assert status == 204 and headers["Access-Control-Allow-Methods"] == "POST"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert http_.send("/call/p.echo", None, {"Origin": "http://evil.example.org"}, "OPTIONS")[0] == 403


@pytest.mark.parametrize("headers, status", [
    ("", 200), ("Host: evil.example.org\r\n", 400), ("Content-Type: text/plain\r\n", 400), ("Content-Length: 3\r\n", 400),
    ("Origin: http://localhost\r\nOrigin: http://evil.example.org\r\n", 400),
    ("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400)])
def test_headers_that_come_twice(caller, headers, status):
    http_, _ = caller()
    got = http_.raw(post("/call/p.echo", "[1]", headers))
    assert status_of(got) == status and (status == 200 or b"there is more than one header" in got)


@pytest.mark.parametrize("line, host, status", [
    ("http://evil.example.org/call/p.echo HTTP/1.1", "localhost", 403), ("//evil.example.org/call/p.echo HTTP/1.1", "localhost", 403),
    ("http://localhost/call/p.echo HTTP/1.1", "evil.example.org", 403), ("http://localhost/call/p.echo HTTP/1.1", "localhost", 200),
    ("/call/p.echo HTTP/1.1", None, 400), ("/call/p.echo HTTP/1.0", None, 200), ("/call/p.echo HTTP/1.0", "evil.example.org", 403)])
def test_whom_a_request_names(caller, line, host, status):
    http_, _ = caller()
    head = f"POST {line}\r\n" + (f"Host: {host}\r\n" if host else "")
    assert status_of(http_.raw((head + "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]").encode())) == status


# ---- curl, TLS, Unix sockets ----


def curl(*arguments):
    return subprocess.run(["curl", "-sS", "-H", "Content-Type: application/json", *arguments], capture_output=True, text=True,
                          timeout=DEADLINE, check=True).stdout


def test_curl(caller, start, place):
    http_, _ = caller()
    at = f"http://{http_.host}:{http_.port}"
    assert curl("-d", "[1, 2]", f"{at}/call/p.add") == '{"result": 3}\n'
    assert curl("-N", "-H", "Accept: application/x-ndjson", "-d", "[2]", f"{at}/call/p.series").count("\n") == 3
    (place / "text").write_text(json.dumps(["x" * 100000]))
    echoed = curl("-d", f"@{place}/text", "-H", "Expect: 100-continue", f"{at}/call/p.echo")
    assert json.loads(echoed)["result"] == "x" * 100000
    daemon = start(daemon={**ON, "http": f"unix:{place}/web"})
    daemon.wait_log("calls by HTTP on unix")
    assert curl("--unix-socket", f"{place}/web", "-d", "[5]", "http://localhost/call/p.echo") == '{"result": 5}\n'


def test_the_log_names_the_users_that_have_the_same_certificate(start, place):
    ca = Authority(place, "test CA")
    cert, key, _ = ca.issue("localhost")
    both, both_key, certificate = ca.issue("both")
    sha256 = certificate.fingerprint(SHA256()).hex()
    daemon = start(daemon={"http": "tls:127.0.0.1:0", "http_calls": "yes", "tls_cert": cert, "tls_key": key,
                           "tls_client_ca": ca.path},
                   users=f"[user ann]\ncert = cn:both\n[user bob]\ncert = sha256:{sha256}\n")
    port = daemon.wait_log(r"calls by HTTP on tls:\S+:(\d+)").group(1)
    assert '"DENIED"' in curl("--cacert", ca.path, "--cert", both, "--key", both_key, "-d", "[1]",
                              f"https://localhost:{port}/call/p.echo")
    daemon.wait_log(r"a request by HTTP: refused: the certificate is that of user ann \(objpoold.conf:\d+\) and of user bob")


def test_tls(start, place):
    ca = Authority(place, "test CA")
    cert, key, _ = ca.issue("localhost")
    ann, ann_key, _ = ca.issue("ann")
    daemon = start(daemon={"http": "tls:127.0.0.1:0", "http_calls": "yes", "tls_cert": cert, "tls_key": key,
                           "tls_client_ca": ca.path, "tls_client": "optional"},
                   users="[user ann]\ncert = cn:ann\ncall = p.*\n[user *]\n")
    port = daemon.wait_log(r"calls by HTTP on tls:\S+:(\d+)").group(1)
    at = f"https://localhost:{port}/call/p.echo"
    numbers = [i / 3 for i in range(20000)]
    (place / "numbers").write_text(json.dumps([numbers]))
    text = curl("--cacert", ca.path, "--cert", ann, "--key", ann_key, "-d", f"@{place}/numbers", at)
    assert json.loads(text)["result"] == numbers
    assert '"DENIED"' in curl("--cacert", ca.path, "-d", "[1]", at)


# ---- the end ----


def test_a_daemon_that_stops_finishes_calls(caller):
    http_, daemon = caller({"p": {"workers": 1}})
    s = socket.create_connection((http_.host, http_.port), timeout=DEADLINE)
    s.sendall(post("/call/p.sleep", "[0.3]"))
    running(daemon, 1)
    daemon.process.terminate()
    got = b""
    while True:
        more = s.recv(4096)
        if not more:
            break
        got += more
    assert got.endswith(b'{"result": 0.3}\n')
    daemon.process.wait(DEADLINE)


def test_an_address_that_is_closed_breaks_calls_off(caller):
    http_, daemon = caller({"p": {"workers": 1}})
    streams = [socket.create_connection((http_.host, http_.port), timeout=DEADLINE) for _ in range(2)]
    streams[0].sendall(post("/call/p.sleep", "[60]"))
    running(daemon, 1)
    streams[1].sendall(post("/call/p.sleep", "[60]"))
    del daemon.daemon["http"]
    daemon.write_config()
    with daemon.client() as client:
        wait_for(lambda: count_of(client, "queue") == 1, lambda: "a call that waits")
        client.value("objpool.reload")
    running(daemon, 0)
    for s in streams:
        while s.recv(4096):
            pass
        s.close()
