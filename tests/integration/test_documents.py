# SPDX-License-Identifier: Apache-2.0
"""The documents beside the README: the messages that they quote, and the programs that they show."""
import re
import subprocess

from harness import ROOT

SOURCES = [("daemon", "*.c"), ("gateway", "*.c"), ("cli", "*.c"), ("client/c", "*.c"), ("proto", "*.c"), ("json", "*.c"),
           ("plugins/python", "*.[ch]"), ("plugins/python", "*.py"), ("client/python/objpool", "*.py")]


def with_dots(source, is_python):
    """A source's text whose adjacent literals are one, with `…` for what a message has filled in."""
    source = re.sub(r'%[^"\s]*"\s*PRI\w+\s*"', "…", source)
    source = re.sub(r'"\s*\n\s*f?"' if is_python else r'"\s*\n\s*"', "", source).replace('\\"', '"')
    source = re.sub(r"(?<=[a-z])(?<!%[a-z])%s(?=[ ,:;)\"])", "s", source)  # a plural
    source = re.sub(r"\{[^{}\n]*(?:\[[^\]\n]*\])?[^{}\n]*\}" if is_python else r"%[-+0#]*[\d.*]*(?:hh?|ll?|z|j)?[a-zA-Z]", "…", source)
    return re.sub("…+", "…", source)


def quoted_messages():
    """Those in the first column of TROUBLESHOOTING.md, but those of its last section, which are others'."""
    text = (ROOT / "docs/TROUBLESHOOTING.md").read_text().split("## What systemd and the kernel say")[0]
    cells = re.findall(r"^\| (`.+?) \| ", text, re.M)
    return [re.sub(r"^[A-Z]+(_[A-Z]+)*: ", "", quote) for cell in cells for quote in re.findall(r"`([^`]+)`", cell)]


def test_quoted_messages_exist():
    quotes = quoted_messages()
    code = [with_dots(path.read_text(), path.suffix == ".py") for folder, kind in SOURCES for path in sorted((ROOT / folder).rglob(kind))]
    assert len(quotes) > 100
    missing = [quote for quote in quotes if quote.strip("… ") and not any(quote.strip("… :") in source for source in code)]
    assert missing == []


# What makes the messages that people read: of the start, the configuration, the command, clients, calls, pools that have no instance.
MAKERS = ["cage_fail", "cli_fail", "complain", "config_fail", "deny", "error_say", "fail", "give_reason", "log_say", "log_pool",
          "log_slot", "look_away", "plugin_fault", "reason_give", "refuse", "REFUSE", "refuse_beginning", "refuse_garbage", "refuse_token",
          "slot_kill", "template_fail", "template_refuse", "template_refuse_all"]
# Of plugins and their authors, and of the forms of data: these say line, column or name of what they are about.
APART = ["check_plugin.c", "class_types.c", "csv.c", "from_json.c", "npy.c", "plugin_check.c", "plugin_needs.c", "type_source.c", "type_text.c"]
LITERAL = r'"(?:[^"\\\n]|\\.)*"'


def arguments(source, at):
    """The text of a call's arguments, from behind its bracket."""
    depth = 1
    for part in re.finditer(rf"{LITERAL}|'(?:[^'\\]|\\.)'|[()]", source[at:]):
        depth += {"(": 1, ")": -1}.get(part[0], 0)
        if depth == 0:
            return source[at:at + part.start()]
    raise AssertionError(source[at:at + 80])


def messages_in(source):
    source = re.sub(r'"\s*PRI\w+\s*(")?', lambda match: "d" if match[1] else 'd"', source)
    source = re.sub(r'(?<!\\)"\s*\n?\s*"(?!\s*[,)])', "", source)
    for call in re.finditer(rf"\b(?:{'|'.join(MAKERS)})\(", source):
        of_call = arguments(source, call.end())
        if not re.search(r"\bLOG_(INFO|NOTICE|DEBUG)\b", of_call):
            for literal in re.findall(LITERAL, of_call):
                text = with_dots(literal, False)[1:-1].replace("\\n", "").strip()
                if " " in text and len(text.strip("… :;,.%")) > 11:
                    yield text


def test_messages_are_explained():
    """Each message is found in TROUBLESHOOTING.md, or is one of those that say themselves what is wrong and what to do."""
    def core(text):
        return text.strip("… :;,.%")

    quotes = [core(quote) for quote in quoted_messages() if len(core(quote)) > 11]
    lines = (ROOT / "tests/integration/self_explaining.txt").read_text().splitlines()
    plain = [line for line in lines if line and not line.startswith("#")]
    messages = {text for folder in ("daemon", "cli", "client/c") for path in sorted((ROOT / folder).rglob("*.c")) if path.name not in APART
                for text in messages_in(path.read_text())}
    unexplained = {text for text in messages if not any(quote in text or core(text) in quote for quote in quotes)}
    assert len(messages) > 300
    assert sorted(unexplained - set(plain)) == []
    assert sorted(set(plain) - unexplained) == [], "these are gone, or are in TROUBLESHOOTING.md"


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
