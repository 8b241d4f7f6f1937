# SPDX-License-Identifier: Apache-2.0
"""A daemon that no systemd looks after: its user, pid file and log file."""
import grp
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess

import pytest
from harness import BUILD, ROOT, Client, wait_for

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


# ---- what others do with it: docs/OPERATIONS.md, packaging/logrotate.conf ----


def of_this_place(text, place):
    """A text of the documents, for the daemon that was built, in this place and as this user."""
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    for old, new in (("/usr/sbin/objpoold", f"{BUILD}/objpoold"), ("/etc/objpool/", f"{place}/"), ("/run/objpoold.pid", f"{place}/pid"),
                     ("/var/log/objpool", f"{place}/log"), ("/run/objpool", f"{place}/run"), ("-o objpool -g objpool", f"-o {user} -g {group}"),
                     ("chpst -u objpool ", ""), ("objpool objpool", f"{user} {group}")):
        text = text.replace(old, new)
    return text


@pytest.mark.skipif(not shutil.which("logrotate"), reason="no logrotate here")
def test_the_log_is_rotated(start, place):
    (place / "log").mkdir()
    log = place / "log/objpoold.log"
    (place / "logrotate.conf").write_text(of_this_place((ROOT / "packaging/logrotate.conf").read_text(), place))
    daemon = start(daemon={"log_file": log, "pid_file": place / "pid"})
    wait_for(lambda: "ready: 1 pool" in log.read_text(), daemon.log)
    done = subprocess.run(["logrotate", "--force", "--state", place / "state", place / "logrotate.conf"], capture_output=True, text=True,
                          timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    with daemon.client() as client:
        def is_in_the_new_one():
            client.value("p.print", "hello\n")
            return "stdout: hello" in log.read_text()
        wait_for(is_in_the_new_one, lambda: "a line in the new file")
    assert "ready: 1 pool" in (place / "log/objpoold.log.1").read_text() and "ready: 1 pool" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o640


class Runit:
    """runsv, with the scripts of the documents."""

    def __init__(self, place):
        self.folder = place / "sv"
        (self.folder / "log").mkdir(parents=True)
        section = (ROOT / "docs/OPERATIONS.md").read_text().split("**runit**")[1].split("**OpenRC**")[0]
        for script, text in zip((self.folder / "run", self.folder / "log/run"), re.findall(r"```sh\n(#!.*?)```", section, re.S), strict=True):
            script.write_text(of_this_place(text, place))
            script.chmod(0o755)
        self.process = subprocess.Popen(["runsv", self.folder], stdin=subprocess.DEVNULL)

    def sv(self, *words):
        done = subprocess.run(["sv", "-w", "30", *words, self.folder], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout

    def end(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture
def runit(place):
    (place / "objpoold.conf").write_text(f"[daemon]\nlisten = unix:{place}/run/s\nplugin_dir = {BUILD}/plugins\n"
                                         "[pool p]\nplugin = probe\nclass = Probe\n")
    runit = Runit(place)
    yield runit
    runit.end()


@pytest.mark.skipif(not shutil.which("runsv"), reason="no runit here")
def test_runit_looks_after_it(runit, place):
    log = place / "log/current"

    def serves():
        try:
            with Client(f"unix:{place}/run/s") as client:
                return client.value("p.pid")
        except OSError:
            return None

    def pid():
        return int(re.search(r"run: .*: \(pid (\d+)\) \d+s", runit.sv("status"))[1])

    wait_for(lambda: serves() and "ready: 1 pool" in log.read_text(), lambda: log.read_text() if log.exists() else "no log")
    first = pid()
    runit.sv("hup")
    wait_for(lambda: "configuration reloaded" in log.read_text(), log.read_text)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: serves() and pid() != first, log.read_text)
    runit.sv("down")
    wait_for(lambda: "finishing what runs" in log.read_text(), log.read_text)
    assert not serves()
