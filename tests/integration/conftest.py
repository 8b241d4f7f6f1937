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
