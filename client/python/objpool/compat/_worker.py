# SPDX-License-Identifier: Apache-2.0
"""The object in each worker of the compatible pools: a Worker, whose methods take the messages that _message.py describes."""
import pickle
import sys
import time
from multiprocessing import util

from . import _chunks, _inherit, _modules
from ._answer_writer import AnswerWriter
from ._chunks import OnObject, caught, run_apart, run_chunk, run_each, run_pieces
from ._message import APART, CALL, MAP, ONE, PICKLED, PIECES, buffer_of, is_plain, load_item, pieces_in
from ._namespace import Namespace
from ._names import main_dict
from ._rebuild import looks_up_main, set_resolver

CACHED = 100            # entries of a cache, which is emptied when it has so many
HEAD_MAX = 4096         # bytes; larger heads are not cached


class Worker:
    """slot: which of the pool's workers this is. setup: what `begin` takes, if `begin` must not count as one of max_calls."""

    def __init__(self, setup=None, slot=0):
        _chunks.begin_worker()
        self._slot = slot
        self._namespace = Namespace(main_dict())
        set_resolver(self._namespace.resolve)
        self._answers = AnswerWriter(self._namespace, [__file__])
        self._definitions = {}      # digest -> definition that is not needed yet
        self._heads = {}            # head -> what it says
        self._functions = {}        # pickle -> function
        self._called = {}           # head -> function, if the head says nothing else
        self._items = (None, None, None)    # of the message that `item` was last called for: number, function, or else its pickle
        self._path = set(sys.path)
        self._reloader = _modules.Reloader()
        self.object = None
        self._broken = None         # what `begin` has raised
        if _inherit.inherited is not None:
            self._namespace.inherit()
            self._try(self._begin_fork)
        elif setup is not None:
            self.begin(setup)

    # How it begins

    def begin(self, setup=None):
        """Makes this a worker of the program; a fork of the program is one already.

        Returns a pickle of (pickled exception, text of its traceback) if that failed.
        """
        if setup is not None:
            self._try(self._begin, pickle.loads(setup))
        if self._broken is not None:
            return pickle.dumps(self._answers.failure(self._broken))

    def finish(self):
        """What multiprocessing does at the end of a process. The pool has been closed."""
        util._exit_function()

    def _try(self, begin, *args):
        try:
            begin(*args)
        except BaseException as error:
            self._broken = error

    def _begin_fork(self):
        self.object = _inherit.inherited.begin(self._slot)

    def _begin(self, setup):
        _inherit.become(setup, self._slot)
        self._extend_path(setup["path"])
        if setup["modules"]:
            sys.meta_path.append(_modules.Finder(setup["modules"]))
        self._take(setup["names"], setup["definitions"])
        initializer, factory = pickle.loads(setup["code"])
        if initializer is not None:
            initializer[0](*initializer[1])
        if factory is not None:
            make, args, kwargs = factory
            self.object = make(*args, **kwargs[self._slot % len(kwargs)])

    def define(self, definitions):
        """Keeps definitions of what the program has in __main__ until they are needed."""
        self._definitions.update(pickle.loads(definitions))

    # Messages

    def run(self, message, *large):
        """Runs the items of a message. `large`: buffers of the items that are arguments of their own."""
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
            count = len(items)
            results, failures = ([], {0: error}) if each == ONE else ([None] * count, dict.fromkeys(range(count), error))
        elapsed = time.perf_counter_ns() - begun
        flush_output()
        return self._answers.answer(results, failures, each, mode, elapsed)

    def _run(self, mode, function, items, each, fresh):
        if each == PICKLED:
            return run_each(mode, lambda: self._load(function, fresh), items, load_item)
        if each == APART and fresh:
            return run_each(mode, lambda: self._load(function, True), items)
        function = self._load(function, fresh)
        return run_chunk(mode, function, items) if each == ONE else run_apart(mode, function, items)

    def call(self, head, args):
        """function(*args)"""
        try:
            result = (self._called.get(head) or self._function_of(head))(*args)
        except BaseException as error:
            flush_output()
            return self._answers.answer([], {0: caught(error)}, ONE, CALL, 0)
        flush_output()
        return result if is_plain(result) else self._answers.answer([result], None, ONE, CALL, 0)

    def item(self, number, head, names, value):
        """function(item), for one of the items that share message `number`. An item that is bytes is a pickle."""
        try:
            if number != self._items[0]:
                self._begin_items(number, head, names)
            function = self._items[1]
            if function is None:
                function = self._load(self._items[2], True)
            result = function(pickle.loads(value) if type(value) is bytes else value)
        except BaseException as error:
            flush_output()
            return self._answers.answer([], {0: caught(error)}, ONE, CALL, 0)
        flush_output()
        return result if is_plain(result) else self._answers.answer([result], None, ONE, CALL, 0)

    def _begin_items(self, number, head, names):
        """Loads the function once for all items of a message, unless each item gets a fresh function."""
        _, data, fresh = self._work(head)[:3]
        if names is not None:
            self._take(*pickle.loads(names))
        self._items = (number, None, data) if fresh else (number, self._load(data, False), None)

    # What heads and bodies say

    def _function_of(self, head):
        """The function of a head. It is cached if the head says nothing else."""
        _, data, fresh, names, _, path, reloads = self._work(head)
        function = self._load(data, fresh)
        if data in self._functions and names is None and path is None and reloads is None:
            _keep(self._called, head, function)
        return function

    def _work(self, head):
        """What the head says. When this returns, the worker has all that the function needs."""
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
        said = pickle.loads(data)
        if len(data) < HEAD_MAX:
            _keep(self._heads, data, said)
        return said

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

    def _load(self, data, fresh):
        """The function that this is the pickle of: from the cache, unless it must be a fresh one."""
        if not fresh:
            function = self._functions.get(data)
            if function is not None:
                return function
        function = pickle.loads(data)
        if isinstance(function, OnObject):
            return function.bind(self.object)
        if not fresh and not looks_up_main(data):       # a name of __main__ may mean another function by the next call
            _keep(self._functions, data, function)
        return function

    def _extend_path(self, path):
        new = [folder for folder in path if folder not in self._path]
        self._path.update(new)
        sys.path[:0] = new


def _keep(cache, key, value):
    if len(cache) >= CACHED:
        cache.clear()
    cache[key] = value


def flush_output():
    """Called before each answer, so that what was printed comes before what the program prints once it has the results."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):       # there is none, or it is closed
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass
