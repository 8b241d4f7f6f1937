# SPDX-License-Identifier: Apache-2.0
"""Who holds how many of something that a manager's server gives out."""


class Holders:
    """How many of the source each client holds. A client's `holding` has the sources that it holds something of."""

    __slots__ = ("_source", "_counts")

    def __init__(self, source):
        self._source, self._counts = source, {}

    def add(self, client):
        self._counts[client] = self._counts.get(client, 0) + 1
        client.holding.add(self._source)

    def remove(self, client):
        """One that the client holds, or else one of another's, is held no longer."""
        if client not in self._counts:
            client = next(iter(self._counts), None)
        if client is None:
            return
        self._counts[client] -= 1
        if not self._counts[client]:
            self.remove_all(client)

    def remove_all(self, client):
        """How many the client held."""
        client.holding.discard(self._source)
        return self._counts.pop(client, 0)
