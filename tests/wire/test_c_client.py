# SPDX-License-Identifier: Apache-2.0
"""libobjpool plays the dialogues: against a daemon, and against the fake server."""
import os
import pathlib
import subprocess

import dialogue
import pytest
import real_server
from fake_server import Served
from harness import BUILD, DEADLINE, MSGPACK, ROOT, UNDER

PATHS = [path for path in dialogue.paths() if any("do" in step for step in dialogue.read(path)["steps"])]
WAYS = dialogue.ways(PATHS)
PIECES = [1, 3, 4096]


@pytest.fixture(scope="session")
def client(tmp_path_factory):
    """client.c, built."""
    program = tmp_path_factory.mktemp("client") / "client"
    sanitize = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Werror", *sanitize, f"-I{ROOT}/client/include",
                    pathlib.Path(__file__).with_name("client.c"), BUILD / "libobjpool.a", *MSGPACK, "-ljansson", "-o", program],
                   check=True, timeout=DEADLINE)
    return program


def play(client, place, path, address, **environment):
    """The exit status of the client, and what it says."""
    token = next(step.get("token") for step in dialogue.read(path)["steps"] if step.get("do") == "connect")
    environment = {**os.environ, **environment}
    if token:
        (place / "token").touch(0o600)
        (place / "token").write_text(token)
        environment["OBJPOOL_TOKEN_FILE"] = str(place / "token")
    done = subprocess.run([*UNDER, client, path, address], env=environment, text=True, capture_output=True, timeout=DEADLINE)
    return done.returncode, done.stderr


@pytest.mark.parametrize("path, kind", WAYS, ids=[f"{path.stem}-{kind}" for path, kind in WAYS])
def test_against_the_daemon(client, start, place, authority, path, kind):
    daemon = start(**real_server.settings(dialogue.read(path).get("setup", {}), authority if kind == "tls" else None))
    assert play(client, place, path, real_server.address(daemon, kind), OBJPOOL_TLS_CA=str(authority.path)) == (0, "")


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_against_the_fake_server(client, place, path):
    told = dialogue.read(path)
    for piece in PIECES:
        folder = place / str(piece)
        folder.mkdir()
        served = Served(folder, told["steps"], piece, tcp=piece == 3 and dialogue.kind_of_address(told, "tcp") == "tcp")
        played = play(client, folder, path, served.address)
        assert (played, served.end()) == ((0, ""), None)
