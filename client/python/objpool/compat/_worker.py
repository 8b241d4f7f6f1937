# SPDX-License-Identifier: Apache-2.0
"""What runs in the workers of the compatible pools: one Worker in each, whose method `run` does the items of a message.

    message   u32, length of the head; head; body
    head      pickle of (mode, function, fresh, names, definitions, path, reloads): the same for all messages of a call
                mode         CALL f(*item[0], **item[1]); MAP f(item); STAR f(*item); NAMED f(**item)
                function     pickled by itself
                fresh        the function has state: each chunk gets a copy
                names        what of the program's __main__ it may look up (_travel.py), or None
                definitions  of names that this worker may not have been told yet (`define`), or None
                path         what the program has added to sys.path, or None
                reloads      {module: how often the program has reloaded it since it made the pool}, or None
    body      pickle of (each, items), or of (None, that pickle, names, definitions, readonly)
                each         ONE: items are one chunk, which ends with the first exception. APART: each stands for itself.
                             PICKLED: and is pickled by itself: bytes, or (bytes, the indexes of its buffers). PIECES: as ONE;
                             items says how many lists of them follow, by the same pickler
                readonly     for each buffer that is an argument of its own: whether the program's may not be written to either
    answer    pickle of (results, failures, nanoseconds): failures None, or {index: (pickled exception, text of its traceback)};
              results that are many integers, or floats, are an array.array

A call whose arguments msgpack knows as well is one of `call`(head, arguments); its answer is the result if that is such a value, else the same pickle.
Short items of imap go as a map of `item`(number of the message, head, names, item): the daemon hands them out, and takes back what waits behind a long one.
"""
import array
import functools
import io
import itertools
import os
import pickle
import struct
import sys
import threading
import time

from . import _descriptors, _modules, _travel

CALL, MAP, STAR, NAMED = range(4)
ONE, APART, PICKLED, PIECES = range(4)

PACKED = {int: "iq", float: "d"}
PACK_FROM = 64
PIECE = 4096    # items of a long chunk: so many stay in the CPU's cache, and what they take of memory is used again
AS_THEY_ARE = frozenset({int, float, bool, type(None), str})    # on the wire; ints of 64 bits, and text in ASCII
INT_MOST = (1 << 63) - 1

inherited = None        # in workers that are forks of the program: its Inheritance
is_worker = False
child = None            # in a process that a function has forked in a worker: its thread


def _after_fork_in_child():
    global child
    child = threading.get_ident() if is_worker else None


os.register_at_fork(after_in_child=_after_fork_in_child)


def is_plain(result):
    """Does it go on the wire as it is?"""
    kind = type(result)
    if kind is int:
        return -INT_MOST <= result <= INT_MOST
    return kind in AS_THEY_ARE and (kind is not str or result.isascii())


def caught(error):
    """An exception that is the answer of an item; a child of the worker ends with it."""
    if child == threading.get_ident():
        raise error
    return error


def run_items(mode, function, items, results):
    """Appends to results; what an item raises goes through."""
    append = results.append
    if mode == MAP:
        for item in items:
            append(function(item))
    elif mode == STAR:
        for item in items:
            append(function(*item))
    elif mode == NAMED:
        for item in items:
            append(function(**item))
    else:
        for args, kwargs in items:
            append(function(*args, **kwargs))


def run_chunk(mode, function, items):
    """(results, None), or (results before it, {0: the exception})."""
    try:
        if mode == MAP:
            return [function(item) for item in items], None  # list(map()) would take a StopIteration for its end
        if mode == CALL and len(items) == 1:
            args, kwargs = items[0]
            return [function(*args, **kwargs)], None
    except BaseException as error:
        return [], {0: caught(error)}
    results = []
    try:
        run_items(mode, function, items, results)
    except BaseException as error:
        return results, {0: caught(error)}
    return results, None


def run_pieces(mode, function, pieces):
    """The same, of a chunk in several lists, which are used up; results may be an array."""
    results = []
    for piece in pieces:
        done, failures = run_chunk(mode, function, piece)
        piece.clear()       # the unpickler keeps the list
        if failures is not None:
            return [], failures
        results = joined(results, packed(done, 1))
    return results, None


def run_apart(mode, function, items):
    """(results, None or {index: exception}): each item is a chunk of its own."""
    results, failures = [], {}
    items = iter(items)
    while True:
        try:
            run_items(mode, function, items, results)
            return results, failures or None
        except BaseException as error:
            failures[len(results)] = caught(error)
            results.append(None)


def run_fresh(mode, load, items):
    results, failures = [], {}
    for item in items:
        try:
            run_items(mode, load(), (item,), results)
        except BaseException as error:
            failures[len(results)] = caught(error)
            results.append(None)
    return results, failures or None


def not_sent(reason, value):
    """The error of a result, or an exception, that can't be sent, or not be rebuilt."""
    from multiprocessing.pool import MaybeEncodingError
    try:
        return MaybeEncodingError(reason, value)
    except Exception as error:      # of its repr()
        return MaybeEncodingError(reason, f"<{type(value).__name__} whose repr() raises {type(error).__name__}>")


class OnObject:
    """A function that is called with the worker's object, or, by its name, a method of that."""

    def __init__(self, function):
        self.function = function

    def bind(self, instance):
        function = self.function
        if not isinstance(function, str):
            return functools.partial(function, instance)
        if callable(getattr(type(instance), function)):         # it is the class that must have it
            return getattr(instance, function)
        return lambda: getattr(instance, function)              # a property is read


class Inheritance:
    """What a program leaves to the workers that are its forks. Nothing of it is ever pickled."""

    def __init__(self, initializer, initargs, factory, slot_kwargs, name):
        from multiprocessing import process
        self.initializer, self.initargs, self.factory, self.slot_kwargs, self.name = initializer, initargs, factory, slot_kwargs, name
        self.program, self.parent = os.getpid(), process.current_process().name

    def take(self):
        """In the fork that is to be the template."""
        global inherited
        inherited = self

    def begin(self, slot):
        """In the worker. Returns its object."""
        _name_process(self.name, slot, self.parent, self.program)
        if self.initializer is not None:
            self.initializer(*self.initargs)
        if self.factory is None:
            return None
        make, args, kwargs = self.factory[0], self.factory[1], self.slot_kwargs or [{}]
        return make(*args, **kwargs[slot % len(kwargs)])


class Worker:
    """slot: which of the pool's workers this is; setup: what `begin` is given, if that is not to count as a call."""

    def __init__(self, setup=None, slot=0):
        global is_worker, child
        is_worker, child = True, None
        self._slot = slot
        self._namespace = _travel.Namespace()
        self._definitions = {}
        self._heads = {}
        self._functions = {}
        self._called = {}           # head -> function, where that is all that the head says
        self._items = (None, None, None)    # number of the message that `item` was last called for, function; or what it is loaded from
        self._path = set(sys.path)
        self._reloader = _modules.Reloader()
        self.object = None
        self._broken = None
        if inherited is not None:
            self._namespace.inherit()
            self._try(lambda: setattr(self, "object", inherited.begin(slot)))
        elif setup is not None:
            self.begin(setup)

    def begin(self, setup=None):
        """Becomes a worker of the program, if it isn't one by birth; a pickle of (pickled exception, text of its traceback) if that failed."""
        if setup is not None:
            self._try(lambda: self._begin(pickle.loads(setup), self._slot))
        if self._broken is not None:
            return pickle.dumps(self._failure(self._broken))

    def _try(self, begin):
        try:
            begin()
        except BaseException as error:
            self._broken = error

    def _begin(self, setup, slot):
        _become(setup, slot)
        self._extend_path(setup["path"])
        if setup["modules"]:
            sys.meta_path.append(_modules.Finder(setup["modules"]))
        self._take(setup["names"], setup["definitions"])
        initializer, factory = pickle.loads(setup["code"])
        if initializer is not None:
            initializer[0](*initializer[1])
        if factory is not None:
            make, args, kwargs = factory
            self.object = make(*args, **kwargs[slot % len(kwargs)])

    def define(self, definitions):
        """Keeps definitions of what the program has in __main__ until they are needed."""
        self._definitions.update(pickle.loads(definitions))

    def run(self, message, *large):
        """Runs items; see the top of the file."""
        begun = time.perf_counter_ns()
        size = int.from_bytes(message[:4], "big") + 4
        mode, each, items = MAP, ONE, [None]
        try:
            mode, function, fresh = self._work(message[4:size])[:3]
            each, items, *rest = pickle.loads(memoryview(message)[size:])
            if each is None:
                each, items = self._body(items, *rest, large)
            if each == PIECES:
                each = ONE
                results, failures = run_pieces(mode, self._load(function, fresh), pieces_in(memoryview(message)[size:]))
            else:
                results, failures = self._run(mode, function, items, each, fresh)
        except BaseException as error:      # the function or an item could not be loaded
            caught(error)
            results, failures = ([], {0: error}) if each == ONE else ([None] * len(items), dict.fromkeys(range(len(items)), error))
        elapsed = time.perf_counter_ns() - begun
        flush_output()
        return self._answer(results, failures, each, mode, elapsed)

    def call(self, head, args):
        """function(*args)"""
        try:
            result = (self._called.get(head) or self._function_of(head))(*args)
        except BaseException as error:
            flush_output()
            return self._answer([], {0: caught(error)}, ONE, CALL, 0)
        flush_output()
        return result if is_plain(result) else self._answer([result], None, ONE, CALL, 0)

    def item(self, number, head, names, value):
        """function(item), of the items that share message `number`: what is no value of AS_THEY_ARE is a pickle, and the same goes for the result."""
        try:
            if number != self._items[0]:
                self._begin_items(number, head, names)
            function = self._items[1]
            if function is None:
                function = self._load(self._items[2], True)
            result = function(pickle.loads(value) if type(value) is bytes else value)
        except BaseException as error:
            flush_output()
            return self._answer([], {0: caught(error)}, ONE, CALL, 0)
        flush_output()
        return result if is_plain(result) else self._answer([result], None, ONE, CALL, 0)

    def _begin_items(self, number, head, names):
        """The function is loaded once for all of a message, unless each item is to have a fresh one."""
        _, data, fresh = self._work(head)[:3]
        if names is not None:
            self._take(*pickle.loads(names))
        self._items = (number, None, data) if fresh else (number, self._load(data, False), None)

    def _function_of(self, head):
        _, data, fresh, names, _, path, reloads = self._work(head)
        function = self._load(data, fresh)
        if data in self._functions and names is None and path is None and reloads is None:
            if len(self._called) >= 100:
                self._called.clear()
            self._called[head] = function
        return function

    def _work(self, head):
        """What the head says; this worker has then all that the function needs."""
        if self._broken is not None:
            raise self._broken
        work = self._heads.get(head) or self._head(head)
        _, _, _, names, definitions, path, reloads = work
        if path is not None:
            self._extend_path(path)
        if reloads is not None and self._reloader.follow(reloads):
            self._functions.clear()
            self._called.clear()
        if names is not None:
            self._take(names, definitions)
        return work

    def _head(self, data):
        found = pickle.loads(data)
        if len(self._heads) >= 100:
            self._heads.clear()
        if len(data) < 4096:
            self._heads[data] = found
        return found

    def _body(self, data, names, definitions, readonly, large):
        if names:
            self._take(names, definitions)
        each, items = pickle.loads(data, buffers=map(buffer_of, large, readonly))
        if each == PICKLED:
            items = [item if type(item) is bytes else (item[0], [(large[i], readonly[i]) for i in item[1]]) for item in items]
        return each, items

    def _take(self, names, definitions):
        missing = self._namespace.missing(names)
        if missing:
            if definitions:
                self._definitions.update(definitions)
            self._namespace.take(names, self._definitions)
            for digest in missing:
                self._definitions.pop(digest, None)

    def _run(self, mode, function, items, each, fresh):
        if each == PICKLED:
            return self._run_pickled(mode, function, items, fresh)
        if each == APART and fresh:
            return run_fresh(mode, lambda: self._load(function, True), items)
        function = self._load(function, fresh)
        return run_chunk(mode, function, items) if each == ONE else run_apart(mode, function, items)

    def _run_pickled(self, mode, function, items, fresh):
        results, failures = [], {}
        for item in items:
            try:
                run_items(mode, self._load(function, fresh), (load_item(item),), results)
            except BaseException as error:
                failures[len(results)] = caught(error)
                results.append(None)
        return results, failures or None

    def _load(self, data, fresh):
        if not fresh:
            found = self._functions.get(data)
            if found is not None:
                return found
        function = pickle.loads(data)
        if isinstance(function, OnObject):
            return function.bind(self.object)
        if not fresh and not _travel.looks_up_main(data):       # what has that name may be another by the next call
            if len(self._functions) >= 100:
                self._functions.clear()
            self._functions[data] = function
        return function

    def _answer(self, results, failures, each, mode, elapsed):
        if failures is None and len(results) == 1 and type(results[0]) in _travel.ATOMS:
            return pickle.dumps((results, None, elapsed), _travel.PROTOCOL)
        failed = failures and {index: self._failure(error) for index, error in failures.items()}
        try:
            return self._dumps((packed(results), failed, elapsed))
        except Exception as error:
            if each == ONE:
                return pickle.dumps(([], {0: self._failure(not_sent(error, results[0] if mode == CALL else results))}, elapsed))
        failed = failed or {}
        for index, result in enumerate(results):
            try:
                self._dumps(result)
            except Exception as error:
                failed[index] = self._failure(not_sent(error, result))
                results[index] = None
        return self._dumps((results, failed, elapsed))

    def _dumps(self, value):
        return self._namespace.dumps(value)

    def _failure(self, error):
        self._namespace.explain(error)
        text = format_error(error)
        try:
            data = self._dumps(error)
            pickle.loads(data)
        except BaseException as reason:
            data = pickle.dumps(not_sent(reason, error))
        return data, text

    def _extend_path(self, path):
        new = [folder for folder in path if folder not in self._path]
        self._path.update(new)
        sys.path[:0] = new


def load_item(item):
    data, buffers = (item, ()) if type(item) is bytes else item
    return pickle.loads(data, buffers=itertools.starmap(buffer_of, buffers))


def buffer_of(array, is_readonly):
    """What an object's memory is to be: what all look at, or the item's own; of that only what is written to is copied."""
    private = None if is_readonly else getattr(array.base, "private", None)
    if private is None:
        return array if is_readonly else array.copy()
    memory = private()
    return memoryview(memory)[len(memory) - array.nbytes:]


def flush_output():
    """What was printed comes before what the program prints when it has the results."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):       # there is none, or it is closed
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass


def pieces_in(body):
    unpickler = pickle.Unpickler(io.BytesIO(body))
    _, count = unpickler.load()
    return (unpickler.load() for _ in range(count))


def packed(values, least=PACK_FROM):
    """Many integers, or floats, as an array: it takes a fraction of the time to read."""
    if type(values) is array.array or len(values) < least:
        return values
    kind = type(values[0])
    if kind in PACKED and set(map(type, values)) == {kind}:
        for code in PACKED[kind]:
            try:
                return array.array(code, struct.pack(f"{len(values)}{code}", *values))      # faster than from the list
            except struct.error:        # too large
                continue
    return values


def joined(results, more):
    """Both together, as an array where that is possible."""
    if not results:
        return more
    codes = {getattr(part, "typecode", None) for part in (results, more)}
    if len(codes) > 1:
        both = functools.partial(array.array, "q") if codes == {"i", "q"} else list
        results, more = both(results), both(more)
    results.extend(more)
    return results


def format_error(error):
    """The traceback's text without the frames of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    import traceback
    return "".join(traceback.format_exception(type(error), error, trace))


def _become(setup, slot):
    """The worker takes over what a child of the program would have from it."""
    os.umask(setup["umask"])
    try:
        os.chdir(setup["cwd"] or os.curdir)
    except OSError:
        pass        # it has been removed
    os.environ.clear()
    os.environ.update(setup["environ"])
    sys.argv[:] = setup["argv"]
    sys.setrecursionlimit(setup["recursion"])
    _print_where_the_program_does(setup["pid"], setup["output"])
    _name_process(setup["name"], slot, setup["parent"], setup["pid"])
    from multiprocessing import process
    process.current_process()._config["authkey"] = process.AuthenticationString(setup["authkey"])


def _name_process(name, slot, parent, program):
    """As multiprocessing knows it."""
    from multiprocessing import process
    current = process.current_process()
    current._config["daemon"] = True
    current._name = f"{name}-{slot + 1}"
    current._identity = (*current._identity, slot + 1)      # many a program takes its number from there
    current._parent_name, current._parent_pid = parent, program
    try:
        sentinel = os.pidfd_open(program)       # readable when it has ended, as multiprocessing's is
    except OSError:
        sentinel = None
    process._parent_process = process._ParentProcess(parent, program, sentinel)


def _print_where_the_program_does(pid, descriptors):
    for descriptor in (1, 2):
        try:
            opened = _output_of(pid, descriptor) if descriptor in descriptors else os.open(os.devnull, os.O_WRONLY)
        except OSError:         # closed, or another user's: what is printed goes to the daemon's log
            continue
        os.dup2(opened, descriptor)
        os.close(opened)


def _output_of(pid, descriptor):
    try:
        return _descriptors.copy(pid, descriptor)
    except OSError:             # no right to; a pipe or a terminal can be opened once more
        return os.open(f"/proc/{pid}/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
