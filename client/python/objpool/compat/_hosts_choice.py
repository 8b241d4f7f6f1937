# SPDX-License-Identifier: Apache-2.0
"""The hosts of which a crew of other machines (_hosts_crew.py) may choose, and which of them is next.

Of "*", or of one name, the daemon knows what to do: then there is one target. No target names several hosts, so of a list of names
the program itself chooses, for each task: the host to which it has given least, for the slots that there are. One that can't be
asked is left alone for a while.
"""
import threading
import time

from .. import errors

LEFT_ALONE = 1.0        # seconds


class Place:
    """A target: a host's name, or "*"."""

    def __init__(self, name, chunk, slots):
        self.name, self.chunk, self.slots = name, chunk, max(1, slots)
        self.under_way = 0
        self.left_alone_until = 0.0


class Choice:
    def __init__(self, client, hosts, pool, idempotent):
        names = check_names(hosts)
        slots = slots_of(client, pool)
        there = {name: slots.get(name, 0) for name in names} if hosts != "*" else {"*": sum(slots.values())}
        self.size = sum(there.values())
        if self.size == 0:
            raise errors.Unreachable(f"{nobody(names)} {pool}: `objpool hosts` shows who is there")
        options = {"idempotent": True} if idempotent else {}
        self._idempotent = idempotent
        self._places = [Place(name, client.pool(pool, host=name, **options).chunk, count) for name, count in there.items()]
        self._guard = threading.Lock()

    def take(self, tried=()):
        """A place, to which something is given now."""
        now = time.monotonic()
        with self._guard:
            place = min((place for place in self._places if place not in tried),
                        key=lambda place: (place.left_alone_until > now, (place.under_way + 1) / place.slots))
            place.under_way += 1
        return place

    def give_back(self, place, error=None):
        """What was given to it has ended."""
        with self._guard:
            place.under_way -= 1
            if isinstance(error, (errors.Unreachable, errors.HostLost)):
                place.left_alone_until = time.monotonic() + LEFT_ALONE

    def may_go_elsewhere(self, error, tried):
        """Whether what has failed so may be given to another place, of those that are not among `tried`."""
        return len(tried) < len(self._places) and isinstance(error, (errors.Unreachable, errors.HostLost)) and \
            (error.ran == "no" or self._idempotent)


def check_names(hosts):
    """The names, without those that come twice."""
    names = [hosts] if isinstance(hosts, str) else list(dict.fromkeys(hosts)) if isinstance(hosts, (list, tuple, set, frozenset)) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f'hosts is "*", the name of a host, or a list of names, and not {hosts!r}')
    if "*" in names and hosts != "*":
        raise ValueError('"*" stands for all hosts, and not in a list of names')
    return names


def nobody(names):
    if names == ["*"]:
        return "no host that is there shares a pool"
    if len(names) == 1:
        return f"host {names[0]} is not there, or shares no pool"
    return f"none of the hosts {', '.join(names)} is there and shares a pool"


def slots_of(client, pool):
    """host -> how many slots the pool has there: of hosts that are there."""
    told = client.call("objpool.hosts")["hosts"]
    return {host["name"]: shared["slots"] for host in told if host["state"] in ("self", "ready")
            for shared in host["pools"] if shared["pool"] == pool}
