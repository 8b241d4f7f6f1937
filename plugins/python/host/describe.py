# SPDX-License-Identifier: Apache-2.0
"""Describes a class for `objpool describe` and for clients."""
import sys

import _objpool

from .annotations import Annotations
from .docstrings import doc_of, doc_of_method
from .methods import HOOKS, has_hook, is_open
from .own_classes import Pickled
from .reading import readers
from .signatures import signature_of
from .text import clean

DESCRIPTION_MOST = 96 << 10     # bytes: a description must fit into a packet
SIGNATURE_MOST = 8000
UNKNOWN = "(...)"


def describe(factory):
    """(doc, signature, [hooks], [(name, signature, doc)], [records], Reader of the constructor's arguments or None) of the class.
    Sets `readers`, but for a program's own classes: what such a program sends has the types that it means."""
    own = isinstance(factory, Pickled) or _objpool.in_program
    factory = getattr(factory, "factory", None) if isinstance(factory, Pickled) else factory
    if factory is None:
        return "A class that comes by value.", "(factory, *args, **kwargs)", list(HOOKS), [], [], None
    made = factory if isinstance(factory, type) else made_by(factory)
    annotations = Annotations()
    found = [] if made is None else list(methods_of(made, annotations))
    hooks = [name for name in HOOKS if made is None or has_hook(made, name)]
    signature, readers.constructor = signature_of(factory, annotations, where="the constructor")
    readers.methods = {name: reader for name, _, _, reader in found if reader}
    if own:
        readers.methods, readers.constructor = {}, None
    records = [clean(text) for text in annotations.fields.values()]
    methods = shorten([(name, signature, doc) for name, signature, doc, _ in found], sum(map(cost, records)))
    warn_of_odd(annotations.odd)
    warn_of_unknown([name for (name, full, _, _), (_, told, _) in zip(found, methods) if told == UNKNOWN != full])
    return doc_of(factory), short(without_result(signature)), hooks, methods, records, readers.constructor


def without_result(signature):
    """The constructor's: what it gives is an instance, which stays in the worker."""
    return signature.rpartition(" -> ")[0] or signature


def warn_of_odd(odd):
    if odd:
        more = f", and {len(odd) - 3} more" if len(odd) > 3 else ""
        print(f"annotations that clients are told as any: {'; '.join(odd[:3])}{more}", file=sys.stderr)


def warn_of_unknown(names):
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"signatures that are too long for clients to be told: {', '.join(names[:3])}{more}", file=sys.stderr)


def made_by(factory):
    """The class that a function is annotated to return, or None."""
    made = getattr(factory, "__annotations__", {}).get("return")
    return made if isinstance(made, type) else None


def methods_of(cls, annotations):
    for name in dir(cls):
        try:
            found = getattr(cls, name, None)
        except Exception:
            continue  # a descriptor that only works in instances
        if callable(found) and not isinstance(found, type) and is_open(cls, name):
            static = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
            bound = isinstance(static, (staticmethod, classmethod))
            signature, reader = signature_of(found, annotations, 0 if bound else 1, name)
            yield name, signature, doc_of_method(cls, name, found), reader


def short(signature):
    """A signature that is cut could not be parsed."""
    signature = clean(signature)
    return signature if len(signature.encode()) <= SIGNATURE_MOST else UNKNOWN


def cost(text):
    """About how many bytes a signature takes in a description, in which it is taken apart, too."""
    return 4 * len(text.encode()) + 64


def shorten(methods, more):
    """Leaves out text until the description fits into a packet, in which `more` bytes are taken."""
    def size():
        return more + sum(len((name + doc).encode()) + 64 + cost(signature) for name, signature, doc in methods)

    methods = [(name, short(signature), doc) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature, doc.partition("\n\n")[0][:200]) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature, "") for name, signature, _ in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, UNKNOWN, "") for name, _, _ in methods]
    return methods[:1000]
