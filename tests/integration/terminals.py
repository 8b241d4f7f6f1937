# SPDX-License-Identifier: Apache-2.0
"""Pseudo terminals: what a program has written to one comes in pieces, the last of them perhaps after the program has ended."""
import contextlib
import os
import pty


@contextlib.contextmanager
def pseudo_terminal():
    """Our end and the program's, as files."""
    ends = [os.fdopen(end, "r+b", buffering=0) for end in pty.openpty()]
    try:
        yield ends
    finally:
        for end in ends:
            end.close()


def read_terminal(ours, theirs):
    """All that has been written, when the program has ended. Closes its end, so that reading ends when all has come."""
    theirs.close()
    pieces = []
    with contextlib.suppress(OSError):  # EIO: nobody has the other end
        while piece := ours.read(4096):
            pieces.append(piece)
    return b"".join(pieces).decode()
