# SPDX-License-Identifier: Apache-2.0
"""What the python plugin does in Python. It is compiled into the plugin, and runs in a pool's template and workers.

The file _by_value.py of the Python client stands before this one: what is called …_by_value and …_by_dill is its.

Nothing here is between a call and its method when all values are plain: the loop is in C. This is what comes before (paths,
imports, describing a class) and what is rare (other values, exceptions). `_objpool` is the plugin's other half, in C.
"""
import functools
import gc
import importlib
import os
import pickle
import signal
import sys
import threading
import types

import _objpool

OBJECT, ARRAY = 80, 81
ALIGNMENT = 64
DESCRIPTION_MOST = 96 << 10
TEXT_MOST = 64 << 10
DATA_MOST = 1 << 20
CO_VARARGS, CO_VARKEYWORDS = 4, 8
in_program = False  # the interpreter is that of a program, which this process is a fork of

# ---- where modules come from ----


def begin(python_path, virtualenv):
    worker_module()
    if not in_program:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    if virtualenv:
        use_virtualenv(virtualenv)
    sys.path[:0] = python_path


def use_virtualenv(folder):
    """As the site module does it for the virtual environment's own interpreter."""
    import site

    version = "python%d.%d" % sys.version_info[:2]
    packages = os.path.join(folder, "lib", version, "site-packages")
    try:
        with open(os.path.join(folder, "pyvenv.cfg"), encoding="utf-8") as file:
            lines = [line.partition("=") for line in file]
    except OSError as error:
        raise ValueError(f"virtualenv = {folder}: it is no virtual environment: {error}") from None
    if not os.path.isdir(packages):
        raise ValueError(f"virtualenv = {folder}: it has no lib/{version}/site-packages, and this is {version}")
    keys = {key.strip().lower(): value.strip() for key, _, value in lines}
    if keys.get("include-system-site-packages", "false").lower() != "true":
        system = set(site.getsitepackages())
        sys.path[:] = [path for path in sys.path if path not in system]
    before = list(sys.path)
    site.addsitedir(packages)
    sys.path[:] = before + [path for path in sys.path if path not in before]
    sys.prefix = sys.exec_prefix = folder
    executable = os.path.join(folder, "bin", "python3")
    if os.path.exists(executable):
        sys.executable = executable


# ---- the class ----


def resolve(name):
    """What `module:Class` or `module:Outer.Inner` names."""
    module, _, path = name.partition(":")
    if not module or not path:
        raise ValueError(f"\"{name}\" must be module:name")
    found = importlib.import_module(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise AttributeError(f"module {module} has no {path}") from None
    return found


def load(name, preload, may_pickle, args):
    """In the template: what makes instances."""
    for module in preload:
        importlib.import_module(module)
    found = find_class(name, may_pickle, args)
    if in_program:
        gc.freeze()
        return found
    if threading.active_count() > 1:
        print(f"{threading.active_count() - 1} threads were started by an import: they will not be in the workers", file=sys.stderr)
    gc.collect()
    gc.freeze()  # what is there now is not looked at by the workers' collectors, and so stays shared
    return found


def check(factory, args, kwargs):
    """For objpoold --check: does the constructor take these arguments? Some that are not written in Python don't tell."""
    import inspect
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"the constructor, {signature}, does not take these arguments: {error}") from None


def find_class(name, may_pickle, args):
    module, _, path = name.partition(":")
    if module == "objpool":
        return load_own(path, may_pickle, args)
    found = resolve(name)
    if not callable(found):
        raise TypeError(f"{name} is a {type(found).__name__}, and nothing that can be called for an instance")
    return found


def load_own(name, may_pickle, args):
    if name == "Inherited" and in_program:
        return sys.modules["objpool._fork"].inherited
    if name not in ("Pickled", "Functions"):
        raise ValueError(f"there is no class objpool:{name}; there are objpool:Pickled and objpool:Functions")
    if not may_pickle:
        raise ValueError(f"objpool:{name} runs what callers send: it needs unpickle = yes")
    if name == "Functions":
        return Functions
    return pickled_class(args)


def pickled_class(args):
    """The class is made here, once, if it can be; else in each worker, where a failure is its constructor's."""
    try:
        return Pickled(args[0])
    except Exception:
        return Pickled(None)


class Pickled:
    """A class, or anything that makes an object, that came by value."""

    def __init__(self, factory):
        self.factory = factory

    def __call__(self, factory, /, *args, **kwargs):
        factory = factory if self.factory is None else self.factory
        if not callable(factory):
            raise TypeError(f"objpool:Pickled needs a class or another callable, not a {type(factory).__name__}")
        return factory(*args, **kwargs)


class Functions:
    """Runs functions that callers send.

    initializer(*initargs) runs first in each worker.
    """

    def __init__(self, initializer=None, initargs=()):
        if initializer is not None:
            as_function(initializer)(*initargs)

    def call(self, f, /, *args, **kwargs):
        """f(*args, **kwargs); f is a function, or "module:name"."""
        return as_function(f)(*args, **kwargs)

    def chunk(self, payload):
        """Runs a pickle of (function, items, mode), and returns a pickle of (True, results).

        Mode 0: function(item), 1: function(*item), 2: function(**item).
        """
        f, items, mode = pickle.loads(payload)
        if mode == 0:
            results = [f(item) for item in items]
        elif mode == 1:
            results = [f(*item) for item in items]
        else:
            results = [f(**item) for item in items]
        return dumps((True, results))[1]


def as_function(f):
    return resolve(f) if isinstance(f, str) else f


# ---- describing it ----


def describe(factory):
    """(doc, signature, [hooks], [(name, signature, doc)]) of the class."""
    factory = getattr(factory, "factory", None) if isinstance(factory, Pickled) else factory
    if factory is None:
        return "A class that comes by value.", "(factory, *args, **kwargs)", list(HOOKS), []
    made = factory if isinstance(factory, type) else made_by(factory)
    methods = [] if made is None else list(methods_of(made))
    hooks = [name for name in HOOKS if made is None or has_hook(made, name)]
    return doc_of(factory), signature_of(factory), hooks, shorten(methods)


def made_by(factory):
    """What a function says that it returns."""
    made = getattr(factory, "__annotations__", {}).get("return")
    return made if isinstance(made, type) else None


def methods_of(cls):
    for name in dir(cls):
        try:
            found = getattr(cls, name, None)
        except Exception:
            continue  # a descriptor that is of use in instances only
        if callable(found) and not isinstance(found, type) and is_open(cls, name):
            static = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
            bound = isinstance(static, (staticmethod, classmethod))
            yield name, signature_of(found, 0 if bound else 1), doc_of_method(cls, name, found)


def signature_of(function, skip=0):
    return plain_signature(function, skip) or full_signature(function, skip)


def plain_signature(function, skip):
    """The signature of a function that has only names without annotations, as many do. Else None: `inspect`, which takes longer to
    import than all else that a template does, is to tell."""
    if type(function) is type and function.__new__ is object.__new__ and not hasattr(function, "__signature__"):
        function, skip = function.__init__, 1
        if function is object.__init__:
            return "()"
    if type(function) is not types.FunctionType or function.__dict__ or function.__annotations__ or function.__kwdefaults__:
        return None
    code = function.__code__
    if code.co_posonlyargcount or code.co_kwonlyargcount or skip > code.co_argcount:
        return None
    names = list(code.co_varnames[:code.co_argcount])
    for i, default in enumerate(reversed(function.__defaults__ or ())):
        if default is not None and type(default) not in (int, bool, str):
            return None
        names[-1 - i] += f"={default!r}"
    rest = code.co_varnames[code.co_argcount:]
    if code.co_flags & CO_VARARGS:
        names.append("*" + rest[0])
        rest = rest[1:]
    if code.co_flags & CO_VARKEYWORDS:
        names.append("**" + rest[0])
    return f"({', '.join(names[skip:])})"


def full_signature(function, skip):
    import inspect
    try:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if skip and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        return str(signature.replace(parameters=parameters))
    except Exception:  # also that of a default value's repr
        return "(...)"


def doc_of(thing):
    if type(thing) in (type, types.FunctionType):
        doc = thing.__doc__ if thing.__doc__ is not None else next(filter(None, map(own_doc, getattr(thing, "__mro__", ())[:-1])), "")
        return clean(without_indentation(doc))[:TEXT_MOST // 4] if type(doc) is str else ""
    import inspect  # knows where else it may be, and takes long to import
    try:
        return clean(inspect.getdoc(thing) or "")[:TEXT_MOST // 4]
    except Exception:
        return ""


def own_doc(thing):
    return getattr(thing, "__doc__", None)


def doc_of_method(cls, name, method):
    """Its own, or that of what it takes the place of."""
    methods = [method, *(vars(base)[name] for base in cls.__mro__ if name in vars(base))] if type(method) is types.FunctionType else [method]
    return next(filter(None, (doc_of(found) for found in methods if found is method or own_doc(found) is not None)), "")


def without_indentation(doc):
    """As inspect.cleandoc."""
    first, *rest = doc.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.lstrip(), *(line[margin:] for line in rest)]).strip("\n")


def shorten(methods):
    """A description must fit into a packet."""
    def size():
        return sum(len(text.encode()) + 32 for method in methods for text in method)

    methods = [(name, clean(signature)[:2000], doc) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature, doc.partition("\n\n")[0][:200]) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature[:40], "") for name, signature, _ in methods]
    return methods[:1000]


# Functions of the plugin interface that a class may have, and how many arguments each takes.
HOOKS = {"session_end": 1, "leased": 1, "released": 1, "snapshot": 0, "restore": 1}


def has_hook(cls, name):
    if name == "snapshot" and not has_hook(cls, "restore"):
        return False
    found = getattr(cls, name, None)
    if not isinstance(found, types.FunctionType):
        return False
    import inspect
    try:
        inspect.signature(found).bind(*[None] * (HOOKS[name] + 1))
    except TypeError:
        return False
    return True


# ---- methods ----

SPECIAL = frozenset("__call__ __getitem__ __setitem__ __delitem__ __len__ __contains__ __iter__ __next__ __enter__ __exit__"
                    .split())


def is_open(cls, name):
    """May clients call it? Names with an underscore are the class's own affair, but for those that it has defined as an
    object's ways to be used."""
    if not name.startswith("_"):
        return True
    return name in SPECIAL and any(name in vars(base) for base in cls.__mro__ if base is not object)


def has_method(instance, name):
    return is_open(type(instance), name) and callable(getattr(instance, name, None))


# ---- values ----


def by_value():
    """A function that pickles code by value, and the codec that reads what it writes; None: there is none."""
    try:
        importlib.import_module("cloudpickle")
        return dumps_by_value, b"pickle"
    except ImportError:
        pass
    try:
        importlib.import_module("dill")
        return dumps_by_dill, b"dill"
    except ImportError:
        return None


def dumps(value):
    """(codec, bytes). By reference where that can be; what lives in no module that could be imported goes by value."""
    try:
        return b"pickle", pickle.dumps(value, 5)
    except Exception:
        data = dumps_code(value)
        if data is None:
            raise
        return data


def dumps_code(value):
    """The same, by value; None: there is nothing that can."""
    found = by_value()
    try:
        return (found[1], found[0](value)) if found else None
    except Exception:
        return None


def loads(data):
    """The object of the body of an OBJECT. The memory is the call's: nothing may look at it any longer."""
    with memoryview(data) as whole:
        codec = bytes(whole[:16]).partition(b"\0")[0]
        with whole[len(codec) + 1:] as body:
            if codec == b"pickle":
                return loads_by_value(body)
            if codec == b"dill":
                return loads_by_dill(body)
    raise ValueError(f"an OBJECT has a codec that is not known here: {codec!r}")


def array(header, memory, offset):
    """An array that looks at `memory`, which can't be written to."""
    numpy = importlib.import_module("numpy")
    kind, shape, order = header
    dtype = numpy_dtype(numpy, kind)
    if dtype.hasobject or dtype.itemsize < 0:
        raise ValueError("an ARRAY can't have objects in it, nor items of more than 2 GiB")
    if order not in ("C", "F") or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an ARRAY's order must be C or F, and its shape numbers")
    made = numpy.ndarray(tuple(shape), dtype, memory, offset, order=order)
    if made.nbytes != len(memory) - offset:
        raise ValueError(f"an ARRAY has {len(memory) - offset} bytes, but its shape and type need {made.nbytes}")
    return made


def numpy_dtype(numpy, kind):
    """The dtype that a header tells. Fields without a name are the gaps between others."""
    if isinstance(kind, str):
        return numpy.dtype(kind)
    names, titles, formats, offsets, size = [], [], [], [], 0
    for name, inner, *shape in kind:
        inner = numpy_dtype(numpy, inner)
        inner = numpy.dtype((inner, tuple(*shape))) if shape else inner
        if name != "":
            title, name = name if isinstance(name, list) else (None, name)
            names.append(name)
            titles.append(title)
            formats.append(inner)
            offsets.append(size)
        size += inner.itemsize
    told = {"names": names, "formats": formats, "offsets": offsets, "itemsize": size}
    return numpy.dtype({**told, "titles": titles} if any(titles) else told)


def numpy_kind(numpy, dtype):
    """What a header says of a dtype; None: it can't."""
    try:
        kind = dtype.str if dtype.names is None else dtype.descr
        return kind if numpy_dtype(numpy, listed(kind)) == dtype else None
    except ValueError:
        return None  # fields that overlap, or are out of order


def listed(kind):
    return [listed(part) for part in kind] if isinstance(kind, (list, tuple)) else kind


def encode(value, may_pickle):
    """What the loop in C can't write: (None, plain value) or (ext type, first bytes, the rest)."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, numpy.generic) and value.dtype.kind in "biufU" and not isinstance(value.item(), numpy.generic):
            return None, value.item()
        if type(value) in (numpy.ndarray, numpy.memmap) and not value.dtype.hasobject:
            kind = numpy_kind(numpy, value.dtype)
            if kind is not None:
                return encode_array(numpy, value, kind)
    if may_pickle:
        codec, body = dumps(value)
        return OBJECT, codec + b"\0", body
    return None, plain(value)


def encode_array(numpy, value, kind):
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    if not (value.flags.c_contiguous or value.flags.f_contiguous):
        value = numpy.ascontiguousarray(value).reshape(value.shape)
    header = _objpool.pack([kind, list(value.shape), order])
    padding = -(2 + len(header)) % ALIGNMENT
    size = (len(header) + padding).to_bytes(2, "big")
    memory = value.ravel(order="K").view(numpy.uint8) if value.nbytes else b""
    return ARRAY, size + header + bytes(padding), memory


def plain(value):
    """Where nothing may be pickled, a subclass of a plain type goes as that type."""
    for kind in (str, bytes, int, float, list, tuple, dict):
        if isinstance(value, kind) and type(value) is not kind:
            return kind(value)
    raise TypeError(f"a value of type {type_name(type(value))} would have to be pickled, and this pool has unpickle = no")


def finish(coroutine):
    """The value of an `async def` method."""
    global loop
    if loop is None:
        import asyncio
        loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():  # what was raised came between its steps
            task.cancel()
            loop.run_until_complete(loop.create_task(settle(task)))
        raise


async def settle(task):
    try:
        await task
    except BaseException:
        pass


def iterate(items):
    """The items of an asynchronous generator."""
    async def following():
        return await anext(items, settle)

    async def close():
        await items.aclose()

    try:
        while (item := finish(following())) is not settle:
            yield item
    finally:
        finish(close())


loop = None

# ---- exceptions ----


def type_name(cls):
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def clean(text):
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def failure(error, may_pickle):
    """(type, message, traceback, data or None) of an exception."""
    kind = type_name(type(error))
    message = message_of(error) or ("out of memory in the worker" if isinstance(error, MemoryError) else kind)
    return kind, message, traceback_of(error), data_of(error) if may_pickle else None


def message_of(error):
    try:
        return clean(str(error))[:TEXT_MOST]
    except BaseException:
        return "(its text can't be made)"


def traceback_of(error):
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    import traceback
    try:
        return clean("".join(traceback.format_exception(type(error), error, frames)))[-TEXT_MOST:]
    except BaseException:
        return f"{type_name(type(error))}: its traceback can't be made\n"


def data_of(error):
    """The exception itself, as a packed OBJECT, if it comes through in one piece."""
    try:
        codec, body = dumps(error)
        data = codec + b"\0" + body
        again = loads(data)
        return _objpool.pack_ext(OBJECT, data) if type(again) is type(error) and len(data) <= DATA_MOST else None
    except BaseException:
        return None


# ---- in the worker ----


def worker_begins():
    import faulthandler
    faulthandler.enable(file=2)
    os.register_at_fork(after_in_child=_objpool.forked)
    random = sys.modules.get("numpy.random")
    if random is not None:  # else all workers would draw the same numbers; Python sees to its own random itself
        random.seed()


def worker_interruptible(number):
    def on_signal(*_):
        if _objpool.cancelled():
            raise Cancelled("the call was cancelled")

    signal.signal(number, on_signal)


def worker_ends():
    """As at the end of a program, but for taking the interpreter down."""
    import atexit

    threading._shutdown()
    atexit._run_exitfuncs()
    flush()


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def child_ends(error):
    """A process that a method has forked comes back from the method: it isn't the worker, and must not answer for it."""
    status = 0
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    elif error is not None:
        import traceback
        traceback.print_exception(error)
        status = 1
    flush()
    os._exit(status & 0xff)


# ---- the module objpool_worker ----


class Cancelled(BaseException):
    """Raised in a method whose caller has cancelled, gone, or run out of time, in pools that have a cancel_grace."""


class CallFailed(Exception):
    """A call that a method made has failed."""

    def __init__(self, code, message, type=None, traceback=None):
        super().__init__(code, message, type, traceback)
        self.code, self.message, self.type, self.traceback = code, message, type, traceback

    def __str__(self):
        return f"{self.code}: {self.type + ': ' if self.type else ''}{self.message}"


class Call:
    """The call that this worker is at, and the place where its instance lives."""

    __slots__ = ("pool", "slot", "slots", "generation", "method", "session", "caller", "deadline", "index")

    def __init__(self):
        info = _objpool.info()
        if info is None:
            raise RuntimeError("no call is under way in this thread")
        for name, value in zip(self.__slots__, info):
            setattr(self, name, value)

    def __repr__(self):
        return f"<call of {self.pool}:{self.slot}.{self.method}>"

    @property
    def cancelled(self):
        """Has the caller gone, cancelled, or run out of time? Ask in long loops, and give up when it says so."""
        return _objpool.cancelled()

    def progress(self, done, total=None, text=None):
        """Tells the caller how far the call is, if he asked. As often as you like."""
        _objpool.progress(done, total or 0, text)

    def invoke(self, target, /, *args, **kwargs):
        """Calls a method of this or another pool ("q.step", "q:2.step", "q:all.step"), and waits for the result."""
        if not kwargs:
            return _objpool.invoke(target, list(args))
        name, _, method = target.partition(".")
        return _objpool.invoke("objpool.call", [name, method, list(args), {"kwargs": kwargs}])


def call():
    """The call at hand. In a constructor or hook: of that; its `method` is None then."""
    return Call()


def worker_module():
    module = types.ModuleType("objpool_worker", "What a Python class can know of its worker.")
    for thing in (call, Call, Cancelled, CallFailed):
        if isinstance(thing, type):
            thing.__module__ = module.__name__
        setattr(module, thing.__name__, thing)
    sys.modules[module.__name__] = module


_objpool.CallFailed = CallFailed
