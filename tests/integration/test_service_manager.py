# SPDX-License-Identifier: Apache-2.0
"""What a service manager passes to the daemon and hears from it, by systemd's protocols, without systemd."""
import os
import shlex
import socket
import subprocess

import harness
import pytest
from harness import BUILD, DEADLINE

PRIVATE_RUN = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal'
CAN_MOUNT = subprocess.run(["unshare", "-m", "sh", "-c", PRIVATE_RUN, "/tmp"], capture_output=True).returncode == 0


@pytest.fixture
def started(place):
    """started(descriptors, exports, …) -> a daemon's Popen. It gets these descriptors, from 3 on, and ends with the test."""
    running = []

    def start(descriptors, exports, before="", **keywords):
        config = place / "objpoold.conf"
        config.write_text(f"[daemon]\nlisten = unix:{place}/s\nplugin_dir = {BUILD}/plugins\n"
                          "[pool p]\nplugin = probe\nclass = Probe\n")
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(descriptors)]
        moves = "".join(f"exec {3 + i}<&{fd} {fd}<&-; " for i, fd in enumerate(high))
        daemon = subprocess.Popen(["bash", "-c", f'{moves}{before}export {exports}; exec "$@"', place, BUILD / "objpoold",
                                   "--config", config], pass_fds=high, **keywords)
        for fd in high:
            os.close(fd)
        running.append(daemon)
        return daemon

    yield start
    for daemon in running:
        if daemon.poll() is None:
            daemon.terminate()
        daemon.communicate(timeout=DEADLINE)


def connected(place):
    """A client, or None: nobody listens yet."""
    try:
        return harness.Client(f"unix:{place}/s")
    except OSError:
        return None


def ready(place):
    return harness.wait_for(lambda: connected(place), lambda: "the daemon")


def variables_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


# ---- sockets that are passed ----


def test_passed_sockets_and_what_workers_get(started, place):
    """Both are listened on, and no process that the daemon starts takes itself for the one that they were passed to."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [s.getsockname()[1] for s in (first, second)]
        daemon = started([first.fileno(), second.fileno()], "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=one:two",
                         stderr=subprocess.PIPE)
    with ready(place) as client:
        for port in ports:
            with harness.Client(f"tcp:127.0.0.1:{port}") as other:
                assert other.value("objpool.ping") == []
        pid = harness.wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["pid"], lambda: "a worker")
    assert b"LISTEN_" in variables_of(daemon.pid) and b"LISTEN_" not in variables_of(pid)


def test_sockets_that_another_process_was_passed(started, place):
    with socket.create_server(("127.0.0.1", 0)) as passed:
        started([passed.fileno()], "LISTEN_PID=1 LISTEN_FDS=1", stderr=subprocess.DEVNULL)
        with ready(place) as client:
            assert not [listener for listener in client.value("objpool.status").get("listeners", []) if "tcp" in str(listener)]


@pytest.mark.parametrize("names, name", [("web:one", "one"), ("web", "unknown"), ("", "unknown")])
def test_what_is_no_listening_socket(started, place, names, name):
    with socket.create_server(("127.0.0.1", 0)) as good, socket.socket() as passed:
        daemon = started([good.fileno(), passed.fileno()], f"LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES={names}",
                         stderr=subprocess.PIPE)
    _, said = daemon.communicate(timeout=DEADLINE)
    assert daemon.returncode != 0 and f"the passed descriptor 4 ({name}) is no listening stream socket" in said.decode()


# ---- the watchdog ----


@pytest.mark.parametrize("pid, fed", [("WATCHDOG_PID=$$", True), ("WATCHDOG_PID=1", False), ("X=", True)])
def test_watchdog(started, place, pid, fed):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{place}/notify")
        manager.settimeout(DEADLINE)
        started([], f"WATCHDOG_USEC=60000000 {pid} NOTIFY_SOCKET={shlex.quote(str(place))}/notify", stderr=subprocess.DEVNULL)
        heard = []
        while not any(message.startswith(b"READY=1") for message in heard):
            heard.append(manager.recv(4096))
        with ready(place) as client:
            assert client.value("objpool.ping") == []
        manager.setblocking(False)
        try:
            while True:
                heard.append(manager.recv(4096))
        except BlockingIOError:
            pass
        assert (b"WATCHDOG=1" in heard) == fed


# ---- the journal ----


@pytest.mark.skipif(not CAN_MOUNT, reason="no mount namespace can be made here")
def test_lines_for_the_journal(started, place):
    (place / "journal").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(f"{place}/journal/socket")
        journal.settimeout(DEADLINE)
        into = f'if [ -z "$INSIDE" ]; then INSIDE=1 exec unshare -m bash -c \'{PRIVATE_RUN}; exec "$@"\' "$0/journal" "$@"; fi'
        read, write = os.pipe()
        stream = os.fstat(write)
        started([], f"JOURNAL_STREAM={stream.st_dev}:{stream.st_ino}; {into}", stderr=write)
        os.close(write)
        lines = []
        with ready(place) as client:
            client.value("objpool.scale", "p", 1)
            while not any("OBJPOOL_POOL=p" in line for line in lines):
                lines.append(journal.recv(1 << 16).decode())
        os.close(read)
    for line in lines:
        fields = [field.partition("=")[::2] for field in line.rstrip("\n").split("\n")]
        assert [name for name, _ in fields[:3]] == ["PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE"] and line.endswith("\n")
        assert fields[0][1] in "34567" and fields[1][1] == "objpoold"
