# SPDX-License-Identifier: Apache-2.0
"""Which names of the program's __main__ a function needs, and what those names mean there.

A function that travels by value (_pickling.py) needs the globals that its code uses; a fork that runs a function of the program's
needs the globals that this function looks up. Both questions are answered by reading the code's names; nothing is run.
"""
import os
import sys
import types
import weakref

GLOBAL_OPS = {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"}
ALL = "*"
LOOK_UP_ALL = {"globals", "eval", "exec", "vars", "modules", "__main__"}    # code that has such a name may use any global
NOT_SENT = {"__name__", "__builtins__", "__doc__", "__spec__", "__loader__", "__package__", "__cached__", "__annotations__"}

_names_of_code = weakref.WeakKeyDictionary()


def main_dict():
    return sys.modules["__main__"].__dict__


_program = None             # in workers that are no forks: the program that they stand for
_without_file = os.urandom(8)       # a program that has no file; its forks are the same


def program():
    """Tells this program from others: its file. Its children have the same."""
    return _program or getattr(sys.modules["__main__"], "__file__", None) or _without_file


def stand_for(other):
    """From now on this process is one of that program."""
    global _program
    _program = other


def is_main(module):
    """True for the names that the module __main__ has; in a spawned child, multiprocessing calls it __mp_main__."""
    return module in ("__main__", "__mp_main__")


def found(qualname, namespace):
    """The object that the dotted name means in that namespace, or None."""
    parts = qualname.split(".")
    value = namespace.get(parts[0])
    for part in parts[1:]:
        value = getattr(value, part, None)
    return value


def is_found_by_name(value):
    """True if its module has the value by the value's name."""
    module = sys.modules.get(getattr(value, "__module__", None))
    return module is not None and found(getattr(value, "__qualname__", ""), module.__dict__) is value


def global_names(code):
    """The names of globals that this code, or code within it, uses; ALL is among them if it may use any."""
    try:
        return _names_of_code[code]
    except KeyError:
        pass
    import dis
    names = {i.argval for i in dis.get_instructions(code) if i.opname in GLOBAL_OPS}
    if not LOOK_UP_ALL.isdisjoint(code.co_names):
        names.add(ALL)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= global_names(constant)
    _names_of_code[code] = names
    return names


def used_of_main(function):
    """The names of __main__ that a function of __main__ needs where it goes by value."""
    main, names = main_dict(), global_names(function.__code__)
    return _sent_of_main(main, main if ALL in names else names)


def named_in_main(function):
    """As used_of_main, but names that the code only makes as it runs do not count."""
    return _sent_of_main(main_dict(), global_names(function.__code__))


def looked_up_in_main(value):
    """The names of __main__ that the functions of this value (a function, or a class with its methods) may look up."""
    main = main_dict()
    names = set()
    for function in _functions_of(value):
        if function.__globals__ is main:
            names |= _all_names(function.__code__)
    return _sent_of_main(main, names if LOOK_UP_ALL.isdisjoint(names) else main)


def _sent_of_main(main, names):
    return [name for name in tuple(names) if name in main and name not in NOT_SENT]


def _all_names(code):
    """The names of globals and attributes that this code, or code within it, uses."""
    inner = (_all_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def _functions_of(value):
    if isinstance(value, types.FunctionType):
        return (value,)
    if not isinstance(value, type) or value.__module__ != "__main__":
        return ()
    members = [getattr(member, "__func__", member) for member in vars(value).values()]
    properties = [member for member in members if isinstance(member, property)]
    members += [function for member in properties for function in (member.fget, member.fset, member.fdel)]
    members += [function for base in value.__bases__ for function in _functions_of(base)]
    return [member for member in members if isinstance(member, types.FunctionType)]
