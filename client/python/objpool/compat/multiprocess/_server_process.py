# SPDX-License-Identifier: Apache-2.0
"""Starts the server of a manager: a pool with one worker, in the program's private daemon or in one that runs already."""
import itertools
import os
import pickle
import select
import signal

from ... import errors
from .. import _home, _setup
from .._inherit import Inheritance
from .._sender import Sender
from . import _link
from ._kinds import in_place_of, keep
from .reduction import ForkingPickler

_PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
_CLASS = "objpool.compat.multiprocess._referents:Referents"
_END_MOST = 10.0     # seconds
_numbers = itertools.count(1)


def start(name, registry, method, initializer, initargs):
    """(address, ServerProcess, Link) of a server in the private daemon. method: the start method of its process."""
    factory = (keep, (registry,))
    if _home.forks_program(method):
        inheritance = Inheritance(initializer, initargs, factory, None, name)
        home = _home.of_forks(1, None, inheritance, True, _CLASS)
    else:
        setup = _setup.pack(Sender(False), name, initializer, initargs, factory, None)
        home = _home.Home(1, None, setup, work=_CLASS)
    try:
        home.await_creation()
        _raise_failure(home.connection.call(f"{home.pool}.begin", [None]))
        address = f"{home.connection.address}#{home.pool}"
        return address, ServerProcess(home, f"{name}-{next(_numbers)}"), _link.adopt(address, home.connection, home.pool)
    except BaseException:
        home.drop()
        raise


def start_shared(address, registry):
    """The Link to the server at an address that names a daemon. It is made if there is none, and stays when this program ends."""
    daemon, pool = _link.parts_of(address)
    try:
        return _link.link_that_answers(address)
    except _link.NoServer as error:
        if isinstance(error.__cause__, errors.NoDaemon):
            raise
    connection = _link.connect(daemon)
    try:
        connection.call("objpool.create", [{
            "pool": pool, "plugin": "python", "class": _CLASS, "workers": 1, "python_path": [_PACKAGE],
            "kwargs": {"registry": bytes(ForkingPickler.dumps(_for_another(registry)))}, "unpickle": True, "owner": "daemon"}])
    except errors.BadArgument:
        pass        # another program was faster, if there is one now
    finally:
        connection.close()
    link = _link.link_to(address)
    _raise_failure(link.ask_daemon("begin", None))
    return link


def _for_another(registry):
    """The registry for a server whose Python may be another version: it has this package's types, and maybe not threading's."""
    return {typeid: (in_place_of(callable), *rest) for typeid, (callable, *rest) in registry.items()}


def end_shared(address):
    """Removes the server at an address that names a daemon."""
    daemon, pool = _link.parts_of(address)
    connection = _link.connect(daemon)
    try:
        connection.call("objpool.drop", [pool])
    except errors.NoSuchPool:
        pass
    finally:
        connection.close()
        _link.forget(address)


def _raise_failure(failed):
    if failed is not None:
        error, text = pickle.loads(failed)
        error = pickle.loads(error)
        error.__cause__ = errors.RemoteTraceback(text)
        raise error


class ServerProcess:
    """The worker's process, as much of it as a Process object tells of its child."""

    def __init__(self, home, name):
        self._home, self.name = home, name
        self.pid = self.ident = home.connection.call("objpool.status", [home.pool])["pools"][0]["slots"][0]["pid"]
        self.authkey, self.daemon = None, True
        self._was_ended = False
        try:
            self._handle = os.pidfd_open(self.pid)
        except OSError:     # it has ended already
            self._handle = -1

    def __repr__(self):
        return f"<ServerProcess name={self.name!r} pid={self.pid} {'started' if self.is_alive() else 'stopped'}>"

    @property
    def sentinel(self):
        return self._handle

    def is_alive(self):
        return not self._has_ended(0)

    @property
    def exitcode(self):
        """None while it runs. 0: it was ended in order; its status otherwise is the daemon's to know."""
        return None if self.is_alive() else 0 if self._was_ended else 1

    def _has_ended(self, timeout):
        if self._handle < 0:
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def join(self, timeout=None):
        self._has_ended(None if timeout is None else max(0, timeout))

    def _signal(self, number):
        if self._handle >= 0:
            try:
                signal.pidfd_send_signal(self._handle, number)
            except ProcessLookupError:
                pass

    def terminate(self):
        self._signal(signal.SIGTERM)

    def kill(self):
        self._signal(signal.SIGKILL)

    def end(self):
        """Removes the pool, and waits until the process has ended."""
        self._was_ended = self.is_alive()
        self._home.drop()
        self.join(_END_MOST)

    def __del__(self):
        try:
            if self._handle >= 0:
                os.close(self._handle)
        except (AttributeError, OSError):
            pass
