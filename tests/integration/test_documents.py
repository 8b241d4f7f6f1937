# SPDX-License-Identifier: Apache-2.0
"""The documents beside the README: the messages that they quote, and the programs that they show."""
import re
import subprocess

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


# ---- the site ----


def check_site(place, **files):
    for name, text in files.items():
        (place / f"{name}.html").write_text(text)
    done = subprocess.run(["/usr/bin/python3", ROOT / "packaging/site/check.py", place], text=True, capture_output=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_a_site_without_faults(place):
    assert check_site(place, a='<a href="b.html#x">', b='<p id=x><a href="https://example.org/">') == (0, ["2 pages, 2 links, 0 faults"])


def test_a_site_with_dead_links_and_with_what_is_loaded_from_elsewhere(place):
    (place / "s.css").write_text('@import url("//example.org/s.css"); a { background: url(gone.png) }')
    status, said = check_site(place, a='<a href="gone.html"><a href="#gone"><script src="https://example.org/s.js">')
    assert status == 1 and said == ["a.html: #gone: there is no such place in it", "a.html: gone.html: there is no such file",
                                    "a.html: loads https://example.org/s.js", "s.css: loads //example.org/s.css", "s.css: loads gone.png",
                                    "1 pages, 2 links, 5 faults"]


def test_every_picture_has_its_source():
    pictures = ROOT / "docs/pictures"
    assert {path.stem for path in pictures.glob("*.svg")} == {path.stem for path in pictures.glob("*.dot")} != set()
    assert not [path for path in pictures.glob("*.svg") if "https://" in path.read_text()]
