# SPDX-License-Identifier: Apache-2.0
"""What objpool.compat needs for values."""
from ._encoder import Repeated
from ._load import load
from ._raised import load_error

__all__ = ["Repeated", "load", "load_error"]
