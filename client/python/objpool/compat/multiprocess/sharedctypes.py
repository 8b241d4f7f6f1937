# SPDX-License-Identifier: Apache-2.0
"""The standard library's, whose values and arrays may be sent at any time, as their locks and their memory may."""
import sys

from ._modules import execute_again
from ._sync import sync

execute_again(sys.modules[__name__])


if sync is not None:
    def assert_spawning(obj):
        """Nothing has to be inherited."""
