# SPDX-License-Identifier: Apache-2.0
"""Docstrings of classes and methods. `inspect` is imported only where it is needed: its import takes long."""
import types

from .text import TEXT_MOST, clean


def doc_of(thing):
    if type(thing) in (type, types.FunctionType):
        doc = thing.__doc__
        if doc is None:
            doc = next(filter(None, map(own_doc, getattr(thing, "__mro__", ())[:-1])), "")
        return clean(without_indentation(doc))[:TEXT_MOST // 4] if type(doc) is str else ""
    import inspect
    try:
        return clean(inspect.getdoc(thing) or "")[:TEXT_MOST // 4]
    except Exception:
        return ""


def own_doc(thing):
    return getattr(thing, "__doc__", None)


def doc_of_method(cls, name, method):
    """The method's docstring, or that of the method of a base class which it overrides."""
    methods = [method]
    if type(method) is types.FunctionType:
        methods += (vars(base)[name] for base in cls.__mro__ if name in vars(base))
    return next(filter(None, (doc_of(found) for found in methods if found is method or own_doc(found) is not None)), "")


def without_indentation(doc):
    """As inspect.cleandoc."""
    first, *rest = doc.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in rest if line.strip()), default=0)
    return "\n".join([first.lstrip(), *(line[margin:] for line in rest)]).strip("\n")
