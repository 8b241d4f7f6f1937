# SPDX-License-Identifier: Apache-2.0
"""A crew (_crew.py) of processes: the workers of a pool in the program's private daemon. Each has a Worker (_worker.py).

A call goes through these files, in this order:

    _work.py            pickles the function, once for all tasks
    _item_pickler.py    pickles the items of each task
    _outbox.py          writes the request, and sends it
    _in_flight.py       takes the answer
    _answer_reader.py   decodes it, in the thread that asks for the result

The pool has a connection of its own (_home.py), and ends with it, whatever happens to the program.
"""
import pickle
import threading

from .. import _raised, errors
from .._entry import Entry
from . import _home, _setup, _sharing
from ._answer_reader import decode, exception_of
from ._errors import WorkerLost
from ._in_flight import Broadcast, Call, Items, Waited
from ._inherit import Inheritance
from ._item_pickler import ItemPickler, packed_plainly
from ._member import Member
from ._message import AS_THEY_ARE, CALL, ONE
from ._outbox import Outbox, goes_beside
from ._sender import Sender
from ._work import WorkMaker


class ProcessCrew:
    by_value = True

    def __init__(self, size, initializer=None, initargs=(), factory=None, slot_kwargs=None, max_tasks=None, name="Worker",
                 method=None, may_fail=True):
        self.size = size
        self._name = name
        self._ended = None              # the exception that all calls fail with once the crew was terminated
        self._is_over = False
        self._guard = threading.Lock()
        forks = _home.forks_program(method)
        sender = Sender(forks)
        self._works = WorkMaker(sender)
        self._pickler = ItemPickler(sender, self._works)
        has_begin = may_fail and (initializer is not None or factory is not None)
        setup = None
        if forks:
            from . import _worker  # noqa: F401 - the forks then need not import it
            inheritance = Inheritance(initializer, initargs, factory, slot_kwargs, name)
            self._home = _home.of_forks(size, max_tasks, inheritance, has_begin)
        else:
            setup = _setup.pack(sender, name, initializer, initargs, factory, slot_kwargs)
            self._home = _home.of_template(size, max_tasks, setup)
        self._connect()
        self._has_begun = forks and not has_begin       # such workers can't fail to begin, and need not be told how
        try:
            self._begun = self._begin(setup) if not max_tasks and (has_begin or not forks) else None
            if has_begin:
                self._await_begin()
        except BaseException:
            self._home.drop()
            raise

    def _connect(self):
        self.pool, self._connection = self._home.pool, self._home.connection
        self.background = self._connection.background
        self._outbox = Outbox(self._connection, self.pool)
        self._works.start(self._connection, self.pool)

    def _begin(self, setup):
        """Sends the setup to all workers, present and future. Forks get none, and only answer whether they have begun."""
        entry = Entry()
        options = {"errors": "collect"} if setup is None else {"errors": "collect", "sticky": "append"}
        self._connection.start(entry, "objpool.call", [f"{self.pool}:all", "begin", [setup], options])
        return entry

    def _await_begin(self):
        """Until all workers are ready. Raises what the pool's creation, an initializer, or an object's constructor has raised."""
        self._home.await_creation()
        answers = ()
        if self._begun is not None:
            self._connection.wait(self._begun)
            _, _, error, answers = self._begun.message
            if error is not None:
                raise self.error_of(error)
        for error, failed in answers:
            if error is not None:
                raise self.error_of(error)
            if failed is not None:
                raise exception_of(*pickle.loads(failed))
        self._has_begun = True

    def _ready_for(self, tasks):
        """True once all workers are ready. False: they can't be, and the tasks have failed."""
        try:
            self._await_begin()
            return True
        except Exception as error:
            for task in tasks:
                task.fail(error)
            return False

    # Calls

    def work(self, function, mode):
        """What the tasks of a call have in common."""
        return self._works.work(function, mode)

    def call(self, function, args, kwargs):
        """function(*args, **kwargs) by any worker. The caller waits, and reads the answer."""
        if not self._has_begun:
            self._await_begin()
        work = self._works.work(function, CALL)
        entry = Waited()
        try:
            self._send_call(entry, work, args, kwargs)
            self._connection.wait(entry)
        except BaseException:           # raised by a signal handler
            if entry.message is None:
                self._connection.cancel(entry)
            raise
        _, _, error, value = entry.message
        if error is None and type(value) in AS_THEY_ARE:
            return value
        answer = decode(entry.message, self, entry)
        if isinstance(answer, BaseException):
            raise answer
        results, failures, _ = answer
        if failures:
            raise failures[0]
        return results[0]

    def _send_call(self, entry, work, args, kwargs):
        arguments = None if kwargs or self._ended is not None else packed_plainly(args, work)
        if arguments is not None:
            self._outbox.call(entry, arguments)
        else:
            self._outbox.run(entry, self._message([(args, kwargs)], ONE, work))

    def _message(self, items, each, work):
        if self._ended is not None:
            raise self._ended
        return self._pickler.message(items, each, work)

    # Tasks

    def submit(self, tasks, work, slot=None):
        """Hands tasks to any workers, or to the worker `slot`."""
        with _sharing.Sharing() as sharing:
            self._submit(tasks, work, slot, sharing)

    def submit_to_all(self, tasks, work):
        """Gives task i to worker i. There is one task for each worker."""
        with _sharing.Sharing() as sharing:
            for slot, task in enumerate(tasks):
                self._submit([task], work, slot, sharing)

    def _submit(self, tasks, work, slot, sharing):
        if not self._has_begun and not self._ready_for(tasks):
            return
        batch = self._outbox.batch(slot)
        for task in tasks:
            items = task.items
            try:
                parts = self._message(items, task.each, work)
            except Exception as error:
                task.fail(error)
                continue
            entry, in_background = Call(task, self), task.job.in_background
            if goes_beside(parts):
                batch.send()
                self._outbox.run_beside(entry, slot, parts, in_background, sharing, items)
            else:
                batch.add(entry, parts, in_background)
        batch.send()

    def submit_items(self, entry, items, work):
        """Hands out items of imap that share a request, each a chunk of its own."""
        entry.crew = self
        try:
            if not self._has_begun:
                self._await_begin()
            if self._ended is not None or work.error is not None:
                raise self._ended or work.error
            values, names = self._pickler.values(items)
        except Exception as error:
            entry.fail(error)
            return
        entry.bytes = len(values)
        self._outbox.map_items(entry, work.head[4:], values, names, len(items))

    def broadcast(self, tasks, work):
        """Gives the same to each worker. tasks[i] is what worker i does. The message goes to the daemon once."""
        if not self._has_begun and not self._ready_for(tasks):
            return
        try:
            parts = self._message(tasks[0].items, tasks[0].each, work)
        except Exception as error:
            for task in tasks:
                task.fail(error)
            return
        self._outbox.run_by_all(Broadcast(tasks, self), parts, tasks[0].job.in_background)

    # Waiting

    def wait(self, hub, deadline=None):
        return self._connection.wait(hub, deadline)

    def poll(self):
        self._connection.poll()

    def in_background(self, function):
        self._outbox.in_background(function)

    # What programs ask

    def error_of(self, wire):
        """The exception for an error of the daemon's."""
        if self._ended is not None:
            return self._ended
        failed = self._home.failure()
        if failed is not None:
            return failed
        error = _raised.load_error(wire, True)
        if isinstance(error, errors.WorkerLost):
            details = {key: getattr(error, key) for key in ("pool", "slot", "generation", "signal", "exit_status", "ran")}
            return WorkerLost(error.message, **details)
        return error

    def members(self):
        self._await_begin()
        status = self._connection.call("objpool.status", [self.pool])
        slots = status["pools"][0]["slots"]
        return [Member(f"{self._name}-{slot['slot'] + 1}", slot) for slot in slots]

    # The end

    def close(self):
        """Has the workers end in order."""
        self._leave(True)

    def terminate(self, error):
        """Ends the workers. All calls under way fail with this error."""
        with self._guard:
            if self._ended is None:
                self._ended = error
        pending = self._connection.pending
        given_up = [item for item in tuple(pending.items()) if isinstance(item[1], (Call, Waited, Broadcast, Items))]
        if given_up:
            self._has_begun = False             # the workers still run these calls: another crew can't have them
        self._leave(False)                      # the daemon ends the workers meanwhile
        for msgid, entry in given_up:
            if pending.pop(msgid, None) is not None:
                entry.answer([1, msgid, {"code": "CANCELLED", "message": str(error)}, None])

    def _leave(self, in_order):
        with self._guard:
            if self._is_over:
                return
            self._is_over = True
        if self._has_begun:
            self._home.clean(in_order)
        else:
            self._home.leave(in_order)

    def join(self, running=True):
        self._home.await_end()
