# SPDX-License-Identifier: Apache-2.0
"""Pools whose workers are forks of a new process of the program's Python: objpool._spawn."""
import hashlib
import os
import select
import signal
import subprocess
import sys

import pytest

import harness
import objpool
from objpool import _embedded, _extension, _fork, _spawn, _template
from objpool.compat import multiprocess

SOON = 30   # seconds; nothing here takes that long unless it hangs


def has_ended(process, within=SOON):
    """Of a descriptor of a process."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(within * 1000))


def opened(*pids):
    return [os.pidfd_open(pid) for pid in pids]


class Told:
    """Tells what its process is like."""

    def interpreter(self):
        import msgpack
        return [sys.executable, sys.version, sys.prefix, sys.path, sys.argv, os.getcwd(), sorted(sys._xoptions), msgpack.__file__]

    def parents(self):
        return [os.getpid(), os.getppid()]

    def end(self):
        os._exit(3)

    def read(self):
        return sys.stdin.read() + os.read(0, 10).decode()

    def inherited(self):
        import decimal
        return [getattr(decimal, "tuned", "no"), sorted(vars(sys.modules["__main__"]))]


@pytest.fixture
def pool():
    with objpool.connect(objpool.PRIVATE, timeout=harness.DEADLINE) as client, client.create_pool(Told, 1, fork=False) as pool:
        yield pool


def test_workers_run_the_programs_python(pool):
    mine = Told().interpreter()
    theirs = pool.interpreter()
    assert os.path.abspath(theirs[0]) == os.path.abspath(mine[0]) and theirs[1:3] == mine[1:3] and theirs[4:] == mine[4:]
    assert theirs[3][:len(mine[3])] == [os.path.abspath(folder) for folder in mine[3]]


def test_a_template_is_a_clean_child_of_the_program(pool, monkeypatch):
    import decimal
    monkeypatch.setattr(decimal, "tuned", "yes", raising=False)
    parent = pool.parents()[1]
    assert parent == pool._owner._template.pid != os.getpid()
    tuned, names = pool.inherited()
    assert tuned == "no" and all(name.startswith("__") for name in names)


def test_workers_that_die_are_forked_anew_from_it(pool):
    before = pool.parents()
    with pytest.raises(objpool.WorkerLost):
        pool.end()
    after = pool.options(retry=10).parents()
    assert after[1] == before[1] and after[0] != before[0]


def test_its_input_is_not_the_programs(pool):
    assert pool.read() == ""


def test_it_ends_with_its_pool(pool):
    processes = opened(*pool.parents())
    pool.close()
    assert all(map(has_ended, processes)) and pool._owner._template not in _template.templates


OPTIONS = """
import objpool
import sys
class Told:
    def told(self):
        return [repr(sys.flags), sys.warnoptions[-1:], sys._xoptions, sys.flags.ignore_environment or hash("a")]
with objpool.create_pool(Told, 1, fork=False) as pool:
    assert pool.told() == Told().told(), (pool.told(), Told().told())
"""


@pytest.mark.parametrize("options", [["-Xdev", "-O", "-B", "-bb"], ["-Werror::UserWarning", "-Xutf8", "-Xown=1"], ["-E", "-s"], ["-S"]])
def test_its_options_are_the_programs(place, options):
    path = place / "program.py"
    path.write_text(f"import sys; sys.path[:] = {[*filter(None, sys.path)]!r}\n{OPTIONS}")
    subprocess.run([sys.executable, *options, path], env={**os.environ, "PYTHONHASHSEED": "3"}, timeout=SOON, check=True)


def test_options_of_a_pool_come_after_the_programs():
    with objpool.create_pool(eval, 1, args=["__import__('types').SimpleNamespace(told=lambda: [__import__('sys').flags.optimize, hash('a')])"],
                             python_options=["-OO", "PYTHONHASHSEED=0"], python_path=["/nowhere"]) as pool:
        assert pool.told() == [2, int(subprocess.run([sys.executable, "-c", "print(hash('a'))"], env={"PYTHONHASHSEED": "0"},
                                                     capture_output=True, check=True).stdout)]
    with pytest.raises(ValueError, match='python_options: "program.py" is no option of the interpreter'):
        objpool.create_pool(dict, 1, python_options=["program.py"])


ENDS = """
import os
import sys
import time
import objpool
class Told:
    def parents(self):
        return [os.getpid(), os.getppid()]
pool = objpool.create_pool(Told, 1, fork=False)
print(*pool.parents(), flush=True)
input()
if sys.argv[1] == "exec":
    os.execlp("sleep", "sleep", "600")
os._exit(0)
"""


@pytest.mark.parametrize("end", ["kill", "exit", "exec"])
def test_all_end_with_the_program(program, end):
    process = program(ENDS, end)
    processes = opened(*map(int, process.stdout.readline().split()))
    if end == "kill":
        process.kill()
    else:
        process.stdin.write("\n")
        process.stdin.flush()
    assert all(map(has_ended, processes))
    for number in processes:
        os.close(number)


def test_a_template_that_nobody_wants_ends_with_the_program(program):
    process = program("""
import os
from objpool import _spawn
print(_spawn.Spawned().pid, flush=True)
input()
os._exit(0)
""")
    [number] = opened(int(process.stdout.readline()))
    process.communicate("\n", timeout=SOON)
    assert has_ended(number)
    os.close(number)


def test_what_is_typed_at_the_terminal_is_not_for_it(program):
    """It is in a session of its own from its first moment."""
    process = program("""
import os
from objpool import _spawn
template = _spawn.Spawned()
print(os.getsid(template.pid) == template.pid)
template.end()
""")
    assert process.communicate(timeout=SOON) == ("True\n", "")


def test_a_program_without_input_and_outputs(place):
    path = place / "program.py"
    path.write_text("""
import os
import sys
out = os.dup(1)
for number in range(3):
    os.close(number)
import objpool
class Told:
    def files(self):
        print("lost")
        return [os.readlink(f"/proc/self/fd/{number}") for number in range(3)]
with objpool.create_pool(Told, 1, fork=False) as pool:
    os.write(out, repr(pool.files()).encode())
os._exit(0)
""")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=SOON)
    assert (done.stdout, done.stderr) == ("['/dev/null', '/dev/null', '/dev/null']", "")


def test_prints_go_where_the_programs_go(program):
    process = program("""
import objpool
class Told:
    def tell(self):
        print("from the worker")
with objpool.create_pool(Told, 1, fork=False) as pool:
    pool.tell()
""")
    assert process.communicate(timeout=SOON) == ("from the worker\n", "")


def test_an_interpreter_that_can_not_be_started(monkeypatch):
    import multiprocessing.spawn
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", "/no/python")
    with pytest.raises(objpool.Unavailable, match="/no/python can't be started: No such file or directory"):
        objpool.create_pool(dict, 1, fork=False)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", None)
    with pytest.raises(objpool.Unavailable, match="sys.executable can't be started"):
        objpool.create_pool(dict, 1, fork=False)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", "/bin/false")
    with pytest.raises(objpool.CallFailed, match="the template process died while it loaded the plugin|can't be reached"):
        objpool.create_pool(dict, 1, fork=False)


# The compatible pools


def test_a_spawned_pool_is_of_a_new_process():
    with multiprocess.get_context("spawn").Pool(1) as pool:
        template = pool._crew._home._template
        assert pool.apply(os.getppid) == template.pid and isinstance(template, _spawn.Spawned)
        assert pool.apply(eval, ("__import__('sys').modules.get('pytest')",)) is None


def test_another_executable_makes_another_template(place, monkeypatch):
    import multiprocessing.spawn
    context = multiprocess.get_context("spawn")
    with context.Pool(1) as pool:
        first = pool.apply(os.getppid)
        pool.close()
        pool.join()
    other = place / "python"
    other.write_text(f'#!/bin/sh\nOBJPOOL_OTHER=yes exec {sys.executable} "$@"\n')
    other.chmod(0o755)
    monkeypatch.setattr(multiprocessing.spawn, "_python_exe", str(other))
    with context.Pool(1) as pool:
        assert pool.apply(os.getppid) != first


def test_a_killed_template_fails_the_pool_and_is_reaped():
    with objpool.connect(objpool.PRIVATE) as client, client.create_pool(Told, 1, fork=False) as pool:
        worker = opened(pool.parents()[0])
        os.kill(pool._owner._template.pid, signal.SIGKILL)
        assert has_ended(worker[0])
        os.close(worker[0])


# The extension module


def test_a_module_that_pip_has_built_into_the_package(place, monkeypatch):
    """Where the daemon's folder has none for this Python."""
    name = f"objpool_forked{_extension.SUFFIX}"
    (place / "objpoold").touch()
    (place / "package").mkdir()
    (place / "package" / name).symlink_to(harness.BUILD / "python" / name)
    monkeypatch.setattr(_embedded, "find_program", lambda: str(place / "objpoold"))
    monkeypatch.setattr(_extension, "_PACKAGE", str(place / "package"))
    assert _extension.load("objpool_forked").__file__ == str(place / "package" / name)


def spec_of_module(use):
    before = sys.modules["objpool_forked"].__spec__
    use()
    return sys.modules["objpool_forked"].__spec__ is before


def make_a_pool():
    with multiprocess.get_context("spawn").Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]


def test_a_pool_in_a_worker_does_not_load_the_module_anew():
    """Its workers would be told that the module has been reloaded, and could not do that."""
    with multiprocess.get_context("spawn").Pool(1) as pool:
        assert pool.apply(spec_of_module, (make_a_pool,)) is True


def test_a_module_and_a_worker_of_another_build_are_refused(place):
    """They would take the daemon's messages, and the memory that they share with it, for something else."""
    headers = b"".join(path.read_bytes() for path in sorted((harness.ROOT / "proto").glob("*.h")))
    build = hashlib.sha1(headers).hexdigest()[:16].encode()
    for name in "objpool-worker", "plugins", "python":
        (place / name).symlink_to(harness.BUILD / name)
    daemon = (harness.BUILD / "objpoold").read_bytes()
    assert build in daemon
    (place / "objpoold").write_bytes(daemon.replace(build, b"another_build_of"))
    (place / "objpoold").chmod(0o755)
    done = subprocess.run([sys.executable, "-c", """
import objpool
for keys in {}, {"fork": False}, {"plugin": "probe"}:
    try:
        objpool.create_pool("Probe" if "plugin" in keys else dict, 1, **keys)
    except objpool.ObjpoolError as error:
        print(error)
"""], env={**os.environ, "OBJPOOL_BIN": str(place)}, capture_output=True, text=True, timeout=SOON)
    told = "is not of the same build of objpool as the daemon: restart the daemon if objpool was upgraded while it ran, or else install both anew"
    assert [done.stdout.count(f"{who} {told}") for who in ("the extension module objpool_forked", "objpool-worker")] == [2, 1], done


@pytest.mark.parametrize("kind", [_spawn.Spawned, _fork.Fork])
def test_an_interrupt_right_after_the_start_leaves_no_child(program, kind):
    process = program(f"""
import os
from objpool import _fork, _spawn, _template
def interrupted(template):
    print(template.pid > 0)
    raise KeyboardInterrupt
_template.Template._begun = interrupted
try:
    {kind.__module__.rpartition(".")[2]}.{kind.__name__}()
except KeyboardInterrupt:
    print(open(f"/proc/self/task/{{os.getpid()}}/children").read() == "")
""")
    assert process.communicate(timeout=SOON) == ("True\nTrue\n", "")


def test_pythons_that_modules_can_be_built_for(place):
    def run(*arguments):
        return subprocess.run(["/usr/bin/python3", harness.ROOT / "scripts" / "pythons.py", *arguments], capture_output=True, text=True,
                              timeout=SOON)
    other = place / "python"
    other.symlink_to("/bin/true")
    assert run("/usr/bin/python3").stdout.count(":/usr/include/python3") == 1
    assert run(other).stderr == f"scripts/pythons.py: {other} is no Python 3\n"
