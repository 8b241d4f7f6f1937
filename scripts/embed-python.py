# SPDX-License-Identifier: Apache-2.0
"""Writes a header with Python files as one, compiled by the Python that runs this, and as it is for others: embed-python.py NAME FILE…"""
import importlib.util
import marshal
import sys

COLUMNS = 32


def array(name, data):
    rows = (data[i:i + COLUMNS] for i in range(0, len(data), COLUMNS))
    print(f"static const unsigned char {name}[] = {{")
    for row in rows:
        print(",".join(map(str, row)) + ",")
    print("};")


name, *paths = sys.argv[1:]
source = ""
for path in paths:
    with open(path, encoding="utf-8") as file:
        source += file.read()
array(f"{name}_source", source.encode() + b"\0")
array(f"{name}_code", marshal.dumps(compile(source, "<objpool>", "exec", dont_inherit=True)))
array(f"{name}_magic", importlib.util.MAGIC_NUMBER)
