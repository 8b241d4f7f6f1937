# SPDX-License-Identifier: Apache-2.0
"""How functions, arguments and results travel between a program and the workers of its pools.

What plain pickle can say, it says. Code that workers can't import travels by value: lambdas, nested functions, and all that a program
defines in its __main__. A worker has one namespace that stands for the program's __main__, so that what an initializer sets there, a
function called later finds, as if the worker were a fork of the program:

    program: Sender.dumps(f)                           worker: Namespace.resolve("f")
      blob   "__main__'s f"            ------------>     not there? ask for the digest (see _worker.py)
      names  {"f": digest, "helper": digest}             loads the definition once, and keeps it
      definitions  {digest: bytes}, sent on demand

Workers that are forks of the program have what it had when it made the pool: the digest of such an object is FORKED, and needs no
definition.

A definition is made once for each object, so that a large global is pickled once, not once per call. Like a fork, a worker sees an object as it
was when it was first needed; a name that the program binds to another object later is sent anew, unless the worker has bound it itself.
"""
import functools
import importlib
import io
import marshal
import pickle
import sys
import threading
import types
import weakref

from .. import _by_value

PROTOCOL = 5
LARGE = 1 << 16
VERSION = tuple(sys.version_info[:2])     # of code by value
FORKED = b"forked"                        # the digest of what the workers have from the program by birth
LOCKS = (type(threading.Lock()), type(threading.RLock()))
GLOBAL_OPS = {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
ALL = "*"
LOOK_UP_ALL = {"globals", "eval", "exec", "vars", "modules", "__main__"}
CACHED = type(functools.lru_cache(len))
WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary)
NOT_SENT = {"__name__", "__builtins__", "__doc__", "__spec__", "__loader__", "__package__", "__cached__", "__annotations__"}


# Functions by value


_names_of_code = weakref.WeakKeyDictionary()


def global_names(code):
    """The names of globals that this code, or code within it, uses; ALL among them when it may use any."""
    try:
        return _names_of_code[code]
    except KeyError:
        pass
    import dis
    names = {i.argval for i in dis.get_instructions(code) if i.opname in GLOBAL_OPS}
    if not LOOK_UP_ALL.isdisjoint(code.co_names):
        names.add(ALL)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= global_names(constant)
    _names_of_code[code] = names
    return names


def _module_dict(name):
    if name == "__main__":
        return sys.modules["__main__"].__dict__
    return importlib.import_module(name).__dict__


def new_function(version, code, module, name, cells):
    """What a function that was sent by value is rebuilt with; its state follows, since it may refer to the function itself."""
    if version != VERSION:
        raise RuntimeError(f"{name} came by value from Python {_text(version)}, and this is {_text(VERSION)}: a function that is not in a module "
                           "that both can import needs the same version on both sides")
    closure = tuple(types.CellType() for _ in range(cells))
    return types.FunctionType(marshal.loads(code), _module_dict(module), name, None, closure or None)


def _text(version):
    return ".".join(map(str, version))


def set_function(function, state):
    contents, attributes, extra = state
    for cell, content in zip(function.__closure__ or (), contents):
        if content:
            cell.cell_contents = content[0]
    for name, value in attributes.items():
        setattr(function, name, value)
    function.__dict__.update(extra)


def _cell_content(cell):
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _reduce_function(function, module):
    state = ([_cell_content(cell) for cell in function.__closure__ or ()],
             {"__defaults__": function.__defaults__, "__kwdefaults__": function.__kwdefaults__, "__qualname__": function.__qualname__,
              "__module__": function.__module__, "__doc__": function.__doc__, "__annotations__": function.__annotations__},
             function.__dict__)
    arguments = (VERSION, marshal.dumps(function.__code__), module, function.__name__, len(function.__closure__ or ()))
    return new_function, arguments, state, None, None, set_function


def new_cached(function, parameters):
    """A function under functools.lru_cache: as it was made, with nothing in it."""
    return functools.lru_cache(**parameters)(function)


class _Gone:
    pass


def weak_reference(referent):
    return weakref.ref(_Gone() if referent is None else referent)


def main_attribute(qualname):
    """The object of that name in the program's __main__; in a worker, in the namespace that stands for it."""
    top, _, rest = qualname.partition(".")
    found = resolve(top)
    for part in rest.split(".") if rest else ():
        found = getattr(found, part)
    return found


def resolve(name):
    return getattr(sys.modules["__main__"], name)


def main_module():
    return sys.modules["__main__"]


def _found(qualname, namespace):
    """What that dotted name means there, or None."""
    parts = qualname.split(".")
    found = namespace.get(parts[0])
    for part in parts[1:]:
        found = getattr(found, part, None)
    return found


class _ByValue:
    """Made a pickler by `_Pickler` and `_pickler`. Writes code by value that the other side can't import; `wanted` collects the names
    of __main__ that it will look up there."""

    is_tolerant = False     # of attributes of classes that can't be pickled
    looks_only = False      # at whether one can; other classes and functions can

    def __init__(self, file, wanted, is_shared, definition=NotImplemented, aside=None):
        super().__init__(file, protocol=PROTOCOL, buffer_callback=aside)
        self._wanted = wanted
        self._is_shared = is_shared
        self._definition = definition

    def reducer_override(self, value):
        if self.looks_only and isinstance(value, (types.FunctionType, type)):
            return _by_value.NOTHING if value is not int else NotImplemented
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        if isinstance(value, CACHED):
            return self._cached(value)
        if isinstance(value, WEAK):
            return type(value), (dict(value),)
        if type(value) is weakref.ref:
            return weak_reference, (value(),)
        if isinstance(value, LOCKS):
            return (threading.RLock if isinstance(value, LOCKS[1]) else threading.Lock), ()
        from multiprocessing.reduction import ForkingPickler
        shared = ForkingPickler._extra_reducers.get(type(value))        # connections, shared memory
        return shared(value) if shared else _by_value.constant(value) or self._other(value)

    def _other(self, value):
        inherited = getattr(super(), "reducer_override", None)
        return inherited(value) if inherited else NotImplemented

    def _function(self, function):
        main = sys.modules["__main__"].__dict__
        if function.__globals__ is main:
            if self._by_name(function):
                return main_attribute, (function.__qualname__,)
            names = global_names(function.__code__)
            self._wanted.update(name for name in (tuple(main) if ALL in names else names) if name in main and name not in NOT_SENT)
            return _reduce_function(function, "__main__")
        name = function.__globals__.get("__name__")
        module = sys.modules.get(name)
        if module is None or module.__dict__ is not function.__globals__ or not _is_importable(module):
            return self._other(function)
        if function.__module__ == name and _found(function.__qualname__, module.__dict__) is function:
            return NotImplemented
        return _reduce_function(function, name)

    def _cached(self, function):
        if function.__module__ == "__main__":
            if self._by_name(function):
                return main_attribute, (function.__qualname__,)
        elif is_found_by_name(function):
            return NotImplemented
        return new_cached, (function.__wrapped__, function.cache_parameters())

    def _class(self, cls):
        if cls.__module__ == "__main__" and self._by_name(cls):
            return main_attribute, (cls.__qualname__,)
        reduced = self._other(cls)
        return _by_value.with_real_bases(cls, _by_value.with_what_can_go(reduced, self._look) if self.is_tolerant else reduced)

    def _look(self, value):
        pickler = type(self)(io.BytesIO(), set(), self._is_shared)
        pickler.looks_only = True
        pickler.dump(value)

    def _module(self, module):
        if module.__name__ == "__main__":
            return main_module, ()
        return (importlib.import_module, (module.__name__,)) if _is_importable(module) else self._other(module)

    def _by_name(self, value):
        main = sys.modules["__main__"].__dict__
        name = value.__qualname__.partition(".")[0]
        if _found(value.__qualname__, main) is not value or main[name] is self._definition or not self._is_shared(name):
            return False
        self._wanted.add(name)
        return True


class _ByName:
    """Pickled as what __main__ has by that name."""

    def __init__(self, qualname):
        self.qualname = qualname

    def __reduce__(self):
        return main_attribute, (self.qualname,)


def is_found_by_name(value):
    """Does its module have it by its name?"""
    module = sys.modules.get(getattr(value, "__module__", None))
    return module is not None and _found(getattr(value, "__qualname__", ""), module.__dict__) is value


class _Pickler(_ByValue, pickle.Pickler):
    """Says what can be said without the help of others, whose import takes longer than many a program."""

    def _other(self, value):
        if isinstance(value, types.ModuleType) or isinstance(value, (types.FunctionType, type)) and (
                value.__module__ == "__main__" or not is_found_by_name(value)):
            raise pickle.PicklingError("it takes cloudpickle, or dill, to say that")
        return NotImplemented


@functools.lru_cache(maxsize=None)
def _pickler():
    """The class that says more."""
    try:
        from cloudpickle import CloudPickler as base
    except ImportError:
        try:
            from dill import Pickler as base
        except ImportError:
            base = pickle.Pickler
    return type("Pickler", (_ByValue, base), {})


@functools.lru_cache(maxsize=None)
def _tolerant_pickler():
    """The class that says what can be said."""
    return type("TolerantPickler", (_pickler(),), {"is_tolerant": True})


def _is_importable(module):
    return module.__name__ != "__main__" and (
        getattr(module, "__spec__", None) is not None or module.__name__ in sys.builtin_module_names)


class _Spawning:
    """Makes the standard library's locks, queues and shared values tell how they are reached from another process."""

    def __enter__(self):
        from multiprocessing import context
        self._context = context
        context.set_spawning_popen(self)

    def __exit__(self, *_):
        self._context.set_spawning_popen(None)

    @staticmethod
    def duplicate_for_child(descriptor):
        return descriptor

    @staticmethod
    def DupFd(descriptor):
        from ._descriptors import share
        return share(descriptor)


def _picklers():
    """One after the other, as long as they refuse."""
    yield _Pickler
    yield _pickler()
    yield _tolerant_pickler()


def _dump_by_value(value, wanted, is_shared, definition=NotImplemented, large=None):
    refused = None
    try:
        for pickler in _picklers():
            names = set()
            try:
                data = _dump_with(pickler, value, names, is_shared, definition, large)
                wanted |= names
                return data
            except RecursionError:
                raise
            except Exception as error:
                if large:
                    large.clear()
                refused = refused if pickler.is_tolerant else error
        raise refused
    finally:
        refused = None      # its traceback has this frame


def _dump_with(pickler, value, wanted, is_shared, definition, large):
    file = io.BytesIO()
    with _Spawning():
        pickler(file, wanted, is_shared, definition, _aside(large)).dump(value)
    return file.getvalue()


def _dumps(value, wanted, is_shared, large=None):
    """The pickle. `large`, a list, takes buffers of 64 KiB and more, which are then not in it."""
    try:
        data = pickle.dumps(value, PROTOCOL, buffer_callback=_aside(large))
        if _is_plain(data):
            return data
        refused = None
    except Exception as error:      # what it is depends on the value; code by value may do
        refused = error
    if large:
        large.clear()
    try:
        return _dump_by_value(value, wanted, is_shared, large=large)
    except RecursionError:
        raise
    except Exception as error:
        raise error from (refused if refused is not None and type(refused) is not type(error) else None)
    finally:
        refused = None      # its traceback has this frame, and those that hold the pool


def _is_plain(data):
    return b"__main__" not in data and b"multiprocessing.connection" not in data


def looks_up_main(data):
    """May the pickle find something in __main__ by its name?"""
    return b"__main__" in data or b"main_attribute" in data


def dumps_pieces(kind, items, size):
    """The pickle of (kind, how many), and those of as many lists of so many items each. None: it takes more than plain pickle."""
    file, large = io.BytesIO(), []
    pickler = pickle.Pickler(file, PROTOCOL, buffer_callback=_aside(large))
    try:
        pickler.dump((kind, -(-len(items) // size)))
        for begin in range(0, len(items), size):
            pickler.dump(items[begin:begin + size])
            if large:
                return None
    except Exception:       # who tries otherwise is told of it, or not
        return None
    data = file.getvalue()
    return data if _is_plain(data) else None


def _aside(large):
    if large is None:
        return None

    def keep(buffer):
        try:
            raw = buffer.raw()
        except BufferError:         # not in one piece
            return True
        if raw.nbytes < LARGE:
            return True
        large.append(raw)
        return False
    return keep



# The program's side


class Unsent:
    """Stands for a global that could not travel."""

    def __init__(self, reason):
        self.reason = reason


class Sender:
    """What a program has told the workers of one pool about its __main__; `forks`: they are going to be forks of it, now."""

    def __init__(self, forks=False):
        self._known = {}            # name -> (object, digest): the object is kept, so that its identity means something
        self._forked = {name: _reference(value) for name, value in sys.modules["__main__"].__dict__.items()} if forks else {}
        self._needs = {}            # digest -> names that the definition looks up
        self._definitions = {}      # digest -> bytes
        self._lock = threading.Lock()

    def dumps(self, value, large=None):
        """(bytes, {name: digest} or None). Raises what pickle raises."""
        if type(value) is types.FunctionType and value.__module__ == "__main__" and is_found_by_name(value):
            return pickle.dumps(_ByName(value.__qualname__), PROTOCOL), self._digests({value.__qualname__.partition(".")[0]})
        wanted = set()
        data = _dumps(value, wanted, lambda name: True, large)
        return data, self._digests(wanted) if wanted else None

    def forget(self):
        with self._lock:
            self._known, self._forked = {}, {}

    def definitions(self, digests):
        return {digest: self._definitions[digest] for digest in digests if digest in self._definitions}

    def is_current(self, digests):
        """Do these names still mean what they meant?"""
        main, known = sys.modules["__main__"].__dict__, self._known
        return all(self._is_forked(name, main.get(name)) if digest is FORKED else name in known and known[name][0] is main.get(name)
                   for name, digest in digests.items())

    def _is_forked(self, name, value):
        """Is it what it was when the workers were forked?"""
        kept = self._forked.get(name, ())
        if isinstance(kept, weakref.ref):
            return kept() is value is not None
        return bool(kept) and kept[0] is value

    def _digests(self, wanted):
        with self._lock:
            digests, left = {}, list(wanted)
            while left:
                name = left.pop()
                if name not in digests:
                    digests[name] = digest = self._define(name)
                    left += _looked_up(sys.modules["__main__"].__dict__[name]) if digest is FORKED else self._needs[digest]
            return digests

    def _define(self, name):
        value = sys.modules["__main__"].__dict__.get(name)
        if self._is_forked(name, value):
            return FORKED
        known = self._known.get(name)
        if known is not None and known[0] is value:
            return known[1]
        wanted = set()
        try:
            data = _dump_by_value(value, wanted, lambda name: True, value)
        except Exception as error:
            data = pickle.dumps(Unsent(f"{type(error).__name__}: {error}"), PROTOCOL)
        import hashlib
        digest = hashlib.blake2b(data, digest_size=16, key=name.encode()[:64]).digest()
        self._known[name] = (value, digest)
        self._needs[digest] = sorted(wanted)
        self._definitions[digest] = data
        return digest


def _reference(value):
    """A weak reference; of what can have none, a tuple with the value."""
    try:
        return weakref.ref(value)
    except TypeError:
        return (value,)


def _looked_up(value):
    """Names of __main__ that its functions may look up."""
    main = sys.modules["__main__"].__dict__
    names = set()
    for function in _functions_of(value):
        if function.__globals__ is main:
            names |= all_names(function.__code__)
    return [name for name in (main if not LOOK_UP_ALL.isdisjoint(names) else names) if name in main and name not in NOT_SENT]


def all_names(code):
    """The names of globals and attributes that this code, or code within it, uses."""
    return set(code.co_names).union(*(all_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)))


def _functions_of(value):
    if isinstance(value, types.FunctionType):
        return (value,)
    if not isinstance(value, type) or value.__module__ != "__main__":
        return ()
    members = [getattr(member, "__func__", member) for member in vars(value).values()]
    properties = [member for member in members if isinstance(member, property)]
    members += [function for member in properties for function in (member.fget, member.fset, member.fdel)]
    members += [function for base in value.__bases__ for function in _functions_of(base)]
    return [member for member in members if isinstance(member, types.FunctionType)]


# The worker's side


class Namespace:
    """Stands for the program's __main__ in a worker: what was sent, and what functions have set since."""

    def __init__(self):
        self._main = sys.modules["__main__"].__dict__
        self._digests = {}          # name -> digest of what was bound last
        self._bound = {}            # name -> the object that was bound, to see whether the worker has bound another
        self._new = {}              # name -> (digest, bytes) not bound yet
        self._unsent = {}           # name -> why it could not travel
        self._forked = {}           # name -> what it was by birth
        global resolve
        resolve = self._resolve

    def inherit(self):
        """All that is there is the program's."""
        self._forked = dict(self._main)
        self._bound = dict(self._main)

    def missing(self, names):
        return [digest for name, digest in names.items() if self._digests.get(name, FORKED) != digest]

    def take(self, names, definitions):
        """Binds those names; `definitions` has at least those that `missing` named."""
        for name, digest in names.items():
            if self._digests.get(name, FORKED) != digest:
                self._new[name] = (digest, None if digest == FORKED else definitions[digest])
        for name in names:
            if name in self._new:
                self._bind(name)

    def dumps(self, value):
        return _dumps(value, set(), self._is_shared)

    def explain(self, error):
        """A name that could not travel says so where it is missed."""
        name = getattr(error, "name", None)
        if isinstance(error, NameError) and name in self._unsent:
            error.args = (f"{error}: the program's global of that name could not be sent to the worker ({self._unsent[name]})",)

    def _is_shared(self, name):
        return name in self._bound and self._main.get(name) is self._bound[name]

    def _resolve(self, name):
        if name in self._new:
            self._bind(name)
        try:
            return self._main[name]
        except KeyError:
            if name in self._unsent:
                raise pickle.PicklingError(f"{name} of __main__ could not be sent to the worker: {self._unsent[name]}") from None
            raise AttributeError(f"module '__main__' has no attribute '{name}'") from None

    def _bind(self, name):
        digest, data = self._new.pop(name)
        self._digests[name] = digest
        self._unsent.pop(name, None)
        try:
            value = self._forked[name] if digest == FORKED else pickle.loads(data)
        except Exception as error:
            value = Unsent(f"{type(error).__name__}: {error}")
        if isinstance(value, Unsent):
            self._unsent[name] = value.reason
            if name in self._bound and self._main.get(name) is self._bound.pop(name):
                del self._main[name]    # that is not what it means now
            return
        is_own = name in self._main and self._main[name] is not self._bound.get(name, self)
        if not is_own or isinstance(value, (types.FunctionType, type)):
            self._main[name] = self._bound[name] = value


def is_stateless(function):
    """May a worker keep it from chunk to chunk? Else each chunk gets a copy of its own."""
    if isinstance(function, types.FunctionType):
        return not function.__closure__
    if isinstance(function, types.BuiltinFunctionType):
        return function.__self__ is None or isinstance(function.__self__, types.ModuleType)
    return isinstance(function, type) or type(function) is types.MethodDescriptorType or (
        isinstance(function, types.MethodType) and isinstance(function.__self__, type)) or (
        type(function) is functools.partial and is_stateless(function.func) and
        all(type(value) in ATOMS for value in (*function.args, *function.keywords.values())))


def raising(error):
    """A pickle that raises that exception where it is loaded."""
    try:
        return pickle.dumps(_Raising(error), PROTOCOL)
    except Exception:
        return pickle.dumps(_Raising(pickle.PicklingError(f"{type(error).__name__}: {error}")), PROTOCOL)


class _Raising:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


ATOMS = frozenset({int, float, str, bytes, bool, type(None), complex})
