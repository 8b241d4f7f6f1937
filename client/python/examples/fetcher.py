# SPDX-License-Identifier: Apache-2.0
"""One object keeps a thousand slow HTTP requests under way, and answers questions meanwhile.

The server is local and slow: each answer takes it a second. The object is in one worker; its asynchronous method waits for
answers, a thousand at a time (max_concurrent), while its ordinary methods are called as usual.
"""
import asyncio
import threading
import time

import objpool

REQUESTS, DELAY = 1000, 1


class Fetcher:
    def __init__(self, port):
        self.port, self.under_way, self.fetched = port, 0, {}

    async def get(self, path):
        """The body of the page. Pages that are known already are not fetched again."""
        if path not in self.fetched:
            self.under_way += 1
            try:
                self.fetched[path] = await self._fetch(path)
            finally:
                self.under_way -= 1  # also when the caller has cancelled, or its time is over
        return self.fetched[path]

    async def _fetch(self, path):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if b" 200 " not in head:
            raise OSError(head.decode(errors="replace"))
        return body.decode()

    def counts(self):
        """An ordinary method: it runs between two steps of the requests."""
        return self.under_way, len(self.fetched)


async def serve(reader, writer):
    path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
    await asyncio.sleep(DELAY)
    writer.write(f"HTTP/1.0 200 OK\r\n\r\nthe page {path}".encode())
    writer.close()


def start_server():
    """Serves on a thread. Returns the port."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0, backlog=REQUESTS), loop).result()
    return server.sockets[0].getsockname()[1]


def main():
    port = start_server()
    with objpool.Client() as client:
        fetcher = client.create_pool(Fetcher, workers=1, args=[port], max_concurrent=REQUESTS)
        begun = time.monotonic()
        pages = [fetcher.get.future(f"/{i}") for i in range(REQUESTS)]
        most = 0
        while not pages[-1].done():
            most = max(most, fetcher.counts()[0])
            time.sleep(0.01)
        took = time.monotonic() - begun
        print(pages[0].result(), "...", pages[-1].result())
        print(f"{REQUESTS} requests of {DELAY:g} s each, {most} at once, took {took:.1f} s")
        print("known by now:", fetcher.counts()[1])


if __name__ == "__main__":
    main()
