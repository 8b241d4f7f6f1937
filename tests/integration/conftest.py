# SPDX-License-Identifier: Apache-2.0
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:      # the tests are a shell's job in the background: programs inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The files that take longest begin first: at the end no process has one of them left while the others have nothing to do.
LONGEST = ["test_systemd.py", "test_cluster_matrix.py", "test_stuck_template.py", "test_client_payloads.py", "test_payloads.py",
           "test_fork.py", "test_compat_managers.py", "test_compat_multiprocess.py", "test_dialogues.py", "test_python.py",
           "test_tls.py", "test_life.py", "test_direct.py", "test_rights_matrix.py", "test_compat_locks.py",
           "test_compat_processes.py", "test_tls_clients.py", "test_readme.py", "test_metrics.py", "test_offered_template.py",
           "test_secure.py", "test_compat_sending.py", "test_slowlog.py", "test_streams.py"]


def pytest_collection_modifyitems(items):
    places = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture
def place():
    """A directory with a short path: Unix socket addresses are."""
    path = tempfile.mkdtemp(prefix="objpool-")
    yield pathlib.Path(path)
    shutil.rmtree(path)


@pytest.fixture
def start(place):
    """start(pools, daemon, …) -> Daemon; stopped, and checked, when the test ends."""
    daemons = []

    def start_daemon(*arguments, **keywords):
        path = place / str(len(daemons))
        path.mkdir()
        daemon = harness.Daemon(path, *arguments, **keywords)
        daemons.append(daemon)
        return daemon

    yield start_daemon
    failures = []
    for daemon in daemons:
        try:
            if daemon.process.returncode is None:
                daemon.stop()
        except AssertionError as error:
            daemon.kill()
            failures.append(error)
    if failures:
        raise failures[0]
