# SPDX-License-Identifier: Apache-2.0
"""The objpool command when something is wrong: the daemon, the reply, standard output, the rights, the numbers."""
import base64
import grp
import json
import os
import signal
import socket
import subprocess
import threading

import msgpack
import numpy
import pytest
from harness import BUILD, DEADLINE, wait_for

HELLO = {"server": "objpool", "version": "0", "session": 1}


def run(*arguments, address, **keywords):
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords}
    return subprocess.run([BUILD / "objpool", "-s", address, *map(str, arguments)], timeout=DEADLINE, text=True, **keywords)


@pytest.fixture
def fake(place):
    """fake(answer) -> address of a daemon that says hello, and then answer(method) as the raw value of its result; None: nothing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place / "fake"))
    listener.listen()

    def serve(answer):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            unpacker = msgpack.Unpacker()
            while data := connection.recv(1 << 16):
                unpacker.feed(data)
                for kind, msgid, method, *_ in unpacker:
                    raw = answer(method) if kind == 0 else None
                    if raw is not None:
                        connection.sendall(b"\x94\x01" + msgpack.packb(msgid) + raw)

    def start_fake(answer):
        threading.Thread(target=serve, args=[answer], daemon=True).start()
        return f"unix:{place}/fake"
    yield start_fake
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def says(value):
    """A daemon that greets, and answers everything else with that raw value."""
    return lambda method: b"\xc0" + (msgpack.packb(HELLO) if method == "objpool.hello" else value)


def test_a_connection_that_is_closed_before_an_answer(place):
    """So does systemd's socket whose service can't start."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "s"))
        listener.listen()
        command = subprocess.Popen([BUILD / "objpool", "-s", f"unix:{place}/s", "ping"], stderr=subprocess.PIPE, text=True)
        listener.accept()[0].close()
        _, said = command.communicate(timeout=DEADLINE)
    assert (command.returncode, said) == (3, f"objpool: no objpoold answers at unix:{place}/s: it can't start, perhaps (its log says why), "
                                             "or another program listens there\n")


@pytest.mark.parametrize("level, end", [(b"\x91", b"\x05"), (b"\x81\xa1a", b"\x05"), (b"\x81\x01", b"\xc0")])
def test_replies_of_any_depth_are_printed(fake, level, end):
    address = fake(says(level * 200_000 + end))
    for command in ("call", "p.echo"), ("status", "--json"), ("status",), ("pools",), ("describe", "p"), ("top", "-b", "-n", 1), ("metrics",), ("reload",):
        done = run(*command, address=address)
        assert done.returncode in (0, 1), (command, done.returncode, done.stderr[:200])
    value = json.loads(run("call", "p.echo", address=address).stdout)
    depth = 0
    while "$msgpack" not in value:
        value = value[-1] if isinstance(value, list) else next(iter(value.values()))
        depth += 1
    assert depth in (64, 3 * 64)  # [VALUE], {"a": VALUE}, or {"$map": [[1, VALUE]]}


def test_an_error_of_any_depth_is_printed(fake):
    error = b"\x82\xa4code\xa6FAILED\xa4data" + b"\x91" * 200_000 + b"\xc0" + b"\xc0"
    address = fake(lambda method: says(None)(method) if method == "objpool.hello" else error)
    assert run("call", "p.echo", address=address).returncode == 1
    assert run("call", "--json", "p.echo", address=address).returncode == 1
    assert run("map", "p.echo", address=address, input="1\n").returncode == 1


@pytest.mark.parametrize("command", ["ping", "pools", "status", "metrics", "describe", "forget"])
def test_who_accepts_and_never_answers(fake, command):
    words = [command, *(["p"] if command in ("describe", "forget") else [])]
    silent = run(*words, "--timeout", "0.05", address=fake(lambda method: None))
    assert silent.returncode == 3 and "does not answer" in silent.stderr


def test_who_greets_and_then_never_answers(fake):
    address = fake(lambda method: says(b"")(method) if method == "objpool.hello" else None)
    done = run("ping", "-t", "0.05", address=address)
    assert done.returncode == 3 and "does not answer" in done.stderr and not done.stdout


def test_a_daemon_that_is_stopped(start):
    daemon = start()
    daemon.signal(signal.SIGSTOP)
    try:
        done = run("ping", "--timeout", "0.1", address=daemon.address)
    finally:
        daemon.signal(signal.SIGCONT)
    assert done.returncode == 3 and "does not answer" in done.stderr
    assert run("ping", address=daemon.address).returncode == 0


@pytest.mark.parametrize("command", [["call", "p.echo", 1], ["status"], ["pools", "--json"], ["metrics"], ["ping"], ["--help"], ["call", "--help"],
                                     ["map", "p.echo"], ["top", "-b", "-n", 1], ["describe", "p"], ["reload"], ["--version"]])
def test_output_that_is_lost_is_a_failure(start, command):
    daemon = start()
    with open("/dev/full", "w") as full:
        done = run(*command, address=daemon.address, stdout=full, input="1\n")
    assert done.returncode == 1 and "standard output" in done.stderr, done
    closed = run(*command, address=daemon.address, stdout=None, preexec_fn=lambda: os.close(1), input="1\n")
    assert closed.returncode == 1 and "standard output" in closed.stderr, closed


def test_closed_descriptors_do_not_become_the_connection(start):
    daemon = start()
    shell = f"'{BUILD}/objpool' -s {daemon.address} call p.sleep 30 <&- >&- 2>&-"
    with subprocess.Popen(["sh", "-c", "exec " + shell]) as process, daemon.client() as client:
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["running"], lambda: "the call to run")
        assert [os.readlink(f"/proc/{process.pid}/fd/{n}") for n in range(3)] == ["/dev/null"] * 3
        process.kill()


def test_who_may_not_connect_is_told_the_group(start, place):
    daemon = start(daemon={"socket_mode": "0660"})
    group = grp.getgrgid(os.stat(daemon.socket_path).st_gid).gr_name
    if os.geteuid() != 0:
        pytest.skip("root may change its user, others may not")
    for mode, path in (0o700, place), (0o710, place), (0o755, daemon.socket_path):
        place.chmod(mode)
        done = run("ping", address=daemon.address, user=65534, group=65534, extra_groups=[])
        assert done.returncode == 77 and f"{path} is for user " in done.stderr, done
        assert (f"members of group {group}" in done.stderr) == (mode != 0o700)
        assert "no daemon" not in done.stderr
        done = run("call", "--json", "p.echo", 1, address=daemon.address, user=65534, group=65534, extra_groups=[])
        error = json.loads(done.stdout)["$error"]
        assert done.returncode == 77 and (error["code"], error["ran"], done.stderr) == ("DENIED", "no", "")
        assert f"{path} is for user " in error["message"]


@pytest.mark.parametrize("number", ["18446744073709551616", "99999999999999999999", "[1, 18446744073709551616]", "-9223372036854775809",
                                    '{"a": 123456789012345678901234567890}', "1e999"])
def test_numbers_that_do_not_fit(number):
    done = run("call", "p.echo", "--", number, address="unix:/nowhere")
    assert done.returncode == 2 and ("too big" in done.stderr or "overflow" in done.stderr), done
    assert "$-object" not in done.stderr


def test_a_connection_that_fails_is_json_for_programs(place):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place / "dead"))
        for address, why in ((f"unix:{place}/nothing", "No such file"), (f"unix:{place}/dead", "refused"), ("tcp:127.0.0.1:1", "refused")):
            done = run("call", "--json", "p.echo", 1, address=address)
            error = json.loads(done.stdout)["$error"]
            assert done.returncode == 3 and not done.stderr and (error["code"], error["ran"]) == ("NO_DAEMON", "no")
            assert error["message"].startswith(f"no daemon at {address}: ") and why in error["message"]
            done = run("call", "p.echo", 1, address=address)
            assert done.returncode == 3 and not done.stdout and done.stderr == f"objpool: {error['message']}\n"
    done = run("call", "--json", "p.echo", 1, address="nowhere")
    assert done.returncode == 2 and not done.stdout and "is no address" in done.stderr


@pytest.mark.parametrize("words", [["call", "p.echo", "[" * 20000 + "]" * 20000], ["call", "p.echo", '"' + "x" * 40000 + '\\q" {'], ["call", "x" * 40000],
                                   ["create", "x", "k" * 40000], ["create", "x", "k" * 40000 + "=1"], ["k" * 40000], ["scale", "p", "7" * 40000],
                                   ["restart", "p", "x" * 40000], ["call", "p.echo", "--kwargs", "[" * 40000], ["--" + "x" * 40000], ["map", "p.echo", "--items", "x" * 40000],
                                   ["-s", "x" * 40000, "ping"], ["-s", "unix:" + "x" * 40000, "ping"], ["-s", "tcp:" + "x" * 40000 + ":1", "ping"]])
def test_errors_do_not_repeat_forty_kilobytes(words):
    done = run(*words, address="unix:/nowhere/at/all")
    assert done.returncode in (2, 3) and 10 < len(done.stderr) < 600, (done.returncode, len(done.stderr))


def test_what_is_too_long_is_called_so(start):
    daemon = start()
    for words in (["-p", "x" * 40000, "-c", "X"], ["-p", "x", "-c", "X" * 40000], ["-p", "x", "-c", "X", "-w", "1" + "x" * 40000]):
        done = run("create", "q", *words, address=daemon.address)
        assert done.returncode == 1 and "is too long" in done.stderr and len(done.stderr) < 200, done.stderr[:200]
    done = run("ping", address="unix:/" + "x" * 120)
    assert done.returncode == 2 and "107 bytes at most" in done.stderr, done


def test_exit_statuses_say_what_to_do(start):
    daemon = start({"p": {"workers": 1, "max_queue": 1}, "down": {"workers": 1, "kwargs": '{"fail": "no licence"}'}})
    with daemon.client() as client:
        client.start("p.sleep", 30)
        client.start("p.sleep", 30)
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["queue"] == 1, lambda: "the queue to be full")
        wait_for(lambda: client.value("objpool.status", "down")["pools"][0]["state"] == "unavailable", lambda: "down to be down")
        for words, code, status in ((["p.echo", 1], "OVERLOADED", 75), (["down.echo", 1], "UNAVAILABLE", 75), (["nothing.echo"], "NO_SUCH_POOL", 1)):
            done = run("call", *words, address=daemon.address)
            assert done.returncode == status and code in done.stderr, done
            done = run("call", "--json", *words, address=daemon.address)
            assert done.returncode == status and not done.stderr, done
            error = json.loads(done.stdout)["$error"]
            assert error["code"] == code and error["ran"] == "no" and error["message"]


def test_what_has_run_or_may_have_run_is_not_to_be_tried_again(start):
    daemon = start()
    assert run("call", "p.fail", "why", address=daemon.address).returncode == 1
    assert run("call", "p.crash", address=daemon.address).returncode == 1
    assert run("call", "p.sleep", 30, "--timeout", "0.1", address=daemon.address).returncode == 1
    error = json.loads(run("call", "--json", "p.fail", "why", address=daemon.address).stdout)["$error"]
    assert (error["code"], error["message"], error["ran"]) == ("FAILED", "why", "yes")


def test_who_is_denied(start):
    daemon = start(daemon={"admin": "none"})
    done = run("scale", "p", 3, address=daemon.tcp)
    assert done.returncode == 77 and "DENIED" in done.stderr, done


def test_pools_says_why_one_is_down(start):
    daemon = start({"good": {"workers": 1}, "down": {"workers": 1, "kwargs": '{"fail": "no licence for it"}'}})
    wait_for(lambda: "unavailable" in run("pools", address=daemon.address).stdout, lambda: "down to be down")
    table = {line.split()[0]: line for line in run("pools", address=daemon.address).stdout.splitlines()}
    assert table["POOL"].split()[-1] == "WHY" and "no licence for it" in table["down"] and table["good"].split()[-1] == "-"


def test_a_daemon_without_pools_says_so(start):
    daemon = start({})
    assert run("status", address=daemon.address).stdout.endswith("\n\nno pools\n")
    assert f"there are no pools in {daemon.config} or in conf.d beside it" in daemon.log()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_create_that_is_interrupted_leaves_no_pool(start, number):
    daemon = start({})
    arguments = ["create", "made", "--plugin", "probe", "--class", "Probe", 'kwargs={"sleep": 60}']
    with subprocess.Popen([BUILD / "objpool", "-s", daemon.address, *arguments]) as process, daemon.client() as client:
        wait_for(lambda: client.value("objpool.pools"), lambda: "it to begin")
        process.send_signal(number)
        assert process.wait(DEADLINE) == -number
        wait_for(lambda: client.value("objpool.pools") == [] and daemon.children() == [], lambda: "the pool to go")


def array_ext(array):
    head = msgpack.packb([array.dtype.str, list(array.shape), "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"])
    head += bytes(-(2 + len(head)) % 64)
    return len(head).to_bytes(2, "big") + head + array.tobytes("A")


def exact(kind, data):
    return {"$ext": [kind, base64.b64encode(data).decode()]}


def test_arrays_and_objects_are_shown_to_people_as_such(start):
    address = start().address
    big = numpy.arange(6, dtype=">i2").reshape(2, 3)
    for array in (numpy.arange(3.0), big, numpy.asfortranarray(big), numpy.array(5), numpy.array([True, False]), numpy.array([[1.5]], "f4"),
                  numpy.array([2 ** 64 - 1], "u8"), numpy.array([-1, 127], "i1"), numpy.zeros((1,) * 32), numpy.zeros(0)):
        value = exact(81, array_ext(array))
        assert json.loads(run("call", "p.echo", json.dumps([value, 1]), address=address).stdout) == [array.tolist(), 1], array
        assert json.loads(run("call", "--json", "p.echo", json.dumps(value), address=address).stdout) == value
    times = numpy.array([["2020-01-01"]], "M8[D]")
    assert json.loads(run("call", "p.echo", json.dumps(exact(81, array_ext(times))), address=address).stdout) == {"$array": ["<M8[D]", [1, 1]]}
    assert json.loads(run("call", "p.echo", json.dumps(exact(80, b"pickle\x00abc")), address=address).stdout) == {"$object": "pickle, 3 bytes"}


def test_what_only_looks_like_an_array_is_shown_as_bytes(start):
    address = start().address
    good = array_ext(numpy.arange(6.0))
    head = msgpack.packb(["<f8", [2 ** 40, 2 ** 40], "C"])
    bad = [b"", b"\0", b"\0\0", good[:-1], good + b"x", good[:70], b"\xff\xff" + good[2:], len(head).to_bytes(2, "big") + head,
           *[b"\0" + bytes([len(h)]) + h for h in map(msgpack.packb, (5, [], ["<f8", 5, "C"], ["<f8", [-1], "C"], ["<f8", [1] * 33, "C"], ["<f8", [0], 1]))]]
    for kind, data in [(81, data) for data in bad] + [(80, b""), (80, b"\0"), (80, b"pickle"), (80, b"\x1b[2J\0x"), (82, good)]:
        assert json.loads(run("call", "p.echo", json.dumps(exact(kind, data)), address=address).stdout) == exact(kind, data), data
    endless = msgpack.packb(["<f8", [2 ** 60, 0], "C"])
    assert run("call", "p.echo", json.dumps(exact(81, len(endless).to_bytes(2, "big") + endless)), address=address).stdout == "[]\n"


def test_a_pickled_exception_is_not_shown(fake):
    error = {"code": "FAILED", "message": "no such file", "type": "OSError", "data": msgpack.packb(msgpack.ExtType(80, b"pickle\0abc"))}
    address = fake(lambda method: says(None)(method) if method == "objpool.hello" else msgpack.packb(error) + b"\xc0")
    assert run("call", "p.echo", address=address).stderr == "objpool: FAILED: OSError: no such file\n"
    assert "$bin" in run("call", "--json", "p.echo", address=address).stdout


def test_a_name_that_is_near_is_told(start):
    daemon = start({"probes": {"workers": 1}})

    def said(word):
        done = run("call", word, address=daemon.address)
        assert done.returncode == 1 and not done.stdout
        return done.stderr.splitlines()[1:]

    assert said("prbes.echo") == ["did you mean probes.echo?"]
    assert said("prbes:all.echo") == ["did you mean probes:all.echo?"]
    assert said("probes:0.ehco") == ["did you mean probes:0.echo?"]
    assert said("nothing.echo") == said("probes.nothing_like_it") == said("objpool.pols") == []
