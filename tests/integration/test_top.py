# SPDX-License-Identifier: Apache-2.0
"""objpool top: printed, and on the full screen of a pseudo-terminal."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import msgpack
import pytest
from harness import BUILD, DEADLINE, SANITIZERS, needs, wait_for

pytestmark = needs("curses")

# ---- daemons ----


class Teller:
    """What looks like a daemon, and says of itself what the test wants: `status(n)` is the n-th answer, from 0."""

    def __init__(self, path, status):
        self.path, self.status = path, status
        self.address = f"unix:{path}"
        self.count = 0
        self.connections = []
        self.listen()

    def listen(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen()
        threading.Thread(target=self.accept, args=(self.socket,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        unpacker = msgpack.Unpacker(raw=False)
        with contextlib.suppress(OSError):
            while data := connection.recv(65536):
                unpacker.feed(data)
                for _, msgid, method, _ in unpacker:
                    connection.sendall(msgpack.packb([1, msgid, None, self.answer(method)], unicode_errors="surrogateescape"))

    def answer(self, method):
        if method == "objpool.hello":
            return {"server": "objpool", "version": "0.1.0", "session": 1, "pools": [], "limits": {}}
        self.count += 1
        pools = self.status(self.count - 1)
        return {"server": "objpool", "version": "0.1.0", "pid": 1, "uptime_s": 100.0 + 2 * self.count, "sessions": 1,
                "state": "running", "late": 0, "listen": [], "pools": pools}

    def close(self):
        """Gone, as after a crash: the listener first, so that nobody gets in."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.path.unlink()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections = []


@pytest.fixture
def tell(place):
    tellers = []

    def start(status):
        tellers.append(Teller(place / f"t{len(tellers)}", status))
        return tellers[-1]
    yield start
    for teller in tellers:
        with contextlib.suppress(OSError):
            teller.close()


def pool(name, slots=(), **keys):
    return {"name": name, "plugin": "x", "class": "X", "workers": 2, "ready": 2, "state": "ready", "queue": 0, "error": "", "running": 0,
            "calls": 0, "failures": 0, "lost": 0, "rejected": 0, "restarts": 0, "slots": list(slots), **keys}


def slot(number, **keys):
    return {"slot": number, "state": "ready", "generation": 1, "pid": 7000 + number, "since_s": 1.0, "calls": 0, "failures": 0, "lost": 0,
            "restarts": 0, "queue": 0, "running": None, "running_s": 0.0, "last_failure": "", **keys}


# ---- printed ----


def run(address, *arguments, status=0, **environment):
    done = subprocess.run([BUILD / "objpool", "top", *map(str, arguments)], capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL,
                          env={**os.environ, "OBJPOOL_ADDRESS": address, **environment})
    assert done.returncode == status, done
    assert not SANITIZERS.search(done.stderr.decode(errors="replace")), done.stderr
    return done


def looks(out):
    """[[{title: cell}] per look]: the pools' and the slots' lines, by the titles above them; a cell's place is its title's."""
    found = []
    for block in out.decode().split("\n\n"):
        rows, titles = [], None
        for line in block.splitlines()[1:]:
            names = re.findall(r"\S+(?: \S+)*", line)
            if names[0] in ("POOL", "SLOT"):
                titles = names
                continue
            cells = line.split(None, len(titles) - 1)
            rows.append(dict(zip(titles, cells)))
        found.append(rows)
    return found


def test_printed_of_a_daemon(start):
    daemon = start(pools={"p": {}, "q": {"workers": 1}})
    with daemon.client() as client:
        for _ in range(3):
            client.error("p:1.fail", "too bad")
        busy = [client.start("p:0.sleep", 60) for _ in range(3)]
        wait_for(lambda: client.value("objpool.status", "p")["pools"][0]["slots"][0]["running"] == "sleep", lambda: "sleep to run")
        [[p, q]] = looks(run(daemon.address, "-d", "0.1").stdout)
        assert (p["POOL"], p["STATE"], p["READY"], p["CALLS/s"], p["LOST"]) == ("p", "ready", "2/2", "0.0", "0")
        assert (q["POOL"], q["READY"], q["QUEUE"], q["RUNNING"]) == ("q", "1/1", "0", "0")
        [[p, first, second]] = looks(run(daemon.address, "p", "-d", "0.1").stdout)
        assert p["POOL"] == "p"
        assert (first["SLOT"], first["RUNNING"], first["QUEUE"], first["FAILED"]) == ("0", "sleep", "2", "0")
        assert first["FOR"].endswith("s") and int(first["PID"]) == daemon.pids(client)[0]
        assert (second["SLOT"], second["RUNNING"], second["FOR"], second["FAILED"]) == ("1", "-", "-", "3")
        for msgid in busy:
            client.value("objpool.cancel", msgid)


def test_printed_rates_of_a_daemon(start):
    """Calls made while it looks: what the looks say together is how many there were."""
    daemon = start(pools={"p": {}})
    top = subprocess.Popen([BUILD / "objpool", "-s", daemon.address, "top", "-b", "-d", "0.2"], stdout=subprocess.PIPE)
    with daemon.client() as client:
        assert top.stdout.readline().startswith(b"objpool ")
        top.stdout.readline()
        assert top.stdout.readline().split()[5] == b"0.0"
        for i in range(50):
            client.value("p.echo", i)
        seen = 0
        for line in top.stdout:
            if line.startswith(b"p "):
                rate = float(line.split()[5])
                seen += rate
                if seen and not rate:
                    break
    top.terminate()
    assert top.wait(DEADLINE) == -signal.SIGTERM
    top.stdout.close()
    assert 0 < seen * 0.2 < 60  # less on a machine that is late


def test_printed_rates_are_exact(tell):
    teller = tell(lambda n: [pool("a", calls=100 + 10 * n, failures=n, latency={"p50_s": 0.001, "p99_s": 0.0025, "max_s": 1.0}, slots=[
        slot(0, calls=50 * n, rss=3 << 20, cpu_s=1 + 0.5 * n, running="work", running_s=75.0),
        slot(1, rss=1 << 20, cpu_s=0.0, last_failure="it died")])] + [pool("b", calls=7)] * (n == 2))
    first, second = looks(run(teller.address, "-n", "2", "-d", "0.01").stdout)
    assert [p["POOL"] for p in first] == ["a"] and [p["POOL"] for p in second] == ["a", "b"]
    a = first[0]
    assert (a["CALLS/s"], a["FAIL/s"], a["P99"], a["RSS"], a["CPU%"]) == ("5.0", "0.5", "2.50ms", "4.00M", "25.0")
    assert (second[1]["CALLS/s"], second[1]["P99"], second[1]["RSS"], second[1]["CPU%"]) == ("-", "-", "-", "-")
    [[_, first, second]] = looks(run(teller.address, "a", "-n", "1", "-d", "0.01").stdout)
    assert (first["CALLS/s"], first["FOR"], first["RSS"], first["CPU%"]) == ("25.0", "1m15s", "3.00M", "25.0")
    assert second["LAST FAILURE"] == "it died"


def test_printed_texts_are_clean(tell):
    teller = tell(lambda n: [pool("a", error="x\033]0;owned\007\x9b2Jy\n\udcff\u202ez grün 中")])
    out = run(teller.address, "-d", "0.01").stdout
    assert re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae", out) is None
    assert "x ]0;owned  2Jy ? z grün 中\n" in out.decode()


def test_exit_status(start, place):
    daemon = start(pools={"p": {}})
    assert b"no daemon at" in run(f"unix:{place}/nowhere", status=3).stderr
    assert b"NO_SUCH_POOL" in run(daemon.address, "nix", status=1).stderr
    assert run(daemon.address, "-d", "0", status=2).stderr
    assert run(daemon.address, "-n", "0", status=2).stderr
    assert b"--iterations" in run(daemon.address, "--help").stdout


def test_printed_while_the_daemon_goes(tell):
    teller = tell(lambda n: [pool("a")])
    top = subprocess.Popen([BUILD / "objpool", "-s", teller.address, "top", "-b", "-d", "0.05", "-n", "20"], stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    top.stdout.readline()
    teller.close()
    out, errors = top.communicate(timeout=DEADLINE)
    assert top.returncode == 3
    lines = errors.decode().splitlines()
    assert lines[0] == "objpool: the daemon has closed the connection; trying again"
    assert len(lines) == 2 and "no daemon at" in lines[1]  # once, not each time


# ---- on a screen ----


class Terminal:
    """A VT100, or VT220, as far as ncurses uses one, with the program on it."""

    def __init__(self, *arguments, rows=24, columns=100, term="vt100", command=None, **environment):
        self.raw = b""
        self.rest = ""
        self.shape(rows, columns)
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": term, **environment}
        self.process = subprocess.Popen(
            command or [BUILD / "objpool", "top", *map(str, arguments)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env={k: v for k, v in env.items() if v is not None}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def shape(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.y = self.x = 0
        self.saved = (0, 0)
        self.top, self.bottom = 0, rows - 1

    def resize(self, rows, columns):
        """The kernel tells the program, by SIGWINCH."""
        self.shape(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def put(self, character):
        if self.x < self.columns and self.y < self.rows:
            self.cells[self.y][self.x] = character
        self.x += 1

    def erase(self, begin, end):
        for place in range(begin, min(end, self.rows * self.columns)):
            self.cells[place // self.columns][place % self.columns] = " "

    def scroll(self, top, count):
        """The lines from there to the end of the region move up, or down; empty ones follow."""
        region, empty = self.cells[top:self.bottom + 1], [[" "] * self.columns for _ in range(abs(count))]
        moved = region[count:] + empty if count > 0 else empty + region[:count]
        self.cells[top:self.bottom + 1] = moved[:len(region)] if count < 0 else moved[-len(region):]

    def obey_short(self, letter):
        if letter == "7":
            self.saved = (self.y, self.x)
        elif letter == "8":
            self.y, self.x = self.saved
        elif letter == "M" and self.y == self.top:
            self.scroll(self.top, -1)
        elif letter == "M":
            self.y -= 1
        elif letter == "\n" and self.y == self.bottom:
            self.scroll(self.top, 1)
        elif letter == "\n":
            self.y += 1
        else:
            assert letter in "=>", letter

    def obey(self, parameters, letter):
        numbers = [int(n) if n.isdigit() else 0 for n in parameters.split(";")]
        n, here = max(1, numbers[0]), self.y * self.columns + self.x
        if letter in "Hf":
            self.y, self.x = n - 1, max(1, numbers[-1]) - 1 if len(numbers) > 1 else 0
        elif letter in "ABCD":
            self.y += n * {"A": -1, "B": 1}.get(letter, 0)
            self.x += n * {"D": -1, "C": 1}.get(letter, 0)
        elif letter == "J":
            self.erase(here if numbers[0] == 0 else 0, self.rows * self.columns)
        elif letter == "K":
            start = self.y * self.columns
            self.erase(*{0: (here, start + self.columns), 1: (start, here + 1), 2: (start, start + self.columns)}[numbers[0]])
        elif letter == "X":
            self.erase(here, here + n)
        elif letter in "LM":
            self.scroll(self.y, n if letter == "M" else -n)
        elif letter == "r":
            self.top, self.bottom = n - 1, (numbers[-1] if len(numbers) > 1 else self.rows) - 1
            self.y = self.x = 0
        else:
            assert letter in "mhl", (parameters, letter)

    def feed(self, text):
        token = re.compile(r"\033\[([?\d;]*)([A-Za-z])|\033[()].|\033([^\[()])|([^\033])", re.S)
        self.rest += text
        while match := token.match(self.rest):
            self.rest = self.rest[match.end():]
            if match[2]:
                self.obey(match[1], match[2])
            elif match[3] or match[4] == "\n":
                self.obey_short(match[3] or match[4])
            elif match[4] == "\r":
                self.x = 0
            elif match[4] == "\b":
                self.x = max(0, self.x - 1)
            elif match[4] == "\t":
                self.x = (self.x // 8 + 1) * 8
            elif match[4] and match[4] >= " ":
                self.put(match[4])

    @property
    def lines(self):
        return ["".join(line).rstrip() for line in self.cells]

    @property
    def text(self):
        return "\n".join(self.lines)

    def read(self, until):
        ready, _, _ = select.select([self.master], [], [], max(0, until - time.monotonic()))
        assert ready, f"the screen stays:\n{self.text}"
        data = os.read(self.master, 65536)
        self.raw += data
        self.feed(data.decode())

    def wait(self, check):
        """Until the screen is so: a pattern, or a function of the terminal."""
        until = time.monotonic() + DEADLINE
        found = (lambda: re.search(check, self.text, re.M)) if isinstance(check, str) else (lambda: check(self))
        while not (result := found()):
            self.read(until)
        return result

    def send(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Waits for the program's end, with the terminal as it was; the exit status."""
        until = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < until, self.text
            if select.select([self.master], [], [], 0.01)[0]:
                self.raw += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            self.raw += os.read(self.master, 65536)
        assert termios.tcgetattr(self.slave) == self.before
        assert not SANITIZERS.search(self.raw.decode(errors="replace")), self.raw
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


DOWN = b"\033OB"
DOWN_220, PAGE_DOWN_220 = b"\033[B", b"\033[6~"  # of a VT220


@pytest.fixture
def terminal():
    terminals = []

    def start(address, *arguments, **keywords):
        terminals.append(Terminal(*arguments, OBJPOOL_ADDRESS=address, **keywords))
        return terminals[-1]
    yield start
    for one in terminals:
        one.close()


def test_the_screen(start, terminal):
    daemon = start(pools={"alpha": {"workers": 2}, "beta": {"workers": 3}})
    top = terminal(daemon.address, "-d", "0.1")
    top.wait(r"\Aobjpool 0\.1\.0, up \d+s, \d+ sessions?, 2 pools, 5/5 instances, .* calls/s, 0 late")
    top.wait(r"^POOL +STATE +READY")
    top.wait(r"^alpha +ready +2/2")
    top.wait(r"^beta +ready +3/3")
    assert top.lines[5].startswith("beta")
    top.send(DOWN + b"\r")
    top.wait(r"^  SLOT  STATE")
    top.wait(lambda t: re.match(r" +2  ready +1 +\d+", t.lines[9]))
    top.send(b" ")
    top.wait(lambda t: "SLOT" not in t.text)
    top.send(b"r")
    top.wait(lambda t: "by name, reversed" in t.lines[1] and t.lines[4].startswith("beta"))
    top.send(b"rs")
    top.wait(r"by state;")
    top.send(b"h")
    top.wait(r"select a pool")
    top.send(b"x")
    top.wait(r"^alpha")
    top.send(b"p")
    top.wait(r"paused")
    top.send(b"p3")
    top.wait(r"every 3 s")
    top.send(b"q")
    assert top.end() == 0


def test_a_call_that_runs_is_on_the_screen(start, terminal):
    daemon = start(pools={"p": {"workers": 1}})
    top = terminal(daemon.address, "-d", "0.1", "p")
    top.wait(r"^ +0  ready +1 +\d+  - ")
    with daemon.client() as client:
        msgid = client.start("p.sleep", 60)
        top.wait(r"^ +0  ready +1 +\d+  sleep +\d\.\ds")
        client.value("objpool.cancel", msgid)
        top.wait(r"^ +0  ready +1 +\d+  - ")
    top.send(b"q")
    assert top.end() == 0


def test_another_size(start, terminal):
    daemon = start(pools={"p": {}})
    top = terminal(daemon.address, "-d", "60")
    top.wait(r"^POOL .* RSS$")
    top.resize(10, 40)
    top.wait(r"^POOL +STATE +READY +QUEUE$")
    top.resize(3, 3)
    top.wait(r"^POO$")
    top.resize(1, 1)
    top.wait(r"\Ao\Z")
    top.resize(30, 200)
    top.wait(r"^POOL .* CPU%  ERROR$")
    top.wait(r"^p +ready")
    top.send(b"q")
    assert top.end() == 0


def test_an_xterm_is_given_back(start, terminal):
    daemon = start(pools={"p": {}})
    top = terminal(daemon.address, term="xterm")
    until = time.monotonic() + DEADLINE
    while b"instances" not in top.raw:
        assert select.select([top.master], [], [], until - time.monotonic())[0]
        top.raw += os.read(top.master, 65536)
    assert b"\033[?1049h" in top.raw and b"\033[?25l" in top.raw
    top.send(b"q")
    assert top.end() == 0
    after = top.raw[top.raw.rindex(b"\033[?1049l"):]
    assert b"\033[?1049h" not in after and b"\033[?25h" in top.raw[top.raw.rindex(b"\033[?25l"):]


@pytest.mark.parametrize("how, status", [(b"\x03", 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)])
def test_signals_leave_the_terminal_as_it_was(start, terminal, how, status):
    daemon = start(pools={"p": {}})
    top = terminal(daemon.address)
    top.wait(r"^p +ready")
    assert termios.tcgetattr(top.slave) != top.before
    if isinstance(how, bytes):
        top.send(how)
    else:
        top.process.send_signal(how)
    assert top.end() == status


def test_the_end_after_so_many_looks(start, terminal):
    daemon = start(pools={"p": {}})
    assert terminal(daemon.address, "-n", "3", "-d", "0.05").end() == 0


def test_the_daemon_goes_and_comes_back(tell, terminal):
    teller = tell(lambda n: [pool("a", calls=10 * n, slots=[slot(0)]), pool(f"come{n // 1000}")])
    top = terminal(teller.address, "-d", "0.05")
    top.wait(r"^a +ready .* 5\.0 ")
    top.send(b"\r")
    top.wait(r"SLOT")
    teller.close()
    top.wait(lambda t: "no daemon at" in t.lines[1] and "trying again" in t.lines[1])
    assert "come0" in top.text
    teller.count = 1000
    teller.listen()
    top.wait(lambda t: "by name" in t.lines[1] and "come1" in t.text)
    assert "come0" not in top.text and "SLOT" in top.text
    teller.close()
    top.wait(r"no daemon at")
    top.send(b"q")
    assert top.end() == 0


def test_a_daemon_that_does_not_answer(tell, terminal):
    answer, go_on = threading.Event(), threading.Event()

    def status(n):
        if n == 1:
            answer.set()
            go_on.wait(DEADLINE)
        return [pool("a")]
    teller = tell(status)
    top = terminal(teller.address, "-d", "0.05")
    top.wait(r"no answer for \d+ s")
    top.send(b"h")
    top.wait(r"select a pool")
    go_on.set()
    top.wait(lambda t: "by name" in t.lines[1])
    top.send(b"hq")
    assert top.end() == 0


def test_thousands_of_slots(tell, terminal):
    teller = tell(lambda n: [pool("a", slots=[slot(i) for i in range(4096)]), pool("b")])
    top = terminal(teller.address, "-d", "0.3", "a", rows=20, term="vt220")
    top.wait(r"^ +13  ready +1 +7013")
    top.send(PAGE_DOWN_220)
    top.wait(lambda t: re.match(r" +13  ready", t.lines[4]))
    top.send(DOWN_220)
    top.wait(lambda t: t.lines[19].startswith("b ") and "4095" in t.lines[18])
    top.send(b"q")
    assert top.end() == 0


def test_texts_do_not_reach_the_terminal_as_commands(tell, terminal):
    evil = "\033]0;owned\007\x9b2J\r\n\x0e\u202egrün 中中中"
    teller = tell(lambda n: [pool("a\033c", error=evil, slots=[slot(0, last_failure=evil, running="m\033[31m")])])
    top = terminal(teller.address, "-d", "0.05", "a", columns=200)
    top.wait(r"\]0;owned  2J")
    top.wait(r"grün")
    for columns in range(140, 100, -1):  # cut through the wide ones, too
        top.resize(10, columns)
        top.wait(lambda t: t.lines[0].startswith("objpool"))
    assert not any(word in top.raw for word in (b"\033]", b"\x07", "\x9b".encode(), b"\033c", "\u202e".encode(), b"m\033[31m"))
    top.send(b"q")
    assert top.end() == 0


def test_a_terminal_without_utf8(tell, terminal):
    teller = tell(lambda n: [pool("grün")])
    top = terminal(teller.address, LC_ALL="C")
    top.wait(r"^gr\?n +ready")
    top.send(b"q")
    assert top.end() == 0


@pytest.mark.parametrize("term, words", [(None, b"TERM is not set"), ("dumb", b"cannot move its cursor"), ("no-such", b"not known")])
def test_no_full_screen_there(start, terminal, term, words):
    daemon = start(pools={"p": {}})
    top = terminal(daemon.address, "-n", "1", "-d", "0.05", term=term)
    assert top.end() == 0
    assert words + b": plain text instead" in top.raw or words in top.raw and b"plain text instead" in top.raw
    assert b"\r\np " in top.raw and b"\033" not in top.raw


def test_no_daemon_leaves_the_terminal_alone(terminal, place):
    top = terminal(f"unix:{place}/nowhere")
    assert top.end() == 3
    assert b"\033" not in top.raw and b"no daemon at" in top.raw
