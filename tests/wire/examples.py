# SPDX-License-Identifier: Apache-2.0
"""The examples of docs/PROTOCOL.md, made of the dialogues: examples.py writes them into the document.

In the document a comment stands before each block: which file, and the msgids of the requests that are shown, with all that is about
them. With `bytes` behind them, the bytes are shown, too. 1.7 is msgid 7 on direct channel 1, and 1.closing what ends that channel;
these lines have arrows of their own.

    <!-- tests/wire/call_map.json 2 4 bytes -->
"""
import json
import re

import dialogue
from fake_server import NUMBERED

DOCUMENT = dialogue.FOLDER.parents[1] / "docs" / "PROTOCOL.md"
MARK = re.compile(r"^<!-- tests/wire/(\w+)\.json((?: [\d.]+(?:closing)?)+)( bytes)? -->\n```\n(.*?)^```$", re.M | re.S)
ARROWS = {("client", False): "-->", ("daemon", False): "<--", ("client", True): "==>", ("daemon", True): "<=="}
WIDTH, INDENT, COLUMN = 116, " " * 5, 42


def text_of(value):
    """A value as the document shows it: JSON with nil, and bin and ext in hexadecimal."""
    if value is None:
        return "nil"
    if isinstance(value, bytes):
        return f'bin "{value.hex(" ")}"'
    if isinstance(value, dialogue.msgpack.ExtType):
        return f'ext {value.code} "{value.data.hex(" ")}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text_of(key)}: {text_of(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def folded(text):
    """Lines of at most WIDTH columns, broken between elements."""
    parts = re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",]|,(?! ))+(?:, |$)', text)
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > WIDTH - len(INDENT):
            lines.append("")
        lines[-1] += part
    return ("\n" + INDENT).join(line.rstrip() for line in lines)


def number_of(message):
    """The msgid of the request that a message is about, as text; "closing"; None: of none."""
    if message[0] in (0, 1):
        return str(message[1])
    if message[1] == "objpool.closing":
        return "closing"
    return str(message[2][0]) if message[1] in NUMBERED else None


def example(name, numbers, with_bytes):
    lines = []
    for step in dialogue.read(dialogue.FOLDER / f"{name}.json")["steps"]:
        said = dialogue.said_by(step)
        if said and step[said] not in ("end", "bytes"):
            message = dialogue.unpack(dialogue.bytes_of(step))
            channel = f'{step["channel"]}.' if "channel" in step else ""
            if f"{channel}{number_of(message)}" in numbers:
                line = f"{ARROWS[said, bool(channel)]} {folded(text_of(message))}"
                lines.append(f"{line:{COLUMN}}{step['bytes']}" if with_bytes else line)
    return "".join(line + "\n" for line in lines)


def filled(text):
    """The document, with its examples made anew."""
    def block(found):
        name, numbers, with_bytes, _ = found.groups()
        mark = found[0].splitlines()[0]
        return f"{mark}\n```\n{example(name, numbers.split(), bool(with_bytes))}```"
    return MARK.sub(block, text)


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
