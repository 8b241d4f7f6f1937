# SPDX-License-Identifier: Apache-2.0
"""The log's level, the configuration that is in force, and a daemon that is drained."""
import os
import signal
import subprocess

from harness import BUILD, Client, wait_for


def objpool(daemon, *words, status=0):
    done = subprocess.run([BUILD / "objpool", "-s", daemon.address, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def wait_running(client, pool="p"):
    wait_for(lambda: client.value("objpool.status", pool)["pools"][0]["slots"][0]["running"], lambda: "a method to run")


def test_log_level(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        assert c.value("objpool.log_level") == "info"
        c.value("p.echo", 1)
        assert c.value("objpool.log_level", "debug") == "debug"
        c.value("p.echo", 2)
        daemon.wait_log(r"p\.echo|, echo: comes")
        assert c.value("objpool.log_level", None) == "debug"
        assert objpool(daemon, "log-level", "info").stdout == '"info"\n'
        assert objpool(daemon, "log-level").stdout == '"info"\n'
        for wrong in ("loud", 2, ""):
            assert c.error("objpool.log_level", wrong).startswith("BAD_ARGUMENT: ")
        c.value("objpool.log_level", "debug")
        daemon.write_config()
        c.value("objpool.reload")  # the file counts again
        assert c.value("objpool.log_level") == "info"
    daemon.wait_log(r"objpool.log_level debug: done")


def test_config_is_what_runs(start, place):
    uid, token = os.getuid(), "0" * 64
    users = (f"[user me]\nuid = {uid}\ncall = *.*\ndescribe = *\nadmin = *\noperate = yes\ncreate = *\ncode = *\n"
             f"[user bot]\ntoken_sha256 = {token}\ncall = p.echo\n")
    daemon = start({"p": {"workers": 1, "kwargs": '{"tag": 7}'}}, {"max_connections": 77}, users=users)
    with daemon.client() as c:
        c.value("objpool.scale", "p", 3)
        c.value("objpool.create", {"pool": "mine", "plugin": "probe", "class": "Probe", "workers": 1})
        c.value("objpool.log_level", "warning")
        daemon.daemon["max_connections"] = 88  # what the file says now does not run
        daemon.write_config()
        text = c.value("objpool.config")
        assert "max_connections = 77\n" in text and "log_level = warning\n" in text
        assert f"listen = {daemon.address}\n" in text and "listen = tcp:127.0.0.1:0\n" not in text
        assert "[user bot]" in text and token not in text and "; token_sha256 is not shown\n" in text
        pool = text[text.index("[pool p]"):text.index("[pool mine]")]
        assert "workers = 3\n" in pool and 'kwargs = {"tag": 7}\n' in pool and "; paused" not in pool
        assert "; made by a client, and goes with it\n" in text
        c.value("objpool.pause", "p")
        assert "; paused\n" in c.value("objpool.config")
        shown = objpool(daemon, "config").stdout
        (place / "shown.conf").write_text(shown.replace("; token_sha256 is not shown", f"token_sha256 = {token}"))
    subprocess.run([BUILD / "objpoold", "--config", place / "shown.conf", "--check=syntax"], check=True, capture_output=True)


def test_drain_says_what_it_waits_for(start):
    daemon = start({"p": {"workers": 1}, "q": {"workers": 1}}, {"drain_timeout": 300})
    with daemon.client() as c, daemon.client() as admin:
        running = c.start("p.sleep", 60)
        c.start("p.echo", 1)
        wait_running(c)
        left = admin.value("objpool.drain")
        assert left["calls"] == 2 and left["direct"] == 0 and left["pools"] == [{"name": "p", "calls": 2, "direct": 0}]
        assert 0 < left["left_s"] <= 300
        assert c.error("q.echo", 1).startswith("UNAVAILABLE: ")
        assert admin.value("objpool.drain")["calls"] == 2  # to ask again changes nothing
        c.value("objpool.cancel", running)
    assert daemon.process.wait(20) == 0
    assert daemon.log().count("objpool.drain: done") == 1


def test_the_command_waits_until_the_daemon_has_stopped(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as c:
        running = c.start("p.sleep", 60)
        wait_running(c)
        command = subprocess.Popen([BUILD / "objpool", "-s", daemon.address, "drain"], stderr=subprocess.PIPE, text=True)
        assert command.stderr.readline() == "objpool: the daemon waits for 1 call (p: 1)\n"
        c.value("objpool.cancel", running)
        said = command.stderr.read()
        assert said.endswith("objpool: the daemon has stopped\n") and command.wait(20) == 0
        command.stderr.close()
    assert daemon.process.wait(20) == 0


def test_an_idle_daemon_stops_at_once(start):
    daemon = start()
    assert objpool(daemon, "drain").stderr.endswith("objpool: the daemon has stopped\n")
    assert daemon.process.wait(20) == 0


def test_who_may_operate(start):
    daemon = start(daemon={"admin": "unix"})
    with Client(daemon.tcp) as tcp:
        for method in ("log_level", "config", "drain"):
            assert tcp.error(f"objpool.{method}").startswith("DENIED: ")
            with daemon.client() as c:
                assert c.error(f"objpool.{method}", "x", "y").startswith("BAD_ARGUMENT: ")
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0
