# SPDX-License-Identifier: Apache-2.0
"""What notebooks show of clients and pools: HTML. All that the daemon says is escaped: names and last words are others'."""
from __future__ import annotations

from html import escape

from . import _call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Sequence, Tuple

    Column = Tuple[str, Callable[[Dict[str, Any]], Any]]

PATIENCE = 2.0  #: seconds that the daemon has to answer
ROWS = 100      #: more are counted, and not shown

_OF_POOLS: List[Column] = [
    ("pool", lambda pool: pool.get("name")),
    ("state", lambda pool: pool.get("state")),
    ("ready", lambda pool: f"{pool.get('ready', 0)} of {pool.get('workers', 0)}"),
    ("waiting", lambda pool: pool.get("queue")),
    ("calls", lambda pool: pool.get("calls")),
    ("failed", lambda pool: pool.get("failures")),
    ("trouble", lambda pool: pool.get("error")),
]
_OF_SLOTS: List[Column] = [
    ("slot", lambda slot: slot.get("slot")),
    ("state", lambda slot: slot.get("state")),
    ("generation", lambda slot: slot.get("generation")),
    ("runs", lambda slot: slot.get("running")),
    ("calls", lambda slot: slot.get("calls")),
    ("failed", lambda slot: slot.get("failures")),
    ("restarts", lambda slot: slot.get("restarts")),
    ("last failure", lambda slot: slot.get("last_failure")),
]


def of_client(client: Any) -> str:
    """A client: its daemon, and a row for each pool."""
    try:
        status = _status(client)
        server = client.server
    except Exception as error:
        return _sentence(f"objpool client of {client.address}", error)
    head = f"{server.get('server', 'objpool')} {server.get('version', '')} at {client.address}"
    return _paragraph(head) + _table(_OF_POOLS, status.get("pools", []))


def of_pool(pool: Any) -> str:
    """A pool: how it is, and a row for each slot."""
    try:
        status = _status(pool.client, pool.name)["pools"][0]
    except Exception as error:
        return _sentence(f"objpool pool {pool.name}", error)
    return _table(_OF_POOLS, [status]) + _table(_OF_SLOTS, status.get("slots", []))


def _status(client: Any, *pool: str) -> Dict[str, Any]:
    request = _call.Request("objpool.status", list(pool), "objpool.status")
    request.timeout = PATIENCE
    return _call.call(client._connected(), request)


def _text(value: Any) -> str:
    return "" if value is None else escape(str(value))


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _sentence(what: str, error: Exception) -> str:
    """In place of a table: why there is none."""
    return _paragraph(f"{what}: {error}")


def _table(columns: Sequence[Column], rows: Sequence[Dict[str, Any]]) -> str:
    head = "".join(f"<th>{title}</th>" for title, _ in columns)
    body = "".join(f"<tr>{''.join(f'<td>{_text(of(row))}</td>' for _, of in columns)}</tr>" for row in rows[:ROWS])
    more = _paragraph(f"and {len(rows) - ROWS} more") if len(rows) > ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"
