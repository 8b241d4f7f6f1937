# SPDX-License-Identifier: Apache-2.0
"""Threads for those referents of a manager's server whose methods may wait: one for each thread of a client, which has a connection
to it. The protocol, and the code, are the standard library's."""
import os
import threading

from . import _codec, connection, process
from ._quick import Quick
from ._standard_managers import Server


class _Entries:
    """The referents as the standard library's Server looks for them."""

    def __init__(self, referents):
        self._referents = referents

    def __getitem__(self, ident):
        entry = self._referents.entry(ident)
        return entry.value, entry.exposed, entry.typeids


class _Connection(Quick):
    """A connection as serve_client uses it."""

    def recv(self):
        return _codec.loads(self.recv_bytes())

    def send(self, message):
        kind, value = message
        self.send_bytes(_codec.dumps_pair(kind, value))


class Threads(Server):
    public = ("accept_connection", "create", "dummy")

    def __init__(self, referents, authkey):
        self._referents = referents
        self.authkey = process.AuthenticationString(authkey)
        self.listener = connection.Listener(f"\0objpool-manager-{os.getpid()}-{os.urandom(8).hex()}", backlog=64)
        self.address = self.listener.address
        self.id_to_obj, self.id_to_local_proxy_obj = _Entries(referents), {}
        self.stop_event = threading.Event()
        threading.Thread(target=self.accepter, name="accepter", daemon=True).start()

    def create(self, c, typeid, /, *args, **kwds):
        return self._referents.new(typeid, args, kwds)

    def accept_connection(self, c, name):
        super().accept_connection(_Connection(c), name)
