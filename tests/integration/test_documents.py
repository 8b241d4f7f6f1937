# SPDX-License-Identifier: Apache-2.0
"""The documents beside the README: the messages that they quote, and the programs that they show."""
import re

from harness import ROOT

SOURCES = [("daemon", "*.c"), ("cli", "*.c"), ("client/c", "*.c"), ("proto", "*.c"), ("plugins/python", "*.[ch]"), ("plugins/python", "*.py"),
           ("client/python/objpool", "*.py")]


def with_dots(source, is_python):
    """A source's text whose adjacent literals are one, with `…` for what a message has filled in."""
    source = re.sub(r'%[^"\s]*"\s*PRI\w+\s*"', "…", source)
    source = re.sub(r'"\s*\n\s*f?"' if is_python else r'"\s*\n\s*"', "", source).replace('\\"', '"')
    source = re.sub(r"(?<=[a-z])%s(?=[ ,:;)\"])", "s", source)  # a plural
    source = re.sub(r"\{[^{}\n]*(?:\[[^\]\n]*\])?[^{}\n]*\}" if is_python else r"%[-+0#]*[\d.*]*(?:hh?|ll?|z|j)?[a-zA-Z]", "…", source)
    return re.sub("…+", "…", source)


def test_quoted_messages_exist():
    """Each message in the first column of TROUBLESHOOTING.md is in the source, but those of its last section, which are others'."""
    text = (ROOT / "docs/TROUBLESHOOTING.md").read_text().split("## What systemd and the kernel say")[0]
    cells = re.findall(r"^\| (`.+?) \| ", text, re.M)
    quotes = [re.sub(r"^[A-Z]+(_[A-Z]+)*: ", "", quote) for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]
    code = [with_dots(path.read_text(), path.suffix == ".py") for folder, kind in SOURCES for path in sorted((ROOT / folder).rglob(kind))]
    assert len(quotes) > 100
    missing = [quote for quote in quotes if quote.strip("… ") and not any(quote.strip("… :") in source for source in code)]
    assert missing == []
