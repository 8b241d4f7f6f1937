# SPDX-License-Identifier: Apache-2.0
"""Requests to workers that are under way: an entry of the connection (_entry.py) for each, which takes the answer."""
import collections

from .._entry import Entry
from ._answer_reader import Answer, Piece

_GONE = {"code": "WORKER_LOST", "message": "the worker has gone"}
_TAKEN = object()


class Call(Entry):
    """The request of one task."""

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


class Waited(Entry):
    """A request whose caller waits for the answer, so that nobody else must be told of it."""


class Broadcast(Entry):
    """One request for the tasks of all workers: task i is worker i's."""

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


class Items(Entry):
    """One request for several items of imap, each a chunk of its own. The daemon sends each result at once."""

    def __init__(self, job, size):
        super().__init__()
        self.job, self.size, self.left = job, size, size
        self.bytes = 0                          # of the items, as they were sent
        self.pieces = collections.deque()       # of an ordered job: results that nobody has taken yet
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
        params[-1] = _TAKEN         # a signal handler can't interrupt between these three
        self.left = left
        self.job.on_piece(self, piece)

    def answer(self, message):
        self.message = self.news = message
        if not self.done:
            if message[2] is None:
                self.job.on_pace(message[3]["item_ns"])
            self.fail(message[2])

    def fail(self, error):
        """All items that have no result yet fail with this error. None: all have a result."""
        if self.left:
            piece, self.left = Piece(None, error, self.left, self.crew), 0
            self.job.on_piece(self, piece)
        self.done = True
        self.job.on_items_done(self)
