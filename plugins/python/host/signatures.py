# SPDX-License-Identifier: Apache-2.0
"""Signatures of functions and classes, as text (docs/PLUGINS.md)."""
import types

from .annotations import names_of
from .literals import literal
from .reading import Reader, Type

CO_VARARGS, CO_VARKEYWORDS, CO_GENERATORS = 4, 8, 0x20 | 0x200
UNKNOWN = "(...)"


def signature_of(function, annotations, skip=0, where=""):
    """(text, Reader of the arguments; None: they stay as they come). `annotations`: what the class's types are collected in.
    `skip`: how many arguments callers don't give."""
    plain = plain_signature(function, skip)
    return (plain, None) if plain else full_signature(function, annotations, skip, where)


def plain_signature(function, skip):
    """The signature of a function whose parameters are only names without annotations, as many are. Else None.

    The import of `inspect`, which knows all signatures, takes longer than everything else that a template does.
    """
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
        names[-1 - i] += f"={literal(default)}"
    rest = code.co_varnames[code.co_argcount:]
    if code.co_flags & CO_VARARGS:
        names.append("*" + rest[0])
        rest = rest[1:]
    if code.co_flags & CO_VARKEYWORDS:
        names.append("**" + rest[0])
    return f"({', '.join(names[skip:])})" + yields(code.co_flags)


def yields(flags):
    """Of a function without annotation."""
    return " -> Iterator[any]" if flags & CO_GENERATORS else ""


def full_signature(function, annotations, skip, where):
    import inspect
    try:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
    except Exception:  # of an object that is odd, or of C
        return UNKNOWN, None
    if skip and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        parameters = parameters[1:]
    inner = inspect.unwrap(function)
    flags = getattr(getattr(inner, "__code__", None), "co_flags", 0)
    names = names_of(getattr(inner, "__func__", inner))
    kinds = [parameter_type(parameter, annotations, names, where) for parameter in parameters]
    texts = list(map(parameter_text, parameters, kinds))
    reader = Reader(zip(parameters, kinds)) or None
    return f"({', '.join(with_marks(parameters, texts))})" + result_text(signature, annotations, names, where, flags), reader


def parameter_type(parameter, annotations, names, where):
    if parameter.annotation is parameter.empty:
        return Type(None)
    return annotations.type(parameter.annotation, names, f"{where}({parameter.name})")


def parameter_text(parameter, kind):
    text = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "") + parameter.name
    annotated = kind.text is not None
    if annotated:
        text += ": " + kind.text
    if parameter.default is parameter.empty:
        return text
    return text + (" = " if annotated else "=") + literal(parameter.default)


def with_marks(parameters, texts):
    """With "/" and "*" where the kinds change."""
    marked, star = [], False
    for i, (parameter, text) in enumerate(zip(parameters, texts)):
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            marked.append("*")
        star = star or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        marked.append(text)
        if parameter.kind is parameter.POSITIONAL_ONLY and (
                i + 1 == len(parameters) or parameters[i + 1].kind is not parameter.POSITIONAL_ONLY):
            marked.append("/")
    return marked


def result_text(signature, annotations, names, where, flags):
    if signature.return_annotation is signature.empty:
        return yields(flags)
    text = annotations.text(signature.return_annotation, names, f"result of {where}")
    if flags & CO_GENERATORS and not text.startswith("Iterator["):
        text = "Iterator" + text[4:] if text.startswith("list[") else "Iterator[any]"
    return " -> " + text
