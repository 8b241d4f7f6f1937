# SPDX-License-Identifier: Apache-2.0
"""Completions: what `objpool complete` offers, and what the shells make of it."""
import os
import re
import shutil
import subprocess

import pytest
from harness import BUILD, ROOT

FILES = ROOT / "packaging/completions"
OPTION = re.compile(r"^  (?:-[a-zA-Z], |    )?(--[a-z-]+)(?: ([A-Z]+))?", re.M)
# Values of which no list could be made, or only a daemon could.
FREE = {"POOL", "JSON", "SECONDS", "N", "TARGET", "TRACE", "NAME"}


def output(*command, **environment):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "OBJPOOL_ADDRESS": "unix:/nowhere", "PATH": f"{BUILD}:{os.environ['PATH']}",
                               **environment})
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def offered(line, **environment):
    lines = output(BUILD / "objpool", "complete", "--", *line.split(" "), **environment).splitlines()
    return [candidate.split("\t")[0] for candidate in lines]


@pytest.fixture
def address(start):
    return {"OBJPOOL_ADDRESS": start(pools={"p": {}, "q": {}}).address}


def test_commands_and_options_are_those_of_help():
    commands = re.findall(r"^  ([a-z-]+) ", output(BUILD / "objpool", "--help"), re.M)
    assert len(commands) > 20 and offered("") == commands == offered("-s unix:/nowhere ")
    for command in commands:
        found = OPTION.findall(output(BUILD / "objpool", command, "--help"))
        assert [option for option, _ in found] == offered(f"{command} -"), command
        for option, value in found:
            assert not value or value in FREE or offered(f"{command} {option} "), f"{command} {option}: complete knows no values"


def test_values():
    assert offered("call x --format ") == ["json", "pretty", "csv", "npy"]
    assert offered("call x -f p") == ["pretty"]
    assert offered("map --errors=c") == ["--errors=collect"]
    assert offered("call --tls-ca ") == [":files"] == offered("--tls-ca ") == offered("check-plugin ")
    assert offered("acl ") == ["check"] and "operate" in offered("acl check somebody ")
    assert offered("log-level d") == ["debug"] and offered("new p") == ["plugin"]
    assert offered("call x -- --") == [] == offered("nonsense ") == offered("call x --nonsense y ")


def test_pools_and_methods(address):
    assert offered("status ", **address) == ["p", "q"] == offered("pause ", **address)
    assert offered("pause p ", **address) == []
    assert offered("reload --code ", **address) == ["p", "q"] and offered("reload --code=q", **address) == ["--code=q"]
    assert offered("call ", **address) == ["p.", "q."]
    assert offered("call p.ec", **address) == ["p.echo"]
    assert offered("call p:1.ec", **address) == ["p:1.echo"]
    assert offered("call p:a", **address) == ["p:all."]
    assert offered(f"-s {address['OBJPOOL_ADDRESS']} -- describe ") == ["p", "q"]
    assert offered("call none.", **address) == [] == offered("call ")


def bash(program, line, **environment):
    script = f"""source {FILES}/{program}.bash; COMP_LINE={line!r} COMP_POINT={len(line)}
        read -ra COMP_WORDS <<<"$COMP_LINE"; [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _{program} {BUILD}/{program}; printf '%s\\n' "${{COMPREPLY[@]}}" """
    return output("bash", "--norc", "-c", script, **environment).split()


def test_bash(address):
    assert bash("objpool", "objpool call p.ec", **address) == ["p.echo"]
    assert bash("objpool", "objpool call p:1.ec", **address) == ["1.echo"], "readline keeps what stands before the colon"
    assert bash("objpool", "objpool call --format=c") == ["csv"]
    assert bash("objpool", f"objpool --token-file={FILES}/objpoold.f") == [f"{FILES}/objpoold.fish"]


def fish(line, **environment):
    program = line.split()[0]
    script = f"source {FILES}/{program}.fish; complete -C '{line}'"
    return [found.split("\t")[0] for found in output("fish", "-N", "-c", script, **environment).splitlines()]


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(address, place):
    homes = {"HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_DATA_HOME": str(place)}
    assert fish("objpool call p.ec", **address, **homes) == ["p.echo"]
    assert fish("objpool call --form", **homes) == ["--format"]
    assert fish(f"objpool call --tls-ca {FILES}/objpoold.f", **homes) == [f"{FILES}/objpoold.fish"]
    assert "--check=preload" in fish("objpoold --check", **homes)
    assert fish("objpoold --print", **homes) == ["--print-config"]


# compadd and _files, as far as they say what would be offered.
ZSH = """compadd() { print -rl -- ${(P)@[-1]} }
_files() { print -r -- files of $PREFIX }
compset() { PREFIX=${PREFIX#*=} }
words=(%s); CURRENT=$#words; PREFIX=$words[-1]
complete() { source %s }; complete || true"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh(address):
    def zsh(line, **environment):
        words = " ".join(f"'{word}'" for word in line.split(" "))
        return output("zsh", "-f", "-c", ZSH % (words, FILES / "_objpool"), **environment).strip().splitlines()
    assert zsh("objpool call p.ec", **address) == ["p.echo"]
    assert zsh("objpool call ", **address) == ["p.", "q."]
    assert zsh("objpool call --format=c") == ["--format=csv"]
    assert zsh("objpool call --tls-ca=x") == ["files of x"]
    output("zsh", "-f", "-n", FILES / "_objpoold")


def test_the_daemons_options():
    options = {option for option, _ in OPTION.findall(output(BUILD / "objpoold", "--help"))}
    assert {"--config", "--check", "--acl", "--version"} <= options
    assert options <= set(bash("objpoold", "objpoold --"))
    assert options == set(re.findall(r"--[a-z-]+(?=[\[=,}])", (FILES / "_objpoold").read_text()))
    assert options == {f"--{name}" for name in re.findall(r" -l ([a-z-]+)", (FILES / "objpoold.fish").read_text())}
