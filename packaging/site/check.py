#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the site in a folder: check.py FOLDER. Each link leads to a file, and to an anchor in it; nothing is loaded from elsewhere."""
import html.parser
import pathlib
import re
import sys
import urllib.parse

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("source", "src"), ("form", "action")}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.names, self.links, self.loads, self.depth = set(), [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id" or (tag, name) == ("a", "name"):
                self.names.add(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")
            elif (tag, name) in LOADED:
                self.loads.append(value or "")

    handle_startendtag = handle_starttag


def is_elsewhere(link):
    return bool(re.match(r"(\w+:)?//", link))


def faults_of(path, page, pages):
    for link in page.loads:
        if is_elsewhere(link):
            yield f"loads {link}"
    for link in page.links + page.loads:
        if is_elsewhere(link) or re.match(r"(mailto|data|javascript):", link):
            continue
        target, _, anchor = urllib.parse.unquote(link).partition("#")
        file = (path.parent / target.partition("?")[0]).resolve() if target else path
        if not file.is_file():
            yield f"{link}: there is no such file"
        elif anchor and file in pages and anchor not in pages[file].names:
            yield f"{link}: there is no such place in it"


def faults_of_style(path, text):
    for link in re.findall(r"(?:@import\s+(?!url)|url\()\s*[\"']?([^\"')\s]+)", text):
        if is_elsewhere(link) or not link.startswith(("data:", "#")) and not (path.parent / re.split("[?#]", link)[0]).is_file():
            yield f"loads {link}"


def main(folder):
    folder = pathlib.Path(folder).resolve()
    pages = {path: Page(path.read_text()) for path in folder.rglob("*.html")}
    faults = [f"{path.relative_to(folder)}: {fault}" for path, page in pages.items() for fault in faults_of(path, page, pages)]
    for path in folder.rglob("*.css"):
        faults += [f"{path.relative_to(folder)}: {fault}" for fault in faults_of_style(path, path.read_text())]
    print(*sorted(faults), sep="\n", end="\n" if faults else "")
    print(f"{len(pages)} pages, {sum(len(page.links) for page in pages.values())} links, {len(faults)} faults")
    return bool(faults) or not pages


sys.exit(main(sys.argv[1]))
