# SPDX-License-Identifier: Apache-2.0
"""Option priority: who is next, how long a lower one waits, and how high a user's calls may be.

The pool is paused until all that a test asks has come, and its one instance notes in which order it runs.
"""
import contextlib
import json
import subprocess

import msgpack
import pytest
from harness import BUILD, DEADLINE, wait_for
from test_config import check
from test_http_calls import ON, Caller
from test_limits import reload
from test_rights import sha, with_token

ONE = {"p": {"workers": 1}}


@contextlib.contextmanager
def lined_up(daemon, count, pool="p"):
    """What is asked inside waits, as so many calls, and then runs."""
    with daemon.client() as admin:
        admin.value("objpool.pause", pool)
        yield
        wait_for(lambda: admin.value("objpool.status", pool)["pools"][0]["queue"] == count, lambda: f"{count} calls to wait")
        admin.value("objpool.resume", pool)


def note(client, what, target="p", **options):
    return client.start("objpool.call", target, "append", [what], options)


def test_a_higher_one_is_next(start):
    daemon = start(ONE)
    with daemon.client() as a, daemon.client() as b:
        with lined_up(daemon, 9):
            plain = [a.start("p.append", "plain") for _ in range(3)]
            asked = [note(a, "low", priority=-1), note(b, "high", priority=5), note(a, "highest", priority=10),
                     note(b, "high", priority=5), note(b, "plain"), note(b, "lowest", priority=-10)]
        assert all(a.wait(i)[0] is None for i in plain)
        assert b.wait(asked[-1])[0] is None
        assert a.value("p.list") == ["highest"] + ["high"] * 2 + ["plain"] * 4 + ["low", "lowest"]


def test_of_one_priority_sessions_take_turns_and_calls_keep_their_order(start):
    daemon = start(ONE)
    with daemon.client() as a, daemon.client() as b:
        with lined_up(daemon, 8):
            calls = [(c, note(c, [name, i], priority=2)) for c, name in ((a, "a"), (b, "b")) for i in range(4)]
        assert all(client.wait(msgid)[0] is None for client, msgid in calls)
        assert a.value("p.list") == [[name, i] for i in range(4) for name in "ab"]


def test_a_lower_one_does_not_starve(start):
    """Ten turns of others make up for one priority."""
    daemon = start(ONE)
    with daemon.client() as a, daemon.client() as b:
        with lined_up(daemon, 42):
            low = [note(a, "low", priority=3), note(a, "low", priority=3)]
            high = [note(b, "high", priority=4) for _ in range(40)]
        assert all(a.wait(i)[0] is None for i in low) and all(b.wait(i)[0] is None for i in high)
        assert a.value("p.list") == (["high"] * 10 + ["low"]) * 2 + ["high"] * 20


def test_what_goes_to_one_slot_to_all_and_by_map(start):
    daemon = start(ONE)
    with daemon.client() as a:
        with lined_up(daemon, 5):
            asked = [a.start("p:0.append", "slot"), a.start("p.append", "any"), note(a, "all", "p:all", priority=1),
                     a.start("objpool.call", "p:map", "append", [["item"] * 3], {"priority": 2, "chunk": 1}),
                     note(a, "key", "p:key=x", priority=3)]
        assert all(a.wait(i)[0] is None for i in asked)
        order = a.value("p.list")
        assert order[:5] == ["key", "item", "item", "item", "all"] and sorted(order[5:]) == ["any", "slot"]


def test_a_stream_gives_way(start):
    daemon = start(ONE)
    with daemon.client() as a, daemon.client() as b:
        b.value("objpool.pause", "p")
        stream = a.start("objpool.call", "p:map", "append", [["item"] * 50], {"stream": True, "priority": -1, "window": 5})
        a.value("objpool.ping")
        calls = [b.start("p.append", "call") for _ in range(2)]
        b.value("objpool.resume", "p")
        assert all(b.wait(i)[0] is None for i in calls)
        while a.receive()[:2] != [1, stream]:
            pass
        assert b.value("p.list") == ["call"] * 2 + ["item"] * 50


def test_calls_that_a_method_makes_have_its_priority(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 3}})
    relayed = ["objpool.call", "p", "append"]
    with daemon.client() as a, daemon.client() as b:
        with lined_up(daemon, 4):
            asked = [b.start("p.append", "plain"), b.start("q.relay", "p.append", "nested, plain"),
                     b.start("objpool.call", "q", "relay", ["p.append", "nested, high"], {"priority": 5}),
                     b.start("objpool.call", "q", "relay", [*relayed, ["nested, low"], {"priority": -1}], {"priority": 5})]
        assert all(b.wait(i)[0] is None for i in asked)
        order = a.value("p.list")
        assert order[0] == "nested, high" and order[3] == "nested, low"


def test_calls_by_http(start):
    daemon = start(ONE, ON)
    caller = Caller(daemon)
    with contextlib.ExitStack() as stack:
        with lined_up(daemon, 2):
            a = stack.enter_context(daemon.client())
            plain = a.start("p.append", "plain")
            connection = stack.enter_context(contextlib.closing(caller.begin(
                "/call/p.append", json.dumps({"args": ["by http"], "options": {"priority": 1}}))))
        assert connection.getresponse().status == 200 and a.wait(plain)[0] is None
        assert a.value("p.list") == ["by http", "plain"]
    caller.error("p.append", json.dumps({"args": [1], "options": {"priority": 11}}), 400, "BAD_REQUEST")


@pytest.mark.parametrize("wrong", [-11, 11, 2.5, float("nan"), 1 << 40, -(1 << 62), "high", True, [1]])
def test_values_that_are_none(start, wrong):
    with start(ONE).client() as client:
        error, _ = client.full("p", "echo", [1], priority=wrong)
        assert error == "BAD_REQUEST: option priority must be a whole number from -10 to 10"


def test_values_that_are_some(start):
    with start(ONE).client() as client:
        for value in (-10, 10, 0, 3.0, -3.0, None):
            assert client.full("p", "echo", [1], priority=value) == (None, 1)


# ---- the command line ----


def objpool(daemon, *words, **options):
    return subprocess.Popen([BUILD / "objpool", "-s", daemon.address, *words], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def test_the_command_line(start):
    daemon = start(ONE)
    with daemon.client() as a, contextlib.ExitStack() as stack:
        with lined_up(daemon, 4):
            plain = a.start("p.append", "plain")
            commands = [stack.enter_context(objpool(daemon, *words, stdin=subprocess.PIPE)) for words in (
                ("call", "p.append", "low", "--priority", "-1"), ("call", "p.append", "high", "--priority=4"),
                ("map", "p.append", "--quiet", "--priority", "7"))]
            commands[-1].stdin.write('"item"\n')
            commands[-1].stdin.close()
        assert a.wait(plain)[0] is None and [command.wait(DEADLINE) for command in commands] == [0, 0, 0]
        assert a.value("p.list") == ["item", "high", "plain", "low"]


@pytest.mark.parametrize("value", ["11", "-11", "x", "1.5", ""])
@pytest.mark.parametrize("command", ["call", "map"])
def test_the_command_line_refuses_others(start, command, value):
    with objpool(start(ONE), command, "p.echo", "--priority", value, stdin=subprocess.DEVNULL) as process:
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 2 and f'--priority: "{value}" is no number from -10 to 10' in errors


# ---- users ----


def user(name, *lines):
    return "\n".join([f"[user {name}]", f"token_sha256 = {sha(name)}", "call = *.*", "all = *.*", "admin = *", "describe = *",
                      *lines, ""])


USERS = (user("high", "max_priority = 5") + user("plain") + user("batch", "max_priority = -5") +
         "[user *]\nadmin = *\ndescribe = *\n")


def test_a_user_has_no_more_than_its_max_priority(start):
    daemon = start(ONE, users=USERS)
    with with_token(daemon, "high") as high, with_token(daemon, "plain") as plain, with_token(daemon, "batch") as batch:
        assert high.value("objpool.whoami")["limits"] == {"max_priority": 5}
        assert batch.value("objpool.whoami")["limits"] == {"max_priority": -5}
        assert plain.value("objpool.whoami")["limits"] == {}
        with lined_up(daemon, 8):
            train = b"".join(msgpack.packb([0, 100 + i, "p.append", ["batch"]]) for i in range(2))
            batch.send_raw(train)
            asked = [(batch, note(batch, "batch, asks 10", priority=10)), (batch, note(batch, "batch, asks -6", priority=-6)),
                     (plain, note(plain, "plain, asks -1", priority=-1)), (plain, note(plain, "plain, asks 10", priority=10)),
                     (high, note(high, "high, asks 10", priority=10)), (high, note(high, "high, asks 6", priority=6))]
        assert all(client.wait(msgid)[0] is None for client, msgid in asked)
        assert plain.value("p.list") == ["high, asks 10", "high, asks 6", "plain, asks 10", "plain, asks -1", "batch", "batch",
                                         "batch, asks 10", "batch, asks -6"]


def test_of_one_priority_users_take_turns(start):
    daemon = start(ONE, users=USERS)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(with_token(daemon, "plain")) for _ in range(3)]
        one = stack.enter_context(with_token(daemon, "high"))
        with lined_up(daemon, 12):
            calls = [(c, note(c, "many", priority=-1)) for c in many for _ in range(2)]
            calls += [(one, note(one, "one", priority=-1)) for _ in range(6)]
        assert all(client.wait(msgid)[0] is None for client, msgid in calls)
        assert one.value("p.list") == ["many", "one"] * 6


def test_a_reload_changes_it_for_the_next_calls(start):
    daemon = start(ONE, users=USERS)
    with with_token(daemon, "high") as high, with_token(daemon, "plain") as plain:
        with lined_up(daemon, 3):
            asked = [plain.start("p.append", "plain"), note(plain, "before", priority=7)]
            reload(daemon, USERS.replace("[user plain]", "[user plain]\nmax_priority = 7"))
            asked.append(note(plain, "after", priority=10))
        assert all(plain.wait(i)[0] is None for i in asked)
        assert high.value("p.list") == ["after", "plain", "before"]
        assert plain.value("objpool.whoami")["limits"] == {"max_priority": 7}


@pytest.mark.parametrize("value", ["11", "-11", "high", "5 6", "2.5", ""])
def test_mistakes_name_file_and_line(place, value):
    done, path = check(place, f"[user a]\nmax_priority = {value}\n", "--check=syntax")
    assert done.returncode == 1 and f"{path}:2:" in done.stderr and "a number from -10 to 10" in done.stderr, done.stderr


def test_what_is_printed_is_read_again(place):
    first, _ = check(place, "[user a]\nmax_priority = -7\n[user b]\n", "--print-config")
    second, _ = check(place, first.stdout, "--print-config")
    assert first.stdout == second.stdout and first.stdout.count("max_priority") == 1 and "max_priority = -7\n" in first.stdout
