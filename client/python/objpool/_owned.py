# SPDX-License-Identifier: Apache-2.0
"""Pools that this process makes, and owns: they are removed with the last reference to them."""
from __future__ import annotations

import functools
import itertools
import os
import sys
import time

from ._connection import Connection
from ._entry import Entry
from .errors import ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple


def create(connection: Connection, section: Dict[str, Any], template: Any) -> None:
    """Calls objpool.create. Drops the pool again if its template, a fork of this program, gets stuck."""
    if template is None:
        connection.call("objpool.create", [section])
        return
    entry = Entry()
    try:
        connection.start(entry, "objpool.create", [section])
        for pause in template.pauses():
            if connection.wait(entry, time.monotonic() + pause):
                break
        else:
            connection.call("objpool.drop", [section["pool"]])
            connection.wait(entry)
    except BaseException:
        if entry.message is None:
            connection.cancel(entry)
        raise
    connection.result(entry.message, entry)


class Owned:
    """A pool that this process has made. It is removed with the last reference to this object."""

    def __init__(self, connection: Connection, name: str, template: Any = None) -> None:
        self._connection = connection
        self._is_ours = True
        self.name = name
        self._template = template
        self._pid = os.getpid()
        if template is not None:
            connection.forks[name] = template

    def _take(self) -> Optional[Connection]:
        """The connection, if the pool is still to be removed, and can be. The caller removes it."""
        is_ours, self._is_ours = self._is_ours, False
        if is_ours:
            self._connection.forks.pop(self.name, None)
        return self._connection if is_ours and self._connection.lost is None and self._pid == os.getpid() else None

    def drop(self) -> None:
        """Removes the pool, and waits until it is gone."""
        connection = self._take()
        if connection is not None:
            connection.call("objpool.drop", [self.name])
            self.end_template()

    def end_template(self) -> None:
        """Ends the template: its pool has been dropped. A daemon whose connection is lost removes the pool with it, and the template
        ends then by itself: that the daemon finds it dead before would be an error."""
        if self._template is None:
            return
        if self._connection.lost is None:
            self._template.end()
        else:
            self._template.end_soon()

    def give_up(self) -> None:
        """Ends the template: the pool could not be made."""
        self._take()
        self.end_template()

    def withdraw(self, drop: bool) -> None:
        """Ends a pool whose creation was cancelled, without waiting. `drop`: it may have been made, and nobody else has a pool of
        that name, so it is dropped."""
        connection = self._take()
        if connection is None or self._template is None:
            self._notify_drop(connection if drop else None)
        else:
            self._template.reap_soon(functools.partial(self._withdraw, connection, drop))

    def _withdraw(self, connection: Connection, drop: bool) -> None:
        try:
            connection.call(*self.withdrawal(drop))
        except ObjpoolError:
            pass  # the pool is gone already, or the connection is lost
        finally:
            self.end_template()

    def withdrawal(self, drop: bool) -> Tuple[str, List[str]]:
        """Method and parameters of a call. Once it is answered, the daemon has given the pool up: its template may end."""
        return ("objpool.drop", [self.name]) if drop else ("objpool.ping", [])

    def _notify_drop(self, connection: Optional[Connection]) -> None:
        if connection is not None:
            connection.notify("objpool.drop", self.name)

    def keep(self) -> None:
        """The pool is not removed: the daemon owns it."""
        self._is_ours = False

    def __del__(self, _ends: Callable[[], bool] = sys.is_finalizing) -> None:
        if _ends():
            return  # modules may have been cleared by now; the daemon removes the pool with the connection
        was_ours = self._is_ours
        self._notify_drop(self._take())
        if was_ours and self._template is not None:
            self._template.reap_soon()  # if the connection was lost, the pool is gone with it


_numbers = itertools.count(1)


def new_name(of: str) -> str:
    """A name for a pool of `of` that no other pool has."""
    stem = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in of)[:64]
    return f"{stem}-{os.getpid()}-{next(_numbers)}-{os.urandom(3).hex()}"
