# SPDX-License-Identifier: Apache-2.0
"""What the python plugin makes of annotations: signatures in the language of docs/PLUGINS.md. In the Python that runs this."""
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import importlib
import itertools
import pathlib
import sys
import types
import typing
import uuid
from typing import Any, Dict, Generator, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, TypeVar, Union

import pytest

HOST = pathlib.Path(__file__).resolve().parents[2] / "plugins/python/host"
T, N = TypeVar("T"), TypeVar("N", bound=int)
Literal = typing.Literal
UserId = typing.NewType("UserId", int)


@pytest.fixture(scope="module")
def host():
    """The files of the plugin, as modules of a package."""
    package = types.ModuleType("objpool_host")
    package.__path__ = [str(HOST)]
    sys.modules["objpool_host"] = package
    yield {name: importlib.import_module("objpool_host." + name) for name in ("annotations", "literals", "signatures")}
    for name in [name for name in sys.modules if name.startswith("objpool_host")]:
        del sys.modules[name]


@pytest.fixture
def annotations(host):
    return host["annotations"].Annotations()


class Colour(enum.Enum):
    RED = 1


class Mixed(enum.Enum):
    ONE, TWO, NONE = 1, "two", None


class Odd(enum.Enum):
    OBJECT = object()


UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=UTC)
ID = uuid.UUID(int=5)


class Where(typing.TypedDict):
    x: float
    tags: List[str]


class Maybe(Where, total=False):
    y: "Optional[Where]"


class Pair(NamedTuple):
    count: int
    name: str = ""


@dataclasses.dataclass
class Node:
    value: int
    label: str = "x"
    children: "List[Node]" = dataclasses.field(default_factory=list)
    depth: int = dataclasses.field(init=False)


TYPES = [
    (None, "None"), (int, "int"), (bool, "bool"), (float, "float"), (str, "str"), (bytes, "bytes"), (bytearray, "bytes"), (object, "any"), (Any, "any"),
    (list, "list[any]"), (dict, "dict[any, any]"), (tuple, "tuple[any, ...]"), (List, "list[any]"), (List[int], "list[int]"), (list[str], "list[str]"),
    (Sequence[float], "list[float]"), (Iterable[int], "list[int]"), (Dict[str, List[int]], "dict[str, list[int]]"), (Mapping[str, Any], "dict[str, any]"),
    (Tuple[int, str], "tuple[int, str]"), (Tuple[int, ...], "tuple[int, ...]"), (Tuple[()], "tuple[any, ...]"), (tuple[int], "tuple[int]"),
    (Optional[int], "int | None"), (Union[int, str, None], "int | str | None"), (Optional[Union[int, Any]], "any"),
    (Union[List[int], Dict[str, Optional[int]]], "list[int] | dict[str, int | None]"),
    (Iterator[int], "Iterator[int]"), (Generator[str, None, None], "Iterator[str]"), (collections.abc.Iterator, "Iterator[any]"),
    (typing.AsyncIterator[int], "Iterator[int]"), (Literal["a", "b"], "str"), (Literal["a", 1, None], "str | int | None"),
    (T, "any"), (N, "int"), (List[T], "list[any]"), (UserId, "int"), ("int", "int"), ("List['int']", "list[int]"), ("int | None", "int | None"),
    ("list[int | str] | None", "list[int | str] | None"), ("Where", "Where"), (Optional["Where"], "Where | None"), (Pair, "tuple[int, str]"),
    (typing.ClassVar[int], "int"), (typing.Awaitable[int], "int"),
    (set, "list[any]"), (typing.Set[int], "list[int]"), (frozenset, "list[any]"), (typing.AbstractSet[str], "list[str]"), (collections.deque, "list[any]"),
    (Colour, "int"), (Mixed, "int | str | None"), (datetime.datetime, "timestamp"), (datetime.date, "str"), (datetime.time, "str"),
    (datetime.timedelta, "float"), (decimal.Decimal, "str"), (uuid.UUID, "str"), (pathlib.Path, "str"), (pathlib.PurePosixPath, "str"),
    (Dict[uuid.UUID, Optional[datetime.date]], "dict[str, str | None]"), (Union[uuid.UUID, str], "str"),
]


@pytest.mark.parametrize("annotation, text", TYPES, ids=itertools.count())
def test_types(annotations, annotation, text):
    assert annotations.text(annotation, globals(), "f(x)") == text and annotations.odd == []


@pytest.mark.skipif(sys.version_info < (3, 10), reason="X | Y is of 3.10")
def test_unions_with_a_bar(annotations):
    assert annotations.text(eval("int | None | list[str]")) == "int | None | list[str]"


MANY = Union[tuple(type(f"C{i}", (dict,), {"__total__": True, "__annotations__": {}}) for i in range(65))]


@pytest.mark.parametrize("annotation, shown", [
    (Odd, "test_annotations.Odd"), ("Nowhere", "Nowhere"), ("1 +", "1 +"), (5, "5"), (typing.Callable[[int], str], None), (complex, "complex"), (MANY, None),
], ids=itertools.count())
def test_odd_ones_are_any(annotations, annotation, shown):
    assert annotations.text(annotation, globals(), "f(x)") == "any"
    (odd,) = annotations.odd
    assert odd.startswith("f(x): ") and (shown is None or odd == "f(x): " + shown)


def test_records(annotations):
    assert annotations.text(List[Node]) == "list[Node]" and annotations.text(Maybe) == "Maybe" and annotations.text(Node) == "Node"
    assert annotations.fields == {
        "Node": "Node(value: int, label: str = 'x', children: list[Node] = ..., depth: int = ...)",
        "Where": "Where(x: float, tags: list[str])",
        "Maybe": "Maybe(x: float, tags: list[str], y: Where | None = ...)"}
    assert annotations.odd == []


def test_records_of_the_same_name(annotations):
    one, two = (dataclasses.make_dataclass("Same", [(name, int)]) for name in "ab")
    odd = typing.TypedDict("Odd", {"not a name": int})
    assert [annotations.text(cls) for cls in (one, two, one)] == ["Same", "Same_2", "Same"]
    assert annotations.text(odd) == "dict[str, any]" and annotations.text(dataclasses.make_dataclass("any", [("x", int)])) == "Record"


def test_numpy(annotations):
    numpy = pytest.importorskip("numpy")
    typed = pytest.importorskip("numpy.typing")
    assert annotations.text(numpy.ndarray) == "ndarray" and annotations.text(typed.NDArray[numpy.uint8]) == "ndarray[uint8]"
    assert annotations.text(typed.NDArray[Any]) == "ndarray" and annotations.text(typed.NDArray[numpy.floating]) == "ndarray"
    assert annotations.text(numpy.ndarray[Tuple[int, int], numpy.dtype[numpy.float64]]) == "ndarray[float64, 2]"
    assert [annotations.text(scalar) for scalar in (numpy.int8, numpy.float64, numpy.bool_, numpy.str_)] == ["int", "float", "bool", "str"]


def plain(a, b=1, *rest, **more):
    pass


def annotated(a: int, b: "str" = "x", *rest: float, c: Optional[bool] = None, d: object = Colour.RED, **more: Any) -> Dict[str, int]:
    pass


def yields(n: int) -> Iterable[int]:
    yield n


def yields_anything(n):
    yield n


async def later(n: int) -> str:
    pass


@pytest.mark.parametrize("function, text", [
    (plain, "(a, b=1, *rest, **more)"),
    (annotated, "(a: int, b: str = 'x', *rest: float, c: bool | None = None, d: any = ..., **more: any) -> dict[str, int]"),
    (yields, "(n: int) -> Iterator[int]"), (yields_anything, "(n) -> Iterator[any]"), (later, "(n: int) -> str"),
    (eval("lambda a, /, b, *, c=(1, (2.5,), ()): None"), "(a, /, b, *, c=(1, (2.5,), ()))"), (5, "(...)"), (Pair, "(count: int, name: str = '')"),
], ids=itertools.count())
def test_signatures(host, annotations, function, text):
    assert host["signatures"].signature_of(function, annotations, where="f")[0] == text


@dataclasses.dataclass(frozen=True)
class Event:
    at: datetime.datetime
    tags: typing.FrozenSet[str] = frozenset()
    where: Optional[pathlib.Path] = None
    cause: "Optional[Event]" = None
    number: int = dataclasses.field(init=False, default=7)


class Log(typing.TypedDict):
    events: List[Event]
    title: str


class Span(NamedTuple):
    begin: datetime.date
    end: Optional[datetime.date] = None


EVENT = Event(NOON, frozenset("ab"), pathlib.Path("/x"), Event(NOON))
SENT = {"at": NOON, "tags": ["a", "b"], "where": "/x", "cause": {"at": "2026-01-02T12:00:00Z"}, "number": 7}
DAY = datetime.date(2026, 1, 2)


@pytest.mark.parametrize("annotation, value, read", [
    (Event, SENT, EVENT), (Event, EVENT, EVENT), (Event, 5, 5), (Optional[Event], None, None), (Optional[Event], {"at": NOON}, Event(NOON)),
    (List[Event], [{"at": NOON}], [Event(NOON)]), (Tuple[Event, ...], [{"at": NOON}], (Event(NOON),)), (Log, {"events": [SENT]}, {"events": [EVENT]}),
    (Dict[str, Event], {"a": {"at": NOON}}, {"a": Event(NOON)}), (Iterator[uuid.UUID], [str(ID)], [ID]), (Iterable[Colour], [1], [Colour.RED]),
    (Span, ["2026-01-02"], Span(DAY)), (Span, ["2026-01-02", "2026-01-02"], Span(DAY, DAY)), (Tuple[int, datetime.date], [1, "2026-01-02"], (1, DAY)),
    (tuple, [1, 2], (1, 2)), (typing.Set[int], [1, 1], {1}), (frozenset, [1], frozenset([1])), (typing.AbstractSet[uuid.UUID], [str(ID)], frozenset([ID])),
    (Dict[uuid.UUID, datetime.date], {str(ID): "2026-01-02"}, {ID: DAY}), (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
    (decimal.Decimal, 0.1, decimal.Decimal("0.1")), (datetime.timedelta, 1.5, datetime.timedelta(seconds=1.5)), (datetime.time, "12:30", datetime.time(12, 30)),
    (pathlib.Path, "a/b", pathlib.Path("a/b")), (Colour, 1, Colour.RED), (Mixed, None, Mixed.NONE), (Mixed, Mixed.TWO, Mixed.TWO),
    (Union[uuid.UUID, str], "no id", "no id"), (Union[uuid.UUID, str], str(ID), ID), (Union[Event, Span, None], ["2026-01-02"], Span(DAY)),
    (Union[Event, Dict[str, int]], {"a": 1}, {"a": 1}), (Any, {"a": 1}, {"a": 1}), (Node, {"value": 1, "children": [{"value": 2}]}, None),
], ids=itertools.count())
def test_values_are_read(annotations, annotation, value, read):
    found = annotations.type(annotation, globals()).read
    made = value if found is None else found(value)
    if annotation is Node:
        assert made.value == 1 and made.children[0].value == 2
    else:
        assert made == read and type(made) is type(read)


@pytest.mark.parametrize("annotation", [None, int, str, float, bytes, Any, List[int], Dict[str, float], Where, Optional[int], Iterator[int], Union[int, str]])
def test_plain_values_stay_as_they_come(annotations, annotation):
    assert annotations.type(annotation).read is None


@pytest.mark.parametrize("annotation, value, error", [
    (Event, {"tags": []}, "missing 1 required positional argument: 'at'"), (Event, {"at": NOON, "x": 1}, "unexpected keyword argument 'x'"),
    (Optional[Event], {}, "missing 1"), (List[uuid.UUID], ["x"], "badly formed"), (Colour, 5, "5 is not a valid Colour"), (datetime.date, "x", "Invalid isoformat"),
    (typing.Set[int], [[]], "unhashable"),
])
def test_values_that_cannot_be_read(host, annotations, annotation, value, error):
    def method(self, first, x: annotation, *rest: annotation, key: annotation = None, **more: annotation):
        pass

    _, reader = host["signatures"].signature_of(method, annotations, 1, "method")
    for values, names, name in ([0, value], (), "x"), ([0, None, value], (), "x"), ([0, value], ("key",), "key"), ([0, value], ("other",), "other"):
        if len(values) == 3:
            values, name = [0, 5.5j, value], "rest"
            if annotation is Colour:
                continue
        with pytest.raises(ValueError, match=f"argument {name}: .*{error}"):
            reader(values, names)


@pytest.mark.parametrize("value, text", [
    (None, "None"), (-5, "-5"), (1 << 64, "..."), (1.5, "1.5"), (float("inf"), "..."), ("a\n'", '"a\\n\'"'), ("\udc80", "..."), (b"\xff", "b'\\xff'"), ("x" * 300, "..."),
    ([1, {"a": (2,)}], "[1, {'a': (2,)}]"), (object(), "..."), ([object()], "..."), (True, "True"), ([[[[[[1]]]]]], "..."), (list(range(50)), "..."),
], ids=itertools.count())
def test_defaults(host, value, text):
    assert host["literals"].literal(value) == text
