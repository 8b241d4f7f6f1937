# SPDX-License-Identifier: Apache-2.0
"""A program on the bus that is not objpool's: it speaks NATS' text protocol (https://docs.nats.io/reference/reference-protocols/
nats-protocol), and knows nothing else."""
import collections
import itertools
import json
import socket

from harness import DEADLINE

Message = collections.namedtuple("Message", "subject reply headers body")
inboxes = itertools.count()


class Nats:
    def __init__(self, port, patience=DEADLINE, **options):
        self.socket = socket.create_connection(("127.0.0.1", port), patience)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self._line()[len("INFO "):])
        self.waiting = collections.deque()
        self.errors = []
        self.sids = itertools.count(1)
        options = {"verbose": False, "headers": True, "no_responders": True, "protocol": 1, "name": "test", **options}
        self.socket.sendall(f"CONNECT {json.dumps(options)}\r\n".encode())
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def _line(self):
        line = self.file.readline()
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def _read(self):
        """The next message, or the word of what else comes."""
        line = self._line()
        words = line.split()
        if words[0] in ("MSG", "HMSG"):
            sizes = 1 if words[0] == "MSG" else 2
            size = int(words[-1])
            head = int(words[-2]) if sizes == 2 else 0
            payload = self.file.read(size + 2)[:-2]
            reply = words[3] if len(words) == 4 + sizes else None
            lines = payload[:head].decode().split("\r\n")
            headers = dict(one.split(": ", 1) for one in lines[1:] if one)
            if lines[0].split()[1:]:
                headers["Status"] = lines[0].split()[1]
            return Message(words[1], reply, headers, payload[head:])
        if words[0] == "PING":
            self.socket.sendall(b"PONG\r\n")
        elif words[0] == "-ERR":
            self.errors.append(line)
        return words[0]

    def next(self):
        while not self.waiting:
            self._take(self._read())
        return self.waiting.popleft()

    def _take(self, what):
        if isinstance(what, Message):
            self.waiting.append(what)

    def flush(self):
        """The server has done all that came before."""
        self.socket.sendall(b"PING\r\n")
        while True:
            what = self._read()
            if what == "PONG":
                return
            self._take(what)

    def subscribe(self, subject):
        sid = next(self.sids)
        self.socket.sendall(f"SUB {subject} {sid}\r\n".encode())
        self.flush()
        return sid

    def unsubscribe(self, sid):
        self.socket.sendall(f"UNSUB {sid}\r\n".encode())

    def publish(self, subject, body=b"", reply=None, headers=None):
        to = f"{subject} {reply}" if reply else subject
        if headers:
            head = ("NATS/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n").encode()
            self.socket.sendall(f"HPUB {to} {len(head)} {len(head) + len(body)}\r\n".encode() + head + body + b"\r\n")
        else:
            self.socket.sendall(f"PUB {to} {len(body)}\r\n".encode() + body + b"\r\n")

    def request(self, subject, body=b"", headers=None, count=1):
        """The first answer; or the first `count` of several."""
        inbox = f"_INBOX.{id(self)}.{next(inboxes)}"
        sid = self.subscribe(inbox)
        self.publish(subject, body, inbox, headers)
        answers = []
        while len(answers) < count:
            answer = self.next()
            if answer.subject == inbox:
                answers.append(answer)
        self.unsubscribe(sid)
        return answers[0] if count == 1 else answers
