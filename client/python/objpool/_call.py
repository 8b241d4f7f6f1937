# SPDX-License-Identifier: Apache-2.0
"""Calls: the request for one, and waiting for its result, with progress. Calls as futures: _future.py."""
from __future__ import annotations

import collections
import math
import time
import warnings

from . import _load, _raised, _retry
from ._connection import Connection
from ._entry import Entry
from .errors import BadArgument, BadValue, Timeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, Dict, List, Optional, Tuple

SLACK = Connection.slack
LONGEST = 1e9  #: seconds; a longer timeout is none

_WIRE_OPTIONS = frozenset(
    {"bind", "bind_kwargs", "args_as", "errors", "chunk", "ordered", "window", "sync", "labels", "idempotent", "sticky",
     "traceparent", "priority"})
OPTIONS = _WIRE_OPTIONS | {"timeout", "progress", "retry", "direct"}


class Request:
    """One call, ready to be sent."""

    __slots__ = ("method", "params", "timeout", "collect", "progress", "name", "gathers", "route")

    def __init__(self, method: str, params: Any, name: str) -> None:
        self.method = method
        self.params = params
        self.name = name
        self.timeout: Optional[float] = None
        self.collect = False
        self.progress: Any = None
        self.gathers = False  #: its result is a list of the results of items
        self.route: Any = None  #: the _direct.RouteState that is told of the result

    def set_timeout(self, seconds: Optional[float]) -> None:
        """Sets the timeout, which the daemon gets, too. None changes nothing."""
        if seconds is not None:
            self.timeout = seconds
            self.params[3]["timeout_ms"] = milliseconds(seconds)


def check_options(options: Dict[str, Any]) -> Dict[str, Any]:
    """The same options; a TypeError for one that does not exist."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(f"there is no option {name!r}: there are {', '.join(sorted(OPTIONS))}")
    checked = {**options, "retry": _retry.of(options["retry"])} if "retry" in options else options
    return {**checked, "timeout": seconds(options["timeout"])} if "timeout" in options else checked


def seconds(timeout: Any) -> Optional[float]:
    """A timeout as a number. None: there is none, or it is longer than LONGEST."""
    if timeout is None:
        return None
    timeout = float(timeout)
    if math.isnan(timeout):
        raise ValueError("a timeout is a number of seconds, and this is none: nan")
    return timeout if timeout < LONGEST else None


def milliseconds(seconds: Optional[float]) -> Optional[int]:
    """A timeout as the wire has it, rounded up."""
    return None if seconds is None else max(0, int(seconds * 1000 + 0.999))


def as_items(value: Any) -> List[Any]:
    """The items of a map's argument, as a list."""
    if type(value) is list:
        return value
    check_items(value)
    return list(value)


def check_items(value: Any) -> None:
    """Raises BadArgument if a map's argument is not iterable. Does not read it."""
    if isinstance(value, (str, bytes, bytearray, dict)) or not (hasattr(value, "__iter__") or hasattr(value, "__getitem__")):
        raise BadArgument(f"a map's argument is an iterable of items, and no {type(value).__name__}", ran="no")


def make_request(target: str, mapped: bool, name: str, args: Tuple[Any, ...], kwargs: Dict[str, Any], options: Dict[str, Any],
                 more: Optional[Dict[str, Any]] = None, fed: bool = False) -> Request:
    """The request for target.name(*args, **kwargs) with these options; `more` are options as the wire has them."""
    if mapped and not fed:
        args, kwargs = _mapped(args, kwargs, options.get("args_as", "zip"))
    if not kwargs and not options and not more and "." not in target:
        return _gathering(Request(f"{target}.{name}", list(args), name), mapped)
    wire = {key: options[key] for key in _WIRE_OPTIONS.intersection(options)}
    if kwargs:
        wire["kwargs"] = kwargs
    if more:
        wire.update(more)
    request = _gathering(Request("objpool.call", [target, name, None if fed else list(args), wire], name), mapped)
    request.set_timeout(options.get("timeout"))
    request.collect = options.get("errors") == "collect"
    progress = options.get("progress")
    if progress is not None and progress is not False:  # a bar may raise when asked whether it is true
        request.progress = progress_to(progress)
        wire["progress"] = True
    return request


def _gathering(request: Request, mapped: bool) -> Request:
    request.gathers = mapped
    return request


def _mapped(args: Tuple[Any, ...], kwargs: Dict[str, Any], args_as: str) -> Tuple[Any, Dict[str, Any]]:
    if args_as == "zip":
        return [as_items(arg) for arg in args], {key: as_items(value) for key, value in kwargs.items()}
    if len(args) != 1 or kwargs:
        raise BadArgument(f"args_as={args_as!r} takes one iterable of items", ran="no")
    return as_items(args[0]), kwargs


def granted_by(pool: str, lease: Dict[str, Any]) -> str:
    """The pool of the host that has granted that lease: any was asked (sim@*), or those of a section [remote]."""
    return f"{pool.partition('@')[0]}@{lease['host']}" if "host" in lease else pool


def collected(result: Any, unpickle: bool) -> List[Any]:
    """The result of errors="collect": values, and exceptions in their places. With labels: behind the host and the slot."""
    return [_collected(i, row, unpickle) if len(row) == 2 else [*row[:2], _collected(i, row[2], unpickle)]
            for i, row in enumerate(result)]


def _collected(index: int, pair: Any, unpickle: bool) -> Any:
    error, value = pair
    if error is not None:
        return _raised.load_error(error, unpickle)
    try:
        return _load.load_item(index, value)
    except BadValue as bad:
        return bad


def value_of(request: Request, connection: Any, entry: Entry) -> Any:
    """The result of a call that was answered. Raises its error."""
    message = entry.message
    if request.route is not None and message[2] is None:
        request.route.note(request.name, message)
    if request.collect and message[2] is None and isinstance(message[3], list):
        return collected(message[3], connection.unpickle)
    return connection.result(message, entry, _items_loader(connection) if request.gathers else _load.load)


def _items_loader(connection: Any) -> Callable[[Any], Any]:
    """What loads the results of items. To look whether one of very many is a placeholder takes time: only if there may be one."""
    return _load.load_items if connection.incoming.had_placeholders() else _as_they_are


def _as_they_are(values: Any) -> Any:
    return values


def call(connection: Connection, request: Request) -> Any:
    """Sends the request and waits for its value."""
    if request.progress is not None:
        return _call_with_progress(connection, request)
    if request.collect or request.gathers or request.timeout is not None:
        return _call(connection, request, Entry())
    if request.route is not None:
        return request.route.call(connection, request.name, request.method, request.params)
    return connection.call(request.method, request.params)


def _call(connection: Connection, request: Request, entry: Entry, turn: Callable[[], None] = lambda: None) -> Any:
    deadline = None if request.timeout is None else time.monotonic() + request.timeout + connection.slack
    try:
        connection.start(entry, request.method, request.params)
        while entry.message is None:
            entry.news = entry.message
            turn()
            if not connection.wait(entry, deadline):
                raise Timeout(f"{request.name}: {connection.peer} has not answered within {request.timeout:g} s")
        turn()
    except BaseException:
        if entry.message is None:
            connection.cancel(entry)
        raise
    return value_of(request, connection, entry)


class _ProgressEntry(Entry):
    def __init__(self) -> None:
        super().__init__()
        self.steps: Deque[Any] = collections.deque()

    def notify(self, name: str, params: List[Any]) -> None:
        self.steps.append(params)
        self.news = True
        if self.waiters:
            self.wake()


def _call_with_progress(connection: Connection, request: Request) -> Any:
    entry = _ProgressEntry()

    def tell() -> None:
        while entry.steps:
            _, done, total, text = entry.steps.popleft()
            request.progress(done, total, text)
    return _call(connection, request, entry, tell)


def _new_bar() -> Any:
    """A bar of tqdm: in a notebook a widget, where it has widgets, and else characters. None: tqdm is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a notebook has no widgets is no trouble of this program
            from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm()


def progress_to(progress: Any) -> Callable[[Any, Any, Any], None]:
    """A function of (done, total, text), for a callable, a tqdm bar, or True: a new bar, if tqdm is installed."""
    ours = _new_bar() if progress is True else None
    if progress is True and ours is None:
        return lambda done, total, text: None
    if ours is None and (not hasattr(progress, "update") or not hasattr(progress, "n")):
        return progress
    bar = progress if ours is None else ours

    def move(done: Any, total: Any, text: Any) -> None:
        if total is not None and total != bar.total:
            _set_total(bar, total)
        if text:
            bar.set_postfix_str(text, refresh=False)
        if done is not None:
            bar.update(done - bar.n)
        if ours is not None and total is not None and done == total:
            bar.close()
    return move


def _set_total(bar: Any, total: Any) -> None:
    """A notebook's bar, which is a widget, learns of a total by reset() only."""
    if hasattr(bar, "reset"):
        bar.reset(total)
    else:
        bar.total = total
