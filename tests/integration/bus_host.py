# SPDX-License-Identifier: Apache-2.0
"""A program on the bus that says it is a host, and speaks as hosts do (gateway/core: conduit.h, channel.h, hosts.h)."""
import itertools
import struct
import threading

import msgpack
from bus_program import Nats

HEAD = struct.Struct(">BBHQQQQQQ")
FRAME = struct.Struct(">BII")
OPEN, DATA, CREDIT, CLOSE, BY_OPENER = 1, 2, 3, 4, 0x80
BEAT_EVERY = 0.3  # seconds
MASK = (1 << 64) - 1


def sum_of(*parts):
    """gateway/core/sum.h"""
    def mix(total, word):
        total = ((total ^ word) * 0x9e3779b97f4a7c15) & MASK
        return total ^ total >> 32
    total = 0
    for part in parts:
        total = (total + len(part)) & MASK
        at = len(part) // 32 * 32 if len(part) >= 64 else 0
        if at:
            lanes = [total + i & MASK for i in range(4)]
            for row in struct.iter_unpack("<4Q", part[:at]):
                lanes = [mix(lane, word) for lane, word in zip(lanes, row)]
            total = lanes[0]
            for lane in lanes[1:]:
                total = mix(total, lane)
        while len(part) - at >= 8:
            total = mix(total, int.from_bytes(part[at:at + 8], "little"))
            at += 8
        total = mix(total, int.from_bytes(part[at:], "little"))
    return total


def frame(kind, channel, payload):
    return FRAME.pack(kind, channel, len(payload)) + payload


def frames_of(body):
    while body:
        kind, channel, size = FRAME.unpack_from(body)
        yield kind, channel, body[FRAME.size:FRAME.size + size]
        body = body[FRAME.size + size:]


class BusHost:
    """It is there, with these pools, until the `with` is over."""

    def __init__(self, port, name, pools=(), domain="test"):
        self.name, self.pools, self.domain = name, pools, domain
        self.incarnation = 7
        self.nats = Nats(port)
        self.beats = Nats(port)
        self.numbers = itertools.count(1)
        self.over = threading.Event()
        self.nats.subscribe(f"objpool.{domain}.to.{name}.*")
        self.thread = threading.Thread(target=self._beat)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.beats.__exit__()
        self.nats.__exit__()

    def _beat(self):
        pools = [[name, "c", slots, slots, 0, 0, False, None] for name, slots in self.pools]
        while not self.over.is_set():
            number = next(self.numbers)
            body = msgpack.packb([1, self.incarnation, number, 1000 * number, False, pools])
            self.beats.publish(f"objpool.{self.domain}.beat.{self.name}", body + sum_of(body).to_bytes(8, "big"))
            self.over.wait(BEAT_EVERY)

    def send(self, host, incarnation, frames=b"", epoch=1, seq=1, ack=0, flags=0):
        head = HEAD.pack(2, flags, 0, self.incarnation, incarnation, epoch, seq if frames else 0, ack, 0)[:-8]
        self.nats.publish(f"objpool.{self.domain}.to.{host}.{self.name}", head + sum_of(head, frames).to_bytes(8, "big") + frames)
        self.nats.flush()

    def packet(self):
        """The next packet with frames: (host, its incarnation, epoch, seq, frames)."""
        while True:
            message = self.nats.next()
            _, _, _, incarnation, _, epoch, seq, _, _ = HEAD.unpack_from(message.body)
            if seq:
                return message.subject.rpartition(".")[2], incarnation, epoch, seq, message.body[HEAD.size:]
