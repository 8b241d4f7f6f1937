# SPDX-License-Identifier: Apache-2.0
"""Arguments as their annotations say: where msgpack has an array, a map or a text for a value of Python, that value is made of it.

A value that is of another kind than what is told for an annotation is left as it came: nothing is checked.
"""
import sys


class Type:
    """What an annotation is told as, and a function that reads a value which comes for it. read None: it stays as it comes."""

    __slots__ = ("text", "read")

    def __init__(self, text, read=None):
        self.text, self.read = text, read


class Readers:
    """Of the class of this pool: what reads the arguments of its methods (name -> Reader), and of its constructor."""

    def __init__(self):
        self.methods, self.constructor = {}, None


readers = Readers()


class Reader:
    """Reads the arguments of a method."""

    def __init__(self, parameters):
        """`parameters`: (inspect.Parameter, Type) of those that callers give."""
        kinds = [(parameter.kind, parameter.name, kind.read) for parameter, kind in parameters]
        self.places = [(name, read) for kind, name, read in kinds if kind in (0, 1)]
        self.keywords = {name: read for kind, name, read in kinds if kind in (1, 3)}
        self.rest = next(((name, read) for kind, name, read in kinds if kind == 2), ("", None))
        self.more = next((read for kind, _, read in kinds if kind == 4), None)

    def __bool__(self):
        return any(read for _, read in [*self.places, self.rest]) or any(self.keywords.values()) or self.more is not None

    def __call__(self, values, names):
        """Changes the list of values. The last of them are those of the keywords `names`."""
        placed = len(values) - len(names)
        for i in range(placed):
            name, read = self.places[i] if i < len(self.places) else self.rest
            if read is not None:
                values[i] = read_argument(name, read, values[i])
        for i, name in enumerate(names, placed):
            read = self.keywords.get(name, self.more)
            if read is not None:
                values[i] = read_argument(name, read, values[i])


def read_argument(name, read, value):
    try:
        return read(value)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"argument {name}: {error}") from None


# ---- of parts ----


def sequence(make, item):
    """An array becomes what `make` makes of its items. item: the Type of each."""
    def read(value):
        if type(value) is not list:
            return value
        return make(value if item.read is None else map(item.read, value))
    return None if make is list and item.read is None else read


def fixed(make, items):
    """An array becomes what `make` makes of its items: a tuple, a NamedTuple. items: the Type of each."""
    def read(value):
        if type(value) is not list:
            return value
        parts = [item if kind.read is None else kind.read(item) for kind, item in zip(items, value)]
        return make(parts + value[len(parts):])
    return read


def mapping(key, value):
    """A map with keys and values of these Types."""
    def read(given):
        if type(given) is not dict:
            return given
        return {name if key.read is None else key.read(name): one if value.read is None else value.read(one) for name, one in given.items()}
    return None if key.read is None and value.read is None else read


class Fields:
    """A map becomes what `make` makes of its values: an instance of a dataclass, a TypedDict."""

    def __init__(self, make):
        self.make, self.reads, self.dropped = make, {}, frozenset()

    def __call__(self, value):
        if type(value) is not dict:
            return value
        reads = self.reads
        given = {name: reads[name](one) if name in reads else one for name, one in value.items() if name not in self.dropped}
        return self.make(**given) if self.make is not dict else given


KINDS = {"None": (type(None),), "bool": (bool,), "int": (int,), "float": (float, int), "str": (str,), "bytes": (bytes,), "list": (list,), "tuple": (list,),
         "dict": (dict,), "Iterator": (list,)}


def choice(types):
    """A value becomes what the first of these Types makes of it that can, unless it already is of one that reads nothing."""
    if not any(kind.read for kind in types):
        return None
    as_they_come = tuple(cls for kind in types if kind.read is None for cls in KINDS.get(kind.text.partition("[")[0], (dict,)))

    def read(value):
        failure = None
        for kind in types:
            try:
                made = value if kind.read is None else kind.read(value)
            except Exception as error:
                failure = failure or error
                continue
            if made is not value:
                return made
        if failure is not None and not isinstance(value, as_they_come):
            raise failure
        return value
    return read


# ---- of the standard library ----


def from_text(make):
    return lambda value: make(value) if type(value) is str else value


def from_number(make):
    """A float is taken as it is written."""
    return lambda value: make(repr(value)) if type(value) in (int, float) else make(value) if type(value) is str else value


def instant(cls):
    """A timestamp has become a datetime already. A text is for those who can send none."""
    return from_text(lambda text: cls.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text))


def member(cls):
    """Of an enumeration, by its value."""
    return lambda value: value if isinstance(value, cls) else cls(value)


STANDARD = {
    "datetime.datetime": ("timestamp", instant),
    "datetime.date": ("str", lambda cls: from_text(cls.fromisoformat)),
    "datetime.time": ("str", lambda cls: from_text(cls.fromisoformat)),
    "datetime.timedelta": ("float", lambda cls: lambda value: cls(seconds=value) if type(value) in (int, float) else value),
    "decimal.Decimal": ("str", from_number),
    "uuid.UUID": ("str", from_text),
}


def standard_type(cls):
    """The Type of a class of the standard library; None: it is none of those that are known."""
    text, reader = STANDARD.get(f"{cls.__module__}.{cls.__qualname__}", (None, None))
    if text is not None:
        return Type(text, reader(cls))
    path = getattr(sys.modules.get("pathlib"), "PurePath", ())
    return Type("str", from_text(cls)) if issubclass(cls, path) else None
