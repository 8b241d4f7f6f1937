# SPDX-License-Identifier: Apache-2.0
"""Runs chunks of items: calls the function with each, and collects results and exceptions. In workers and in threads."""
import functools
import os
import threading

from ._message import CALL, MAP, NAMED, STAR, joined, packed

_is_worker = False
_child = None       # in a process that a function has forked in a worker: the thread that runs there


def begin_worker():
    """This process is a worker now."""
    global _is_worker, _child
    _is_worker, _child = True, None


def _after_fork_in_child():
    global _child
    _child = threading.get_ident() if _is_worker else None


os.register_at_fork(after_in_child=_after_fork_in_child)


def caught(error):
    """Returns the exception, as the answer of an item. In a process that the function has forked, raises it: that ends it."""
    if _child == threading.get_ident():
        raise error
    return error


def run_items(mode, function, items, results):
    """Appends to results. Raises what an item raises."""
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
    """(results, None), or (results before the exception, {0: the exception})."""
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
    """As run_chunk, of a chunk that comes in several lists, which this empties. Results may be an array."""
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


def run_each(mode, load, items, load_item=None):
    """As run_apart, with a function from load() for each item, and each item from load_item(item), if that is given."""
    results, failures = [], {}
    for item in items:
        try:
            run_items(mode, load(), (item if load_item is None else load_item(item),), results)
        except BaseException as error:
            failures[len(results)] = caught(error)
            results.append(None)
    return results, failures or None


class OnObject:
    """A function that is called with the worker's object, or the name of a method of that object."""

    def __init__(self, function):
        self.function = function

    def bind(self, instance):
        function = self.function
        if not isinstance(function, str):
            return functools.partial(function, instance)
        if callable(getattr(type(instance), function)):         # the class must have it, not the object alone
            return getattr(instance, function)
        return lambda: getattr(instance, function)              # a property is read
