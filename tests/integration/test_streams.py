# SPDX-License-Identifier: Apache-2.0
"""Results one by one, input piece by piece, rounds."""
import collections
import itertools
import os
import select
import signal
import socket

from harness import wait_for


class Stream:
    """One streamed call: what has come of it so far."""

    def __init__(self, client, target, method, args=None, **options):
        self.client = client
        self.msgid = client.start("objpool.call", target, method, args, {"stream": True, **options})
        self.results = []   # (index, error, value)
        self.credit = 0
        self.given = 0
        self.progress = []
        self.answer = None

    def step(self):
        """Takes the next message; False at the answer."""
        message = self.client.receive()
        assert message is not None, "the daemon closed the connection"
        if message[0] == 1:
            assert message[1] == self.msgid
            self.answer = (message[2], message[3])
            return False
        _, name, params = message
        assert params[0] == self.msgid
        if name == "objpool.result":
            self.results.append(tuple(params[1:]))
        elif name == "objpool.credit":
            assert params[1] > 0
            self.credit += params[1]
        else:
            assert name == "objpool.progress"
            self.progress.append(tuple(params[1:]))
        return True

    def wait(self, check):
        while not check(self):
            assert self.step(), self.answer

    def finish(self):
        while self.step():
            pass
        return self.answer

    def feed(self, items):
        self.given += len(items)
        self.client.notify("objpool.feed", self.msgid, items)

    def end(self, *error):
        self.client.notify("objpool.feed_end", self.msgid, *error)


def quiet(client, seconds=0.15):
    """Nothing comes: the one thing that can only be waited for."""
    ready, _, _ = select.select([client.socket], [], [], seconds)
    return not ready


def test_results_come_one_by_one_and_in_order(start):
    with start({"p": {"workers": 3}}).client() as client:
        stream = Stream(client, "p:map", "echo", [list(range(1000))])
        assert stream.finish() == (None, {"items": 1000, "failed": 0})
        assert stream.results == [(i, None, i) for i in range(1000)]


def test_unordered_results_come_as_they_finish(start):
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "sleep", [[0.5, 0.01, 0.01, 0.01]], ordered=False, chunk=1)
        assert stream.finish() == (None, {"items": 4, "failed": 0})
        assert sorted(index for index, _, _ in stream.results) == [0, 1, 2, 3]
        assert stream.results[-1][0] == 0


def test_every_target_can_stream(start):
    with start({"p": {"workers": 3}}).client() as client:
        for target, args, values in (("p", [7], [7]), ("p:1", [8], [8]), ("p:all", [9], [9, 9, 9]), ("p:key=a", [1], [1]),
                                     ("p:scatter", [[4, 5, 6]], [4, 5, 6]), ("p:map", [[]], [])):
            stream = Stream(client, target, "echo", args)
            assert stream.finish() == (None, {"items": len(values), "failed": 0})
            assert [value for _, _, value in stream.results] == values


def test_failures_come_in_their_places(start):
    with start().client() as client:
        items = [[1, "a"], [2, 3], [4, "b"]]
        stream = Stream(client, "p:map", "add", items, args_as="positional", errors="collect")
        assert stream.finish() == (None, {"items": 3, "failed": 2})
        assert [(index, value) for index, _, value in stream.results] == [(0, None), (1, 5), (2, None)]
        assert stream.results[0][1].startswith("BAD_ARGUMENT: ")

        stream = Stream(client, "p:map", "add", items, args_as="positional")
        error, value = stream.finish()
        assert error.startswith("BAD_ARGUMENT: ") and value is None and len(stream.results) == 3

        stream = Stream(client, "p:map", "fail", [["x"] * 200], errors="first", window=4)
        error, _ = stream.finish()
        assert error == "FAILED: x" and len(stream.results) < 200


def test_the_window_bounds_the_look_ahead_of_given_items(start):
    """While the first item runs, as many are done as the window has beside it, and not one more."""
    with (daemon := start({"p": {"workers": 4}})).client() as client, daemon.client() as other:
        stream = Stream(client, "p:map", "sleep", [[0.6] + [0] * 400], window=10, chunk=1)
        wait_for(lambda: steady(other), lambda: "the stream to stand still")
        assert calls(other) == 9
        assert stream.finish() == (None, {"items": 401, "failed": 0})


def test_results_before_their_turn_are_bounded(start):
    """While the first item runs, the others are not begun any more once their results are larger than max_unsent together."""
    daemon = start({"p": {"workers": 2}, "slow": {"workers": 1}, "large": {"workers": 1}}, {"max_unsent": "1M", "payload_min": 0})
    with daemon.client() as client, daemon.client() as other:
        items = [["slow.sleep", 0.6]] + [["large.blob", 50_000]] * 300
        stream = Stream(client, "p:map", "relay", items, args_as="positional", window=4096, chunk=1)
        wait_for(lambda: steady(other), lambda: "the stream to stand still")
        assert 20 <= calls(other) < 30
        assert other.value("objpool.status")["memory"]["used"] < 2 << 20
        assert stream.finish() == (None, {"items": 301, "failed": 0})
        assert [index for index, _, _ in stream.results] == list(range(301))
        assert {len(value) for _, _, value in stream.results[1:]} == {50_000}


def calls(client):
    return sum(slot["calls"] for slot in client.value("objpool.status", "p")["pools"][0]["slots"])


def test_credit_is_the_window_exactly(start):
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "sleep", None, window=5, chunk=1)
        stream.wait(lambda s: s.credit)
        assert stream.credit == 5 and quiet(client)
        stream.feed([0.5])           # blocks the order: the others are ready and can't leave
        stream.feed([0, 0, 0, 0])
        assert quiet(client)
        stream.wait(lambda s: len(s.results) == 5)
        stream.wait(lambda s: s.credit == 10)
        assert quiet(client)
        stream.feed([0])
        stream.wait(lambda s: s.credit == 11)
        stream.end()
        assert stream.finish() == (None, {"items": 6, "failed": 0})


def test_unordered_credit_comes_as_results_leave(start):
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "sleep", None, window=3, chunk=1, ordered=False)
        stream.wait(lambda s: s.credit == 3)
        stream.feed([0.6, 0, 0])
        stream.wait(lambda s: len(s.results) == 2 and s.credit == 5)
        assert [index for index, _, _ in stream.results] == [1, 2]
        stream.end()
        assert stream.finish() == (None, {"items": 3, "failed": 0})


def test_the_default_window_is_two_chunks_per_slot(start):
    with start({"p": {"workers": 3}}).client() as client:
        stream = Stream(client, "p:map", "echo", None, chunk=4)
        stream.wait(lambda s: s.credit)
        assert stream.credit == 2 * 3 * 4
        stream.end()
        assert stream.finish() == (None, {"items": 0, "failed": 0})


def test_the_default_window_is_bounded_by_bytes(start):
    """The method takes no time, but items and results are large: 4 MiB of them may be under way, after the first results."""
    size, count = 1 << 18, 40
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "echo", None)
        ahead = []
        for i in range(count):
            stream.wait(lambda s: s.credit > s.given)
            stream.feed([b"x" * size])
            stream.wait(lambda s: len(s.results) == i + 1)
            ahead.append(stream.credit - len(stream.results))
        stream.end()
        assert stream.finish() == (None, {"items": count, "failed": 0})
        assert max(ahead[4:]) <= (4 << 20) // (2 * size) + 1, ahead
        assert max(ahead) >= 4, ahead


def test_items_against_no_credit_fail_the_call_and_nothing_else(start):
    with start().client() as client:
        stream = Stream(client, "p:map", "echo", None, window=2)
        stream.wait(lambda s: s.credit)
        stream.feed([1, 2, 3])
        error, _ = stream.finish()
        assert error == "OVERLOADED: fed 3 items against credit for 2"
        stream.feed([1])        # late: dropped in silence
        stream.end()
        assert client.value("p.echo", 5) == 5


def test_an_error_of_the_input_arrives_in_its_place(start):
    with start({"p": {"workers": 2}}).client() as client:
        for errors in ("wait", "collect"):
            stream = Stream(client, "p:map", "sleep", None, window=8, errors=errors)
            stream.wait(lambda s: s.credit)
            stream.feed([0.2, 0, 0])
            stream.end("no such file")
            error, summary = stream.finish()
            assert [(index, failure is None) for index, failure, _ in stream.results] == \
                [(0, True), (1, True), (2, True), (3, False)]
            assert stream.results[3][1] == "FAILED: the input failed: no such file"
            if errors == "wait":
                assert error == "FAILED: the input failed: no such file"
            else:
                assert (error, summary) == (None, {"items": 4, "failed": 1})


def test_fed_items_as_positional_keyword_and_with_bind(start):
    with start().client() as client:
        for options, items, values in (({"args_as": "positional"}, [[1, 2], [3, 4]], [3, 7]),
                                       ({"args_as": "keyword"}, [{"a": 5, "b": 6}], [11]),
                                       ({"bind": [10]}, [1, 2], [11, 12])):
            stream = Stream(client, "p:map", "add", None, window=4, **options)
            stream.wait(lambda s: s.credit)
            stream.feed(items)
            stream.end()
            stream.finish()
            assert [value for _, _, value in stream.results] == values


def test_an_endless_input_runs_in_constant_memory(start, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")  # what is freed is free, also where memory is looked at
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as client:
        stream = Stream(client, "p:map", "echo", None)
        numbers, expected = itertools.count(), itertools.count()
        blob = "x" * 200

        def run(items):
            last = stream.given + items
            while stream.given < last:
                stream.wait(lambda s: s.credit > s.given)
                stream.feed([[next(numbers), blob] for _ in range(stream.credit - stream.given)])
                for index, error, value in stream.results:
                    assert error is None and value[0] == index == next(expected)
                stream.results.clear()

        run(30_000)
        before = daemon.rss()
        run(150_000)
        assert daemon.rss() - before < 8 << 20
        stream.end()
        assert stream.finish()[0] is None


def test_a_client_that_stops_reading_stops_being_served(start):
    """It floods a stream and never reads: what is kept for it is bounded, and others are served."""
    daemon = start({"p": {"workers": 2}}, {"max_unsent": "1M"})
    with daemon.client() as flood, daemon.client() as other:
        before = daemon.rss()
        flood.start("objpool.call", "p:map", "blob", [[1000] * 200_000], {"stream": True, "window": 1 << 20})
        first = other.value("objpool.status", "p")["pools"][0]["queue"]
        wait_for(lambda: steady(other), lambda: "the stream to stand still")
        assert daemon.rss() - before < 40 << 20, first
        assert other.value("p.echo", 1) == 1


def steady(client):
    before = calls(client)
    select.select([], [], [], 0.2)
    return calls(client) == before > 0


def test_a_stream_of_a_client_that_dies_is_dropped(start):
    daemon = start({"p": {"workers": 2}})
    with daemon.client() as other:
        client = daemon.client()
        stream = Stream(client, "p:map", "sleep", None, window=50)
        stream.wait(lambda s: s.credit)
        stream.feed([0.05] * 40)
        stream.wait(lambda s: s.results)
        client.close()
        wait_for(lambda: other.value("objpool.status", "p")["pools"][0]["queue"] == 0, lambda: "the queue to be empty")
        assert other.value("p.echo", 1) == 1


def test_half_closed_input_ends_a_fed_stream(start):
    with start().client() as client:
        stream = Stream(client, "p:map", "echo", None, window=4)
        stream.wait(lambda s: s.credit)
        stream.feed([1])
        client.socket.shutdown(socket.SHUT_WR)
        error, _ = stream.finish()
        assert error.startswith("CANCELLED: ")


def test_cancel_and_deadline_of_a_stream_release_what_waits(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as other:
        stream = Stream(client, "p:map", "sleep", [[0.05] * 1000], timeout_ms=150, chunk=1)
        error, _ = stream.finish()
        assert error.startswith("TIMEOUT: ")
        stream = Stream(client, "p:map", "sleep", [[0.05] * 1000], chunk=1)
        stream.wait(lambda s: s.results)
        client.notify("objpool.cancel", stream.msgid)
        error, _ = stream.finish()
        assert error.startswith("CANCELLED: ")
        assert other.value("p.echo", 1) == 1


def test_wrong_options_are_told(start):
    with start().client() as client:
        for target, options in (("p:map", {"window": 0}), ("p:map", {"window": "x"}), ("p:all", {"sync": True}),
                                ("p:map", {"stream": 1}), ("p:map", {"stream": True, "kwargs": {"a": [1]}})):
            error, _ = client.call("objpool.call", target, "echo", None, options)
            assert error.startswith("BAD_REQUEST: "), (options, error)


# ---- rounds ----


def test_sync_runs_rounds_of_one_item_per_slot(start):
    with start({"p": {"workers": 3}}).client() as client:
        error, slots = client.full("p:map", "slot", [[]] * 11, args_as="positional", sync=True)
        assert error is None
        for begin in (0, 3, 6):
            assert sorted(slots[begin:begin + 3]) == [0, 1, 2]
        assert len(set(slots[9:])) == 2


def test_a_round_waits_for_its_slowest(start):
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "sleep", [[0.3, 0, 0, 0]], sync=True, ordered=False)
        assert stream.finish() == (None, {"items": 4, "failed": 0})
        order = [index for index, _, _ in stream.results]
        assert order[:2] == [1, 0] and sorted(order[2:]) == [2, 3]


def test_sync_is_exactly_once_under_kills(start):
    """Every item has one answer; what ran and lived ran once, on a round's own slot."""
    daemon = start({"p": {"workers": 3}})
    with daemon.client() as client, daemon.client() as other:
        stream = Stream(client, "p:map", "sleep", [[0.01] * 300], sync=True, errors="collect", ordered=False)
        for count in (20, 80, 140, 200):
            stream.wait(lambda s: len(s.results) >= count)
            pid = daemon.pids(other)[count % 3]
            if pid:
                os.kill(pid, signal.SIGKILL)
        error, summary = stream.finish()
        assert error is None and summary["items"] == 300
        seen = collections.Counter(index for index, _, _ in stream.results)
        assert set(seen) == set(range(300)) and set(seen.values()) == {1}
        assert summary["failed"] <= 4
        position = {index: at for at, (index, _, _) in enumerate(stream.results)}
        for begin in range(0, 297, 3):
            last = max(position[i] for i in range(begin, begin + 3))
            assert last < min(position[i] for i in range(begin + 3, begin + 6) if i < 300)


def test_sync_of_a_fed_stream(start):
    with start({"p": {"workers": 3}}).client() as client:
        stream = Stream(client, "p:map", "slot", None, sync=True, args_as="positional", window=6)
        stream.wait(lambda s: s.credit == 6)
        stream.feed([[], []])
        assert quiet(client)        # a round is not begun short
        stream.feed([[]])
        stream.wait(lambda s: len(s.results) == 3)
        stream.feed([[], []])
        stream.end()
        assert stream.finish() == (None, {"items": 5, "failed": 0})
        assert sorted(value for _, _, value in stream.results[:3]) == [0, 1, 2]


def test_sync_with_a_window_smaller_than_the_pool_goes_on(start):
    with start({"p": {"workers": 3}}).client() as client:
        stream = Stream(client, "p:map", "echo", None, sync=True, window=2)
        stream.wait(lambda s: s.credit == 2)
        stream.feed([1, 2])
        stream.wait(lambda s: len(s.results) == 2)
        stream.end()
        assert stream.finish()[0] is None


# ---- progress ----


def test_a_map_tells_how_far_it_is(start):
    with start({"p": {"workers": 2}}).client() as client:
        stream = Stream(client, "p:map", "sleep", [[0.02] * 40], progress=True, chunk=1)
        stream.finish()
        done = [done for done, _, _ in stream.progress]
        assert done == sorted(done) and done[-1] == 40 and 2 <= len(done) < 40
        assert {(total, text) for _, total, text in stream.progress} == {(40, None)}


def test_progress_comes_without_a_stream_too(start):
    with start({"p": {"workers": 2}}).client() as client:
        msgid = client.start("objpool.call", "p:all", "sleep", [0.05], {"progress": True})
        seen = []
        while (message := client.receive())[0] == 2:
            assert message[1] == "objpool.progress" and message[2][0] == msgid
            seen.append(message[2][1:])
        assert message[1] == msgid and message[2] is None
        assert seen[-1] == [2, 2, None]


def test_the_end_of_each_call_is_told(start):
    """All steps come at once: of those only the first is told, and the last."""
    with start({"p": {"workers": 1}}).client() as client:
        for _ in range(3):
            msgid = client.start("objpool.call", "p", "progress", [100], {"progress": True})
            seen = []
            while (message := client.receive())[0] == 2:
                seen.append(message[2][1:3])
            assert message[1:3] == [msgid, None] and seen[-1] == [100, 100] and len(seen) < 10, seen


# ---- series: many values of one call ----

def test_a_method_yields_values(start):
    with start({"p": {"workers": 2}}).client() as client:
        for target in "p", "p:1", "p:key=k":
            for ordered in True, False:
                stream = Stream(client, target, "series", [1000], ordered=ordered)
                assert stream.finish() == (None, {"items": 1000, "failed": 0})
                assert stream.results == [(i, None, i) for i in range(1000)]
        assert Stream(client, "p", "series", [0]).finish() == (None, {"items": 0, "failed": 0})
        assert "BAD_ARGUMENT" in client.error("p.series", 3)
        for target in "p:all", "p:map", "p:scatter":
            error, _ = Stream(client, target, "series", [3] if target == "p:all" else [[3, 3]]).finish()
            assert "BAD_ARGUMENT" in error


def test_a_series_whose_method_calls_others(start):
    """What is taken while the method waits for an answer counts, when it waits to yield more."""
    with start({"p": {"workers": 1}, "q": {"workers": 1}}).client() as client:
        blob = b"x" * (300 << 10)
        stream = Stream(client, "p", "series", [12, blob], kwargs={"asks": "q.slot"})
        assert stream.finish() == (None, {"items": 12, "failed": 0})
        assert all(value == blob for _, _, value in stream.results)


def test_a_series_that_fails(start):
    with start({"p": {}}).client() as client:
        for errors in "wait", "collect", "first":
            stream = Stream(client, "p", "series", [3, None, True], errors=errors)
            answer = stream.finish()
            assert [(i, v) for i, error, v in stream.results if not error] == [(0, 0), (1, 1), (2, 2)]
            if errors == "collect":
                assert answer == (None, {"items": 4, "failed": 1}) and stream.results[3][1] == "FAILED: failed after 3"
            else:
                assert answer == ("FAILED: failed after 3", None)
        assert client.value("p.echo", 1) == 1


def test_a_series_waits_for_a_slow_reader(start, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")
    daemon = start({"p": {"workers": 1}}, {"max_unsent": 1 << 20})
    with daemon.client() as client, daemon.client() as other:
        pid = other.value("p.pid")
        stream = Stream(client, "p", "series", [None, b"x" * 50_000])
        resident = lambda: sum(int(line.split()[1]) for p in (pid, daemon.process.pid) for line in open(f"/proc/{p}/status") if line.startswith("VmRSS"))
        wait_for(lambda: asleep(pid), lambda: "the method to wait for its reader")
        before = resident()
        stream.wait(lambda s: len(s.results) == 400)  # 20 MB: it goes on as they are read
        wait_for(lambda: asleep(pid), lambda: "the method to wait again")
        assert resident() < before + 20_000
        client.notify("objpool.cancel", stream.msgid)
        error, _ = stream.finish()
        assert error.startswith("CANCELLED: ")
        assert [index for index, _, _ in stream.results] == list(range(len(stream.results)))
        assert other.value("p.echo", 2) == 2


def test_a_series_ends_with_its_client(start):
    daemon = start({"p": {"workers": 1}}, {"max_unsent": 1 << 20})
    with daemon.client() as other:
        pid = other.value("p.pid")
        for kind in "stalled", "reading":
            with daemon.client() as client:
                stream = Stream(client, "p", "series", [None, b"x" * 5000])
                if kind == "stalled":
                    wait_for(lambda: asleep(pid), lambda: "the method to wait for its reader")
                else:
                    stream.wait(lambda s: len(s.results) == 1000)
            assert other.value("p.echo", kind) == kind
        assert other.value("p.pid") == pid


def test_a_series_of_a_worker_that_dies_is_not_run_again(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client, daemon.client() as other:
        pid = other.value("p.pid")
        stream = Stream(client, "p", "series", [None], idempotent=True)
        stream.wait(lambda s: len(s.results) == 100)
        os.kill(pid, signal.SIGKILL)
        error, _ = stream.finish()
        assert error.startswith("WORKER_LOST: ")
        assert [index for index, _, _ in stream.results] == list(range(len(stream.results)))


def test_calls_wait_their_turn_behind_a_series(start):
    with start({"p": {"workers": 1}}).client() as client:
        stream = Stream(client, "p", "series", [200, b"y" * 100_000])
        calls = [client.start("p.echo", i) for i in range(50)]
        messages = collections.Counter()
        while messages["answers"] < 51:
            message = client.receive()
            messages["answers" if message[0] == 1 else "results"] += 1
            if message[0] == 1 and message[1] != stream.msgid:
                assert message[3] == calls.index(message[1])
        assert messages["results"] == 200


def asleep(pid):
    """Does it wait for something, now and a moment later, without having run in between?"""
    def state():
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        return fields[0], fields[11], fields[12], open(f"/proc/{pid}/status").read().split("\nvoluntary_ctxt_switches:")[1]
    before = state()
    return before[0] == "S" and not select.select([], [], [], 0.05)[0] and state() == before


def test_values_that_follow_each_other_come_together(start):
    daemon = start({"p": {"workers": 1}})
    with daemon.client() as client:
        for _ in range(3):
            client.full("p:map", "echo", [list(range(1000))])
        msgid = client.start("objpool.call", "p:map", "echo", [list(range(1000))], {"stream": "runs", "window": 1000})
        found, count = [], 0
        while (message := client.receive())[0] == 2:
            _, name, (of, first, values) = message
            assert (name, of, first) == ("objpool.results", msgid, len(found))
            found += values
            count += 1
        assert found == list(range(1000)) and count < 500
        assert message[3].keys() == {"items", "failed", "item_ns"} and message[3]["items"] == 1000
        msgid = client.start("objpool.call", "p:map", "add", [[1, "x", 3], [1, 1, 1]], {"stream": "runs", "errors": "collect"})
        messages = [client.receive()[1:] for _ in range(3)]
        assert messages[0] == ["objpool.results", [msgid, 0, [2]]] and messages[2] == ["objpool.results", [msgid, 2, [4]]]
        name, (_, index, error, value) = messages[1]
        assert (name, index, value) == ("objpool.result", 1, None) and error
        assert client.wait(msgid)[1]["failed"] == 1
        assert client.full("p:map", "echo", [[1]], stream="run")[0]


def test_results_of_one_batch_may_be_more_than_a_message(start):
    """A worker's message of results ends before it is longer than the daemon takes."""
    daemon = start(pools={"p": {"workers": 1}}, daemon={"max_message": "64K"})
    with daemon.client() as c:
        stream = Stream(c, "p:map", "blob", [[60000] * 8], chunk=8)
        while stream.step():
            pass
        assert stream.answer == (None, {"items": 8, "failed": 0})
        assert [len(value) for _, _, value in stream.results] == [60000] * 8
        assert c.value("objpool.status", "p")["pools"][0]["slots"][0]["generation"] == 1
