# SPDX-License-Identifier: Apache-2.0
"""TLS between a connection and its socket.

    encrypt() --> OpenSSL --> flush() --> socket
    decrypt() <-- OpenSSL <-- receive() <-- socket

OpenSSL does not see the socket. After decrypt() it holds no more than a part of a record: nothing that could be read waits where
poll() does not see it, unless the exception of a signal handler has come between (`unread`).

One thread reads and another may write: `_lock` is held for each step, and never while waiting. Each step that moves bytes is done
in C, with methods of OpenSSL's object itself: those of ssl.SSLObject are Python code, into which an interrupt may come.
"""
from __future__ import annotations

import collections
import errno
import socket
import ssl
import threading
import time

from ._system import SEND_FLAGS
from .errors import BadArgument, Denied, NoDaemon, ObjpoolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, List, Optional, Tuple

    from ._credentials import Credentials

_ENCRYPT = 64 << 10  # bytes at once
_RECORD = (16 << 10,)
_RECEIVE = (256 << 10,)
_MADE = (1 << 20,)
_FIRST = (0,)
_END = [b""]
_SEND_FLAGS = (SEND_FLAGS,)
_ALERT, _HANDSHAKE = 0x15, 0x16  # the first byte of a server's answer
_GONE = (ConnectionResetError, BrokenPipeError)

_VERDICTS = {  # numbers of X509_V_ERR_...
    9: "the server's certificate is not valid yet",
    10: "the server's certificate has expired",
    **dict.fromkeys((2, 18, 19, 20, 21), "no CA that is known here has signed the server's certificate"),
}
_WRONG_NAME = (62, 64)
_ALERTS = {
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the server refuses the client's certificate: it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "the server refuses the client's certificate: it is revoked",
    "TLSV1_ALERT_UNKNOWN_CA": "the server refuses the client's certificate: it does not know the CA",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server refuses the client's certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server refuses the client's certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "the server refuses the client's certificate: it is not for clients",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the server does not speak objpool/1",
    "TLSV1_UNRECOGNIZED_NAME": "the server does not know the name by which it was called",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a client's certificate, and none was given",
}


# ---- before the handshake ----


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["objpool/1"])
    _trust(context, credentials.ca)
    _show(context, credentials)
    return context


def _trust(context: ssl.SSLContext, ca: Optional[str]) -> None:
    if ca is None:
        context.set_default_verify_paths()
        return
    _check_file("file of CAs", ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise BadArgument(f"the file of CAs {ca} can't be used: {_words(error)}") from None


def _show(context: ssl.SSLContext, credentials: Credentials) -> None:
    cert, key = credentials.cert, credentials.key
    if cert is None and key is not None:
        raise BadArgument(f"the key {key} has no certificate: both are needed")
    if cert is None or key is None:
        return
    _check_file("certificate", cert)
    _check_file("key", key)
    try:
        context.load_cert_chain(cert, key, lambda: "")  # without a function it would ask at the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise BadArgument(f"the key {key} is not that of the certificate {cert}") from None
        raise BadArgument(f"the certificate {cert} and the key {key} can't be used: {_words(error)}") from None


def _check_file(what: str, path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise BadArgument(f"the {what} {path}: {error.strerror}") from None


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")


class Tls:
    """One connection's TLS."""

    def __init__(self, host: str, address: str, credentials: Credentials) -> None:
        self._address = address
        self._name = credentials.name or host
        self._come, self._made = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._shows = credentials.cert is not None
        context = _context(credentials)
        try:
            tls = context.wrap_bio(self._come, self._made, server_hostname=self._name)
        except ValueError:
            raise BadArgument(f'the name "{self._name}" can\'t be that of a server') from None
        self._object: Any = tls._sslobj  # type: ignore[attr-defined]
        self._lock = threading.Lock()
        self._due: Deque[Tuple[bytes, List[int]]] = collections.deque()  #: what goes to the socket, and what of it has gone
        self._cipher: List[bytes] = []  #: what has come from the socket
        self.unread = False  #: there may be something to decrypt
        self.failure: Optional[ObjpoolError] = None  #: what ended the connection, in words

    # ---- the handshake ----

    def shake_hands(self, sock: socket.socket, timeout: Optional[float]) -> None:
        """Makes the handshake. Raises NoDaemon or Denied, with a sentence."""
        deadline = None if timeout is None else time.monotonic() + timeout
        heard = False
        while True:
            failure = None
            try:
                self._object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError as error:
                failure = self._failed(error)
            self._say(sock, deadline)
            if failure is not None:
                raise failure from None
            if done:
                return
            self._hear(sock, deadline, heard)
            heard = True

    def _say(self, sock: socket.socket, deadline: Optional[float]) -> None:
        try:
            sock.settimeout(_left(deadline))
            sock.sendall(self._made.read())
        except _GONE:
            pass  # what has come says why
        except OSError as error:
            raise self._no_daemon(_timed_out(error) or str(error.strerror or error)) from None

    def _hear(self, sock: socket.socket, deadline: Optional[float], heard: bool) -> None:
        try:
            sock.settimeout(_left(deadline))
            data = sock.recv(*_RECEIVE)
        except _GONE:
            data = b""
        except OSError as error:
            raise self._no_daemon(_timed_out(error) or str(error.strerror or error)) from None
        if not data:
            raise self._no_daemon("the server has ended the connection in the TLS handshake"
                                  + ("" if heard else "; perhaps it does not speak TLS"))
        if not heard and data[0] not in (_ALERT, _HANDSHAKE):
            raise self._no_daemon("the server does not speak TLS")
        self._come.write(data)

    # ---- why it fails ----

    def _no_daemon(self, words: str) -> NoDaemon:
        return NoDaemon(f"can't connect to {self._address}: {words}")

    def _failed(self, error: ssl.SSLError) -> ObjpoolError:
        """The error for one of OpenSSL's."""
        reason = error.reason or ""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._no_daemon(self._refuse(error))
        if reason == "SSLV3_ALERT_HANDSHAKE_FAILURE" and not self._shows:
            words = "the server refuses the connection: perhaps it asks for a client's certificate, and none was given"
        elif reason in _ALERTS:
            words = _ALERTS[reason]
        elif "_ALERT_" in reason:
            words = "the server refuses the connection: " + reason.partition("_ALERT_")[2].lower().replace("_", " ")
        elif reason == "UNSUPPORTED_PROTOCOL":
            return self._no_daemon("the server speaks no version of TLS from 1.2 on")
        else:
            return self._no_daemon(f"TLS with the server has failed: {_words(error)}")
        return Denied(f"can't connect to {self._address}: {words}")

    def _refuse(self, error: ssl.SSLCertVerificationError) -> str:
        if error.verify_code in _WRONG_NAME:
            return f"the server's certificate is not for {self._name}"
        return _VERDICTS.get(error.verify_code) or f"the server's certificate is refused: {error.verify_message}"

    def _break(self, error: ssl.SSLError) -> OSError:
        self.failure = self._failed(error)
        return OSError(errno.EPROTO, self.failure.message.partition(f"{self._address}: ")[2])

    # ---- what is sent: by the thread that holds the connection's lock for writing ----

    @property
    def is_due(self) -> bool:
        """Whether there are bytes that flush() must send."""
        return bool(self._due) or self._made.pending > 0

    def encrypt(self, counts: List[int], view: memoryview) -> None:
        """Encrypts the beginning of what is to be sent, and adds its size to `counts`, in one step."""
        try:
            with self._lock:
                counts.extend(map(self._object.write, (view[:_ENCRYPT],)))
        except ssl.SSLError as error:
            raise self._break(error) from None

    def flush(self, send: Callable[[memoryview, int], int]) -> None:
        """Sends what is due. BlockingIOError: there is no room."""
        due = self._due
        while self.is_due:
            if not due:
                counts: List[int] = []
                with self._lock:
                    due.extend(zip(map(self._made.read, _MADE), (counts,)))
            data, counts = due[0]
            if sum(counts) < len(data):
                counts.extend(map(send, (memoryview(data)[sum(counts):],), _SEND_FLAGS))
            if sum(counts) == len(data):
                due.popleft()

    # ---- what comes: by the thread that leads ----

    def receive(self, receive: Callable[[int], bytes]) -> None:
        """Takes what the socket has."""
        self.unread = True  # also if an interrupt comes just after it has been taken
        if not self._cipher:
            self._cipher.extend(map(receive, _RECEIVE))

    def decrypt(self, chunks: List[Any]) -> None:
        """Adds all that can be decrypted; b"" at the end."""
        try:
            with self._lock:
                if self._cipher == _END:
                    self._come.write_eof()
                elif self._cipher:
                    collections.deque(map(self._come.write, map(self._cipher.pop, _FIRST)), 0)
                while not chunks or chunks[-1]:
                    chunks.extend(map(self._object.read, _RECORD))
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            chunks.append(b"")
        except ssl.SSLError as error:
            lost = self._break(error)
            if not chunks:
                raise lost from None
            chunks.append(b"")  # what came before it is good
        self.unread = False

    def say_end(self, send: Callable[[memoryview, int], int]) -> None:
        """Tells the server that this is the end, if that can be told at once."""
        if self._lock.acquire(False):
            try:
                if not self.is_due:
                    self._object.shutdown()
            except (ssl.SSLError, OSError, ValueError):
                pass  # it waits for the server to say so, too
            finally:
                self._lock.release()
        try:
            self.flush(send)
        except OSError:
            pass


def _left(deadline: Optional[float]) -> Optional[float]:
    return None if deadline is None else max(0.001, deadline - time.monotonic())


def _timed_out(error: OSError) -> str:
    return "the server does not answer in the TLS handshake" if isinstance(error, (socket.timeout, BlockingIOError)) else ""


def secure(sock: socket.socket, address: str, credentials: Credentials, timeout: Optional[float]) -> Tls:
    """TLS on a socket that is connected to tls:HOST:PORT. Closes the socket if it fails."""
    try:
        tls = Tls(address[len("tls:"):].rpartition(":")[0].strip("[]"), address, credentials)
        tls.shake_hands(sock, timeout)
    except BaseException:
        sock.close()
        raise
    return tls
