#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lays out what Sphinx makes the site of: stage.py FOLDER VERSION MAN...

FOLDER gets the documents at the paths that they have in the checkout, the pictures, a page for each manual page in the folders MAN
(mandoc makes its HTML), and conf.py. A link to a file of the source, which is not on the site, becomes plain text.
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHAPTERS = {
    "Begin": ["docs/tutorial-scientist.md", "docs/tutorial-admin.md", "docs/tutorial-c.md", "docs/tutorial-web.md", "docs/COMING-FROM.md",
              "docs/COMPARISON.md"],
    "Call": ["client/python/README.md", "client/node/README.md", "client/go/README.md", "docs/RECIPES.md", "docs/COMPAT.md", "docs/HTTP.md",
             "docs/VALUES.md"],
    "Write classes": ["docs/PYTHON.md", "docs/PLUGINS.md"],
    "Operate": ["docs/OPERATIONS.md", "docs/SIZING.md", "docs/TROUBLESHOOTING.md", "docs/RIGHTS.md", "docs/TLS.md", "docs/CLUSTER.md", "docs/SCALE.md", "SECURITY.md"],
    "Reference": ["docs/PROTOCOL.md", "docs/BENCHMARKS.md", "CHANGELOG.md"],
    "Change it": ["docs/ARCHITECTURE.md", "CONTRIBUTING.md", "docs/PORTABILITY.md"],
}
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def documents():
    """Those that are named, and others of docs/ as a chapter of their own."""
    named = [path for chapter in CHAPTERS.values() for path in chapter]
    others = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
    return {**CHAPTERS, "More": [path for path in others if path not in named]}


def pictures():
    return [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".svg", ".webp", ".png")]


def without_links_to_the_source(text, folder, on_site):
    def link(match):
        target = (ROOT / folder / match[2]).resolve()
        return match[0] if target in on_site else match[1]

    parts = re.split(r"(^```.*?^```$)", text, flags=re.S | re.M)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def with_one_title(text):
    """A document's parts (`# Reference`) are chapters of it here, and not documents beside it."""
    fences = re.split(r"(^```.*?^```$)", text, flags=re.S | re.M)
    parts = [part if part.startswith("```") else re.sub(r"^#", "##", part, flags=re.M) for part in fences]
    titles = sum(len(re.findall(r"^# ", part, re.M)) for part in fences if not part.startswith("```"))
    return re.sub(r"^## ", "# ", "".join(parts), count=1, flags=re.M) if titles > 1 else text


def contents(chapters, manuals):
    """The table of contents, as the end of the first page."""
    def tree(caption, pages):
        return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "".join(f"/{page}\n" for page in pages) + "```\n"

    return "".join(tree(caption, pages) for caption, pages in chapters.items() if pages) + tree("Manual pages", manuals)


def manual(path, names):
    """A page of Markdown that holds what mandoc makes of a manual page."""
    html = subprocess.run(["mandoc", "-Thtml", "-Ofragment,man=%N.%S.html", path], check=True, text=True, capture_output=True).stdout
    body = html[html.index('<div class="manual-text">') if '<div class="manual-text">' in html else 0:]
    body = re.sub(r'<table class="foot">.*?</table>', "", body, flags=re.S)
    body = re.sub(r'<a class="Xr"([^>]*?) href="([^"]+)\.html"([^>]*)>(.*?)</a>',
                  lambda m: m[0] if m[2] in names else f'<span class="Xr">{m[4]}</span>', body, flags=re.S)
    name, _, section = path.name.rpartition(".")
    return f"# {name}({section})\n\n```{{raw}} html\n{body}\n```\n"


def manual_pages(folders):
    """Not those that only refer to another page."""
    pages = [path for folder in folders for path in sorted(pathlib.Path(folder).glob("*.[1-8]"))]
    return [path for path in pages if not path.read_text().startswith(".so ")]


def main(folder, version, *manuals):
    folder, chapters = pathlib.Path(folder), documents()
    names = ["README.md", *(path for chapter in chapters.values() for path in chapter)]
    on_site = {ROOT / name for name in names}
    pages = manual_pages(manuals)
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        text = without_links_to_the_source((ROOT / name).read_text(), pathlib.Path(name).parent, on_site)
        text = with_one_title(text)
        target.write_text(text + (contents(chapters, [f"man/{page.name}" for page in pages]) if name == "README.md" else ""))
    for path in pictures():
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    (folder / "man").mkdir()
    for page in pages:
        (folder / "man" / f"{page.name}.md").write_text(manual(page, {path.name for path in pages}))
    shutil.copy(ROOT / "packaging/site/conf.py", folder)
    (folder / "conf.py").open("a").write(f'release = "{version}"\n')
    shutil.copytree(ROOT / "packaging/site/static", folder / "static")


main(*sys.argv[1:])
