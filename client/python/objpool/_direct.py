# SPDX-License-Identifier: Apache-2.0
"""Direct channels (docs/PROTOCOL.md, The direct channel): what their calls look like, and their end. No I/O.

A channel is a connection to one instance's worker. It takes the same requests as the connection to the daemon, and leaves out
their target. A call that it can't take, or that its worker had not begun when it ended, raises NotBegun: whoever made the call
makes it on the connection then.
"""
from __future__ import annotations

import itertools
import time
import weakref

from . import _load, _pack, _raised
from ._entry import Entry
from .errors import ConnectionLost, Denied, ObjpoolError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

_NEVER = float("inf")
PAUSE, PAUSE_MOST = 0.02, 2.0  #: seconds after a refusal, the first and the longest
PAUSE_DENIED = 10.0  #: the pool has no channels, until a reload gives it some
PAUSE_SPREAD = 1.0  #: the daemon has offered an instance that has a channel already
LARGE_RESULT = 256 << 10  #: the calls of a method whose last result had so many bytes go on the connection
PATIENCE = 10.0  #: seconds to wait for the daemon's word about a channel that has ended

#: Options that calls on channels have.
OPTIONS = frozenset({"direct", "timeout", "progress", "retry", "traceparent"})


class NotBegun(Unavailable):
    """A call has not gone to a worker."""


class _LargeValues:
    """The store of a channel's messages: large values go on the connection, beside the socket."""

    def filled(self, parts: Any, length: int) -> Any:
        """Called for a value that is large."""
        raise NotBegun("a large value goes on the connection")


_LARGE_VALUES: Any = _LargeValues()
_LOST: Any = {"code": ConnectionLost.code, "message": "the direct channel has ended"}


def is_for_one(address: str) -> bool:
    """Whether a target is one instance of the daemon's own host: any of a pool, or that of a slot."""
    pool, colon, selector = address.partition(":")
    return "@" not in pool and (not colon or selector.isdecimal())


def has_channels(hello: Dict[str, Any]) -> bool:
    """Whether the daemon has channels for this connection."""
    protocol = hello.get("protocol")
    return bool(hello.get("fds")) and type(protocol) is list and len(protocol) == 2 and protocol[0] == 1 and protocol[1] >= 1


class AttachEntry(Entry):
    """A call of objpool.attach. It keeps the socket that comes with the answer, also if nobody waits any more."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._arrivals = connection._arrivals
        self._arrivals.awaited.append(self)
        self.socket: Any = None

    def answer(self, message: Any) -> None:
        if self in self._arrivals.awaited:
            self._arrivals.awaited.remove(self)
            if message[2] is None and self._arrivals.sockets:
                self.socket = self._arrivals.sockets.popleft()
        super().answer(message)


class DirectInbox:
    """The half of a channel that reads and writes nothing. It comes before the class of the connection."""

    peer = "the instance"
    slack = 0.0  #: a worker that runs another method can't say TIMEOUT

    pending: Dict[int, Entry]
    limit: Optional[int]
    lost: Optional[ConnectionLost]
    address: str
    unpickle: bool

    def of(self, main: Any, pool: str, answer: Dict[str, Any], moves: bool) -> Any:
        """Takes what objpool.attach has answered. `moves`: calls that had not begun may be made on the connection."""
        self.number, self.slot = answer["channel"], answer["slot"]
        self.pool = pool
        self.limit = main.limit
        self.closing: Optional[str] = None  #: why no more calls are taken
        self.end: Optional[Dict[str, Any]] = None  #: what objpool.detached has answered
        self._moves = moves
        self._numbers: Iterator[int] = itertools.count()  #: of the messages that are sent
        return self

    @property
    def is_open(self) -> bool:
        """Whether calls may be made on it."""
        return self.closing is None and self.lost is None

    def packed(self, entry: Entry, method: str, params: Any) -> Tuple[Any, Any]:
        """The bytes of an entry's request, without the target."""
        entry.fork = entry.main.forks.get(self.pool) if entry.main.forks else None
        if method == "objpool.call":
            params = [None, *params[1:]]
        else:
            method = method.partition(".")[2]
        return _pack.pack_with([0, entry.id, method, params], _LARGE_VALUES, entry.fork, limit=self.limit)

    def packed_notice(self, method: str, params: Any) -> Any:
        """The bytes of a call that nothing answers, without the target."""
        return _pack.pack_with([2, method.partition(".")[2], params], _LARGE_VALUES, limit=self.limit)[0]

    def notice(self, name: str, params: Any) -> None:
        """A notification of the worker."""
        if name == "objpool.closing":
            self.closing = str(params[0])
        else:
            super().notice(name, params)  # type: ignore[misc]

    def cancel(self, entry: Entry) -> None:
        """Cancels a call. What still comes for it is ignored."""
        if self.pending.pop(entry.id, None) is not None and entry.sent:
            entry.main.notify("objpool.cancel", self.number, entry.sent[0][1])

    def answer_all(self, lost: ConnectionLost) -> None:
        """Nothing will come any more. What becomes of the calls in flight is asked when their results are read."""
        for msgid, entry in list(self.pending.items()):
            entry.answer([1, msgid, _LOST, None])
            self.pending.pop(msgid, None)

    def must_ask(self, entry: Entry) -> bool:
        """Whether the daemon has to be asked what became of a call: `end` is to be set."""
        return entry.message[2] is _LOST and self.end is None

    def result(self, message: Any, entry: Any = None, load: Callable[[Any], Any] = _load.load) -> Any:
        """The value of a response. Raises its error."""
        if message[2] is _LOST:
            raise self._why_lost(entry)
        return super().result(message, entry, load)  # type: ignore[misc]

    def _why_lost(self, entry: Entry) -> BaseException:
        """The error of a call that was in flight when the channel ended."""
        end = self.end
        if not end:
            return ConnectionLost(self.lost.message if self.lost is not None else _LOST["message"])
        number = entry.sent[0][1] if entry.sent else end["begun"]
        begun = number < end["begun"]
        if not begun and self._moves:
            return NotBegun("the call had not begun")
        ran = "no" if not begun else "maybe" if number + 1 == end["begun"] else "yes"
        if end.get("error") is None:
            text = f"the direct channel to the instance has ended: {end.get('reason')}"
            return ConnectionLost(text, ran=ran, pool=self.pool, slot=self.slot)
        return _raised.load_error({**end["error"], "ran": ran}, self.unpickle)


class RouteState:
    """The channels of a connection for the calls of one target: to any instance of a pool, or to the one in a slot."""

    def __init__(self, connection: Any, address: str, moves: bool = True) -> None:
        self.main = weakref.ref(connection)
        self.pool, _, slot = address.partition(":")
        self.slot = int(slot) if slot else None
        self.moves = moves  #: calls that had not begun may be made on the connection
        self.channels: List[Any] = []  #: never changed, but replaced
        #: After a refusal: no channel is asked for before this time.
        self.retry_at = 0.0 if has_channels(connection.hello) else _NEVER
        self.spread_at = 0.0  #: no second channel is asked for before this time: the daemon has offered none to another instance
        self._pause = PAUSE
        self.large = connection.large.setdefault(self.pool, set())

    def note(self, name: str, message: Any) -> None:
        """A method has been called, and this is its result; None: it is small. A large one comes beside the socket of the
        connection, as bytes on a channel: the next call of the method goes where that is best."""
        if message is not None and _load.size_alone(message[3]) >= LARGE_RESULT:
            self.large.add(name)
        elif self.large:
            self.large.discard(name)

    def idlest(self) -> Any:
        """The open channel with the fewest calls, or None."""
        best, fewest = None, 0
        for channel in self.channels:
            if channel.closing is None and channel.lost is None:
                calls = len(channel.pending)
                if calls == 0:
                    return channel
                if best is None or calls < fewest:
                    best, fewest = channel, calls
        return best

    def wants(self, idlest: Any) -> bool:
        """Whether a channel should be asked for. To any instance there is another while all are busy."""
        if idlest is None:
            return time.monotonic() >= self.retry_at
        return self.slot is None and bool(idlest.pending) and time.monotonic() >= max(self.retry_at, self.spread_at)

    @property
    def wanted(self) -> List[Any]:
        """The parameters of objpool.attach."""
        return [self.pool] if self.slot is None else [self.pool, self.slot]

    def refused(self, error: ObjpoolError) -> None:
        """The daemon has no channel to give now."""
        import random
        pause, self._pause = self._pause, min(2 * self._pause, PAUSE_MOST)
        self.retry_at = time.monotonic() + (PAUSE_DENIED if isinstance(error, Denied) else pause * random.uniform(0.5, 1))

    def add(self, channel: Any) -> Any:
        """Takes a new channel; returns it. None: there is one to that instance already, and the new one is closed."""
        self._pause = PAUSE
        rest = [other for other in self.channels if not other.is_open and not other.pending]
        kept = [other for other in self.channels if other not in rest]
        again = any(other.is_open and other.slot == channel.slot for other in kept)
        self.channels = kept if again else [*kept, channel]
        if again:
            self.spread_at = time.monotonic() + PAUSE_SPREAD
            rest.append(channel)
        for other in rest:
            other.close()
        return None if again else channel

    def retire(self, slot: Optional[int] = None) -> None:
        """Makes no more calls on the channel to this slot, or on all."""
        for channel in self.channels:
            if slot is None or channel.slot == slot:
                channel.retire("no more calls")

    def close(self) -> None:
        """Closes the channels: the connection is closed."""
        for channel in self.channels:
            channel.close()
