#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs the Debian packages under a systemd, calls, upgrades under load, removes and purges (`make check-deb`).

usage: check.py BOX DIRECTORY

BOX: a command that boots a machine which is thrown away: BOX up, BOX run COMMAND..., BOX down (as tests/integration/sdbox).
SDBOX_DIR is in its environment. DIRECTORY: where `make deb` has put the packages. What they depend on must be in the box.
"""
import contextlib
import io
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = ["objpool", "objpool-gateway", "libobjpool0", "libobjpool-dev", "objpool-plugins", "objpool-plugin-probe",
            "objpool-plugin-python", "python3-objpool"]
CONF = "/etc/objpool/objpoold.conf"
POOLS = "[pool dice]\nplugin = sampler\nclass = Sampler\nworkers = 2\n\n[pool probe]\nplugin = probe\nclass = Probe\nworkers = 2\n"
LAB = "/etc/objpool/lab"  # of another daemon of the machine
BUS = "10.9.9.1"  # an address that is not loopback's
PATIENCE = 60

box_command = sys.argv[1]
directory = pathlib.Path(sys.argv[2])
begun = time.monotonic()


def say(text):
    print(f"{time.monotonic() - begun:7.2f} s  {text}", flush=True)


def work():
    """Seconds of processor time that commands have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def step(name):
    since, worked = time.monotonic(), work()
    say(name)
    yield
    say(f"{name}: took {time.monotonic() - since:.2f} s, of which {work() - worked:.2f} s of work")


def run(*words, ok=True, **options):
    """Runs a command in the box; gives what it prints."""
    ran = subprocess.run([box_command, "run", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         **{"stdin": subprocess.DEVNULL, **options})
    text = ran.stdout.decode()
    if ok and ran.returncode:
        sys.exit(f"{' '.join(words)}: exit status {ran.returncode}\n{text}")
    return text.strip()


def succeeds(*words):
    return subprocess.run([box_command, "run", *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, and not {wanted!r}")


def wait_for(what, probe):
    deadline = time.monotonic() + PATIENCE
    while not (value := probe()):
        if time.monotonic() > deadline:
            sys.exit(f"waited {PATIENCE} s for {what}")
        time.sleep(0.05)
    return value


def write(path, text):
    run("sh", "-c", 'cat > "$0"', path, stdin=None, input=text.encode())


def send(files, target):
    """Copies files into a new directory of the box."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in files:
            tar.add(file, file.name)
    run("mkdir", "-p", target)
    run("tar", "-C", target, "-x", stdin=None, input=archive.getvalue())


def state(unit):
    return run("systemctl", "is-active", unit, ok=False)


def main_pid(unit="objpoold.service"):
    return run("systemctl", "show", "-P", "MainPID", unit)


def install(folder):
    return run("sh", "-c", f"DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends --allow-downgrades "
                           f"-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef install {folder}/*.deb")


# ---- packages ----

def package(name):
    found = sorted(directory.glob(f"{name}_*.deb"))
    if len(found) != 1:
        sys.exit(f"{directory} has {len(found)} packages {name}: `make deb` builds one")
    return found[0]


def later(deb, folder):
    """The same package with a later version, and another configuration."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    version = re.search(r"^Version: (.*)$", control.read_text(), re.M)[1]
    control.write_text(control.read_text().replace(f"Version: {version}\n", f"Version: {version}+next\n")
                       .replace(f"(= {version})", f"(= {version}+next)"))
    if (tree / CONF[1:]).exists():
        with open(tree / CONF[1:], "a") as file:
            file.write("# of the next version\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, folder], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)


# ---- load ----

class Load:
    """load.py, at work in the box."""

    def __init__(self):
        self.process = subprocess.Popen([box_command, "run", "/usr/bin/python3", "/root/objpool/load.py"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.last = {"done": {}, "failures": [], "failed": 0}
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.last = json.loads(line)

    def goes_on(self):
        """Waits until each kind of call has been made some times more."""
        before = dict(self.last["done"])
        wait_for("calls", lambda: self.process.poll() is None and len(self.last["done"]) == 4 and all(
            count >= before.get(name, 0) + 2 for name, count in self.last["done"].items()))
        say(f"calls so far: {self.last['done']}, failed: {self.last['failed']}")

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        self.reader.join()
        self.process.wait()
        return self.last


# ---- what is left ----

def files():
    found = run("sh", "-c", "find /etc /usr /var /opt -xdev '(' -path /var/tmp -o -name __pycache__ ')' -prune -o -print")
    return set(found.splitlines())


# Of dpkg, apt and systemd themselves, and what other packages' triggers write.
NOT_OURS = re.compile(r"/var/(lib/(dpkg|apt|systemd|ucf|PackageKit)|cache|log|backups)(/|$)|/etc/(ld\.so\.cache|(passwd|group|shadow|gshadow)-?|"
                      r"\.pwd\.lock|\.updated)$|/usr/share/(mime|info)/|/var/\.updated$")


# ---- what is checked ----

def send_packages():
    if succeeds("dpkg", "-s", "objpool"):
        sys.exit("objpool is installed here")
    first = [package(name) for name in PACKAGES]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for deb in first:
            later(deb, pathlib.Path(folder))
        send(first, "/root/objpool/first")
        send(sorted(pathlib.Path(folder).glob("*.deb")), "/root/objpool/next")
    send([HERE / "load.py"], "/root/objpool")


def check_installation():
    with step("install"):
        install("/root/objpool/first")
    expect("the socket", state("objpoold.socket"), "active")
    expect("the service before the first call", state("objpoold.service"), "inactive")
    expect("enabled", run("systemctl", "is-enabled", "objpoold.socket", "objpoold.service").split(), ["enabled"] * 2)
    write("/etc/objpool/conf.d/pools.conf", POOLS)
    with step("first call, which starts the daemon"):
        run("objpool", "call", "dice:0.set_property", "5")
    expect("a call", run("objpool", "call", "dice:0.get_property"), "5")
    wait_for("the service", lambda: state("objpoold.service") == "active")


def check_instance():
    """Another daemon, with pools of its own."""
    run("mkdir", "-p", f"{LAB}/conf.d")
    write(f"{LAB}/objpoold.conf", "[daemon]\n")
    write(f"{LAB}/conf.d/lots.conf", POOLS.replace("dice", "lots"))
    run("systemctl", "enable", "--now", "objpoold@lab")
    pools = run("sh", "-c", "objpool -s /run/objpool/lab.sock pools | awk 'NR > 1 {print $1}'")
    expect("pools of the other daemon", pools.split(), ["lots", "probe"])


def hosts():
    return run("objpool", "hosts", ok=False)


def check_cluster():
    """With the package objpool-gateway the service reaches a NATS server that is not on loopback; narrowed down, only those named."""
    server = shutil.which("nats-server") or sys.exit("no nats-server: apt install nats-server")
    run("ip", "address", "add", f"{BUS}/32", "dev", "lo")
    run("systemd-run", "--unit", "bus", server, "-a", BUS, "-p", "4222")
    write("/etc/objpool/conf.d/cluster.conf", f"[cluster]\nname = h1\nbus = nats://{BUS}:4222\n")
    with step("a cluster"):
        run("systemctl", "reload", "objpoold")
        wait_for("the bus", lambda: f"connected: nats://{BUS}:4222" in hosts())
    override = "/etc/systemd/system/objpoold.service.d/override.conf"
    run("mkdir", "-p", os.path.dirname(override))
    for others, wanted in (("10.9.9.2", "connecting: "), (f"10.9.9.2 {BUS}", "connected: ")):
        write(override, f"[Service]\nIPAddressAllow=\nIPAddressAllow=localhost {others}\n")
        run("systemctl", "daemon-reload")
        wait_for(f"{wanted}with {others}", lambda: wanted in hosts())
    run("rm", "-r", os.path.dirname(override), "/etc/objpool/conf.d/cluster.conf")
    run("systemctl", "daemon-reload")
    run("systemctl", "reload", "objpoold")
    run("systemctl", "stop", "bus")


def check_upgrade(load):
    run("sh", "-c", f"echo '# edited' >> {CONF}")
    edited = run("cat", CONF)
    old, old_lab = main_pid(), main_pid("objpoold@lab")
    load.goes_on()
    with step("upgrade under load"):
        install("/root/objpool/next")
    new, new_lab = main_pid(), main_pid("objpoold@lab")
    if new in (old, "0") or new_lab in (old_lab, "0"):
        sys.exit(f"a daemon has not been restarted: {old}, {new}; {old_lab}, {new_lab}")
    load.goes_on()
    expect("the program that runs", run("readlink", f"/proc/{new}/exe"), "/usr/sbin/objpoold")
    expect("the edited configuration", run("cat", CONF), edited)
    run("test", "-e", f"{CONF}.dpkg-dist")


def check_mistake(load):
    """A configuration that the other version refuses: the daemon that runs goes on."""
    old, old_lab = main_pid(), main_pid("objpoold@lab")
    write("/etc/objpool/conf.d/bad.conf", "[pool dice]\nno_such_key = 1\n")
    with step("another version, with a mistake in the configuration"):
        said = install("/root/objpool/first")
    expect("the daemon", main_pid(), old)
    if "objpoold is not restarted" not in said or "bad.conf:2" not in said:
        sys.exit(f"it is not said that the daemon is not restarted:\n{said}")
    if main_pid("objpoold@lab") == old_lab:
        sys.exit("another daemon has not been restarted for a mistake that is not its own")
    run("rm", "/etc/objpool/conf.d/bad.conf")
    with step("restart under load"):
        run("systemctl", "restart", "objpoold")
    load.goes_on()


def check_load(load):
    counts = load.end()
    say(f"calls: {counts['done']}, failed: {counts['failed']}")
    if counts["failed"]:
        sys.exit("\n".join(counts["failures"]))


def check_removal(before):
    edited = run("cat", CONF)
    run("touch", "/var/lib/objpool/of-a-plugin")
    run("rm", "-r", LAB)
    with step("removal"):
        run("dpkg", "--remove", *PACKAGES)
    expect("the service", state("objpoold.service"), "inactive")
    if succeeds("pgrep", "-f", "objpoold|objpool-worker|objpool-keeper") or succeeds("sh", "-c", "ls /run/objpool/*.sock"):
        sys.exit("the daemon or its socket is left")
    expect("the edited configuration", run("cat", CONF), edited)
    with step("purge"):
        run("dpkg", "--purge", *PACKAGES)
    run("test", "!", "-e", "/run/objpool")
    after = files()
    expect("files that are left", sorted(path for path in after - before if not NOT_OURS.search(path)),
           ["/etc/objpool", "/etc/objpool/conf.d", "/etc/objpool/conf.d/pools.conf"])
    expect("files that are gone", sorted(path for path in before - after if not NOT_OURS.search(path)), [])
    run("getent", "passwd", "objpool")


def main():
    with step("boot"):
        subprocess.run([box_command, "up"], check=True, stdout=subprocess.DEVNULL)
    send_packages()
    before = files()
    check_installation()
    check_instance()
    check_cluster()
    load = Load()
    try:
        check_upgrade(load)
        check_mistake(load)
    finally:
        load.end()
    check_load(load)
    check_removal(before)
    say("all is well")


# Of systemd-nspawn: what the box's systemd needs to filter addresses of services.
os.environ.setdefault("SDBOX_ARGS", "--capability=CAP_BPF,CAP_NET_ADMIN --system-call-filter=bpf")
os.environ["SDBOX_DIR"] = scratch = tempfile.mkdtemp(prefix="objpool-deb.", dir="/var/tmp")
try:
    main()
finally:
    subprocess.run([box_command, "down"], stdin=subprocess.DEVNULL)
    with contextlib.suppress(OSError):
        os.rmdir(scratch)
