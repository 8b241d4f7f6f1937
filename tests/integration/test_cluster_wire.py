# SPDX-License-Identifier: Apache-2.0
"""Dialogues of several machines (tests/wire/other_hosts_*.json), byte for byte, against daemons with real gateways. The tests of
clients play them against hosts that a script plays."""
import sys

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import DEADLINE, ROOT

sys.path.insert(0, str(ROOT / "tests/wire"))

import dialogue  # noqa: E402
import player  # noqa: E402

pytestmark = needs_cluster


@pytest.mark.parametrize("path", sorted(dialogue.FOLDER.glob("other_hosts_*.json")), ids=lambda path: path.stem)
def test_real_gateways_answer_so(cluster, path):
    hosts = cluster(("h1", "h2"))
    player.play(dialogue.read(path)["steps"], hosts["h1"].daemon.address, 0, DEADLINE)
