# SPDX-License-Identifier: Apache-2.0
"""Limits of users: what counts, what over them is refused, what it is told, and what a reload changes."""
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

import msgpack
import pytest
from harness import BUILD, wait_for
from test_config import check
from test_direct import Owner
from test_rights import sha, with_token

CI = f"[user ci]\ntoken_sha256 = {sha('secret')}\ncall = *.*\nall = *.*\ndescribe = *\ndirect = *\n"


def reload(daemon, users):
    times = daemon.log().count("configuration reloaded")
    daemon.users = users
    daemon.write_config()
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.log().count("configuration reloaded") > times, lambda: "the reload")


def wait_until_it_runs(client, method):
    wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"] == method, lambda: method)


def refused(error, *words):
    assert (error["code"], error["user"], error["ran"]) == ("OVERLOADED", "ci", "no"), error
    assert all(word in error["message"] for word in words), error
    return error


# ---- max_inflight ----


def test_calls_of_all_sessions_count(start):
    daemon = start(users=CI + "max_inflight = 2\n")
    with with_token(daemon) as one, with_token(daemon) as two:
        assert one.value("objpool.whoami")["limits"] == {"max_inflight": 2}
        assert one.value("objpool.hello")["limits"]["max_inflight"] == 2
        first, second = one.start("p.sleep", 1000), two.start("p.sleep", 1000)
        assert two.value("objpool.ping") == []
        refused(one.error("p.echo", 1), "user ci has 2 calls in flight: max_inflight = 2 allows no more")
        refused(two.full("p", "echo", [1])[0], "max_inflight")
        assert one.value("objpool.cancel", first) is True and one.wait(first)[0]["code"] == "CANCELLED"
        assert wait_for(lambda: two.call("p.echo", 1) == (None, 1), lambda: "room")
        two.close()
        assert second and wait_for(lambda: one.call("p.echo", 1) == (None, 1), lambda: "room")


def test_a_train_is_cut_where_the_limit_is(start):
    daemon = start(pools={"p": {"workers": 1}}, users=CI + "max_inflight = 5\n")
    with with_token(daemon) as client:
        client.value("p.echo", 0)
        busy = client.start("p.sleep", 1000)
        client.value("objpool.ping")
        client.send_raw(b"".join(msgpack.packb([0, 1000 + i, "p.echo", [i]]) for i in range(20)))
        answers = [client.wait(1000 + i) for i in range(4, 20)]
        assert all(refused(error, "has 5 calls in flight") for error, _ in answers)
        assert client.value("objpool.cancel", busy) is True
        assert [client.wait(1000 + i) for i in range(4)] == [(None, i) for i in range(4)]


def test_what_was_given_up_and_still_runs_counts(start):
    daemon = start(users=CI + "max_inflight = 1\n")
    with with_token(daemon) as client, with_token(daemon) as other:
        pid = client.value("p:0.pid")
        busy = client.start("p:0.sleep_hard", 1000)
        wait_until_it_runs(client, "sleep_hard")
        assert client.value("objpool.cancel", busy) is True and client.wait(busy)[0]["code"] == "CANCELLED"
        refused(other.error("p.echo", 1), "user ci has 0 calls in flight and 1 that were given up and still run")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: other.call("p.echo", 1) == (None, 1), lambda: "room")


def test_notifications_and_what_outlives_its_client_count(start):
    daemon = start(users=CI + "max_inflight = 1\n")
    with with_token(daemon) as client:
        pid = client.value("p:0.pid")
        with with_token(daemon) as gone:
            gone.notify("p:0.sleep_hard", 1000)
            wait_until_it_runs(gone, "sleep_hard")
        refused(client.error("p:1.echo", 1), "1 call in flight")
        client.notify("p:1.set", "dropped")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: client.call("p:1.get") == (None, None), lambda: "room")


def test_leases_and_maps(start):
    daemon = start(pools={"p": {"workers": 4}}, users=CI + "max_inflight = 2\n")
    with with_token(daemon) as one, with_token(daemon) as two:
        leases = [one.value("objpool.lease", "p"), two.value("objpool.lease", "p")]
        refused(one.error("objpool.lease", "p"), "2 leases")
        assert one.full("p:map", "echo", [list(range(50))]) == (None, list(range(50)))  # a map is one call
        assert one.value("objpool.release", "p", leases[0]["slot"]) is True
        one.value("objpool.lease", "p")
        refused(two.error("objpool.lease", "p"), "2 leases")
        one.close()
        wait_for(lambda: two.call("objpool.lease", "p")[0] is None, lambda: "room")


def test_nested_calls_do_not_count(start):
    daemon = start(pools={"p": {}, "q": {}}, users=CI + "max_inflight = 1\nrate = 1/h burst 3\n")
    with with_token(daemon) as client:
        assert client.value("p.relay", "q.echo", 1) == 1
        assert client.value("p.relay", "q.echo", 2) == 2


def test_direct_channels(start):
    daemon = start(users=CI + "max_inflight = 1\nrate = 1/h burst 4\n")
    with Owner(daemon, token="secret") as one, Owner(daemon, token="secret") as two:
        with one.attach("p") as channel:
            refused(two.error("objpool.attach", "p"), "user ci has 1 direct channel: max_inflight = 1 allows no more")
            assert [channel.value("echo", i) for i in range(10)] == list(range(10))  # these are not counted
            assert one.value("p.echo", 1) == 1
            number = channel.number
        assert one.value("objpool.detached", number)["reason"] == "client"
        with two.attach("p"):
            refused(two.error("p.echo", 1), "rate")


def test_a_fed_stream_is_one_call(start):
    daemon = start(users=CI + "max_inflight = 1\nrate = 1/h burst 1\n")
    with with_token(daemon) as client:
        client.send_raw(msgpack.packb([0, 50, "objpool.call", ["p:map", "echo", None, {"stream": True, "window": 8}]]))
        fed = results = 0
        while True:
            message = client.receive()
            if message[:2] == [2, "objpool.credit"] and fed < 40:
                for _ in range(message[2][1]):
                    client.notify("objpool.feed", 50, [fed])
                    fed += 1
                if fed >= 40:
                    client.notify("objpool.feed_end", 50)
            elif message[:2] == [2, "objpool.result"]:
                assert message[2][2:] == [None, message[2][1]]
                results += 1
            elif message[0] == 1:
                break
        assert message[1:3] == [50, None] and results == fed >= 40
        refused(client.error("p.echo", 1), "rate")


# ---- rate ----


def test_a_rate(start):
    daemon = start(users=CI + "rate = 2/h burst 3\n")
    with with_token(daemon) as one, with_token(daemon) as two:
        assert one.value("objpool.whoami")["limits"] == {"rate": 2 / 3600, "burst": 3}
        assert one.value("p.echo", 1) == 1 and two.full("p:all", "echo", [2]) == (None, [2, 2])
        assert one.error("p.no_such")["code"] == "NO_SUCH_METHOD" and one.value("objpool.ping") == []  # these cost nothing
        assert one.value("objpool.describe", "p")["class"] == "Probe"
        error = refused(one.error("p.echo", 1), "rate = 2/h burst 3 allows: try again in")
        assert 1700e3 < error["retry_after_ms"] <= 1800e3
        refused(two.error("objpool.describe", "p"), "rate")
        refused(two.error("objpool.lease", "p"), "rate")
        two.send_raw(b"".join(msgpack.packb([0, 1000 + i, "p.echo", [i]]) for i in range(20)))
        assert all(refused(two.wait(1000 + i)[0])["retry_after_ms"] for i in range(20))
        assert two.value("objpool.whoami")["user"] == "ci"
        two.value("objpool.hello", {"errors": "string"})
        assert two.error("p.echo").startswith("OVERLOADED: user ci has made as many calls as rate = 2/h burst 3 allows")


def test_a_train_takes_as_many_as_the_rate_allows(start):
    daemon = start(users=CI + "rate = 1/h burst 10\n")
    with with_token(daemon) as client:
        client.send_raw(b"".join(msgpack.packb([0, 1000 + i, "p.echo", [i]]) for i in range(30)))
        answers = [client.wait(1000 + i) for i in range(30)]
        assert answers[:10] == [(None, i) for i in range(10)] and all(refused(error) for error, _ in answers[10:])


def test_http_counts_in_the_rate(start):
    daemon = start(users=CI + "rate = 1/h burst 2\n", daemon={"http": "tcp:127.0.0.1:0"})
    address = daemon.wait_log(r"by HTTP on tcp:(\S+)").group(1)

    def get(path):
        try:
            with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", headers={"Authorization": "Bearer secret"})) as answer:
                return answer.status, None
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Retry-After"]
    assert [get("/metrics")[0] for _ in range(2)] == [200, 200]
    code, after = get("/metrics")
    assert code == 429 and 3500 < int(after) <= 3600
    assert get("/readyz")[0] == get("/livez")[0] == 200


# ---- reload ----


def test_a_reload_changes_the_limits_of_living_sessions(start):
    daemon = start(users=CI)
    with with_token(daemon) as client:
        busy = [client.start("p.sleep", 1000) for _ in range(3)]
        client.value("objpool.ping")
        reload(daemon, CI + "max_inflight = 3\n")
        refused(client.error("p.echo", 1), "3 calls in flight")
        reload(daemon, CI + "max_inflight = 2\nrate = 1/h burst 1\n")
        refused(client.error("p.echo", 1), "3 calls in flight: max_inflight = 2")
        for msgid in busy:
            client.value("objpool.cancel", msgid)
        wait_for(lambda: not (client.call("p.echo", 1)[0] or {"message": ""})["message"].count("in flight"), lambda: "room")
        refused(client.error("p.echo", 1), "rate")
        reload(daemon, CI + "rate = 1000000/s burst 1\n")
        wait_for(lambda: client.call("p.echo", 1) == (None, 1), lambda: "the new rate")


def test_a_reload_that_makes_a_client_another_user_moves_what_it_has(start):
    daemon = start(users=CI + "max_inflight = 1\n")
    with with_token(daemon) as client:
        busy = client.start("p:0.sleep", 1000)
        client.value("objpool.ping")
        reload(daemon, CI.replace("user ci", "user other") + "max_inflight = 2\n")
        lease = client.value("objpool.lease", "p", {"slot": 1})
        client.value("objpool.cancel", busy)
        reload(daemon, CI + "max_inflight = 1\n")
        refused(client.error("objpool.lease", "p"), "1 lease:")
        client.value("objpool.release", "p", lease["slot"])
        assert client.call("objpool.lease", "p")[0] is None


# ---- mistakes ----


@pytest.mark.parametrize("line, words", [
    ("max_inflight = 0", "out of range"), ("max_inflight = many", "whole number"), ("rate = 5", "200/s"), ("rate = 5/d", "200/s"),
    ("rate = 0/s", "out of range"), ("rate = 5/s burst 0", "out of range"), ("rate = 5/s burst", "200/s"), ("rate = 5/s 7", "200/s"),
    ("rate = 5/s burst 7 8", "200/s"), ("rate = 5/sburst 7", "200/s"), ("rate = 99999999999999999999/s", "200/s"),
])
def test_mistakes_name_file_and_line(place, line, words):
    done, path = check(place, f"[user a]\n{line}\n", "--check=syntax")
    assert done.returncode == 1 and f"{path}:2:" in done.stderr and words in done.stderr, done.stderr


def test_what_is_printed_is_read_again(place):
    first, _ = check(place, "[user a]\nmax_inflight = 7\nrate = 200/s burst 400\n[user b]\nrate = 3/m\n", "--print-config")
    second, _ = check(place, first.stdout, "--print-config")
    assert first.stdout == second.stdout and re.search(r"max_inflight = 7\nrate = 200/s burst 400\n", first.stdout)
    assert "rate = 3/m burst 3\n" in first.stdout and first.stdout.count("max_inflight") == 2


# ---- max_sessions ----


def test_sessions(start):
    daemon = start(users=CI + "max_sessions = 2\n[user *]\nmax_sessions = 1\n")
    with with_token(daemon) as one, with_token(daemon):
        assert one.value("objpool.whoami")["limits"] == {"max_sessions": 2}
        with daemon.client() as third:
            assert third.error("objpool.hello", {"token": "secret"}) == \
                "OVERLOADED: user ci has 2 sessions: max_sessions = 2 allows no more; the connection is closed"
            assert third.receive() is None
        one.close()

        def another():
            with daemon.client() as client:
                return client.call("objpool.hello", {"token": "secret"})[0] is None
        wait_for(another, lambda: "room for a session")
    with daemon.client(daemon.tcp) as one, daemon.client(daemon.tcp) as two, daemon.client(daemon.tcp) as three:
        assert one.value("objpool.ping") == []
        assert two.error("p.echo", 1).startswith("OVERLOADED: user * has 1 session: max_sessions = 1 allows")
        assert two.receive() is None
        three.notify("p.echo", 1)
        assert three.wait(0)[0].startswith("OVERLOADED: user * has 1 session") and three.receive() is None


def test_the_command_says_that_there_are_too_many_sessions(start, place):
    """To try again later makes sense: the daemon is there."""
    daemon = start(users=CI + "max_sessions = 1\n")
    token = place / "token"
    token.write_text("secret")
    token.chmod(0o600)
    command = [BUILD / "objpool", "-s", daemon.address, "--token-file", token, "call", "p.echo", "1"]
    with with_token(daemon) as one:
        assert one.value("objpool.whoami")["user"] == "ci"
        plain = subprocess.run(command, capture_output=True, text=True)
        assert plain.returncode == 75 and "max_sessions = 1 allows no more" in plain.stderr
        done = subprocess.run([*command, "--json"], capture_output=True, text=True)
        assert done.returncode == 75 and '"code": "OVERLOADED"' in done.stdout and '"ran": "no"' in done.stdout


def test_a_client_may_say_who_it_is_though_the_users_before_are_full(start):
    """Until it gives its token, it is [user *]."""
    daemon = start(users=CI + "[user *]\nmax_sessions = 1\n")
    with daemon.client(daemon.tcp) as one:
        one.value("objpool.ping")
        with with_token(daemon) as client:
            assert client.value("objpool.whoami")["user"] == "ci"


def test_connections_that_say_nothing_are_bounded(start):
    daemon = start(users=CI + "[user *]\nmax_sessions = 1\n")
    idle = [daemon.client(daemon.tcp) for _ in range(65)]
    with daemon.client(daemon.tcp) as client:
        assert client.wait(0)[0].startswith("OVERLOADED: user * has 0 sessions: max_sessions = 1 allows no more")
        assert client.receive() is None
    for one in idle:
        one.close()

    def another():
        with daemon.client(daemon.tcp) as client:
            try:
                client.start("objpool.ping", msgid=0)
                return client.wait(0)[0] is None
            except (OSError, EOFError):  # the connection was closed before it was read
                return False
    wait_for(another, lambda: "room for a session")


def test_a_reload_ends_no_session(start):
    daemon = start(users=CI)
    with with_token(daemon) as one, with_token(daemon) as two:
        reload(daemon, CI + "max_sessions = 1\n")
        assert one.value("p.echo", 1) == two.value("p.echo", 1) == 1
        with daemon.client() as three:
            assert three.error("objpool.hello", {"token": "secret"}).startswith("OVERLOADED: user ci has 2 sessions")


# ---- max_memory ----


OTHER = f"[user other]\ntoken_sha256 = {sha('o')}\ncall = *.*\nwatch = yes\n"
MIB = 1 << 20


def test_memory_of_a_user(start):
    daemon = start(users=CI + "max_memory = 8M\n" + OTHER)
    message = msgpack.packb([0, 7, "p.sum", [bytes(6 * MIB)]])
    with with_token(daemon) as one, with_token(daemon) as two, with_token(daemon, "o") as other:
        assert one.value("objpool.whoami")["limits"] == {"max_memory": 8 * MIB}
        for client in one, two:
            client.send_raw(message[:5 * MIB])
        wait_for(lambda: other.value("objpool.status")["memory"]["refused"] >= 1, lambda: "a refusal")
        assert other.value("p.echo", bytes(9 * MIB)) == bytes(9 * MIB)  # the others are not hurt
        answers = []
        for client in one, two:
            client.send_raw(message[5 * MIB:])
            answers.append(client.wait(7))
            assert client.value("p.echo", 1) == 1
        assert any(error for error, _ in answers)
        for error, value in answers:
            assert value == 0 if error is None else refused(error, "user ci holds", "over max_memory = 8388608")
        assert other.value("objpool.status")["users"][0]["memory"] < MIB


def test_a_user_far_above_its_memory_loses_a_connection(start):
    daemon = start(users=CI + "max_memory = 8M\n" + OTHER)
    with with_token(daemon, "o") as other, with_token(daemon) as client, with_token(daemon) as small:
        for slot in range(2):
            client.start(f"p:{slot}.blob", 6 * MIB)
        daemon.wait_log(r"session \d+ holds \d+ bytes, user ci \d+, and max_memory is 8388608: closing the connection")
        assert small.value("p.echo", 1) == other.value("p.echo", 1) == 1


# ---- status and metrics ----


def shown_users(daemon, *command):
    """The rows of users that a command prints, by name."""
    token = daemon.path / "token"
    token.write_text("w\n")
    token.chmod(0o600)
    done = subprocess.run([BUILD / "objpool", "-s", daemon.address, "--token-file", token, *command], capture_output=True, text=True,
                          check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    first = next(i for i, words in enumerate(lines) if words[:2] == ["USER", "SESSIONS"])
    return {words[0]: words[1:] for words in lines[first + 1:]}


def test_what_a_watcher_sees(start):
    watcher = f"[user watcher]\ntoken_sha256 = {sha('w')}\nwatch = yes\n"
    daemon = start(users=CI + "max_inflight = 2\ndeny = p.pid\n" + watcher)
    with with_token(daemon) as client, with_token(daemon, "w") as eyes:
        client.start("p.sleep", 1000)
        client.value("objpool.lease", "p")
        client.error("p.pid")
        client.start("p.sleep", 1000)
        client.error("p.echo", 1)
        ci = eyes.value("objpool.status")["users"][0]
        assert ci.pop("memory") > 0
        assert ci == {"name": "ci", "sessions": 1, "inflight": 2, "lingering": 0, "leases": 1, "direct": 0, "calls": 2,
                      "denied": 1, "overloaded": 1}
        text = eyes.value("objpool.metrics")
        found = dict(re.findall(r'^objpool_user_(\w+)\{user="ci"\} (\d+)$', text, re.M))
        assert int(found.pop("memory_bytes")) > 0
        assert found == {"sessions": "1", "inflight_calls": "2", "leases": "1", "direct_channels": "0", "calls_total": "2",
                         "denied_requests_total": "1", "overloaded_requests_total": "1"}
        shown = shown_users(daemon, "status")
        assert shown["ci"][:5] == ["1", "2", "2", "1", "1"] and "watcher" in shown, shown
        shown = shown_users(daemon, "top", "-d", "0.1")
        assert shown["ci"][:6] == ["1", "2", "0.0", "2", "1", "1"], shown
        assert "users" not in client.value("objpool.status") and "objpool_user_" not in client.value("objpool.metrics")
