# SPDX-License-Identifier: Apache-2.0
"""A proxy between a gateway and its NATS server, which loses, delays and doubles messages as a test wants.

`judge` decides of each message: judge(way, subject) is a list of delays in seconds, one for each copy that is sent on: [] loses
it, [0] lets it pass, [0, 0] doubles it. `way` is "in" (from the server to the gateway) or "out".
"""
import asyncio
import threading

from harness import DEADLINE

MESSAGES = {b"PUB", b"HPUB", b"MSG", b"HMSG"}


class Proxy:
    def __init__(self, server_port):
        self.server_port = server_port
        self.judge = None       # None: all pass
        self.connections = set()
        self.seen = {"in": 0, "out": 0}
        self.lost = self.delayed = self.doubled = 0
        self.loop = asyncio.new_event_loop()
        self.flows = {}
        ready = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(DEADLINE)

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def _run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen())
        self.loop.call_soon(ready.set)
        self.loop.run_forever()

    async def _listen(self):
        self.flows = {way: asyncio.Event() for way in ("in", "out")}
        for flow in self.flows.values():
            flow.set()
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)
        self.port = self.listener.sockets[0].getsockname()[1]

    async def _serve(self, reader, writer):
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.server_port, limit=1 << 22)
        except OSError:
            writer.close()
            return
        pumps = [asyncio.ensure_future(self._pump("out", reader, to_writer)),
                 asyncio.ensure_future(self._pump("in", to_reader, writer))]
        self.connections.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
            self.connections.discard(pump)
        await asyncio.gather(*pumps, return_exceptions=True)
        writer.close()
        to_writer.close()

    async def _pump(self, way, reader, writer):
        try:
            while True:
                await self.flows[way].wait()
                line = await reader.readuntil(b"\r\n")
                words = line.split()
                if not words or words[0].upper() not in MESSAGES:
                    writer.write(line)
                else:
                    body = await reader.readexactly(int(words[-1]) + 2)
                    self._pass(way, words[1].decode(), line + body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    def _pass(self, way, subject, message, writer):
        judge = self.judge
        self.seen[way] += 1
        delays = judge(way, subject) if judge else [0]
        self.lost += not delays
        self.doubled += len(delays) > 1
        for delay in delays:
            if delay:
                self.delayed += 1
                self.loop.call_later(delay, self._write, writer, message)
            else:
                writer.write(message)

    @staticmethod
    def _write(writer, message):
        if not writer.is_closing():
            writer.write(message)

    # ---- for tests, from other threads ----

    def stall(self, way):
        """Nothing more is read from that side, until flow()."""
        self.loop.call_soon_threadsafe(self.flows[way].clear)

    def flow(self):
        for flow in self.flows.values():
            self.loop.call_soon_threadsafe(flow.set)

    def cut(self):
        """Closes all connections; new ones are taken."""
        def close():
            for pump in self.connections:
                pump.cancel()
        self.loop.call_soon_threadsafe(close)

    def stop(self):
        def close():
            self.listener.close()
            for task in asyncio.all_tasks():
                task.cancel()
            self.loop.call_later(0.05, self.loop.stop)
        self.loop.call_soon_threadsafe(close)
        self.thread.join(DEADLINE)


def loses_from(host):
    """Nothing that this host has sent arrives: a partition in one direction, at the receiver's proxy."""
    return lambda way, subject: [] if way == "in" and subject.endswith("." + host) else [0]


def awkward(random, share):
    """Of the packets, and beats, this share is lost, as many doubled, and as many delayed."""
    def judge(_, subject):
        if not subject.startswith("objpool."):
            return [0]
        r = random.random()
        if r < share:
            return []
        if r < 2 * share:
            return [0, random.choice((0, 0.02, 0.3))]
        return [random.random() * 0.15] if r < 3 * share else [0]
    return judge
