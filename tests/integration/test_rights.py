# SPDX-License-Identifier: Apache-2.0
"""Users and rights: who a client is, what it is told when it is refused, and what a reload changes."""
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import urllib.error
import urllib.request

import msgpack
import pytest
from harness import Client, DEADLINE
from test_config import check

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="connects as other users")
NOBODY = 65534
CLASSES = pathlib.Path(__file__).parent / "classes"


def sha(token):
    return hashlib.sha256(token.encode()).hexdigest()


CI = f"[user ci]\ntoken_sha256 = {sha('secret')}\ncall = p.*\ndescribe = p\n"


def with_token(daemon, token="secret"):
    client = daemon.client()
    client.value("objpool.hello", {"errors": "map", "token": token})
    return client


@contextlib.contextmanager
def as_user(daemon, uid, gid=NOBODY, groups=()):
    before = os.getgroups()
    os.chmod(daemon.path, 0o755)
    os.chmod(daemon.path.parent, 0o755)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    try:
        client = Client(daemon.address)
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
    with client:
        yield client.maps()


def line_of(daemon, text):
    return daemon.config.read_text().split("\n").index(text) + 1


# ---- who one is ----


def test_a_token(start):
    daemon = start(users=CI)
    with with_token(daemon) as client:
        who = client.value("objpool.whoami")
        assert who == {"user": "ci", "by": "token", "roles": [], "rights": {"call": ["p.*"], "describe": ["p"]}, "limits": {}}
        assert client.value("p.echo", 7) == 7
        error = client.error("p:all.echo", 7)
        place = f"objpoold.conf:{line_of(daemon, '[user ci]')}"
        assert (error["code"], error["user"], error["right"], error["ran"]) == ("DENIED", "ci", "all", "no")
        assert error["message"] == f'user ci may not "all" p.echo ({place})'
    with daemon.client() as client:
        client.value("objpool.hello", {"token": "secret"})
        assert client.error("q.echo") == f'DENIED: user ci may not "call" q.echo ({place})'


def test_a_wrong_token_ends_the_connection(start):
    daemon = start(users=CI)
    for token in "Secret", "", "x" * 100000:
        with daemon.client() as client:
            client.send_raw(msgpack.packb([0, 1, "objpool.hello", [{"token": token}]]))
            assert client.wait(1)[0].startswith("DENIED: ")
            assert client.receive() is None
    with daemon.client(daemon.tcp) as client:
        assert client.error("objpool.hello", {"token": "secret"}).startswith("DENIED: a token came over plain TCP")
        assert client.receive() is None
    with daemon.client() as client:
        client.value("objpool.ping")
        assert client.error("objpool.hello", {"token": "secret"}).startswith("BAD_REQUEST: ")
        client.value("objpool.ping")
    with daemon.client() as client:  # what is refused is a request, too
        client.send_raw(b"\x94\x00\x07\xacobjpool.ping" + b"\x91" * 40 + b"\x01")
        assert client.wait(7)[0].startswith("BAD_REQUEST: ")
        assert client.error("objpool.hello", {"token": "secret"}).startswith("BAD_REQUEST: ")


def test_the_log_has_a_bounded_number_of_lines_about_wrong_tokens(start):
    daemon = start(users=CI)
    for _ in range(110):
        with daemon.client() as client:
            assert client.error("objpool.hello", {"token": "wrong"}).startswith("DENIED: ")
    daemon.stop()
    log = daemon.log_path.read_text()
    assert log.count("the token is no user's") == 100
    assert f"the connection is closed, from process {os.getpid()}, user {os.getuid()}, group {os.getgid()}" in log


def test_who_is_nobodys_user(start):
    daemon = start(users=CI)
    with daemon.client(daemon.tcp) as client:
        client.maps()
        assert client.value("objpool.whoami") == {"user": None, "by": "none", "roles": [], "rights": {}, "limits": {}}
        assert client.value("objpool.hello")["pools"] == [] and client.value("objpool.ping") == []
        for method in "p.echo", "objpool.pools", "objpool.status", "objpool.metrics", "objpool.cancel", "objpool.nothing":
            error = client.error(method, *[1] * (method == "objpool.cancel"))
            assert error["code"] == "DENIED" and "user" not in error, (method, error)
        client.notify("p.note")
    daemon.wait_log(r'session \d+: DENIED: a client that is no user may not "call" p\.note .*, from tcp:127\.0\.0\.1:')


@needs_root
def test_uids_groups_and_root(start):
    users = ("[role r]\ndescribe = p\n[user alice]\nuid = 12345\nis = r\n[user a]\ngid = 777\ncall = p.*\n"
             "[user b]\ngid = 888\ndeny = p.pid\nall = p.*\n[user *]\ncall = p.gen*\n")
    daemon = start(users=users, daemon={"socket_mode": "0666"})
    with as_user(daemon, 12345) as client:
        who = client.value("objpool.whoami")
        assert (who["user"], who["by"], who["roles"]) == ("alice", "uid", ["r"])
        assert [pool["name"] for pool in client.value("objpool.pools")] == ["p"]
    with as_user(daemon, 4444, 777, [888]) as client:
        assert client.value("objpool.whoami")["user"] == "a,b" and client.value("objpool.whoami")["by"] == "gid"
        assert client.value("p.echo", 1) == 1 and client.value("p:all.echo", 1) == [1, 1]
        assert client.error("p.pid")["message"].endswith(f"(objpoold.conf:{line_of(daemon, 'deny = p.pid')})")
    with as_user(daemon, 4444, 888) as client:
        assert client.error("p.echo", 1)["user"] == "b"
    with as_user(daemon, 4444) as client:
        assert (client.value("objpool.whoami")["user"], client.value("objpool.whoami")["by"]) == ("*", "anyone")
    with daemon.client() as client:
        assert (client.value("objpool.whoami")["user"], client.value("objpool.whoami")["by"]) == ("root", "root")
        assert client.value("p:all.echo", 1) == [1, 1]


def test_without_users_all_is_as_it_was(start):
    daemon = start()
    with daemon.client(daemon.tcp) as client:
        client.value("objpool.hello", {"token": "anything"})
        who = client.value("objpool.whoami")
        assert who["by"] == "anyone" and who["rights"]["call"] == ["*.*"]
        assert client.error("objpool.acl", "ci", "call", "p.x").startswith("BAD_ARGUMENT: there is no [user ci]")


# ---- what follows ----


def test_names_are_judged_whether_or_not_they_exist(start):
    daemon = start(users=CI)
    with with_token(daemon) as client:
        assert client.error("no_such.echo")["code"] == client.full("no_such", "echo")[0]["code"] == "DENIED"
        assert client.error("p.no_such")["code"] == "NO_SUCH_METHOD"
        assert client.error("objpool.call", "no_such", "echo", 5)["code"] == "BAD_REQUEST"
        assert client.error("objpool.call", "no_such", "echo", [], {"colour": 1})["code"] == "BAD_REQUEST"
        assert client.error("no_such.:x")["code"] == "DENIED" and client.error("p:x.echo")["code"] == "BAD_TARGET"


def test_a_refusal_shows_no_other_name_than_what_was_asked_for(start):
    daemon = start(users=CI.replace("call = p.*", "call = p.echo"))
    with with_token(daemon) as client:
        for method, shown in [("p.echo\0", "p.echo?"), ("p.echo\n\x1b", "p.echo??"), 
                              ("p.é" + "é" * 100, "p." + "é" * 38 + "..."), ("p." + "x" * 77, "p." + "x" * 76 + "..."), ("p." + "x" * 76, "p." + "x" * 76)]:
            assert client.error(method)["message"].startswith(f'user ci may not "call" {shown} (objpoold.conf:')
            assert client.full("p", method.removeprefix("p."))[0]["message"].startswith(f'user ci may not "call" {shown} (')
        assert client.error("objpool.reload\0")["message"] == 'the daemon has no method "objpool.reload?"'
    daemon.stop()  # all lines have been written
    lines = re.findall(r'DENIED: user ci may not "call" p\.echo(.*)', daemon.log_path.read_text())
    assert [line.split(" ")[0] for line in lines] == ["?", "?", "??", "??"]


def test_pipelined_calls_are_all_judged(start):
    daemon = start(users=CI + "deny = p.gen*\n")
    with with_token(daemon) as client:
        wanted = [("p.echo" if i % 7 else "p.generation", i) for i in range(3000)]
        msgids = [client.start(method, i) for method, i in wanted]
        for msgid, (method, i) in zip(msgids, wanted):
            error, result = client.wait(msgid)
            assert (result == i) if method == "p.echo" else error["code"] == "DENIED"


def test_nested_calls_have_the_rights_of_the_first_caller(start):
    daemon = start(pools={"p": {"workers": 1}, "q": {"workers": 1}}, users=CI + "deny = q.pid\n")
    with with_token(daemon) as client:
        error = client.error("p.relay", "q.echo", 1)
        assert error["type"] == "DENIED" and "q.echo" in error["message"]
    with daemon.client() as root:
        if os.geteuid() == 0:
            assert "DENIED" not in repr(root.call("p.relay", "q.echo", 1))


def test_a_reload_changes_rights_at_the_next_call(start):
    daemon = start(users=CI)
    with with_token(daemon) as client:
        assert client.value("p.echo", 1) == 1
        daemon.users = CI.replace("call = p.*", "call = p.pid")
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        assert client.error("p.echo", 1)["code"] == "DENIED"
        assert client.call("p.pid")[0] is None
        daemon.users = CI.replace("call = p.*", "call = p")
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log(r"nothing has changed: .*must be POOL\.METHOD")
        assert client.error("p.echo", 1)["code"] == "DENIED" and client.call("p.pid")[0] is None
        daemon.users = CI.replace("secret", "other").replace(sha("secret"), sha("other"))
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log(r"(?s)configuration reloaded.*configuration reloaded")
        assert client.value("objpool.whoami")["by"] == "none"  # it must not become root
        assert client.error("p.pid")["code"] == "DENIED"
        with daemon.client() as other:
            assert other.value("objpool.whoami")["by"] == ("none" if os.geteuid() else "root")


def test_a_token_that_came_before_there_were_users_is_remembered(start):
    daemon = start()
    with with_token(daemon) as client, with_token(daemon, "other") as other, daemon.client(daemon.tcp) as plain:
        plain.value("objpool.hello", {"token": "secret"})
        daemon.users = CI + "[user *]\n"
        daemon.write_config()
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("configuration reloaded")
        assert [c.value("objpool.whoami")["user"] for c in (client, other, plain)] == ["ci", None, "*"]


def test_a_refused_token_has_the_form_of_errors_that_hello_asks_for(start):
    daemon = start(users=CI)
    for keys in {"errors": "map", "token": "x"}, {"token": "x", "errors": "map"}:
        with daemon.client() as client:
            assert client.error("objpool.hello", keys)["code"] == "DENIED"
            assert client.receive() is None


def test_errors_as_pairs(start):
    daemon = start(users="[user *]\ncall = p.*\ndirect = p\n")
    with daemon.client(daemon.tcp) as client:
        client.value("objpool.hello", {"errors": "pair"})
        line = line_of(daemon, "[user *]")
        assert client.error("q.echo") == [0, f'DENIED: user * may not "call" q.echo (objpoold.conf:{line})']
        assert client.error("p.fail", "why") == [0, "FAILED: why"]
        pairs = [[[0, "FAILED: a"], None], [[0, "FAILED: b"], None]]
        assert client.full("p:map", "fail", [["a", "b"]], errors="collect") == (None, pairs)
        assert client.error("objpool.hello", {"errors": "pairs"})[1].startswith("BAD_ARGUMENT: ")
        client.value("objpool.hello", {"errors": "string"})
        assert client.error("p.fail", "why") == "FAILED: why"


def test_acl(start):
    daemon = start(users=CI + f"deny = *.delete*\n[user watcher]\ntoken_sha256 = {sha('w')}\nwatch = yes\n")
    with with_token(daemon, "w") as client:
        where = {text: f"objpoold.conf:{line_of(daemon, text)}" for text in ("call = p.*", "[user ci]", "deny = *.delete*")}
        assert client.value("objpool.acl", "ci", "call", "p.x") == {"allowed": True, "where": where["call = p.*"]}
        assert client.value("objpool.acl", "ci", "call", "q.x") == {"allowed": False, "where": where["[user ci]"]}
        assert client.value("objpool.acl", "ci", "call", "p.delete") == {"allowed": False, "where": where["deny = *.delete*"]}
        assert client.error("objpool.acl", "ci", "paint", "p")["code"] == "BAD_ARGUMENT"
        assert client.value("objpool.status")["pools"][0]["name"] == "p"
    with with_token(daemon) as client:
        assert client.error("objpool.acl", "ci", "call", "p.x")["right"] == "watch"


def test_http_shows_what_its_reader_may_see(start):
    daemon = start(pools={"p": {}, "q": {}}, users=CI + "[user *]\ndescribe = q\n", daemon={"http": "tcp:127.0.0.1:0"})
    address = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1)

    def get(path, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers=headers)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert set(re.findall(r'pool="(\w)"', get("/metrics")[1])) == {"q"}
    assert set(re.findall(r'pool="(\w)"', get("/metrics", Authorization="Bearer secret")[1])) == {"p"}
    assert set(re.findall(r'pool="(\w)"', get("/metrics", Authorization="bearer  secret")[1])) == {"p"}
    for words in "Bearer wrong", "Bearer ", "Bearer", "Basic c2VjcmV0", "secret":
        assert get("/metrics", Authorization=words)[0] == get("/readyz", Authorization=words)[0] == 401
    assert get("/readyz") == (200, "q ok\n") and get("/livez")[0] == 200
    assert get("/readyz", Authorization="Bearer secret") == (200, "p ok\n")
    daemon.users = CI
    daemon.write_config()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration reloaded")
    assert get("/metrics")[0] == 403 and get("/readyz") == (200, "ready\n")
    assert set(re.findall(r'pool="(\w)"', get("/metrics", Authorization="Bearer secret")[1])) == {"p"}


def test_readers_that_come_together_get_each_their_own_metrics(start):
    daemon = start(pools={"p": {}, "q": {}}, users=CI + "[user *]\ndescribe = q\n", daemon={"http": "tcp:127.0.0.1:0"})
    host, _, port = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1).rpartition(":")
    token, other = {"Authorization": "Bearer secret"}, {"Accept": "application/openmetrics-text"}
    readers = [http.client.HTTPConnection(host, int(port), timeout=DEADLINE) for _ in range(3)]

    def pools(reader):
        return set(re.findall(r'pool="(\w)"', reader.getresponse().read().decode()))

    for reader in readers:  # the daemon has accepted them all
        reader.request("GET", "/metrics")
        assert pools(reader) == {"q"}
    daemon.signal(signal.SIGSTOP)
    for reader, headers in zip(readers, (token, other, {})):
        reader.request("GET", "/metrics", headers=headers)
    daemon.signal(signal.SIGCONT)
    assert [pools(reader) for reader in readers] == [{"p"}, {"q"}, {"q"}]
    for reader in readers:
        reader.close()


def test_who_may_create(start):
    daemon = start(users=CI + "create = tmp-*\n[user *]\n")
    with with_token(daemon) as client:
        made = {"plugin": "probe", "class": "Probe"}
        assert client.call("objpool.create", {"pool": "tmp-1", **made})[0] is None
        assert client.error("objpool.create", {"pool": "other", **made})["right"] == "create"
        for key, value in (("unpickle", True), ("user", "no-such-user"), ("umask", "no mode"), ("network", True), ("cpus", 7),
                           ("limit_processes", 5), ("slot_env", [{}, {}, {}])):
            error = client.error("objpool.create", {"pool": "tmp-2", **made, key: value})
            assert (error["code"], error.get("right")) == ("DENIED", "code"), (key, error)
        error = client.error("objpool.create", {"pool": "tmp-2", "plugin": "/no/plugin"})  # and no class
        assert (error["code"], error.get("right")) == ("DENIED", "code")
        assert client.error("objpool.create", {"pool": "tmp-2", **made, "run_as": "*"})["code"] == "DENIED"
        assert client.error("objpool.drop", "p")["right"] == "create"
        assert client.call("objpool.drop", "tmp-1")[0] is None


def test_constructors_make_no_calls(start):
    """So `run_as` has nothing to act on, and the log says so. Methods have the rights of their callers."""
    builder = {"plugin": "python", "class": "builder:Builder", "python_path": json.dumps([str(CLASSES)]), "workers": 1,
               "args": '["q.pid"]', "run_as": "all"}
    daemon = start({"q": {}, "b": builder}, users=CI + "call = b.*\n[user all]\ncall = *.*\n")
    with with_token(daemon) as client:
        assert "can't be called, or not from here" in client.value("b.built")
        assert 'user ci may not "call" q.pid' in client.error("b.tries", "q.pid")["message"]
    daemon.wait_log("pool b: run_as = all has no effect: only methods make calls, and these have the rights of their callers")


# ---- mistakes ----


@pytest.mark.parametrize("text, line, words", [
    ("[user a]\ncall = sim\n", 2, ["POOL.METHOD"]),
    ("[user a]\ncall = a.b sim:all.x\n", 2, ["POOL.METHOD"]),
    ("[user a]\ndescribe = a.b\n", 2, ["names of pools"]),
    ("[user a]\nwatch = maybe\n", 2, ["yes or no"]),
    ("[user a]\nwatch = yes\nwatch = yes\n", 3, ["twice"]),
    ("[user a]\nis = x\n", 2, ["no [role x]"]),
    ("[user a]\nuid = no-such-user\n", 2, ["no such user"]),
    ("[user a]\ngid = no-such-group\n", 2, ["no such group"]),
    ("[user a]\ntoken_sha256 = 12\n", 2, ["64"]),
    ("[user a]\ncert = dns:x\n", 2, ["san:dns:NAME"]),
    ("[user a]\nuid = 5\n[user b]\nuid = 6 5\n", 4, ["user a", "x.conf:2"]),
    (f"[user a]\ntoken_sha256 = {sha('x')}\n[user b]\ntoken_sha256 = {sha('x').upper()}\n", 4, ["user a"]),
    ("[user *]\nuid = 5\n", 2, ["[user *]"]),
    ("[user a]\n[user a]\n", 2, ["twice"]),
    ("[user a b]\n", 1, ["a b"]),
    ("[role a]\nuid = 5\n", 2, ["uid"]),
    ("[daemon]\nadmin = unix\n[user a]\n", 2, ["admin", "x.conf:3"]),
    ("[pool p]\nplugin = a\nclass = b\nrun_as = x\n", 1, ["no [user x]"]),
])
def test_mistakes_name_file_and_line(place, text, line, words):
    done, path = check(place, text, "--check=syntax")
    assert done.returncode == 1 and f"{path}:{line}:" in done.stderr, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_what_is_printed_is_read_again(place):
    text = ("[role r]\ncall = a.* b.c\ncall = d.e\n[user x/*]\nis = r\ncert = cn:x subject:CN=a b,O=c\nwatch = yes\n"
            "[user y]\nuid = 7\n"
            "[pool p]\nplugin = a\nclass = b\nrun_as = y\n")
    first, _ = check(place, text, "--print-config")
    second, _ = check(place, first.stdout, "--print-config")
    assert first.returncode == 0 and first.stdout == second.stdout and "call = a.* b.c d.e\n" in first.stdout
    assert "cert = cn:x\ncert = subject:CN=a b,O=c\n" in first.stdout and "watch = yes\n" in first.stdout
