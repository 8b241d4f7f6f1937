# SPDX-License-Identifier: Apache-2.0
"""The configuration and the command line of the daemon: every mistake gets a sentence that says what and where."""
import ctypes
import grp
import os
import re
import shutil
import signal
import socket
import stat
import subprocess

import pytest
from harness import BUILD, DEADLINE, ROOT, Client

GOOD = "[daemon]\nlisten = unix:{dir}/s\nplugin_dir = {plugins}\n\n[pool p]\nplugin = probe\nclass = Probe\n"


def run(*arguments, **keywords):
    return subprocess.run([BUILD / "objpoold", *map(str, arguments)], text=True, capture_output=True, timeout=20, **keywords)


def check(place, text, *arguments):
    path = place / "x.conf"
    path.write_text(text)
    done = run("--config", path, *arguments)
    return done, path


@pytest.mark.parametrize("text, line, words", [
    ("[daemon]\ncolour = red\n", 2, ["colour"]),
    ("[daemon]\nmax_message = much\n", 2, ["max_message", "much"]),
    ("[daemon]\nsocket_mode = 999\n", 2, ["socket_mode"]),
    ("[daemon]\nlisten = udp:1\n", 2, ["udp:1"]),
    ("[daemon]\nlisten = unix:relative\n", 2, ["relative"]),
    ("[daemon]\nlisten = tcp:127.0.0.1:99999999\n", 2, ["99999999"]),
    ("[daemon]\nadmin = me\n", 2, ["admin"]),
    ("[nothing]\n", 1, ["[nothing]"]),
    ("x = 1\n", 1, ["x"]),
    ("[daemon]\nlisten = tcp:127.0.0.1:65536\n", 2, ["65536"]),
    ("[daemon]\n\nlisten = tcp:0.0.0.0:7117\n", 3, ["0.0.0.0", "insecure_remote"]),
    ("[daemon]\nlisten = unix:/tmp/x tls:127.0.0.1:1\n", 2, ["several addresses", "give each by itself"]),
    ("[daemon]\nlisten = unix:/tmp/x, unix:/tmp/y\n", 2, ["several addresses"]),
    ("[daemon]\nlisten = unix:/tmp/x\nlisten = unix:/tmp/x\n", 3, ["twice"]),
    ("[daemon]\nlisten = unix:/tmp/x:0\nlisten = unix:/tmp/x:0\n", 3, ["twice"]),
    ("[daemon]\nlisten = tcp:localhost:7117\nlisten = tcp:127.0.0.1:7117\n", 3, ["twice", "tcp:localhost:7117"]),
    ("[daemon]\ninsecure_remote = yes\nlisten = tcp:0.0.0.0:7117\nlisten = tcp:127.0.0.1:7117\n", 4, ["twice", "tcp:0.0.0.0:7117", "conf:3"]),
    ("[daemon]\nlisten = tcp:127.0.0.1:7117\nhttp = tcp:127.0.0.1:7117\n", 3, ["http", "twice", "conf:2"]),
    ("[pool p]\nplugin = a\nclass = b\nslot_kwargs = []\n", 1, ["an array of 1 object, one per slot"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 2\nslot_kwargs = [{}]\n", 1, ["an array of 2 objects, one per slot"]),
    ("[daemon]\nlisten = tcp:nobody.invalid:7117\n", 2, ["listen = tcp:nobody.invalid:7117: HOST must be an IP address"]),
    ("[daemon]\nsocket_group = no-such-group\n", 2, ["no-such-group"]),
    ("[daemon]\nthis is no line\n\n[pool p]\nplugin = a\n", 2, []),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 0\n", 4, ["workers"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = many\n", 4, ["workers"]),
    ("[pool p]\nplugin = a\nclass = b\nargs = [1,\n", 4, ["args", "JSON"]),
    ("[pool p]\nplugin = a\nclass = b\nargs = {}\n", 1, ["args"]),
    ("[pool p]\nplugin = a\nclass = b\nkwargs = []\n", 1, ["kwargs"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 2\nslot_kwargs = [{}]\n", 1, ["slot_kwargs", "2"]),
    ("[pool p]\nplugin = a\nclass = b\nisolation = magic\n", 4, ["isolation"]),
    ("[pool p]\nplugin = a\nclass = b\nmax_calls = few\n", 4, ["max_calls"]),
    ("[pool p]\nplugin = a\nclass = b\nstart_timeout = 0\n", 4, ["start_timeout", "too short"]),
    ("[pool p]\nplugin = a # the old one\nclass = b\n", 2, ["plugin", "a comment behind a value begins with ;"]),
    ("[pool p]\nplugin = a\nclass = b\t# the old one\n", 3, ["class", "a comment behind a value begins with ;"]),
    ("[daemon]\nlisten = unix:/tmp/x # ours\n", 2, ["listen", "a comment behind a value begins with ;"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 2 # two\n", 4, ["workers", "a comment behind a value begins with ;"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 2\nworkers_max = 1\n", 1, ["workers_min", "workers_max"]),
    ("[pool p]\nplugin = a\nclass = b\nworkers = 9\nworkers_min = 1\nworkers_max = 4\n", 1, ["workers = 9"]),
    ("[pool p]\nplugin = a\n", 1, ["class"]),
    ("[pool a b]\n", 1, ["a b"]),
    ("[pool objpool]\n", 1, ["objpool"]),
    ("[pool p]\nplugin = a\nclass = b\n[pool p]\n", 4, ["p"]),
    ("[pool p]\nplugin = a\nplugin = b\n", 3, ["plugin", "twice"]),
    ("[pool p]\nplugin = a\nclass = b\0c\nworkers = 1\n", 3, []),
    ("[cluster]\nname = h1\n", 1, ["needs bus"]),
    ("[cluster]\nname = h.1\nbus = nats://x:1\n", 1, ["name = h.1"]),
    ("[cluster]\nname = bus\nbus = nats://x:1\n", 1, ["name = bus", "programs on the bus"]),
    ("[cluster]\nbus = tcp://x:1\n", 2, ["nats://HOST:PORT"]),
    ("[cluster]\nbus = nats://me:secret@x:1\n", 2, ["bus_creds"]),
    ("[cluster]\nname = h\nbus = nats://x:1\nbus_key = /k\n", 1, ["bus_cert and bus_key"]),
    ("[cluster]\nname = h\nbus =" + 17 * " nats://x:1" + "\n", 1, ["bus has 17 addresses: it may have 16"]),
    ("[cluster]\nname = h\nbus = nats://x:1\n" + "".join(f"[pool p{i}]\nplugin = a\nclass = b\nshare = yes\n" for i in range(1025)),
     1, ["1025 pools have share = yes: 1024 of a host may"]),
    ("[cluster]\nname = h\nbus = nats://x:1\ndomain = a b\n", 1, ["domain = a b"]),
    ("[cluster x]\n", 1, ["[cluster x]"]),
    ("[remote p]\nhosts = *\n", 1, ["[remote p]", "[cluster]"]),
    ("[remote p]\nhosts = a.b\n", 2, ["names of hosts"]),
    ("[remote objpool]\n", 1, ["objpool"]),
    ("[remote p]\n[remote p]\n", 2, ["twice"]),
    ("[pool p]\nplugin = a\nclass = b\nshare = yes\nunpickle = yes\n", 1, ["trust = HOSTS"]),
])
def test_mistakes_name_file_and_line(place, text, line, words):
    done, path = check(place, text, "--check")
    assert done.returncode == 1
    assert f"{path}:{line}:" in done.stderr
    for word in words:
        assert word in done.stderr


def test_remote_addresses_want_to_be_asked_for(place):
    done, _ = check(place, "[daemon]\nlisten = tcp:0.0.0.0:7117\n", "--check")
    assert done.returncode == 1 and "insecure_remote" in done.stderr
    done, _ = check(place, "[daemon]\nlisten = tcp:0.0.0.0:7117\ninsecure_remote = yes\n", "--check")
    assert done.returncode == 0
    done, _ = check(place, "[daemon]\nlisten = tcp:[::1]:7118\nlisten = tcp:localhost:7117\n", "--check")
    assert done.returncode == 0, done.stderr


def test_print_config_can_be_read_again(place):
    text = GOOD.format(dir=place, plugins=BUILD / "plugins") + """workers = 3 ; a comment
max_queue = 5
kwargs = {"long": "%s"}
slot_kwargs = [{"a": 1},
    {"a": 2},
    {"a": 3}]
""" % ("x" * 1000)
    first, _ = check(place, text, "--print-config")
    assert first.returncode == 0, first.stderr
    assert "workers = 3\n" in first.stdout and "x" * 1000 in first.stdout and '{"a": 3}]' in first.stdout
    second, _ = check(place, first.stdout, "--print-config")
    assert second.stdout == first.stdout


def test_a_hash_that_is_no_comment(place):
    text = "[pool p]\nplugin = /tmp/a#1.so\nclass = #b\nargs = [\"# one\", \"two # three\"]\n"
    done, _ = check(place, text, "--print-config")
    assert done.returncode == 0, done.stderr
    assert 'plugin = /tmp/a#1.so\nclass = #b\n' in done.stdout and 'args = ["# one", "two # three"]\n' in done.stdout


def test_indented_keys_are_keys(place):
    done, _ = check(place, "[daemon]\n  socket_mode = 0600\n  max_connections = 7\n", "--print-config")
    assert "socket_mode = 0600\n" in done.stdout and "max_connections = 7\n" in done.stdout


def test_conf_d(place):
    (place / "conf.d").mkdir()
    (place / "conf.d" / "b.conf").write_text("[pool b]\nplugin = probe\nclass = Probe\n")
    (place / "conf.d" / "a.conf").write_text("[pool a]\nplugin = probe\nclass = Probe\n")
    done, _ = check(place, "[pool main]\nplugin = probe\nclass = Probe\n", "--print-config")
    pools = [line for line in done.stdout.splitlines() if line.startswith("[pool")]
    assert pools == ["[pool main]", "[pool a]", "[pool b]"]
    (place / "conf.d" / "c.conf").write_text("[pool c]\nbad\n")
    done, _ = check(place, "", "--check")
    assert f"{place}/conf.d/c.conf:2" in done.stderr


def test_command_line(place):
    assert run("--help").returncode == 0 and "--print-config" in run("--help").stdout
    assert run("--version").stdout.startswith("objpoold ")
    assert run("--nothing").returncode == 2
    assert run("argument").returncode == 2
    for words in ("--check", "--print-config"), ("--print-config", "--check=syntax"), ("--until-eof", "--print-config"):
        assert run(*words).returncode == 2, words
    done = run("--config", place / "missing.conf")
    assert done.returncode == 78 and "missing.conf" in done.stderr
    done = run("--config", place / "missing.conf", "--listen", "nonsense")
    assert done.returncode == 78


def test_a_second_daemon_is_refused(start, place):
    daemon = start()
    done = run("--config", daemon.config)
    assert done.returncode == 1 and "another daemon" in done.stderr
    with daemon.client() as c:
        assert c.value("p.echo", 1) == 1
    port = daemon.tcp.rsplit(":", 1)[1]
    done = run("--config", "/dev/null", "--listen", f"unix:{place}/x", "--listen", f"tcp:127.0.0.1:{port}")
    assert done.returncode == 1 and port in done.stderr and "in use" in done.stderr
    assert not (place / "x").exists()


def test_a_stale_socket_is_replaced_and_nothing_else(start, place):
    (place / "0").mkdir()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(place / "0" / "s"))
    stale.close()
    (place / "0").rename(place / "keep")
    done, _ = check(place, f"[daemon]\nlisten = unix:{place}/file\n", "--check")
    assert done.returncode == 0
    (place / "file").write_text("precious")
    done, _ = check(place, f"[daemon]\nlisten = unix:{place}/file\n")
    assert done.returncode == 1 and "no socket" in done.stderr
    assert (place / "file").read_text() == "precious"
    (place / "keep").rename(place / "0")
    os.rename(place / "0" / "s", place / "stale")
    os.rmdir(place / "0")
    daemon = start(daemon={"listen": f"unix:{place}/stale"})
    with Client(f"unix:{place}/stale") as c:
        assert c.value("p.echo", 1) == 1
    daemon.wait_log("removed the stale socket")


def test_no_permission(place):
    done, _ = check(place, "[daemon]\nlisten = unix:/proc/x\n")
    assert done.returncode == 1 and "/proc/x" in done.stderr


def test_addresses_that_cannot_be_bound(place):
    """The sentence names the line, the address and the reason."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"tcp:127.0.0.1:{other.getsockname()[1]}"
        for address, why in ((taken, "in use"), ("tcp:192.0.2.7:7117", "this machine has no such address"),
                             (f"unix:{place}/nowhere/s", "the folder of the socket does not exist")):
            done, path = check(place, f"[daemon]\ninsecure_remote = yes\nlisten = {address}\n")
            assert done.returncode == 1 and f"{path}:3: listen = {address}: " in done.stderr and why in done.stderr, done.stderr
            assert done.stderr.count(address) == 1


def test_socket_mode(start, place):
    daemon = start(daemon={"socket_mode": "0600"})
    assert stat.S_IMODE(os.stat(daemon.socket_path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(start().socket_path).st_mode) == 0o660


def without_chown():
    """Root could give the socket to any group."""
    ctypes.CDLL(None).prctl(24, 0, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_CHOWN


def test_a_socket_that_can_not_be_given_to_its_group(start):
    other = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in {os.getgid(), os.getegid(), *os.getgroups()})
    daemon = start(daemon={"socket_group": other}, expect_ready=False, preexec=without_chown)
    assert daemon.process.wait(DEADLINE) == 1
    assert f"can't give it to group {other}: Operation not permitted" in daemon.log()
    assert not daemon.socket_path.exists()


def test_args_and_slot_kwargs_reach_the_constructor(start):
    daemon = start(pools={"p": {"workers": 2, "kwargs": '{"tag": "all"}', "slot_kwargs": '[{}, {"tag": "one"}]'}})
    with daemon.client() as c:
        assert c.value("p:all.tag") == ["all", "one"]


def test_a_cpus_pool(start):
    with start(pools={"p": {"workers": "cpus"}}).client() as c:
        assert len(c.value("p:all.slot")) == len(os.sched_getaffinity(0))


# ---- what is no file ----


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def make_loop(path):
    path.symlink_to(path)


def make_huge(path):
    with open(path, "wb") as file:
        file.truncate(1 << 30)


NO_FILES = [
    (lambda path: path.mkdir(), "directory"), (make_fifo, "pipe"), (make_socket, "socket"), (make_loop, "symbolic links"),
    (lambda path: path.symlink_to("/dev/zero"), "device"), (lambda path: path.symlink_to("/dev/tty"), "device"), (make_huge, "larger than 4 MiB"),
    (lambda path: path.write_bytes(b"[daemon]\n" + b"x" * (5 << 20)), "larger than 4 MiB"),
    (lambda path: path.symlink_to("/nowhere/at/all"), "No such file"),
]


def limit_memory():
    import resource
    if "address" not in BUILD.name and "thread" not in BUILD.name:
        resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))


@pytest.mark.parametrize("make, words", NO_FILES)
@pytest.mark.parametrize("name", ("x.conf", "conf.d/y.conf"))
def test_no_file(place, name, make, words):
    (place / "conf.d").mkdir()
    (place / "x.conf").write_text(GOOD.format(dir=place, plugins=BUILD / "plugins"))
    if name == "x.conf":
        (place / name).unlink()
    make(place / name)
    done = run("--config", place / "x.conf", "--check", preexec_fn=limit_memory)
    assert done.returncode != 0
    assert done.stderr.startswith(f"objpoold: {place / name}: ") and words in done.stderr and done.stderr.count("\n") == 1


def test_no_file_at_reload(start):
    daemon = start()
    with daemon.client() as client:
        daemon.config.unlink()
        os.mkfifo(daemon.config)
        assert "this is a pipe, not a file" in client.error("objpool.reload")
        assert client.value("p.add", 1, 2) == 3


MUCH = {
    "lines of a value": (lambda: "[pool p]\nargs = [\n" + " 1,\n" * 500000 + " 1]\n", "needs plugin and class"),
    "pools": (lambda: "".join(f"[pool p{i}]\n" for i in range(20000)), "these are more than 10000 pools"),
    "addresses": (lambda: "[daemon]\n" + "".join(f"listen = unix:/{i}\n" for i in range(20000)), "too many"),
    "a line": (lambda: "[daemon]\nplugin_dir = " + "x" * (3 << 20) + "\ny = 1\n", "has no key"),
}


@pytest.mark.parametrize("what", MUCH)
def test_much(place, what):
    text, words = MUCH[what]
    done, _ = check(place, text(), "--check")
    assert done.returncode == 1 and words in done.stderr


def test_conf_d_beside_a_name_with_brackets(place):
    folder = place / "a[b]*"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "conf.d/no.conf.bak").write_text("nonsense")
    (folder / "conf.d/.hidden.conf").write_text("nonsense")
    (folder / "conf.d/x.conf").write_text("[pool q]\nplugin = probe\nclass = Probe\n")
    done, _ = check(folder, GOOD.format(dir=place, plugins=BUILD / "plugins"), "--print-config")
    assert done.returncode == 0 and "[pool q]" in done.stdout


def test_exit_status(place):
    """objpoold(8) lists them."""
    place.chmod(0o755)
    head = f"[daemon]\nlisten = unix:{place}/s\nplugin_dir = {BUILD / 'plugins'}\n"
    texts = {
        "wrong": "[daemon]\ncolour = red\n",
        "good": head + "[pool p]\nplugin = probe\nclass = Probe\n[user a]\nuid = 0\ncall = p.echo\n",
        "no-plugin": head + "[pool p]\nplugin = nothing-here\nclass = C\n",
        "no-certificate": f"[daemon]\nlisten = tls:127.0.0.1:0\ntls_cert = {place}/none.pem\n",
        "no-place": f"[daemon]\nlisten = unix:{place}/none/s\n",
    }
    for name, text in texts.items():
        (place / name).write_text(text)
    acl = ("--check", "--acl")
    for name, words, status in [
            ("good", ("--check",), 0), ("good", ("--check=syntax",), 0), ("good", ("--print-config",), 0),
            ("good", (*acl, "a", "call", "p.echo"), 0), ("good", (*acl, "a", "call", "p.sleep"), 1),
            ("good", (*acl, "nobody", "call", "p.echo"), 2), ("good", (*acl, "a", "sing", "p"), 2),
            ("good", ("--check-plugin", BUILD / "plugins/probe.so"), 0), ("good", ("--check-plugin", place / "none.so"), 1),
            ("good", ("--nonsense",), 2), ("good", ("extra",), 2),
            ("wrong", (), 78), ("missing", (), 78), ("wrong", ("--check",), 1), ("wrong", ("--check=syntax",), 1),
            ("wrong", ("--print-config",), 1), ("wrong", (*acl, "a", "call", "p.echo"), 78),
            ("no-plugin", ("--check",), 1), ("no-plugin", ("--check=syntax",), 0),
            ("no-certificate", (), 78), ("no-certificate", ("--check=syntax",), 1),
            ("no-place", (), 1), ("no-place", ("--check=syntax",), 0)]:
        done = run("--config", place / name, *words)
        assert done.returncode == status, (name, words, done)       # 78 is EX_CONFIG of <sysexits.h>
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "objpoold", "--config", "/dev/null", "--print-config"], stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 1 and "No space left" in done.stderr


def test_words_are_no_options():
    done = run("extra\x1b[31m")
    assert done.returncode == 2 and done.stderr.startswith('objpoold: "extra\\e[31m" is no option: objpoold takes no words\n')
    done = run(*(word for i in range(65) for word in ("--listen", f"unix:/tmp/{i}")))
    assert done.returncode == 2 and "--listen is given more than 64 times" in done.stderr


# ---- files of sockets ----


def test_a_socket_that_is_another_daemons_stays(start):
    first = start()
    first.socket_path.unlink()
    second = start(daemon={})
    os.rename(second.socket_path, first.socket_path)
    first.signal(signal.SIGTERM)
    assert first.process.wait(DEADLINE) == 0
    with Client(first.address) as client:
        assert client.value("p.add", 1, 2) == 3
    os.rename(first.socket_path, second.socket_path)


def test_a_socket_that_has_gone_is_bound_anew(start, place):
    daemon = start(daemon={"http": f"unix:{place}/web"})
    with daemon.client() as before:
        for path in (daemon.socket_path, place / "web"):
            path.unlink()
        before.value("objpool.reload")
        assert (place / "web").exists()
        with daemon.client() as client:
            assert client.value("p.add", 1, 2) == 3
        daemon.socket_path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(daemon.socket_path))
            other.listen()
            assert "another daemon answers there" in before.error("objpool.reload")
            assert before.value("p.add", 1, 2) == 3
        before.value("objpool.reload")      # nobody answers there any more
    with daemon.client() as client:
        assert client.value("p.add", 1, 2) == 3


def test_localhost_has_two_addresses(start):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("there is no ::1 here")
    daemon = start(arguments=("--listen", "tcp:localhost:0"))
    port = daemon.wait_log(r"listening on tcp:\[::1\]:(\d+)").group(1)
    daemon.wait_log(rf"listening on tcp:127.0.0.1:{port}\n")
    with daemon.client(f"tcp:[::1]:{port}") as client, daemon.client(f"tcp:127.0.0.1:{port}") as other:
        assert client.value("p.add", 1, 2) == other.value("p.add", 1, 2) == 3
        client.value("objpool.reload")
        assert client.value("p.add", 1, 2) == other.value("p.add", 1, 2) == 3
    assert daemon.log().count("listening on tcp:[::1]") == 1


    before = daemon.log().count("HTTP on")
    daemon.daemon["http"] = "tcp:localhost:0"
    daemon.write_config()
    with daemon.client() as client:
        client.value("objpool.reload")
        http = daemon.wait_log(r"HTTP on tcp:\[::1\]:(\d+)").group(1)
        daemon.wait_log(rf"HTTP on tcp:127.0.0.1:{http}\n")
        client.value("objpool.reload")
        assert daemon.log().count("HTTP on") == before + 2
    for host in "::1", "127.0.0.1":
        with socket.create_connection((host, int(http))) as probe:
            probe.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert probe.recv(100).startswith(b"HTTP/1.0 200 ")


def test_a_reload_changes_the_rights_of_unix_sockets(start, place):
    """Of those that the daemon has made, and of new ones."""
    daemon = start(daemon={"socket_mode": "0600", "http": f"unix:{place}/h"})
    groups = [group for group in {os.getegid(), *os.getgroups(), *([1] if os.geteuid() == 0 else [])}]
    with daemon.client() as client:
        for mode, group in ("0666", groups[-1]), ("0640", os.getegid()):
            daemon.daemon |= {"socket_mode": mode, "socket_group": grp.getgrgid(group).gr_name}
            daemon.write_config()
            with open(daemon.config, "a") as config:
                config.write(f"[daemon]\nlisten = unix:{place}/{mode}\n")
            client.value("objpool.reload")
            for path in daemon.socket_path, place / "h", place / mode:
                found = path.stat()
                assert (stat.S_IMODE(found.st_mode), found.st_gid) == (int(mode, 8), group), path


# ---- what the manual says ----


def manual():
    """{key: its paragraph} of objpoold.conf(5), without markup."""
    text = (ROOT / "packaging/man/objpoold.conf.5").read_text()
    text = text[text.index(".Ss [daemon] section"):text.index(".Ss [user] and")]
    text = re.sub(r"^\.(?:Cm|Ic|Ar|Pa|Sy|Dv|Li|Em) ", "", text, flags=re.M)
    parts = re.split(r"^\.It Ic ((?:[a-z_]+ No = .*\n)(?:\.It Ic [a-z_]+ No = .*\n)*)", text, flags=re.M)
    keys = [re.findall(r"(?:^|\.It Ic )([a-z_]+) No =", head, re.M) for head in parts[1::2]]
    return {key: paragraph for names, paragraph in zip(keys, parts[2::2]) for key in names}


SECTIONS = "[daemon]\n{daemon}\n[pool p]\nplugin = probe\nclass = Probe\n{pool}\n"


def with_value(place, key, value):
    of_daemon = key in DAEMON_KEYS
    return check(place, SECTIONS.format(daemon=f"{key} = {value}" * of_daemon, pool=f"{key} = {value}" * (not of_daemon)), "--print-config")[0]


DAEMON_KEYS = re.search(r"daemon_options\[\] = \{(.*?)^\};", (ROOT / "daemon/supervisor/config/config.c").read_text(), re.M | re.S).group(1)
DAEMON_KEYS = re.findall(r'\{"([a-z_]+)"', DAEMON_KEYS)


def test_the_defaults_are_as_the_manual_says(place):
    done, _ = check(place, SECTIONS.format(daemon="", pool=""), "--print-config")
    used = dict(re.findall(r"^([a-z_]+) = (.*)$", done.stdout, re.M))
    known = {key: re.search(r"^Default:\s+(\S+?)[.,;:]?(?:\s|$)", paragraph, re.M) for key, paragraph in manual().items()}
    told = {key: match.group(1) for key, match in known.items() if match and key in used}
    assert set(used) - set(told) == {"plugin", "class"}
    del told["plugin_dir"]      # `make install` fills in that of the installation
    assert told == {key: used[key] for key in told}


def test_plugins_are_found_beside_the_program(place):
    text = f"[daemon]\nlisten = unix:{place}/s\n"
    done, path = check(place, text, "--print-config")
    assert f"plugin_dir = {BUILD.resolve()}/plugins\n" in done.stdout
    shutil.copy(BUILD / "objpoold", place)
    done = subprocess.run([place / "objpoold", "--config", path, "--print-config"], text=True, capture_output=True, check=True, timeout=20)
    assert re.search(r"^plugin_dir = (?!/tmp/).*/objpool/plugins$", done.stdout, re.M)


def test_the_manual_has_the_keys_of_users():
    text = (ROOT / "packaging/man/objpoold.conf.5").read_text()
    text = text[text.index(".Ss [user] and"):text.index(".Ss [cluster] and")]
    code = (ROOT / "daemon/supervisor/config/config.c").read_text()
    of_user = code[code.index("user_options[]"):]
    keys = re.findall(r'RIGHT\("(\w+)"', code) + re.findall(r'\{"(\w+)", T_', of_user[:of_user.index("};")])
    assert sorted(keys) == sorted(re.findall(r"^\.It Ic (\w+) No =", text, re.M)) and len(keys) == 20


def test_the_manual_has_the_keys_of_clusters():
    text = (ROOT / "packaging/man/objpoold.conf.5").read_text()
    text = text[text.index(".Ss [cluster] and"):text.index(".Sh FILES")]
    keys = sorted(table("cluster") | table("remote"))
    assert keys == sorted(re.findall(r"^\.It Ic (\w+) No =", text, re.M)) and len(keys) == 12


def test_the_ranges_are_as_the_manual_says(place):
    ranges = {key: re.search(r"^From (\d+)([KMG]?) to (\d+)([KMG]?)\.$", paragraph, re.M) for key, paragraph in manual().items()}
    ranges = {key: match.groups() for key, match in ranges.items() if match}
    assert len(ranges) >= 9
    for key, (least, unit, most, most_unit) in ranges.items():
        bytes_of = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
        least, most = int(least) * bytes_of[unit], int(most) * bytes_of[most_unit]
        for value, right in ((least, True), (most, True), (least - 1, least == 0), (most + 1, False)):
            if value >= 0:
                assert (with_value(place, key, value).returncode == 0) == right, (key, value)


# ---- the configuration that is installed ----


def packaged():
    """The parts of the file, by section."""
    text = (ROOT / "packaging/objpoold.conf").read_text()
    daemon, users, pools, hosts = re.split(r"^# ====.*$", text, flags=re.M)
    remote = hosts.index("[remote")
    return {"daemon": daemon[daemon.index("[daemon]"):], "user": users, "pool": pools, "cluster": hosts[:remote], "remote": hosts[remote:]}


def table(section):
    """{key: its default, or ""} of a section."""
    code = (ROOT / "daemon/supervisor/config/config.c").read_text()
    rows = code[code.index(f"{section}_options[] = {{"):]
    return dict(re.findall(r'\{"(\w+)", T_\w+, AT\([\w.]+\), (?:NULL|"([^"]*)")', rows[:rows.index("\n};")]))


DEFAULT, EXAMPLE, IN_FORCE = (re.compile(rf"^{before}([a-z_]+) = (.*)$", re.M) for before in ("#", "# Example: ", ""))
FOLDERS = {"plugin_dir", "worker_program"}  # the defaults are those of the installation
NO_USERS = {"admin", "create"}              # errors beside sections of users
# A machine may lack them; they stand in every pool of the test; it has no users.
NOT_HERE = {"socket_group", "user", "group", "tls_cert", "tls_key", "tls_client_ca", "tls_crl", "tls_client", "plugin", "class",
            "run_as"}


@pytest.mark.parametrize("section", ["daemon", "pool", "cluster", "remote"])
def test_the_packaged_configuration_explains_every_key(section):
    text, known = packaged()[section], table(section)
    defaults, examples, in_force = (dict(form.findall(text)) for form in (DEFAULT, EXAMPLE, IN_FORCE))
    assert set(defaults) | set(examples) | set(in_force) | NO_USERS & set(known) == set(known)
    assert defaults == {key: defaults[key] if key in FOLDERS else known[key] for key in defaults}
    assert not any(known[key] and key not in in_force for key in examples), "a default stands as #key = value"


def test_the_packaged_configuration_explains_the_keys_of_users():
    code = (ROOT / "daemon/supervisor/config/config.c").read_text()
    keys = set(table("user")) | set(re.findall(r'RIGHT\("(\w+)"', code))
    text = packaged()["user"]
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"^#   ([a-z_0-9, ]+?)  ", text, re.M))))
    assert keys - explained == {"is"} and "#is = " in text and explained <= keys


def test_the_packaged_configuration_holds_with_all_defaults_uncommented(place):
    parts = packaged()
    daemon = re.sub(r"^listen = .*$", "", parts["daemon"], flags=re.M)
    daemon = DEFAULT.sub(r"\1 = \2", daemon).replace("[daemon]", f"[daemon]\nlisten = unix:{place}/s")
    pool = re.sub(r"^# Example: (plugin|class) = ", r"\1 = ", DEFAULT.sub(r"\1 = \2", parts["pool"]), flags=re.M)
    pool = re.sub(r"^#\[pool", "[pool", pool, flags=re.M)
    done, _ = check(place, daemon + pool, "--print-config")
    assert done.returncode == 0, done.stderr
    for section in "daemon", "pool":
        for key, value in EXAMPLE.findall(parts[section]):
            if key not in NOT_HERE and "tls:" not in value:
                assert with_value(place, key, value).returncode == 0, (key, value, with_value(place, key, value).stderr)


def test_what_has_no_effect_without_a_cluster_is_told(place):
    done, _ = check(place, "[pool p]\nplugin = probe\nclass = Probe\nshare = yes\n", "--check=syntax")
    assert done.returncode == 0 and "pool p: share = yes has no effect without a section [cluster]" in done.stderr
    cluster = "[cluster]\nname = h\nbus = nats://x:1\n"
    done, _ = check(place, cluster + "[pool p]\nplugin = probe\nclass = Probe\n[remote p]\nprefer = load\n", "--check=syntax")
    assert done.returncode == 0 and "[remote p] prefer = load: the pool here is not shared" in done.stderr
    done, _ = check(place, cluster + "[pool p]\nplugin = probe\nclass = Probe\nshare = yes\n[remote p]\nprefer = load\n",
                    "--check=syntax")
    assert done.returncode == 0 and "warning" not in done.stderr


def test_files_of_the_bus_must_be_there(place):
    done, _ = check(place, f"[cluster]\nname = h\nbus = nats://x:1\nbus_creds = {place}/none\n", "--check")
    assert done.returncode == 1 and f"[cluster] bus_creds = {place}/none can't be read" in done.stderr


def test_users_of_other_hosts_have_long_names(place):
    for name, good in ((f"h1/{'u' * 64}", True), (f"{'h' * 63}/{'u' * 64}", True), (f"h1/{'u' * 65}", False), ("u" * 65, False)):
        done, _ = check(place, f"[user {name}]\ncall = p.*\n", "--check=syntax")
        assert (done.returncode == 0) == good, done.stderr
