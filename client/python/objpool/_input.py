# SPDX-License-Identifier: Apache-2.0
"""The input of a stream: items that are read as there is credit for them, and sent.

How far the input is read ahead: never further than the credit that the daemon gave, and never further than a window beyond the
results that the user has taken. So an endless input runs in constant memory, however slow the daemon or the user is.

An input that can't block (a list, range, array ...) is read by the thread that takes the results. Any other gets a thread, as it
may block, even until a result has been looked at: see Feeder.
"""
from __future__ import annotations

import collections
import itertools
import threading
import time
from typing import Any, Deque, Iterator, List, Optional, Tuple

from . import _pack
from ._connection import Connection
from ._entry import Entry, release
from .errors import BadValue, TooLarge

_STALLED = 0.001  # seconds without news after which what a Feeder has read is sent
_STALLED_MOST = 0.064  # likewise, after several times in a row


class StreamEntry(Entry):
    """What has come of a streamed call. `notify` is called by Inbox.dispatch."""

    hurries = False

    def __init__(self) -> None:
        super().__init__()
        self.results: Deque[List[Any]] = collections.deque()  # [msgid, index, error, value], or [msgid, index, [value, ...]]
        self.credits: Deque[List[Any]] = collections.deque()
        self.steps: Deque[List[Any]] = collections.deque()
        self.called: Any = None  #: wakes the feeder
        self.spread = False  #: each item that is fed is a container of values

    def notify(self, name: str, params: List[Any]) -> None:
        to = self.credits if name == "objpool.credit" else self.steps if name == "objpool.progress" else self.results
        if not to or to[-1] is not params:  # else an exception came after it was appended, and this is the second call for it
            to.append(params)
        self.news = True
        if self.waiters:
            self.wake()
        if to is self.credits and self.called is not None:
            release(self.called)

    def ready(self) -> int:
        """How many results have come and were not taken."""
        return sum(map(count_of, tuple(self.results)))

    def answer(self, message: Any) -> None:
        super().answer(message)
        if self.called is not None:
            release(self.called)

    def after_fork(self) -> None:
        super().after_fork()
        self.called = None


def count_of(params: List[Any]) -> int:
    """How many results came in one notification."""
    return len(params[2]) if len(params) == 3 else 1


class Input:
    """The items of a stream, sent as there is credit for them."""

    def __init__(self, connection: Connection, entry: StreamEntry, items: Iterator[Any]) -> None:
        self.connection = connection
        self.entry = entry
        self.items = items
        self.taken = 0    #: results that the user has seen
        self.given = 0    #: results that the user has, or gets next
        self.fed = 0      #: items that were read
        self.sent = 0     #: items that were sent
        self.granted = 0  #: items that the daemon has given credit for
        self.window = 1   #: how many items may be ahead of the results
        self.ended = False
        self.fault: Optional[Exception] = None  #: the exception that has ended the input

    def allowed(self) -> int:
        """How many items may be read now."""
        credits = self.entry.credits
        while credits:
            self.granted += credits.popleft()[1]
            self.window = max(self.window, self.granted - self.given - self.entry.ready())
        if self.ended or self.entry.message is not None:
            return 0
        return min(self.granted - self.fed, self.window - (self.fed - self.taken))

    def is_starved(self) -> bool:
        """Whether the daemon has answered all that it was sent."""
        return self.given + self.entry.ready() >= self.sent

    def feed(self, count: int) -> None:
        """Reads up to `count` items, and sends them."""
        batch: List[Any] = []
        try:
            batch.extend(itertools.islice(self.items, count))
        except Exception as error:
            self.fault = error
        self.fed += len(batch)
        self.send(batch)
        if len(batch) < count or self.fault is not None:
            self.end()

    def send(self, batch: List[Any]) -> None:
        """Sends items."""
        if not batch or self.ended:
            return
        try:
            data = self._packed(batch, self.connection.store)
        except (BadValue, TooLarge) as error:
            if isinstance(error, TooLarge) and len(batch) > 1:
                self.send(batch[:len(batch) // 2])
                self.send(batch[len(batch) // 2:])
                return
            batch, self.fault = self._sendable(batch)
            data = self._packed(batch, self.connection.store)
        self.sent += len(batch)
        self.connection.send(*data)
        if self.fault is not None:
            self.end()

    def _packed(self, batch: List[Any], store: Any) -> Any:
        message = [2, "objpool.feed", [self.entry.id, batch]]
        return _pack.pack_with(message, store, self.entry.fork, self.entry.spread, self.connection.limit)

    def _sendable(self, batch: List[Any]) -> Tuple[List[Any], Exception]:
        """The items before the first that can't be sent, and the error of that one."""
        for i, item in enumerate(batch):
            try:
                self._packed([item], None)
            except (BadValue, TooLarge) as error:
                error.index = self.sent + i
                return batch[:i], error
        return batch, BadValue("an item changed while it was sent")

    def end(self) -> None:
        """Tells the daemon that there are no more items."""
        if self.ended:
            return
        self.ended = True
        self.items = iter(())
        params: List[Any] = [self.entry.id]
        if self.fault is not None:
            params.append(f"{type(self.fault).__name__}: {self.fault}")
        if self.entry.message is None:
            self.connection.send(_pack.pack([2, "objpool.feed_end", params]))

    # Called by the thread that takes results:

    def pump(self, waiting: bool) -> None:
        """Sends items that may be sent; few at a time only if `waiting`, when there is nothing else to do."""
        if self.ended:
            return
        least = 1 if waiting else max(1, self.window // 4)
        if self.allowed() < least and not waiting and self.window - (self.fed - self.taken) >= least:
            self.connection.poll()
        count = self.allowed()
        if count >= least:
            self.feed(count)

    def wait(self, deadline: Optional[float]) -> bool:
        """Waits until there is news of the stream. False: the deadline came first."""
        return self.connection.wait(self.entry, deadline)

    def close(self) -> None:
        """Ends reading."""
        self.ended = True
        self.items = iter(())


class Feeder(Input):
    """An input that may block: a thread reads it.

    Items are sent in batches. The input may block in the middle of a batch, maybe until the user has seen results of its earlier
    items. So the thread that waits for results sends the items that were read. When the daemon has nothing left to do, it also
    sets `urgent`: the feeder sends each further item at once.
    """

    def __init__(self, connection: Connection, entry: StreamEntry, items: Iterator[Any]) -> None:
        super().__init__(connection, entry, items)
        self.urgent = False
        self.buffer: Deque[Any] = collections.deque()
        self.sending = threading.Lock()
        self.called = entry.called = threading.Lock()
        self.called.acquire()
        self.thread = threading.Thread(target=self.run, name="objpool feeder", daemon=True)
        self.thread.start()

    def run(self) -> None:
        """The thread."""
        try:
            while not self.ended and self.entry.message is None:
                count = self.allowed()
                if count >= (1 if self.urgent else max(1, self.window // 4)) or (count > 0 and not self.entry.results):
                    self.feed(count)
                else:
                    self.called.acquire()
        except Exception:
            pass  # the connection is lost, as the answer of the stream says
        finally:
            self.items = iter(())

    def feed(self, count: int) -> None:
        add, read = self.buffer.append, 0
        try:
            for item in itertools.islice(self.items, count):
                add(item)
                read += 1
                if self.urgent:
                    self.flush()
        except Exception as error:
            self.flush()
            self.fault = self.fault or error
        self.fed += read
        self.flush()
        if read < count or self.fault is not None:
            self.end()

    def flush(self) -> None:
        """Sends what has been read."""
        with self.sending:
            take = self.buffer.popleft
            self.send([take() for _ in range(len(self.buffer))])

    def pump(self, waiting: bool) -> None:
        least = 1 if waiting else max(1, self.window // 4)
        if self.window - (self.fed - self.taken) < least:
            return
        if self.granted - self.fed >= least or self.entry.credits:
            release(self.called)
        elif not waiting:
            self.connection.poll()

    def wait(self, deadline: Optional[float]) -> bool:
        if self.ended:
            return super().wait(deadline)
        pause = _STALLED
        while True:
            soon = time.monotonic() + pause
            if super().wait(soon if deadline is None else min(soon, deadline)):
                return True
            if self.is_starved() or soon == deadline:
                break
            self.flush()
            pause = min(2 * pause, _STALLED_MOST)
        self.urgent = True  # before it looks at the buffer: the feeder adds to it before it looks at `urgent`
        try:
            release(self.called)
            self.flush()
            return super().wait(deadline)
        finally:
            self.urgent = False

    def close(self) -> None:
        self.ended = True
        release(self.called)
