# SPDX-License-Identifier: Apache-2.0
"""Calls of the threads that a manager's server has (_referent_threads.py). The protocol is the standard library's."""
from . import connection
from ._link import ServerLost
from ._standard_managers import dispatch


def ask_threads(link, authkey, method, args, kwds={}):
    """A call of a method of the server's threads (_referent_threads.py)."""
    conn = connect_to_threads(link, authkey)
    try:
        return dispatch(conn, None, method, args, kwds)
    finally:
        conn.close()


def connect_to_threads(link, authkey):
    try:
        return connection.Client(link.threads(authkey), authkey=bytes(authkey))
    except (ConnectionError, FileNotFoundError) as error:
        raise ServerLost(f"the manager's server has ended: {error}") from error
