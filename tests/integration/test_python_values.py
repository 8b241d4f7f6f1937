# SPDX-License-Identifier: Apache-2.0
"""Values that msgpack has no type for, in pools of Python: what annotations make of arguments, and what results go as."""
import datetime
import uuid

import msgpack
import pytest

from harness import ROOT

UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=UTC)
FOLDER = ROOT / "tests/integration/classes"


@pytest.fixture
def client(start):
    daemon = start({"p": {"plugin": "python", "class": "records:Records", "python_path": f'["{FOLDER}"]', "workers": 1, "args": '[{"x": 1}]',
                          "kwargs": '{"home": "/home"}'}})
    with daemon.client() as client:
        yield client


def test_arguments_are_as_their_annotations_say(client):
    point = {"x": 1.5, "y": 0.5, "seen": msgpack.Timestamp.from_datetime(NOON), "colours": ["red"]}
    assert client.value("p.start") == [{"x": 1, "y": 0.5, "seen": None, "colours": []}, "/home"]
    assert client.value("p.move", {"x": 1.5, "seen": "2026-01-02T12:00:00Z", "colours": ["red"]}) == point
    assert client.value("p.move", point, 1) == {**point, "x": 2.5}
    assert client.value("objpool.call", "p", "move", [], {"kwargs": {"point": point, "by": 2}}) == {**point, "x": 3.5}
    assert client.value("p.repr", {"x": 1}, [{"x": 2}, "2026-01-02"], [1], "1.10", None) == (
        "((Point(x=1, y=0.5, seen=None, colours=frozenset()), Pair(first=Point(x=2, y=0.5, seen=None, colours=frozenset()), "
        "day=datetime.date(2026, 1, 2)), {1}, Decimal('1.10'), None), {})")
    assert client.value("objpool.call", "p", "repr", [], {"kwargs": {"id": str(uuid.UUID(int=5))}}) == (
        "((), {'id': UUID('00000000-0000-0000-0000-000000000005')})")
    assert [found["x"] for found in client.value("p.points", [[{"x": 1}, "2026-01-02"], [{"x": 2}, "2026-01-02"]])] == [1, 2]
    assert client.value("objpool.call", "p:map", "move", [[{"x": 1}, {"x": 2}], [3, 4]])[1]["x"] == 6


def test_what_cannot_be_read_is_a_bad_argument(client):
    for point, error in (({"y": 1}, "Point.__init__() missing 1 required positional argument: 'x'"),
                         ({"x": 1, "z": 1}, "Point.__init__() got an unexpected keyword argument 'z'"), ({"x": -1}, "x is negative"),
                         ({"x": 1, "colours": ["blue"]}, "'blue' is not a valid Colour"), ({"x": 1, "seen": "noon"}, "Invalid isoformat string: 'noon'")):
        assert client.error("p.move", point) == f"BAD_ARGUMENT: an argument can't be read: ValueError: argument point: {error}"
        answers = client.value("objpool.call", "p:map", "move", [[{"x": 1}, point]], {"errors": "collect"})
        assert answers[0] == [None, {"x": 1, "y": 0.5, "seen": None, "colours": []}] and error in answers[1][0]
    assert "has no attribute" in client.error("p.move", 5)


def test_results_go_as_values_that_clients_know(client):
    assert client.value("p.kinds") == [[1], "red", "/x", "00000000-0000-0000-0000-000000000005", "1.10", "2026-01-02", "12:30:00", 1.5,
                                       [{"x": 1, "y": 0.5, "seen": None, "colours": []}, "2026-01-02"], {"red": {"2026-01-02": 1}}]
    assert "without a time zone" in client.error("p.naive")
    assert "a dict whose keys are no plain values" in client.error("p.doubled")


def test_timestamps(client):
    for seconds, nanoseconds in ((0, 0), (2**32 - 1, 0), (2**32, 0), (5, 1000), (2**34 - 1, 999999000), (2**34, 1000), (-1, 999999000), (-62135596800, 0),
                                 (253402300799, 999999000)):
        stamp = msgpack.Timestamp(seconds, nanoseconds)
        assert client.value("p.type", stamp) == "datetime" and client.value("p.echo", [stamp]) == [stamp]


def test_timestamps_of_methods(client):
    stamp = msgpack.Timestamp.from_datetime(NOON)
    assert client.value("p.later", stamp) == msgpack.Timestamp(stamp.seconds, 1000)
    assert client.value("p.echo", msgpack.Timestamp(5, 1234)) == msgpack.Timestamp(5, 1000)


def test_what_is_no_timestamp(client):
    for data in (b"", bytes(3), bytes(13), b"\xff" * 8, b"\xff" * 4 + bytes(8), bytes(4) + b"\x7f" * 8, bytes(4) + b"\x80" + bytes(7)):
        packer = msgpack.Packer(autoreset=False)
        packer.pack_array_header(4), packer.pack(0), packer.pack(1000), packer.pack("p.echo"), packer.pack_array_header(1), packer.pack_ext_type(-1, data)
        client.send_raw(packer.bytes())
        error, _ = client.wait(1000)
        assert error.startswith("BAD_ARGUMENT: an argument can't be read: ValueError: a timestamp ")


def test_a_record_of_200_fields(client):
    types = client.value("objpool.describe", "p")["types"]
    assert [field["name"] for field in types["Wide"]] == [f"field_{i}" for i in range(200)] and len(types) == 2
    assert client.value("p.wide", {"field_7": 1}) == {f"field_{i}": i if i != 7 else 1 for i in range(200)}
