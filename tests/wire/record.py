# SPDX-License-Identifier: Apache-2.0
"""Fills in the bytes of dialogues: record.py [--again] FILE …

Plays the files against a daemon. A client's message that has no bytes gets those that msgpack makes of it; a daemon's message gets
those that the daemon sent. With --again the daemon's bytes are taken anew where they are there.
"""
import sys
import tempfile

import real_server  # noqa: I001  finds harness
import dialogue
import harness
import player


def complete(step):
    if "client" in step and "bytes" not in step and step["client"] != "end":
        step["bytes"] = dialogue.pack(dialogue.to_value(step["client"])).hex(" ")


def record(path, again):
    told = dialogue.read(path)
    for step in told["steps"]:
        complete(step)
        if again and "daemon" in step:
            step.pop("bytes", None)
    with tempfile.TemporaryDirectory(prefix="objpool-") as place:
        daemon = harness.Daemon(place, **real_server.settings(told.get("setup", {})))
        try:
            heard = player.play(told["steps"], real_server.address(daemon, dialogue.kind_of_address(told, "unix")))
        finally:
            daemon.stop()
    for step, message in zip([step for step in told["steps"] if step.get("daemon", "end") != "end"], heard):
        step.setdefault("bytes", message.hex(" "))
    dialogue.write(path, told)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if name != "--again":
            record(name, "--again" in sys.argv)
