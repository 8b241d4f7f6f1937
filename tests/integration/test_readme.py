# SPDX-License-Identifier: Apache-2.0
"""What the README and the documents say, done."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from harness import BUILD, MSGPACK, ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text, language=""):
    return [body for tag, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M) if tag == language]


def block(language, words):
    """The code block of the README of that language that contains the words."""
    found = [b for b in blocks(README, language) if words in b]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def dice(start):
    daemon = start(pools={"dice": {"plugin": "sampler", "class": "Sampler", "workers": 4}})
    return daemon, {**os.environ, "OBJPOOL_ADDRESS": daemon.address}


def run(*command, **keywords):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, timeout=60, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- the README ----


def test_the_demo():
    out = run("sh", ROOT / "scripts/demo.sh", BUILD)
    assert "nieghborhood" in out and out.rstrip().endswith("docs/PLUGINS.md.")
    assert "\033" not in out


def test_the_demo_interrupted(place):
    """Ctrl-C in the middle: the daemon ends, and nothing is left behind."""
    demo = subprocess.Popen(["sh", ROOT / "scripts/demo.sh", BUILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, "TMPDIR": str(place)}, start_new_session=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for line in demo.stdout:
        if "probe.sleep" in line:
            break
    os.killpg(demo.pid, signal.SIGINT)
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 130, errors
    assert list(place.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(demo.pid, 0)


def test_the_demo_cleans_up_when_a_call_fails(place):
    """A build whose `objpool` gets every call wrong: the demo says so, fails, and leaves nothing behind."""
    (place / "build").mkdir()
    for name in ("objpoold", "objpool-worker", "plugins"):
        (place / "build" / name).symlink_to(BUILD / name)
    fake = place / "build" / "objpool"
    fake.write_text(f'#!/bin/sh\n[ "$1" != ping ] || exec "{BUILD}/objpool" "$@"\necho wrong\nexit 7\n')
    fake.chmod(0o755)
    (place / "tmp").mkdir()
    done = subprocess.run(["sh", ROOT / "scripts/demo.sh", place / "build"], text=True, capture_output=True, timeout=60,
                          env={**os.environ, "TMPDIR": str(place / "tmp")})
    assert done.returncode == 1 and "exit status 7, not 0" in done.stderr
    assert list((place / "tmp").iterdir()) == []
    assert done.stderr.rstrip().endswith("stopped")  # the daemon's log, to its end


def test_a_pool_of_your_own(place, start):
    place.chmod(0o755)      # where root checks, the service's user reads it
    configure, use = block("sh", "objpoold.conf <<CONF"), block("sh", "export OBJPOOL_ADDRESS")
    written = configure[:configure.index("build/objpoold --config")]
    run("sh", "-ec", written.replace("> build/", f"> {place}/").replace("$PWD/build", str(BUILD)))
    assert run(BUILD / "objpoold", "--config", place / "objpoold.conf", "--check") is not None
    daemon = start(pools={"dice": {"plugin": "sampler", "class": "Sampler", "workers": 4}})
    use = use.replace("unix:/tmp/objpool.sock", daemon.address).replace("build/objpool", str(BUILD / "objpool"))
    out = run("bash", "-ec", use).splitlines()
    float(out[0])
    assert out[1:3] == ["null", "[0, 0, 40, 0]"]
    assert len(out) > 8 and "4 of 4 ready" in "\n".join(out)
    life = block("sh", "create jobs").replace("build/objpool", str(BUILD / "objpool"))
    out = run("bash", "-ec", life, env={**os.environ, "OBJPOOL_ADDRESS": daemon.address}).splitlines()
    assert '{"job": 1}' in out and "[5, 5, 5, 5]" in out and out[-1].startswith("jobs ")


def test_no_document_reads_a_configuration_where_others_may_write():
    """conf.d/*.conf beside it is read, too: in /tmp another user of the machine could have put some there."""
    for document in DOCUMENTS:
        assert not re.search(r"/tmp/\S+\.conf", document.read_text()), document


def test_the_example_on_the_front_page(place):
    (place / "front.py").write_text(block("python", "create_pool"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client/python"), "OBJPOOL_BIN": str(BUILD), "XDG_RUNTIME_DIR": str(place)}
    environment.pop("OBJPOOL_ADDRESS", None)
    assert run("/usr/bin/python3", place / "front.py", env=environment) == f"{[3 * x for x in range(10)]}\n"


def test_calls_by_http(start, place):
    place.chmod(0o755)
    configure, *use = blocks((ROOT / "docs/HTTP.md").read_text(), "sh")
    written = configure[:configure.index("build/objpoold --config")]
    run("sh", "-ec", written.replace("> build/", f"> {place}/").replace("$PWD/build", str(BUILD)))
    run(BUILD / "objpoold", "--config", place / "http.conf", "--check")
    start(pools={"dice": {"plugin": "sampler", "class": "Sampler", "workers": 4}},
          daemon={"http": f"unix:{place}/web", "http_calls": "yes"}).wait_log("calls by HTTP on unix")
    script = "\n".join(use).replace("curl", f"curl --unix-socket {place}/web").replace("127.0.0.1:9117", "localhost")
    lines = [json.loads(line) for line in run("bash", "-ec", script).splitlines()]
    assert isinstance(lines[0]["result"], float) and lines[1:3] == [{"result": None}, {"result": [0, 0, 40, 0]}]
    assert len(lines[3]["result"]) == 3 and lines[4]["result"][1][0]["code"] == "BAD_ARGUMENT" and lines[5]["error"]["code"] == "NO_SUCH_METHOD"
    assert {lines[6]["index"], lines[7]["index"]} == {0, 1} and lines[8:] == [{"end": {"items": 2, "failed": 0}}]


def test_tls_from_nothing(place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (place / "build").mkdir()
    for name in ("objpoold", "objpool-worker", "objpool", "plugins"):
        (place / "build" / name).symlink_to(BUILD / name)
    script = blocks((ROOT / "docs/TLS.md").read_text(), "sh")[0].replace("7118", str(port))
    shell = subprocess.Popen(["bash", "-ec", script + "kill %1\nwait\n"], cwd=place, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, errors = shell.communicate(timeout=60)
    finally:
        shell.poll() is None and os.killpg(shell.pid, signal.SIGKILL)
    lines = out.splitlines()
    assert lines[1:4] == ["user ann, by cert", "call: dice.*", "describe: *"], errors
    float(lines[4])


def test_python(dice, place):
    _, environment = dice
    (place / "first.py").write_text(block("python", "msgpack"))
    lines = run("/usr/bin/python3", place / "first.py", env=environment).splitlines()
    assert lines[0] == "[None, None, None, None]" and len(lines) == 2


def test_c(dice, place):
    _, environment = dice
    (place / "first.c").write_text(block("c", "objpool_callf"))
    sanitize = os.environ.get("SANITIZE") or ("address,undefined" if "address" in BUILD.name else "")
    run("cc", "-Wall", "-Wextra", "-Werror", *([f"-fsanitize={sanitize}"] if sanitize else []), f"-I{ROOT}/client/include",
        place / "first.c", BUILD / "libobjpool.a", *MSGPACK, "-o", place / "first")
    assert run(place / "first", env=environment) == "2\n"
    run(BUILD / "objpool", "scale", "dice", "1", env=environment)
    failed = subprocess.run([place / "first"], text=True, capture_output=True, timeout=60, env=environment)
    assert failed.returncode == 1 and "no slot 2" in failed.stderr and failed.stdout == ""
    alone = subprocess.run([place / "first"], text=True, capture_output=True, timeout=60,
                           env={**environment, "OBJPOOL_ADDRESS": f"unix:{place}/nobody.sock"})
    assert alone.returncode == 3 and "no daemon" in alone.stderr


def test_neovim(dice, place):
    if not shutil.which("nvim"):
        pytest.skip("nvim is not installed")
    daemon, environment = dice
    script = block("vim", "sockconnect").replace("/tmp/objpool.sock", str(daemon.socket_path))
    (place / "first.vim").write_text(script + "\nquit\n")
    done = subprocess.run(["nvim", "--headless", "-u", "NONE", "-S", place / "first.vim"], env=environment, text=True,
                          capture_output=True, timeout=60)
    assert "[0, 0, 0, 0]" in done.stderr


# ---- the documents ----

def test_the_client_in_the_protocol(start, place):
    daemon = start(pools={"dice": {"plugin": "sampler", "class": "Sampler"}})
    [program] = blocks((ROOT / "docs/PROTOCOL.md").read_text(), "python")
    (place / "client.py").write_text(program.replace("/tmp/objpool.sock", str(daemon.socket_path)))
    out = run("/usr/bin/python3", place / "client.py").splitlines()
    assert out[:2] == ["[0, 0] 0", "[[None, 2], [None, 2]]"] and out[2].startswith("NO_SUCH_METHOD: ") and len(out) == 3


def test_the_class_in_ten_minutes(start, place):
    text = (ROOT / "docs/PLUGINS.md").read_text()
    (place / "counter.c").write_text(blocks(text, "c")[0])
    build = blocks(text, "sh")[0].replace("-o counter.so", f"-Werror -I{ROOT}/plugins/include -o counter.so")
    run("sh", "-ec", build, cwd=place)
    (place / "counter.conf").write_text(blocks(text, "ini")[0])
    run(BUILD / "objpoold", "--config", "counter.conf", "--check=syntax", cwd=place)
    daemon = start(pools={"counter": {"plugin": place / "counter.so", "class": "Counter", "workers": 2, "kwargs": '{"start": 10}'}})
    environment = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "OBJPOOL_ADDRESS": daemon.address}
    told = blocks(text, "console")[0].splitlines()
    commands = [line[2:] for line in told if line.startswith("$ ")]
    assert "OBJPOOL_ADDRESS" in commands[0] and "five" in commands[-1]
    out = run("sh", "-ec", "\n".join(commands[2:-1]), env=environment).splitlines()
    assert out == [line for line in told if not line.startswith("$ ")]
    assert "(n: int) -> int" in run("sh", "-ec", commands[1], env=environment)
    wrong = subprocess.run(["sh", "-c", commands[-1]], text=True, capture_output=True, timeout=60, env=environment)
    assert wrong.returncode == 1 and "BAD_ARGUMENT: n must be an integer" in wrong.stderr


def test_every_error_code_and_option_is_in_the_protocol():
    text = (ROOT / "docs/PROTOCOL.md").read_text()
    codes = re.findall(r'\[ERROR_\w+\] = "(\w+)"', (ROOT / "daemon/core/base/error.c").read_text())
    options = re.findall(r'^\t\{"(\w+)", option_', (ROOT / "daemon/core/records/call_options.c").read_text(), re.M)
    methods = re.findall(r'\{"objpool\.(\w+)", \w+,', (ROOT / "daemon/supervisor/admin/service.c").read_text())
    assert len(codes) > 10 and len(options) > 10 and len(methods) > 10
    assert [w for w in codes + options + methods if not re.search(rf"(`|objpool\.){w}\b", text)] == []


def test_functions_in_the_architecture_exist():
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    sources = "".join(p.read_text() for folder in ("daemon", "proto", "json", "gateway", "plugins", "client", "tests/sim") for p in (ROOT / folder).rglob("*.[ch]"))
    names = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text))
    assert len(names) > 30
    assert [name for name in sorted(names - {"epoll_wait"}) if not re.search(rf"\b{name}\b", sources)] == []


def steps_of_a_request():
    """(function, file) for each row of the table "One request, straight down" that names a file."""
    table = (ROOT / "docs/ARCHITECTURE.md").read_text().split("## One request, straight down")[1].split("**What a call costs")[0]
    file = None
    for where in re.findall(r"^\| (`.+?) \|", table, re.M):
        named = re.search(r", ((?:daemon|proto)/[\w/]+\.c|same file)$", where)
        file = named[1] if named and named[1] != "same file" else file
        if named:
            yield re.findall(r"`(\w+)`", where)[-1], file


def test_the_way_of_a_request_is_as_the_architecture_says():
    steps = list(steps_of_a_request())
    assert len(steps) > 12
    assert [(f, file) for f, file in steps if not re.search(rf"^\w.*\b{f}\(.*[^;]$", (ROOT / file).read_text(), re.M)] == []


def test_a_request_goes_down_the_floors_of_the_core():
    drawn = run("/usr/bin/python3", ROOT / "scripts/floors.py", "--draw", "daemon/core")
    floor = {name: int(level) for level, name in re.findall(r"^ *(\d+) \w+/(\w+)", drawn, re.M)}
    floors = [floor[os.path.basename(file)[:-2]] for _, file in steps_of_a_request() if file.startswith("daemon/core/")]
    turn = floors.index(floor["from_worker"])  # here the answer begins
    for way in floors[:turn], floors[turn:]:
        assert len(way) > 2 and way == sorted(way, reverse=True)


def test_files_in_the_documents_exist():
    missing = []
    for document in DOCUMENTS:
        text = document.read_text()
        links = [(document.parent / link) for link in re.findall(r"\]\((?!https?:)([^)#]+)", text)]
        paths = [ROOT / path for path in re.findall(r"\b((?:daemon|proto|client|cli|plugins|tests|scripts|packaging|docs)/[\w./-]+\.\w+)\b", text)]
        missing += [str(path) for path in links + paths if not path.exists()]
    assert missing == []


def sentences(cell):
    cell = re.sub(r"`[^`]*`", "x", cell).strip()
    return len(re.findall(r"[.!?](?= |$)", cell)) + (cell[-1:] not in (".", "!", "?"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_lines_and_cells_are_short(document):
    """No line has over 120 columns but rows of tables, and no cell of these over two sentences."""
    lines = [line.strip() for line in document.read_text().splitlines()]
    assert [line for line in lines if not line.startswith("|") and len(line) > 120] == []
    cells = [cell for line in lines if line.startswith("|") for cell in re.split(r"(?<!\\)\|", line[1:-1])]
    assert [cell for cell in cells if sentences(cell) > 2] == []


def test_links_within_the_documents_lead_somewhere():
    def anchor(heading):
        return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")

    missing = []
    for document in DOCUMENTS:
        for path, name in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", document.read_text()):
            text = (document.parent / path).read_text() if path else document.read_text()
            if name not in [anchor(heading) for heading in re.findall(r"^#+ (.+)$", text, re.M)]:
                missing.append((document.name, path, name))
    assert missing == []


def test_every_option_of_the_configuration_is_in_its_manual():
    keys = re.findall(r'^\t\{"([a-z_]+)", T_', (ROOT / "daemon/supervisor/config/config.c").read_text(), re.M)
    manual = (ROOT / "packaging/man/objpoold.conf.5").read_text()
    assert len(keys) > 20
    assert [key for key in keys if not re.search(rf"\b{key}\b", manual)] == []


def test_the_manuals_keep_the_quotes_of_json():
    """mdoc takes quotes at the beginning of a macro's argument away: \\(dq stays."""
    for manual in (ROOT / "packaging/man").glob("*.[1-8]"):
        assert re.findall(r'^\..* "\w+":.*$', manual.read_text(), re.M) == [], manual


def test_no_merge_is_left_unfinished():
    kinds = {".1", ".3", ".5", ".8", ".md", ".c", ".h", ".py", ".conf", ".mk", ".sh", ".service", ".socket", ""}
    names = subprocess.run(["git", "-C", ROOT, "ls-files"], text=True, capture_output=True).stdout.split("\n")
    files = [ROOT / name for name in names if name] or [path for path in ROOT.rglob("*") if "build" not in path.parts[len(ROOT.parts)]]
    for path in files:
        if path.suffix in kinds and path.is_file():
            assert not re.search(r"^(<{7} |={7}$|>{7} )", path.read_text(errors="replace"), re.M), path
