#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the page, its style and its script into one file, and writes that as a header for C.

usage: scripts/embed-page.py page.html page.css SCRIPT...

In page.html, {{style}} stands for the style, and {{script}} for all scripts, one behind the other. The header has the array page_file, and PAGE_POLICY: the
Content-Security-Policy by which a browser runs this script and uses this style, by their hashes, and no others.
"""
import base64
import hashlib
import pathlib
import sys


def source(text):
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def main():
    page, style, *scripts = (pathlib.Path(name).read_text(encoding="utf-8") for name in sys.argv[1:])
    script = "\n".join(scripts)
    if "</script" in script or "<!--" in script or "</style" in style:
        sys.exit("embed-page.py: a script must not have </script or <!-- in it, nor a style </style")
    policy = "; ".join([
        "default-src 'none'", f"script-src {source(script)}", f"style-src {source(style)}", "connect-src 'self'", "img-src data:",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'"])
    whole = page.replace("{{style}}", style).replace("{{script}}", script).encode()
    print("/* Made by scripts/embed-page.py. */")
    print(f'#define PAGE_POLICY "{policy}"')
    print(f"static const unsigned char page_file[{len(whole)}] = {{")
    for at in range(0, len(whole), 32):
        print("\t" + ", ".join(map(str, whole[at:at + 32])) + ",")
    print("};")


main()
