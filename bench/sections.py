#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sections of docs/BENCHMARKS.md that others than bench/run.py write: those of the client libraries and of several
machines, after all else.

sections.py FILE < SECTION puts a section, which begins with its heading, in place of the one of the same heading.
"""
import pathlib
import re
import sys

HEADINGS = ("Python", "Node", "Go", "Several machines")     # in this order
_BEGIN = re.compile(rf"^## (?={'|'.join(f'{heading}$' for heading in HEADINGS)})", re.M)


def split(text):
    """What bench/run.py has written, and the other sections by their headings."""
    own, *others = _BEGIN.split(text)
    return own, {section.partition("\n")[0]: section for section in others}


def join(own, others):
    known = [others[heading] for heading in HEADINGS if heading in others]
    return "\n\n".join(part.rstrip("\n") for part in (own, *(f"## {section}" for section in known))) + "\n"


def put(path, section):
    own, others = split(path.read_text())
    heading, _, text = section.removeprefix("## ").partition("\n")
    assert heading in HEADINGS, heading
    path.write_text(join(own, {**others, heading: f"{heading}\n{text}"}))


def put_own(path, own):
    """Writes what bench/run.py has measured, and keeps the other sections."""
    others = split(path.read_text())[1] if path.exists() else {}
    path.write_text(join(own, others))


if __name__ == "__main__":
    put(pathlib.Path(sys.argv[1]), sys.stdin.read())
