# SPDX-License-Identifier: Apache-2.0
"""Text that goes on the wire."""

TEXT_MOST = 64 << 10


def type_name(cls):
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def clean(text):
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
