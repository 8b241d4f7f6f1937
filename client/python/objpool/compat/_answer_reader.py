# SPDX-License-Identifier: Apache-2.0
"""What workers have answered, as the program reads it: _answer_writer.py is the other side.

An answer is decoded in the thread that asks for the result, not in the one that has received it.
"""
import array
import pickle

from .._load import load
from . import _errors
from ._message import AS_THEY_ARE


class Answer:
    """What came for a task. Calling it decodes it."""

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
        results, failures, elapsed = _load(data)
    except Exception as error:
        return error
    if type(results) is array.array:
        results = results.tolist()
    return results, failures and {index: exception_of(*failure) for index, failure in failures.items()}, elapsed


def _load(data):
    return pickle.loads(data if type(data) is bytes else load(data))


def exception_of(data, text):
    """The exception that a worker has pickled; the text of its traceback becomes its cause."""
    try:
        error = pickle.loads(data)
    except BaseException as refused:
        error = refused
    error.__cause__ = _errors.RemoteTraceback(f'\n"""\n{text}"""')
    return error


class Piece:
    """Results of consecutive items of imap: their values as they came, or the error that all of them have failed with."""

    __slots__ = ("values", "error", "size", "crew")

    def __init__(self, values, error, size, crew):
        self.values, self.error, self.size, self.crew = values, error, size, crew

    def bytes_of_one(self):
        """The size of a result, roughly."""
        first = self.values[0] if self.values else None
        return len(first) if type(first) in (bytes, str) else 8

    def results(self, failure):
        """The results; failure(exception) for each item that has failed."""
        if self.values is None:
            error = self.error if isinstance(self.error, BaseException) else self.crew.error_of(self.error)
            return [failure(error)] * self.size
        if AS_THEY_ARE.issuperset(map(type, self.values)):
            return self.values
        return [value if type(value) in AS_THEY_ARE else _unpickled(value, failure) for value in self.values]


def _unpickled(data, failure):
    try:
        results, failures, _ = _load(data)
    except Exception as error:
        return failure(error)
    return failure(exception_of(*failures[0])) if failures else results[0]
