# SPDX-License-Identifier: Apache-2.0
"""A class whose module takes memory when it is loaded."""
DATA = bytearray(200 << 20)


class Heavy:
    pass
