# SPDX-License-Identifier: Apache-2.0
"""What all proxies of managers have in common: the calls of a referent, the references to it, and how a proxy travels.

A proxy of a near manager calls its referent by the link. If its ident says that the referent has threads (_kinds.py), it has a
connection to one of them for each thread of the program, as proxies of the standard library have.
"""
import threading

from ... import errors
from . import _codec, _link, _place, _standard_managers, process, util
from ._answers import decode, raise_unanswered
from ._codec import PLAIN
from ._kinds import AHEAD, THREADS
from ._link import ServerLost, Unanswered, is_near
from ._quick import Quick
from ._standard_managers import MakeProxyType, RemoteError, Token, convert_to_error, dispatch
from ._thread_calls import connect_to_threads

_StandardProxy, _standard_rebuild, _StandardAutoProxy = (
    _standard_managers.BaseProxy, _standard_managers.RebuildProxy, _standard_managers.AutoProxy)
COUNTED, ARRIVED = "counted", "arrived"   # values of `incref`: the server has counted a reference; it has lent one
packing = threading.local()    # .idents: those of the proxies in the item of a queue that is being pickled


class BaseProxy(_StandardProxy):
    """A proxy of a near manager has `_link`, once it was used in its process."""

    _link = None
    _inside = None      # in the server itself: its Referents
    _held = None        # thread -> how often it has acquired the referent by this proxy

    def __init__(self, token, serializer, manager=None, authkey=None, exposed=None, incref=True, manager_owned=False):
        if not is_near(token.address):
            super().__init__(token, serializer, manager, authkey, exposed, incref, manager_owned)
            return
        self._token, self._id, self._manager, self._serializer = token, token.id, manager, serializer
        if authkey is None:
            authkey = manager._authkey if manager is not None else process.current_process().authkey
        self._authkey = process.AuthenticationString(authkey)
        self._owned_by_manager = manager_owned
        self._tls = util.ForkAwareLocal()
        self._held = {}
        self._is_lent = False
        if manager_owned:
            self._begin_inside()
        elif incref:
            self._begin(incref)
        else:
            self._is_lent = True
        util.register_after_fork(self, BaseProxy._after_fork)

    # A reference

    def _begin_inside(self):
        self._inside = _place.referents
        self._inside.hold_inside(self._id)
        self._close = util.Finalize(self, self._inside.leave_inside, args=(self._id,), exitpriority=None)

    def _begin(self, incref):
        self._link = _link.link_to(self._token.address)
        if incref is not COUNTED:
            try:
                self._link.hold(self._id, incref is ARRIVED)
            except Unanswered as error:
                raise_unanswered(error.args[0])
        self._close = util.Finalize(self, _leave, args=(self._link, self._id), exitpriority=10)

    def _after_fork(self):
        if not is_near(self._token.address):
            super()._after_fork()
            return
        self._manager = self._link = self._inside = None
        self._held = {}
        try:
            self._begin(ARRIVED if self._is_lent else True)
        except Exception as error:      # the manager may have shut down
            util.info("incref failed: %s", error)
        self._is_lent = False

    # Calls

    def _callmethod(self, methodname, args=(), kwds={}):
        """Calls a method of the referent; its value, or a proxy of that."""
        link = self._link
        if link is None:
            return self._call_otherwise(methodname, args, kwds)
        if self._id & THREADS:
            return self._call_thread(methodname, args, kwds)
        return self._ask("call", self._id, methodname, args, kwds)

    def _ask(self, method, *args):
        """What a method of the link gives. A process that was forked without multiprocessing has no link of its own yet."""
        link = self._link
        try:
            answer = getattr(link, method)(*args)
            return answer if type(answer) in PLAIN else decode(answer, self)
        except Unanswered as error:
            raise_unanswered(error.args[0])
        except ServerLost:
            if link.is_of_this_process():
                raise
        self._after_fork()
        if self._link is None:
            raise ServerLost("the manager's server has ended")
        return self._ask(method, *args)

    def _call_otherwise(self, methodname, args, kwds):
        if not is_near(self._token.address):
            return super()._callmethod(methodname, args, kwds)
        if self._inside is not None and self._inside.is_here():
            answer = self._inside.call_inside(self._id, methodname, args, kwds)
            if type(answer) is bytes and answer[0] == _codec.RESEND:
                raise RuntimeError(f"{methodname} would have the manager's server wait for itself")
            return decode(answer, self)
        self._begin(True)
        return self._callmethod(methodname, args, kwds)

    def _call_thread(self, methodname, args, kwds):
        try:
            conn = self._tls.connection
        except AttributeError:
            conn = self._tls.connection = self._connect_to_thread()
        try:
            conn.send_bytes(_codec.dumps_call(args, kwds, self._id, methodname))
            kind, result = _codec.loads(conn.recv_bytes())
        except (EOFError, ConnectionError) as error:
            raise ServerLost("the manager's server has ended") from error
        if kind == "#RETURN":
            return result
        if kind == "#PROXY":
            exposed, token = result
            return self._proxy_of(token.typeid, token.id, exposed)
        raise convert_to_error(kind, result)

    def _connect_to_thread(self):
        util.debug("making connection to manager")
        name = process.current_process().name
        if threading.current_thread().name != "MainThread":
            name += "|" + threading.current_thread().name
        conn = connect_to_threads(self._link, self._authkey)
        dispatch(conn, None, "accept_connection", (name,))
        return Quick(conn)

    def _next_call(self):
        """A number for `_take`, or None."""
        return None if self._link is None or self._id & THREADS else next(self._link.calls)

    def _take(self, number, methodname, *args):
        """A call that takes something."""
        if number is None:
            return self._callmethod(methodname, args)
        return self._ask("take", number, self._id, methodname, args)

    def _put_back(self, number, error):
        """A call that takes something has raised an exception. If it was interrupted, the referent gets that back."""
        of_server = isinstance(error, (RemoteError, ServerLost)) or isinstance(error.__cause__, errors.RemoteTraceback)
        has_come = getattr(error, "_objpool_has_come", False)
        if number is not None and not of_server and not has_come:
            self._link.withdraw(number)

    def _send(self, methodname, *args):
        """A call whose value is None. It is sent ahead, if that can be: its error is then that of the next call."""
        if self._link is None or not self._id & AHEAD or not self._link.send_ahead(self._id, methodname, args):
            return self._callmethod(methodname, args)

    def _proxy_of(self, typeid, ident, exposed):
        """The proxy of a referent that a method of this one has made."""
        token = Token(typeid, self._token.address, ident)
        return self._manager._registry[typeid][-1](token, self._serializer, manager=self._manager, authkey=self._authkey,
                                                   exposed=exposed, incref=ARRIVED)

    def _referent(self):
        """In the server: what the proxy stands for."""
        return self._inside.entry(self._id).value

    def __reduce__(self):
        if is_near(self._token.address):
            self._lend()
        return super().__reduce__()

    def _lend(self):
        """This proxy is being pickled."""
        idents = getattr(packing, "idents", None)
        if idents is not None:
            idents.append(self._id)
        elif self._inside is not None:
            self._inside.lend(self._id)
        elif self._link is not None:
            self._link.lend(self._id)


def _leave(link, ident):
    link.leave(ident)


def RebuildProxy(func, token, serializer, kwds):
    """Makes a proxy of what one is pickled as."""
    if not is_near(token.address):
        return _standard_rebuild(func, token, serializer, kwds)
    referents = _place.referents
    if referents is not None and referents.knows(token.id):
        proxy = func(token, serializer, manager_owned=True, **kwds)
        referents.unlend(token.id)
        return proxy
    incref = False if getattr(process.current_process(), "_inheriting", False) else ARRIVED
    return func(token, serializer, incref=incref, **kwds)


def AutoProxy(token, serializer, manager=None, authkey=None, exposed=None, incref=True, manager_owned=False):
    """A proxy whose methods are those that the server tells of."""
    if not is_near(token.address):
        return _StandardAutoProxy(token, serializer, manager, authkey, exposed, incref, manager_owned)
    if exposed is None:
        exposed = decode(_link.link_to(token.address).request("exposed", token.id))
    proxy = MakeProxyType(f"AutoProxy[{token.typeid}]", exposed)(
        token, serializer, manager=manager, authkey=authkey, incref=incref, manager_owned=manager_owned)
    proxy._isauto = True
    return proxy


# The standard library's functions find these by their names.
_standard_managers.BaseProxy, _standard_managers.RebuildProxy, _standard_managers.AutoProxy = BaseProxy, RebuildProxy, AutoProxy
