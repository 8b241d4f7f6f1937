# SPDX-License-Identifier: Apache-2.0
"""dev"""
from .pool import Pool
