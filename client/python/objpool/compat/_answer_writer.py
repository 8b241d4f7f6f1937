# SPDX-License-Identifier: Apache-2.0
"""What a worker answers to a message: results and exceptions, pickled. _message.py has the format."""
import pickle

from . import _chunks, _inherit, _message
from ._message import ATOMS, CALL, ONE, packed
from ._picklers import PROTOCOL


class AnswerWriter:
    """Writes the answers of one worker. `files`: paths of more files whose frames no traceback shows."""

    def __init__(self, namespace, files):
        self._namespace = namespace
        self._own_files = frozenset((*files, *(module.__file__ for module in (_chunks, _inherit, _message))))

    def answer(self, results, failures, each, mode, elapsed):
        """The pickle of results, and of exceptions by their index; a result that can't be pickled becomes an exception."""
        if failures is None and len(results) == 1 and type(results[0]) in ATOMS:
            return pickle.dumps((results, None, elapsed), PROTOCOL)
        failed = failures and {index: self.failure(error) for index, error in failures.items()}
        try:
            return self._dumps((packed(results), failed, elapsed))
        except Exception as error:
            if each == ONE:
                return pickle.dumps(([], {0: self.failure(_not_sent(error, results[0] if mode == CALL else results))}, elapsed))
        return self._dumps((results, self._leave_out(results, failed or {}), elapsed))

    def _leave_out(self, results, failed):
        """Puts None for each result that can't be pickled, and its exception into `failed`, which is returned."""
        for index, result in enumerate(results):
            try:
                self._dumps(result)
            except Exception as error:
                failed[index] = self.failure(_not_sent(error, result))
                results[index] = None
        return failed

    def failure(self, error):
        """(pickled exception, text of its traceback)"""
        self._namespace.explain(error)
        text = self._text_of(error)
        try:
            data = self._dumps(error)
            pickle.loads(data)
        except BaseException as reason:
            data = pickle.dumps(_not_sent(reason, error))
        return data, text

    def _dumps(self, value):
        return self._namespace.dumps(value)

    def _text_of(self, error):
        """The traceback's text, from the first frame that is not the worker's own."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename in self._own_files:
            trace = trace.tb_next
        import traceback
        return "".join(traceback.format_exception(type(error), error, trace))


def _not_sent(reason, value):
    """The exception for a result, or an exception, that can't be pickled or can't be loaded again."""
    from multiprocessing.pool import MaybeEncodingError
    try:
        return MaybeEncodingError(reason, value)
    except Exception as error:      # raised by the value's repr()
        return MaybeEncodingError(reason, f"<{type(value).__name__} whose repr() raises {type(error).__name__}>")
