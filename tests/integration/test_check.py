# SPDX-License-Identifier: Apache-2.0
"""objpoold --check: which pools can't start, and why, without building an instance."""
import json
import os
import pathlib
import subprocess

import pytest
from certificates import Authority
from harness import BUILD, SANITIZERS, needs, wait_for

pytestmark = needs("python")  # classes that can't start are written in Python

PROBE = "plugin = probe\nclass = Probe\n"
PYTHON = "plugin = python\nclass = mine:Mine\n"
MINE = """
import os, sys
print("I am", os.getuid(), "\\x1b[31m")
print("args", sys.argv, file=sys.stderr)

class Mine:
    def __init__(self, size, *, name="x"):
        open(os.path.join(os.path.dirname(__file__), "built"), "w").close()
"""
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def check(place):
    place.chmod(0o755)
    (place / "mine.py").write_text(MINE)

    def run(*arguments, status, daemon="", **pools):
        text = f"[daemon]\nlisten = unix:{place}/s\nplugin_dir = {BUILD}/plugins\n{daemon}\n"
        lines = {}
        for name, keys in pools.items():
            lines[name] = text.count("\n") + 1
            text += f"[pool {name}]\n{keys}" + f"python_path = {json.dumps([str(place)])}\n" * ("plugin = python" in keys)
        (place / "x.conf").write_text(text)
        done = subprocess.run([BUILD / "objpoold", "--config", place / "x.conf", *arguments], text=True, capture_output=True, timeout=60)
        assert done.returncode == status and not SANITIZERS.search(done.stderr), done
        run.errors = done.stderr
        run.said = {name: [line.split(": ", 3)[3] for line in done.stderr.splitlines()
                           if line.startswith(f"objpoold: {place}/x.conf:{line_number}: pool {name}: ")]
                    for name, line_number in lines.items()}
        return done.stdout
    return run


def test_what_cannot_start_is_named_with_file_and_line(check):
    check("--check", status=1, good=PROBE, file="plugin = nothing\nclass = X\n", shared="plugin = /etc/passwd\nclass = X\n",
          name="plugin = probe\nclass = Missing\n", keyword=PROBE + 'kwargs = {"colour": 1}\n',
          slots="plugin = sampler\nclass = Sampler\nworkers = 2\nslot_kwargs = [{}, {\"mean\": \"x\"}]\n",
          queue='plugin = queue\nclass = Queue\nargs = [-1]\n', words='plugin = spell\nclass = Dictionary\nargs = [1]\n',
          threads='plugin = python\nclass = collections:Counter\nisolation = thread\n')
    said = {name: lines[-1] if lines else None for name, lines in check.said.items()}
    assert said.pop("good") is None
    for name, text in {"file": "nothing.so: cannot open shared object file", "shared": "can't load plugin: /etc/passwd: ",
                       "name": "has no class Missing; it has: Probe, Echo", "keyword": 'unknown keyword argument "colour"',
                       "slots": "slot 1: mean must be a number", "queue": "maxsize must be an integer", "words": "language must be",
                       "threads": "needs isolation = process"}.items():
        assert text in said.pop(name)
    assert not said and "8 of 9 pools can't start" in check.errors


def test_classes_in_python(check, place):
    check("--check", status=1, good=PYTHON + "args = [1]\n", few=PYTHON, many=PYTHON + 'args = [1]\nkwargs = {"nmae": "y"}\n',
          module="plugin = python\nclass = nowhere:X\n", name="plugin = python\nclass = mine:Yours\n",
          builtin="plugin = python\nclass = builtins:dict\n")
    assert "printed: args ['']" in check.errors and r"\e[31m" in check.errors and "\x1b" not in check.errors
    assert check.said["builtin"] == []      # it doesn't tell what it takes
    assert all(line.startswith("printed: ") for line in check.said["good"])
    said = {name: lines[-1] for name, lines in check.said.items() if lines}
    assert said["few"].endswith("missing a required argument: 'size'") and "(size, *, name='x')" in said["few"]
    assert said["many"].endswith("unexpected keyword argument 'nmae'")
    assert "No module named 'nowhere'" in said["module"] and "module mine has no Yours" in said["name"]
    assert not (place / "built").exists()


def test_how_far_it_goes(check):
    fails = {"p": PROBE + 'kwargs = {"preload_fail": "no room"}\n', "q": PYTHON + 'args = [1]\npreload = ["nowhere"]\n'}
    assert check("--check", status=0, **fails).startswith("the configuration is good: ")
    check("--check=preload", status=1, **fails)
    assert check.said["p"][-1].startswith("preload of class Probe failed: ") and "no room" in check.said["p"][-1]
    assert "No module named 'nowhere'" in check.said["q"][-1]
    assert "no plugin was loaded" in check("--check=syntax", status=0, p="plugin = nothing\nclass = X\n", q=PYTHON)
    assert check.errors == ""
    check("--check=much", status=2)
    assert "--check=much: it is --check, --check=preload or --check=syntax" in check.errors
    large = PROBE + "args = [" + "1, " * 70000 + "1]\n"     # more than a template is told
    check("--check", status=0, p=large)


def test_of_what_is_printed_the_first_lines_are_shown(check, place):
    (place / "mine.py").write_text("print('noise\\n' * 4000)\n" + MINE)
    check("--check", status=0, p=PYTHON + "args = [1]\n")
    assert check.said["p"][:100] == ["printed: noise"] * 100 and len(check.said["p"]) == 101
    assert check.said["p"][100] == f"printed {4000 + 2 - 100} more lines"


@pytest.mark.parametrize("code, text", [
    ("import os; os.kill(os.getpid(), 9)", "the template process was killed by signal 9 (Killed) while it loaded"),
    ("import os; os._exit(3)", "the template process exited with status 3 while it loaded"),
    ("import os; os.close(3)\nimport time; time.sleep(60)", "the template process closed its channel"),
    ("import time; time.sleep(60)", "loading the plugin took longer than start_timeout"),
])
def test_a_module_that_ends_or_never_ends(check, place, code, text):
    (place / "mine.py").write_text(code)
    check("--check", status=1, p=PYTHON + "start_timeout = 1\n")
    assert text in check.said["p"][-1]


def test_a_worker_program_that_is_not_there(check):
    check("--check", status=1, daemon="worker_program = /nowhere/at/all", p=PROBE)
    assert check.said["p"] == ["can't run /nowhere/at/all: No such file or directory"]


def test_nothing_is_left_behind(check, place):
    (place / "mine.py").write_text("import os, sys\npid = os.fork()\nif pid == 0:\n    import time; time.sleep(60)\n"
                                   "print('child', pid)\nclass Mine: pass\n")
    check("--check", status=0, p=PYTHON)
    pid = int(check.errors.split("printed: child ")[1].split()[0])
    wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), lambda: "the module's child to end")


@root_only
def test_root_loads_no_plugin(check, place):
    check("--check", status=0, p=PYTHON + "args = [1]\n")
    assert "printed: I am 0 " not in check.errors and "printed: I am " in check.errors
    check("--check", "--user", "daemon", status=0, p=PYTHON + "args = [1]\n")
    assert "printed: I am 1 " in check.errors
    for user, text in {"root": "plugins are not loaded as root", "no-such-user": "there is no user no-such-user"}.items():
        check("--check", "--user", user, status=1, p=PROBE)
        assert text in check.errors
    (place / "mine.py").chmod(0o600)    # what the service can't read is said, though root can
    check("--check", status=1, p=PYTHON + "args = [1]\n")
    assert "mine" in check.said["p"][-1] and "for user " in check.errors
    check("--user", "daemon", status=2)


@root_only
def test_a_file_that_the_service_can_not_read_is_said(check, place):
    (place / "conf.d").mkdir()
    (place / "conf.d/more.conf").write_text("[pool more]\n" + PROBE)
    check("--check", "--user", "daemon", status=0, p=PROBE)
    (place / "conf.d/more.conf").chmod(0o600)
    check("--check", "--user", "daemon", status=1, p=PROBE)
    assert f"objpoold: {place}/conf.d/more.conf: Permission denied\nobjpoold: user daemon can't read the configuration\n" == check.errors
    check("--check", status=0, daemon="user = daemon", p=PROBE)     # root starts it, and reads the files


@root_only
def test_a_key_that_the_service_can_not_read_is_said_with_its_user(check, place):
    cert, key, _ = Authority(place).issue_server()
    keys = f"tls_cert = {cert}\ntls_key = {key}"
    key.chmod(0o644)
    check("--check", "--user", "daemon", status=0, daemon=keys, p=PROBE)
    key.chmod(0o600)
    check("--check", "--user", "daemon", status=1, daemon=keys, p=PROBE)
    assert f"tls_key = {key}: Permission denied\n" in check.errors and "for user daemon, TLS can't start\n" in check.errors
