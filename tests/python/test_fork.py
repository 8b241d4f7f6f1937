# SPDX-License-Identifier: Apache-2.0
"""Pools whose workers are forks of the program: objpool._fork, and objpool.create with a template."""
import os
import select
import signal
import sys
import threading

import pytest

import harness
import objpool
from objpool import _extension, _fork, _template
from objpool.compat import multiprocess

SOON = 30   # seconds; nothing here takes that long unless it hangs

WORKER = {"plugin": "python", "class": "collections:Counter", "workers": 1}


def has_ended(process, within=SOON):
    """Of a descriptor of a process."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(within * 1000))


@pytest.fixture
def fork():
    fork = _fork.Fork(lambda: None)
    yield fork
    fork.end()


def create(client, fork, **more):
    return client.call("objpool.create", {"pool": "forked", **WORKER, "template": fork.address, **more})


def test_any_client_can_offer_a_fork(client, fork):
    assert create(client, fork) == {"workers": 1}
    pool = client.pool("forked")
    pool.update("abba")
    assert pool.most_common(1) == [["a", 2]]
    status = client.status("forked")["pools"][0]["slots"][0]
    assert status["state"] == "ready" and status["pid"] not in (os.getpid(), fork.pid)


def test_the_fork_ends_with_its_pool(client, fork):
    create(client, fork)
    client.drop("forked")
    assert has_ended(fork._process)


def test_a_fork_that_nobody_wants_ends_with_the_program(program):
    process = program("""
import os
from objpool import _fork
fork = _fork.Fork(lambda: None)
print(fork.pid, flush=True)
input()
os._exit(0)
""")
    pid = os.pidfd_open(int(process.stdout.readline()))
    try:
        process.communicate("\n", timeout=SOON)
        assert has_ended(pid)
    finally:
        os.close(pid)


def test_threads_make_and_end_forks_at_the_same_time():
    failures = []
    others = list(_template.templates)  # an earlier test's may still be about to end

    def make_and_end():
        try:
            for _ in range(15):
                _fork.Fork().end()
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=make_and_end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [] and [one for one in _template.templates if one not in others] == []


def test_a_worker_that_dies_is_forked_again_as_the_program_was(client, fork):
    create(client, fork)
    pool = client.pool("forked")
    pool.update("a")
    before = client.status("forked")["pools"][0]["slots"][0]
    os.kill(before["pid"], signal.SIGKILL)
    harness.wait_for(lambda: client.status("forked")["pools"][0]["slots"][0]["generation"] > before["generation"], "another worker")
    assert pool.most_common() == []
    assert client.status("forked")["pools"][0]["slots"][0]["restarts"] == 1


def test_with_the_fork_its_workers_end_and_the_pool_says_why(client, fork):
    create(client, fork, workers=2)
    slots = client.status("forked")["pools"][0]["slots"]
    workers = [os.pidfd_open(slot["pid"]) for slot in slots]
    os.kill(fork.pid, signal.SIGKILL)
    assert all(map(has_ended, workers))
    for worker in workers:
        os.close(worker)

    def fails_for_good():
        try:
            client.pool("forked").most_common()
        except objpool.Unavailable as error:
            return "the process that the program had started for its workers has ended" in error.message
        except objpool.WorkerLost:
            return False
    harness.wait_for(fails_for_good, "what the pool says")


@pytest.mark.parametrize("given, error, text", [
    ({"template": "nobody-is-here"}, objpool.CallFailed, "the process that the program has started for its workers can't be reached"),
    ({"template": ""}, objpool.BadArgument, "template as the name of an abstract socket"),
    ({"template": "x" * 101}, objpool.BadArgument, "template as the name of an abstract socket"),
    ({"template": "a\0b"}, objpool.BadArgument, "template as the name of an abstract socket"),
    ({"template": 7}, objpool.BadArgument, "template as the name of an abstract socket"),
    ({"isolation": "thread"}, objpool.BadArgument, "isolation = process where a template is given"),
])
def test_what_is_no_template(client, fork, given, error, text):
    with pytest.raises(error, match=text):
        create(client, fork, **given)
    assert "forked" not in [pool["name"] for pool in client.pools()]


def test_a_class_that_the_fork_has_not(client, fork):
    with pytest.raises(objpool.CallFailed, match="module collections has no Nothing"):
        create(client, fork, **{"class": "collections:Nothing"})
    assert has_ended(fork._process)


def test_who_comes_by_tcp_may_offer_none(start, fork):
    with objpool.connect(start().tcp) as client, pytest.raises(objpool.Denied, match="it may not give template"):
        create(client, fork, plugin="probe", **{"class": "Probe"})


# Pools of a private daemon


def test_a_pool_has_what_the_program_has_unless_it_is_not_to_be_a_fork(program):
    process = program("""
import decimal
import objpool
decimal.tuned = "yes"
class Model:
    def tuned(self):
        import decimal
        print("printed", flush=True)
        return getattr(decimal, "tuned", "no")
for fork in (None, True, False):
    with objpool.create_pool(Model, 1, fork=fork) as pool:
        print(pool.tuned(), flush=True)
""")
    assert process.communicate(timeout=SOON) == ("printed\nyes\nprinted\nyes\nprinted\nno\n", "")


@pytest.mark.parametrize("keys, text", [({"python_path": ["/"]}, "with python_path"), ({"virtualenv": "/", "preload": []}, "with virtualenv, preload"),
                                        ({"plugin": "probe"}, "Python classes"), ({"isolation": "thread"}, "Python classes")])
def test_what_can_be_no_fork(keys, text):
    with objpool.connect(objpool.PRIVATE) as client, pytest.raises(ValueError, match=text):
        client.create_pool("collections:Counter", 1, fork=True, **keys)


def test_a_daemon_that_is_not_the_programs_forks_it_when_told_only(client):
    with client.create_pool("collections:Counter", 1) as pool:
        assert pool._owner._template is None
    with pytest.raises(ValueError, match="private daemon"):
        client.create_pool("collections:Counter", 1, fork=True)


def test_a_pool_that_fails_leaves_no_fork():
    before = len(_template.templates)
    with objpool.connect(objpool.PRIVATE) as client, pytest.raises(objpool.CallFailed):
        client.create_pool("collections:Counter", 1, args=[1, 2, 3])
    assert len(_template.templates) == before


# The compatible pools


def how_it_ends(how):
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.SIGSEGV)


def test_how_a_worker_has_ended_is_told():
    with multiprocess.Pool(1) as pool:
        with pytest.raises(multiprocess.pool.WorkerLost) as lost:
            pool.apply(how_it_ends, ("exit",))
        assert (lost.value.exit_status, lost.value.signal) == (3, None)
        with pytest.raises(multiprocess.pool.WorkerLost) as lost:
            pool.apply(how_it_ends, ("kill",))
        assert lost.value.signal == signal.SIGSEGV
        assert pool.apply(abs, (-1,)) == 1


def test_a_pool_outlives_the_thread_that_has_made_it():
    pools = []
    thread = threading.Thread(target=lambda: pools.append(multiprocess.Pool(1)))
    thread.start()
    thread.join()
    with pools[0] as pool:
        assert pool.map(abs, range(-3, 0)) == [3, 2, 1]


def test_children_that_are_passed_over_are_no_trouble(program):
    process = program("""
import os
import signal
from objpool.compat.multiprocess import Pool
def die(_):
    os._exit(1)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in range(2):
    with Pool(1) as pool:
        print(pool.apply(abs, (-1,)))
        try:
            pool.apply(die, (0,))
        except Exception as error:
            print(type(error).__name__, error.exit_status)
        print(pool.apply(os.system, ("exit 2",)) >> 8)
    pool.join()
""")
    out, err = process.communicate(timeout=SOON)
    assert out == "1\nWorkerLost 1\n-1\n" * 2, err     # in a child of the program nobody waits for a command's status either


def test_workers_do_not_read_the_programs_input(program):
    process = program("""
import os
import sys
from objpool.compat.multiprocess import Pool
def read():
    return sys.stdin.read() + os.read(0, 10).decode()
with Pool(1) as pool:
    print(pool.apply(read), input())
""")
    out, err = process.communicate("mine\n", timeout=SOON)
    assert out.split() == ["mine"], err


def test_what_the_program_does_at_its_end_is_done_once(program):
    process = program("""
import atexit
from objpool.compat.multiprocess import Pool
atexit.register(print, "the end")
with Pool(2) as pool:
    pool.map(abs, range(4))
    pool.close()
    pool.join()
""")
    assert process.communicate(timeout=SOON) == ("the end\n", "")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_all_end_with_the_program(program, end):
    process = program("""
import os
import subprocess
import time
from objpool.compat.multiprocess import Pool
def start():
    return subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid
if __name__ == "__main__":
    pool = Pool(2)
    program = pool.apply(start)
    busy = pool.map_async(time.sleep, [60, 60], 1)
    print(*(worker.pid for worker in pool._pool), pool._crew._home._template.pid, program, flush=True)
    busy.get()
""")
    processes = [os.pidfd_open(int(pid)) for pid in process.stdout.readline().split()]
    assert len(processes) == 4
    process.send_signal(end)
    assert all(map(has_ended, processes))
    for number in processes:
        os.close(number)


def test_a_child_of_the_program_leaves_the_pool_alone(program):
    process = program("""
import os
import objpool
from objpool.compat.multiprocess import Pool
with Pool(1) as pool, objpool.create_pool(dict, 1) as numbers:
    child = os.fork()
    if not child:
        for end in (pool._crew._home.await_end, numbers.close, pool._crew._home._template.end):
            try:
                end()
            except Exception:
                pass
        os._exit(0)
    os.waitpid(child, 0)
    numbers.update(a=1)
    print(pool.apply(abs, (-1,)), numbers.get("a"))
""")
    assert process.communicate(timeout=SOON) == ("1 1\n", "")


def test_signals_of_workers_are_not_the_programs(program):
    process = program("""
import asyncio
import os
import signal
from objpool.compat.multiprocess import Pool
def tell():
    os.kill(os.getpid(), signal.SIGUSR1)
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print, "told")
    with Pool(1) as pool:
        pool.apply(tell)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("not told")
asyncio.run(main())
""")
    assert process.communicate(timeout=SOON) == ("not told\n", "")


WITHOUT_MODULE = """
from importlib import machinery
machinery.EXTENSION_SUFFIXES[0] = ".cpython-27.so"
import objpool
from objpool.compat import multiprocess
client = objpool.connect("private")
for make in (lambda: client.create_pool(dict), lambda: client.create_pool("collections:Counter", fork=False),
             lambda: client.create_pool(dict, fork=True), multiprocess.Pool, multiprocess.get_context("spawn").Pool):
    try:
        make()
    except objpool.Unavailable as error:
        print(error.ran, error)
"""


def test_a_python_without_the_module_is_told_how_to_build_it(program, place):
    checkout = place / "check out"
    (checkout / "build").mkdir(parents=True)
    (checkout / "Makefile").touch()
    output, errors = program(WITHOUT_MODULE).communicate("", timeout=SOON)
    told = f"there is no objpool_forked.cpython-27.so for {harness.BUILD}/objpoold: "
    assert output.count(f"no there can be no workers of this program's Python: {told}") == 5, errors
    assert _extension._how_to_build(str(checkout / "build")) == f"`make -C '{checkout}' forked FOR={sys.executable}` builds it"
    assert _extension._how_to_build("/usr/sbin") == f"`make forked FOR={sys.executable} && sudo make install` in objpool's source builds and installs it"


def test_a_module_of_another_version_is_said_to_be_one(monkeypatch):
    path = f"{harness.BUILD}/python/objpool_forked{_extension.SUFFIX}"
    monkeypatch.setattr(_extension, "__version__", "9.9")
    with pytest.raises(_extension.NoModule) as caught:
        _extension._load("objpool_forked", path)
    assert str(caught.value) == f"{path} is of objpool {objpool.__version__}, and this package of 9.9"


def test_a_module_that_can_not_be_loaded_says_why(place):
    path = place / f"objpool_forked{_extension.SUFFIX}"
    path.write_bytes(b"no library")
    with pytest.raises(_extension.NoModule, match="can't be loaded"):
        _extension._load("objpool_forked", str(path))
