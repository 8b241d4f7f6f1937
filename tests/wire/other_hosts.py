#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other hosts, as a dialogue tells of them: a gateway_program that answers what the daemon sends as the dialogue's daemon does.

The daemon starts it, and its `domain` names the dialogue: of that come the responses, and the notifications before them. The link to
the daemon is described in proto/gateway_link.h.
"""
import socket

import dialogue
from fake_server import NOTIFICATION, REQUEST, RESPONSE, same

LINK = 3
CONFIG, MESSAGE = 0, 2
MESSAGE_BACK, HOSTS, STATE = 2, 3, 4
ABOUT_CALLS = ("objpool.feed", "objpool.feed_end", "objpool.cancel")


class Call:
    """A request for other hosts, and what follows. `rounds`: [what the client says, [what the daemon sends then]]."""

    def __init__(self, request):
        self.request = request
        self.rounds = [(request, [])]
        self.session = self.number = None   # as the daemon says them
        self.fed, self.said = [], set()

    def begin(self, session, number):
        self.session, self.number = session, number
        return self.rounds.pop(0)[1]

    def go_on(self, method, params):
        """What is sent when the client has said this about the call. It may feed more at once than the dialogue's client."""
        if method == "objpool.feed":
            self.fed += params[1]
        else:
            self.said.add(method)
        sent = []
        while self.rounds and self.is_due(*self.rounds[0][0][-2:]):
            sent += self.rounds.pop(0)[1]
        return sent

    def is_due(self, method, params):
        if method != "objpool.feed":
            return method in self.said
        items = len(params[1])
        if len(self.fed) < items:
            return False
        del self.fed[:items]
        return True


def calls(steps):
    """The calls of other hosts, in the dialogue's order."""
    told = {}
    for step in steps:
        said = dialogue.unpack(dialogue.bytes_of(step)) if "bytes" in step else None
        if "client" in step and said and said[-2] in ABOUT_CALLS and said[-1][0] in told:
            told[said[-1][0]].rounds.append((said, []))
        elif "client" in step and said and is_for_others(said):
            told[said[1]] = Call(said)
        elif "daemon" in step and said and number_of(said) in told:
            told[number_of(said)].rounds[-1][1].append(said)
    return list(told.values())


def hosts(steps):
    """The messages that tell the daemon of hosts and of the bus, where the dialogue asks for them."""
    asked = [step["client"][1] for step in steps if step.get("client", ())[2:3] == ["objpool.hosts"]]
    for step in steps:
        if "daemon" in step and asked and step["daemon"][:2] == [RESPONSE, asked[0]]:
            told = dialogue.unpack(dialogue.bytes_of(step))[3]
            yield [STATE, told["bus"]["state"], told["bus"]["text"]]
            yield [HOSTS, [host_of(host) for host in told["hosts"]], told["bus"] | told["gateway"]]


def host_of(told):
    pools = [[pool[key] for key in ("pool", "class", "slots", "ready", "queue", "running")] for pool in told["pools"]]
    return told | {"pools": pools, "incarnation": int(told["incarnation"], 16)}


def is_for_others(message):
    """Whether a request has a target of other hosts."""
    if message == "end" or message[0] != REQUEST:
        return False
    target = message[3][:1] if message[2].startswith("objpool.") else [message[2].partition(".")[0]]
    return "@" in str(target)


def number_of(message):
    return message[2][0] if message[0] == NOTIFICATION else message[1]


def numbered(message, number):
    """The same about the request of that msgid."""
    kind, *_, last = message
    return [kind, message[1], [number, *last[1:]]] if kind == NOTIFICATION else [kind, number, *message[2:]]


def main():
    link = socket.socket(fileno=LINK)
    unpacker = dialogue.msgpack.Unpacker(raw=False, strict_map_key=False)
    told, begun = [], []
    while data := link.recv(1 << 16):
        unpacker.feed(data)
        for kind, *what in unpacker:
            if kind == CONFIG:
                steps = dialogue.read(dialogue.FOLDER / f"{what[0]['domain']}.json")["steps"]
                told = calls(steps)
                for message in hosts(steps):
                    link.sendall(dialogue.pack(message))
            elif kind == MESSAGE:
                answer(link, told, begun, *what)


def answer(link, told, begun, session, said):
    if said[0] == REQUEST:
        call = next(call for call in told if same(call.request, said))
        told.remove(call)
        begun.append(call)
        sent = call.begin(session, said[1])
    else:
        call = next((call for call in begun if (call.session, call.number) == (session, said[-1][0])), None)
        sent = call.go_on(*said[-2:]) if call else []
    for message in sent:
        link.sendall(dialogue.pack([MESSAGE_BACK, session, numbered(message, call.number)]))


if __name__ == "__main__":
    main()
