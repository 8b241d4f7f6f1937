# SPDX-License-Identifier: Apache-2.0
"""Users and rights from the command line: objpool whoami, acl and token, objpoold --check --acl."""
import json
import os
import re
import stat
import subprocess

import pytest
from harness import BUILD, ROOT
from test_rights import needs_root, sha
from test_config import check

USERS = (f"[role reader]\ncall = p.get* p.echo\n[user ci]\ntoken_sha256 = {sha('secret')}\nis = reader\ndescribe = p\n"
         "deny = *.delete*\n[user *]\n")


def objpool(*arguments, address="unix:/nowhere", status=0, **keywords):
    done = subprocess.run([BUILD / "objpool", *arguments], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "OBJPOOL_ADDRESS": address}, **keywords)
    assert done.returncode == status, done
    return done.stdout if status != 2 else done.stderr


# ---- whoami and acl ----


@needs_root
def test_whoami_and_acl(start):
    daemon = start(users=USERS)
    line = {text: number for number, text in enumerate(daemon.config.read_text().split("\n"), 1)}

    def ask(*words, status=0, address=daemon.address):
        return objpool(*words, status=status, address=address)

    assert ask("whoami") == "user root, by root\ncall: *.*\nall: *.*\ndescribe: *\ncreate: *\ncode: *\nadmin: *\ndirect: *\n" \
                            "watch: *\noperate: *\n"
    assert json.loads(ask("whoami", "--json"))["by"] == "root"
    assert ask("whoami", address=daemon.tcp) == "user *, by anyone\nno rights\n"
    assert ask("acl", "check", "ci", "call", "p.get_x") == \
        f'user ci may "call" p.get_x (objpoold.conf:{line["call = p.get* p.echo"]})\n'
    assert ask("acl", "check", "ci", "call", "p.delete", status=1) == \
        f'user ci may not "call" p.delete (objpoold.conf:{line["deny = *.delete*"]})\n'
    assert json.loads(ask("acl", "check", "--json", "ci", "all", "p.echo", status=1)) == \
        {"allowed": False, "where": f"objpoold.conf:{line['[user ci]']}"}
    assert "there is no [user nobody]" in ask("acl", "check", "nobody", "call", "p.echo", status=2)
    assert "operate" in ask("acl", "check", "ci", "paint", "p.echo", status=2)
    assert "acl check USER RIGHT NAME" in ask("acl", "show", "ci", "call", "p.echo", status=2)
    ask("acl", "check", "ci", "call", "p.echo", status=77, address=daemon.tcp)


@pytest.mark.parametrize("rate, shown", [("200/s burst 400", "200/s\nburst: 400"), ("5/m", "0.08333/s\nburst: 5"), ("2/h", "0.0005556/s\nburst: 2")])
def test_whoami_shows_small_rates(start, rate, shown):
    daemon = start(users=f"[user *]\nrate = {rate}\nmax_memory = 64M\n")
    assert objpool("whoami", address=daemon.tcp) == f"user *, by anyone\nno rights\nmax_memory: 67108864\nrate: {shown}\n"


def test_who_has_no_user_sections(start):
    daemon = start()
    assert objpool("whoami", address=daemon.tcp).startswith("no user, by anyone\ncall: *.*\n")


# ---- objpoold --check --acl ----


@pytest.mark.parametrize("question, status, words", [
    (["ci", "call", "p.get_x"], 0, 'user ci may "call" p.get_x (x.conf:2)\n'),
    (["ci", "call", "p.delete_x"], 1, 'user ci may not "call" p.delete_x (x.conf:7)\n'),
    (["ci", "create", "p\x1b"], 1, 'user ci may not "create" p\\e (x.conf:3)\n'),
    (["*", "describe", "p"], 1, 'user * may not "describe" p (x.conf:8)\n'),
    (["nobody", "call", "p.x"], 2, "there is no [user nobody]"),
    (["ci", "paint", "p.x"], 2, 'there is no right "paint"; there are call, all'),
    (["ci", "call"], 2, "--check --acl USER RIGHT NAME"),
    (["ci", "call", "p.x", "p.y"], 2, "--check --acl USER RIGHT NAME"),
])
def test_check_acl(place, question, status, words):
    done, _ = check(place, USERS, "--check", "--acl", *question)
    assert done.returncode == status and words in (done.stderr if status == 2 else done.stdout), done
    assert not (done.stdout if status == 2 else done.stderr)


def test_check_acl_of_a_wrong_configuration_is_neither_yes_nor_no(place):
    done, path = check(place, "[user a]\ncall = sim\n", "--check", "--acl", "a", "call", "sim.x")
    assert done.returncode == 78 and f"{path}:2:" in done.stderr
    done, _ = check(place, USERS, "--acl", "ci", "call", "p.x")
    assert done.returncode == 2 and "--acl goes with --check" in done.stderr


# ---- token ----


def test_a_new_token_is_of_the_user_whose_section_has_its_line(start, place):
    token, line = objpool("token").splitlines()
    assert line == f"token_sha256 = {sha(token)}" and len(token) == 44
    daemon = start(users=f"[user made]\n{line}\ncall = p.*\n")
    with daemon.client() as client:
        client.value("objpool.hello", {"token": token})
        assert client.value("objpool.whoami")["user"] == "made"
    assert objpool("token").splitlines()[0] != token
    made = json.loads(objpool("token", "--json"))
    assert made == {"token": made["token"], "token_sha256": sha(made["token"])}


def test_a_token_in_a_file_is_not_shown_and_nobody_elses(place):
    path = place / "token"
    line = objpool("token", "--output", path, preexec_fn=lambda: os.umask(0))
    token = path.read_text()
    assert line == f"token_sha256 = {sha(token.rstrip())}\n" and token.rstrip() not in line
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = objpool("token", "-o", path, status=1)
    assert done == "" and path.read_text() == token
    assert json.loads(objpool("token", "-o", place / "other", "--json")).keys() == {"token_sha256"}
    objpool("token", "-o", place / "no" / "folder", status=1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk")
def test_a_token_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "objpool", "token"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "standard output" in done.stderr


# ---- errors that say who lacks what ----


def test_an_error_as_json_has_user_and_right(start):
    daemon = start(users="[user *]\ncall = p.echo\n")
    done = subprocess.run([BUILD / "objpool", "-s", daemon.tcp, "call", "--json", "p.pid"], text=True, capture_output=True,
                          timeout=60)
    error = json.loads(done.stdout)["$error"]
    assert done.returncode == 77 and (error["code"], error["user"], error["right"]) == ("DENIED", "*", "call")


# ---- what docs/OPERATIONS.md says ----

HERE_INSTEAD = """set -e
sudo() { "$@"; }
groupadd() { :; }
systemctl() { objpool reload; }
objpoold() { command objpoold --config objpoold.conf "$@"; }
"""


@needs_root
def test_give_it_to_a_team(start):
    users = "[user root]\nuid = 0\nwatch = yes\noperate = yes\n"
    daemon = start(pools={"dice": {"plugin": "sampler", "class": "Sampler"}}, users=users)
    guide = (ROOT / "docs/OPERATIONS.md").read_text()
    guide = guide[guide.index("**Give it to a team.**"):guide.index("## Stop")]
    team, ci = re.findall(r"^```sh\n(.*?)^```$", guide, re.S | re.M)
    (daemon.path / "conf.d").mkdir()
    daemon.path.chmod(0o755)
    daemon.path.parent.chmod(0o755)

    def paste(text, status):
        text = text.replace("/etc/objpool", str(daemon.path)).replace("gid = simulation", f"gid = {os.getgid()}")
        done = subprocess.run(["bash", "-c", HERE_INSTEAD + text], text=True, capture_output=True, timeout=60, cwd=daemon.path,
                              env={**os.environ, "OBJPOOL_ADDRESS": daemon.address, "PATH": f"{BUILD}:{os.environ['PATH']}"})
        assert done.returncode == status, done
        return done.stdout

    out = paste(team, 1)
    assert 'user team may "call" dice.get_normal_sample (team.conf:3)\n' in out
    assert out.endswith('user team may not "all" dice.get_normal_sample (team.conf:1)\n')
    assert paste(ci, 0).endswith("user ci, by token\ncall: dice.*\n")
