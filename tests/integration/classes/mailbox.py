# SPDX-License-Identifier: Apache-2.0
"""The class that test_deferred_python.py puts into a pool: calls wait in it until others answer them."""
import collections
import threading
import time

import objpool_worker


class Mailbox:
    def __init__(self):
        self.items, self.waiters, self.events = collections.deque(), collections.deque(), []

    def get(self, timeout=None):
        call = objpool_worker.call()
        if self.items:
            return self.items.popleft() if call.commit() else None
        waiter = call.defer(self._on_event, None if timeout is None else time.monotonic() + timeout)
        if waiter is None:
            return "can't wait"
        self.waiters.append(waiter)

    def _on_event(self, waiter, event):
        self.events.append([event, waiter.waits, waiter.session == 0])
        self.waiters.remove(waiter)
        if event == "wake":
            waiter.fail(TimeoutError("nothing came"))

    def put(self, value):
        """Whether somebody waited."""
        while self.waiters:
            if self.waiters.popleft().answer(value):
                return True
        self.items.append(value)
        return False

    def put_what_cannot_be_sent(self):
        try:
            self.waiters[0].answer(lambda: None)
        except TypeError as error:
            return str(error)

    def defer_and_fail(self):
        self.kept = objpool_worker.call().defer()
        raise ValueError("after all")

    def kept_answers(self):
        return [self.kept.waits, self.kept.answer(1), self.kept.fail(ValueError())]

    def put_elsewhere(self):
        """Answers on another thread."""
        said = []

        def answer():
            try:
                self.waiters[0].answer(1)
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=answer)
        thread.start()
        thread.join()
        return said

    def waiting(self):
        return len(self.waiters)

    def told(self):
        return self.events
