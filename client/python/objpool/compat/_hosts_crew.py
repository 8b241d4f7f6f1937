# SPDX-License-Identifier: Apache-2.0
"""A crew (_crew.py) of other machines: the instances of a pool of functions that hosts of a cluster share.

Each task is a call of `chunk` (objpool:Functions) on the host with the least to do (_hosts_choice.py). Functions and classes go by
their names, so hosts must be able to import them.
"""
import functools
import io
import pickle
import threading
import types
from concurrent.futures import CancelledError

from .. import _client
from ._crew import CALL, STAR
from ._errors import PoolTerminated
from ._hosts_choice import Choice
from ._picklers import PROTOCOL
from ._thread_crew import Background

MODES = {CALL: 1, STAR: 1}      # of `chunk`; the others have 0: one argument for each item


class HostsCrew:
    by_value = False

    def __init__(self, hosts, pool, address=None, idempotent=False):
        self._client = _client.connect(address, unpickle=True)
        self._ended = None      # what calls fail with once the crew was terminated
        self._guard = threading.Lock()
        self._under_way = {}    # future -> its Errand, or None: somebody waits for it
        self._background = Background("objpool callbacks")
        try:
            self._hosts = Choice(self._client, hosts, pool, idempotent)
        except BaseException:
            self._client.close()
            raise

    @property
    def size(self):
        """How many instances there were at the beginning."""
        return self._hosts.size

    # Calls

    def work(self, function, mode):
        return mode, function

    def call(self, function, args, kwargs):
        """function(*args, **kwargs) by any instance. The caller waits."""
        argument, tried = packed(CALL, function, [(args, kwargs)]), []
        while True:
            place, error = self._hosts.take(tried), None
            tried.append(place)
            try:
                return self._call(place, argument)
            except BaseException as raised:
                error = raised
                if not self._hosts.may_go_elsewhere(error, tried):
                    raise
            finally:
                self._hosts.give_back(place, error)

    def _call(self, place, argument):
        if self._ended is not None:
            raise self._ended
        future = place.chunk.future(argument)
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
                errand = Errand(task, packed(*work, task.items))
            except Exception as error:
                task.fail(error)
                continue
            self._send(errand)

    def _send(self, errand):
        place = self._hosts.take(errand.tried)
        errand.tried.append(place)
        try:
            if self._ended is not None:
                raise self._ended
            future = place.chunk.future(errand.argument)
        except Exception as error:
            self._hosts.give_back(place, error)
            errand.task.fail(error)
            return
        with self._guard:
            self._under_way[future] = errand
        future.add_done_callback(self._on_done)

    def _on_done(self, future):
        with self._guard:
            errand = self._under_way.pop(future, None)
        if errand is None:
            return
        error = self._ended or PoolTerminated("the call was cancelled") if future.cancelled() else future.exception()
        self._hosts.give_back(errand.tried[-1], error)
        if self._hosts.may_go_elsewhere(error, errand.tried) and self._send_soon(errand):
            return
        if future.cancelled():
            errand.task.fail(error)
        else:
            errand.task.finish(error or functools.partial(outcome, future.result()))

    def _send_soon(self, errand):
        """False: the crew has been terminated."""
        with self._guard:
            if self._ended is None:
                self._background.run(functools.partial(self._send, errand))
            return self._ended is None

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
        for future, errand in given_up:
            future.cancel()
            if errand is not None:
                errand.task.fail(error)
        self._leave()

    def join(self, running=True):
        self._leave()

    def _leave(self):
        self._client.close()
        self._background.stop()


class Errand:
    """A task, and to which places it was given, one after the other."""

    __slots__ = ("task", "argument", "tried")

    def __init__(self, task, argument):
        self.task, self.argument, self.tried = task, argument, []


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
