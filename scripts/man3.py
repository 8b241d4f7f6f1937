#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the manual of libobjpool, section 3, from the comments of its header: man3.py HEADER EXAMPLE DIRECTORY

DIRECTORY gets a page for each comment that functions follow, named after the first of them; a page for each other name, which
only refers to that one (.so); libobjpool.3, the overview, which has the program EXAMPLE in it; and `pages`, a list of these
files. A structure or a callback is described in the page of the functions that come next in the header.

What a comment of the header says where:

  first sentence             what the page's NAME says; it begins with a verb
  paragraph "Ownership: ..." who frees what, and until when it is valid
  paragraph "Returns ..."    "Returns 0: meaning; -EINVAL: meaning; -ENOMEM; or an error of objpool_call." A code without a
                             meaning has the one that the header's first comment gives it.
  `name`                     a parameter
  "- ..." and tabs           lists, and lines of program text
"""
import pathlib
import re
import sys
import textwrap

DATE = "November 29, 2026"
OVERVIEW = "libobjpool"
HEADING = re.compile(r"/\* ---- (.+?) -+ \*/")


# ---- the header ----


class Block:
    """What stands between two empty lines of the header: a comment, and declarations."""

    def __init__(self, section, text):
        self.section = section
        comment = re.match(r"/\*(.*?)\*/\s*", text, re.S)
        self.paragraphs = paragraphs(comment[1]) if comment else []
        self.code = text[comment.end():] if comment else text
        self.functions = [Function(" ".join(f.split())) for f in re.findall(r"^OBJPOOL_API (.*?);", self.code, re.M | re.S)]
        self.types = re.findall(r"^(?:struct|enum) (\w+) \{", self.code, re.M)
        self.callbacks = re.findall(r"^typedef \w+ (\w+)\(", self.code, re.M)

    def take(self, word):
        """The paragraph that begins with this word, which is then no part of the description; or None."""
        found = next((p for p in self.paragraphs if isinstance(p, str) and p.startswith(word)), None)
        if found:
            self.paragraphs.remove(found)
        return found


class Function:
    def __init__(self, prototype):
        self.result, self.name, arguments = re.fullmatch(r"(.*?)(\w+)\((.*)\)", prototype).groups()
        self.arguments = arguments.split(", ")


def paragraphs(comment):
    """A comment's paragraphs: texts; ("item", text) of a list; ("code", lines)."""
    found, open_ = [], False  # open_: the next line goes on with the last paragraph
    for line in comment.split("\n"):
        line = re.sub(r"^ \*|^ (?=\S)| $", "", line, count=1)
        text = line.strip()
        if line.startswith("\t"):
            if not (found and found[-1][0] == "code"):
                found.append(("code", []))
            elif not open_:
                found[-1][1].append("")
            found[-1][1].append(line[1:].expandtabs(8))
            open_ = True
        elif not text:
            open_ = False
        elif text.startswith("- "):
            found.append(("item", text[2:]))
            open_ = True
        elif open_ and found[-1][0] == "item":
            found[-1] = ("item", found[-1][1] + " " + text)
        elif open_ and isinstance(found[-1], str):
            found[-1] += " " + text
        else:
            found.append(text)
            open_ = True
    return found


def read(header):
    """The header's first comment, as paragraphs; and its blocks."""
    first = re.search(r"^/\*\n(.*?)\*/\n#ifndef", header, re.S | re.M)[1]
    body = header[header.index("#define OBJPOOL_API"):header.rindex("#ifdef __cplusplus")]
    section, blocks, rest = "Results", [], re.sub(r"^#define OBJPOOL_API.*\n", "", body)
    # An empty line within a structure or a comment does not end a block.
    for text in re.split(r"\n\n(?=\S)(?!\s*\*)", rest.strip()):
        heading = HEADING.fullmatch(text.strip())
        if heading:
            section = heading[1][0].upper() + heading[1][1:]
        else:
            blocks.append(Block(section, text.strip()))
    return paragraphs(first), blocks


# ---- mdoc ----


def capital(text):
    """The text with a capital, if it begins with a word."""
    return text[0].upper() + text[1:] if re.match(r"[a-z]+(?![\w(:])", text) else text


def escaped(text):
    text = text.replace("\\", r"\e")
    return r"\&" + text if text[:1] in (".", "'") else text


def filled(words):
    """Lines of text, none of which is a request of mdoc's."""
    return map(escaped, textwrap.wrap(" ".join(words), 79, break_long_words=False, break_on_hyphens=False))


class Prose:
    """Writes the header's sentences as mdoc. `pages` has the page of each function; `here` is the page being written."""

    WORD = re.compile(r'^(\(?)(`[^`]+`|-?E[A-Z]{3,}|NULL|OBJPOOL_[A-Z_]+|[a-z_]+(?:\(\d\))|objpool_[a-z_]+(?:\(\))?)([.,:;)]*)$')

    def __init__(self, pages, here):
        self.pages, self.here = pages, here

    def macro(self, word):
        """The macro line of a word that has one, or None."""
        match = self.WORD.match(word)
        if not match:
            return None
        before, text, after = match.groups()
        name = text.removesuffix("()")
        if text.startswith("`"):
            line = "Fa " + text[1:-1].replace("`", "")
        elif re.match(r"-?E[A-Z]", text):
            line = "Er " + text.replace("-", r"\-")
        elif text.endswith(")") and not text.endswith("()"):
            line = "Xr " + text[:-1].replace("(", " ")
        elif text.isupper():
            line = "Dv " + text
        elif name not in self.pages:
            line = "Vt " + name
        elif self.pages[name] == self.here:
            line = "Fn " + name
        else:
            line = f"Xr {name} 3"
        if before:
            line = f"Pq {line}" if after.startswith(")") else None
            after = after[1:]
        return line and " ".join(["." + line, *after])

    def lines(self, text):
        """The lines of a text: a line for each sentence, and for each word that is a macro."""
        text = re.sub(r'see ("[a-z ]+")', rf"see \1 in {OVERVIEW}(3)", text)
        for sentence in re.split(r"(?<=[.?])\s+(?=[A-Z`-])|(?<=[.?]) (?=objpool_)", text.strip()):
            plain = []
            for word in sentence.split():
                macro = self.macro(word)
                if macro is None:
                    plain.append(word)
                    continue
                yield from filled(plain)
                plain = []
                yield macro
            yield from filled(plain)

    def paragraphs(self, parts):
        """Paragraphs of a comment. They begin with no .Pp."""
        in_list, between = False, False
        for part in parts:
            item = isinstance(part, tuple) and part[0] == "item"
            if in_list and not item:
                yield ".El"
            if isinstance(part, tuple) and part[0] == "code":
                yield ".Bd -literal -offset indent"
                yield from map(escaped, part[1])
                yield ".Ed"
            elif item:
                if not in_list:
                    yield ".Bl -bullet"
                yield ".It"
                yield from self.lines(part[1])
            else:
                if between:
                    yield ".Pp"
                yield from self.lines(part)
            in_list, between = item, True
        if in_list:
            yield ".El"

    def type_(self, block):
        """A structure, its members, and how it begins; or a callback's type; or an enumeration."""
        for name in block.callbacks:
            prototype = " ".join(re.search(rf"^typedef (\w+ {name}\(.*?\));", block.code, re.M | re.S)[1].split())
            yield f".Ss {name}"
            yield f".Ft {prototype.split()[0]}"
            yield f".Fo {name}"
            yield from (f'.Fa "{a}"' for a in prototype[prototype.index("(") + 1:-1].split(", "))
            yield ".Fc"
            yield ".Pp"
            yield from self.paragraphs(block.paragraphs)
        for kind, name, body in re.findall(r"^(struct|enum)(?: (\w+))? \{(.*?)\n?\};?", block.code, re.M | re.S):
            yield f'.Ss "{kind} {name}"' if name else ".Ss Constants"
            if not block.callbacks:
                yield from self.paragraphs(block.paragraphs)
            yield from self.members(body)
            initial = re.search(r"#define (\w+_INIT)", block.code)
            if initial:
                yield ".Pp"
                yield f".Dv {initial[1]}"
                yield "is its initial value."

    def members(self, body):
        """The list of the members of a structure or an enumeration, each with its comment."""
        yield ".Bl -tag -width Ds"
        for member, comment in members(body):
            yield f'.It Va "{member}"' if member else ".It"
            yield from self.lines(comment)
        yield ".El"


def members(body):
    """(member, comment) of a body. A comment on lines of its own becomes a part of what the next member's says."""
    last_end, found, ahead = 0, [], ""
    for token in re.finditer(r"/\*(.*?)\*/|([^\s/;,][^;,/]*)[;,]?", body, re.S):
        newline = "\n" in body[last_end:token.start()]
        last_end = token.end()
        if token[2]:
            found.append([" ".join(token[2].split()).replace("* ", "*"), ahead])
            ahead = ""
            continue
        text = " ".join(line.strip(" \t*") for line in token[1].strip().split("\n"))
        if newline or not found:
            ahead = text.rstrip(".:") + ". "
        else:
            found[-1][1] += capital(text)
    return [(member, comment and capital(comment.rstrip(". ")) + ".") for member, comment in found]


# ---- pages ----


def returned(text, common):
    """What a paragraph "Returns ..." says: values and their meanings, errors and their meanings, and whose errors these are, too."""
    values, errors, others = [], [], []
    for clause in text.removeprefix("Returns ").rstrip(".").split("; "):
        what, _, meaning = clause.partition(": ")
        if re.fullmatch(r"-E[A-Z]+", what):
            errors.append((what, meaning or common[what]))
        elif clause.startswith("or an error of"):
            others.append(clause.removeprefix("or "))
        else:
            values.append((what, meaning))
    return values, errors, others


def common_errors(first):
    """What codes mean where a comment does not say: of the header's first comment."""
    errors = next(p for p in first if isinstance(p, str) and p.startswith("Errors. "))
    return {code: meaning for code, meaning in re.findall(r"(-E[A-Z]+): ([^.]+(?:\.error[^.]+)?)\.", errors)}


def summary(block):
    """The first sentence of a comment, for NAME."""
    sentence = re.split(r"[.:](?:\s|$)", block.paragraphs[0])[0].replace("`", "").replace("*", "")
    return sentence[0].lower() + sentence[1:]


def top(name, title):
    return ['.\\" SPDX-License-Identifier: Apache-2.0', '.\\" Made by scripts/man3.py from <objpool/client.h>.', f".Dd {DATE}",
            f".Dt {name.upper()} 3", ".Os", ".Sh NAME", *title]


def synopsis(functions):
    yield ".Sh SYNOPSIS"
    yield ".In objpool/client.h"
    for function in functions:
        yield f'.Ft "{function.result.strip()}"'
        yield f".Fo {function.name}"
        yield from (f'.Fa "{argument}"' for argument in function.arguments)
        yield ".Fc"


def results(prose, text, common):
    """RETURN VALUES, ERRORS."""
    values, errors, others = returned(text, common)
    yield ".Sh RETURN VALUES"
    if errors or others:
        values.append(("a negative error number" if errors else "a negative number", "see below"))
    yield ".Bl -tag -width Ds"
    for value, meaning in values:
        yield f".It {capital(value)}".replace("`", "")
        yield from prose.lines(capital(meaning or "success") + ".")
    yield ".El"
    if errors or others:
        yield ".Sh ERRORS"
    if errors:
        yield ".Bl -tag -width Er"
        for code, meaning in errors:
            yield ".It Er " + code.replace("-", r"\-")
            yield from prose.lines(capital(meaning) + ".")
        yield ".El"
    for other in others:
        if errors:
            yield ".Pp"
        yield from prose.lines((f"Also {other}" if errors else capital(other)) + ".")


def see_also(text, near, here):
    """The pages that a page names, those of its section, and the overview, in order."""
    named = re.findall(r"^\.(?:Pq )?Xr (\w+) (\d)", "\n".join(text), re.M)
    related = {*named, *((name, "3") for name in near), (OVERVIEW, "3")} - {(here, "3")}
    names = sorted(related, key=lambda name: (name[1], name[0]))
    yield ".Sh SEE ALSO"
    for number, (name, section) in enumerate(names):
        yield f".Xr {name} {section}" + (" ," if number < len(names) - 1 else "")


def page(block, types, near, pages, common):
    """The page of a block's functions."""
    here = block.functions[0].name
    prose = Prose(pages, here)
    title = [f".Nm {f.name}" + (" ," if f is not block.functions[-1] else "") for f in block.functions]
    title.append(f".Nd {summary(block)}")
    ownership, results_ = block.take("Ownership: "), block.take("Returns ")
    lines = [*top(here, title), *synopsis(block.functions), ".Sh DESCRIPTION", *prose.paragraphs(block.paragraphs)]
    for other in types:
        note = other.take("Ownership: ")
        ownership = " ".join(filter(None, [ownership, note and note if not ownership else note and note[11:]]))
        lines += prose.type_(other)
    if ownership:
        text = ownership.removeprefix("Ownership: ")
        lines += [".Sh OWNERSHIP", *prose.lines(capital(text))]
    if results_:
        lines += results(prose, results_, common)
    return lines + list(see_also(lines, near, here))


def overview(first, blocks, pages, example):
    """libobjpool(3): the header's first comment, all functions, sections of the header that only explain, the example."""
    prose = Prose(pages, OVERVIEW)
    lines = top(OVERVIEW, [f".Nm {OVERVIEW}", ".Nd call methods of the objects that an objpoold daemon serves"])
    lines += [".Sh SYNOPSIS", ".In objpool/client.h", ".Pp",
              ".Dl cc program.c $(pkg-config --cflags --libs objpool) -o program", ".Sh DESCRIPTION"]
    for part in first:
        word = re.match(r"([A-Z][a-z]+)\. ", part) if isinstance(part, str) else None
        if word:
            lines += [f".Ss {word[1]}", *prose.paragraphs([part[word.end():]])]
        else:
            lines += ([".Pp"] if isinstance(part, str) and lines[-1][:3] != ".Sh" else []) + list(prose.paragraphs([part]))
    section = None
    lines.append(".Sh FUNCTIONS")
    for block in blocks:
        if block.functions:
            if block.section != section:
                lines += ([".El"] if section else []) + [f".Ss {block.section}", ".Bl -tag -width Ds"]
                section = block.section
            names = [f.name for f in block.functions]
            lines += [f".It Xr {names[0]} 3" + "".join(f" , Fn {name}" for name in names[1:]), *filled(summary(block).split())]
    lines.append(".El")
    for block in blocks:
        if block.paragraphs and not block.code:
            lines += [f".Sh {block.section.upper()}", *prose.paragraphs(block.paragraphs)]
    lines += [".Sh EXAMPLES", "Calls a method with a number, and prints the number that it returns:", ".Bd -literal"]
    lines += [escaped(line.expandtabs(4)) for line in example.rstrip("\n").split("\n") if "SPDX" not in line]
    lines += [".Ed", ".Sh SEE ALSO", ".Xr objpool 1 ,", ".Xr objpoold.conf 5 ,", ".Xr objpoold 8"]
    return lines


def manual(header, example):
    """Each file's name and text."""
    first, blocks = read(header)
    owners = [block for block in blocks if block.functions]
    pages = {f.name: block.functions[0].name for block in owners for f in block.functions}
    types = {block.functions[0].name: [] for block in owners}
    aliases = {"objpool": OVERVIEW, "objpool_client": OVERVIEW}
    for number, block in enumerate(blocks):
        if not block.functions and (block.types or block.callbacks or block.code.startswith("enum")):
            owner = next(b for b in blocks[number:] if b.functions).functions[0].name
            types[owner].append(block)
            aliases |= {name: owner for name in block.types + block.callbacks}
    common = common_errors(first)
    files = {OVERVIEW: overview(first, blocks, pages, example)}
    for block in owners:
        here = block.functions[0].name
        near = [b.functions[0].name for b in owners if b.section == block.section]
        files[here] = page(block, types[here], near, pages, common)
    for name, target in (aliases | pages).items():
        files.setdefault(name, [f".so man3/{target}.3"])
    return {f"{name}.3": "\n".join(lines) + "\n" for name, lines in files.items()}


def main():
    header, example, directory = map(pathlib.Path, sys.argv[1:])
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.3"):
        old.unlink()
    files = manual(header.read_text(), example.read_text())
    for name, text in files.items():
        (directory / name).write_text(text)
    (directory / "pages").write_text("".join(f"{name}\n" for name in sorted(files)))


if __name__ == "__main__":
    main()
