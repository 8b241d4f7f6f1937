# SPDX-License-Identifier: Apache-2.0
"""Descriptions of classes whose names, types and defaults are as strange as a description can have them; and a server that says
them to `objpool describe`. The same seed gives the same class."""
import random
import socket
import threading

import msgpack

# Words of a language, and what its clients have names for.
WORDS = {
    "c": "auto const switch union bool true class delete this asm inline client target options answer result each context call keys r packer "
         "value_ errno int64_t uint32_t and_eq nullptr char16_t static_assert thread_local decltype linux stdin record key reader to pool key_count",
    "python": "None True class self cls _client _name _given _places _arguments _listed _UNSET objpool Any Dict target create __init__ __x "
              "__slots__ __dict__ __class__ __x__ __len__ __getitem__ __iter__ str int list dict bytes float classmethod msgpack numpy Optional "
              "ordered window method args kwargs print",
    "ts": "any async constructor enum function import static string undefined with yield arguments eval Promise Array Object Buffer Date Map "
          "Options toString then __proto__ hasOwnProperty valueOf prototype name length",
    "go": "break func interface chan package range type error nil iota append new any context objpool time ctx err init main Context String len copy",
    "rust": "as crate fn impl loop match mut pub Self trait unsafe where dyn become box typeof Some None Ok Err Vec String Box Value Default Clone u8 raw",
    "java": "abstract synchronized final native super throws void var record yield String Object List Class hashCode equals toString getClass notify wait",
}
NAMES = ["größe", "名前", "имя", "x²", "a b", "a-b", "a.b", "1st", "_", "__", "___", 'a"b', "a*/b", "a\nb", "$x", "x" * 300, "x" * 299 + "y", "A", "a",
         "aB", "a_b", "ab", "AB", "a__b", "_a", "a_", "x", "has_x", "has_has_x"]
ALL = NAMES + sorted({word for words in WORDS.values() for word in words.split()})
PLAIN = ["int", "float", "str", "bytes", "bool", "any", "None", "timestamp", {"ndarray": [None, None]}]
DEFAULTS = [None, True, 0, -1, 2**63, -2**63, 1.5, -0.0, 1e300, float("inf"), float("nan"), "", 'a"\\\n\0é??/*/', "${x}`", b"", b"\xff\0", "x" * 300,
            [], [1, [2]], {}, {"a": 1}, {1: 2}, msgpack.Timestamp(1, 2)]
DOCS = ["", "*/ \"\"\" \\u000a // `x` {} </pre> {@code", "Two\n\nlines"]


class Strange:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def kind(self, records, depth=0):
        def inner():
            return self.kind(records, depth + 1)

        forms = [lambda: {"list": inner()}, lambda: {"dict": [inner(), inner()]}, lambda: {"tuple": [inner() for _ in range(self.random.randrange(4))]},
                 lambda: {"tuple": [inner()], "rest": True}, lambda: {"union": [inner() for _ in range(self.random.randrange(1, 4))]},
                 lambda: {"union": [inner(), "None"]}, lambda: {"int": [-5, 2**64 - 1]}, lambda: {"record": self.random.choice(records)},
                 lambda: {"iterator": inner()}]
        form = self.random.choice(PLAIN + forms) if depth < 3 else self.random.choice(PLAIN)
        return form() if callable(form) else form

    def field(self, name, records):
        given = self.random.choice([{}, {}, {}, {"optional": True}, {"default": self.random.choice(DEFAULTS)}])
        return {"name": name, "type": self.kind(records), **given}

    def names(self, most):
        return self.random.sample(ALL, self.random.randrange(most))

    def params(self, names, records):
        params, optional = [self.field(name, records) for name in names], False
        kinds = sorted((self.random.choice([0, 1, 1, 1, 2]) for _ in params))
        for param, kind in zip(params, kinds):
            param["kind"] = ["positional", "either", "keyword"][kind]
            optional = kind < 2 and (optional or len(param) > 3)
            if optional and len(param) == 3:
                param["optional"] = True
        if self.random.random() < .3:
            params.insert(sum(kind < 2 for kind in kinds), {"name": self.random.choice(ALL), "kind": "rest", "type": self.kind(records, 1)})
        if self.random.random() < .3:
            params.append({"name": self.random.choice(ALL), "kind": "keywords", "type": self.kind(records, 1)})
        return params

    def method(self, name, records):
        returns = self.kind(records) if self.random.random() < .7 else {"iterator": self.kind(records, 1)}
        return {"name": name, "doc": self.random.choice(DOCS), "signature": "()", "params": self.params(self.names(8), records), "returns": returns,
                "yields": "iterator" in returns, "readonly": False}

    def description(self, pool):
        records = self.random.sample(ALL, 30)
        types = {name: [self.field(field, records) for field in self.names(12)] for name in records}
        types[records[0]] = [{"name": "x", "type": "int", "default": 1}, {"name": "has_x", "type": "bool"}, {"name": "self", "type": {"record": records[0]}}]
        return {"pool": pool, "plugin": 'x"\\', "class": self.random.choice(ALL), "doc": 'D */ """ \\', "signature": "()", "types": types,
                "methods": [self.method(name, records) for name in self.random.sample(ALL, len(ALL))],
                "constructor": {"params": self.params(self.names(8), records)}}

    def wide(self, pool):
        names = [f"f{i}" for i in range(200)]
        return {"pool": pool, "plugin": "p", "class": "Wide", "types": {"Wide": [self.field(name, ["Wide"]) for name in names]},
                "methods": [{"name": "wide", "params": self.params(names, ["Wide"]), "returns": {"record": "Wide"}}],
                "constructor": {"params": self.params(names, ["Wide"])}}


def serve(path, descriptions):
    """Answers objpool.describe for each connection. Ends with the socket that it returns."""
    def answer(connection):
        unpacker = msgpack.Unpacker(strict_map_key=False)
        with connection:
            while data := connection.recv(1 << 16):
                unpacker.feed(data)
                for _, msgid, method, params in unpacker:
                    result = descriptions[params[0]] if method == "objpool.describe" else {}
                    connection.sendall(msgpack.packb([1, msgid, None, result]))

    def accept():
        try:
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass  # closed

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threading.Thread(target=accept, daemon=True).start()
    return listener
