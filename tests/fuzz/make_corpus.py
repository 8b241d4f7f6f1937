#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of the corpus: one message of each kind. What the fuzzers find is added by hand."""
import pathlib

import msgpack

HERE = pathlib.Path(__file__).parent / "corpus"
OPTIONS = [{"kwargs": {"a": [1, 2]}}, {"bind": [1], "bind_kwargs": {"b": 2}}, {"args_as": "single"}, {"args_as": "positional"},
           {"args_as": "keyword"}, {"errors": "first"}, {"errors": "collect"}, {"timeout_ms": 5}, {"chunk": 3}, {"idempotent": True},
           {"stream": True}, {"nothing": 1}]
CALLS = [[0, 1, "p.echo", [1]], [0, 2, "p:1.echo", []], [0, 3, "p:all.echo", ["x"]], [0, 4, "p:map.add", [[1, 2], [3, 4]]],
         [0, 5, "p:scatter.echo", [[1, 2, 3]]], [0, 6, "p:key=a.echo", [None]], [2, "p.echo", [1]], [0, 7, b"p.echo", [1.5]],
         [0, 8, "nothing", []], [0, 9, "p:.x", []], [1, 1, None, 5]]
CALLS += [[0, 10 + i, "objpool.call", ["p:map", "echo", [[1, 2, 3]], options]] for i, options in enumerate(OPTIONS)]
VALUES = [None, True, 5, -5, 2 ** 40, -2 ** 40, 1.5, "text", "x" * 300, b"bytes", b"x" * 70000, [1, [2, [3]]], {"a": {"b": [1]}},
          msgpack.ExtType(5, b"abc"), list(range(100)), {i: i for i in range(20)}]


def write(folder, name, data):
    (HERE / folder).mkdir(parents=True, exist_ok=True)
    (HERE / folder / name).write_bytes(data)


for i, call in enumerate(CALLS):
    write("request", f"call-{i:02}", msgpack.packb(call))
write("request", "pipelined", b"".join(msgpack.packb(call) for call in CALLS[:8]))
TRAIN_ARGS = [[1], [], ["x", None], [{"a": [1.5]}], [-1]]
TRAIN = b"".join(msgpack.packb([0, 20 + i, "p.echo", args]) for i, args in enumerate(TRAIN_ARGS))
write("request", "train", msgpack.packb(CALLS[0]) + TRAIN + msgpack.packb([2, "objpool.cancel", [22]]))
write("request", "train-twice", msgpack.packb(CALLS[0]) + TRAIN + TRAIN)
for i, value in enumerate(VALUES):
    write("scan", f"value-{i:02}", b"\x05" + msgpack.packb(value))
for i, bomb in enumerate([b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff" * 9, b"\xc6\xff\xff\xff\xff", b"\x91" * 200, b"\xc1",
                          b"\x91" * 60 + b"\xdd\xff\xff\xff\xff\xdd\xff"]):
    write("scan", f"bomb-{i}", b"\x01" + bomb)

# Steps of fuzz_worker.c: what a step is, and its number; a value is what is said.
SAYS, ASKS, READS, ENDS_INPUT, GOES, BEGINS, TAKES, SCRIBBLES, DIES, TIME, RESIZE, RESTART, LEASE, RELEASE = range(0, 0xe0, 0x10)
READY = [(SAYS, 0, [0]), (SAYS, 1, [0])]
ERROR = ["FAILED", "bad", "Error", None, None, "yes"]


def steps(name, *list_of_steps):
    write("worker", name, b"".join(bytes([step | number]) + (b"" if value is None else value if isinstance(value, bytes) else msgpack.packb(value))
                                   for step, number, *rest in list_of_steps for value in [rest[0] if rest else None]))


def full(msgid, target, args, **options):
    return [0, msgid, "objpool.call", [target, "m", args, options]]


steps("calls", *READY, (ASKS, 0, [0, 1, "p.m", [1]]), (BEGINS, 0), (SAYS, 0, [1, 1, None, 5]), (ASKS, 1, [0, 2, "p:1.m", []]), (SAYS, 1, [1, 1, ERROR, None]),
      (READS, 0), (READS, 1))
steps("all", *READY, (ASKS, 0, full(1, "p:all", [1], errors="collect", progress=True)), (SAYS, 0, [4, 1, 1, 2, "x"]), (SAYS, 0, [1, 1, None, 5]), (DIES, 1),
      (READS, 0))
steps("train", *READY, (ASKS, 0, [0, 1, "p.echo", [1]]), (BEGINS, 0), (SAYS, 0, [1, 0, None, 5]), (ASKS, 0, TRAIN), (BEGINS, 0),
      (SAYS, 0, [2, 1, 0, [[1, 20, None, 5]]]), (ASKS, 0, [2, "objpool.cancel", [22]]), (SAYS, 0, [3, 1, 1, ERROR]),
      (DIES, 0), (READS, 0))
steps("map", *READY, (ASKS, 0, full(1, "p:map", [[1, 2, 3]], chunk=2)), (BEGINS, 0), (SAYS, 0, [2, 1, 0, [1]]), (SAYS, 0, [3, 1, 1, ERROR]),
      (SAYS, 1, [2, 1, 2, [3]]), (READS, 0))
steps("stream", *READY, (ASKS, 0, full(1, "p:map", [[1, 2, 3, 4]], stream=True, ordered=False, window=2)), (SAYS, 0, [2, 1, 0, [1]]), (READS, 0),
      (SAYS, 1, [2, 1, 1, [1]]), (READS, 0), (GOES, 0))
steps("fed", *READY, (ASKS, 0, full(1, "p:map", None, stream=True)), (ASKS, 0, [2, "objpool.feed", [1, [1, 2, 3]]]), (SAYS, 0, [2, 1, 0, [1]]),
      (ASKS, 0, [2, "objpool.feed_end", [1]]), (READS, 0), (ENDS_INPUT, 0))
steps("deferred", *READY, (ASKS, 0, [0, 1, "p.m", []]), (BEGINS, 0), (SAYS, 0, [5, 1, 0, 1]), (SAYS, 0, [6, 1, None, 3]), (ASKS, 0, [0, 2, "p.m", []]),
      (SAYS, 0, [5, 2, 0, 2]), (ASKS, 0, [2, "objpool.cancel", [2]]), (SAYS, 0, [6, 2, ERROR, None]))
steps("yield", *READY, (ASKS, 0, full(1, "p", [], stream=True)), (BEGINS, 0), (SAYS, 0, [12, 1, 5]), (SAYS, 0, [12, 1]), (READS, 0), (SAYS, 0, [1, 1, None, 5]))
steps("nested", *READY, (ASKS, 0, [0, 1, "p.m", []]), (BEGINS, 0), (SAYS, 0, [10, 1, "p.m", [1]]), (BEGINS, 1), (SAYS, 1, [10, 1, "p:all.m", [1]]),
      (ASKS, 0, [2, "objpool.cancel", [1]]), (TIME, 11), (SAYS, 1, [1, 1, None, 1]), (DIES, 0), (DIES, 0))
steps("lease", *READY, (LEASE, 0, b"\x00"), (SAYS, 0, [9]), (ASKS, 0, [0, 1, "p.m", []]), (ASKS, 1, [0, 1, "p:0.m", []]), (LEASE, 1, b"\x05"), (RELEASE, 0),
      (SAYS, 0, [9, ERROR]), (GOES, 0), (TIME, 11))
steps("sticky", *READY, (ASKS, 0, full(1, "p:all", [1], sticky="append")), (SAYS, 0, [1, 1, None, 1]), (RESIZE, 3), (SAYS, 2, [0]), (RESTART, 0), (SAYS, 3, [0]),
      (SAYS, 0, [7, [1]]), (SAYS, 3, [8, ERROR]), (DIES, 0))
steps("failing", (SAYS, 0, [0, ERROR]), (DIES, 0), (DIES, 1), (TIME, 10), (ASKS, 0, [0, 1, "p.m", []]), (TIME, 15), (SCRIBBLES, 0, b"\x00"))
steps("kill", *READY, (ASKS, 0, full(1, "p", [], timeout_ms=5, idempotent=True)), (BEGINS, 0), (DIES, 0), (BEGINS, 1), (TIME, 4), (TIME, 12), (DIES, 0), (READS, 0))
for value in range(8):
    steps(f"scribble-{value}", *READY, (ASKS, 0, full(1, "p:map", [[1, 2, 3]], chunk=2)), (BEGINS, 0), (SCRIBBLES, 0, bytes([value << 3 | 1])), (TIME, 3), (DIES, 0))

# Gateways: the steps of fuzz_gateway.c; h1 asks, bit 0 is the gateway.
TELLS, HEARS, BEAT, PACKET, ARRIVES, LOST, DOUBLED, CHANGED, LOCAL_SAYS, ANSWERS, LOCAL_GOES, BUS, PASSES, FLOWS, RESTARTS, SHARES = range(0, 0x100, 0x10)


def sized(data):
    return len(data).to_bytes(2, "big") + data


def hosts(name, *list_of_steps):
    """Steps as (step, low bits, what is behind them: bytes as they are, else msgpack)."""
    data = b"".join(bytes([step | number]) + b"".join(each if isinstance(each, bytes) else msgpack.packb(each) for each in rest)
                    for step, number, *rest in list_of_steps)
    write("gateway", f"{name}.hex", b"".join(data[i:i + 40].hex(" ").encode() + b"\n" for i in range(0, len(data), 40)))


def asks(*rpc):
    return TELLS, 0, [2, 1, list(rpc)]


FLOW = (FLOWS, 0)
hosts("calls", asks(0, 1, "p@h2.m", [1]), asks(0, 2, "p@*:1.m", []), asks(0, 3, "p@h2:key=a.m", ["x"]), asks(0, 4, "q.m", [None]), FLOW, asks(2, "p@h2.m", [5]), FLOW,
      (HEARS, 0))
hosts("errors", asks(0, 1, "p@h3.m", [1]), asks(0, 2, "p@.m", []), asks(0, 3, "p@h2:9.m", []), asks(0, 4, "r@*.m", []), asks(0, 5, "p@h2", 5), (TELLS, 0, [2, 9, [0, 1, "p@h2.m", []]]), FLOW)
hosts("gathers", asks(*full(1, "p@*:all", [1], labels=True)), asks(*full(2, "p@*:scatter", [[1, 2, 3, 4]], errors="collect")),
      asks(*full(3, "p@*:all", [1], stream=True, progress=True)), FLOW, FLOW, (TELLS, 0, [4, 1, 500]), (HEARS, 0))
hosts("maps", asks(*full(1, "p@*:map", [[1, 2, 3, 4, 5]])), asks(*full(2, "p@*:map", [list(range(200))], stream=True, window=8)),
      asks(*full(3, "p@h2:map", [[1, 2]], chunk=1, idempotent=True)), FLOW, FLOW, (TELLS, 0, [4, 1, 100]), FLOW, (HEARS, 0))
hosts("fed", asks(*full(1, "p@*:map", None, stream=True)), FLOW, asks(2, "objpool.feed", [1, [1, 2, 3]]), FLOW, asks(2, "objpool.feed_end", [1]), FLOW, (HEARS, 0))
hosts("sticky", asks(*full(1, "p@*:all", [1], sticky="append")), FLOW, asks(*full(2, "p@*:all", [1], sticky="replace")), FLOW, (RESTARTS, 1), (SHARES, 1), *[FLOW] * 8,
      asks(0, 3, "objpool.forget", ["p@*"]), FLOW)
hosts("leases", asks(0, 1, "objpool.lease", ["p@h2"]), FLOW, asks(0, 2, "objpool.release", ["p@h2", 0]), asks(0, 3, "objpool.describe", ["p@*"]),
      asks(0, 4, "objpool.status", ["p@h2"]), FLOW)
hosts("cancelled", asks(*full(1, "p@*", [1], timeout_ms=50)), asks(*full(2, "p@h2", [1])), (ARRIVES, 15), asks(2, "objpool.cancel", [2]), FLOW, (PASSES, 8), (TELLS, 0, [3, 1]), FLOW)
hosts("lost", asks(*full(1, "p@h2", [1], idempotent=True)), (LOST, 0), (PASSES, 8), (DOUBLED, 0), (ARRIVES, 1), FLOW, asks(0, 2, "p@h2.m", [1]), (ARRIVES, 15), (RESTARTS, 1), FLOW,
      *[(SHARES, 1), FLOW] * 4)
hosts("silent", asks(0, 1, "p@h2.m", [1]), (ARRIVES, 3), (BUS, 1), (PASSES, 12), FLOW, (BUS, 13), (SHARES, 1), FLOW, (BUS, 0), asks(0, 2, "p@h2.m", [1]), (PASSES, 11), (BUS, 14), FLOW)
hosts("large", (BUS, 0), (BUS, 4), *[(SHARES, 0), (SHARES, 1), FLOW] * 8, asks(0, 1, "p@h2.m", [b"x" * 5000]), *[FLOW] * 4, (HEARS, 0))
for at in range(0, 60, 3):
    hosts(f"changed-{at:02}", asks(0, 1, "p@h2.m", [1]), (CHANGED, 0, bytes([0, at, 0xff])), (CHANGED, 0, bytes([0, at, 1])), FLOW, asks(0, 2, "p@h2.m", [2]), (DOUBLED, 0),
          (CHANGED, 0, bytes([0, at, 0x80])), FLOW, (PASSES, 12))
for i, data in enumerate([b"", b"\x93\x01\x02", msgpack.packb([1, 5, 6, 7, 8, 9, 10, 11]), msgpack.packb({"a": 1}), b"\xdd\xff\xff\xff\xff", b"\x91" * 200, bytes(range(64))]):
    hosts(f"strange-{i}", (BEAT, 0, sized(data)), (BEAT, 2, sized(data)), (BEAT, 4, sized(data)), (BEAT, 8, sized(data)), (BEAT, 10, sized(data)), (PACKET, 2, sized(data)),
          (PACKET, 4, sized(data)), (PACKET, 10, sized(data)), asks(0, 1, "p@h2.m", [1]), (ARRIVES, 15), (LOCAL_SAYS, 1, sized(data)), (LOCAL_SAYS, 0, sized(data)), FLOW, (LOCAL_GOES, 1), FLOW)
for at in range(0, 90, 6):
    hosts(f"wrong-sum-{at:02}", asks(0, 1, "p@h2.m", [1]), (CHANGED, 2, bytes([0, at, 1])), FLOW, (PASSES, 12), (BEAT, 14, sized(bytes(at))), FLOW)

# What the other host says, in packets whose heads the harness makes: frames of channel.h.
WHOLE, FRAME = 12, 14
OPEN, DATA, CREDIT, CLOSE, BY_OPENER = 1, 2, 3, 4, 0x80


def frame(kind, channel, payload):
    return bytes([kind]) + channel.to_bytes(4, "big") + len(payload).to_bytes(4, "big") + payload


def says(kind, channel, payload, to=1):
    return PACKET, FRAME | to, bytes([kind, channel]) + sized(payload)


def session(*calls):
    return msgpack.packb([0, 0, "objpool.hello", [{"errors": "map"}]]) + b"".join(map(msgpack.packb, calls))


hosts("frames-served", says(OPEN | BY_OPENER, 1, b"alice"), says(DATA | BY_OPENER, 1, session([0, 1, "p@h2.m", [1]])), FLOW, says(CREDIT | BY_OPENER, 1, bytes([0, 1, 0, 0])),
      says(DATA | BY_OPENER, 1, msgpack.packb([0, 2, "p@h2.m", [b"x" * 3000]])), FLOW, (LOCAL_SAYS, 1, sized(b"y" * 5000)), FLOW, says(CLOSE | BY_OPENER, 1, b"\0bye"), FLOW)
hosts("frames-in-one", (PACKET, WHOLE | 1, sized(frame(OPEN | BY_OPENER, 1, b"-") + frame(OPEN | BY_OPENER, 2, b"bob") + frame(DATA | BY_OPENER, 2, session()) +
                                               frame(CLOSE | BY_OPENER, 1, b"\0"))), FLOW, (PACKET, WHOLE | 1, sized(b"")), (LOCAL_GOES, 1), FLOW)
hosts("frames-bad", *[step for payload in (frame(OPEN | BY_OPENER, 1, b""), frame(OPEN | BY_OPENER, 1, b"a\0b"), frame(OPEN, 1, b"a"), frame(OPEN | BY_OPENER, 1, b"a") * 2, b"\x02",
                                         frame(9, 1, b""), frame(OPEN | BY_OPENER, 1, b"a") + frame(9 | BY_OPENER, 1, b""), frame(DATA, 1, b"x") + b"\x02\0\0\0\1\xff\xff\xff\xff",
                                         frame(OPEN | BY_OPENER, 3, b"a") + frame(CREDIT | BY_OPENER, 3, b"abc"), frame(OPEN | BY_OPENER, 3, b"a") + frame(CLOSE | BY_OPENER, 3, b"\x09"))
                      for step in ((PACKET, WHOLE | 1, sized(payload)), FLOW)])
hosts("frames-too-much", says(OPEN | BY_OPENER, 1, b"a"), *[says(DATA | BY_OPENER, 1, bytes(40000))] * 2, FLOW)
for i, answer in enumerate([[1, 1, None, 5], [1, 1, {"code": "FAILED", "message": "bad", "ran": "yes"}, None], [1, 1, "FAILED: bad", None], [1, 0, {"message": "no"}, None], [1, 7, None, 5],
                            [2, "objpool.result", [1, 0, None, 5]], [2, "objpool.results", [1, 0, [5, 6]]], [2, "objpool.credit", [1, 7]], [2, "objpool.progress", [1, 1, 2, None]],
                            [1, 1, None, [[None, 5], [{"code": "FAILED"}, None]]], [0, 1, "m", []], 5]):
    for name, call in ("call", [0, 1, "p@h2.m", [1]]), ("all", full(1, "p@*:all", [1])), ("map", full(1, "p@*:map", [[1, 2, 3]], stream=True)):
        hosts(f"frames-{name}-{i:02}", asks(*call), (HEARS, 0), says(DATA, 1, msgpack.packb(answer), to=0), says(DATA, 1, msgpack.packb(answer), to=0), FLOW, (HEARS, 0))
hosts("frames-closed", *[step for end in range(4) for step in (asks(0, 1 + end, "p@h2.m", [1]), (ARRIVES, 2), says(CLOSE, 1 + end, bytes([end]) + b"why", to=0), (HEARS, 0), FLOW)])
for i, pools in enumerate([None, [], [["p", "C", 2, 2, 0, 0, False, None]], [["p", "C", 70000, 70000, 9, 9, True, "*"], ["q", "C", 1, [0], 0, 0, True, ["h1", "h2"]]], [["p"]], 5]):
    hosts(f"pools-{i}", (BEAT, WHOLE, sized(msgpack.packb(pools))), asks(*full(1, "p@*:all", [1])), asks(0, 2, "q.m", [1]), FLOW, asks(0, 3, "p@*:key=a.m", [1]), FLOW)
for kind in range(8):
    hosts(f"told-{kind}", (TELLS, 0, [kind]), (TELLS, 0, [kind, 1]), (TELLS, 0, [kind, 1, {}]), (TELLS, 0, [kind, {"name": "h1", "remotes": {"q": 5}}]), (TELLS, 0, [kind, [["p", "C", 9, [1, 8], 0, 0]]]),
          asks(0, 1, "p@h2.m", [1]), FLOW)

# Programs on the bus: the steps of fuzz_service.c.
REQUEST, DISCOVERY, ELSEWHERE, DAEMON_ANSWERS, DAEMON_SAYS, DAEMON_GOES, TOLD, LATER_BY, BUS_GOES = range(9)
REPLY, TYPE, SELECTOR, WITH_OPTIONS, POOL_P = 1, 2, 4, 8, 16


def short(text):
    data = text if isinstance(text, bytes) else text.encode()
    return bytes([len(data)]) + data


def bus_request(body, rest=None, content=None, selector=None, options=None, reply=REPLY):
    headers = [(TYPE, content), (SELECTOR, selector), (WITH_OPTIONS, options)]
    has = reply | (POOL_P if rest is None else 0) | sum(bit for bit, value in headers if value is not None)
    return bytes([REQUEST, has]) + (b"" if rest is None else short(rest)) + b"".join(short(value) for _, value in headers if value is not None) + sized(body)


def program(name, *steps):
    data = b"".join(steps)
    write("service", f"{name}.hex", b"".join(data[i:i + 40].hex(" ").encode() + b"\n" for i in range(0, len(data), 40)))


def answered(value=5):
    return bytes([DAEMON_ANSWERS]) + msgpack.packb(value)


FAILED = bytes([DAEMON_ANSWERS])
DESCRIBED = answered({"doc": "d", "version": "1", "methods": [{"name": "m", "signature": "(a)", "doc": "x"}, {"name": "n"}]})
program("calls", bus_request(b"[7]"), answered(), bus_request(msgpack.packb([7, {"a": 1}])), answered({"a": [1, b"x"]}), bus_request(b""), bus_request(b"7", reply=0), answered(None), FAILED)
program("described", DESCRIBED, *[bytes([DISCOVERY]) + short(rest) for rest in ("PING", "INFO", "STATS", "INFO.p", "INFO.q", "PING.p.h1-0", "STATS.p.x.y", "NONE", "")], bus_request(b"[]"), FAILED)
program("headers", *[step for request in (bus_request(b"[]", selector="all"), bus_request(b"[]", selector="key=a b"), bus_request(b"[]", content="application/json; x"),
                                          bus_request(b"\x90", content="application/msgpack"), bus_request(b"<a>", content="text/xml"), bus_request(b"[]", options='{"timeout_ms": 5}'),
                                          bus_request(b"[]", options='{"kwargs": {"a": [1]}, "stream": true}'), bus_request(b"[]", options="[]"), bus_request(b"[]", options="{"),
                                          bus_request(b"[]", options='{"sticky": "append"}'), bus_request(b"[", selector="")) for step in (request, answered([]))])
program("subjects", *[bus_request(b"[]", rest=rest) for rest in ("p.m.n", "p@h1.m", "p@h2.m", "q.m", "r.m", "p", "p.", ".m", "@.m", "p@.m", "objpool.shutdown", "p:all.m")], answered())
program("elsewhere", *[bytes([ELSEWHERE]) + short(subject) + short(reply) + sized(b"[]") for subject in ("objpool.test.call.p.m", "$SRV.INFO", "objpool.test.to.h1.h2", "objpool.tes.call.p.m", "")
                       for reply in ("a", "$SYS.x", "objpool.test.to.h2.h1", "_INBOX_objpool_h2.1", "a b", "a.*", "")], answered())
program("too-large", bytes([BUS_GOES, 0, BUS_GOES, 4]), bus_request(b"[]"), answered("x" * 3000), bus_request(b"[]"), bytes([DAEMON_SAYS]) + sized(b"\x94\x01\x03\xc0\xc6\x7f\0\0\0" + bytes(900)), *[bytes([DAEMON_SAYS]) + sized(bytes(9000))] * 9)
program("lost", bus_request(b"[1]"), bytes([DAEMON_GOES]), bus_request(b"[1]"), bytes([DAEMON_SAYS]) + sized(b"\xc1"), bus_request(b"[1]"), bytes([DAEMON_SAYS]) + sized(b"\x94\x01\x00"),
        bytes([DAEMON_SAYS]) + sized(b"\xc0\x01"), answered(), bytes([LATER_BY, 12]))
program("pools", *[bytes([TOLD]) + msgpack.packb(told) for told in ([5, []], [5, [["p", "C", 1, [], 0, 0, False, None]]], [5, [["q", "C", 1, [0], 0, 0, True, ["bus"]]]], [6], [0, {"name": "h1"}], [5, 5])],
        bus_request(b"[]", rest="q.m"), answered(), bytes([LATER_BY, 11]), bytes([DISCOVERY]) + short("INFO"))
for i, body in enumerate([b"\xd8\x70" + bytes(16), b"[" * 50, b"\x91" * 70 + b"\x01", b"\x01\x02", b"\xc1", b'{"$ext": [112, "AAAAAAAAAAAAAAAAAAAAAA=="]}', b'"\xff"', b"[1,]", b"\xdd\xff\xff\xff\xff"]):
    program(f"body-{i}", bus_request(body), bus_request(body, content="application/msgpack"), bus_request(body, content="application/json"), answered())

DAEMON = """[daemon]
listen = unix:/run/objpool.sock
listen = tcp:127.0.0.1:0
listen = tcp:[::1]:7117
http = tcp:127.0.0.1:9117
plugin_dir = /usr/lib/objpool
socket_mode = 0660
max_message = 64M
max_unsent = 64K
log_level = debug
drain_timeout = 1.5
admin = unix
"""
POOL = """
[pool sim]
plugin = montecarlo ; a comment
class = Sampler
workers = 4
isolation = thread
args = [0.5, "a;b", {"a": null}]
kwargs = {"seed": 7,
	"deep": [[[1]]]}
slot_kwargs = [{"seed": 1}, {"seed": 2}, {"seed": 3}, {"seed": 4}]
max_queue = 100000
start_timeout = never
cancel_grace = 0.5
max_age = 3600
"""
PYTHON = """
[pool py]
plugin = python
class = module:Class
workers = cpus
python_path = ["/a", "/b"]
virtualenv = /venv
preload = ["numpy"]
unpickle = yes
workers_min = 1
workers_max = 4096
idle_timeout = 60
max_rss = 1G
"""
for name, text in (("daemon", DAEMON), ("pool", POOL), ("python", PYTHON), ("all", DAEMON + POOL + PYTHON), ("bom", "\ufeff" + DAEMON),
                   ("crlf", POOL.replace("\n", "\r\n")), ("no-end", "[pool a]\nplugin=p\nclass=c"), ("unknown", "[daemon]\nnothing = 1\n")):
    write("config", name, text.encode())
write("config", "create", msgpack.packb({"plugin": "p", "class": "C", "workers": 2, "args": [1], "kwargs": {"a": 1}, "slot_kwargs": [{}, {"b": 2}],
                                         "max_queue": 5, "start_timeout": 1.5, "isolation": "thread", "idle_timeout": None, "unpickle": True}))

USERS = """[role reader]
call = sim.get* dice.*
describe = *
[user ci]
cert = san:dns:ci.example.org
is = reader
all = dice.set_property
create = tmp-*
code = *-x
deny = *.delete* *.*secret**key*
max_sessions = 10
rate = 200/s burst 400
[user alice]
uid = 7
call = a*b*c*.x*y *.*
direct = a*
[user ops]
gid = 8
cert = cn:ops subject:CN=o p,O=q
watch = yes
operate = yes
[user bot]
token_sha256 = 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
admin = sim ** s*m
[user *]
describe = *
"""
NAMES = ["sim.get_x", "sim.get_x.delete", "dice.set_property", "tmp-1", "tmp-x", "sim", "abc.xy", "a.secret.key", "a.secretkey", "secret", "x" * 150,
         ".x", "x.", "é.é", "sim.\ud800\x1b", "reload", "ops", "ci.example.org"]
write("rights", "users", USERS.encode() + b"".join(b"\0" + name.encode(errors="surrogatepass") for name in NAMES))
write("rights", "clash", b"[user a]\ncert = cn:x\n[user b]\ncert = cn:x\nis =\n[user *]\n\0x\0y")

# Steps of fuzz_direct.c: likewise. What is sent goes out in pieces of 256 bytes at most.
SENDS, TURN, GETS, SHUTS_DOWN, LEAVES, CANCELS, DETACH, CUT, LATER, SCRIBBLES = range(0, 0xa0, 0x10)


def pieces(channel, data):
    return b"".join(bytes([SENDS | channel, len(piece) - 1]) + piece for piece in (data[i:i + 256] for i in range(0, len(data), 256)))


def direct(name, *parts):
    """A part is a message of channel 0, bytes, or a step."""
    write("direct", name, b"".join(bytes([part]) if isinstance(part, int) else part if isinstance(part, bytes) else pieces(0, msgpack.packb(part)) for part in parts))


def direct_call(msgid, method, args=(), **options):
    return [0, msgid, "objpool.call", [None, method, list(args), options]]


direct("calls", [0, 1, "echo", [1, "x", {"a": None}]], [0, 2, "refuse", []], [0, 3, "nothing", []], [2, "echo", [5]], [0, 4, "objpool.ping", [7]], [0, 5, "act", [1]], TURN, GETS)
direct("options", direct_call(1, "echo", [1], timeout_ms=5000), direct_call(2, "act", kwargs={"a": 1}, progress=True), direct_call(3, "echo", timeout_ms=0),
       direct_call(4, "echo", stream=True), [0, 5, "objpool.status", []], [0, 6, b"echo", []], TURN, GETS)
direct("half", pieces(0, b"\x94\x00"), TURN, pieces(0, b"\x01\xa4echo\x91"), TURN, pieces(0, b"\x05"), pieces(1, msgpack.packb([0, 1, "much", []])), TURN, GETS, GETS | 1)
direct("garbage", [0, 1, "echo", []], pieces(0, b"\xc1"), pieces(1, b"\x01"), pieces(2, b"\x94\x01\x01\xc0\x05"), TURN, GETS, GETS | 1, GETS | 2)
direct("too-large", pieces(0, b"\x94\x00\x05\xa4echo\x91\xc6\x00\x01\x00\x10"), TURN, *[pieces(0, b"x" * 4096)] * 17, TURN, [0, 6, "echo", []], TURN, GETS)
direct("nested", [0, 1, "echo", [[[[[1]]]]]], pieces(0, b"\x94\x00\x02\xa4echo\x91" + b"\x91" * 40 + b"\x01"), pieces(0, b"\x94\x00\x03\xacobjpool.ping\x91" + b"\x91" * 40 + b"\x01"), TURN, GETS)
direct("stalls", *[[0, i, "much", []] for i in range(60)], *[TURN] * 8, GETS, *[TURN] * 4, GETS)
direct("cancels", bytes([CANCELS, 1, CANCELS, 2]), [0, 1, "echo", []], [0, 2, "echo", []], [2, "act", []], TURN, bytes([CANCELS, 0]), GETS)
direct("detached", [0, 1, "echo", []], DETACH, [0, 2, "echo", []], SHUTS_DOWN, TURN, GETS, DETACH | 1, LATER, pieces(1, b"\x90"), TURN, CUT | 2, TURN)
direct("rings", pieces(2, msgpack.packb([0, 1, "echo", [1]])), TURN, GETS | 2, *[pieces(2, msgpack.packb([0, i, "much", []])) for i in range(9)], *[TURN] * 4, GETS | 2, TURN, SHUTS_DOWN | 2, TURN)
direct("scribbles", *[part for which in (0, 1, 2, 3, 64, 129, 243) for part in (pieces(2, msgpack.packb([0, 1, "echo", [1]])), bytes([SCRIBBLES | 2, which, 77]), TURN, GETS | 2)])
direct("goes", [0, 1, "much", []], [2, "echo", []], LEAVES, TURN, pieces(1, b"\x94\x00"), LEAVES | 1, TURN)

STATUS = {"server": "objpool", "version": "1", "state": "running", "pid": 5, "uptime_s": 1.5, "sessions": 1, "listen": ["unix:/s"], "pools": [
    {"name": "p", "class": "C", "plugin": "x", "workers": 1, "ready": 1, "state": "ready", "queue": 0, "running": 1, "calls": 5, "failures": 1, "lost": 0,
     "restarts": 0, "error": "", "latency": {"p50_s": 0.1, "p99_s": 0.2, "max_s": 0.3}, "methods": {"m": {"calls": 5, "failures": 0, "p50_s": 0.1}},
     "slots": [{"slot": 0, "state": "ready", "generation": 1, "pid": 7, "since_s": 1.5, "calls": 5, "failures": 0, "restarts": 0, "queue": 0, "running": "m",
                "running_s": 0.5, "cpu_s": 0.1, "rss": 5000, "last_failure": ""}]}]}
DESCRIPTION = {"pool": "p", "plugin": "x", "class": "C", "doc": "a\nclass", "signature": "()", "methods": [{"name": "m", "signature": "(a)", "doc": "d"}]}
PARAMS = [{"name": "a", "kind": "positional", "type": "int"}, {"name": "class", "kind": "either", "type": {"union": ["str", "None"]}, "default": "*/\n"},
          {"name": "r", "kind": "rest", "type": {"list": {"record": "R"}}}, {"name": "k", "kind": "keyword", "type": {"ndarray": ["uint8", None]}, "optional": True},
          {"name": "m", "kind": "keywords", "type": {"dict": ["str", {"tuple": ["int"], "rest": True}]}}]
TYPES = {**DESCRIPTION, "constructor": {"signature": "()", "params": PARAMS, "returns": "None"},
         "types": {"R": [{"name": "x", "type": "float"}, {"name": "next", "type": {"record": "R"}, "optional": True}]},
         "methods": [{"name": name, "signature": "(a)", "doc": '*/ """ \\u000a\n//', "params": PARAMS, "returns": returns, "yields": False, "readonly": True}
                     for name, returns in (("m", {"record": "R"}), ("m", {"iterator": {"tuple": ["int", "str"]}}), ("a.b", "timestamp"), ("\0", {"int": [0, 5]}))]}
ERROR_MAP = {"code": "FAILED", "message": "bad", "type": "E", "traceback": "at", "pool": "p", "slot": 1, "generation": 2, "index": 3, "ran": "maybe",
             "signal": 9, "exit_status": 1, "data": msgpack.packb(msgpack.ExtType(80, b"pickle\0abc"))}
ARRAY = msgpack.ExtType(81, b"\0\x0e" + msgpack.packb(["<f8", [2], "C"]).ljust(14, b"\0") + b"\0" * 16)


def replies(name, what, *messages):
    write("reply", name, bytes([what]) + b"".join(map(msgpack.packb, messages)))


for i, value in enumerate([*VALUES[:9], *VALUES[11:], ARRAY, 1.5e300, float("nan"), b"\xff", msgpack.ExtType(80, b"pickle\0abc")]):
    replies(f"value-{i:02}", 0, [1, 2, None, value], [1, 3, "FAILED: bad", None], [1, 4, ERROR_MAP, None], [1, 5, None, [value]])
replies("stream", 0, [2, "objpool.progress", [2, 1, None, "text"]], [2, "objpool.result", [6, 0, None, 1]], [2, "objpool.result", [6, 1, ERROR_MAP, None]], [1, 6, None, {"done": 2}],
        [2, "objpool.credit", [7, 5]], [2, "objpool.result", [7, 0, None, 1]], [2, "objpool.event", ["x"]], [1, 7, ERROR_MAP, None])
replies("farewell", 0, [1, 0, "BAD_REQUEST: no", None])


def reference(offset, length, kind=0, mark=7):
    return msgpack.ExtType(112, (mark << 48 | offset).to_bytes(8, "big") + (kind << 48 | length).to_bytes(8, "big"))


replies("reference", 0x10, [1, 2, None, reference(0, 70000)], [1, 3, None, [1, reference(0, 66000, 0x100 | 81)]])
replies("reference-in-stream", 0x10, [2, "objpool.result", [6, 0, None, reference(5, 66000)]], [1, 3, None, reference(1, 70000)])
replies("reference-of-status", 0x11, [1, 2, None, {"pools": reference(0, 66000)}])
for json in 0, 8:
    replies(f"status-{json}", 1 | json, [1, 2, None, STATUS])
    replies(f"pools-{json}", 2 | json, [1, 2, None, STATUS["pools"]])
    replies(f"describe-{json}", 3 | json, [1, 2, None, DESCRIPTION])
    replies(f"types-{json}", 3 | json, [1, 2, None, TYPES])
    replies(f"metrics-{json}", 4 | json, [1, 2, None, "# TYPE a counter\n"])
for i in range(6):
    replies(f"generate-{i}", 6 | i << 5, [1, 2, None, TYPES])
replies("top", 5, [1, 2, None, STATUS], [1, 3, None, STATUS])
write("reply", "deep", b"\0\x94\x01\x02\xc0" + b"\x91" * 5000 + b"\xc0")

for i, request in enumerate([b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /readyz HTTP/1.0\r\n\r\n", b"HEAD /metrics HTTP/1.1\r\nAccept: text/plain\r\n\r\n", b"GET /metrics HTTP/1.1\r\n\r\n",
                             b"POST /livez HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"GET http://x/livez?a=b#c HTTP/1.1\r\n\r\n",
                             b"GET /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"GET /livez HTTP/1.1\r\n" + b"X: " + b"y" * 9000 + b"\r\n\r\n",
                             b"GET /livez HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n", b"\0\1\2", b"OPTIONS * HTTP/9.9\r\n\r\n",
                             b"GET /livez HTTP/1.1\r\n\r\nGET /livez HTTP/1.1\r\n\r\n",
                             b"POST /call/p.echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]",
                             b"POST /call/p%3Amap.x HTTP/1.1\r\nHost: [::1]:80\r\nOrigin: http://[::1]:80\r\nContent-Type: application/json; a=b\r\n"
                             b"Accept: application/x-ndjson\r\ntraceparent: 00-" + b"a1" * 16 + b"-" + b"b2" * 8 + b"-01\r\n"
                             b'Content-Length: 59\r\n\r\n{"args": [[1]], "kwargs": {}, "options": {"timeout_ms": 5}}',
                             b"OPTIONS /call/p.x HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: x\r\n\r\n",
                             b"POST http://x/call/p.x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\nA: b\r\n\r\n"]):
    write("http", f"request-{i:02}", bytes([0x80 | i * 10 % 128]) + request)

JSON = ["[1, -1, 1.5e3, true, null]", '{"args": [1], "kwargs": {"a": {"b": []}}, "options": {"timeout_ms": 5}}', r'"\u00e9\ud83d\ude00\n"',
        '[{"$bin": "AQID"}, {"$str": "/w=="}, {"$ext": [-1, "AAAAAA=="]}, {"$float": "nan"}, {"$uint": "18446744073709551615"}]',
        '{"$map": [[1, {"a": 1, "b": 2}], [[], {}]]}', '{"a": 1, "\\u0061": 2}', "[" * 40, "[1,\n 2,]", "18446744073709551616"]
for i, text in enumerate(JSON):
    write("json", f"text-{i:02}", text.encode())
for i, value in enumerate(VALUES):
    write("json", f"value-{i:02}", b"\xc1" + msgpack.packb(value))

SIGNATURES = ["()", "(x: float, names: list[str], *, scale: float = 1.0, tag: str | None = None) -> dict[str, list[float]]",
              "(items: Iterator[int]) -> Iterator[tuple[int, str]]", "(image: ndarray[uint8, 2]) -> ndarray",
              "(a, /, b: int[-5, 255] = -1, *rest: tuple[float, ...], c: Point = ..., **more: any) -> timestamp",
              r"""(a="\n\x41\u00e9\0", b=b'\xff', c=[1, (2.5e3,), {"k": None}], d=True)""", "Point(x: float, y: float = 0.0, z: list[Point] = ...)",
              "(x: " + "list[" * 12 + "int" + "]" * 12 + ")", "(x: number)", "(a=[" + "[" * 20 + "]" * 20 + "])", "(x: int[5, 1], 'y)"]
for i, text in enumerate(SIGNATURES):
    write("signature", f"text-{i:02}", text.encode())
