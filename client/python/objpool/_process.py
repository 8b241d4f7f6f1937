# SPDX-License-Identifier: Apache-2.0
"""Starting programs, and what they get of this program's descriptors."""
from __future__ import annotations

import functools
import itertools
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Iterator, List, Mapping


def is_standard(descriptor: int) -> bool:
    """Whether 0, 1, or 2 is the program's input or output. If that was closed, the number may be another's: not inherited."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def high(descriptor: int) -> int:
    """Moved above the standard ones, which a program may have closed."""
    if descriptor > 2:
        return descriptor
    import fcntl
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return high


def start(pids: List[int], arguments: List[str], environment: Mapping[str, str], source: int, keep: Iterable[int]) -> None:
    """Starts a program, in a session of its own: what is typed at the terminal is not for it. Its pid is added to `pids`, so that
    the caller knows it, whenever an interrupt comes.

    Of what this program has open it gets `source` as its standard input, the output and error stream, and `keep`, by the same
    numbers.
    """
    actions: List[Any] = [(os.POSIX_SPAWN_DUP2, source, 0), *((os.POSIX_SPAWN_DUP2, kept, kept) for kept in keep)]
    actions += ((os.POSIX_SPAWN_OPEN, output, os.devnull, os.O_WRONLY, 0) for output in (1, 2) if not is_standard(output))
    actions += ((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable())
    spawn = functools.partial(os.posix_spawn, arguments[0], arguments, environment, file_actions=actions, setsid=True,
                              setsigdef=[signal.SIGPIPE])
    pids.extend(itertools.starmap(spawn, [()]))  # no interrupt comes between the start and the note of the pid


def kill(pid: int) -> None:
    """Kills a child, and reaps it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # the program has reaped it, or ignores SIGCHLD


def _inheritable() -> Iterator[int]:
    """What posix_spawn can close of that: nothing from the limit on, which the program may have set since."""
    limit = os.sysconf("SC_OPEN_MAX")
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            if 2 < number and not 0 < limit <= number and os.get_inheritable(number):
                yield number
        except OSError:
            pass  # that of the listing itself
