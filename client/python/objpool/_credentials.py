# SPDX-License-Identifier: Apache-2.0
"""By what a client knows the daemon, and the daemon the client: files and names that are given, or else the environment's."""
from __future__ import annotations

import os
import stat

from .errors import BadArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

_TOKEN_MAX = 4095
_OPEN = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY"))
_BLANKS = " \t\r\n"


class Credentials:
    """What was given. What was not is looked for in the environment whenever a connection is made."""

    def __init__(self, tls_ca: Any = None, tls_cert: Any = None, tls_key: Any = None, tls_name: Optional[str] = None,
                 token_file: Any = None) -> None:
        self._ca, self._cert, self._key, self._token_file = map(_path, (tls_ca, tls_cert, tls_key, token_file))
        self._name = tls_name

    @property
    def ca(self) -> Optional[str]:
        """The file of the CAs that are trusted. None: those of the system."""
        return self._ca or os.environ.get("OBJPOOL_TLS_CA") or None

    @property
    def cert(self) -> Optional[str]:
        """The file of the client's certificate. None: it has none."""
        return self._cert or os.environ.get("OBJPOOL_TLS_CERT") or None

    @property
    def key(self) -> Optional[str]:
        """The file of the certificate's key."""
        return self._key or os.environ.get("OBJPOOL_TLS_KEY") or self.cert

    @property
    def name(self) -> Optional[str]:
        """The name that the daemon's certificate must have. None: the host of the address."""
        return self._name or os.environ.get("OBJPOOL_TLS_NAME") or None

    def introduction(self, address: str) -> Dict[str, Any]:
        """What objpool.hello is given beside what it always is: the token, if there is one."""
        path = self._token_file or os.environ.get("OBJPOOL_TOKEN_FILE")
        if not path:
            return {}
        if not address.startswith(("unix:", "tls:")):
            raise BadArgument(f"a token goes over TLS or a Unix socket only (the token file {path})")
        return {"token": _read_token(path)}


class Nobody(Credentials):
    """For a daemon of the program's own, which asks for nothing."""

    def introduction(self, address: str) -> Dict[str, Any]:
        return {}


def _path(given: Any) -> Optional[str]:
    return os.fsdecode(given) if given else None


def _others_may_read(info: os.stat_result) -> bool:
    """Whether others may read a token. A group may read a file of root's: so a service gets what it may know."""
    if os.name != "posix":
        return False  # the mode says nothing there
    return bool(info.st_mode & (0o007 if info.st_uid == 0 else 0o077))


def _read_token(path: str) -> str:
    try:
        fd = os.open(path, _OPEN)
    except OSError as error:
        raise BadArgument(f"the token file {path}: {error.strerror}") from None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise BadArgument(f"the token file {path} is no ordinary file")
        if _others_may_read(info):
            raise BadArgument(f"the token file {path} is open to others: its mode is {stat.S_IMODE(info.st_mode):04o}; chmod 600 it")
        token = os.read(fd, _TOKEN_MAX + 1).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise BadArgument(f"the token file {path}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(token) > _TOKEN_MAX:
        raise BadArgument(f"the token file {path} is too long for a token")
    token = token.strip(_BLANKS)
    if not token:
        raise BadArgument(f"the token file {path} is empty")
    if any(mark in token for mark in _BLANKS + "\0"):
        raise BadArgument(f"the token file {path} must hold a token, and nothing else")
    return token
