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
for i, value in enumerate(VALUES):
    write("scan", f"value-{i:02}", b"\x05" + msgpack.packb(value))
for i, bomb in enumerate([b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff" * 9, b"\xc6\xff\xff\xff\xff", b"\x91" * 200, b"\xc1",
                          b"\x91" * 60 + b"\xdd\xff\xff\xff\xff\xdd\xff"]):
    write("scan", f"bomb-{i}", b"\x01" + bomb)
