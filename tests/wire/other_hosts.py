#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Other hosts, as a dialogue tells of them: a gateway_program that answers what the daemon sends as the dialogue's daemon does.

The daemon starts it, and its `domain` names the dialogue: of that come the responses, and the notifications before them. The link to
the daemon is described in proto/gateway_link.h.
"""
import socket

import dialogue
from fake_server import NOTIFICATION, REQUEST, same

LINK = 3
CONFIG, MESSAGE = 0, 2
MESSAGE_BACK = 2


def answers(steps):
    """[(request, [what the daemon sends for it])] of the requests for other hosts, in the dialogue's order."""
    told = []
    for step in steps:
        if "client" in step and is_for_others(step["client"]):
            told.append((dialogue.to_value(step["client"]), []))
        elif "daemon" in step:
            for request, sent in told:
                if request[1] == number_of(step["daemon"]):
                    sent.append(dialogue.to_value(step["daemon"]))
    return told


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
    told = []
    while data := link.recv(1 << 16):
        unpacker.feed(data)
        for kind, *what in unpacker:
            if kind == CONFIG:
                told = answers(dialogue.read(dialogue.FOLDER / f"{what[0]['domain']}.json")["steps"])
            elif kind == MESSAGE and what[1][0] == REQUEST:
                session, (_, number, method, params) = what
                request, sent = next(entry for entry in told if same(entry[0], [REQUEST, number, method, params]))
                told.remove((request, sent))
                for message in sent:
                    link.sendall(dialogue.pack([MESSAGE_BACK, session, numbered(message, number)]))


if __name__ == "__main__":
    main()
