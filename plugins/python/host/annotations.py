# SPDX-License-Identifier: Apache-2.0
"""Annotations as types of signatures (docs/PLUGINS.md), and classes with named fields as records.

What an annotation says of Python's types is told as what goes over the wire: docs/VALUES.md.
"""
import collections.abc
import sys

from .literals import literal
from .reading import Fields, Type, choice, fixed, mapping, member, sequence, standard_type
from .text import clean, type_name

PLAIN = {None: "None", type(None): "None", bool: "bool", int: "int", float: "float", str: "str", bytes: "bytes", bytearray: "bytes",
         memoryview: "bytes", object: "any", list: "list[any]", dict: "dict[any, any]"}
RESERVED = {"None", "bool", "int", "float", "str", "bytes", "any", "timestamp", "ndarray", "list", "dict", "tuple", "Iterator"}
LISTS = {list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection, collections.abc.Iterable,
         collections.deque}
SETS = {set: set, frozenset: frozenset, collections.abc.Set: frozenset, collections.abc.MutableSet: set}
DICTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}
ITERATORS = {collections.abc.Iterator, collections.abc.Generator, collections.abc.AsyncIterator, collections.abc.AsyncGenerator,
             collections.abc.AsyncIterable}
WRAPPERS = {"ClassVar", "Final", "Required", "NotRequired", "ReadOnly"}     # of typing, and of typing_extensions
VALUES = frozenset({type(None), bool, int, float, str, bytes})     # of which an enumeration may be
DEEPEST, RECORDS_MOST, UNION_MOST = 6, 200, 64
ANY = Type("any")


class Annotations:
    """The types of one class: makes text of its annotations, and collects the records that the text names."""

    def __init__(self):
        self.records = {}     # class -> its Type
        self.fields = {}      # name -> text of its fields
        self.odd = []         # annotations that are told as any

    def text(self, annotation, names=None, where=""):
        return self.type(annotation, names, where).text

    def type(self, annotation, names=None, where="", depth=0):
        """The Type of an annotation. `names`: where a text's names are looked up; `where`: for the warning."""
        try:
            return self.known(annotation, names or {}, where, depth) or self.oddity(annotation, where)
        except Exception:  # annotations may be any objects
            return self.oddity(annotation, where)

    def oddity(self, annotation, where):
        if isinstance(annotation, type):
            shown = type_name(annotation)
        else:
            shown = annotation if isinstance(annotation, str) else repr(annotation)
        self.odd.append(f"{where}: {clean(shown)[:80]}")
        return ANY

    def known(self, annotation, names, where, depth):
        """Its Type, or None."""
        def inner(part):
            return self.type(part, names, where, depth + 1)

        if depth > DEEPEST:
            return ANY
        if isinstance(annotation, str):
            return inner(evaluate(annotation, names))
        if is_plain(annotation):
            return Type(PLAIN[annotation])
        origin, args = getattr(annotation, "__origin__", None), getattr(annotation, "__args__", ())
        if hasattr(annotation, "__metadata__"):
            return inner(origin)
        if is_union(annotation, origin):
            return union(map(inner, args))
        if hasattr(annotation, "__forward_arg__"):
            return inner(annotation.__forward_arg__)
        if hasattr(annotation, "__supertype__"):
            return inner(annotation.__supertype__)
        if hasattr(annotation, "__value__"):
            return inner(annotation.__value__[args] if args else annotation.__value__)      # type X[T] = …
        if origin is not None:
            return special_form(origin, args, inner) or self.generic(origin, args, inner)
        return special(annotation, inner) or self.named(annotation, where, depth)

    def generic(self, origin, args, inner):
        if is_numpy(origin, "ndarray"):
            return Type(array_type(args))
        if origin in LISTS or origin in ITERATORS or origin in SETS:
            item = inner(args[0]) if args else ANY
            text = f"Iterator[{item.text}]" if origin in ITERATORS else f"list[{item.text}]"
            return Type(text, sequence(SETS.get(origin, list), item))
        if origin in DICTS:
            key, value = map(inner, args) if len(args) == 2 else (ANY, ANY)
            return Type(f"dict[{key.text}, {value.text}]", mapping(key, value))
        if origin is tuple:
            return tuple_type(args, inner)
        if origin in (collections.abc.Coroutine, collections.abc.Awaitable):
            return inner(args[-1]) if args else ANY
        return self.record(origin) if isinstance(origin, type) and is_record(origin) else None

    def named(self, cls, where, depth):
        """A class."""
        if not isinstance(cls, type):
            return None
        if cls in LISTS or cls in DICTS or cls in ITERATORS or cls in SETS or cls is tuple:
            return self.generic(cls, (), None)
        if is_numpy(cls, "ndarray"):
            return Type("ndarray")
        if is_numpy(cls, "generic"):
            return scalar_type(cls)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            hints = hints_of(cls)
            return tuple_type([hints.get(name, object) for name in cls._fields],
                              lambda part: self.type(part, names_of(cls), where, depth + 1), lambda items: cls(*items))
        if issubclass(cls, getattr(sys.modules.get("enum"), "Enum", ())):
            return enumeration(cls)
        if is_record(cls):
            return self.record(cls)
        return standard_type(cls)

    # -- records --

    def record(self, cls):
        if cls in self.records:
            return self.records[cls]
        fields = list(fields_of(cls))
        if len(self.records) == RECORDS_MOST or not all(name.isidentifier() for name, _, _ in fields):
            return Type("dict[str, any]")
        name, read = self.free_name(cls.__name__), fields_reader(cls)
        told = self.records[cls] = Type(name, read)     # before its fields, which may be of this type
        names = names_of(cls)
        types = {field: self.type(hint, names, f"{name}.{field}") for field, hint, _ in fields}
        parts = [f"{field}: {types[field].text}" + (f" = {default}" if default else "") for field, _, default in fields]
        self.fields[name] = f"{name}({', '.join(parts)})"
        read.reads = {field: kind.read for field, kind in types.items() if kind.read is not None}
        if read.make is dict and not read.reads:
            told.read = None
        return told

    def free_name(self, name):
        name = name if name.isidentifier() and name not in RESERVED else "Record"
        taken, n = {told.text for told in self.records.values()}, 2
        free = name
        while free in taken:
            free, n = f"{name}_{n}", n + 1
        return free


# ---- what annotations are ----


def is_plain(annotation):
    try:
        return annotation in PLAIN
    except TypeError:
        return False  # it can't be hashed


def is_variable(annotation):
    return isinstance(annotation, type_of_typing("TypeVar"))


def type_of_typing(name):
    """A class of typing; () if nobody has imported it."""
    return getattr(sys.modules.get("typing"), name, ())


def is_typing(annotation, *names):
    """Is it one of these of typing, or of typing_extensions?"""
    modules = [sys.modules.get(module) for module in ("typing", "typing_extensions")]
    return any(annotation is getattr(module, name, module) for module in modules if module for name in names)


def is_union(annotation, origin):
    return is_typing(origin, "Union") or type(annotation).__name__ == "UnionType"


def is_numpy(cls, name):
    base = getattr(sys.modules.get("numpy"), name, None)
    return base is not None and isinstance(cls, type) and issubclass(cls, base)


def special(annotation, inner):
    """Of typing, without arguments."""
    if is_typing(annotation, "Any", "AnyStr"):
        return ANY
    if is_typing(annotation, "NoReturn", "Never"):
        return Type("None")
    if is_typing(annotation, "LiteralString"):
        return Type("str")
    if is_variable(annotation):
        parts = annotation.__constraints__ or ([annotation.__bound__] if annotation.__bound__ else [])
        return union(map(inner, parts)) if parts else ANY
    return None


def special_form(origin, args, inner):
    """Of typing, with arguments."""
    if is_typing(origin, "Literal"):
        return union(inner(type(value)) for value in args)
    if is_typing(origin, *WRAPPERS):
        return inner(args[0])
    return None


def union(types):
    """None: there are more types than a union can have."""
    types = list(types)
    parts = list(dict.fromkeys(part for union in types for part in split_union(union.text)))
    if "any" in parts:
        return ANY
    return Type(" | ".join(parts), choice(types)) if len(parts) <= UNION_MOST else None


def split_union(text):
    """The types of a union, but not those within brackets."""
    parts, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "[") - (c == "]")
        if c == "|" and depth == 0:
            parts.append(text[begin:i].strip())
            begin = i + 1
    return [*parts, text[begin:].strip()]


def tuple_type(args, inner, make=tuple):
    """`make`: makes it of its items."""
    args = [arg for arg in args if arg != ()]      # tuple[()] of Python 3.9 and 3.10
    if not args or (len(args) == 2 and args[1] is Ellipsis):
        item = inner(args[0]) if args else ANY
        return Type(f"tuple[{item.text}, ...]", sequence(make, item))
    items = list(map(inner, args))
    return Type(f"tuple[{', '.join(item.text for item in items)}]", fixed(make, items)) if len(items) <= UNION_MOST else None


def enumeration(cls):
    """Its members go as their values. None: some value is of no plain type."""
    kinds = list(dict.fromkeys(type(item.value) for item in cls))
    if not kinds or not VALUES.issuperset(kinds):
        return None
    return Type(" | ".join(PLAIN[kind] for kind in kinds), member(cls))


def array_type(args):
    """Of numpy.ndarray[shape, numpy.dtype[scalar]]."""
    dtype = dtype_name(args[1]) if len(args) > 1 else None
    shape = getattr(args[0], "__args__", ()) if args and getattr(args[0], "__origin__", None) is tuple else ()
    if shape and Ellipsis not in shape:
        return f"ndarray[{dtype or 'any'}, {len(shape)}]"
    return f"ndarray[{dtype}]" if dtype else "ndarray"


def dtype_name(annotation):
    """None: of no type, or of one of the abstract ones, such as numpy.floating."""
    numpy = sys.modules["numpy"]
    scalars = getattr(annotation, "__args__", ())
    known = len(scalars) == 1 and scalars[0] in set(numpy.sctypeDict.values())
    return numpy.dtype(scalars[0]).name if known else None


def scalar_type(cls):
    """Scalars of numpy go as the values of Python that they equal."""
    for name, text in ("bool_", "bool"), ("integer", "int"), ("floating", "float"), ("str_", "str"):
        if is_numpy(cls, name):
            return Type(text)
    return None


# ---- names, and classes with fields ----


def names_of(thing):
    """What the annotations of a class or a function may name: its module's names, and for a class its own."""
    module = sys.modules.get(getattr(thing, "__module__", None))
    names = dict(getattr(thing, "__globals__", getattr(module, "__dict__", {})))
    if isinstance(thing, type):
        names.update({thing.__name__: thing})
    return names


def evaluate(text, names):
    try:
        return eval(text, dict(names))
    except TypeError:
        return eval(without_bars(text), {**names, "_Union": type_of_typing("Union") or __import__("typing").Union})


def without_bars(text):
    """X | Y as Union[X, Y], which Python 3.9 can evaluate."""
    import ast

    class Unions(ast.NodeTransformer):
        def visit_BinOp(self, node):
            self.generic_visit(node)
            if not isinstance(node.op, ast.BitOr):
                return node
            parts = ast.Tuple([node.left, node.right], ast.Load())
            return ast.Subscript(ast.Name("_Union", ast.Load()), parts, ast.Load())

    return compile(ast.fix_missing_locations(Unions().visit(ast.parse(text.strip(), mode="eval"))), "<annotation>", "eval")


def is_record(cls):
    return hasattr(cls, "__dataclass_fields__") or (issubclass(cls, dict) and hasattr(cls, "__total__"))


def fields_reader(cls):
    """Makes an instance of a dataclass: without the fields that its constructor does not take."""
    fields = getattr(cls, "__dataclass_fields__", None)
    read = Fields(dict if fields is None else cls)
    read.dropped = frozenset(name for name, field in (fields or {}).items() if not field.init)
    return read


def hints_of(cls):
    """The annotations of a class and its bases. Texts of bases are evaluated: their names are of another module."""
    hints = {}
    for base in reversed(cls.__mro__):
        for name, hint in own_hints(base).items():
            hints[name] = hint if base is cls or not isinstance(hint, str) else evaluated(hint, base)
    return hints


def own_hints(cls):
    return vars(cls).get("__annotations__") or {}


def evaluated(text, cls):
    try:
        return evaluate(text, names_of(cls))
    except Exception:
        return text


def fields_of(cls):
    """(name, annotation, text of the default; None: there is none) for each field."""
    hints = hints_of(cls)
    if not hasattr(cls, "__dataclass_fields__"):
        for name, hint in hints.items():
            yield name, hint, None if is_required(cls, name, hint) else "..."
        return
    missing = sys.modules["dataclasses"].MISSING
    for field in sys.modules["dataclasses"].fields(cls):
        default = None if field.default is missing else literal(field.default)
        if default is None and (field.default_factory is not missing or not field.init):
            default = "..."
        yield field.name, hints.get(field.name, field.type), default


def is_required(cls, name, hint):
    """Of a TypedDict. What is text has not been looked at by typing."""
    form = str(getattr(hint, "__forward_arg__", hint))
    if "NotRequired[" in form:
        return False
    return name in getattr(cls, "__required_keys__", hint) or "Required[" in form
