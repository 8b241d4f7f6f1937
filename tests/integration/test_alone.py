# SPDX-License-Identifier: Apache-2.0
"""A daemon that no systemd looks after: its user, pid file and log file."""
import os
import pathlib
import pwd
import re
import signal
import socket
import subprocess

import pytest
from harness import BUILD, Client, wait_for

NOBODY = pwd.getpwnam("nobody")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def open_place(place):
    """A place that all users may enter, with a folder that is nobody's."""
    place.chmod(0o755)
    (place / "own").mkdir()
    os.chown(place / "own", NOBODY.pw_uid, NOBODY.pw_gid) if os.geteuid() == 0 else None
    return place


def refused(place, *lines):
    """What objpoold says, which does not start with these lines."""
    config = place / "objpoold.conf"
    config.write_text("\n".join(["[daemon]", f"listen = unix:{place}/s", f"plugin_dir = {BUILD}/plugins", *lines, ""]))
    done = subprocess.run([BUILD / "objpoold", "--config", config], capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 78), done
    return done.stderr


def identity(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return [{int(n) for n in re.search(rf"^{key}:\s*(.*)$", status, re.M).group(1).split()} for key in ("Uid", "Gid")]


# ---- the user ----


def can_be_run_by(user):
    """Not where a folder on the way to what was built is closed."""
    return subprocess.run(["test", "-x", BUILD / "objpool-worker"], user=user.pw_name).returncode == 0


@root
def test_root_starts_it_and_it_is_anothers(start, open_place):
    if not can_be_run_by(NOBODY):
        pytest.skip("other users may not run what was built")
    daemon = start({"p": {}}, {"user": "nobody", "listen": f"unix:{open_place}/own/s", "pid_file": f"{open_place}/pid",
                               "log_file": f"{open_place}/own/log", "socket_mode": "0600"}, expect_ready=False)
    log = open_place / "own/log"
    wait_for(lambda: log.exists() and "ready: 1 pool" in log.read_text(), daemon.log)
    ours = [{NOBODY.pw_uid}, {NOBODY.pw_gid}]
    with Client(f"unix:{open_place}/own/s") as client:
        assert [identity(pid) for pid in (daemon.process.pid, *daemon.children())] == [ours] * (1 + len(daemon.children()))
        at = os.stat(open_place / "own/s")
        assert (at.st_uid, at.st_gid, at.st_mode & 0o777) == (NOBODY.pw_uid, NOBODY.pw_gid, 0o600)
        assert os.stat(open_place / "own/log").st_uid == NOBODY.pw_uid and os.stat(open_place / "pid").st_uid == 0
        (open_place / "0").chmod(0o755)
        daemon.config.chmod(0o644)
        client.value("objpool.reload")
        daemon.daemon["tls_cert"] = daemon.daemon["tls_key"] = f"{open_place}/key"
        (open_place / "key").touch(0o600)
        daemon.write_config()
        assert "Permission denied" in client.error("objpool.reload")
    daemon.signal(signal.SIGTERM)
    assert daemon.process.wait(20) == 0
    assert (open_place / "pid").read_text() == "" and not (open_place / "own/s").exists()
    daemon.socket_path.unlink()  # the folder is root's


def test_what_only_root_can_do_is_refused(place):
    assert f"{place}/objpoold.conf:4: user = no-such-user: there is no such user" in refused(place, "user = no-such-user")
    assert "group needs user" in refused(place, f"group = {pwd.getpwuid(os.geteuid()).pw_name}" if os.geteuid() else "group = root")
    pool = ["[pool p]", "plugin = probe", "class = Probe", "user = daemon"]
    assert "the daemon does not stay root: user = nobody" in refused(place, "user = nobody", *pool)


@root
def test_others_can_not_become_anybody(place):
    if not can_be_run_by(NOBODY):
        pytest.skip("other users may not run what was built")
    place.chmod(0o755)
    config = place / "objpoold.conf"
    config.write_text("[daemon]\nlisten = tcp:127.0.0.1:0\nuser = daemon\n")
    done = subprocess.run([BUILD / "objpoold", "--config", config], capture_output=True, text=True, timeout=60,
                          user="nobody", group=NOBODY.pw_gid, extra_groups=[])
    assert done.returncode == 1 and "user = daemon: only root can become another user" in done.stderr, done


# ---- the pid file ----


def test_the_pid_file_is_one_daemons(start, place):
    daemon = start(daemon={"pid_file": f"{place}/pid"})
    assert int((place / "pid").read_text()) == daemon.process.pid
    assert f"pid_file = {place}/pid: a daemon that runs has it" in refused(place, f"pid_file = {place}/pid")
    assert int((place / "pid").read_text()) == daemon.process.pid
    daemon.kill()
    again = start(daemon={"pid_file": f"{place}/pid"})
    assert int((place / "pid").read_text()) == again.process.pid
    again.stop()
    assert not (place / "pid").exists()


def test_the_pid_file_is_no_link_and_is_where_it_can_be(place):
    (place / "pid").symlink_to(place / "other")
    assert f"pid_file = {place}/pid: Too many levels" in refused(place, f"pid_file = {place}/pid")
    assert not (place / "other").exists()
    assert f"pid_file = {place}/no/pid: No such file" in refused(place, f"pid_file = {place}/no/pid")


# ---- the log file ----


def test_the_log_file_is_opened_anew(start, place):
    daemon = start(daemon={"log_file": f"{place}/log"})
    log = place / "log"
    wait_for(lambda: "ready: 1 pool" in log.read_text(), lambda: "a line of the log")
    assert log.stat().st_mode & 0o777 == 0o640 & ~os.umask(os.umask(0o22)) and "ready:" not in daemon.log()
    log.rename(place / "log.1")
    daemon.signal(signal.SIGUSR1)
    wait_for(log.exists, lambda: "the new file")
    with daemon.client() as client:
        client.value("p.print", "hello\n")
        wait_for(lambda: "stdout: hello" in log.read_text(), lambda: "a line in the new file")
        assert "hello" not in (place / "log.1").read_text()
        log.rename(place / "log.2")
        log.mkdir()
        daemon.signal(signal.SIGUSR1)
        old = place / "log.2"
        wait_for(lambda: f"log_file = {log} can't be opened anew" in old.read_text(), lambda: "a complaint")
        client.value("p.print", "there\n")
        wait_for(lambda: "stdout: there" in old.read_text(), lambda: "a line in the old file")


def test_a_log_file_that_can_not_be_opened(place):
    assert f"objpoold.conf:4: log_file = {place}/no/log: No such file" in refused(place, f"log_file = {place}/no/log")
    os.mkfifo(place / "fifo")
    assert f"log_file = {place}/fifo: No such device" in refused(place, f"log_file = {place}/fifo")


def test_a_reload_does_not_change_what_is_done_once(start, place):
    daemon = start(daemon={"log_file": f"{place}/log"})
    daemon.daemon |= {"log_file": f"{place}/other", "pid_file": f"{place}/pid"}
    daemon.write_config()
    with daemon.client() as client:
        client.value("objpool.reload")
        text = wait_for(lambda: re.search(r"pid_file stays as it was.*\n.*log_file stays as it was", (place / "log").read_text()),
                        lambda: "warnings")
        assert text and not (place / "other").exists() and not (place / "pid").exists()
        assert f"log_file = {place}/log" in client.value("objpool.config") and "pid_file" not in client.value("objpool.config")
