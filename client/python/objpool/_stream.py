# SPDX-License-Identifier: Apache-2.0
"""Streams: results one by one, and input that is read as there is credit for it.

    input --islice--> feed() --objpool.feed--> daemon --objpool.result--> StreamEntry.results --> next() --> the user
             ^                                   |
             '------- objpool.credit ------------'

How far the input is read ahead: never further than the credit that the daemon gave, and never further than a window beyond the
results that the user has taken. So an endless input runs in constant memory, whoever is slow.

Inputs that can't block (lists, ranges, arrays ...) are read by the thread that takes the results. All others get a thread, as they may
block, even until a result has been looked at: see Feeder.
"""
from __future__ import annotations

import collections
import itertools
import operator
import sys
import threading
import time
from typing import Any, Callable, Deque, Generic, Iterator, List, Optional, Tuple, TypeVar

from . import _call, _load, _pack, _raised
from ._call import Request
from ._connection import Connection
from ._entry import Entry, release
from ._wire_types import PLAIN
from .errors import BadArgument, BadValue, Timeout, TooLarge

T = TypeVar("T")

_STALLED = 0.001  # seconds without news after which a Feeder sends every item alone

_NEVER_BLOCK = frozenset(map(type, (
    [], (), {}, set(), frozenset(), "", b"", bytearray(), range(0), {}.keys(), {}.values(), {}.items(), collections.deque(), iter([]), iter(()),
    iter(range(0)), itertools.count(), itertools.repeat(0))))


def never_blocks(source: Any) -> bool:
    """Whether taking an item of it can't wait for anything."""
    kind = type(source)
    return kind in _NEVER_BLOCK or kind.__module__ == "numpy"


class StreamEntry(Entry):
    """What has come of a streamed call."""

    def __init__(self) -> None:
        super().__init__()
        self.results: Deque[List[Any]] = collections.deque()  # [msgid, index, error, value]
        self.credits: Deque[List[Any]] = collections.deque()
        self.steps: Deque[List[Any]] = collections.deque()
        self.called: Any = None  #: wakes the feeder
        self.spread = False  #: each item that is fed is a container of values

    def notify(self, name: str, params: List[Any]) -> None:
        to = self.results if name == "objpool.result" else self.credits if name == "objpool.credit" else self.steps
        if not to or to[-1] is not params:  # else we were interrupted after this
            to.append(params)
        self.news = True
        if self.waiters:
            self.wake()
        if to is self.credits and self.called is not None:
            release(self.called)

    def answer(self, message: Any) -> None:
        super().answer(message)
        if self.called is not None:
            release(self.called)

    def after_fork(self) -> None:
        super().after_fork()
        self.called = None


class Input:
    """The items of a stream, fed against credit."""

    def __init__(self, connection: Connection, entry: StreamEntry, items: Iterator[Any]) -> None:
        self.connection = connection
        self.entry = entry
        self.items = items
        self.taken = 0    #: results that the user has
        self.given = 0    #: results that are the user's, or about to be
        self.fed = 0      #: items that were read
        self.sent = 0     #: items that went to the daemon
        self.granted = 0  #: items that may be fed
        self.window = 1   #: how far the daemon lets us be ahead
        self.ended = False
        self.fault: Optional[Exception] = None  #: with which the input has ended

    def allowed(self) -> int:
        """How many items may be read now."""
        credits = self.entry.credits
        while credits:
            self.granted += credits.popleft()[1]
            self.window = max(self.window, self.granted - self.given - len(self.entry.results))
        if self.ended or self.entry.message is not None:
            return 0
        return min(self.granted - self.fed, self.window - (self.fed - self.taken))

    def feed(self, count: int) -> None:
        """Reads so many items, and sends them."""
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
        return _pack.pack_with([2, "objpool.feed", [self.entry.id, batch]], store, self.entry.fork, self.entry.spread, self.connection.limit)

    def _sendable(self, batch: List[Any]) -> Tuple[List[Any], Exception]:
        """The items before the first that can't be sent, and why it can't."""
        for i, item in enumerate(batch):
            try:
                self._packed([item], None)
            except (BadValue, TooLarge) as error:
                error.index = self.sent + i
                return batch[:i], error
        return batch, BadValue("an item changed while it was sent")

    def end(self) -> None:
        """There are no more items."""
        if self.ended:
            return
        self.ended = True
        self.items = iter(())
        params: List[Any] = [self.entry.id]
        if self.fault is not None:
            params.append(f"{type(self.fault).__name__}: {self.fault}")
        if self.entry.message is None:
            self.connection.send(_pack.pack([2, "objpool.feed_end", params]))

    # What the thread that takes results does.

    def pump(self, waiting: bool) -> None:
        """Feeds what may be fed; small pieces only if there is nothing else to do."""
        if self.ended:
            return
        least = 1 if waiting else max(1, self.window // 4)
        if self.allowed() < least and not waiting and self.window - (self.fed - self.taken) >= least:
            self.connection.poll()
        count = self.allowed()
        if count >= least:
            self.feed(count)

    def wait(self, deadline: Optional[float]) -> bool:
        """Until there is news of the stream."""
        return self.connection.wait(self.entry, deadline)

    def close(self) -> None:
        """Nothing is read any more."""
        self.ended = True
        self.items = iter(())


class Feeder(Input):
    """An input that may block: a thread reads it.

    Items are sent in batches. When the input blocks in the middle of one, maybe until somebody sees results of what it has given, then
    the thread that waits for results sends what is there, and makes the feeder send each further item at once (`urgent`).
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
            pass  # the connection is lost: the stream's answer says so
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
        if not waiting and self.window - (self.fed - self.taken) >= max(1, self.window // 4) and not self.entry.credits:
            self.connection.poll()
        release(self.called)

    def wait(self, deadline: Optional[float]) -> bool:
        if self.ended:
            return super().wait(deadline)
        soon = time.monotonic() + _STALLED
        if super().wait(soon if deadline is None else min(soon, deadline)):
            return True
        self.urgent = True  # before the look at the buffer: its other side adds before it looks at `urgent`
        try:
            release(self.called)
            self.flush()
            return super().wait(deadline)
        finally:
            self.urgent = False

    def close(self) -> None:
        self.ended = True
        release(self.called)


class Results(Generic[T]):
    """The results of a stream, on their way from its entry to the user: the half of it that does not wait."""

    def __init__(self, connection: Any, request: Request, length: Optional[int]) -> None:
        self._over = False
        self._entry = self._new_entry()
        self._entry.spread = request.params[3].get("args_as", "single") != "single"
        self._connection = connection
        self._request = request
        self._length = length
        self._values: Iterator[T] = iter(())
        self._size = 0              # of the batch in _values
        self._taken = 0
        self._failed: Any = None    # of the failures that were raised, the first by index
        self._input: Optional[Input] = None
        self._deadline = None if request.timeout is None else time.monotonic() + request.timeout + _call.SLACK

    def _new_entry(self) -> StreamEntry:
        return StreamEntry()

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("how many results there will be is not known")
        return self._length

    def __bool__(self) -> bool:
        return True

    def __length_hint__(self) -> int:
        return 0 if self._length is None else max(0, self._length - self._taken)

    def __repr__(self) -> str:
        return f"<objpool stream of {self._request.name}{', over' if self._over else ''}>"

    def _cancel(self) -> None:
        self._over = True
        if self._input is not None:
            self._input.close()
        if self._entry.message is None:
            self._connection.cancel(self._entry)
        self._entry.results.clear()
        self._values = iter(())

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if not self.__dict__.get("_over", True) and not _ends():
            self._cancel()

    def _count_taken(self) -> None:
        """The user has asked for more: so has seen the batch before."""
        self._taken += self._size
        if self._input is not None:
            self._input.taken = self._taken
        if self._size and self._request.progress is not None:
            self._request.progress(self._taken, self._length, None)
        self._size = 0

    def _tell_steps(self) -> None:
        while self._entry.steps:
            _, done, total, text = self._entry.steps.popleft()
            if self._request.progress is not None:
                self._request.progress(done, total, text)

    def _ready(self) -> bool:
        """Whether results can be taken. Feeds what may be fed. At the end the call's error is raised, unless it has been as an item's."""
        entry, source = self._entry, self._input
        if self._over:
            raise _End
        entry.news = None
        answered = entry.message is not None  # looked at before the results: they come before it
        if entry.results:
            if source is not None:
                source.pump(False)
            return True
        if answered:
            self._finish()
        if source is not None:
            source.pump(True)
        return False

    def _finish(self) -> None:
        self._over = True
        message = self._entry.message
        if self._input is not None:
            self._input.close()
        if message[2] is not None and (self._failed is None or self._failed[1] != message[2]):
            raise _raised.not_in_charge(_raised.load_error(message[2], self._connection.unpickle), self._connection.in_charge)
        raise _End

    def _take(self) -> T:
        """Results become values, a batch at a time, up to the first failure."""
        results = self._entry.results
        most = max(1, self._input.window // 4) if self._input is not None else 64
        batch = list(itertools.islice(results, most))
        values = [params[3] for params in batch]
        if all(params[2] is None for params in batch) and PLAIN.issuperset(map(type, values)):
            self._give(len(batch))
            for _ in batch:
                results.popleft()
            self._values = iter(values)
            return next(self._values)
        self._give(1)
        params = results.popleft()
        try:
            return _load.load_item(params[1], params[3]) if params[2] is None else self._fail(params[1], params[2])
        except BadValue as error:
            if self._request.collect:
                return error  # type: ignore[return-value]
            raise

    def _give(self, size: int) -> None:
        self._size = size
        if self._input is not None:
            self._input.given += size

    def _fail(self, index: int, wire: Any) -> T:
        if self._failed is None or index < self._failed[0]:
            self._failed = (index, wire)
        source = self._input
        if source is not None and source.fault is not None and index == source.sent:
            error: BaseException = source.fault
        else:
            error = _raised.load_error(wire, self._connection.unpickle)
        if self._request.collect:
            return error  # type: ignore[return-value]
        raise _raised.not_in_charge(error, self._connection.in_charge)


class _End(Exception):
    """There are no more results."""


class Stream(Results[T]):
    """An iterator of results. `len` is the number of all results, where it is known.

    An item's failure is raised in its place; the next one comes after it. Dropping the stream, or `close`, cancels the call.
    """

    def __init__(self, connection: Connection, request: Request, items: Optional[Iterator[Any]], blocking: bool, length: Optional[int]) -> None:
        super().__init__(connection, request, length)
        self._turn = threading.RLock()
        try:
            connection.start(self._entry, request.method, request.params)
            if items is not None:
                self._open(items, blocking)
        except BaseException:
            self.close()
            raise

    def _open(self, items: Iterator[Any], blocking: bool) -> None:
        """The first credit comes at once; so the work begins before the first result is asked for."""
        entry = self._entry
        while not entry.credits and entry.message is None:
            entry.news = None
            if not self._connection.wait(entry, self._deadline):
                raise Timeout(f"{self._request.name}: the daemon does not answer")
        self._input = (Feeder if blocking else Input)(self._connection, entry, items)
        self._input.pump(True)

    def __iter__(self) -> "Stream[T]":
        return self

    def __next__(self) -> T:
        for value in self._values:
            return value
        return self._next(None)

    def next(self, timeout: Optional[float] = None) -> T:
        """The next result; Timeout if it has not come after so many seconds: it can be asked for again."""
        for value in self._values:
            return value
        return self._next(None if timeout is None else time.monotonic() + timeout)

    def close(self) -> None:
        """Cancels what is not done. Results that were not taken are lost."""
        self._cancel()

    def __enter__(self) -> "Stream[T]":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _next(self, deadline: Optional[float]) -> T:
        with self._turn:
            for value in self._values:
                return value  # another thread was faster
            try:
                self._count_taken()
                while not self._ready():
                    self._wait(deadline)
                    self._tell_steps()
            except _End:
                raise StopIteration from None
            except Timeout:
                raise
            except BaseException:
                self.close()
                raise
            return self._take()

    def _wait(self, deadline: Optional[float]) -> None:
        until = deadline if self._deadline is None else self._deadline if deadline is None else min(deadline, self._deadline)
        if self._input.wait(until) if self._input is not None else self._connection.wait(self._entry, until):
            return
        if until is not deadline:
            self.close()
        raise Timeout("the next result has not come yet" if until is deadline else "the daemon does not answer")


# ---- making one -----------------------------------------------------------------------------------------------------------------


def _length_of(sources: List[Any]) -> Optional[int]:
    try:
        return min(len(source) for source in sources)
    except TypeError:
        return None


def items_of(args: Tuple[Any, ...], kwargs: Any, args_as: Optional[str]) -> Tuple[Iterator[Any], Optional[str], bool, Optional[int]]:
    """What a streamed map is fed with: the items, args_as, whether reading them may block, and how many there are."""
    sources = list(args) + list(kwargs.values())
    if args and kwargs:
        raise BadArgument("a streamed map zips positional arguments or keywords, but not both: bind what is the same for all items", ran="no")
    if not sources or (args_as not in (None, "zip") and len(sources) != 1):
        raise BadArgument("a streamed map takes an iterable of items", ran="no")
    for source in sources:
        _call.check_items(source)
    blocking, length = not all(map(never_blocks, sources)), _length_of(sources)
    if kwargs:
        names = list(kwargs)
        return (dict(zip(names, values)) for values in zip(*sources)), "keyword", blocking, length
    if args_as not in (None, "zip"):
        return iter(sources[0]), args_as, blocking, length
    if len(sources) == 1:
        return iter(sources[0]), None, blocking, length
    return map(list, zip(*sources)), "positional", blocking, length


def prepare(target: str, mapped: bool, name: str, args: Tuple[Any, ...], kwargs: Any, options: Any, ordered: bool,
            window: Optional[int]) -> Tuple[Request, Optional[Iterator[Any]], bool, Optional[int]]:
    """The request for a stream of target.name(*args, **kwargs), its input, whether reading that may block, and its length."""
    more: Any = {"stream": True}
    if not ordered:
        more["ordered"] = False
    if window is not None:
        more["window"] = operator.index(window)
    if not target.endswith(":map"):
        request = _call.make_request(target, mapped, name, args, kwargs, options, more)
        return request, None, False, len(request.params[2][0]) if mapped and request.params[2] else None
    items, args_as, blocking, length = items_of(args, kwargs, options.get("args_as"))
    more["args_as"] = args_as or "single"
    request = _call.make_request(target, True, name, (), {}, options, more, fed=True)
    request.params[3].pop("progress", None)  # we count ourselves
    return request, items, blocking, length


def start(connection: Callable[[], Connection], target: str, mapped: bool, name: str, args: Tuple[Any, ...], kwargs: Any, options: Any,
          ordered: bool, window: Optional[int]) -> Stream[Any]:
    """The stream of target.name(*args, **kwargs)."""
    request, items, blocking, length = prepare(target, mapped, name, args, kwargs, options, ordered, window)
    return Stream(connection(), request, items, blocking, length)
