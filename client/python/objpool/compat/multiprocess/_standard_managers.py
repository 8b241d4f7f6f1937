# SPDX-License-Identifier: Apache-2.0
"""The standard library's code of managers, executed once more for this package (_modules.py). What it makes says that it is of
managers.py, where programs find it."""
import sys

from ._modules import execute_again

execute_again(sys.modules[__name__], __package__ + ".managers")
