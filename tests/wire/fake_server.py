# SPDX-License-Identifier: Apache-2.0
"""A server that knows one dialogue, for a client that plays it: it hears what the client says, and answers as the daemon did.

    fake_server.py FILE [--piece N] [--tcp]     prints its address, takes one connection, and ends with it

The answers are sent in pieces of N bytes. Exit status 0: the client has said what it should; else standard error says what was
amiss. A client may number its requests as it likes, say hello or not, write a call in the short form or as `objpool.call`, leave out
options or give nil, and feed as many items at once as its credit allows.
"""
import os
import select
import socket
import sys
import tempfile
import threading

import dialogue
from dialogue import DEADLINE, bytes_of, pack, unpack
from fake_routes import STANDS_FOR, Route, as_on_connection, key_of, memory_file, opened, place_of, spliced

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2
HELLO = {"server": "objpool", "version": "0.1.0", "protocol": [1, 2], "session": 1, "pools": ["p"], "limits": {
    "max_message": 268435456, "max_inflight": 16384, "max_pending": 536870912, "max_unsent": 16777216, "max_depth": 32}}
NUMBERED = {"objpool.feed", "objpool.feed_end", "objpool.cancel", "objpool.result", "objpool.results", "objpool.progress", "objpool.credit"}
MAY_BE_ADDED = {"ordered": True, "errors": "wait", "chunk": 0, "args_as": "zip"}  # options that a client may name though they are the default


class Amiss(Exception):
    """The client has not said what it should."""


# ---- what a client means ----

def meaning(message):
    """A client's message in the form that all ways to say it have in common: (method, what it is about)."""
    method, params = message[-2], message[-1] or []
    method = method.decode() if isinstance(method, bytes) else method
    if method == "objpool.call":
        target, method, args, options = (*params, None, None, None)[:4]
    elif method.startswith("objpool.") or "." not in method:
        return method, [param for param in params if param not in (None, {})]
    else:
        target, _, method = method.partition(".")
        args, options = params, None
    options = {key: value for key, value in (options or {}).items() if value is not None and value not in ({}, [])}
    if options.get("stream") == "runs":
        options["stream"] = True
    return "call", {"target": target, "method": method, "args": args if options.get("stream") else args or [], "options": options}


def same(told, got):
    """Whether a client's message means what the dialogue's does. Windows are the client's own."""
    (told_method, told_params), (got_method, got_params) = meaning(told), meaning(got)
    if told_method != "call" or got_method != "call":
        return told_method == got_method and told_params == got_params
    options, wanted = got_params.pop("options"), told_params.pop("options")
    if got_params["args"] is None and options.get("args_as") == "single":  # what is fed is one argument anyhow
        del options["args_as"]
    for key in options.keys() - wanted.keys():
        if key == "window" or MAY_BE_ADDED.get(key) == options[key]:
            wanted[key] = options[key]
    if "window" in wanted:
        options["window"] = wanted["window"]
    return told_params == got_params and options == wanted


# ---- the connection ----

class Server:
    def __init__(self, sock, steps, piece):
        self.steps, self.piece = steps, piece
        self.connection = Route(sock, piece, DEADLINE)
        self.channels = {}    # the client's direct channels, by their numbers
        self.targets = {}     # of each of the dialogue's channels: what it goes to, as "p:1"
        self.places = {}      # and the msgids of the messages that it has had
        self.takes_fds = False
        self.numbers = {}  # the client's msgid of each of the dialogue's
        self.fed = {}      # of each of the dialogue's msgids: items that have come, and have not been looked at
        self.ended = {}    # what feed_end has said
        self.errors = "string"
        self.unasked = set()  # msgids of the dialogue whose answer the client does not want

    def receive(self):
        """The client's next message, of the connection or of a channel; None: it has closed the connection."""
        while True:
            routes = [self.connection, *(route for route in self.channels.values() if route.is_open)]
            for route in routes:
                message = route.next()
                if message is not None:
                    return message
            readable, _, _ = select.select([route.socket for route in routes], [], [], DEADLINE)
            if not readable:
                raise TimeoutError
            for route in routes:
                if route.socket in readable and not route.read():
                    if not route.channel:
                        return None
                    route.close()

    def close_channels(self):
        for route in self.channels.values():
            route.close()

    def send(self, message):
        """Sends a message of the server's own on the connection."""
        self.connection.send(pack(message))

    # -- what the client says --

    def is_by_the_way(self, message):
        """Handles what a client may say at any time."""
        method = message[-2]
        if method == "objpool.hello":
            self.note_hello(message)
            self.send([RESPONSE, message[1], None, self.hello(message)])
        elif method == "objpool.attach":
            self.attach(message)
        elif method == "objpool.detached":
            self.send([RESPONSE, message[1], None, self.how_it_ended(*message[3])])
        elif method in ("objpool.feed", "objpool.feed_end"):
            self.note_fed(method, *message[-1])
        else:
            return method == "objpool.give_back"
        return True

    def note_hello(self, message):
        asked = message[3][0] if message[3] else {}
        self.errors = asked.get("errors") or "string"
        told = [step for step in self.steps if "memory" in step or "channel" in step]
        self.takes_fds = bool(asked.get("fds") and told and self.connection.socket.family == socket.AF_UNIX)

    def hello(self, message):
        if "fds" not in message[3][0]:
            return HELLO
        return {"fds": self.takes_fds, "fds_mark": self.mark() if self.takes_fds else 0, **HELLO}

    def mark(self):
        """The mark that exts of the dialogue have."""
        told = [unpack(bytes_of(step))[3] for step in self.steps if "daemon" in step and "memory" in step]
        return int.from_bytes(told[0].data[:2], "big") if told else 7

    def attach(self, message):
        pool, slot, *_ = (*message[3], None)
        number = len(self.channels) + 1
        if not self.takes_fds:
            raise Amiss("objpool.attach, which needs descriptors")
        self.channels[number], theirs = opened(self.piece, DEADLINE, number, f"{pool}:{slot or 0}")
        self.connection.send(pack([RESPONSE, message[1], None, {"slot": slot or 0, "generation": 1, "channel": number}]), [theirs])

    def how_it_ended(self, channel):
        """What the dialogue's daemon says of the end of a channel. The messages are the client's own."""
        asked = [step["client"][1] for step in self.steps if "objpool.detached" in step.get("client", ())]
        answers = [unpack(bytes_of(step)) for step in self.steps if step.get("daemon", "end") != "end" and "channel" not in step]
        told = next(answer[3] for answer in answers if answer[:2] == [RESPONSE, *asked])
        return {**told, "begun": len(self.channels[channel].order)}

    def note_fed(self, method, number, *what):
        told = next((told for told, client in self.numbers.items() if client == number), None)
        if told is None:
            raise Amiss(f"{method} of {number}, which is no call")
        if method == "objpool.feed":
            self.fed.setdefault(told, []).extend(what[0])
        else:
            self.ended[told] = list(what)

    def next_said(self):
        while True:
            message = self.receive()
            if message is None:
                raise Amiss("the client has closed the connection")
            if not isinstance(message, list) or message[:1] not in ([REQUEST], [NOTIFICATION]):
                raise Amiss(f"{message!r} is no request and no notification")
            if not self.is_by_the_way(message):
                return message

    def expect(self, told):
        """Waits for the client to say what the step tells."""
        if told[-2] in ("objpool.feed", "objpool.feed_end"):
            return self.expect_fed(told[-2], *told[-1])
        got = self.next_said()
        if told[-2] == "objpool.cancel":  # as a request, or as a notification
            orders = {channel: route.order for channel, route in self.channels.items()}
            told = [*told[:-1], [self.numbers[cancelled(self.places, *told[-1])]]]
            got = [*got[:-1], [cancelled(orders, *got[-1])]]
            if told[0] == REQUEST and got[0] == NOTIFICATION:
                self.unasked.add(told[1])
            elif told[0] == NOTIFICATION and got[0] == REQUEST:
                self.send([RESPONSE, got[1], None, True])
        elif told[0] != got[0]:
            raise Amiss(f"{got!r} has come, not {told!r}")
        if not same(told, got):
            raise Amiss(f"{got!r} has come, not {told!r}")
        if told[0] == got[0] == REQUEST:
            self.numbers[told[1]] = got[1]
        return None

    def expect_fed(self, method, number, *what):
        while len(self.fed.get(number, ())) < len(what[0]) if method == "objpool.feed" else number not in self.ended:
            message = self.receive()
            if message is None or not self.is_by_the_way(message):
                raise Amiss(f"{message!r} has come, not {method} {what}")
        if method == "objpool.feed":
            count = len(what[0])
            got, self.fed[number] = self.fed[number][:count], self.fed[number][count:]
        else:
            got = self.ended.pop(number)
            what = list(what)
            if self.fed.get(number):
                raise Amiss(f"{self.fed[number]} has been fed, too")
        if got != (what[0] if method == "objpool.feed" else what):
            raise Amiss(f"{got!r} has been fed, not {what!r}")

    def expect_hello(self, step):
        """Says whether the client says hello here: it need not."""
        message = self.receive()
        if message is None:
            raise Amiss("the client has closed the connection")
        if message[-2] != "objpool.hello":
            raise Amiss(f"{message!r} has come, not objpool.hello: a client that says none can't play this dialogue")
        token = step["client"][3][0].get("token")
        if (message[3][0] if message[3] else {}).get("token") != token:
            raise Amiss(f"the token is not {token!r}")
        self.note_hello(message)
        self.send([RESPONSE, message[1], None, self.hello(message)])
        self.unasked.add(step["client"][1])

    # -- what the daemon said --

    def in_form(self, error):
        """An error of the dialogue, which is a map, in the form that the client has asked for."""
        if not (isinstance(error, dict) and "code" in error and "ran" in error) or self.errors == "map":
            return error
        text = f'{error["code"]}: {error["message"]}'
        return [0, text] if self.errors == "pair" else text

    def answer(self, step):
        message = unpack(bytes_of(step))
        channel = step.get("channel")
        if message[0] == RESPONSE:
            self.respond(step, message, key_of(channel, message[1]))
        else:
            if message[1] in NUMBERED:
                route, message[2][0] = self.where(key_of(channel, message[2][0]))
                if message[1] == "objpool.result":
                    message[2][2] = self.in_form(message[2][2])
            else:
                route = self.connection
            route.send(pack(message))

    def where(self, told):
        """(where the client has made one of the dialogue's calls, its msgid there)"""
        number = self.numbers[told]
        return (self.channels[number[0]], number[1]) if isinstance(number, tuple) else (self.connection, number)

    def respond(self, step, message, told):
        if told in self.unasked:
            return
        route, number = self.where(told)
        data = spliced(bytes_of(step), number, self.in_form(message[2]))
        fds = []
        for content in map(dialogue.to_value, step.get("memory", ())):
            if self.takes_fds:
                fds.append(memory_file(content, place_of(message[3])[0]))
            else:
                data = pack([RESPONSE, number, None, content])
        route.send(data, fds)

    def play(self):
        try:
            for number, step in enumerate(self.steps, 1):
                try:
                    if not step.get("raw") and not self.is_of_a_channel(step):
                        self.play_step(step)
                except (Amiss, TimeoutError) as error:
                    raise Amiss(f"step {number}: {error or 'nothing has come'}") from error
            self.end()
        finally:
            self.close_channels()

    def play_step(self, step):
        if "client" in step:
            self.hear(step)
        elif "daemon" in step:
            self.answer(step)

    def is_of_a_channel(self, step):
        """Notes what is about a channel itself, which the client does or doesn't do when it likes. A daemon ends its side."""
        message = step.get("client", step.get("daemon"))
        if message == "end":
            if "daemon" in step and "channel" in step:
                self.close_channels()
            return "channel" in step
        if not isinstance(message, list):
            return False
        if message[-2] == "objpool.attach":
            self.targets[len(self.targets) + 1] = f"{message[-1][0]}:{message[-1][1]}"
            self.unasked.add(message[1])
        elif message[-2] == "objpool.detached":
            self.unasked.add(message[1])
        return message[-2] in ("objpool.attach", "objpool.detached")

    def hear(self, step):
        told = unpack(bytes_of(step))
        if "channel" in step:
            self.places.setdefault(step["channel"], []).append(told[1] if told[0] == REQUEST else None)
            told = as_on_connection(told, self.targets[step["channel"]], step["channel"])
        for content in map(dialogue.to_value, step.get("memory", ())):
            told = replaced(told, content)
        if told[-2] == "objpool.hello":
            self.expect_hello(step)
        else:
            self.expect(told)
        if step.get("memory") and self.takes_fds and not self.connection.came_by_descriptor:
            raise Amiss("the bytes have not come by descriptor")

    def end(self):
        if self.targets and self.takes_fds and not any(isinstance(number, tuple) for number in self.numbers.values()):
            raise Amiss("no call has come on a direct channel")
        while (message := self.receive()) is not None:
            if not self.is_by_the_way(message):
                raise Amiss(f"{message!r} has come when all was said")


def cancelled(orders, number, place=None):
    """The msgid that objpool.cancel is about. Of a channel it is given the message's place."""
    return number if place is None else (number, orders[number][place])


def replaced(value, content):
    """The same with these bytes in the place of the ext that stands for them."""
    if isinstance(value, dialogue.msgpack.ExtType) and value.code == STANDS_FOR:
        return content
    if isinstance(value, dict):
        return {key: replaced(each, content) for key, each in value.items()}
    return [replaced(each, content) for each in value] if isinstance(value, list) else value


def listen(tcp, place):
    listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
    listener.settimeout(DEADLINE)
    listener.bind(("127.0.0.1", 0) if tcp else os.path.join(place, "s"))
    listener.listen(4)
    return listener, f"tcp:127.0.0.1:{listener.getsockname()[1]}" if tcp else f"unix:{place}/s"


class Served:
    """A fake server in a thread of a test, at a port, or with its socket in the folder `place`."""

    def __init__(self, place, steps, piece, tcp=False):
        self.listener, self.address = listen(tcp, str(place))
        self.amiss = None
        self.thread = threading.Thread(target=self.serve, args=(steps, piece), daemon=True)
        self.thread.start()

    def serve(self, steps, piece):
        try:
            sock, _ = self.listener.accept()
            with sock:
                Server(sock, steps, piece).play()
        except (OSError, Amiss) as error:
            self.amiss = str(error)

    def end(self):
        """What was amiss, or None; once the client has closed its connection."""
        self.thread.join(2 * DEADLINE)
        self.listener.close()
        return self.amiss


def main(path, piece, tcp):
    told = dialogue.read(path)
    with tempfile.TemporaryDirectory(prefix="objpool-") as place:
        listener, address = listen(tcp and dialogue.kind_of_address(told, "tcp") == "tcp", place)
        print(address, flush=True)
        sock, _ = listener.accept()
        try:
            Server(sock, told["steps"], piece).play()
        except Amiss as error:
            sys.exit(f"{path}: {error}")
        finally:
            sock.close()
            listener.close()


if __name__ == "__main__":
    words = sys.argv[1:]
    size = int(words.pop(words.index("--piece") + 1)) if "--piece" in words else 0
    main([word for word in words if not word.startswith("--")][0], size, "--tcp" in words)
