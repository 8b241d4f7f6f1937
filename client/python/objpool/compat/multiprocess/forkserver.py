# SPDX-License-Identifier: Apache-2.0
"""The standard library's."""
import multiprocessing.forkserver as _standard
import sys

sys.modules[__name__] = _standard
