# SPDX-License-Identifier: Apache-2.0
"""What is preloaded starts a process that leaves the template's group, and holds whatever the template has open."""
import os
import time

LEFT = os.fork()
if LEFT == 0:
    os.setsid()
    time.sleep(3600)
    os._exit(0)


class Leaver:
    def left(self):
        return LEFT
