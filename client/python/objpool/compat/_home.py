# SPDX-License-Identifier: Apache-2.0
"""Where the workers of a crew live (_process_crew.py): a pool in the program's private daemon, and what its workers are made from."""
import itertools
import os
import threading
import time

from .. import _embedded, _fork, _values, _wire, errors

_numbers = itertools.count(1)
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NO_LIMIT = 1 << 30


def forks_program(method):
    """Are a pool's workers to be forks of the program, by multiprocessing's start method (None: as that is set)?"""
    return (_fork.is_default() if method is None else method == "fork") and _fork.can_be()


def _private_daemon():
    try:
        return _embedded.private_daemon()
    except errors.NoDaemon as error:
        if not os.environ.get("OBJPOOL_ADDRESS"):
            raise
        raise errors.NoDaemon(f"{error.message} (OBJPOOL_ADDRESS is not for this: these workers are forks of the program, or run what it sends "
                              "with its rights, and so belong to a daemon of its own)") from None


class Home:
    """A pool of Workers in the private daemon, over a connection of its own. Its workers are forks of the program, or come from a
    template that the daemon starts. That is slow, and the same for all: so one whose crew has ended in order gets new workers, and is
    kept a while for the next crew of that size."""

    KEPT = 10.0         # seconds

    def __init__(self, size, max_tasks=None, setup=None, inheritance=None):
        self.size = size
        self.pool = f"compat-{os.getpid()}-{next(_numbers)}"
        self.may_stay = not max_tasks and inheritance is None
        self._fork = None if inheritance is None else _fork.Fork(inheritance.take)
        self._end = None
        self._timer = None
        try:
            self.connection = _wire.connect(_private_daemon().address, unpickle=True)
            template = {"template": self._fork.address} if self._fork is not None else {
                "python_path": [PACKAGE], "python_options": _fork.worker_options(),
                "preload": ["multiprocessing.process", "objpool.compat._worker"]}
            self._creation = self._start("objpool.create", {
                "pool": self.pool, "plugin": "python", "class": "objpool.compat._worker:Worker", "workers": size, "unpickle": True,
                "args": [] if setup is None else [setup], "slot_kwargs": [{"slot": i} for i in range(size)], **template,
                "max_queue": NO_LIMIT, "max_sticky": "4G", "start_timeout": 86400, "stop_timeout": 0.2, "max_calls": max_tasks or 0})
        except BaseException:
            if self._fork is not None:
                self._fork.end()
            raise

    def _start(self, method, *params):
        entry = _wire.Entry()
        self.connection.start(entry, method, params)
        return entry

    @property
    def stuck(self):
        """Do its workers wait for ever for what the program's threads held when it was forked?"""
        return self._fork is not None and self._fork.stuck

    def await_creation(self):
        for pause in () if self._fork is None else self._fork.pauses():
            if self.connection.wait(self._creation, time.monotonic() + pause):
                break
        if self.stuck:
            self.drop()
        self.connection.wait(self._creation)
        if self._creation.message[2] is not None:
            raise self.failure()

    def failure(self):
        """Why the pool could not be made, if so."""
        self.connection.wait(self._creation)
        error = self._creation.message[2]
        return error and _values.load_error(error, True)

    def clean(self):
        """Gives the pool new workers, and keeps it."""
        if not self.may_stay or self.connection.lost is not None:
            self.leave()
            return
        self._start("objpool.forget", self.pool)
        self._end = self._start("objpool.restart", self.pool)
        self._timer = threading.Timer(self.KEPT, self._expire)
        self._timer.daemon = True
        self._timer.start()
        _homes.keep(self)

    def leave(self):
        """Ends the pool, and what its workers do."""
        try:
            self._end = self._start("objpool.drop", self.pool)
        except errors.ConnectionLost:
            pass
        self.may_stay = False
        if self._fork is not None:
            self._fork.reap_soon(self.await_end)

    def drop(self):
        self.leave()
        self.await_end()

    def await_end(self):
        """Until the crew's workers have ended."""
        if self._end is not None:
            self.connection.wait(self._end)
        if not self.may_stay:
            self.connection.close()
            if self._fork is not None:
                self._fork.end()

    def is_clean(self):
        """Whether it is ready for another crew."""
        self._timer.cancel()
        self.connection.wait(self._end)
        return self.connection.lost is None and self._end.message[2] is None

    def _expire(self):
        if _homes.forget(self):
            self.drop()


def of_forks(size, max_tasks, inheritance, is_awaited):
    """A Home of forks; `is_awaited`: as they take over the inheritance they run the program's code, which is done when this returns."""
    for _ in range(_fork.ATTEMPTS):
        home = Home(size, max_tasks, inheritance=inheritance)
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
    """Those that are kept, the latest last."""

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
        with self._guard:
            found = next((home for home in self._kept if home.size == size), None)
            if found is not None:
                self._kept.remove(found)
        if found is None:
            return None
        if found.is_clean():
            return found
        found.drop()
        return None


_homes = _Homes()


def take(size):
    """One that was kept, or None."""
    return _homes.take(size)


def _after_fork_in_child():
    global _homes
    _homes = _Homes()


os.register_at_fork(after_in_child=_after_fork_in_child)
