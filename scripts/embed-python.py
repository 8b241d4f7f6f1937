# SPDX-License-Identifier: Apache-2.0
"""Writes a header with Python files: embed-python.py NAME FILE…

Each file is in it as code, compiled by the Python that runs this, and as source for any other Python. The files are modules of
one package, _objpool_NAME; __init__.py is the package itself, and comes last. They stay in the order of the command line, so that
each can import the files before it:

    NAME_files[]    name, path, source, code and size of the code of each module
    NAME_magic[]    which Python has compiled them
"""
import importlib.util
import marshal
import os
import sys

COLUMNS = 32


def array(name, data):
    print(f"static const unsigned char {name}[] = {{")
    for i in range(0, len(data), COLUMNS):
        print(",".join(map(str, data[i:i + COLUMNS])) + ",")
    print("};")


def module(prefix, path):
    """Prints the arrays of a file. Returns its entry in the table."""
    stem = os.path.splitext(os.path.basename(path))[0]
    with open(path, encoding="utf-8") as file:
        source = file.read()
    shown = f"<objpool>/{stem}.py"  # in tracebacks
    array(f"{prefix}_{stem}_source", source.encode() + b"\0")
    array(f"{prefix}_{stem}_code", marshal.dumps(compile(source, shown, "exec", dont_inherit=True)))
    name = f"_objpool_{prefix}" if stem == "__init__" else f"_objpool_{prefix}.{stem}"
    return f'\t{{"{name}", "{shown}", {prefix}_{stem}_source, {prefix}_{stem}_code, sizeof {prefix}_{stem}_code}},'


prefix, *paths = sys.argv[1:]
entries = [module(prefix, path) for path in paths]
array(f"{prefix}_magic", importlib.util.MAGIC_NUMBER)
print("static const struct {")
print("\tconst char *name, *path;")
print("\tconst unsigned char *source, *code;")
print("\tsize_t code_size;")
print(f"}} {prefix}_files[] = {{", *entries, "};", sep="\n")
