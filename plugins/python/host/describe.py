# SPDX-License-Identifier: Apache-2.0
"""Describes a class for `objpool describe` and for clients."""
from .docstrings import doc_of, doc_of_method
from .methods import HOOKS, has_hook, is_open
from .own_classes import Pickled
from .signatures import signature_of
from .text import clean

DESCRIPTION_MOST = 96 << 10     # bytes: a description must fit into a packet


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
    """The class that a function is annotated to return, or None."""
    made = getattr(factory, "__annotations__", {}).get("return")
    return made if isinstance(made, type) else None


def methods_of(cls):
    for name in dir(cls):
        try:
            found = getattr(cls, name, None)
        except Exception:
            continue  # a descriptor that only works in instances
        if callable(found) and not isinstance(found, type) and is_open(cls, name):
            static = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
            bound = isinstance(static, (staticmethod, classmethod))
            yield name, signature_of(found, 0 if bound else 1), doc_of_method(cls, name, found)


def shorten(methods):
    """Leaves out text until the description fits into a packet."""
    def size():
        return sum(len(text.encode()) + 32 for method in methods for text in method)

    methods = [(name, clean(signature)[:2000], doc) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature, doc.partition("\n\n")[0][:200]) for name, signature, doc in methods]
    if size() > DESCRIPTION_MOST:
        methods = [(name, signature[:40], "") for name, signature, _ in methods]
    return methods[:1000]
