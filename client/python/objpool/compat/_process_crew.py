# SPDX-License-Identifier: Apache-2.0
"""The workers of a pool of its own in the program's private daemon; in each a Worker (_worker.py).

A pool has a connection for itself: with it goes the pool, whatever happens to the program.
"""
import array
import atexit
import collections
import functools
import os
import pickle
import struct
import sys
import threading
import types
import weakref
from multiprocessing import process

import msgpack

from .. import _embedded, _files, _fork, _values, _wire, errors
from . import _errors, _home, _modules, _pickling, _sharing, _worker  # noqa: F401 - forks have _worker, and need not import it
from ._errors import WorkerLost
from ._inherit import Inheritance
from ._message import APART, AS_THEY_ARE, ATOMS, CALL, ONE, PICKLED, PIECE, PIECES
from ._names import is_found_by_name
from ._pickling import PROTOCOL
from ._rebuild import FORKED
from ._sender import Sender

AT_ONCE = 1 << 16
_u32 = struct.Struct(">I").pack
_GONE = {"code": "WORKER_LOST", "message": "the worker has gone"}


class Call(_wire.Entry):
    """A task's message to a worker, in flight."""

    __slots__ = ("task", "crew")

    def __init__(self, task, crew):
        super().__init__()
        self.task, self.crew = task, crew

    def answer(self, message):
        self.message = self.news = message
        task, crew = self.task, self.crew
        if task is not None:
            task.finish(Answer(message, crew, self))
            crew.background.wanted.discard(self.id)
            self.task = None


class Waited(_wire.Entry):
    """A call whose caller waits for it: nobody else need know that it is done."""


class Broadcast(_wire.Entry):
    """A task for each worker, as one message."""

    __slots__ = ("tasks", "crew")

    def __init__(self, tasks, crew):
        super().__init__()
        self.tasks, self.crew = tasks, crew

    def answer(self, message):
        self.message = self.news = message
        _, msgid, error, answers = message
        for slot, task in enumerate(self.tasks):
            failed, data = (error, None) if error is not None else answers[slot] if slot < len(answers) else (_GONE, None)
            task.finish(Answer([1, msgid, failed, data], self.crew, self))
        self.crew.background.wanted.discard(self.id)
        self.tasks = ()


class Answer:
    """What came for a task; decoded by who calls it."""

    __slots__ = ("message", "crew", "entry")

    def __init__(self, message, crew, entry):
        self.message, self.crew, self.entry = message, crew, entry

    def __call__(self):
        return decode(self.message, self.crew, self.entry)


def decode(message, crew, entry):
    """(results, failures, nanoseconds), or an exception."""
    _, _, error, data = message
    if entry.outgoing is not None:
        if error is None:
            entry.outgoing.release()
        entry.outgoing = None
    if error is not None:
        return crew.error_of(error)
    try:
        results, failures, elapsed = pickle.loads(data if type(data) is bytes else _values.load(data))
    except Exception as error:
        return error
    if type(results) is array.array:
        results = results.tolist()
    return results, failures and {index: rebuild(*failure) for index, failure in failures.items()}, elapsed


def rebuild(data, text):
    """The exception that a worker sent."""
    try:
        error = pickle.loads(data)
    except BaseException as refused:
        error = refused
    error.__cause__ = _errors.RemoteTraceback(f'\n"""\n{text}"""')
    return error


class Items(_wire.Entry):
    """Items of imap that share a message. Each is a chunk of its own: the daemon hands them out, and their results come as they are there."""

    def __init__(self, job, size):
        super().__init__()
        self.job, self.size, self.left = job, size, size
        self.pieces = collections.deque()       # ordered: results that have come and are not taken
        self.done = False
        self.crew = None

    def notify(self, name, params):
        if self.done or params[-1] is _TAKEN:
            return
        if name == "objpool.results":
            piece = Piece(params[2], None, len(params[2]), self.crew)
        elif name == "objpool.result":
            piece = Piece(None, params[2], 1, self.crew)
        else:
            return
        left = self.left - piece.size
        params[-1] = _TAKEN         # nothing can interrupt between these three
        self.left = left
        self.job.on_piece(self, piece)

    def answer(self, message):
        self.message = self.news = message
        if not self.done:
            if message[2] is None:
                self.job.on_pace(message[3]["item_ns"])
            self.fail(message[2])

    def fail(self, error):
        """All that have no result yet have this one. None: there are none."""
        if self.left:
            piece, self.left = Piece(None, error, self.left, self.crew), 0
            self.job.on_piece(self, piece)
        self.done = True
        self.job.on_items_done(self)


_TAKEN = object()


class Piece:
    """Results of items that follow each other: values as they came, or what they have failed with."""

    __slots__ = ("values", "error", "size", "crew")

    def __init__(self, values, error, size, crew):
        self.values, self.error, self.size, self.crew = values, error, size, crew

    def results(self, failure):
        if self.values is None:
            error = self.error if isinstance(self.error, BaseException) else self.crew.error_of(self.error)
            return [failure(error)] * self.size
        if AS_THEY_ARE.issuperset(map(type, self.values)):
            return self.values
        return [value if type(value) in AS_THEY_ARE else _unpickled(value, failure) for value in self.values]


def _unpickled(data, failure):
    try:
        results, failures, _ = pickle.loads(data if type(data) is bytes else _values.load(data))
    except Exception as error:
        return failure(error)
    return failure(rebuild(*failures[0])) if failures else results[0]


class Work:
    """What the tasks of one call have in common: the head of their messages, with its length; `packed` as an argument of its own."""

    __slots__ = ("head", "error", "names", "packed", "specs")

    def __init__(self, head=b"", error=None, names=None, specs=()):
        self.head = len(head).to_bytes(4, "big") + head
        self.error, self.names, self.specs = error, names, specs
        self.packed = b"\xc6" + self.head if error is None and len(head) < 4096 else None

    def is_current(self, crew):
        return sys.path == crew._path and (not self.names or crew._sender.is_current(self.names)) and _modules.are_current(self.specs)


def _is_stateless(function):
    """True if a worker may keep the function from chunk to chunk; otherwise each chunk gets a copy of its own."""
    if isinstance(function, types.FunctionType):
        return not function.__closure__
    if isinstance(function, types.BuiltinFunctionType):
        return function.__self__ is None or isinstance(function.__self__, types.ModuleType)
    return isinstance(function, type) or type(function) is types.MethodDescriptorType or (
        isinstance(function, types.MethodType) and isinstance(function.__self__, type)) or (
        type(function) is functools.partial and _is_stateless(function.func) and
        all(type(value) in ATOMS for value in (*function.args, *function.keywords.values())))


class Member:
    """A worker as programs look at it: pool._pool[0].pid"""

    def __init__(self, name, slot):
        self.name, self.pid, self.daemon = name, slot["pid"], True
        self.ident = self.pid
        self._state = slot["state"]

    @property
    def exitcode(self):
        return None if self.is_alive() else 1

    def is_alive(self):
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True

    def __repr__(self):
        return f"<{self.name} pid={self.pid} {self._state}>"


class ProcessCrew:
    by_value = True

    def __init__(self, size, initializer=None, initargs=(), factory=None, slot_kwargs=None, max_tasks=None, name="Worker", method=None,
                 may_fail=True):
        self.size = size
        self._name = name
        forks = _home.forks_program(method)
        self._sender = Sender(forks)
        self._works = {}
        _crews.add(self)
        self._told = {FORKED}   # definitions that all workers have
        self._path = list(sys.path)     # as it was when the workers were told
        self._reloads = _modules.Reloads()
        has_begin = may_fail and (initializer is not None or factory is not None)
        setup = None if forks else self._setup(initializer, initargs, factory, slot_kwargs)
        if forks:
            self._home = _home.of_forks(size, max_tasks, Inheritance(initializer, initargs, factory, slot_kwargs, name), has_begin)
        elif max_tasks:
            self._home = _home.Home(size, max_tasks, setup)
        else:
            self._home = _home.take(size) or _home.Home(size)
        self.pool, self._connection = self._home.pool, self._home.connection
        self.background = self._connection.background
        self._method = self._method_of("")
        self._call_method = _packed(f"{self.pool}.call") + b"\x92"
        self._ended = None
        self._guard = threading.Lock()
        self._is_over = False
        self._has_begun = forks and not has_begin       # nothing can go wrong there, nor need be told
        try:
            self._begun = self._begin(setup) if not max_tasks and (has_begin or not forks) else None
            if has_begin:
                self._await_begin()
        except BaseException:
            self._home.drop()
            raise

    def _begin(self, setup):
        """Tells it to all workers, present and future; forks know, and say only what came of it."""
        entry = _wire.Entry()
        self._connection.start(entry, "objpool.call", [f"{self.pool}:all", "begin", [setup], {"errors": "collect", **({} if setup is None else {"sticky": "append"})}])
        return entry

    def _setup(self, initializer, initargs, factory, slot_kwargs):
        code, names = self._sender.dumps((initializer and (initializer, tuple(initargs)), factory and (*factory, slot_kwargs or [{}])))
        names = names or {}
        current = process.current_process()
        return pickle.dumps({
            "path": _fork.worker_path(self._path), "modules": _modules.elsewhere(), "recursion": sys.getrecursionlimit(),
            "cwd": _embedded.absolute(""), "environ": dict(os.environ), "argv": sys.argv, "umask": _umask(),
            "pid": os.getpid(), "output": list(filter(_embedded.is_standard, (1, 2))),
            "authkey": bytes(current.authkey), "name": self._name, "parent": current.name,
            "names": names, "definitions": self._sender.definitions(names.values()), "code": code}, PROTOCOL)

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
                raise rebuild(*pickle.loads(failed))
        self._has_begun = True

    # Calls

    def work(self, function, mode):
        """Pickles the function once for all tasks; one that is known by its name once for all calls."""
        if type(function) not in (types.FunctionType, types.BuiltinFunctionType):
            return self._make_work(function, mode)[0]
        kept = self._works.get((function, mode))
        if kept is not None and kept.is_current(self):
            return kept
        work, by_name = self._make_work(function, mode)
        if by_name:
            if len(self._works) >= 100:
                self._works.clear()
            self._works[function, mode] = work
        return work

    def _make_work(self, function, mode):
        """(Work, whether it stays right for as long as the names mean the same)"""
        try:
            code, names = self._sender.dumps(function)
        except Exception as error:
            return Work(error=error), False
        path = None
        if sys.path != self._path:
            path = _fork.worker_path(folder for folder in sys.path if folder not in self._path)
        fresh = not _is_stateless(function)
        definitions = self._untold(names)
        head = pickle.dumps((mode, code, fresh, names, definitions, path, self._reloads.look()), PROTOCOL)
        by_name = definitions is None and path is None and not fresh and (
            type(function) is types.BuiltinFunctionType or is_found_by_name(function))
        return Work(head, names=names, specs=_modules.specs_of(function, names) if by_name else ()), by_name

    def _untold(self, names):
        """Definitions that the message has to bring along: those that not all workers are known to have."""
        if not names:
            return None
        new = set(names.values()) - self._told
        if not new:
            return None
        definitions = self._sender.definitions(new)
        Telling(self, definitions)
        return definitions

    def submit(self, tasks, work, slot=None):
        """Hands tasks to whoever is free, or to that worker."""
        with _sharing.Sharing() as sharing:
            self._submit(tasks, work, slot, sharing)

    def _submit(self, tasks, work, slot, sharing):
        if not self._has_begun and not self._ready_for(tasks):
            return
        method = self._method if slot is None else self._method_of(f":{slot}")
        waiting, size = [], 0
        for task in tasks:
            items = task.items
            try:
                parts = self._message(items, task.each, work)
            except Exception as error:
                task.fail(error)
                continue
            if _goes_beside(parts):
                self._send(waiting)
                waiting, size = [], 0
                entry = Call(task, self)
                in_background = task.job.in_background
                self._send_large(entry, f"{self.pool}.run" if slot is None else f"{self.pool}:{slot}.run", parts, sharing=sharing, items=items)
                if in_background:
                    self._await_in_background(entry)
                continue
            self._enqueue(task, method, parts, waiting)
            size += sum(map(len, parts))
            if size >= AT_ONCE:         # workers begin while the rest is pickled
                self._send(waiting)
                waiting, size = [], 0
        self._send(waiting)

    def submit_items(self, entry, items, work):
        """Hands out items that share a message, each a chunk of its own."""
        entry.crew = self
        try:
            if not self._has_begun:
                self._await_begin()
            if self._ended is not None or work.error is not None:
                raise self._ended or work.error
            values, names = self._item_values(items)
        except Exception as error:
            entry.fail(error)
            return
        msgid = self._connection.add(entry)
        options = {"bind": [msgid, work.head[4:], names], "errors": "collect", "stream": "runs", "ordered": entry.job.ordered, "window": len(items),
                   "chunk": len(items)}
        self._send([b"\x94\x00\xce%b%b%b" % (_u32(msgid), _FULL_CALL, _packed(f"{self.pool}:map")), _packed("item"), b"\x91",
                    values, _plain_packer.pack(options)])

    def _item_values(self, items):
        """Packed for `item` of Worker; and what of the program's __main__ their pickles look up."""
        if AS_THEY_ARE.issuperset(map(type, items)):
            try:
                return _plain_packer.pack(items), None
            except (ValueError, OverflowError):     # large integers; text that is no Unicode
                pass
        values, names = [], {}
        for item in items:
            try:
                data, more = self._sender.dumps(item)
            except Exception as error:
                data, more = _pickling.raising(error), None
            values.append(data)
            names.update(more or {})
        return _plain_packer.pack(values), pickle.dumps((names, self._untold(names)), PROTOCOL) if names else None

    def call(self, function, args, kwargs):
        """function(*args, **kwargs) by whoever is free; the caller reads the answer."""
        if not self._has_begun:
            self._await_begin()
        work = self.work(function, CALL)
        entry = Waited()
        try:
            self._send_call(entry, work, args, kwargs)
            self._connection.wait(entry)
        except BaseException:           # a signal handler's
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
        packed = None if kwargs or self._ended is not None else _packed_plainly(args, work)
        if packed is not None:
            self._send_at_once(b"\x94\x00\xce%b%b%b" % (_u32(self._connection.add(entry)), self._call_method, packed))
            return
        parts = self._message([(args, kwargs)], ONE, work)
        if _goes_beside(parts):
            self._send_large(entry, f"{self.pool}.run", parts)
        else:
            self._send_at_once(self._head_of(entry, self._method, parts) + parts[0] + parts[1])

    def _head_of(self, entry, method, parts):
        return b"\x94\x00\xce%b%b%b" % (_u32(self._connection.add(entry)), method, _u32(sum(map(len, parts))))

    def _ready_for(self, tasks):
        try:
            self._await_begin()
            return True
        except Exception as error:
            for task in tasks:
                task.fail(error)
            return False

    def _enqueue(self, task, method, parts, waiting):
        entry = Call(task, self)
        head = self._head_of(entry, method, parts)
        if task.job.in_background:
            self.background.wanted.add(entry.id)
        waiting += (head, *parts)

    def _send_large(self, entry, method, parts, target=None, sharing=None, items=()):
        """A message that goes beside the socket; arrays are arguments of their own, and workers look at the same memory."""
        head, body, *buffers = parts
        params = [head + body]
        if buffers:
            params += map(_sharing.bytes_of, buffers) if sharing is None else sharing.arguments(buffers, items)
        if target is not None:
            params = [target, "run", params, {"errors": "collect"}]
        try:
            self._connection.start(entry, method, params)
        except errors.ConnectionLost:
            entry.answer([1, entry.id, {"code": "CONNECTION_LOST", "message": "the connection to the daemon was lost"}, None])

    def _await_in_background(self, entry):
        """The answer to what has been sent is for nobody who waits."""
        wanted = self.background.wanted
        wanted.add(entry.id)
        if entry.message is not None:
            wanted.discard(entry.id)
        self.background.start()
        self.background.call()

    def _send(self, parts):
        if not parts:
            return
        self._send_at_once(*_joined(parts))
        if self.background.wanted and self._connection.lost is None:
            self.background.start()
            self.background.call()

    def _send_at_once(self, *runs):
        try:
            self._connection.send_all(list(runs))
        except errors.ConnectionLost:
            pass        # all that is in flight has been told
        if self._connection.lost is not None:
            self._connection.answer_all(self._connection.lost)

    def _method_of(self, selector):
        return _packed(f"{self.pool}{selector}.run") + b"\x91\xc6"

    def _message(self, items, each, work):
        if self._ended is not None:
            raise self._ended
        if work.error is not None:
            raise work.error
        if each == APART and not set(map(type, items)) <= ATOMS:
            return self._message_apart(items, work)
        large = [] if "numpy" in sys.modules else None
        if each == ONE and len(items) > PIECE and type(items) in (list, tuple):
            data = _pickling.dumps_pieces(PIECES, items if type(items) is list else list(items), PIECE)
            if data is not None:
                return work.head, data
        data, names = self._sender.dumps((each, items), large)
        if names or large:
            return self._named(work, data, names, large)
        return work.head, data

    def _message_apart(self, items, work, aside=True):
        """Each item is pickled by itself, so that it is what it would be if it went alone."""
        pickled, names, together = [], {}, _sharing.Together(items)
        for item in items:
            large = [] if aside and "numpy" in sys.modules else None
            try:
                data, more = self._sender.dumps(item, large)
            except Exception as error:
                data, more, large = _pickling.raising(error), None, None
            pickled.append((data, together.indexes(large)) if large else data)
            names.update(more or {})
        large = together.buffers
        if _sharing.may_have_changed(large, items):
            return self._message_apart(items, work, False)
        data, _ = self._sender.dumps((PICKLED, pickled))
        return self._named(work, data, names, large) if names or large else (work.head, data)

    def _named(self, work, data, names, large=()):
        body = pickle.dumps((None, data, names, self._untold(names), [buffer.readonly for buffer in large or ()]), PROTOCOL)
        return (work.head, body, *(large or ()))

    def submit_to_all(self, tasks, work):
        """Task i to worker i, each exactly one."""
        with _sharing.Sharing() as sharing:
            for slot, task in enumerate(tasks):
                self._submit([task], work, slot, sharing)

    def broadcast(self, tasks, work):
        """The same to each worker: tasks[i] is what worker i does. It goes to the daemon once."""
        if not self._has_begun and not self._ready_for(tasks):
            return
        try:
            parts = self._message(tasks[0].items, tasks[0].each, work)
        except Exception as error:
            for task in tasks:
                task.fail(error)
            return
        entry = Broadcast(tasks, self)
        if _goes_beside(parts):
            in_background = tasks[0].job.in_background
            self._send_large(entry, "objpool.call", parts, f"{self.pool}:all")
            if in_background:
                self._await_in_background(entry)
            return
        head = b"".join((b"\x94\x00\xce", self._connection.add(entry).to_bytes(4, "big"), _FULL_CALL, _packed(f"{self.pool}:all"),
                         _packed("run"), b"\x91\xc6", sum(map(len, parts)).to_bytes(4, "big")))
        if tasks[0].job.in_background:
            self.background.wanted.add(entry.id)
        self._send([head, *parts, _COLLECT])

    # Waiting

    def wait(self, hub, deadline=None):
        return self._connection.wait(hub, deadline)

    def poll(self):
        self._connection.poll()

    def in_background(self, function):
        self.background.finished.append(function)
        self.background.start()
        self.background.call()

    # Errors

    def error_of(self, wire):
        if self._ended is not None:
            return self._ended
        failed = self._home.failure()
        if failed is not None:
            return failed
        error = _values.load_error(wire, True)
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
        self._leave()

    def terminate(self, error):
        with self._guard:
            if self._ended is None:
                self._ended = error
        pending = self._connection.pending
        given_up = [item for item in tuple(pending.items()) if isinstance(item[1], (Call, Waited, Broadcast, Items))]
        if given_up:
            self._has_begun = False             # workers are at it still: they can't be used again
        self._leave()                           # the daemon ends them meanwhile
        for msgid, entry in given_up:
            if pending.pop(msgid, None) is not None:
                entry.answer([1, msgid, {"code": "CANCELLED", "message": str(error)}, None])

    def _leave(self):
        with self._guard:
            if self._is_over:
                return
            self._is_over = True
        if self._has_begun:
            self._home.clean()
        else:
            self._home.leave()

    def join(self, running=True):
        self._home.await_end()


_crews = weakref.WeakSet()


@atexit.register
def _let_go():
    """What the program has in its __main__ is not to outlive it because a pool is running."""
    for crew in tuple(_crews):
        crew._works.clear()
        crew._sender.forget()


class Telling(_wire.Entry):
    """Definitions on their way to all workers, present and future."""

    __slots__ = ("crew", "digests")

    def __init__(self, crew, definitions):
        super().__init__()
        self.crew, self.digests = crew, set(definitions)
        data = pickle.dumps(definitions, PROTOCOL)
        crew._connection.start(self, "objpool.call", [f"{crew.pool}:all", "define", [data], {"sticky": "append"}])

    def answer(self, message):
        super().answer(message)
        if message[2] is None:
            self.crew._told |= self.digests


def _goes_beside(parts):
    return len(parts) > 2 or len(parts[1]) >= _files.MIN


_plain_packer = msgpack.Packer(use_bin_type=True)


def _packed_plainly(args, work):
    """The parameters of a Worker's `call`, packed; None: they are for `run`."""
    if work.packed is None or type(args) is not tuple or not AS_THEY_ARE.issuperset(map(type, args)):
        return None
    try:
        data = _plain_packer.pack(args)
    except (ValueError, OverflowError):     # large integers; text that is no Unicode
        return None
    return work.packed + data if len(data) < _files.MIN else None


def _packed(text):
    text = text.encode()
    return bytes([0xD9, len(text)]) + text


_FULL_CALL = _packed("objpool.call") + b"\x94"
_COLLECT = b"\x81" + _packed("errors") + _packed("collect")


def _umask():
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith("Umask:"))
    except (OSError, StopIteration):
        return 0o022


def _joined(parts, most=AT_ONCE):
    """Small parts in one piece, large ones as they are."""
    run, size = [], 0
    for part in parts:
        if len(part) >= most:
            if run:
                yield b"".join(run)
                run, size = [], 0
            yield part
            continue
        run.append(part)
        size += len(part)
        if size >= 4 * most:
            yield b"".join(run)
            run, size = [], 0
    if run:
        yield b"".join(run)
