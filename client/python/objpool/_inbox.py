# SPDX-License-Identifier: Apache-2.0
"""What comes over a connection, and the calls in flight that it is for. No I/O."""
from __future__ import annotations

import itertools

from . import _files, _incoming, _load, _pack, _raised, _system
from ._entry import Entry
from .errors import ConnectionLost, ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional, Set, Tuple

_RESPONSE = 1  #: the type of a message, as MessagePack-RPC has it


class Inbox:
    """The half of a connection that reads and writes nothing: what has come, and the calls in flight that it is for."""

    peer = "the daemon"
    slack = 2.0  #: seconds after a timeout at which the client gives up by itself: the daemon should have answered by then
    in_charge = _raised.IN_CHARGE  #: names of exceptions that are not raised as such when a method has raised them: see _raised

    def __init__(self, address: str, unpickle: bool) -> None:
        self.address = address
        self.unpickle = unpickle
        self.hello: Any = None
        self.pending: Dict[int, Entry] = {}
        self.ids = itertools.count(1)
        self.incoming = _incoming.Incoming(unpickle)
        self.inbox = self.incoming.messages
        self.store: Optional[_files.Store] = None
        self.limit: Optional[int] = None  #: how many bytes a message may have
        self.routes: Dict[str, Any] = {}  #: target -> its direct channels
        self.large: Dict[str, Set[str]] = {}  #: pool -> the methods whose calls go past direct channels: results are large
        self.forks: Dict[str, Any] = {}  #: name of a pool -> the _fork.Fork that its workers are forks of
        self._arrivals: Optional[_files.Arrivals] = None

    @property
    def refusal(self) -> Optional[ObjpoolError]:
        """Why the other side has ended a connection over TLS, or this one."""
        return None

    def add(self, entry: Entry) -> int:
        """Registers an entry that waits for an answer; returns its msgid."""
        entry.id = msgid = next(self.ids) & 0xFFFFFFFF
        self.pending[msgid] = entry
        return msgid

    def dispatch(self) -> None:
        """Gives each message that has come to its entry."""
        inbox, pending = self.inbox, self.pending
        if self.has_arrivals:
            self.attach()
        while inbox:
            message = inbox[0][0]
            if message[0] == _RESPONSE:
                entry = pending.get(message[1])
                if entry is not None:
                    entry.answer(message)
                    pending.pop(message[1], None)
                elif message[1] == 0:
                    raise ConnectionLost(f"the daemon says: {message[2]}")
            else:
                self.notice(message[1], message[2])
            inbox.popleft()

    def notice(self, name: str, params: Any) -> None:
        """Gives a notification to its call."""
        entry = self.pending.get(params[0])
        if entry is not None:
            entry.notify(name, params)

    #: True if values that came may stand for descriptors that came.
    has_arrivals: Any = ()

    def introduction(self) -> Dict[str, Any]:
        """The parameters of objpool.hello."""
        return {"client": "python", "errors": "map", "fds": self.address.startswith("unix:") and _system.DESCRIPTORS}

    def on_hello(self, hello: Dict[str, Any]) -> None:
        """Takes the answer to objpool.hello. If both ends can, large values go and come beside the socket from now on."""
        self.hello = hello
        self.limit = hello.get("limits", {}).get("max_message")
        if hello.get("fds"):
            self._arrivals = _files.Arrivals(self, hello["fds_mark"])
            self.has_arrivals = self._arrivals.waiting
            self.store = _files.Store()

    def close_files(self) -> None:
        """Closes the descriptors that a connection which has ended keeps for its next messages."""
        if self._arrivals is not None and self.store is not None:
            self._arrivals.close()
            self.store.close()

    def attach(self) -> None:
        """Gives the descriptors to the values that stand for them."""
        assert self._arrivals is not None
        for message, _ in self.inbox:
            _load.attach(message, self._arrivals, self.unpickle)

    def store_for(self, method: str, params: Any) -> Optional[_files.Store]:
        """Where large values of a request are put. None: in the message, for the daemon's own methods and sticky calls."""
        if self.store is None:
            return None
        if method == "objpool.call":
            return self.store if len(params) < 4 or not params[3] or "sticky" not in params[3] else None
        return None if method.startswith("objpool.") else self.store

    def fork_for(self, entry: Entry, method: str, params: Any) -> Any:
        """The fork whose workers get a request: arguments may refer to what it has. None: the workers are no forks of ours."""
        if not self.forks:
            return None
        target = params[0] if method == "objpool.call" else params[0]["pool"] if method == "objpool.create" else method
        entry.fork = self.forks.get(target.partition(".")[0].partition(":")[0])
        return entry.fork

    def packed(self, entry: Entry, method: str, params: Any) -> Tuple[Any, Optional[_files.Outgoing]]:
        """The bytes of an entry's request, and what goes beside them."""
        fork = self.fork_for(entry, method, params)
        return _pack.pack_with([0, entry.id, method, params], self.store_for(method, params), fork, limit=self.limit)

    def result(self, message: Any, entry: Optional[Entry] = None, load: Callable[[Any], Any] = _load.load) -> Any:
        """The value of a response. Raises its error."""
        if entry is not None and entry.outgoing is not None:
            if message[2] is None:
                entry.outgoing.release()
            entry.outgoing = None
        if message[2] is not None:
            raise _raised.load_error(message[2], self.unpickle)
        return load(message[3])

    def answer_all(self, lost: ConnectionLost) -> None:
        """Answers all calls in flight with an error: nothing will come any more."""
        error = {"code": lost.code, "message": lost.message}
        for msgid, entry in list(self.pending.items()):
            entry.answer([_RESPONSE, msgid, error, None])
            self.pending.pop(msgid, None)
