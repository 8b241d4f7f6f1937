# SPDX-License-Identifier: Apache-2.0
"""The daemon answers as the dialogues say, however their bytes are cut up."""
import json
import re

import dialogue
import examples
import player
import pytest
import real_server
from harness import DEADLINE

PATHS = dialogue.paths()
# Each message as a whole, or bytes in pieces of so many.
WAYS = [("unix", 0), ("tcp", 1), ("tls", 4096)]


@pytest.mark.parametrize("kind, piece", WAYS)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_the_daemon(start, authority, monkeypatch, path, kind, piece):
    told = dialogue.read(path)
    setup = told.get("setup", {})
    kind = dialogue.kind_of_address(told, kind)
    monkeypatch.setenv("OBJPOOL_TLS_CA", str(authority.path))
    daemon = start(**real_server.settings(setup, authority if kind == "tls" else None))
    player.play(told["steps"], real_server.address(daemon, kind), piece, DEADLINE)


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


def codes_of(message):
    """The codes of errors that are anywhere in a message."""
    if isinstance(message, dict):
        named = {message["code"]} if isinstance(message.get("code"), str) else set()
        return named.union(*map(codes_of, message.values()))
    if isinstance(message, list):
        return set().union(*map(codes_of, message))
    return set(re.findall(r"^([A-Z_]+): ", message)) if isinstance(message, str) else set()


def test_each_code_of_an_error_is_in_a_dialogue():
    """But for INTERNAL, which nothing should bring about."""
    table = examples.DOCUMENT.read_text().partition("\n| code | when |\n")[2].partition("\n\n")[0]
    documented = set(re.findall("`([A-Z_]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()[1:])))
    said = codes_of([step["daemon"] for path in PATHS for step in dialogue.read(path)["steps"] if "daemon" in step])
    assert len(documented) > 10 and said == documented - {"INTERNAL"}
