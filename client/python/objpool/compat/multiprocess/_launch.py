# SPDX-License-Identifier: Apache-2.0
"""How a Process object reaches a child that is no fork of the program: by value, inside what the standard library sends."""
import pickle
from multiprocessing import context as _standard

from . import context

__all__ = ["Launching"]


class Launching:
    """For Popen classes of the standard library that pickle the Process object."""

    def _launch(self, process_obj):
        theirs = _standard._default_context
        settled = theirs._actual_context
        try:
            super()._launch(_Sent(process_obj))
        finally:
            theirs._actual_context = settled    # to tell the child of it, the standard library settles its start method


class _Sent:
    """Stands for the Process object while the standard library pickles it."""

    def __init__(self, process_obj):
        self._process, self._name = process_obj, process_obj._name

    def __reduce__(self):
        data = context.reduction.ForkingPickler.dumps(self._process)
        return _arrive, (context._default_context.get_start_method(), bytes(data))


def _arrive(method, data):
    context._force_start_method(method)
    return pickle.loads(data)
