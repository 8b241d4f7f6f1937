# SPDX-License-Identifier: Apache-2.0
"""The objpool command, as a shell sees it."""
import json
import os
import re
import subprocess

import pytest
from harness import BUILD


@pytest.fixture
def objpool(start):
    daemon = start(pools={"p": {"workers": 2}})

    def run(*arguments, input=None, address=None, status=0):
        done = subprocess.run([BUILD / "objpool", *map(str, arguments)], text=True, capture_output=True, timeout=60, input=input,
                              env={**os.environ, "OBJPOOL_ADDRESS": address or daemon.address})
        assert done.returncode == status, done
        return done
    run.daemon = daemon
    return run


def test_call(objpool):
    assert json.loads(objpool("call", "p.add", 1, 2).stdout) == 3
    assert json.loads(objpool("call", "p.echo", "plain words").stdout) == "plain words"
    assert json.loads(objpool("call", "p.echo", '{"a": [1, null, 2.5]}').stdout) == {"a": [1, None, 2.5]}
    assert json.loads(objpool("call", "p.kwargs", "--kwargs", '{"a": 1}').stdout) == {"a": 1}
    assert json.loads(objpool("call", "p:all.slot").stdout) == [0, 1]
    assert json.loads(objpool("-s", objpool.daemon.tcp, "call", "p.echo", 1, address="unix:/nowhere").stdout) == 1


def test_addresses_as_people_write_them(objpool):
    path, place = (address.split(":", 1)[1] for address in (objpool.daemon.address, objpool.daemon.tcp))
    for address in (path, f"unix://{path}", place, f"tcp://{place}", f"tcp://{place}/"):
        assert objpool("-s", address, "ping", address="unix:/nowhere").returncode == 0
    assert "no daemon at unix:/nowhere" in objpool("ping", address="/nowhere", status=3).stderr


def test_a_daemon_takes_such_addresses_too(tmp_path):
    config = tmp_path / "d.conf"
    config.write_text(f"[daemon]\nlisten = {tmp_path}/d.sock\nlisten = tcp://127.0.0.1:0\nlisten = [::1]:0\n")
    check = [BUILD / "objpoold", "--config", config, "--check"]
    done = subprocess.run([*check, "--listen", "0.0.0.0:7117"], text=True, capture_output=True, timeout=60)
    assert done.returncode and "0.0.0.0:7117" in done.stderr and "anyone on the network" in done.stderr, done
    done = subprocess.run(check, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done


def test_did_you_mean(objpool, tmp_path):
    assert "; did you mean status?" in objpool("stauts", status=2).stderr
    assert "; did you mean --timeout?" in objpool("call", "--timout", "1", "p.echo", status=2).stderr
    assert "; did you mean workers?" in objpool("create", "q", "plugin=probe", "class=Probe", "worker=2", status=1).stderr
    assert "did you mean" not in objpool("nothing", status=2).stderr
    config = tmp_path / "d.conf"
    for text, hint in (("[daemon]\nlisten = /x.sock\nmax_mesage = 1M\n", "max_message"), ("[pol x]\n", "pool")):
        config.write_text(text)
        done = subprocess.run([BUILD / "objpoold", "--config", config, "--check"], text=True, capture_output=True, timeout=60)
        assert done.returncode and f"; did you mean {hint}?" in done.stderr, done
    done = subprocess.run([BUILD / "objpoold", "--chek"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and "; did you mean --check?" in done.stderr, done


def test_exit_status(objpool):
    assert "FAILED" in objpool("call", "p.fail", "why", status=1).stderr
    assert "TIMEOUT" in objpool("call", "p.sleep", 30, "--timeout", "0.1", status=1).stderr
    assert objpool("call", status=2).stderr
    assert objpool("nothing", status=2).stderr
    assert objpool("call", "p.echo", 1, address="unix:/nowhere/at/all", status=3).stderr
    assert "usage" in objpool("--help").stdout.lower()
    for command in ("call", "map", "pools", "describe", "status", "scale", "restart", "reload", "ping", "bench"):
        assert objpool(command, "--help").stdout


def test_map(objpool, place):
    lines = "".join(f"{i}\n" for i in range(20000))
    assert objpool("map", "p.echo", input=lines).stdout == lines
    (place / "items").write_text('"a"\n[1]\n')
    assert objpool("map", "p.echo", "--items", place / "items").stdout.replace(" ", "") == '"a"\n[1]\n'
    out = objpool("map", "p.add", "--args-as", "positional", input='[1, 2]\n["x"]\n[3, 4]\n', status=1).stdout.splitlines()
    assert out[0] == "3" and out[2] == "7" and "$error" in json.loads(out[1])


def test_tables_and_json(objpool):
    assert "Probe" in objpool("pools").stdout
    assert json.loads(objpool("pools", "--json").stdout.splitlines()[0])["name"] == "p"
    assert json.loads(objpool("status", "--json").stdout)["pools"][0]["slots"][1]["slot"] == 1
    assert re.search(r"\n  template: ready for [\d.e-]+ s, pid \d+, generation 1, \d+ bytes\n", objpool("status").stdout)
    assert ", 1 session\n" in objpool("status").stdout and ", 0 restarts\n" in objpool("status").stdout
    assert "echo" in objpool("describe", "p").stdout
    assert json.loads(objpool("describe", "p", "--json").stdout)["class"] == "Probe"


def test_administration(objpool):
    objpool("scale", "p", 3)
    assert json.loads(objpool("call", "p:all.slot").stdout) == [0, 1, 2]
    objpool("restart", "p")
    assert json.loads(objpool("call", "p:all.generation").stdout) == [2, 2, 2]
    objpool("reload")
    objpool("ping")
    assert "DENIED" not in objpool("restart", "p", 1).stderr
    assert objpool("resume", "p").stdout == "false\n"
    assert objpool("pause", "p").stdout == "true\n"
    assert "paused" in objpool("pools").stdout
    assert objpool("resume", "p").stdout == "true\n"
    assert json.loads(objpool("bench", "p.echo", 1, "-c", 2, "-P", 4, "-n", 500, "--json").stdout)


HOSTILE = "one\nobjpool: done\r\x1b[31m\x9b1m\u202eé漢字\x07"
SHOWN = r"objpool: done\r\e[31m\u009b1m\u202eé漢字\x07"


def test_text_of_others_does_not_act_on_a_terminal(objpool, start):
    done = objpool("call", "p.fail", HOSTILE, HOSTILE, HOSTILE, status=1)
    lines = done.stderr.split("\n")
    assert lines[0].startswith("objpool: FAILED: one") and lines.count("objpool: done") == 0
    assert done.stderr.count(SHOWN) == 3 and not any(line.startswith("objpool: done") for line in lines)
    assert SHOWN in objpool("call", "p.fail", HOSTILE, status=1).stderr
    assert SHOWN.removeprefix("objpool: ") in objpool("call", HOSTILE, status=2).stderr
    value = {HOSTILE: [HOSTILE, "\U000e0041\u061c", "\u200dé漢字👩"]}
    text = objpool("call", "p.echo", json.dumps(value)).stdout
    assert json.loads(text) == value and not set(text) & set("\x1b\x9b\u202e\r\x07\U000e0041\u061c")
    assert "\u200dé漢字👩" in text and '\\udb40\\udc41' in text
    daemon = start({"p": {"workers": 1, "kwargs": json.dumps({"fail": HOSTILE})}})
    assert r"\e[31m" in objpool("status", address=daemon.address).stdout
    for command in ("status", "pools"):
        text = objpool(command, address=daemon.address).stdout
        assert not set(text) & set("\x1b\x9b\u202e\r\x07")
        text = objpool(command, "--json", address=daemon.address).stdout
        assert r"\u009b1m\u202e" in text and not set(text) & set("\x1b\x9b\u202e\r\x07")
