# SPDX-License-Identifier: Apache-2.0
"""Beginnings and ends: private daemons, forks, interrupts, lost connections, exits."""
import gc
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import traceback
import weakref

import pytest

import objpool
from harness import BUILD, DEADLINE, ROOT, is_alive, wait_for

PRIVATE = """
import objpool, os, sys
client = objpool.connect()
assert client.is_private
pool = client.create_pool("Probe", 2, plugin="probe")
print(client.status()["pid"], client.address, *pool.all.pid(), flush=True)
"""


def first_line(process):
    return process.stdout.readline().split()


def gone(daemon_pid, address, *workers):
    for pid in map(int, (daemon_pid, *workers)):
        wait_for(lambda: not is_alive(pid), lambda: f"process {pid} to end")
    wait_for(lambda: not os.path.exists(address[len("unix:"):]), lambda: f"{address} to be removed")


@pytest.mark.parametrize("end", ["", "del client, pool", "sys.exit(3)", "os._exit(0)", "1/0", "os.kill(os.getpid(), 9)"])
def test_a_private_daemon_ends_with_its_program(program, end):
    process = program(PRIVATE + end)
    told = first_line(process)
    process.wait(DEADLINE)
    gone(*told)


def test_a_private_daemon_is_private_and_one_for_the_program(program):
    process = program(PRIVATE + """
assert os.stat(client.address[5:]).st_mode & 0o777 == 0o600
assert objpool.connect("private").status()["pid"] == client.status()["pid"]
assert objpool.default_client().status()["pid"] == client.status()["pid"]
print(objpool.create_pool("Probe", 1, plugin="probe").echo(1))
""")
    assert len(first_line(process)) == 4
    output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output, errors) == (0, "1\n", "")


def test_a_private_daemon_that_was_killed_is_started_again(program):
    process = program(PRIVATE + """
import asyncio, objpool.aio
for _ in range(3):
    os.kill(client.status()["pid"], 9)
    for again in range(2):
        try:
            pool.echo(1)
        except objpool.ObjpoolError as error:
            print(type(error).__name__, flush=True)
    print(client.create_pool("Probe", 1, plugin="probe").echo(2), objpool.connect().status()["pid"] == client.status()["pid"], flush=True)
async def main():
    async with objpool.aio.connect("private") as client:
        os.kill((await client.status())["pid"], 9)
        try:
            await client.ping()
        except objpool.ConnectionLost:
            await client.ping()
    print("pong", flush=True)
asyncio.run(main())
""")
    told = first_line(process)
    for _ in range(3):
        assert [first_line(process) for _ in range(3)] == [["ConnectionLost"], ["NoSuchPool"], ["2", "True"]]
    assert first_line(process) == ["pong"], process.communicate()
    gone(*told)


def test_no_private_daemon_where_an_address_is_given(program, place):
    process = program("import objpool\nobjpool.connect()", OBJPOOL_ADDRESS=f"unix:{place}/none")
    assert "NoDaemon" in process.communicate(timeout=DEADLINE)[1]


@pytest.mark.parametrize("text", ["import objpool\nobjpool.connect()", "from objpool.compat.multiprocess import Pool\nPool(1)"])
def test_a_wrong_folder_of_the_daemon_is_named(program, place, text):
    (place / "objpoold").touch()
    for folder, problem in ((place, "where there is no program objpoold"), (place / "objpoold", "which is the program: set it to its folder")):
        process = program(text, OBJPOOL_BIN=str(folder))
        assert f"can't be started: OBJPOOL_BIN is {folder}, {problem}\n" in process.communicate(timeout=DEADLINE)[1]


def test_why_a_compatible_pool_asks_no_other_daemon(program, place):
    process = program("from objpool.compat.multiprocess import Pool\nPool(1)", OBJPOOL_BIN=str(place), OBJPOOL_ADDRESS="unix:/x")
    assert "(OBJPOOL_ADDRESS is not for this: these workers are children of the program" in process.communicate(timeout=DEADLINE)[1]


@pytest.mark.parametrize("folder", ["x" * 100, "\N{SNOWMAN}" * 30])
def test_a_folder_for_temporary_files_whose_name_is_too_long(program, place, folder):
    (place / folder).mkdir()
    process = program("""
import objpool
from objpool.compat.multiprocess import Pool
with Pool(1) as pool: print(pool.map(abs, [-1]))
objpool.connect("private").ping()
""", TMPDIR=str(place / folder))
    assert process.communicate("", timeout=DEADLINE) == ("[1]\n", "")


NOWHERE = """
import os, tempfile, sys
import objpool
from objpool.compat.multiprocess import get_context
class Object:
    def add(self, x): return x + 1
def run(method, fork):
    with get_context(method).Pool(1, maxtasksperchild=1) as pool:
        print(pool.map(abs, [-1]))
        yield
        print(pool.map(abs, [-1, -2], 1))
    with objpool.create_pool(Object, 1, fork=fork) as pool:
        print(pool.add(1))
if __name__ == "__main__":
    sys.path.insert(0, "")
    for method, fork in ("fork", None), ("spawn", False):
        for before in True, False:
            folder = tempfile.mkdtemp()
            os.chdir(folder)
            if before: os.rmdir(folder)
            for _ in run(method, fork):
                if not before: os.rmdir(folder)
"""


def test_a_working_directory_that_has_been_removed(program):
    """Before the pool is made, and while it is used: its worker is replaced after each call."""
    assert program(NOWHERE).communicate("", timeout=DEADLINE) == ("[1]\n[1, 2]\n2\n" * 4, "")


def test_the_users_daemon_is_found(program, start, place):
    daemon = start()
    (place / "objpool.sock").symlink_to(daemon.socket_path)
    process = program("import objpool\nprint(objpool.pool('p').echo(1))", XDG_RUNTIME_DIR=str(place))
    assert process.communicate(timeout=DEADLINE) == ("1\n", "")


CLASSES = """
import os, objpool
class Mine:
    def told(self): return os.getppid()
if __name__ == "__main__":
    pool = objpool.create_pool(Mine, 1)
    print(pool.told() == pool._client.status()["pid"], pool._client.is_private, objpool.default_client().is_private)
    print(objpool.pool("p").echo(1), objpool.create_pool("Probe", 1, plugin="probe")._client.is_private)
    print(objpool.create_pool(Mine, 1)._client is pool._client)
"""


def test_a_programs_class_is_for_its_own_daemon(program, start, place):
    """A daemon that others share has neither the program's Python nor its rights."""
    daemon = start()
    (place / "objpool.sock").symlink_to(daemon.socket_path)
    output, errors = program(CLASSES, XDG_RUNTIME_DIR=str(place)).communicate(timeout=DEADLINE)
    assert output.split() == "False True False 1 False True".split(), errors


def test_a_programs_class_is_for_the_daemon_that_was_named(program, start):
    daemon = start()
    output, errors = program(CLASSES, OBJPOOL_ADDRESS=daemon.address).communicate(timeout=DEADLINE)
    assert output.split()[1:] == "False False 1 False True".split(), errors


def test_a_programs_class_without_a_program_for_its_daemon(program, start, place):
    """The daemon that is there is asked."""
    daemon = start()
    (place / "objpool.sock").symlink_to(daemon.socket_path)
    output, errors = program(CLASSES, XDG_RUNTIME_DIR=str(place), OBJPOOL_BIN=str(place)).communicate(timeout=DEADLINE)
    assert output.split()[1:] == "False False 1 False True".split(), errors


def in_child(check):
    """Runs it in a child by fork; 0: it was all right."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return pid


def status_of(pid):
    found = []

    def ended():
        got, status = os.waitpid(pid, os.WNOHANG)
        found.append(status)
        return got
    wait_for(ended, lambda: "the child to end")
    return os.waitstatus_to_exitcode(found[-1])


def test_a_child_connects_anew_and_the_parents_calls_go_on(client, pool):
    mine = client.create_pool("Probe", 1, plugin="probe")
    future = mine.sleep.future(1)
    stream = pool.map.echo.stream(itertools.count())
    assert next(stream) == 0
    lease = pool.lease()

    def check():
        assert pool.echo(1) == 1
        assert pool.session() != session
        with pytest.raises(objpool.ConnectionLost):
            future.result(DEADLINE)
        with pytest.raises(objpool.ConnectionLost):
            list(stream)
        with pytest.raises(objpool.ConnectionLost):
            lease.echo(1)
        assert pool.echo.future(2).result(DEADLINE) == 2
        mine.close()

    session = pool.session()
    children = [in_child(check) for _ in range(3)]
    assert pool.session() == session
    assert [status_of(pid) for pid in children] == [0, 0, 0]
    assert future.result(DEADLINE) == 1 and list(itertools.islice(stream, 100)) == list(range(1, 101))
    assert mine.echo(1) == 1 and lease.release()


def test_a_fork_while_other_threads_call(pool):
    stop = threading.Event()
    failed = []

    def work():
        try:
            while not stop.is_set():
                assert pool.echo(b"x" * 1000) == b"x" * 1000
                assert pool.echo.future(1).result(DEADLINE) == 1
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()

    def check():
        for i in range(20):
            assert pool.echo(i) == i
            assert pool.echo.future(i).result(DEADLINE) == i
    try:
        for _ in range(10):
            assert status_of(in_child(check)) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert not failed


def test_children_of_multiprocessing_use_the_parents_private_daemon(program):
    process = program(PRIVATE + """
import multiprocessing
def child(n):
    return pool.echo(n), objpool.connect("private").status()["pid"]
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as others:
        print(others.map(child, [1, 2]) == [(n, client.status()["pid"]) for n in (1, 2)], flush=True)
    os.kill(os.getpid(), 9)
""")
    told = first_line(process)
    assert first_line(process) == ["True"]
    process.wait(DEADLINE)
    gone(*told)


INTERRUPTED = """
import objpool, sys, threading, itertools, os, signal
client = objpool.connect(sys.argv[1])
pool = client.pool("p")
kind = sys.argv[2]
def interrupt():
    other = objpool.connect(sys.argv[1])
    while not other.status("p")["pools"][0]["running"]:
        pass
    if "elsewhere" in sys.argv:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)
thread = threading.Thread(target=interrupt)
if kind != "future":
    thread.start()
try:
    if kind == "call":
        pool.sleep(60)
    elif kind == "future":
        future = pool.sleep.future(60)
        try:
            thread.start()      # the interrupt may come in here
            future.result()
        finally:
            future.cancel()
    elif kind == "follower":
        threading.Thread(target=lambda: pool.options(timeout=1).sleep(60), daemon=True).start()
        pool[0].sleep(60)
    elif kind == "stream":
        list(pool.map.sleep.stream(itertools.repeat(60)))
    elif kind == "busy stream":
        for _ in pool.map.echo.stream(itertools.count()):
            pass
except KeyboardInterrupt:
    pool.options(timeout=20).all.echo(1)
    print("clean", flush=True)
"""


@pytest.mark.parametrize("kind", ["call", "future", "follower", "stream", "busy stream"])
def test_an_interrupt_cancels_and_leaves_all_clean(daemon, program, kind):
    process = program(INTERRUPTED, daemon.address, kind)
    output, errors = process.communicate(timeout=DEADLINE)
    assert output == "clean\n", errors


@pytest.mark.parametrize("kind", ["call", "follower", "stream"])
def test_an_interrupt_that_does_not_wake_the_main_thread_is_seen(daemon, program, kind):
    """The system may hand a signal to another thread, or to the main thread just before it sleeps: neither ends its system call."""
    output, errors = program(INTERRUPTED, daemon.address, kind, "elsewhere").communicate(timeout=DEADLINE)
    assert output == "clean\n", errors


def test_interrupts_at_any_moment_lose_nothing(daemon, program):
    """A timer raises in the main thread, again and again; other threads' calls and the connection live through it. CPython passes
    over an exception that is raised in a weak reference's callback, as of an import: the timer then comes again."""
    process = program("""
import objpool, sys, signal, threading
client = objpool.connect(sys.argv[1])
pool = client.pool("p")
session = pool.session()
class Interrupt(BaseException): pass
def handler(*_): raise Interrupt
counts, stop, wrong = [0], False, []
def work():
    while not stop:
        if pool.options(timeout=10).echo(counts[0]) != counts[0]:
            wrong.append(counts[0])
        counts[0] += 1
thread = threading.Thread(target=work)
thread.start()
signal.signal(signal.SIGALRM, handler)
interrupts = 0
for i in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + i % 50 * 0.00003, 2)
        if i % 2:
            while True:
                pool.echo([{1}])
        for _ in pool.map.echo.stream(range(10 ** 9)):
            pass
    except Interrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
stop = True
thread.join(20)
print(interrupts, thread.is_alive(), wrong, pool.echo(1), counts[0] > 10, pool.session() == session)
""", daemon.address)
    output, errors = process.communicate(timeout=DEADLINE * 2)
    assert output == "300 False [] 1 True True\n", (output, errors)


def test_a_lost_connection_fails_all_at_once(daemon):
    client = objpool.connect(daemon.address)
    pool = client.pool("p")
    failures = []

    def wait(call):
        try:
            call()
        except Exception as error:
            failures.append(error)

    future = pool.sleep.future(60)
    stream = pool.map.sleep.stream([60])
    calls = [lambda: pool.sleep(60), lambda: pool.all.sleep(60), future.result, lambda: next(stream), lambda: pool.lease(0)]
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(client._connected().pending) == len(calls), lambda: "all calls to be sent")
    client.ping()
    daemon.kill()
    for thread in threads:
        thread.join(DEADLINE)
    assert [type(error) for error in failures] == [objpool.ConnectionLost] * len(calls)
    with pytest.raises(objpool.NoDaemon):
        pool.echo(1)


def test_a_daemon_that_was_restarted_is_found_again(start):
    first = start()
    client = objpool.connect(first.address)
    assert client.pool("p").echo(1) == 1
    first.stop()
    second = start()
    second.socket_path.rename(first.socket_path)
    with pytest.raises(objpool.ConnectionLost) as caught:
        client.pool("p").echo(2)
    assert caught.value.ran == "no" and client.pool("p").echo(2) == 2
    first.socket_path.rename(second.socket_path)
    client.close()
    with pytest.raises(objpool.ConnectionLost, match="closed"):
        client.pool("p").echo(1)


def test_close_fails_what_waits(client, pool):
    failures = []

    def wait():
        try:
            pool.sleep(60)
        except objpool.ConnectionLost as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    future = pool.sleep.future(60)
    thread.start()
    client.ping()
    client.close()
    thread.join(DEADLINE)
    assert len(failures) == 1 and isinstance(future.exception(DEADLINE), objpool.ConnectionLost)


def test_clients_leave_nothing_behind(daemon):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    def use():
        client = objpool.connect(daemon.address)
        pool = client.pool("p")
        assert pool.echo.future(1).result(DEADLINE) == 1
        assert list(pool.map.echo.stream(iter([1, 2]))) == [1, 2]
        return weakref.ref(client)

    gc.collect()
    before, threads = descriptors(), threading.active_count()
    assert all(use()() is None for _ in range(20))
    wait_for(lambda: threading.active_count() <= threads, lambda: "the threads to end")
    assert descriptors() <= before


def test_exit_with_calls_under_way(daemon, program):
    process = program("""
import objpool, sys, itertools
pool = objpool.connect(sys.argv[1]).pool("p")
futures = [pool.sleep.future(60) for _ in range(5)]
stream = pool.map.sleep.stream(iter([60] * 5))
print("done", flush=True)
""", daemon.address)
    output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output, errors) == (0, "done\n", "")


def test_threads_that_wait_when_the_program_ends_say_nothing(program, place):
    """Those that the program does not wait for stay where they are, as in a program that waits for a lock."""
    os.mkfifo(place / "begun")
    process = program("""
import asyncio, itertools, os, sys, threading, time
import objpool, objpool.aio
from objpool.compat.objectproxypool import ProxyPool

class Slow:
    def wait(self, begun):
        with open(begun, "w") as pipe:
            pipe.write("x")
        time.sleep(60)

async def in_a_loop():
    async with objpool.aio.connect("private") as client:
        pool = await client.create_pool(Slow, workers=1)
        await pool.wait(begun)

def again_and_again():
    while True:
        try:
            pool.wait(begun)
        except Exception as error:
            print("again", error, file=sys.stderr)

begun = sys.argv[1]
told = os.open(begun, os.O_RDWR)
pool = objpool.create_pool(Slow, workers=4)
proxies = ProxyPool(Slow, 1, separate_processes=True)
for work in (lambda: pool.wait(begun), again_and_again, lambda: pool.wait.future(begun).result(), lambda: next(pool.map.wait.stream([begun])),
             lambda: proxies.wait(begun), lambda: asyncio.run(in_a_loop())):
    threading.Thread(target=work, daemon=True).start()
for _ in range(6):
    os.read(told, 1)
print("done", flush=True)
""", place / "begun")
    output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output, errors) == (0, "done\n", "")


@pytest.mark.parametrize("how", ["interrupt", "asyncio", "asyncio that ends at once"])
def test_a_pool_that_nobody_waits_for_any_more_goes_in_silence(program, how):
    """Its constructor is still running. The fork that its workers come from ends after the pool: a template that dies before is an error."""
    process = program("""
import asyncio, os, signal, sys, threading, time
import objpool.aio

told, begun = os.pipe()

class Slow:
    def __init__(self):
        os.write(begun, b"x")
        time.sleep(60)

def children_of(thread):
    try:
        return open(f"/proc/self/task/{thread}/children").read().split()
    except OSError:
        return []  # it has ended

def children():  # the daemon, and the fork
    return sum(map(children_of, os.listdir("/proc/self/task")), [])

def when_begun(function):
    os.read(told, 1)
    function()

async def main():
    async with objpool.aio.connect("private") as client:
        creation = asyncio.ensure_future(client.create_pool(Slow, workers=1))
        await asyncio.get_running_loop().run_in_executor(None, when_begun, lambda: None)
        creation.cancel()
        try:
            await creation
        except asyncio.CancelledError:
            pass
        while sys.argv[1] == "asyncio" and len(children()) > 1:
            await asyncio.sleep(0.01)

if "asyncio" in sys.argv[1]:
    asyncio.run(main())
else:
    threading.Thread(target=when_begun, args=(lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT),)).start()
    try:
        objpool.create_pool(Slow, workers=1)
    except KeyboardInterrupt:
        pass
    while len(children()) > 1:
        time.sleep(0.01)
print("done", flush=True)
""", how)
    output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output, errors) == (0, "done\n", "")


@pytest.mark.parametrize("where", ["parent", "child"])
def test_an_interrupt_as_the_program_is_forked_leaves_one_program(program, where):
    """Neither a fork that waits for ever, nor one that goes on with the program; nor does an argument that is none."""
    process = program("""
import ctypes, functools, os, signal, sys, time
import objpool
from objpool.compat import _process_crew, multiprocess
import objpool.compat.multiprocess.pool     # now: modules that it imports would have hooks behind ours, which lose it

def children():
    return open(f"/proc/self/task/{os.getpid()}/children").read().split()

objpool.connect("private")
for wrong in {"args": 5}, {"slot_kwargs": [5]}, {"kwargs": 5}:
    try:
        objpool.create_pool(dict, workers=1, **wrong)
    except TypeError:
        pass
os.register_at_fork(**{f"after_in_{sys.argv[1]}": functools.partial(getattr(ctypes.CDLL(None), "raise"), signal.SIGINT)})
for make in (lambda: objpool.create_pool(dict, workers=1)), (lambda: multiprocess.Pool(1, int)):
    try:
        make()
    except (KeyboardInterrupt, objpool.ObjpoolError) as error:
        print(type(error).__name__, flush=True)
while len(children()) > 1:
    time.sleep(0.01)
print("done", flush=True)
""", where)
    output, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, output) == (0, {"parent": "KeyboardInterrupt\n", "child": "CallFailed\n"}[where] * 2 + "done\n"), errors


def test_a_pool_that_is_collected_when_modules_have_lost_their_names(program):
    """As after an error in a cell of a notebook."""
    process = program("""
import __main__
CELL = '''
import dataclasses, objpool
class Echo:
    def echo(self, x): return x
pool = objpool.create_pool(Echo, workers=1)
@dataclasses.dataclass
class Later:
    x: int
pool.echo(Later(1)), pool.echo(lambda: Later(5))
raise KeyError
'''
def run():
    try:
        exec(compile(CELL, "<cell>", "exec"), __main__.__dict__)
    except KeyError:
        raise ValueError
run()
""")
    output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and "ValueError" in errors and "Exception ignored" not in errors, errors


def test_an_owner_needs_a_pipe(place):
    done = subprocess.run([BUILD / "objpoold", "--until-eof", "--config", "/dev/null", "--listen", f"unix:{place}/s"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1 and "standard input must be a pipe" in done.stderr


def test_where_things_stand(daemon):
    done = subprocess.run([sys.executable, "-m", "objpool", daemon.address], stdout=subprocess.PIPE, text=True, timeout=DEADLINE, check=True)
    assert daemon.address in done.stdout and "numpy" in done.stdout and "Probe" in done.stdout and "forks of the program" in done.stdout
    done = subprocess.run([sys.executable, "-m", "objpool"], stdout=subprocess.PIPE, text=True, timeout=DEADLINE, check=True)
    assert "private" in done.stdout and pathlib.Path(os.environ["OBJPOOL_BIN"]).name in done.stdout


def test_a_package_installed_from_a_checkout_finds_its_daemon(place, program):
    packages, checkout = place / "site", place / "a checkout"
    shutil.copytree(ROOT / "client" / "python" / "objpool", packages / "objpool")
    (checkout / "client" / "python").mkdir(parents=True)
    (checkout / "build").symlink_to(BUILD)
    note = packages / "objpool-0.1.0.dist-info" / "direct_url.json"
    note.parent.mkdir()
    note.write_text(json.dumps({"dir_info": {}, "url": (checkout / "client" / "python").as_uri()}))
    process = program("from objpool import _embedded\nprint(*_embedded._installed_from())\n", PYTHONPATH=str(packages))
    assert first_line(process) == str(checkout).split()
    process = program("import objpool\nprint(objpool.connect().is_private)\n", PYTHONPATH=str(packages), OBJPOOL_BIN="", PATH="/usr/bin:/bin")
    assert first_line(process) == ["True"]


def test_signals_reach_only_the_program(program):
    """The terminal's Ctrl-C goes to a whole process group: the daemon is in another."""
    process = program(PRIVATE + "print(os.getpgid(client.status()['pid']) != os.getpgid(0), flush=True)\nsys.stdin.read()\n")
    told = first_line(process)
    assert first_line(process) == ["True"]
    process.send_signal(signal.SIGINT)
    process.wait(DEADLINE)
    gone(*told)


POOLS_THAT_GO = """
import gc, os, sys, objpool
class Object:
    def pid(self): return os.getpid()
def descriptors(): return len(os.listdir("/proc/self/fd"))
def children(): return open(f"/proc/self/task/{os.getpid()}/children").read().split()
gc.disable()
client = objpool.connect("private")
client.ping()
before = descriptors(), len(children())
for _ in range(3):
    pool = client.create_pool(Object, 1, fork=%r)
    pool.pid()
del pool
while client.pools() or (descriptors(), len(children())) != before:
    pass
print("gone")
"""


@pytest.mark.parametrize("fork", [True, False])
def test_a_pool_goes_with_its_last_reference_and_leaves_nothing(program, fork):
    """Without a collection of garbage: no pool, no descriptor, no zombie of a fork."""
    process = program(POOLS_THAT_GO % fork)
    output, errors = process.communicate("", timeout=DEADLINE)
    assert (output, errors) == ("gone\n", "")


COMPAT_POOLS_THAT_GO = """
import os, warnings
from objpool.compat import multiprocess
warnings.simplefilter("ignore", ResourceWarning)
def descriptors(): return len(os.listdir("/proc/self/fd"))
def children(): return open(f"/proc/self/task/{os.getpid()}/children").read().split()
def make():
    pool = multiprocess.Pool(2)
    assert pool.map(abs, [-1]) == [1]
    return pool
make().terminate()
while len(children()) > 1:      # the daemon
    pass
before = descriptors()
make()
with make() as pool: pass
for _ in range(25):
    with multiprocess.Pool(2) as pool: pool.map_async(abs, range(10))   # it may go before the daemon has come to the fork
del pool
while descriptors() > before or len(children()) > 1:   # fewer: a thread was still looking at an earlier fork
    pass
print("gone")
"""


def test_compatible_pools_that_nobody_joins_leave_nothing(program):
    """Neither those that were only collected, nor those that were terminated."""
    assert program(COMPAT_POOLS_THAT_GO).communicate("", timeout=DEADLINE) == ("gone\n", "")


def test_a_pool_that_outlives_its_client_leaves_no_zombie(program):
    process = program("""
import os, objpool
def children(): return open(f"/proc/self/task/{os.getpid()}/children").read().split()
client = objpool.connect("private")
pool = client.create_pool(dict, 1)
client.close()
del pool
while len(children()) > 1:      # the daemon
    pass
print("gone")
""")
    assert process.communicate("", timeout=DEADLINE) == ("gone\n", "")


AIO_POOLS_THAT_GO = """
import asyncio, gc, os, warnings
import objpool.aio
warnings.simplefilter("ignore", ResourceWarning)
def children(): return open(f"/proc/self/task/{os.getpid()}/children").read().split()
async def main(is_closed):
    client = await objpool.aio.connect("private")
    pool = await client.create_pool(dict, 1)
    if is_closed:
        await client.close()
for is_closed in True, False:
    asyncio.run(main(is_closed))
    gc.collect()
    while len(children()) > 1:      # the daemon
        pass
print("gone")
"""


def test_pools_of_asyncio_go_with_their_client(program):
    """The fork that their workers come from has no part of its connection."""
    assert program(AIO_POOLS_THAT_GO).communicate("", timeout=DEADLINE) == ("gone\n", "")


def test_an_error_that_was_passed_over_keeps_no_frame():
    """A class by value is tried by reference first: the refusal must not keep what its callers hold."""
    from objpool import _objects

    class Held:
        pass

    held = Held()
    seen = weakref.ref(held)

    def caller(_kept):
        return _objects.dump_object(lambda: 1)

    gc.disable()
    try:
        caller(held)
        del held
        assert seen() is None
    finally:
        gc.enable()


STARTED_AHEAD = """
import os
from objpool import _embedded

_embedded.start_daemon()
daemon = _embedded._daemon
child = os.fork()
if child == 0:
    os._exit(0 if _embedded._daemon is daemon and _embedded._daemon._notify is None else 1)
print(os.waitpid(child, 0)[1], _embedded.private_daemon() is daemon, os.path.exists(daemon.path), daemon.alive, flush=True)
"""


def test_a_daemon_starts_while_the_program_does_something_else(program):
    assert first_line(program(STARTED_AHEAD)) == ["0", "True", "True", "True"]


STARTED_IN_VAIN = """
import pathlib, sys
from objpool import _embedded, errors

_embedded.start_daemon()
for _ in range(2):
    try:
        _embedded.private_daemon()
    except errors.NoDaemon as error:
        print("ended at once" in str(error), flush=True)
"""


def test_a_daemon_that_is_started_ahead_and_ends_is_told_of(place, program):
    false = place / "bin" / "objpoold"
    false.parent.mkdir()
    false.write_text("#!/bin/sh\nexit 3\n")
    false.chmod(0o755)
    process = program(STARTED_IN_VAIN, OBJPOOL_BIN=str(false.parent))
    assert first_line(process) == first_line(process) == ["True"]
