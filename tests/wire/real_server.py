# SPDX-License-Identifier: Apache-2.0
"""Starts a daemon as a dialogue wants it, for a client that plays the dialogue.

    real_server.py FILE [--tcp]     prints the daemon's address; stops the daemon when standard input ends

The daemon is that of $OBJPOOL_BUILD, by default of build/.
"""
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import dialogue  # noqa: E402
import harness  # noqa: E402


def settings(setup):
    """What harness.Daemon wants to know, of a dialogue's `setup`."""
    return {"pools": setup.get("pools"), "daemon": setup.get("daemon"), "users": setup.get("users", "")}


def main(path, tcp):
    place = tempfile.mkdtemp(prefix="objpool-")
    try:
        daemon = harness.Daemon(place, **settings(dialogue.read(path).get("setup", {})))
        try:
            print(daemon.tcp if tcp else daemon.address, flush=True)
            sys.stdin.read()
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if word != "--tcp"][0], "--tcp" in sys.argv)
