# SPDX-License-Identifier: Apache-2.0
"""What objpool.compat needs for a connection."""
from ._connection import Connection, connect
from ._entry import Entry

__all__ = ["Connection", "Entry", "connect"]
