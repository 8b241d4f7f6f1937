# SPDX-License-Identifier: Apache-2.0
"""Signatures of functions and classes, as text."""
import types

CO_VARARGS, CO_VARKEYWORDS = 4, 8


def signature_of(function, skip=0):
    return plain_signature(function, skip) or full_signature(function, skip)


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
        if default is not None and type(default) not in (int, bool, str):
            return None
        names[-1 - i] += f"={default!r}"
    rest = code.co_varnames[code.co_argcount:]
    if code.co_flags & CO_VARARGS:
        names.append("*" + rest[0])
        rest = rest[1:]
    if code.co_flags & CO_VARKEYWORDS:
        names.append("**" + rest[0])
    return f"({', '.join(names[skip:])})"


def full_signature(function, skip):
    import inspect
    try:
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())
        if skip and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters = parameters[1:]
        return str(signature.replace(parameters=parameters))
    except Exception:  # among them one that the repr of a default value raises
        return "(...)"
