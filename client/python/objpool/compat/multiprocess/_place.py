# SPDX-License-Identifier: Apache-2.0
"""What this process is to managers."""

referents = None    # in a manager's server: its Referents (_referents.py)
