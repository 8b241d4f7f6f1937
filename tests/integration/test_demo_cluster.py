# SPDX-License-Identifier: Apache-2.0
"""make demo-cluster, from beginning to end, and when it is interrupted."""
import os
import re
import signal
import subprocess

import pytest
from cluster import needs_cluster
from harness import BUILD, ROOT

pytestmark = needs_cluster
DEMO = ["sh", ROOT / "scripts/demo-cluster.sh", BUILD]


def test_the_demo(place):
    done = subprocess.run(DEMO, text=True, capture_output=True, timeout=120, env={**os.environ, "TMPDIR": str(place)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("docs/CLUSTER.md.") and "\033" not in done.stdout
    assert "600 of 600 items have a result; exit status 0" in done.stdout
    assert re.search(r'"code": "HOST_LOST".*"host": "h2".*"ran": "maybe"', done.stdout)
    assert list(place.iterdir()) == []


def test_the_demo_interrupted(place):
    """Ctrl-C while h2 is dead and the map runs: nothing is left behind."""
    demo = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": str(place)}, start_new_session=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for line in demo.stdout:
        if "h2 is dead" in line:
            break
    os.killpg(demo.pid, signal.SIGINT)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    assert list(place.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)
