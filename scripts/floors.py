#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the files of each part of objpool are floors: a file uses what lies below it, and no two use each other.

usage: scripts/floors.py [--draw PART]

A file of C is its .c and .h together, and uses what either includes. A file of Python uses what it imports, wherever the import
stands. A part is a folder with its subfolders. The check fails on a circle of files, on a circle of a part's folders, and on an
include that leaves its part for one that it must not use. --draw prints a part's files, the lowest floor first, with what each
uses; then its folders, with the folders that they use; and last what the part uses outside itself.
"""
import ast
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Which parts a part may use, beside itself and the public headers.
MAY_USE = {
    "proto": set(),
    "json": {"proto"},
    "daemon/core": {"proto"},
    "daemon/supervisor": {"proto", "json", "daemon/core"},
    "daemon/worker": {"proto"},
    "daemon/backtrace": {"proto"},
    "gateway": {"proto", "gateway/core", "gateway/bus", "gateway/service"},
    "gateway/bus": {"proto", "json"},
    "gateway/core": {"proto", "daemon/core"},
    "gateway/service": {"proto", "json", "daemon/core", "gateway/core", "gateway/bus"},
    "client/c": {"proto"},
    "cli": {"proto"},
    "client/python/objpool": set(),
    "client/python/wire": {"proto"},
    "client/python/objpool/aio": {"client/python/objpool"},
    "client/python/objpool/compat": {"client/python/objpool"},
    "plugins/probe": set(),
    "plugins/python": set(),
    "plugins/python/forked": {"proto", "daemon/worker", "plugins/python"},
    "plugins/queue": set(),
    "plugins/sampler": set(),
    "plugins/spell": set(),
    "tests/sim": {"proto", "daemon/core"},
    "tests/gateway_sim": {"proto", "daemon/core", "gateway/core"},
}


def files_of(part):
    """The files of a part and of its folders, but for folders that are parts themselves; paths within the part."""
    found = []
    for folder, folders, files in os.walk(os.path.join(TOP, part)):
        inside = os.path.relpath(folder, os.path.join(TOP, part))
        folders[:] = [f for f in folders if os.path.normpath(os.path.join(part, inside, f)) not in MAY_USE]
        found += [os.path.normpath(os.path.join(inside, f)) for f in files if f.endswith((".c", ".h", ".py"))]
    return sorted(found)


def part_of(folder):
    """The part that a folder belongs to, or None."""
    while folder and folder not in MAY_USE:
        folder = os.path.dirname(folder)
    return folder or None


def included(path):
    """(part, name within the part) for each include of a file of objpool's."""
    with open(path, encoding="utf-8") as file:
        for name in re.findall(r'^#include "([^"]+)"', file.read(), re.M):
            part = part_of(os.path.dirname(name))
            if part:
                yield part, os.path.relpath(os.path.splitext(name)[0], part)


def imported(path):
    """(part, name within the part) for each import of a module of objpool's: relative, or of the Python client."""
    folder = os.path.relpath(os.path.dirname(path), TOP).split("/")
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [["client", "python", *alias.name.split(".")] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else ["client", "python"]
            base = base + (node.module.split(".") if node.module else [])
            names = [base + [alias.name] for alias in node.names] + [base]
        else:
            continue
        for name in names:
            part = part_of("/".join(name[:-1]))
            if part:
                yield part, os.path.relpath("/".join(name), part)


def uses(part):
    """file -> files of the same part; and the includes that leave the part: (file, other part, name within that part)."""
    graph, outside = {}, set()
    names = {os.path.splitext(f)[0] for f in files_of(part)}
    for file in files_of(part):
        name = os.path.splitext(file)[0]
        path = os.path.join(TOP, part, file)
        graph.setdefault(name, set())
        for other_part, other in imported(path) if file.endswith(".py") else included(path):
            if other_part == part and other in names and other != name:
                graph[name].add(other)
            elif other_part != part:
                outside.add((file, other_part, other))
    return graph, outside


def by_folder(graph):
    """folder -> folders that its files use. The part's own folder is called "."."""
    folders = {}
    for file, used in graph.items():
        folder = os.path.dirname(file) or "."
        folders.setdefault(folder, set()).update({os.path.dirname(f) or "." for f in used} - {folder})
    return folders


def circles(graph):
    """Strongly connected components of more than one file (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(v):
        number[v] = low[v] = len(number)
        stack.append(v)
        for w in sorted(graph[v]):
            if w not in number:
                visit(w)
            if w in stack:
                low[v] = min(low[v], low[w])
        if low[v] == number[v]:
            at = stack.index(v)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for v in sorted(graph):
        if v not in number:
            visit(v)
    return found


def floors(graph):
    """Each file's floor: one above the highest that it uses. For a graph without circles."""
    level = {}

    def at(v):
        if v not in level:
            level[v] = 1 + max((at(w) for w in graph[v]), default=-1)
        return level[v]

    return {v: at(v) for v in graph}


def draw(part):
    graph, outside = uses(part)
    found = circles(graph) or circles(by_folder(graph))
    if found:
        print(f"{part} has circles: {found}")
        return
    level, folder_level = floors(graph), floors(by_folder(graph))
    for v in sorted(graph, key=lambda v: (folder_level[os.path.dirname(v) or "."], os.path.dirname(v), level[v], v)):
        print(f"{level[v]:3} {v:32} {' '.join(os.path.basename(w) for w in sorted(graph[v]))}")
    folders = by_folder(graph)
    for folder in sorted(folders, key=lambda f: (folder_level[f], f)) if len(folders) > 1 else ():
        print(f"folder {folder}: {' '.join(sorted(folders[folder]))}")
    print("outside:", *sorted({f"{other_part}/{other}" for _, other_part, other in outside}))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--draw":
        draw(sys.argv[2])
        return 0
    failed = False
    for part in MAY_USE:
        graph, outside = uses(part)
        for circle in circles(graph):
            failed = True
            print(f"{part}: {len(circle)} files use each other in a circle: {', '.join(circle)}")
        for circle in circles(by_folder(graph)):
            failed = True
            print(f"{part}: {len(circle)} folders use each other in a circle: {', '.join(circle)}")
        for file, other in sorted({(file, other) for file, other, _ in outside if other not in MAY_USE[part]}):
            failed = True
            print(f"{part}/{file} uses {other}, which lies above it")
    return 1 if failed else 0


sys.exit(main())
