# SPDX-License-Identifier: Apache-2.0
"""Types of classes: objpool.describe gives them taken apart; what a plugin says wrongly is refused, with the place."""
import re
import subprocess

import pytest

from harness import BUILD, MSGPACK, ROOT, wait_for

SANITIZE = ["-fsanitize=" + BUILD.name.removeprefix("build-").replace("-", ",")] if "-" in BUILD.name else []
TODAY, FROZEN = ROOT / "plugins/include", ROOT / "tests/abi/1"

SOURCE = r"""
#include <objpool/plugin.h>
static int create(struct objpool_call *c, const struct objpool_args *a, void **self) { (void)c, (void)a; *self = NULL; return 0; }
static int ping(void *s, struct objpool_call *c, const struct objpool_args *a, msgpack_packer *r)
{ (void)s, (void)c, (void)a, (void)r; return 0; }
static int list(struct objpool_call *c, msgpack_packer *r)
{ (void)c; static const char text[] = LISTED; return r->callback(r->data, text, sizeof text - 1); }
static int tell(struct objpool_call *c, const struct objpool_args *a)
{ struct objpool_description d = {.size = sizeof d, .hooks = 0, .doc = "told", TOLD}; (void)a; objpool_describe(c, &d); return 0; }
#define KEYS OBJPOOL_METHOD_KWARGS
static const struct objpool_method methods[] = {METHODS {.name = NULL}};
static const struct objpool_class class = {OBJPOOL_CLASS_HEAD, .name = "C", .create = create, CLASS};
static const struct objpool_class *const classes[] = {&class, NULL};
const struct objpool_plugin objpool_plugin = {OBJPOOL_PLUGIN_HEAD, .name = "typed", .version = "1", .classes = classes};
"""
TABLE = ".methods = methods"


def plugin(place, methods="", keys=TABLE, include=TODAY, listed='"\\x90"', told=""):
    (place / "typed.c").write_text(SOURCE.replace("METHODS", methods, 1).replace("CLASS}", keys + "}").replace("LISTED", listed).replace("TOLD", told))
    subprocess.run(["cc", "-std=gnu11", "-w", "-fPIC", "-shared", *SANITIZE, f"-I{include}", place / "typed.c", "-o", place / "typed.so",
                    *MSGPACK], check=True)
    return {"p": {"plugin": place / "typed.so", "class": "C", "workers": 1}}


def method(signature, counts="", name="f"):
    quoted = signature.replace('"', '\\"')
    return f'{{.name = "{name}", .signature = "{quoted}", .call = ping, {counts}}},'


def describe(client, pool="p"):
    return wait_for(lambda: client.call("objpool.describe", pool)[1], lambda: "a description")


def methods_of(described):
    return {method["name"]: method for method in described["methods"]}


def test_what_describe_gives(start, place):
    signature = "(x: float, names: list[str], *, scale: float = 1.0, tag: str | None = None) -> dict[str, list[float]]"
    rows = method(signature, ".flags = KEYS | OBJPOOL_METHOD_READONLY, .min_args = 1, .max_args = 2")
    rows += method("(items: Iterator[int], to: P = ...) -> Iterator[tuple[int, str]]", ".max_args = 2", "g")
    keys = TABLE + r""", .signature = "(start: int = 0)",
	.types = (const char *const[]){"P(x: float, y: float = 0.5, next: P | None = ...)", NULL}"""
    with start(plugin(place, rows, keys)).client() as client:
        told = describe(client)
    found = methods_of(told)
    assert found["f"] == {
        "name": "f", "signature": signature, "doc": "", "yields": False, "readonly": True, "returns": {"dict": ["str", {"list": "float"}]},
        "params": [{"name": "x", "kind": "either", "type": "float"}, {"name": "names", "kind": "either", "type": {"list": "str"}},
                   {"name": "scale", "kind": "keyword", "type": "float", "default": 1.0},
                   {"name": "tag", "kind": "keyword", "type": {"union": ["str", "None"]}, "default": None}]}
    assert found["g"]["params"] == [{"name": "items", "kind": "positional", "type": {"iterator": "int"}},
                                    {"name": "to", "kind": "positional", "type": {"record": "P"}, "optional": True}]
    assert found["g"]["returns"] == {"iterator": {"tuple": ["int", "str"]}} and found["g"]["yields"] and not found["g"]["readonly"]
    assert told["types"] == {"P": [{"name": "x", "type": "float"}, {"name": "y", "type": "float", "default": 0.5},
                                   {"name": "next", "type": {"union": [{"record": "P"}, "None"]}, "optional": True}]}
    assert told["constructor"]["params"] == [{"name": "start", "kind": "either", "type": "int", "default": 0}]
    assert told["constructor"]["returns"] == "None" and told["signature"] == "(start: int = 0)" and told["open"] is False


def test_a_method_without_a_signature_takes_anything(start, place):
    rows = ('{.name = "a", .call = ping}, {.name = "b", .call = ping, .max_args = 2}, {.name = "c", .call = ping, .flags = KEYS},'
            '{.name = "d", .signature = "", .call = ping, .max_args = -1, .flags = KEYS},')
    with start(plugin(place, rows)).client() as client:
        found = methods_of(describe(client))
    kinds = {name: [param["kind"] for param in found[name]["params"]] for name in found}
    assert kinds == {"a": [], "b": ["rest"], "c": ["keywords"], "d": ["rest", "keywords"]}
    assert all(told["returns"] == "any" for told in found.values())


WRONG = [
    (method("(x: number) -> int", ".max_args = 1"), TABLE,
     'the signature of method f of class C, column 5: there is no type "number": (x: number) -> int'),
    (method("(x: int", ".max_args = 1"), TABLE, "column 8: "),
    (method("(x: int, y: int)", ".max_args = 1"), TABLE, "method f of class C takes 2 arguments by place, its max_args is 1: (x: int, y: int)"),
    (method("(x: int)", ".max_args = 2"), TABLE, "takes 1 arguments by place, its max_args is 2"),
    (method("(x: int = 1)", ".min_args = 1, .max_args = 1"), TABLE, "needs 0 arguments by place, its min_args is 1"),
    (method("(*x)", ".max_args = 1"), TABLE, "takes any number of arguments, its max_args is 1"),
    (method("(*, x)"), TABLE, "has keywords, its flags lack OBJPOOL_METHOD_KWARGS"),
    (method("()"), TABLE + ', .signature = "(x"', "the signature of the constructor of class C, column 3: "),
    (method("(x: P)", ".max_args = 1"), TABLE + ', .types = (const char *const[]){"P(x: Q)", NULL}', 'a record of class C, column 6: there is no type "Q"'),
    (method("()"), TABLE + ', .types = (const char *const[]){"P()", "P()", NULL}', "class C has two records of this name: P()"),
    (method("()"), TABLE + ', .types = (const char *const[]){"str(x: int)", NULL}', "class C gives a record the name of a type"),
]


@pytest.mark.parametrize("rows, keys, error", WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_signatures_refuse_the_plugin(start, place, rows, keys, error):
    with start(plugin(place, rows, keys)).client() as client:
        assert error in client.error("p.f")


def test_check_finds_a_wrong_signature(place):
    place.chmod(0o755)
    pools = plugin(place, method("(x: number) -> int", ".max_args = 1"))
    (place / "x.conf").write_text(f"[pool p]\nplugin = {pools['p']['plugin']}\nclass = C\n")
    done = subprocess.run([BUILD / "objpoold", "--check", "--config", place / "x.conf"], text=True, capture_output=True)
    assert done.returncode != 0 and 'column 5: there is no type "number"' in done.stderr + done.stdout


def test_older_plugins_may_say_anything(start, place):
    """Built with a header that had no types: what can't be parsed is any, with one warning."""
    rows = method("(x: number, [y]) -> nil", ".max_args = 2", "f") + method("(x: int)", ".max_args = 3", "g") + method("(x: int) -> int", ".max_args = 1", "h")
    daemon = start(plugin(place, rows, include=FROZEN))
    with daemon.client() as client:
        found = methods_of(describe(client))
        assert client.value("p.f", 1) is None
    for name in "fg":
        assert found[name]["params"] == [{"name": "args", "kind": "rest", "type": "any"}] and found[name]["returns"] == "any"
    assert found["f"]["signature"] == "(x: number, [y]) -> nil"
    assert found["h"]["params"] == [{"name": "x", "kind": "positional", "type": "int"}]
    daemon.wait_log('2 signatures are described without types; the first: .* column 5: there is no type "number"')
    assert len(re.findall("described without types", daemon.log())) == 1


def test_what_a_class_lists_itself(start, place):
    """With dispatch, list_methods and objpool_describe: it may be wrong, and may have keys of its own."""
    listed = (r'"\x93" "\x83\xa4name\xa1" "a\xa9signature\xb0(x: int) -> list\xa3own\x05"'
              r'"\x83\xa4name\xa1" "b\xa9signature\xac(x: T) -> T \xa8readonly\xc3"' r'"\x81\xa4name\xa1" "c"')
    daemon = start(plugin(place, "", ".dispatch = ping, .list_methods = list, .preload = tell", listed=listed,
                          told='.signature = "(y: T, *, z: int = 5)", .types = (const char *const[]){"T(x: int)", NULL}'))
    with daemon.client() as client:
        told = describe(client)
    assert [param["name"] for param in told["constructor"]["params"]] == ["y", "z"] and told["types"] == {"T": [{"name": "x", "type": "int"}]}
    a, b, c = told["methods"]
    assert a["own"] == 5 and a["returns"] == "any" and [param["kind"] for param in a["params"]] == ["rest", "keywords"]
    assert b["readonly"] is True and b["returns"] == {"record": "T"} and c == {"name": "c"}
    daemon.wait_log("described without types: the signature of method a of class C, column 13: list needs types")


def test_a_class_that_is_too_large_is_described_without_types(start, place):
    rows = "".join(method("(aaaaaaaaaa: int, bbbbbbbbbb: dict[str, list[int]]) -> list[str]", ".max_args = 2", f"method_{i}") for i in range(900))
    with start(plugin(place, rows)).client() as client:
        told = describe(client)
    assert len(told["methods"]) == 900 and set(told["methods"][0]) == {"name", "signature", "doc"} and "types" not in told


def no_types(described):
    """Methods of which something is any though they don't say so."""
    for told in [*described["methods"], described["constructor"]]:
        names = told["signature"].count(":") + told["signature"].count("->")
        if {"params", "returns", "yields", "readonly"} - set(told) or names < len(told["params"]):
            yield told


def test_the_classes_of_objpool_have_whole_signatures(start):
    classes = [("sampler", "Sampler"), ("queue", "Queue"), ("spell", "Dictionary"), ("probe", "Probe"), ("probe", "Echo"), ("probe", "Types")]
    with start({name: {"plugin": plugin, "class": name, "workers": 1} for plugin, name in classes}).client() as client:
        for _, name in classes:
            assert list(no_types(describe(client, name))) == []


KINDS = {"None", "bool", "int", "float", "str", "bytes", "any", "timestamp", "list", "dict", "tuple", "rest", "union", "iterator", "ndarray", "record"}


def kinds_of(value):
    """All words of types in a description."""
    if isinstance(value, dict):
        return set(value).union(*map(kinds_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(kinds_of, value))
    return {value} if isinstance(value, str) else set()


def test_the_probe_has_a_class_with_every_type(start):
    with start({"p": {"plugin": "probe", "class": "Types"}}).client() as client:
        told = describe(client)
        params = [param for found in [*told["methods"], told["constructor"]] for param in found["params"]]
        assert KINDS <= kinds_of([param["type"] for param in params])
        assert {param["kind"] for param in params} == {"positional", "keyword", "either", "rest", "keywords"}
        values = {"none": None, "byte": 255, "choice": "x", "row": [1.5, 2], "table": {"a": 1.5}, "point": {"x": 1, "y": 2.5},
                  "path": {"points": [{"x": 1.5, "y": 2.5}], "bounds": None}, "tree": {"value": 1, "children": [{"value": 2}]}}
        for name, value in values.items():
            assert client.value(f"p.{name}", value) == value
        assert client.error("p.byte", 256) == "BAD_ARGUMENT: value must be of type int[0, 255]"
        assert client.value("p.count", 3) == [0, 1, 2] and client.value("p.numbered", ["a", "b"]) == [[0, "a"], [1, "b"]]


def test_annotations_of_python(start):
    folder = ROOT / "tests/integration/classes"
    daemon = start({"p": {"plugin": "python", "class": "typed:Typed", "python_path": f'["{folder}"]', "workers": 1}})
    with daemon.client() as client:
        told = describe(client)
        assert client.value("p.move", [1.5, 2.5]) == {"x": 1.5, "y": 2.5, "next": {"x": 1.5, "y": 0.5, "next": None}}
    found = methods_of(told)
    assert told["signature"] == told["constructor"]["signature"] == "(start: Point | None = None, *, limit: int = 10)"
    assert found["move"]["signature"] == "(by: list[float], options: Options = {}) -> Point" and found["move"]["returns"] == {"record": "Point"}
    assert found["count"]["yields"] and found["count"]["returns"] == {"iterator": "int"}
    assert [param["type"] for param in found["turn"]["params"]] == ["any", "any"] and found["turn"]["params"][1]["optional"]
    assert [param["kind"] for param in found["free"]["params"]] == ["either", "rest"]
    assert told["types"] == {
        "Point": [{"name": "x", "type": "float"}, {"name": "y", "type": "float", "default": 0.5},
                  {"name": "next", "type": {"union": [{"record": "Point"}, "None"]}, "default": None}],
        "Options": [{"name": "depth", "type": "int", "optional": True}]}
    daemon.wait_log(r"annotations that clients are told as any: turn\(wheel\): typed.Wheel; turn\(again\): typed.Wheel\n")
