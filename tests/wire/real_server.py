# SPDX-License-Identifier: Apache-2.0
"""Starts a daemon as a dialogue wants it, for a client that plays the dialogue.

    real_server.py FILE [--tcp | --tls CA]      prints the daemon's address; stops the daemon when standard input ends

With --tls the certificate of the CA that has signed the daemon's is written into the file CA. Some dialogues are for one kind of
address alone, and get that.

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


def settings(setup, authority=None):
    """What harness.Daemon wants to know, of a dialogue's `setup`. With an authority (certificates.py) it also listens for TLS."""
    keys = dict(setup.get("daemon", {}))
    if authority:
        certificate, key, _ = authority.issue_server()
        keys.update(listen="tls:127.0.0.1:0", tls_cert=certificate, tls_key=key)
    sections = setup.get("users", "")
    if "hosts" in setup:
        sections += f"\n[cluster]\nname = h1\ndomain = {setup['hosts']}\nbus = nats://127.0.0.1:1\n" \
                    f"gateway_program = {HERE}/other_hosts.py\n"
    return {"pools": setup.get("pools"), "daemon": keys, "users": sections}


def address(daemon, kind):
    if kind == "unix":
        return daemon.address
    return f"{kind}:" + daemon.wait_log(rf"listening on {kind}:(\S+)").group(1)


def main(path, kind, ca):
    place = tempfile.mkdtemp(prefix="objpool-")
    try:
        told = dialogue.read(path)
        daemon = harness.Daemon(place, **settings(told.get("setup", {}), authority_of(place, ca)))
        try:
            print(address(daemon, dialogue.kind_of_address(told, kind)), flush=True)
            sys.stdin.read()
        finally:
            daemon.stop()
    finally:
        shutil.rmtree(place)


def authority_of(place, ca):
    """A CA whose certificate lies in the file `ca`; None without such a file."""
    if ca is None:
        return None
    from certificates import Authority
    authority = Authority(pathlib.Path(place))
    shutil.copy(authority.path, ca)
    return authority


if __name__ == "__main__":
    words = sys.argv[1:]
    file_of_ca = words.pop(words.index("--tls") + 1) if "--tls" in words else None
    kind_of_address = "tls" if file_of_ca else "tcp" if "--tcp" in words else "unix"
    main([word for word in words if not word.startswith("--")][0], kind_of_address, file_of_ca)
