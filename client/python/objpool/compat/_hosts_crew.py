# SPDX-License-Identifier: Apache-2.0
"""A crew (_crew.py) of other machines: the instances of a pool of functions that hosts of a cluster share.

Each task is a call of `chunk` (objpool:Functions) on the host with the least to do. Functions and classes go by their names, so hosts
must be able to import them.
"""
import functools
import io
import pickle
import threading
import types
from concurrent.futures import CancelledError

from .. import _client, errors
from ._crew import CALL, STAR
from ._errors import PoolTerminated
from ._picklers import PROTOCOL
from ._thread_crew import Background

MODES = {CALL: 1, STAR: 1}      # of `chunk`; the others have 0: one argument for each item


class HostsCrew:
    by_value = False

    def __init__(self, hosts, pool, address=None, idempotent=False):
        if not isinstance(hosts, str):
            raise TypeError(f'hosts is "*" or the name of one host, and not {hosts!r}')
        self._client = _client.connect(address, unpickle=True)
        self._ended = None      # what calls fail with once the crew was terminated
        self._guard = threading.Lock()
        self._under_way = {}    # future -> its task, or None: somebody waits for it
        self._background = Background("objpool callbacks")
        try:
            self.size = self._count(hosts, pool)
            options = {"idempotent": True} if idempotent else {}
            self._chunk = self._client.pool(pool, host=hosts, **options).chunk
        except BaseException:
            self._client.close()
            raise

    def _count(self, hosts, pool):
        """How many instances there are."""
        told = self._client.call("objpool.hosts")["hosts"]
        there = [host for host in told if host["state"] in ("self", "ready") and hosts in ("*", host["name"])]
        slots = sum(shared["slots"] for host in there for shared in host["pools"] if shared["pool"] == pool)
        if slots == 0:
            where = "no host that is there" if hosts == "*" else f"host {hosts} is not there, or"
            raise errors.Unreachable(f"{where} shares a pool {pool}: `objpool hosts` shows who is there")
        return slots

    # Calls

    def work(self, function, mode):
        return mode, function

    def call(self, function, args, kwargs):
        """function(*args, **kwargs) by any instance. The caller waits."""
        if self._ended is not None:
            raise self._ended
        future = self._chunk.future(packed(CALL, function, [(args, kwargs)]))
        with self._guard:
            self._under_way[future] = None
        try:
            return pickle.loads(future.result())[1][0]
        except CancelledError:
            raise self._ended or PoolTerminated("the call was cancelled") from None
        except BaseException:
            future.cancel()     # a signal handler may have raised
            raise
        finally:
            self._under_way.pop(future, None)

    def submit(self, tasks, work, slot=None):
        for task in tasks:
            try:
                if self._ended is not None:
                    raise self._ended
                future = self._chunk.future(packed(*work, task.items))
            except Exception as error:
                task.fail(error)
                continue
            with self._guard:
                self._under_way[future] = task
            future.add_done_callback(self._on_done)

    def _on_done(self, future):
        with self._guard:
            task = self._under_way.pop(future, None)
        if task is None:
            return
        if future.cancelled():
            task.fail(self._ended or PoolTerminated("the call was cancelled"))
        else:
            task.finish(future.exception() or functools.partial(outcome, future.result()))

    def submit_to_all(self, tasks, work):
        raise ValueError("over hosts no call goes to a certain worker")

    # What the pool asks

    def members(self):
        return []       # they are no processes of this machine

    def wait(self, hub, deadline=None):
        return hub.wait(deadline)

    def poll(self):
        pass

    def in_background(self, function):
        self._background.run(function)

    def close(self):
        """Nothing is under way any more: the instances stay, for others."""

    def terminate(self, error):
        """Cancels what is under way. Its callers get the error."""
        with self._guard:
            if self._ended is None:
                self._ended = error
            given_up = list(self._under_way.items())
            self._under_way.clear()
        for future, task in given_up:
            future.cancel()
            if task is not None:
                task.fail(error)
        self._leave()

    def join(self, running=True):
        self._leave()

    def _leave(self):
        self._client.close()
        self._background.stop()


def outcome(answer):
    """What Task.outcome gives."""
    return pickle.loads(answer)[1], None, 0


class _ByName(pickle.Pickler):
    """Refuses what other machines can't import."""

    def reducer_override(self, thing):
        if isinstance(thing, (types.FunctionType, type)) and thing.__module__ == "__main__":
            raise pickle.PicklingError(f"{thing!r} can't go to other hosts: it is of the program itself, __main__. "
                                       "Put it in a module that each host can import")
        if isinstance(thing, types.FunctionType) and "<" in thing.__qualname__:
            raise pickle.PicklingError(f"{thing!r} can't go to other hosts: it has no name by which they could import it. "
                                       "Define it at the top of a module that each host can import")
        return NotImplemented


def packed(mode, function, items):
    """The argument of `chunk`."""
    if mode == CALL:
        [(args, kwargs)] = items
        function, items = functools.partial(function, **kwargs) if kwargs else function, [args]
    file = io.BytesIO()
    _ByName(file, PROTOCOL).dump((function, list(items), MODES.get(mode, 0)))
    return file.getvalue()
