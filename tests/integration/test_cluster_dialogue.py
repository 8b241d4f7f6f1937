# SPDX-License-Identifier: Apache-2.0
"""The dialogue of calls to other hosts (tests/wire/other_hosts.json), which the tests of clients play, against daemons with real
gateways: they answer what it says, and their errors have the fields that it shows. The texts of errors may be others."""
import json
import os
import pathlib
import signal

import pytest
from cluster import cluster, needs_cluster  # noqa: F401
from harness import wait_for

pytestmark = needs_cluster
STEPS = json.loads((pathlib.Path(__file__).parents[1] / "wire/other_hosts.json").read_text())["steps"]


def request(number):
    """(method, params) of that msgid."""
    return next(step["client"][2:] for step in STEPS if "client" in step and step["client"][1] == number)


def about(messages, number):
    """Notifications and the response of that call."""
    return [message for message in messages if (message[2][0] if message[0] == 2 else message[1]) == number]


def agrees(said, told, freely=()):
    """Errors may have more fields than the dialogue shows, and other texts; `freely`: other values of these fields."""
    if isinstance(told, dict):
        return isinstance(said, dict) and all(key in said and (key in freely or agrees(said[key], value, freely))
                                              for key, value in told.items())
    if isinstance(told, list):
        return isinstance(said, list) and len(said) == len(told) and \
            all(agrees(mine, theirs, freely) for mine, theirs in zip(said, told))
    return said == told


def judge(said, number, *freely):
    told = about([step["daemon"] for step in STEPS if "daemon" in step], number)
    assert told and agrees(about(said, number), told, ("message", *freely)), f"{about(said, number)} is not {told}"


def play(client, number):
    method, params = request(number)
    client.start(method, *params, msgid=number)


def answers(client, number):
    heard = [client.receive()]
    while heard[-1][0] != 1 or heard[-1][1] != number:
        heard.append(client.receive())
    return heard


@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 7, 9])
def test_what_goes_well_or_fails_there(cluster, number):
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        play(c, number)
        judge(answers(c, number), number, "slot")      # which one is not said where it is chosen


def test_what_hosts_owe_that_are_lost(cluster):
    """Calls 8, 10 and 13 are under way when h2 stands still, as is 12 when h3 has died."""
    hosts = cluster(("h1", "h2", "h3"), pools={"p": {"workers": 1, "share": "yes"}})
    with hosts["h1"].client().maps() as c:
        hosts["h3"].kill()
        wait_for(lambda: hosts["h1"].hosts()["h3"]["state"] == "gone", lambda: "h3 to be gone")
        play(c, 12)
        judge(answers(c, 12), 12)
        hosts["h2"].freeze()
        try:
            for number in (8, 10, 13):
                play(c, number)
            heard = []
            while sum(message[0] == 1 for message in heard) < 3:
                heard.append(c.receive())
        finally:
            hosts["h2"].freeze(signal.SIGCONT)
        for number in (8, 10, 13):
            judge(heard, number)


def test_the_own_gateway_dies(cluster):
    """A call that names a host has that host in its error; one that does not, this host."""
    hosts = cluster(("h1", "h2"))
    with hosts["h1"].client().maps() as c:
        waiting = {"h2": [c.start("p@h2:1.sleep", 60), c.start("objpool.call", "p@h2", "sleep", [60])],
                   "h1": [c.start("p@*:all.sleep", 60), c.start("objpool.call", "p@*:map", "sleep", [[60]])]}
        with hosts["h2"].client() as there:
            def works():
                pool, = there.value("objpool.status")["pools"]
                return pool["running"] == 2 and pool["queue"] > 0
            wait_for(works, lambda: f"the calls to run: {there.value('objpool.status')}")
        os.kill(hosts["h1"].gateway(), signal.SIGKILL)
        for host, numbers in waiting.items():
            for number in numbers:
                error, _ = c.wait(number)
                assert (error["code"], error["ran"], error["pool"], error["host"]) == ("HOST_LOST", "maybe", "p", host), error
