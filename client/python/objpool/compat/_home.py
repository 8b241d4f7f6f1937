# SPDX-License-Identifier: Apache-2.0
"""Where the workers of a crew (_process_crew.py) live: a pool in the program's private daemon, with what makes its workers."""
import itertools
import os
import threading
import time

from .. import _connect, _embedded, _fork, _raised, _spawn, errors
from .._credentials import Nobody
from .._entry import Entry

_numbers = itertools.count(1)
NO_LIMIT = 1 << 30
PATIENCE = 10.0         # seconds in which a worker must react, and end: the CPUs may be busy with other things
DROP_PATIENCE = 0.2     # the same, when the pool is terminated
WORKER = "objpool.compat._worker:Worker"


def forks_program(method):
    """True if this start method of multiprocessing (None: the one that is set) makes workers that are forks of the program."""
    return _fork.is_default() if method is None else method == "fork"


def _private_daemon(get):
    try:
        return get()
    except errors.NoDaemon as error:
        if not os.environ.get("OBJPOOL_ADDRESS"):
            raise
        raise errors.NoDaemon(f"{error.message} (OBJPOOL_ADDRESS is not for this: these workers are children of the "
                              "program, and so belong to a daemon of its own)") from None


def _template(inheritance):
    """The process that workers are forked from. The program's daemon starts at the same time, if there is none."""
    _private_daemon(_embedded.start_daemon)
    return _spawn.Spawned() if inheritance is None else _fork.Fork(inheritance.take)


class Home:
    """A pool of Workers in the private daemon, over a connection of its own.

    Its workers are forks of the program, or of a new Python (_spawn.py). Starting that is slow, and it is the same for all crews.
    So when a crew has ended in order, its pool gets new workers, and is kept for a while for the next crew of that size.
    work: the class of the workers' objects; only Workers are kept.
    """

    KEPT = 10.0         # seconds

    def __init__(self, size, max_tasks=None, setup=None, inheritance=None, work=WORKER):
        self.size = size
        self.pool = f"compat-{os.getpid()}-{next(_numbers)}"
        self.may_stay = not max_tasks and inheritance is None and work == WORKER
        self.command = None if inheritance is not None else _spawn.command()
        self._template = _template(inheritance)
        self._end = None
        self._timer = None
        try:
            self.connection = _connect.connect(_private_daemon(_embedded.private_daemon).address, True, credentials=Nobody())
            self._creation = self._start("objpool.create", {
                "pool": self.pool, "plugin": "python", "class": work, "workers": size,
                "args": [] if setup is None else [setup], "slot_kwargs": [{"slot": i} for i in range(size)],
                "template": self._template.address, "preload": ["multiprocessing.process"], "unpickle": True,
                "max_queue": NO_LIMIT, "max_sticky": "4G", "max_calls": max_tasks or 0, "start_timeout": 86400,
                "stop_timeout": PATIENCE})
        except BaseException:
            self._template.end()
            raise

    def _start(self, method, *params):
        entry = Entry()
        self.connection.start(entry, method, params)
        return entry

    @property
    def stuck(self):
        """True if its workers wait for ever for a lock that a thread of the program held during the fork."""
        return self._template.stuck

    def await_creation(self):
        """Until the pool is made. Raises why it could not be."""
        for pause in self._template.pauses():
            if self.connection.wait(self._creation, time.monotonic() + pause):
                break
        if self.stuck:
            self.drop()
        self.connection.wait(self._creation)
        if self._creation.message[2] is not None:
            raise self.failure()

    def failure(self):
        """The exception that says why the pool could not be made, or None."""
        self.connection.wait(self._creation)
        error = self._creation.message[2]
        return error and _raised.load_error(error, True)

    def clean(self, in_order):
        """Gives the pool new workers, and keeps it. in_order: see `leave`."""
        if not self.may_stay or self.connection.lost is not None:
            self.leave(in_order)
            return
        if in_order:
            self._finish()
        self._start("objpool.forget", self.pool)
        self._end = self._start("objpool.restart", self.pool)
        self._timer = threading.Timer(self.KEPT, self._expire)
        self._timer.daemon = True
        self._timer.start()
        _homes.keep(self)

    def _finish(self):
        """Has the workers do what they do at their end. They end when the pool is somebody else's."""
        self.connection.wait(self._start("objpool.call", f"{self.pool}:all", "finish", [], {"errors": "collect"}))

    def leave(self, in_order=False):
        """Ends the pool, and what its workers do. in_order: they have time for what multiprocessing runs at the end of a process."""
        try:
            self._end = self._start("objpool.drop", self.pool, PATIENCE if in_order else DROP_PATIENCE)
        except errors.ConnectionLost:
            pass
        self.may_stay = False
        self._template.reap_soon(self.await_end)

    def drop(self):
        self.leave()
        self.await_end()

    def await_end(self):
        """Until the crew's workers have ended."""
        if self._end is not None:
            self.connection.wait(self._end)
        if not self.may_stay:
            self.connection.close()
            self._template.end()

    def is_clean(self):
        """True if it is ready for another crew. Waits until its workers are new."""
        self._timer.cancel()
        self.connection.wait(self._end)
        return self.connection.lost is None and self._end.message[2] is None

    def _expire(self):
        if _homes.forget(self):
            self.drop()


def of_template(size, max_tasks, setup):
    """A Home whose workers are forks of a new Python: one that was kept, or a new one.

    With max_tasks it is new, and its workers, which are replaced after so many calls, get the setup when they are made.
    """
    return Home(size, max_tasks, setup) if max_tasks else _homes.take(size) or Home(size)


def of_forks(size, max_tasks, inheritance, is_awaited, work=WORKER):
    """A Home whose workers are forks of the program.

    is_awaited: the inheritance runs code of the program in the workers, and this returns when that is done. If that code waits
    for ever for a lock of the program, the program is forked again.
    """
    for _ in range(_fork.ATTEMPTS):
        home = Home(size, max_tasks, inheritance=inheritance, work=work)
        try:
            if is_awaited:
                home.await_creation()
            return home
        except BaseException:
            home.drop()
            if not home.stuck:
                raise
    raise _fork.all_stuck()


class _Homes:
    """The Homes that are kept, the latest last."""

    MOST = 2

    def __init__(self):
        self._kept = []
        self._guard = threading.Lock()

    def keep(self, home):
        with self._guard:
            self._kept.append(home)
            old = self._kept[:-self.MOST]
            del self._kept[:-self.MOST]
        for home in old:
            home.drop()

    def forget(self, home):
        with self._guard:
            if home in self._kept:
                self._kept.remove(home)
                return True
        return False

    def take(self, size):
        """A Home that was kept, and is kept no longer; or None."""
        command = _spawn.command()
        with self._guard:
            found = next((home for home in self._kept if (home.size, home.command) == (size, command)), None)
            if found is not None:
                self._kept.remove(found)
        if found is None:
            return None
        if found.is_clean():
            return found
        found.drop()
        return None


_homes = _Homes()


def _after_fork_in_child():
    global _homes
    _homes = _Homes()


os.register_at_fork(after_in_child=_after_fork_in_child)
