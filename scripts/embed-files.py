# SPDX-License-Identifier: Apache-2.0
"""Writes a header with files: embed-files.py NAME FILE…

    static const struct { const char *path, *text; } NAME[] = {…};    path: the file's folder and its own name, without ".in"
"""
import pathlib
import sys

ESCAPES = {'"': '\\"', "\\": "\\\\", "\t": "\\t", "?": "\\?"}

name, *paths = sys.argv[1:]
print(f"static const struct {{\n\tconst char *path, *text;\n}} {name}[] = {{")
for path in map(pathlib.Path, paths):
    print(f'\t{{"{path.parent.name}/{path.name.removesuffix(".in")}",')
    for line in path.read_text(encoding="utf-8").splitlines():
        print('\t "%s\\n"' % "".join(ESCAPES.get(c, c) for c in line))
    print("\t},")
print("};")
