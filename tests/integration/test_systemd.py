# SPDX-License-Identifier: Apache-2.0
"""The service as an administrator meets it: installed, under a real systemd, in a throw-away container (see sdbox).

Run with Debian's Python: /usr/bin/python3 -m pytest tests/integration/test_systemd.py. What needs the container is
skipped where none can be booted (needs root and systemd-container); the rest runs for anybody.
"""

import json
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path

import harness
import pytest
from harness import BUILD, MSGPACK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SDBOX = HERE / "sdbox"
SOCKET = "/run/objpool/objpool.sock"
CONF = "/etc/objpool/objpoold.conf"
CONF_D = "/etc/objpool/conf.d"
PATIENCE = 20  # seconds that anything may take

PLUGIN = r"""
#include <objpool/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	(void)call, (void)self;
	if (args->count > 0)
		sleep(60);
	return 0;
}

static int echo(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call;
	return msgpack_pack_object(result, args->values[0]);
}

static int pid(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call, (void)args;
	return msgpack_pack_int(result, getpid());
}

static int say(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call;
	printf("%.*s\n", (int)args->values[0].via.str.size, args->values[0].via.str.ptr);
	fflush(stdout);
	return msgpack_pack_nil(result);
}

/* Says its text, so that others know it runs, works for a while, and returns the text. */
static int work(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	say(self, call, args, result);
	sleep(2);
	return 0;
}

static const struct objpool_method methods[] = {
	{.name = "echo", .call = echo, .min_args = 1, .max_args = 1},
	{.name = "pid", .call = pid},
	{.name = "say", .call = say, .min_args = 1, .max_args = 1},
	{.name = "work", .call = work, .min_args = 1, .max_args = 1},
	{.name = NULL},
};
static const struct objpool_class box = {OBJPOOL_CLASS_HEAD, .name = "Box", .create = create, .methods = methods};
static const struct objpool_class *const classes[] = {&box, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "box", .classes = classes};
"""

POOL = "[pool box]\nplugin = box\nclass = Box\nworkers = 2\n"


def wait_for(what, probe):
    """The first true value of probe(); fails, saying what was waited for, when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what}"
        time.sleep(0.05)


def make(*words):
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "SANITIZE")}
    done = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", str(ROOT), *words],
                          env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


# Without optimization over all files, for which a linker takes some ten seconds.
WORDS = ["B=build/usr", "LTO=-fno-lto"]
PARTS = ["cli", "client", "daemon", "gateway", "generated", "json", "man3", "packaging", "plugins", "proto", "python"]


def copy_build(target):
    """What is built becomes a build of its own: `make` does there only what differs for another prefix."""
    def copy(source, copied):
        shutil.copy2(source, copied)
        if source.endswith(".d"):       # names files of the build
            Path(copied).write_text(Path(source).read_text().replace("build/", "build/usr/"))

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(BUILD, target, symlinks=True, copy_function=copy,
                    ignore=lambda folder, names: [name for name in names if Path(folder) == BUILD and name not in PARTS
                                                  and Path(folder, name).is_dir()])


class Tree:
    """An installation below a directory, built for /usr apart from the ordinary build."""

    def __init__(self, directory):
        self.directory = directory
        self.words = [f"DESTDIR={directory}", "prefix=/usr", *WORDS]

    def install(self):
        return make("install", *self.words)

    def uninstall(self):
        return make("uninstall", *self.words)

    def __truediv__(self, path):
        return self.directory / path

    def __str__(self):
        return str(self.directory)


@pytest.fixture(scope="module", autouse=True)
def built():
    if BUILD == ROOT / "build":
        copy_build(ROOT / "build/usr")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = Tree(tmp_path_factory.mktemp("installed"))
    tree.install()
    return tree


class Box:
    """The container, with the installation in it."""

    def __init__(self, directory):
        self.environment = dict(os.environ, SDBOX_DIR=str(directory))
        self.sdbox("up")

    def sdbox(self, *words, check=True, **options):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run([SDBOX, *map(str, words)], env=self.environment, text=True, timeout=120, **options)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def run(self, *words, **options):
        return self.sdbox("run", *words, **options)

    def start(self, *words):
        """Like run, without waiting for it."""
        return subprocess.Popen([SDBOX, "run", *words], env=self.environment, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, path, text):
        self.run("sh", "-c", 'cat > "$0"', path, stdin=None, input=text)

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def show(self, name, unit="objpoold.service"):
        return self.systemctl("show", "-P", name, unit).stdout.strip()

    def main_pid(self):
        return int(self.show("MainPID"))

    def active(self, unit="objpoold.service"):
        return self.show("ActiveState", unit)

    def objpool(self, *words, **options):
        return self.run("objpool", *words, **options)

    def call(self, method, *arguments):
        return json.loads(self.objpool("call", method, *map(json.dumps, arguments)).stdout)

    def journal(self, *matches):
        """What the service has logged, as maps; `matches` as journalctl takes them."""
        self.run("journalctl", "--sync")
        text = self.run("journalctl", "-u", "objpoold", "-o", "json", "--no-pager", *matches).stdout
        return [json.loads(line) for line in text.splitlines()]

    def mark(self):
        return len(self.journal())

    def logged(self, pattern, mark=0, **fields):
        """Waits for an entry, after the first `mark`, with `pattern` in its message and these fields."""
        def find():
            return [entry for entry in self.journal()[mark:]
                    if re.search(pattern, str(entry.get("MESSAGE"))) and fields.items() <= entry.items()]
        return wait_for(f"{pattern!r} in the journal", find)[-1]


@pytest.fixture(scope="module")
def box(tree, tmp_path_factory):
    check = subprocess.run([SDBOX, "check"], text=True, stdout=subprocess.PIPE)
    if check.returncode:
        pytest.skip(f"no container with systemd here: {check.stdout.strip()}")
    scratch = tmp_path_factory.mktemp("box")
    (scratch / "box.c").write_text(PLUGIN)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", scratch / "box.so", scratch / "box.c",
                    f"-I{tree / 'usr/include'}", *MSGPACK], check=True)
    box = Box(scratch / "root")
    try:
        box.sdbox("cp", tree.directory, "/")
        box.sdbox("cp", scratch / "box.so", "/usr/lib/objpool/plugins/box.so")
        box.run("systemd-sysusers")
        box.run("systemd-tmpfiles", "--create")
        box.systemctl("daemon-reload")
        yield box
    finally:
        box.sdbox("down", check=False)


@pytest.fixture
def fresh(box):
    """The box with one pool configured and nothing of ours running; what a test changes is undone after it."""
    box.write(f"{CONF_D}/box.conf", POOL)
    box.systemctl("reset-failed")
    yield box
    box.run("sh", "-c", f"rm -rf {CONF_D}/* /run/systemd/system/objpoold*")
    box.systemctl("daemon-reload")
    box.systemctl("stop", "objpoold-tcp.socket", "objpoold.socket", "objpoold.service", check=False)
    box.systemctl("reset-failed")


@pytest.fixture
def anyone(fresh):
    """Who is no user may call. The shipped configuration ends with the section [user *]."""
    fresh.run("cp", "-p", CONF, f"{CONF}.kept")
    fresh.run("sh", "-c", f"echo 'call = *.*' >> {CONF}")
    yield fresh
    fresh.run("mv", f"{CONF}.kept", CONF)


@pytest.fixture
def service(fresh):
    """The same, with the service started."""
    fresh.systemctl("start", "objpoold.service")
    return fresh


# The installation.

def test_install_keeps_an_edited_configuration(tmp_path):
    tree = Tree(tmp_path)
    tree.install()
    config = tree / "etc/objpool/objpoold.conf"
    shipped = config.read_text()
    tree.install()
    assert not (tree / "etc/objpool/objpoold.conf.new").exists()
    config.write_text("# mine\n")
    assert "objpoold.conf.new" in tree.install()
    assert config.read_text() == "# mine\n"
    assert (tree / "etc/objpool/objpoold.conf.new").read_text() == shipped
    tree.uninstall()
    left = [p for p in tmp_path.rglob("*") if not p.is_dir()]
    assert left == [config]


def test_uninstall_leaves_nothing(tmp_path):
    tree = Tree(tmp_path)
    tree.install()
    tree.uninstall()
    assert [p for p in tmp_path.rglob("*") if not p.is_dir() or p.name == "objpool"] == []


def test_the_plugin_for_tests_is_not_installed(tree):
    names = [path.name for path in (tree / "usr/lib/objpool/plugins").iterdir()]
    assert "sampler.so" in names and "probe.so" not in names


def test_installing_elsewhere_compiles_one_file(tree, tmp_path):
    """`make`, then `make install` with another prefix, as OPERATIONS.md has it the other way round."""
    words = [f"DESTDIR={tmp_path}", "prefix=/opt/objpool", *WORDS]
    plan = make("-n", "install", *words)
    assert re.findall(r" -c -o \S+/([\w-]+\.o) ", plan) in ([], ["paths.o"]), plan
    made = [name for name in re.findall(r" -o (?:\S+/)?(\S+)", plan) if not name.endswith(".o")]
    assert set(made) <= {"objpoold"}, plan
    make("install", *words)
    try:
        shown = subprocess.run([tmp_path / "opt/objpool/sbin/objpoold", "--print-config"], text=True, stdout=subprocess.PIPE).stdout
        assert "plugin_dir = /opt/objpool/lib/objpool/plugins\n" in shown
        assert "ExecStart=/opt/objpool/sbin/objpoold" in (tmp_path / "opt/objpool/lib/systemd/system/objpoold.service").read_text()
    finally:
        tree.install()  # for /usr again
    shown = subprocess.run([tree / "usr/sbin/objpoold", "--print-config"], text=True, stdout=subprocess.PIPE).stdout
    assert "plugin_dir = /usr/lib/objpool/plugins\n" in shown


def test_library_links(tree):
    link = tree / "usr/lib/libobjpool.so"
    assert os.readlink(link) == "libobjpool.so.0"
    assert link.resolve().name.startswith("libobjpool.so.0.")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
def test_exposure_is_low(tree):
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager",
                           tree / "usr/lib/systemd/system/objpoold.service"],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("manager, name", [("system", "objpoold"), ("system", "objpoold@one"), ("user", "objpoold")])
def test_units_are_good(tree, tmp_path, manager, name):
    for unit in (tree / "usr/lib/systemd" / manager).iterdir():
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/sbin/objpoold", f"{tree}/usr/sbin/objpoold"))
    done = subprocess.run(["systemd-analyze", "verify", f"--{manager}", "--man=no", tmp_path / f"{name}.service",
                           tmp_path / f"{name}.socket"], text=True, capture_output=True,
                          env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_instances_are_as_the_service(tree):
    """Names apart."""
    for kind in ("service", "socket"):
        first, other = ((tree / f"usr/lib/systemd/system/objpoold{at}.{kind}").read_text() for at in ("", "@"))
        changed = [line for line in other.splitlines() if line not in first.splitlines()]
        assert all("%i" in line for line in changed if not line.startswith("#")) and len(changed) < 10
        assert "/etc/objpool/%i/objpoold.conf" in other or kind == "socket"


# The service.

def test_units_are_clean(box):
    done = box.run("systemd-analyze", "verify", "objpoold.service", "objpoold.socket")
    assert done.stdout + done.stderr == ""


def test_user_and_directory(box):
    assert ":/usr/sbin/nologin" in box.run("getent", "passwd", "objpool").stdout
    assert box.run("stat", "-c", "%U:%G %a", "/run/objpool").stdout.strip() == "objpool:objpool 755"


def test_shipped_configuration_is_valid(box):
    box.run("objpoold", "--check")


def test_starts_and_says_what_it_serves(service):
    assert service.active() == "active"
    status = service.show("StatusText")
    assert re.search(r"\b1 pool\b", status) and re.search(r"\b2\b", status), status
    user = service.run("ps", "-o", "user=", "-p", service.main_pid()).stdout.strip()
    assert user == "objpool"
    assert service.call("box.echo", [1, "two"]) == [1, "two"]


CAGED = """
[pool shut]
plugin = box
class = Box
network = no
syscalls = strict
write = []

[pool other]
plugin = box
class = Box
user = nobody
"""


def test_cages(anyone):
    """What needs no privilege works in the unit as it is; another user needs the drop-in, whose capabilities no class gets."""
    anyone.write(f"{CONF_D}/caged.conf", CAGED)
    anyone.systemctl("start", "objpoold")
    assert anyone.call("shut.echo", 5) == 5
    refused = anyone.objpool("call", "other.echo", "5", check=False)
    assert refused.returncode != 0 and "user = nobody: Operation not permitted: the daemon needs to be root" in refused.stderr
    anyone.run("mkdir", "-p", "/run/systemd/system/objpoold.service.d")
    anyone.run("cp", "/usr/share/doc/objpool/cages.conf", "/run/systemd/system/objpoold.service.d/")
    anyone.systemctl("daemon-reload")
    anyone.systemctl("restart", "objpoold")
    assert anyone.call("other.echo", 5) == anyone.call("box.echo", 5) == anyone.call("shut.echo", 5) == 5
    for pool, user in (("other", "nobody"), ("box", "objpool")):
        pid = anyone.call(f"{pool}.pid")
        status = anyone.run("cat", f"/proc/{pid}/status").stdout
        uid = int(anyone.run("id", "-u", user).stdout)
        assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", status, re.M), status
        assert re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\t(\w+)$", status, re.M) == ["0" * 16] * 4, status
    anyone.systemctl("stop", "objpoold")


BUS = "10.9.9.1"


@harness.needs("nats")
@pytest.mark.skipif(not shutil.which("nats-server"), reason="nats-server is not installed")
def test_a_gateway_reaches_other_machines_with_the_drop_in(fresh):
    """The unit lets nobody beyond this machine be reached; gateway.conf lifts that, also for a service that runs."""
    def hosts():
        return fresh.objpool("hosts", check=False).stdout

    fresh.run("ip", "address", "replace", f"{BUS}/32", "dev", "lo")
    fresh.run("systemd-run", "--unit", "bus", "nats-server", "-a", BUS, "-p", "4222")
    try:
        fresh.write(f"{CONF_D}/cluster.conf", f"[cluster]\nname = h1\nbus = nats://{BUS}:4222\n")
        fresh.systemctl("start", "objpoold")
        fresh.logged("cluster: connecting: ")
        assert "host h1 of domain default: connecting: " in hosts()
        fresh.run("mkdir", "-p", "/run/systemd/system/objpoold.service.d")
        fresh.run("cp", "/usr/share/doc/objpool/gateway.conf", "/run/systemd/system/objpoold.service.d/")
        fresh.systemctl("daemon-reload")
        wait_for("the bus", lambda: f"connected: nats://{BUS}:4222" in hosts())
    finally:
        fresh.systemctl("stop", "bus")


def test_a_call_starts_the_service(fresh):
    fresh.systemctl("start", "objpoold.socket")
    assert fresh.active() == "inactive"
    before = fresh.run("stat", "-c", "%U:%G %a %i", SOCKET).stdout
    assert before.startswith("objpool:objpool 660 ")
    assert fresh.call("box.echo", 7) == 7
    wait_for("the unit to be active", lambda: fresh.active() == "active")  # it may answer before systemd has read READY
    assert fresh.run("stat", "-c", "%U:%G %a %i", SOCKET).stdout == before, "the daemon made its own socket"


def test_a_second_socket_by_name(anyone, fresh):
    fresh.write("/run/systemd/system/objpoold-tcp.socket",
                "[Socket]\nListenStream=127.0.0.1:7117\nFileDescriptorName=objpool-tcp\nService=objpoold.service\n")
    fresh.systemctl("daemon-reload")
    fresh.systemctl("start", "objpoold-tcp.socket", "objpoold.socket")
    assert fresh.active() == "inactive"
    done = fresh.objpool("-s", "tcp:127.0.0.1:7117", "call", "box.echo", "5")
    assert done.stdout.strip() == "5"
    assert fresh.call("box.echo", 6) == 6


def test_a_new_socket_beside_a_running_service(anyone, service):
    """As OPERATIONS.md says."""
    service.write("/run/systemd/system/objpoold-tcp.socket",
                  "[Socket]\nListenStream=127.0.0.1:7117\nFileDescriptorName=objpool-tcp\nService=objpoold.service\n")
    service.systemctl("daemon-reload")
    assert service.systemctl("start", "objpoold-tcp.socket", check=False).returncode != 0
    service.systemctl("stop", "objpoold.socket", "objpoold.service")
    service.systemctl("start", "objpoold.socket", "objpoold-tcp.socket", "objpoold.service")
    assert service.objpool("-s", "tcp:127.0.0.1:7117", "call", "box.echo", "5").stdout.strip() == "5"
    assert service.call("box.echo", 6) == 6


def test_tcp_from_the_configuration(anyone, fresh):
    fresh.write(f"{CONF_D}/tcp.conf", "[daemon]\nlisten = tcp:127.0.0.1:7117\n")
    fresh.systemctl("start", "objpoold.service")
    tcp = ["-s", "tcp:127.0.0.1:7117"]
    assert fresh.objpool(*tcp, "call", "box.echo", "5").stdout.strip() == "5"
    denied = fresh.objpool(*tcp, "scale", "box", "3", check=False)
    assert denied.returncode == 77 and 'user * may not "admin" box' in denied.stderr


def test_who_may_do_what(service):
    """The users of the shipped configuration: members of two groups, the user that workers run as, and all others."""
    def run_as(user, groups, *words):
        return service.run("setpriv", f"--reuid={user}", f"--groups={groups}", "--regid=nogroup", "objpool", *words, check=False)

    def denied(done):
        return done.returncode == 77 and "DENIED" in done.stderr

    assert run_as("daemon", "objpool", "call", "box.echo", "5").stdout.strip() == "5"
    assert denied(run_as("daemon", "objpool", "call", "box:all.echo", "5"))
    assert denied(run_as("daemon", "objpool", "scale", "box", "2"))
    assert denied(run_as("daemon", "objpool", "reload"))
    assert run_as("daemon", "objpool,objpool-admin", "scale", "box", "2").returncode == 0
    assert json.loads(run_as("daemon", "objpool,objpool-admin", "call", "box:all.echo", "5").stdout) == [5, 5]
    assert run_as("daemon", "objpool,objpool-admin", "reload").returncode == 0
    assert denied(run_as("objpool", "objpool,objpool-admin", "call", "box.echo", "5"))
    assert run_as("daemon", "nogroup", "call", "box.echo", "5").returncode == 77  # it can't open the socket


def test_without_the_socket_unit(fresh):
    fresh.systemctl("mask", "--runtime", "objpoold.socket")
    try:
        fresh.systemctl("start", "objpoold.service")
        assert fresh.run("stat", "-c", "%U:%G %a", SOCKET).stdout.strip() == "objpool:objpool 660"
        assert fresh.call("box.echo", 1) == 1
        fresh.systemctl("restart", "objpoold.service")
        assert fresh.call("box.echo", 2) == 2
    finally:
        fresh.systemctl("unmask", "--runtime", "objpoold.socket")


def test_reload(service):
    main = service.main_pid()
    service.write(f"{CONF_D}/more.conf", POOL.replace("[pool box]", "[pool more]"))
    service.systemctl("reload", "objpoold")
    wait_for("the new pool", lambda: service.objpool("call", "more.echo", "1", check=False).returncode == 0)
    wait_for("two pools in the status line", lambda: re.search(r"\b2 pools\b", service.show("StatusText")))
    assert service.main_pid() == main
    assert service.active() == "active"


def test_reload_of_a_bad_file_is_refused(service):
    service.write(f"{CONF_D}/bad.conf", "[pool box]\nworkers = 2\nno_such_key = 1\n")
    mark = service.mark()
    assert service.systemctl("reload", "objpoold", check=False).returncode != 0
    service.logged(r"bad\.conf:3", mark)
    assert service.active() == "active"
    assert service.call("box.echo", 1) == 1


def test_hangup_with_a_bad_file_changes_nothing(service):
    main = service.main_pid()
    worker = service.call("box:0.pid")
    service.write(f"{CONF_D}/bad.conf", "[pool box]\nworkers = 2\nno_such_key = 1\n")
    mark = service.mark()
    service.systemctl("kill", "--kill-whom=main", "-s", "HUP", "objpoold")
    service.logged(r"bad\.conf:3", mark, _PID=str(main))
    wait_for("the end of the reload", lambda: service.active() == "active")
    assert (service.main_pid(), service.call("box:0.pid")) == (main, worker)


def test_what_workers_print_is_in_the_journal(service):
    text = f"hello {uuid.uuid4()}"
    service.call("box:1.say", text)
    entry = service.logged(text)
    assert (entry["OBJPOOL_POOL"], entry["OBJPOOL_SLOT"], entry["OBJPOOL_GENERATION"]) == ("box", "1", "1")
    assert entry["SYSLOG_IDENTIFIER"] == "objpoold"
    assert [e for e in service.journal("OBJPOOL_POOL=box", "OBJPOOL_SLOT=1") if text in e["MESSAGE"]]
    assert not [e for e in service.journal("OBJPOOL_POOL=box", "OBJPOOL_SLOT=0") if text in e["MESSAGE"]]


def test_stop_drains(service):
    text = f"working {uuid.uuid4()}"
    workers = service.call("box:all.pid")
    call = service.start("objpool", "call", "box.work", text)
    service.logged(text)
    service.systemctl("stop", "objpoold.service")
    out, err = call.communicate(timeout=PATIENCE)
    assert (call.returncode, out.strip()) == (0, "null"), err
    assert (service.active(), service.show("Result")) == ("inactive", "success")
    for pid in workers:
        assert service.run("kill", "-0", pid, check=False).returncode != 0
    assert service.active("objpoold.socket") == "active", "the next call starts it again"


def test_a_stop_leaves_systemd_nothing_to_kill(fresh):
    fresh.write(f"{CONF_D}/more.conf", "".join(POOL.replace("[pool box]", f"[pool box{i}]") for i in range(6)))
    mark = fresh.mark()
    for _ in range(3):
        fresh.systemctl("start", "objpoold.service")
        fresh.call("box5.echo", 1)
        fresh.systemctl("stop", "objpoold.service")
        assert fresh.show("Result") == "success"
    said = [entry["MESSAGE"] for entry in fresh.journal()[mark:]]
    assert not [line for line in said if re.search("Killing process|remains running|left-over process", line)], said
    assert sum("Deactivated successfully" in line for line in said) == 3, said


def test_a_stop_before_it_is_ready_is_no_failure(fresh):
    fresh.write(f"{CONF_D}/box.conf", POOL + "args = [\"slow\"]\n")
    start = fresh.start("systemctl", "start", "objpoold.service")
    wait_for("the daemon", lambda: fresh.objpool("ping", check=False).returncode == 0)
    assert fresh.active() == "activating"
    fresh.run("python3", "-c", "import socket; s = socket.socket(socket.AF_UNIX); s.connect('" + SOCKET + "');"
              "s.sendall(b'\\x94\\x00\\x01\\xb0objpool.shutdown\\x90'); s.recv(99)")
    assert start.wait(PATIENCE) == 0
    wait_for("its end", lambda: fresh.active() == "inactive")
    assert (fresh.show("Result"), fresh.show("NRestarts")) == ("success", "0")


def test_a_killed_daemon_comes_back(service):
    main = service.main_pid()
    workers = service.call("box:all.pid")
    service.systemctl("kill", "--kill-whom=main", "-s", "KILL", "objpoold")
    wait_for("a new daemon", lambda: service.main_pid() not in (0, main) and service.active() == "active")
    assert service.show("NRestarts") == "1"
    assert service.call("box.echo", 1) == 1
    for pid in workers:
        assert service.run("kill", "-0", pid, check=False).returncode != 0, "a worker outlived the daemon"


def test_watchdog_is_fed(service):
    assert service.show("WatchdogUSec") == "30s"
    assert service.show("WatchdogSignal") in ("", "6")


def test_watchdog_bites(fresh):
    fresh.run("mkdir", "-p", "/run/systemd/system/objpoold.service.d")
    fresh.write("/run/systemd/system/objpoold.service.d/quick.conf", "[Service]\nWatchdogSec=2\nLimitCORE=0\n")
    fresh.systemctl("daemon-reload")
    fresh.systemctl("start", "objpoold.service")
    ready = int(fresh.show("ActiveEnterTimestampMonotonic"))
    wait_for("the loop to feed the watchdog",
             lambda: int(fresh.show("WatchdogTimestampMonotonic")) > ready + 2_000_000)
    assert fresh.show("NRestarts") == "0"
    main = fresh.main_pid()
    fresh.run("kill", "-STOP", main)
    wait_for("a new daemon", lambda: fresh.main_pid() not in (0, main) and fresh.active() == "active")
    assert fresh.call("box.echo", 1) == 1
