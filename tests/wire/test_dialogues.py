# SPDX-License-Identifier: Apache-2.0
"""The daemon answers as the dialogues say, however their bytes are cut up."""
import json

import dialogue
import examples
import player
import pytest
import real_server
from harness import DEADLINE

PATHS = dialogue.paths()
PIECES = [0, 1, 3, 4096]  # 0: each message as a whole


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_daemon(start, path, piece):
    told = dialogue.read(path)
    daemon = start(**real_server.settings(told.get("setup", {})))
    player.play(told["steps"], daemon.address, piece, DEADLINE)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_bytes_are_what_the_messages_say(path):
    told = dialogue.read(path)
    assert told["about"].endswith(".")
    for step in told["steps"]:
        message = step.get(dialogue.said_by(step))
        if message not in (None, "end", "bytes"):
            node = dialogue.Node(dialogue.bytes_of(step))
            assert node.end == len(node.data) and dialogue.differs(message, node) is None, step


def test_files_are_written_as_record_writes_them(place):
    for path in PATHS:
        dialogue.write(place / path.name, json.loads(path.read_text()))
        assert (place / path.name).read_text() == path.read_text(), path.name


def test_the_examples_of_the_protocol():
    """examples.py writes them anew."""
    text = examples.DOCUMENT.read_text()
    blocks = examples.MARK.findall(text)
    assert len(blocks) > 25 and all(block for *_, block in blocks)
    assert examples.filled(text) == text
    assert text.count("<!-- tests/wire/") == len(blocks)
