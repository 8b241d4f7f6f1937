# SPDX-License-Identifier: Apache-2.0
"""objpool map as a pipe: lazy, in constant memory, with errors in their places; and what create sends."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import threading

import msgpack
import pytest
from harness import BUILD, DEADLINE, wait_for
from terminals import pseudo_terminal, read_terminal


@pytest.fixture
def daemon(start, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # what is freed is free, also where memory is looked at
    return start(pools={"p": {"workers": 2}})


def command(daemon, *words, **keywords):
    return subprocess.Popen([BUILD / "objpool", *map(str, words)], env={**os.environ, "OBJPOOL_ADDRESS": daemon.address},
                            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **keywords})


def run(daemon, *words, input="", status=0):
    process = command(daemon, *words)
    out, errors = process.communicate(input, timeout=DEADLINE)
    assert process.returncode == status, (out, errors)
    return out, errors


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10


def calls(client):
    return sum(slot["calls"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"])


def peak_of_pipe(daemon, count, *options):
    """The map's peak memory when `count` lines have gone through and all their results have come, and the input is still open."""
    process = command(daemon, "map", "p.echo", *options)

    def write():
        for i in range(count):
            process.stdin.write(f'[{i}, "some words to make the line longer"]\n')
        process.stdin.flush()

    writer = threading.Thread(target=write)
    writer.start()
    for i in range(count):
        line = process.stdout.readline()
        if "--unordered" not in options:
            assert line.startswith(f"[{i},"), line
    writer.join()
    memory = peak(process.pid)
    out, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, errors) == (0, "", "")
    return memory


@pytest.mark.parametrize("options", [(), ("--unordered",)])
def test_memory_does_not_grow_with_the_lines(daemon, options):
    small = peak_of_pipe(daemon, 30_000, *options)
    before = peak(daemon.process.pid)
    assert peak_of_pipe(daemon, 300_000, *options) - small < 2 << 20
    assert peak(daemon.process.pid) - before < 4 << 20


def test_results_come_before_the_next_line(daemon):
    process = command(daemon, "map", "p.echo")
    for i in range(3):
        process.stdin.write(f"{i}\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], DEADLINE)[0]
        assert process.stdout.readline() == f"{i}\n"
    assert process.communicate(timeout=DEADLINE) == ("", "") and process.returncode == 0


def test_a_reader_that_stops_stops_the_map(daemon):
    """Nobody reads the results: lines are not taken any more, and no more of them run."""
    with daemon.client() as client:
        process = command(daemon, "map", "p.echo", "--window", 1000)
        os.set_blocking(process.stdin.fileno(), False)
        line = b'"' + b"x" * 999 + b'"\n'
        written = 0

        def is_stuck():
            nonlocal written
            before = (written, calls(client))
            try:
                while written < 200_000:
                    written += os.write(process.stdin.fileno(), line * 16) // len(line)
            except BlockingIOError:
                pass
            select.select([], [], [], 0.3)
            return before == (written, calls(client)) and written > 0

        wait_for(is_stuck, lambda: "the map to stand still")
        assert written < 50_000
        process.stdout.close()
        assert process.wait(DEADLINE) in (1, -signal.SIGPIPE)
        process.stdin.close()
        assert process.stderr.read() == ""


def test_who_goes_away_ends_it_in_silence(daemon):
    """With SIGPIPE as it is, and ignored; while there are results, and while it waits for lines."""
    for ignored in (False, True):
        for lines in (100_000, 0):
            process = command(daemon, "map", "p.echo", restore_signals=not ignored)
            process.stdout.close()
            try:
                process.stdin.write("1\n" * lines)
                process.stdin.flush()
            except BrokenPipeError:
                pass
            assert process.wait(DEADLINE) in (1, -signal.SIGPIPE)
            assert process.stderr.read() == ""
            try:
                process.stdin.close()
            except BrokenPipeError:
                pass


def test_a_line_that_is_no_json_takes_its_place(daemon):
    lines = "".join(f"{i}\n" for i in range(500)) + "\nwords\n7\n"
    for mode in ("wait", "collect", "first"):
        out, errors = run(daemon, "map", "p.echo", "--errors", mode, input=lines, status=1)
        out = out.splitlines()
        assert out[:500] == [str(i) for i in range(500)]
        assert ("line 502: " in errors) == (mode != "collect")
        if mode != "first":
            assert len(out) == 501 and "line 502: " in json.loads(out[500])["$error"]["message"]
    out, _ = run(daemon, "map", "p.echo", "--unordered", input="1\n{\n", status=1)
    results = {result["index"]: result for result in map(json.loads, out.splitlines())}
    assert results[0]["value"] == 1 and "line 2: " in results[1]["error"]["message"]


def test_options_of_map(daemon):
    empty = "[]\n" * 9
    out, _ = run(daemon, "map", "p.slot", "--args-as", "positional", "--sync", "--window", 2, input=empty)
    slots = [json.loads(line) for line in out.splitlines()]
    assert all(sorted(slots[i:i + 2]) == [0, 1] for i in range(0, 8, 2)) and len(slots) == 9
    out, _ = run(daemon, "map", "p.add", "--bind", "[40]", "--chunk", 1, "--window", 1, input="1\n2\n")
    assert out == "41\n42\n"
    out, _ = run(daemon, "map", "p.kwargs", "--args-as", "keyword", "--bind-kwargs", '{"a": 1}', input='{"b": 2}\n')
    assert json.loads(out) == {"a": 1, "b": 2}
    _, errors = run(daemon, "map", "p.sleep", "--timeout", 0.2, input="30\n", status=1)
    assert "TIMEOUT" in errors
    out, errors = run(daemon, "map", "p.fail", "--errors", "first", input='"x"\n' * 1000, status=1)
    assert "FAILED: ProbeError: x" in errors and out == ""
    assert "--window" in run(daemon, "map", "p.echo", "--window", 0, status=2)[1]
    assert "no POOL.METHOD" in run(daemon, "map", "p:2.echo", status=2)[1]
    assert "NO_SUCH_POOL" in run(daemon, "map", "nothing.echo", input="1\n", status=1)[1]


def test_the_daemon_goes_away_in_the_middle(daemon):
    process = command(daemon, "map", "p.echo")
    process.stdin.write("1\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"
    daemon.kill()
    out, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and out == "" and "DISCONNECTED" in errors


def test_progress_of_a_call(daemon):
    out, errors = run(daemon, "call", "p:map.sleep", "[0.1, 0.1, 0.1, 0.1]", "--chunk", 1, "--progress")
    assert json.loads(out) == [0.1] * 4
    told = errors.splitlines()
    assert told[-1] == "4 of 4" and all(re.fullmatch(r"[0-4] of 4", line) for line in told)
    assert run(daemon, "call", "p:map.sleep", "[0.1, 0.1]")[1] == ""


def test_progress_on_a_terminal(daemon):
    with pseudo_terminal() as (ours, theirs):
        process = command(daemon, "call", "p:map.sleep", "[0.1, 0.1]", "--chunk", 1, "-p", stderr=theirs)
        out, _ = process.communicate(timeout=DEADLINE)
        drawn = read_terminal(ours, theirs)
    assert process.returncode == 0 and json.loads(out) == [0.1] * 2
    assert "100%" in drawn and "2 of 2" in drawn and drawn.endswith("\r\033[K")


def test_sticky_and_forget(daemon):
    run(daemon, "call", "p:all.echo", 1, "--sticky", "append")
    run(daemon, "call", "p:all.echo", 2, "--sticky", "append")
    run(daemon, "call", "p:all.slot", "--sticky", "replace")
    assert run(daemon, "forget", "p", "slot")[0] == "1\n"
    assert run(daemon, "forget", "p")[0] == "2\n"
    assert "sticky" in run(daemon, "call", "p:all.echo", 1, "--sticky", "sometimes", status=2)[1]
    assert "NO_SUCH_POOL" in run(daemon, "forget", "nothing", status=1)[1]


class Listener:
    """Answers every request with true, and keeps it."""

    def __init__(self, place):
        self.address = f"unix:{place}/fake"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(f"{place}/fake")
        self.listening.listen()
        self.requests = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            connection, _ = self.listening.accept()
            unpacker = msgpack.Unpacker(raw=False)
            while data := connection.recv(65536):
                unpacker.feed(data)
                for _, msgid, method, params in unpacker:
                    self.requests.append((method, params))
                    connection.sendall(msgpack.packb([1, msgid, None, True]))


def test_what_create_and_drop_send(place):
    fake = Listener(place)
    run(fake, "create", "sim", "--plugin", "probe", "--class", "Probe", "--workers", 3, 'args=[0.5, "x"]', 'kwargs={"a": null}',
        'slot_kwargs=[{"s": 1}]', "max_queue=10", "isolation=thread", "label=3 of them")
    run(fake, "create", "sim", "plugin=/a/b.so", "class=C", "workers=cpus", "owner=session")
    run(fake, "drop", "sim")
    asked = [request for request in fake.requests if request[0] != "objpool.hello"]
    assert asked == [
        ("objpool.create", [{"pool": "sim", "owner": "daemon", "plugin": "probe", "class": "Probe", "workers": 3, "args": [0.5, "x"],
                             "kwargs": {"a": None}, "slot_kwargs": [{"s": 1}], "max_queue": 10, "isolation": "thread",
                             "label": "3 of them"}]),
        ("objpool.create", [{"pool": "sim", "plugin": "/a/b.so", "class": "C", "workers": "cpus", "owner": "session"}]),
        ("objpool.drop", ["sim"])]


def test_what_is_wrong_with_create(daemon):
    given = ("create", "sim", "-p", "probe", "-c", "Probe")
    for words, said in ((("create", "sim"), "which plugin"), (("create", "sim", "plugin=probe"), "which class"), (("create",), "usage"),
                        ((*given, "words"), '"words" is no KEY=VALUE'), ((*given, "=1"), "no KEY=VALUE"),
                        ((*given, "args=1"), "args wants a JSON array"), ((*given, "kwargs={a"), "kwargs wants a JSON object: "),
                        ((*given, "slot_kwargs={}"), "slot_kwargs wants a JSON array"), ((*given, "class=C"), "class is given twice"),
                        ((*given, "max_age=1", "max_age=2"), "max_age is given twice"), ((*given, "pool=x"), "first word")):
        assert said in run(daemon, *words, status=2)[1]
