# SPDX-License-Identifier: Apache-2.0
"""Classes with asynchronous methods."""
import asyncio
import contextvars
import os
import time

import objpool_worker

tag = contextvars.ContextVar("tag", default=None)


class Gates:
    """Calls that wait until others let them go on."""

    def __init__(self):
        self.gates, self.inside, self.most, self.log = {}, 0, 0, []

    async def wait(self, name, value=None):
        gate = self.gates.setdefault(name, asyncio.Event())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await gate.wait()
            return value
        except asyncio.CancelledError:
            self.log.append("cancelled")
            raise
        finally:
            self.inside -= 1

    def open(self, name):
        """An ordinary method, which runs while others wait."""
        self.gates.setdefault(name, asyncio.Event()).set()

    def counts(self):
        return [self.inside, self.most]

    def read_log(self):
        return self.log

    async def echo(self, value):
        return value

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def fail(self, how):
        await asyncio.sleep(0)
        raise {"value": ValueError("not so"), "exit": SystemExit(3), "cancel": asyncio.CancelledError()}[how]

    async def exit_in_a_task(self):
        async def task():
            raise SystemExit(3)
        await asyncio.gather(task())

    async def lock(self):
        """What can't be sent."""
        import threading
        return threading.Lock()

    async def keep(self, value):
        """A variable of this call's own, over a wait; and in a task, and a thread, that it has begun."""
        tag.set(value)
        await asyncio.sleep(0)

        async def inner():
            return [tag.get(), objpool_worker.call().index]

        return [tag.get(), *await asyncio.create_task(inner()), await asyncio.to_thread(tag.get)]

    async def about(self):
        before = objpool_worker.call()
        await asyncio.sleep(0)
        after = objpool_worker.call()
        after.progress(1, 2, "half")
        return [before.session == after.session, after.method, after.deadline == before.deadline, after.cancelled]

    async def ask(self, target, *args):
        await asyncio.sleep(0)
        return objpool_worker.call().invoke(target, *args)

    async def trace(self, target):
        """Its traceparent, and what a method that it calls says of its own; both after a wait."""
        await asyncio.sleep(0)
        call = objpool_worker.call()
        return [call.traceparent, call.invoke(target)]

    async def block(self, path):
        """Blocks the loop, in Python."""
        with open(path, "w"):
            pass
        while True:
            time.sleep(0.01)

    async def block_hard(self, path):
        """Blocks the loop and heeds nothing."""
        await asyncio.sleep(0)
        with open(path, "w"):
            pass
        while True:
            try:
                time.sleep(60)
            except objpool_worker.Cancelled:
                self.log.append("interrupted")

    async def items(self, n, name=None):
        try:
            for i in range(n):
                if name and i == 1:
                    await self.gates.setdefault(name, asyncio.Event()).wait()
                yield i
        finally:
            self.log.append("closed")

    async def large(self, n, size):
        for _ in range(n):
            self.inside += 1
            yield b"x" * size

    async def generator(self):
        return (i * i for i in range(4))

    async def fork(self):
        await asyncio.sleep(0)
        return os.fork() and "parent"

    async def stubborn(self, name):
        """Takes its time to end when it is cancelled."""
        self.inside += 1
        try:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        finally:
            await asyncio.sleep(0.05)
            self.inside -= 1
            self.log.append("ended")

    def session_end(self, session):
        self.log.append("session_end")

    def snapshot(self):
        return {"inside": self.inside, "log": self.log}

    def restore(self, state):
        self.log = [*state["log"], f"{state['inside']} inside"]


class Hooks:
    """Hooks may be asynchronous, too."""

    def __init__(self):
        self.log = []

    async def session_end(self, session):
        await asyncio.sleep(0)
        self.log.append("session ended")

    def read_log(self):
        return self.log
