# SPDX-License-Identifier: Apache-2.0
"""Values on the wire, see docs/VALUES.md: msgpack's own types as they are, all others in two ext types.

Packing is one pass in C with a hook for what msgpack does not know. Unpacking has two steps: the reader of a connection makes
only :class:`Ext` placeholders, and :func:`load` replaces them in the thread of the caller that waits for the value. So a pickle
that is slow, fails or calls us again hurts its own call alone. Making an Ext runs no bytecode: a signal handler that raises
can't strike inside the unpacker.
"""
from __future__ import annotations

import functools
import io
import operator
import pickle
import struct
import sys
import types

import msgpack

from . import _by_value, _depth, _files
from .errors import BadValue, CallFailed, ObjpoolError, RemoteTraceback, TooLarge, error_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, FrozenSet, Iterable, List, Optional, Tuple

OBJECT = 80
ARRAY = 81

_PLAIN = frozenset({int, float, str, bytes, bool, type(None)})
_BYTES = frozenset({bytes, bytearray, memoryview})
_SMALL = _PLAIN - {bytes}
_NUMBERS = frozenset({int, float, bool, type(None)})
_ALIGN = 64


class Ext(functools.partial):
    """An ext value that has come and is not looked into yet: `load`ing it calls it."""

    __slots__ = ()


# ---- writing ------------------------------------------------------------------------------------------------------------------


class _ByReferenceOnly(Exception):
    """What is being pickled lives in __main__, where no worker would find it."""


class _Pickler(pickle.Pickler):
    """Refuses references into __main__, but to what the fork has that the readers come from."""

    def __init__(self, file: Any, fork: Any) -> None:
        super().__init__(file, 5)
        self._fork = fork

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, (type, types.FunctionType)) and value.__module__ == "__main__" and (self._fork is None or not self._fork.has(value)):
            raise _ByReferenceOnly(value.__qualname__)
        return NotImplemented


class _Bounded(io.BytesIO):
    """Takes so many bytes; more are not copied."""

    def __init__(self, limit: Optional[int]) -> None:
        super().__init__()
        self._limit = limit

    def write(self, data: Any) -> int:
        check_size("a pickled value", self.tell() + memoryview(data).nbytes, self._limit)
        return super().write(data)


def check_size(what: str, size: int, limit: Optional[int]) -> None:
    """Raises TooLarge for what is over the daemon's limit for a message. None: it is not known."""
    if limit is not None and size > limit:
        raise TooLarge(f"{what} has {size} bytes, over the daemon's max_message = {limit} bytes", ran="no")


def dump_object(value: Any, fork: Any = None, limit: Optional[int] = None) -> bytes:
    """The body of an OBJECT: by reference where pickle can, else by value with cloudpickle or dill. `fork`: who reads it is a fork of it.
    `limit`: of its bytes."""
    buffer = _Bounded(limit)
    buffer.write(b"pickle\0")
    refused: Optional[Exception] = None
    try:
        try:
            _Pickler(buffer, fork).dump(value)
            return buffer.getvalue()
        except ObjpoolError:
            raise
        except Exception as error:
            refused = error
        return _dump_by_value(value, refused, fork)
    except ObjpoolError:
        raise
    except Exception as error:
        raise BadValue(f"a {_name_of(value)} can't be sent: {error}") from error
    finally:
        refused = None  # its traceback has this frame: a cycle that would keep all that the callers hold


def as_object(value: Any, fork: Any = None) -> msgpack.ExtType:
    """A value packed as OBJECT, whatever it is."""
    return msgpack.ExtType(OBJECT, dump_object(value, fork))


def _dump_by_value(value: Any, refused: Exception, fork: Any) -> bytes:
    if _optional("cloudpickle") is not None:
        return b"pickle\0" + _by_value.dumps_by_value(value, None if fork is None else fork.has)
    if _optional("dill") is not None:
        return b"dill\0" + _by_value.dumps_by_dill(value)
    if isinstance(refused, _ByReferenceOnly):
        refused = BadValue(f"{refused} lives in __main__: sending it by value needs cloudpickle or dill")
    raise BadValue(f"a {_name_of(value)} can't be sent: {refused}") from refused


def _name_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


@functools.lru_cache(maxsize=None)
def _optional(name: str) -> Optional[Any]:
    try:
        return __import__(name)
    except ImportError:
        return None


def array_header(array: Any) -> Optional[bytes]:
    """What stands before an array's memory; None: it is none that can go as memory."""
    numpy = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.hasobject or (dtype.names is not None and dtype.metadata):
        return None
    try:
        kind = _listed(dtype.str if dtype.names is None else dtype.descr)
        if _dtype(numpy, kind) != dtype:
            return None
    except ValueError:
        return None  # fields that overlap, or are out of order
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    header = msgpack.packb([kind, list(array.shape), order])
    size = len(header) + -(2 + len(header)) % _ALIGN
    return struct.pack(">H", size) + header.ljust(size, b"\0") if size < 1 << 16 else None


def _listed(kind: Any) -> Any:
    return [_listed(part) for part in kind] if isinstance(kind, (list, tuple)) else kind


def array_memory(array: Any) -> memoryview:
    """The array's bytes, in the order that its header says."""
    numpy = sys.modules["numpy"]
    if array.flags.f_contiguous and not array.flags.c_contiguous:
        array = array.T
    return memoryview(numpy.ascontiguousarray(array).reshape(-1).view(numpy.uint8)).cast("B") if array.size else memoryview(b"")


class _Encoder:
    """The hook of one packer: something that msgpack knows, for something that it does not."""

    __slots__ = ("odd", "store", "outgoing", "fork", "limit", "_shell")

    def __init__(self) -> None:
        self._shell: Optional[_depth.Shell] = None
        self.begin(None, None, None)

    def begin(self, store: Optional[_files.Store], fork: Any, limit: Optional[int]) -> None:
        """A message is packed."""
        self.limit = limit  #: of a value's bytes
        self.odd = False  #: there was what could be a key that a map can't have
        self.store = store  #: large values go beside the socket
        self.outgoing: Optional[_files.Outgoing] = None
        self.fork = fork  #: who reads it is a fork of it

    def end(self) -> Optional[_files.Outgoing]:
        """It has been packed: what goes beside it."""
        outgoing = self.outgoing
        self.begin(None, None, None)
        return outgoing

    @property
    def shell(self) -> _depth.Shell:
        """For messages that are long."""
        if self._shell is None:
            self._shell = _depth.Shell()
        return self._shell

    def __call__(self, value: Any) -> Any:
        kind = type(value)
        self.odd = self.odd or kind.__hash__ is not None
        if kind is tuple:
            return list(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if kind is numpy.ndarray:
                header = array_header(value)
                if header is not None:
                    return self._ext(ARRAY, [header, array_memory(value)])
            elif isinstance(value, numpy.generic) and (value.dtype.kind in "iufb" and value.dtype.itemsize <= 8 or value.dtype.kind == "U"):
                return value.item()
        if kind is Large:
            return self._ext(None, [value.body])
        if kind is Repeated:
            return self._ext(ARRAY, [array_header(value.array), array_memory(value.array)], value.shared)
        return self._ext(OBJECT, [dump_object(value, self.fork, self.limit)])

    def _ext(self, code: Optional[int], parts: List[Any], shared: Optional[_files.Shared] = None) -> Any:
        """An ext with these bytes, or for code None a bin; or what stands for it."""
        size = sum([memoryview(part).nbytes for part in parts])
        check_size("a value", size, self.limit)
        if self.store is not None and size >= _files.MIN:
            if self.outgoing is None:
                self.outgoing = _files.Outgoing(self.store)
            reference = self.outgoing.add(_files.BIN if code is None else _files.EXT | code, parts, shared)
            if reference is not None:
                return msgpack.ExtType(_files.REFERENCE, reference)
        return parts[0] if code is None else msgpack.ExtType(code, b"".join(parts))


class Large:
    """Bytes that are many."""

    __slots__ = ("body",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, body: Any) -> None:
        self.body = body


class Repeated:
    """A plain array that goes in several messages."""

    __slots__ = ("array", "shared")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: Any, shared: _files.Shared) -> None:
        self.array, self.shared = array, shared


def is_large(value: Any) -> bool:
    """Whether it is bytes that may go beside the socket."""
    return type(value) in _BYTES and memoryview(value).nbytes >= _files.MIN and memoryview(value).c_contiguous


def with_large(message: Any, levels: int = 4) -> Any:
    """The message, with bytes that are many made Large, a few levels deep: where arguments and items are."""
    kind = type(message)
    if levels == 0:
        return message
    if kind is list or kind is tuple:
        if len(message) < 1000 and not set(map(type, message)) <= _SMALL:
            return [Large(item) if is_large(item) else with_large(item, levels - 1) for item in message]
    elif kind is dict and len(message) < 1000:
        return {key: Large(item) if is_large(item) else with_large(item, levels - 1) for key, item in message.items()}
    return message


def _repaired(value: Any, fork: Any, levels: int) -> Any:
    """The value with OBJECTs for dicts whose keys no map can have, for strings that are no Unicode, and for what is nested deeper than
    so many levels; itself if it has none."""
    kind = type(value)
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return as_object(value, fork)
    elif kind is list or kind is tuple:
        if levels == 0:
            return as_object(value, fork)
        if not set(map(type, value)) <= _NUMBERS:
            items = [_repaired(item, fork, levels - 1) for item in value]
            return value if all(map(operator.is_, items, value)) else items
    elif kind is dict:
        if levels == 0 or not set(map(type, value)) <= _PLAIN or any(type(key) is str and _repaired(key, fork, 0) is not key for key in value):
            return as_object(value, fork)
        items = [_repaired(item, fork, levels - 1) for item in value.values()]
        return value if all(map(operator.is_, items, value.values())) else dict(zip(value, items))
    return value


def _repaired_message(message: List[Any], fork: Any, spread: bool) -> List[Any]:
    """The message with its values repaired. How many levels lie around them depends on what it asks for: see docs/PROTOCOL.md."""
    method, params = message[-2:]
    if method == "objpool.call":
        repaired = _repaired_call(params, fork)
    elif method == "objpool.feed":
        repaired = [params[0], _repaired(params[1], fork, _depth.DEEPEST + 1 + spread)]
    else:
        repaired = _repaired(params, fork, _depth.DEEPEST + 1 + _takes_columns(method.partition(".")[0]))
    return [*message[:-1], repaired]


def _repaired_call(params: List[Any], fork: Any) -> List[Any]:
    """The parameters of objpool.call: target, method, args, options."""
    target, method, args, options = [*params, *(None, None, None, None)[len(params):]]
    if not isinstance(options, dict):
        return [target, method, _repaired(args, fork, _depth.DEEPEST + 1 + _takes_columns(target)), options]
    columns = _takes_columns(target)
    around = {"kwargs": 1 + columns, "bind": 1, "bind_kwargs": 1}
    args = _repaired(args, fork, _depth.DEEPEST + 1 + (columns and options.get("args_as") != "single"))
    return [target, method, args, {key: _repaired(value, fork, _depth.DEEPEST + around[key]) if key in around else value
                                   for key, value in options.items()}]


def _takes_columns(target: Any) -> bool:
    return isinstance(target, str) and target.endswith((":map", ":scatter"))


_packers: List[Tuple[Any, _Encoder]] = []


def _new_packer() -> Tuple[Any, _Encoder]:
    encoder = _Encoder()
    return msgpack.Packer(default=encoder, strict_types=True, use_bin_type=True), encoder


def pack(message: Any) -> Any:
    """The message's bytes. A BadValue says which value can't go."""
    return pack_with(message, None)[0]


def pack_with(message: List[Any], store: Optional[_files.Store], fork: Any = None, spread: bool = False,
              limit: Optional[int] = None) -> Tuple[Any, Optional[_files.Outgoing]]:
    """The message's bytes, and what goes beside them if there is a store for that. The message's last item is a list: all values are in it.
    `spread`: each item that an objpool.feed has is a container of values. `limit`: of a value's bytes, and of the message's."""
    try:
        both = _packers.pop()  # one of its own for each nested or concurrent use
    except IndexError:
        both = _new_packer()
    both[1].begin(store, fork, limit)
    try:
        data = _packed(both[0], both[1], message)
        if data is None or both[1].odd:
            both = _new_packer() if data is None else both
            repaired = _repaired_message(message, fork, spread)
            if data is None or repaired[-1] is not message[-1]:
                both[1].begin(store, fork, limit)
                data = both[0].pack(_with_large(repaired))
    except (BadValue, TooLarge) as error:
        error.index = _item_at_fault(message, fork, limit)
        raise
    except ObjpoolError:
        raise
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadValue(f"a value can't be sent: {error}", index=_item_at_fault(message, fork, limit)) from error
    outgoing = both[1].end()
    check_size("the message", len(data), limit)
    if len(_packers) < 8:
        _packers.append(both)
    return data, outgoing


def _packed(packer: Any, encoder: _Encoder, message: List[Any]) -> Any:
    """The message's bytes; None: it may have to be repaired before it can go."""
    params = message[-1]
    try:
        if _SMALL.issuperset(map(type, params)):
            return packer.pack(message)
        message = _with_large(message)
        if _depth.is_long(params):
            return encoder.shell.pack(packer, message)
        data = packer.pack(message)
    except ObjpoolError:
        raise
    except (ValueError, RecursionError):
        return None
    return None if _depth.may_be_deep(data) else data


def _item_at_fault(message: List[Any], fork: Any, limit: Optional[int]) -> Optional[int]:
    """Of a map with a value that can't be packed: the number of the first item that has one."""
    method, params = message[-2:]
    if method != "objpool.call":
        target, columns = method.partition(".")[0], params
    else:
        target, _, columns, options = [*params, *(None, None, None, None)[len(params):]]
        columns = [columns] if options and options.get("args_as", "zip") != "zip" else [*(columns or ()), *((options or {}).get("kwargs") or {}).values()]
    if not _takes_columns(target):
        return None
    faults = (next((i for i, item in enumerate(column) if not _can_go(item, fork, limit)), None) for column in columns)
    return min((fault for fault in faults if fault is not None), default=None)


def _can_go(value: Any, fork: Any, limit: Optional[int]) -> bool:
    try:
        pack_with([0, "", [value]], None, fork, limit=limit)
    except (BadValue, TooLarge):
        return False
    return True


def _with_large(message: List[Any]) -> List[Any]:
    return [*message[:-1], with_large(message[-1])]


# ---- reading ------------------------------------------------------------------------------------------------------------------


def load_ext(code: int, body: Any, unpickle: bool) -> Any:
    """The value of an ext."""
    if code == OBJECT:
        return load_object(body, unpickle)
    if code == ARRAY:
        return load_array(body)
    return msgpack.ExtType(code, bytes(body))


def load_object(body: Any, unpickle: bool) -> Any:
    """What was pickled."""
    if not unpickle:
        raise BadValue("an object came pickled, and this client does not unpickle (connect with unpickle=True to trust the daemon)", ran="yes")
    view = memoryview(body)
    head = bytes(view[:16]).partition(b"\0")[0]
    data = view[len(head) + 1:]
    try:
        if head == b"pickle":
            return _by_value.loads_by_value(data)
        if head == b"dill":
            if _optional("dill") is None:
                raise BadValue("an object came by dill, which is not installed here", ran="yes")
            return _by_value.loads_by_dill(data)
    except BadValue:
        raise
    except Exception as error:
        raise BadValue(f"an object came that can't be unpickled here: {type(error).__name__}: {error}", ran="yes") from error
    raise BadValue(f"an object came in the unknown codec {head!r}", ran="yes")


def _dtype(numpy: Any, kind: Any) -> Any:
    """The dtype that a header tells. Fields without a name are the gaps between others."""
    if isinstance(kind, str):
        return numpy.dtype(kind)
    told: Any = {"names": [], "titles": [], "formats": [], "offsets": [], "itemsize": 0}
    for name, inner, *shape in kind:
        inner = _dtype(numpy, inner)
        inner = numpy.dtype((inner, tuple(*shape))) if shape else inner
        if name != "":
            title, name = name if isinstance(name, list) else (None, name)
            for key, value in (("names", name), ("titles", title), ("formats", inner), ("offsets", told["itemsize"])):
                told[key].append(value)
        told["itemsize"] += inner.itemsize
    if not any(told["titles"]):
        del told["titles"]
    return numpy.dtype(told)


def load_array(body: Any, writable: bool = False) -> Any:
    """The array; on the body's own memory if that is `writable`, else on a copy."""
    numpy = _optional("numpy")
    if numpy is None:
        raise BadValue("an array came, and numpy is not installed here", ran="yes")
    view = memoryview(body)
    try:
        size, = struct.unpack(">H", view[:2])
        kind, shape, order = msgpack.unpackb(bytes(view[2:2 + size]).rstrip(b"\0"))
        dtype = _dtype(numpy, kind)
        if dtype.hasobject or dtype.itemsize < 0 or order not in ("C", "F") or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"its header is {[kind, shape, order]!r:.200}")
        array = numpy.ndarray(tuple(shape), dtype, view, 2 + size, order=order)
        if array.nbytes != len(view) - 2 - size:
            raise ValueError(f"it has {len(view) - 2 - size} bytes, but its shape and type need {array.nbytes}")
        if not array.nbytes:
            return numpy.ndarray(array.shape, dtype, bytearray(), order=order)  # a copy would count the items
        return array if writable else array.copy(order="K")
    except Exception as error:
        raise BadValue(f"an array came that is none: {error}", ran="yes") from error


def _load_file(file: _files.File, body: bytes, unpickle: bool) -> Any:
    """What stands for bytes of a file."""
    try:
        view = file.map(body)
    except (OSError, ValueError) as error:
        raise BadValue(f"a large value can't be mapped: {error}", ran="yes") from error
    kind = int.from_bytes(body[8:10], "big")
    if kind == _files.BIN:
        return bytes(view)
    if kind & 0xFF == ARRAY:
        return load_array(view, writable=True)
    return load_ext(kind & 0xFF, view, unpickle)


def unreadable(what: str, parts: List[Any]) -> Ext:
    """A placeholder for what no value can be made of; its parts are what has come."""
    return Ext(_refuse, what, parts)


def _refuse(what: str, parts: List[Any]) -> Any:
    raise BadValue(f"a value came that can't be read here: {what}", ran="yes")


def attach(value: Any, arrivals: _files.Arrivals, unpickle: bool) -> Any:
    """The value, in which placeholders for a file's bytes have the file that has come for them: in the order of the wire."""
    kind = type(value)
    if kind is Ext:
        if value.func is _refuse:
            attach(value.args[1], arrivals, unpickle)
        elif len(value.args) == 2 and arrivals.is_reference(*value.args):
            if not arrivals.waiting:
                raise ValueError("a value came without its descriptor")
            file = arrivals.waiting.popleft()
            if file is None:
                raise ValueError("a descriptor came that is no sealed memory file")
            return Ext(_load_file, file, value.args[1], unpickle)
    elif kind is list:
        if not set(map(type, value)) <= _PLAIN:
            value[:] = [item if type(item) in _PLAIN else attach(item, arrivals, unpickle) for item in value]
    elif kind is dict:
        for key, item in value.items():
            value[key] = attach(item, arrivals, unpickle)
    return value


def load(value: Any) -> Any:
    """The value with all placeholders replaced, in place."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list:
        if not set(map(type, value)) <= _PLAIN:
            for i, item in enumerate(value):
                if type(item) not in _PLAIN:
                    value[i] = load(item)
    elif kind is dict:
        if not set(map(type, value.values())) <= _PLAIN:
            for key, item in value.items():
                if type(item) not in _PLAIN:
                    value[key] = load(item)
        if not set(map(type, value)) <= _PLAIN:
            return _with_keys([load(key) for key in value], value.values())
    elif kind is Ext:
        return value()
    return value


def _with_keys(keys: List[Any], values: Iterable[Any]) -> Any:
    try:
        return dict(zip(keys, values))
    except TypeError as error:
        raise BadValue(f"a value came that can't be read here: a map whose keys a dict can't have: {error}", ran="yes") from None


def load_items(values: List[Any]) -> List[Any]:
    """The same for results of items. A BadValue says whose it is."""
    if not set(map(type, values)) <= _PLAIN:
        for i, value in enumerate(values):
            values[i] = load_item(i, value)
    return values


def load_item(index: int, value: Any) -> Any:
    """The result of an item."""
    try:
        return load(value)
    except BadValue as error:
        error.index = index
        raise


def new_unpacker(unpickle: bool) -> msgpack.Unpacker:
    """A streaming unpacker that makes placeholders of ext values."""
    hook = functools.partial(Ext, _load_trusted if unpickle else _load_untrusted)
    return msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape", max_buffer_size=0, ext_hook=hook)


def _load_trusted(code: int, body: Any) -> Any:
    return load_ext(code, body, True)


def _load_untrusted(code: int, body: Any) -> Any:
    return load_ext(code, body, False)


IN_CHARGE = frozenset({"StopIteration", "StopAsyncIteration", "GeneratorExit", "CancelledError"})


def not_in_charge(error: BaseException, in_charge: FrozenSet[str]) -> BaseException:
    """The error; or what the daemon said of it, where the exception itself would end an iteration, a generator, a task or an event loop of
    ours: then it is the cause."""
    known = error.__cause__.error if isinstance(error.__cause__, RemoteTraceback) else None
    if known is None or in_charge.isdisjoint([cls.__name__ for cls in type(error).__mro__]):
        return error
    error.__cause__ = RemoteTraceback(error.__cause__.text)  # without `known`, which would be a circle
    known.__cause__ = error
    return known


def load_error(wire: Any, unpickle: bool) -> BaseException:
    """The exception to raise for an error that came: the method's own where that could travel."""
    error = error_of(load(wire) if isinstance(wire, dict) else wire)
    if not isinstance(error, CallFailed) or not error.data or not unpickle:
        return error
    try:
        original = msgpack.unpackb(error.data, ext_hook=lambda code, body: load_ext(code, body, True))
    except Exception:
        return error  # e.g. its class is not known here
    if not isinstance(original, BaseException):
        return error
    original.__cause__ = RemoteTraceback(error.traceback or f"{error.type}: {error.message}", error)
    return original
