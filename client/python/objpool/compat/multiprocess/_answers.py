# SPDX-License-Identifier: Apache-2.0
"""What a client makes of the answers of a manager's server."""
from ... import errors
from . import _codec
from ._standard_managers import RemoteError


class StaleProxy(RemoteError):
    """The referent is not in the server: the server was started anew, or the referent is gone."""


def raise_unanswered(answer):
    kind = answer[0]
    if kind == _codec.RESEND:
        raise RemoteError("no more calls can wait in the manager's server\n")
    raise StaleProxy("the server was started anew, or the object is gone: it does not know it\n")


def _loads(data):
    """A value that has come. One that can't be made here is taken all the same: it could not be made the next time either."""
    try:
        return _codec.loads(data)
    except Exception as error:
        error._objpool_has_come = True
        raise


def decode(answer, proxy=None):
    """The value of an answer, or its error raised."""
    if type(answer) is memoryview:      # of a file with a value
        return _loads(answer[1:])
    if type(answer) is not bytes:
        return answer
    kind = answer[0]
    if kind == _codec.VALUE:
        return _loads(memoryview(answer)[1:])
    if kind == _codec.ERROR:
        error, text = _codec.loads(answer[1:])
        error.__cause__ = errors.RemoteTraceback(text)
        raise error
    if kind == _codec.REMOTE:
        raise RemoteError(answer[1:].decode())
    if kind == _codec.PROXY:
        return proxy._proxy_of(*_codec.loads(answer[1:]))
    return raise_unanswered(answer)
