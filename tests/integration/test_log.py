# SPDX-License-Identifier: Apache-2.0
"""The log: it stops nobody, and what others write into it can't be taken for the daemon's own words."""
import json
import os
import re
import resource
import signal

from harness import DEADLINE, wait_for

HEAD = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) "
HOSTILE = "one\n2026-01-01T00:00:00.000Z info pool p slot 0: ready, pid 1\nready, pid 2\r\x1b[31m\x9b1m\u202eé漢字\x07\0."


def check_lines(log):
    """Each has a head, and nothing in it acts on a terminal."""
    for line in log.rstrip("\n").split("\n"):
        assert re.match(HEAD, line), line
        assert not re.search("[\0-\x1f\x7f-\x9f\u202e\u2028]", line), repr(line)


def test_nobody_reads_it(start):
    reader, writer = os.pipe()
    daemon = start({"p": {}, "q": {}}, stderr=writer)
    os.close(writer)
    with daemon.client() as client, daemon.client() as other:
        flood = client.start("p:0.print", ("x" * 60 + "\n") * 40000)
        while not client.answers.get(flood):
            assert other.value("p:1.add", 1, 2) == 3 and other.value("q.echo", 4) == 4
            client.socket.settimeout(0.01)
            try:
                client.wait(flood)
                break
            except TimeoutError:
                pass
        assert other.value("p:0.add", 1, 2) == 3        # the worker that printed goes on, too
        text = ""
        while "lost here" not in text:
            text += os.read(reader, 1 << 16).decode()
    lost = int(re.search(r"warning (\d+) lines of the log are lost here: they could not be written in time\n", text).group(1))
    assert 0 < lost < 40000 and lost + text.count("slot 0: stdout: xxx") <= 40000
    daemon.signal(signal.SIGTERM)                       # nobody reads again
    assert daemon.process.wait(DEADLINE) == 0
    os.close(reader)


LOST = r"warning (\d+) lines of the log are lost here: they could not be written in time\n"


def test_it_can_not_be_written(start):
    daemon = start({"p": {"workers": 1}})
    pid = daemon.process.pid

    def lose(client):
        """Whether lines were lost: they may have been written late, when the file may grow again."""
        limit = daemon.log_path.stat().st_size + 1000
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        client.value("p.print", "lost\n" * 1000)
        assert client.value("p.add", 1, 2) == 3
        wait_for(lambda: daemon.log_path.stat().st_size == limit, lambda: "the log to be full")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        client.value("p.print", "there again\n")
        daemon.wait_log("stdout: there again")
        return re.search(LOST, daemon.log())

    with daemon.client() as client:
        found = wait_for(lambda: lose(client), lambda: "lines to be lost")
    assert int(found.group(1)) + daemon.log().count("stdout: lost") >= 1000


def test_what_workers_print_is_told_apart(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        client.value("p.print", HOSTILE + "\n")
        client.value("p.print", HOSTILE + "\n", "stderr")
        daemon.wait_log(r"info pool p slot 0: stdout: ready, pid 2\\r")
        daemon.wait_log(r"warning pool p slot 0: stderr: ready, pid 2\\r")
    log = daemon.log()
    check_lines(log)
    for level, stream in (("info", "stdout"), ("warning", "stderr")):
        assert re.search(rf"{level} pool p slot 0: {stream}: one\n", log)
        assert f"{stream}: 2026-01-01T00:00:00.000Z info pool p slot 0: ready, pid 1\n" in log
        assert stream + r": ready, pid 2\r\e[31m\u009b1m\u202eé漢字\x07\x00." in log
    assert len(re.findall(r"slot 0: ready, pid", log)) == 3     # the daemon's own, and within two lines that say whose they are


def test_what_plugins_say_is_told_apart(start):
    daemon = start({"p": {"workers": 1, "kwargs": json.dumps({"fail": HOSTILE.replace("\0", "")})}})
    daemon.wait_log(r"pool p slot 0: \| ready, pid 2\\r\\e\[31m\\u009b1m\\u202eé漢字\\x07")
    log = daemon.log()
    check_lines(log)
    assert re.search(r"error pool p slot 0: no instance: .*ProbeError: one\n", log)
    assert not re.search("^" + HEAD + r"pool p slot 0: ready, pid", log, re.M)


def test_names_of_clients_are_escaped(start):
    daemon = start({"p": {"workers": 1, "slow_log": "0.05"}})
    with daemon.client() as client:
        error = client.error("objpool.create", {"pool": "a\nb", "plugin": "probe", "class": "Probe"})
        assert "name" in error
        client.send_raw(b"\xc1")
        assert client.receive()[0] == 1
    daemon.wait_log("session")
    check_lines(daemon.log())


def test_long_lines_are_marked(start):
    daemon = start({"p": {"workers": 1}})
    long = "é" * 5000 + "z"     # characters of two bytes, and a piece has an even number of them
    with daemon.client() as client:
        client.value("p.print", "\n" + "a" + long + "\nnext\n" + "b" * 4096 + "\nlast\n")
        daemon.wait_log("stdout: last")
    log = daemon.log()
    check_lines(log)
    first, *rest = re.findall(r"slot 0: (stdout.*?): (a?é+z?)$", log, re.M)
    assert first[0] == "stdout" and {name for name, _ in rest} == {"stdout, continued"}
    assert first[1] + "".join(text for _, text in rest) == "a" + long
    assert re.findall(r"slot 0: (stdout.*?): (?:next|b+|last)$", log, re.M) == ["stdout"] * 3


def test_workers_have_a_level_of_their_own(start):
    daemon = start({"p": {"workers": 1}}, {"log_level": "warning"})

    def prints(client):
        client.value("p.print", "to output\n")
        client.value("p.print", "to errors\n", "stderr")

    with daemon.client() as client:
        prints(client)
        daemon.wait_log("info pool p slot 0: stdout: to output")
        daemon.wait_log("warning pool p slot 0: stderr: to errors")
        assert "ready" not in daemon.log()
        for level in ("warning", "error", "info"):
            daemon.daemon["worker_log_level"] = level
            daemon.write_config()
            client.value("objpool.reload")
            prints(client)
        client.value("p.print", "the end\n")
        client.value("p.print", "the end\n", "stderr")
        wait_for(lambda: daemon.log().count("the end") == 2, lambda: "what is printed at last")
    assert (daemon.log().count("stdout: to output"), daemon.log().count("stderr: to errors")) == (2, 3)


def test_debug_tells_of_connections_calls_and_decisions(start):
    daemon = start({"p": {"workers": 1, "max_calls": 3}}, {"log_level": "debug"})
    with daemon.client() as client:
        client.value("objpool.hello", {"client": "tester"})
        client.value("p.echo", 1)
        client.error("p.fail", "on purpose")
        client.error("p.nowhere")
        client.notify("p.echo", 2)
        client.full("p", "sleep", [60], timeout_ms=20)
        client.error("p.crash", 9)
        client.full("p:0", "crash", [9], idempotent=True)
        client.value("objpool.scale", "p", 2)
    with daemon.client(daemon.tcp) as client:
        client.send_raw(b"\xc1")
        client.receive()
    daemon.wait_log("session 2: disconnected: the daemon has closed the connection")
    for pattern in (
            r"debug session 1: connected, Unix socket: process %d, user %d, group %d$" % (os.getpid(), os.getuid(), os.getgid()),
            r"debug session 1: calls itself \"tester\"$",
            r"debug session 1 call 1, objpool\.hello: answered at once$",
            r"debug pool p: session 1 call 2, echo: comes, with 1 task$",
            r"debug pool p slot 0: session 1 call 2, echo: handed over as batch \d+: 1 task from 0 on; 1 batch in hand$",
            r"debug pool p slot 0: session 1 call 2, echo: answered after \d+\.\d{6} s$",
            r"debug pool p slot 0: session 1 call 3, fail: FAILED after \d+\.\d{6} s$",
            r"debug session 1 call 4, p\.nowhere: refused: NO_SUCH_METHOD: ",
            r"debug pool p( slot 0)?: session 1 notification 0, echo: answered after ",
            r"debug pool p( slot 0)?: session 1 call 5, sleep: TIMEOUT after \d+\.\d{6} s$",
            r"debug pool p( slot 0)?: session 1 call 6, crash: WORKER_LOST after ",
            r"debug pool p slot 0: the next worker follows in 0\.000 s$",
            r"debug pool p slot 0: a worker is started, generation 2",
            r"debug pool p: session 1 call 7, crash: is idempotent, and runs again \(1 of 3 times\): its worker died$",
            r"debug pool p slot 0: is replaced: it has been handed 3 tasks, and is \d+ s old$",
            r"debug pool p: from 1 to 2 workers$",
            r"debug session 1: disconnected: the client has gone$",
            r"debug session 2: connected, TCP: tcp:127\.0\.0\.1:\d+$"):
        assert re.search(pattern, daemon.log(), re.M), pattern + "\n" + daemon.log()
    check_lines(daemon.log())


def test_debug_keeps_what_clients_say_in_its_line(start):
    daemon = start({"p": {"workers": 1}}, {"log_level": "debug"})
    with daemon.client() as client:
        client.value("objpool.hello", {"client": HOSTILE})
        client.error("p." + HOSTILE)
        client.error("objpool." + HOSTILE)
        client.notify(HOSTILE)
        client.value("objpool.ping")
    daemon.wait_log("session 1: disconnected")
    check_lines(daemon.log())
    lines = daemon.log().split("\n")
    assert sum(r"one\n2026" in line for line in lines) == 4
    assert not [line for line in lines if re.search(r"debug \|", line)]


def test_only_debug_tells_of_calls(start):
    daemon = start({"p": {"workers": 1}}, {"log_level": "info"})
    with daemon.client() as client:
        for level, number in (("debug", 1), ("info", 2)):
            client.value("p.echo", number)
            daemon.daemon["log_level"] = level
            daemon.write_config()
            client.value("objpool.reload")
            client.value("p.echo", number)
    daemon.stop()
    assert re.findall(r"session 1 call (\d+), echo: comes", daemon.log()) == ["3", "4"]
