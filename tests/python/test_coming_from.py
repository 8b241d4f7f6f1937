# SPDX-License-Identifier: Apache-2.0
"""docs/COMING-FROM.md: each program for objpool prints what the comment at its end says."""
import re

import pytest

import objpool  # noqa: F401: conftest.py has found the package
from harness import DEADLINE, ROOT

TEXT = (ROOT / "docs/COMING-FROM.md").read_text()
PROGRAMS = {title: block for title, section in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)
            for block in re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)}


def test_each_section_has_a_program():
    assert list(PROGRAMS) == re.findall("^## (.+)", TEXT, re.M)


@pytest.mark.parametrize("title", PROGRAMS)
def test_the_port(title, program):
    code, said = re.fullmatch(r"(.*?)((?:^# .*\n)+)", PROGRAMS[title], re.S | re.M).groups()
    out, errors = program(code).communicate(timeout=DEADLINE)
    assert out == re.sub("^# ", "", said, flags=re.M), errors
