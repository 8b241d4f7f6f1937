#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Calls a daemon without a pause, until standard input ends: Python programs that keep their connections, and the command, which
makes one for each call. Prints what has come of it as a line of JSON, over and over.

usage: load.py  (pools: dice, of the plugin sampler; probe)
"""
import collections
import json
import subprocess
import sys
import threading

import objpool

# The daemon that is replaced may first finish a call of a second, and its successor builds its instances.
RETRY = objpool.Retry(60, delay=0.05, max_delay=0.5)

done = collections.Counter()
failures = []
over = threading.Event()


def repeat(name, call):
    while not over.is_set():
        try:
            call()
            done[name] += 1
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}: {error}")
            over.wait(0.1)


def quick():
    pool = objpool.connect(retry=RETRY).pool("dice")
    repeat("quick", lambda: pool.get_property())


def mapped():
    pool = objpool.connect(retry=RETRY).pool("dice")
    repeat("map", lambda: list(pool.map.add_and_get_property([1] * 20)))


def slow():
    pool = objpool.connect(retry=RETRY).pool("probe")
    repeat("slow", lambda: pool.sleep(1))


def command():
    def call():
        ran = subprocess.run(["objpool", "call", "dice.get_property"], text=True, capture_output=True)
        if ran.returncode:
            raise RuntimeError(f"exit status {ran.returncode}: {ran.stderr.strip()}")
    repeat("command", call)


threads = [threading.Thread(target=target, daemon=True) for target in (quick, quick, mapped, slow, command, command)]
for thread in threads:
    thread.start()


def tell():
    print(json.dumps({"done": dict(done), "failures": failures[:20], "failed": len(failures)}), flush=True)


def tell_often():
    while not over.wait(0.1):
        tell()


teller = threading.Thread(target=tell_often)
teller.start()
sys.stdin.read()
over.set()
teller.join()
for thread in threads:
    thread.join(30)
tell()
