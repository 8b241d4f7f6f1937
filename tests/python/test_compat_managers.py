# SPDX-License-Identifier: Apache-2.0
"""Managers of objpool.compat.multiprocess. CPython's own tests are run by tests/compat_stdlib; manager_kills.py kills more clients."""
import multiprocessing
import os
import pickle
import queue
import random
import resource
import signal
import struct
import subprocess
import sys
import threading
import time

import manager_kills
import pytest
from harness import wait_for

from objpool._entry import Entry
from objpool.compat import multiprocess
from objpool.compat.multiprocess import _hold_back, _link, _memory_file, _order, _quick, managers

METHODS = ("fork", "spawn", "forkserver")
SOON = manager_kills.SOON
fork = multiprocess.get_context("fork")


@pytest.fixture(scope="module")
def manager():
    with multiprocess.Manager() as manager:
        yield manager


def in_child(work, *args, context=fork, status=0):
    process = context.Process(target=work, args=args, daemon=True)
    process.start()
    process.join(SOON)
    assert process.exitcode == status
    return process


def die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("scenario", manager_kills.SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_survivors_of_kills_go_on(scenario, manager):
    scenario(fork, manager, 6, random.Random(scenario.__name__))


# Values and errors


class Here:
    def __eq__(self, other):
        return type(other) is type(self)


def test_values_of_all_kinds(manager):
    values = [None, True, 1, -1 << 63, (1 << 64) - 1, 1 << 100, 1.5, "a", "\u00e4\ud800", b"\0\6", b"", (1, [2]), {3}, 1j, Here(),
              "x" * 300000, b"y" * 300000]
    shared, items, bounded = manager.list(), manager.Queue(), manager.Queue(1)
    for value in values:
        shared.append(value)
        items.put(value)
        bounded.put(value)
        assert bounded.get() == value
    assert shared[:] == values and [shared[i] for i in range(len(values))] == values
    assert [items.get() for _ in values] == values and items.empty()
    for value in values[:7]:
        items.put(lambda: value)
        assert items.get()() == value


def test_a_large_item_reaches_who_waits(manager):
    items, large = manager.Queue(), os.urandom(1 << 20)
    got = []
    thread = threading.Thread(target=lambda: got.append(items.get()))
    thread.start()
    wait_until_they_wait(manager, 1)
    items.put(large)
    thread.join()
    assert got == [large]


LARGE = os.urandom(manager_kills.LARGE)


def files_of(pid):
    """The memory files of managers that a process has open."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            pass        # it was the descriptor of the folder
    return [name for name in found if "objpool-manager-" in name]


def test_large_items_go_past_the_daemon(manager, monkeypatch):
    """The server keeps the client's file, and shows it to who gets the item: two round trips on the direct channel."""
    items = manager.Queue()
    items.put(1)
    assert items.get() == 1
    monkeypatch.setattr(_link.Link, "ask_daemon", None)
    before = len(files_of(manager._process.pid))
    for value in LARGE, "x" * len(LARGE), (1, LARGE), [LARGE], bytearray(LARGE), list(range(len(LARGE))), LARGE.hex() + "\u00e4":
        items.put(value)
        assert len(files_of(manager._process.pid)) == before + 1
        assert items.get() == value and not files_of(os.getpid())[1:]
        items.put(None)
        assert items.get() is None and len(files_of(manager._process.pid)) == before


def test_a_large_item_outlives_who_has_put_it(manager):
    items = manager.Queue()
    in_child(lambda: items.put(LARGE))
    in_child(lambda: (items.put(LARGE), die()), status=-signal.SIGKILL)
    assert items.get() == LARGE == items.get()
    items.put(LARGE)
    in_child(lambda: items.get() == LARGE or os._exit(1))
    assert items.empty()


@pytest.mark.parametrize("who", ["server", "client"])
def test_a_large_item_where_files_cant_be_seen(manager, monkeypatch, who):
    """In another container, or as another user."""
    items = manager.Queue()
    if who == "server":
        monkeypatch.setattr(_memory_file, "where", lambda *_: f"{os.getpid()}/0/00")
    else:
        monkeypatch.setattr(_memory_file, "map_at", _cant_open)
    for _ in range(2):
        items.put(LARGE)
        assert items.get() == LARGE


def _cant_open(where):
    raise PermissionError(where)


def test_more_large_items_than_a_process_may_have_files():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, most[1]))
    try:
        with multiprocess.Manager() as manager:
            items, before = manager.Queue(), files_of(manager._process.pid)
            for _ in range(200):
                items.put(LARGE)
            assert len(files_of(manager._process.pid)) <= 64
            assert all(items.get() == LARGE for _ in range(200))
            items.put(None)
            assert items.get() is None and files_of(manager._process.pid) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)


def test_a_file_that_is_not_the_managers_is_left_alone(tmp_path):
    """Its numbers may mean another file on another machine."""
    with open(tmp_path / "file", "wb+") as file:
        file.truncate(1 << 16)
        where = f"{os.getpid()}/{file.fileno()}/0123456789abcdef"
        assert _order.Page.open(where) is None
        for place in where, where.replace("/", ":"), "1/../0123456789abcdef":
            with pytest.raises(OSError):
                _memory_file.map_at(place)
    descriptor, nonce = _memory_file.make()
    with pytest.raises(OSError, match="can change"):
        _memory_file.Value(_memory_file.where(descriptor, nonce), 1 << 20)
    os.close(descriptor)


class Fails:
    def fail(self):
        raise ValueError("in the server")

    def value(self):
        return (item for item in ())

    def same(self, value):
        return value


class Own(managers.BaseManager):
    pass


Own.register("Fails", Fails)
Own.register("queue_of_threads", queue.Queue)
Own.register("list_of_nobody", list, exposed=("append",))


def test_values_of_all_sizes_to_a_class_of_the_programs():
    with Own() as own:
        fails = own.Fails()
        for size in 0, 1, 16000, 16384, 16385, 1 << 16, 1 << 20:
            for value in b"." * size, "\u00e4" * size, [None] * size:
                assert fails.same(value) == value


@pytest.mark.parametrize("size", [0, 1, 100, 40_000])
def test_a_message_of_a_thread_that_comes_in_pieces(size):
    here, there = multiprocessing.Pipe()
    quick, message = _quick.Quick(here), os.urandom(size)
    for sent in struct.pack("!i", size) + message, struct.pack("!iQ", -1, size) + message:
        for cuts in (), (1,), (4,), (5,), (13,), range(1, 20):
            places = [0, *(cut for cut in cuts if cut < len(sent)), len(sent)]
            sender = threading.Thread(target=lambda: [os.write(there.fileno(), sent[a:b]) for a, b in zip(places, places[1:])])
            sender.start()
            assert bytes(quick.recv_bytes()) == message
            sender.join()
    os.write(there.fileno(), sent[:-1])
    there.close()
    with pytest.raises((OSError, EOFError)):
        quick.recv_bytes()
    with pytest.raises(EOFError):
        quick.recv_bytes()


def test_errors_have_the_servers_traceback(manager):
    with pytest.raises(KeyError, match="missing") as caught:
        manager.dict()["missing"]
    assert "KeyError: 'missing'" in str(caught.value.__cause__)
    with pytest.raises(managers.RemoteError, match="Traceback"):
        manager.list(5)
    with Own() as own:
        with pytest.raises(ValueError, match="in the server") as caught:
            own.Fails().fail()
        with pytest.raises(managers.RemoteError, match="cannot pickle"):
            own.Fails().value()
        with pytest.raises(managers.RemoteError, match="not in exposed"):
            own.list_of_nobody()._callmethod("pop")


def test_an_error_of_what_was_sent_ahead_is_the_next_calls(manager):
    class Unfit:
        def __reduce__(self):
            return int, ("no number",)

    shared = manager.list()
    shared.append(Unfit())
    shared.append(1)
    with pytest.raises(managers.RemoteError, match="no number"):
        len(shared)
    assert shared[:] == [1]


def test_a_class_of_the_programs_may_wait_and_holds_nobody_up():
    with Own() as own:
        slow = own.queue_of_threads()
        taken = []
        thread = threading.Thread(target=lambda: taken.append(slow.get(timeout=SOON)))
        thread.start()
        assert own.list_of_nobody().append(1) is None
        slow.put(b"bytes")
        thread.join()
        assert taken == [b"bytes"] and own.Fails()._id & 1


def _twice(number):
    return 2 * number


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_in_the_server(method):
    with multiprocess.get_context(method).Manager() as manager, manager.Pool(1) as pool:
        assert pool.apply(_twice, (2,)) == 4 and list(pool.imap(_twice, range(3))) == [0, 2, 4]
        assert pool.map_async(lambda number: number + 1, [1]).get() == [2]


# Waiting


def wait_until_they_wait(manager, count):
    link = manager._link
    wait_for(lambda: link._connection.call("objpool.status", [link._prefix[:-1]])["pools"][0]["slots"][0]["deferred"] == count,
             lambda: f"{count} calls to wait")


def test_ten_thousand_wait_in_one_queue(manager):
    items = manager.Queue()
    link = items._link
    waiting = []
    for _ in range(10000):
        entry = Entry()
        link._connection.start(entry, link._prefix + "call", [link._number, 1, items._id, "get"])
        waiting.append(entry)
    wait_until_they_wait(manager, 10000)
    for number in range(10000):
        items.put(number)
    for number, entry in enumerate(waiting):
        assert link._connection.wait(entry, time.monotonic() + SOON) and entry.message[2:] == [None, number]


@pytest.mark.skipif(not hasattr(queue, "ShutDown"), reason="queues can be shut down since Python 3.13")
def test_a_queue_that_is_shut_down(manager):
    items, errors = manager.Queue(1), []
    items.put(1)

    def wait():
        try:
            items.put(2)
        except queue.ShutDown as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until_they_wait(manager, 1)
    items.shutdown()
    thread.join()
    assert len(errors) == 1 and items.get() == 1
    for call in items.get, lambda: items.put(3):
        with pytest.raises(queue.ShutDown):
            call()


class Interrupted(Exception):
    pass


is_armed = False


def _interrupt(_, frame):
    """Interrupts the package, not the test."""
    if not is_armed:
        return
    if frame.f_code.co_filename == __file__:
        signal.setitimer(signal.ITIMER_REAL, 2e-5)
    else:
        raise Interrupted


def test_a_get_that_is_interrupted_loses_nothing(manager):
    """Either it has the item, or the queue has; the same for a lock."""
    global is_armed
    items, lock, outcomes = manager.Queue(), manager.Lock(), set()
    before = signal.signal(signal.SIGALRM, _interrupt)
    try:
        for number in range(10000):
            got, acquired = None, False
            try:
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + number % 100 * (1 + number // 100) * 2e-6)
                items.put(number if number % 2 else (number, LARGE))
                got = items.get()
                acquired = lock.acquire()
                outcomes.add("in time")
            except Interrupted:
                outcomes.add("interrupted")
            finally:
                is_armed = False
            size = items.qsize()
            if got is None and size:
                got = items.get()
            got = got[0] if type(got) is tuple else got
            assert (got, items.qsize()) in ((None, 0), (number, 0)), (number, size)
            assert acquired or lock.acquire(timeout=SOON)
            lock.release()
            if number > 300 and len(outcomes) == 2:
                break
    finally:
        signal.signal(signal.SIGALRM, before)
    assert outcomes == {"in time", "interrupted"}


def test_ctrl_c_ends_a_program_at_once(program):
    process = program("""
import signal
from objpool.compat import multiprocess
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)     # what runs in the background of a shell ignores it
    with multiprocess.Manager() as manager:
        print("waits", flush=True)
        manager.Queue().get()
""")
    assert process.stdout.readline().split() == ["waits"]
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=SOON)[1] and time.monotonic() - begun < SOON / 2


# References


def test_nested_proxies_live_as_long_as_somebody_holds_them(manager, monkeypatch):
    monkeypatch.setattr(_link, "_FORK_GRACE", 0)        # no child of an earlier test is to get what is let go of here
    before = manager._number_of_objects()
    outer, items = manager.list(), manager.Queue()
    outer.append(manager.dict(a=1))
    items.put([manager.list([7])])
    assert manager._number_of_objects() == before + 4
    assert outer[0]["a"] == 1
    inner = items.get()
    assert inner[0][:] == [7]
    outer[0] = inner[0]
    del inner
    assert outer[0][0] == 7 and manager._number_of_objects() == before + 3
    del outer, items
    assert manager._number_of_objects() == before


def _use(shared, status):
    shared.append(os.getpid())
    if status:
        die()


@pytest.mark.parametrize("status", [0, -9])
@pytest.mark.parametrize("method", METHODS)
def test_a_proxy_whose_only_holder_is_a_process(manager, method, status):
    """It is on its way when the program lets go of it; it ends with the process, however that ends."""
    before = manager._number_of_objects()
    results = manager.list()
    for _ in range(2):
        in_child(_use_both, results, manager.list(), status, context=multiprocess.get_context(method), status=status)
    wait_for(lambda: results[:] == [1, 1], lambda: "what a process has sent ahead just before it was killed")
    del results
    wait_for(lambda: manager._number_of_objects() <= before, lambda: "the references of the dead to end")


def _use_both(results, shared, status):
    shared.append(1)
    results.append(len(shared))
    _use(shared, status)


def test_a_fork_has_a_connection_of_its_own(manager):
    shared, lock = manager.list(), manager.Lock()
    lock.acquire()
    pid = os.fork()
    if not pid:
        try:
            shared.append(len(shared))
            assert not lock.acquire(False)
            shared[0] += 5
            die()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    wait_for(lambda: shared[:] == [5], lambda: "what the fork has done")
    assert not lock.acquire(False)
    lock.release()


def _make(manager, results):
    made = manager.list([1])
    made.append(2)
    results.append((made[:], manager.Queue().qsize(), manager._number_of_objects() > 1))


def test_a_process_makes_objects_by_a_manager_that_it_has_inherited():
    with multiprocess.Manager() as manager:
        results = manager.list()
        in_child(_make, manager, results)
        assert results[:] == [([1, 2], 0, True)]


def test_clients_without_a_place_wait_for_what_others_send_ahead(manager):
    """There are places for 64 clients."""
    shared = manager.list()
    link = shared._link
    place, link._place = link._place, None
    try:
        for i in range(20):
            shared.append(i)
        assert link._page is not None and not link.send_ahead(shared._id, "append", (1,))
        assert shared[:] == [*range(20)]
    finally:
        link._place = place


class Unreadable:
    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise LookupError("not here")


def test_an_item_that_cant_be_made_here_blocks_nobody(manager):
    items = manager.Queue()
    items.put(Unreadable())
    items.put("next")
    with pytest.raises(LookupError):
        items.get(timeout=SOON)
    assert items.get(timeout=SOON) == "next" and items.empty()


def test_what_is_pickled_and_never_arrives_holds_nothing_for_ever(manager):
    shared = manager.list()
    for _ in range(3):
        pickle.dumps(shared)
    before = manager._number_of_objects()
    del shared
    assert manager._number_of_objects() == before - 1


# Order


def _append(connection, shared, items):
    for number in range(300):
        shared.append(number)
        items.put(number)
        connection.send(number)
        connection.recv()


def test_what_was_sent_ahead_is_there_when_another_process_asks(manager):
    shared, items, (here, there) = manager.list(), manager.Queue(), multiprocess.Pipe()
    process = fork.Process(target=_append, args=(there, shared, items), daemon=True)
    process.start()
    for number in range(300):
        assert here.recv() == number
        assert len(shared) == number + 1 and items.get_nowait() == number
        here.send(None)
    process.join(SOON)


def _overwrite(connection, values):
    for number in range(300):
        connection.recv()
        values["last"] = number + 0.5
        connection.send(None)


def test_of_two_that_are_sent_ahead_the_later_is_done_later(manager):
    values, (here, there) = manager.dict(), multiprocessing.Pipe()
    process = fork.Process(target=_overwrite, args=(there, values), daemon=True)
    process.start()
    for number in range(300):
        for _ in range(20):
            values["other"] = number
        values["last"] = number
        here.send(None)
        here.recv()
        assert values["last"] == number + 0.5
    process.join(SOON)


# Servers that end, and servers that are shared


def _send_late(connection, shared):
    """Counts a call, and sends it when it is told to."""
    shared.append(0)
    link = shared._link
    link._page.sends(link._place)
    connection.send(None)
    connection.recv()
    link._direct().tell(link._prefix + "ahead", [link._number, 0, shared._id, "append", 1])
    connection.recv()


@pytest.fixture
def late(monkeypatch):
    """A list of a manager, and a connection to a process that has counted a call and not sent it."""
    monkeypatch.setattr(_order.Page, "_wait", None)     # the server holds back, and no client waits by itself
    kept = []

    def list_of(**limits):
        for name, value in limits.items():
            monkeypatch.setattr(_hold_back, name, value)
        manager = managers.SyncManager(ctx=fork)
        manager.start()
        shared, (here, there) = manager.list(), multiprocessing.Pipe()
        process = fork.Process(target=_send_late, args=(there, shared), daemon=True)
        process.start()
        here.recv()
        kept[:] = manager, process
        return manager, shared, here
    yield list_of
    manager, process = kept
    process.kill()
    process.join()
    manager.shutdown()


def test_what_comes_after_what_another_has_sent_is_held(late):
    manager, shared, connection = late(PATIENCE=SOON)
    got = []
    shared.append(2)
    asker = threading.Thread(target=lambda: got.append(shared[:]))
    asker.start()
    wait_until_they_wait(manager, 1)
    assert not got
    connection.send(None)
    asker.join()
    assert got == [[0, 1, 2]]


def test_nothing_is_held_for_ever(late):
    _, shared, _ = late(PATIENCE=0.1)
    shared.append(2)
    assert shared[:] == [0, 2]


def test_no_more_is_held_than_a_client_may_send(late):
    _, shared, _ = late(PATIENCE=SOON, HELD_MOST=3)
    for number in range(4):
        shared.append(number)
    link = shared._link
    wait_for(lambda: not link._page.is_behind(link._place), lambda: "the server to do what it has held")


def _count_and_die(shared):
    shared.append(1)
    len(shared)
    shared._link._page.sends(shared._link._place)
    die()


def test_what_the_dead_have_counted_and_not_sent_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(_hold_back, "PATIENCE", 10 * SOON)
    with managers.SyncManager(ctx=fork) as manager:
        shared = manager.list()
        for number in range(5):
            in_child(_count_and_die, shared, status=-signal.SIGKILL)
            assert len(shared) == number + 1


def test_a_server_that_ends(manager):
    with multiprocess.Manager() as other:
        shared, items = other.list(), other.Queue()
        waiting = []

        def wait():
            try:
                items.get()
            except EOFError as error:
                waiting.append(type(error))

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until_they_wait(other, 1)
        other._process.kill()
        thread.join()
        assert waiting == [managers.ServerLost]
        wait_for(lambda: _is_stale(shared), lambda: "another server")
        assert other.list([1])[:] == [1]
        with pytest.raises(managers.StaleProxy):
            items.put(1)
            items.qsize()
    with pytest.raises(managers.ServerLost):
        shared[:]
    with pytest.raises(ConnectionError):
        other._number_of_objects()


def _is_stale(proxy):
    try:
        proxy[:]
    except managers.StaleProxy:
        return True
    except managers.ServerLost:
        return False


def test_programs_share_by_name(daemon):
    address = f"{daemon.address}#shared"
    with pytest.raises(managers.NoServer):
        managers.SyncManager(address).connect()
    with managers.SyncManager(address) as first, managers.SyncManager(address) as second:
        first.named("counts", "dict", a=1)["b"] = 2
        assert second.named("counts", "dict").copy() == {"a": 1, "b": 2}
        code = ("import sys; from objpool.compat.multiprocess import managers; m = managers.SyncManager(sys.argv[1]); m.connect();"
                "m.named('counts', 'dict')['c'] = [3]")
        subprocess.run([sys.executable, "-c", code, address], check=True)
        assert second.named("counts", "dict")["c"] == [3]
        with pytest.raises(ValueError, match="names a daemon"):
            first.get_server()
    third = managers.SyncManager(address)
    third.connect()
    counts = third.named("counts", "dict")
    assert len(counts) == 3
    with pytest.raises(managers.RemoteError, match="'counts' names an object that was made as 'dict', not as 'list'"):
        third.named("counts", "list")
    third.shutdown()
    with pytest.raises(managers.ServerLost):
        len(counts)
    with pytest.raises(managers.NoServer):
        managers.SyncManager(address).connect()
    with managers.SyncManager(address) as fourth:
        assert fourth.named("counts", "dict").copy() == {}


def test_the_daemon_that_the_environment_names(daemon, monkeypatch):
    monkeypatch.setenv("OBJPOOL_ADDRESS", daemon.address)
    with managers.SyncManager("objpool:mine") as manager, multiprocess.Manager() as private:
        assert manager.list([1])[:] == [1] and private.list([2])[:] == [2]
        assert [pool["name"] for pool in manager._link._connection.call("objpool.pools", [])] == ["p", "mine"]


def test_addresses_of_the_standard_library():
    class Remote(managers.BaseManager):
        pass

    Remote.register("items", queue.Queue)
    with Remote(("127.0.0.1", 0), b"key") as manager:
        other = Remote(manager.address, b"key")
        other.connect()
        items = other.items()
        items.put(len)
        assert items.get() is len and manager._link is None
        with pytest.raises(multiprocess.AuthenticationError):
            Remote(manager.address, b"another").connect()


def test_without_a_daemon_the_server_is_the_standard_librarys(program):
    output, errors = program("""
from objpool.compat import multiprocess
if __name__ == "__main__":
    with multiprocess.get_context("spawn").Manager() as manager:
        shared, items, lock = manager.list(), manager.Queue(1), manager.Lock()
        shared.append(1)
        items.put(b"x")
        with lock:
            print(shared[:], items.get())
""", OBJPOOL_BIN="/nowhere").communicate(timeout=SOON)
    assert output.split() == ["[1]", "b'x'"], errors
    assert "managers have the standard library's server" in errors
