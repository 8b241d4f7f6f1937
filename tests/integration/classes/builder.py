# SPDX-License-Identifier: Apache-2.0
"""A class whose constructor tries to call another pool."""
import objpool_worker


class Builder:
    def __init__(self, target):
        try:
            self.outcome = objpool_worker.call().invoke(target)
        except Exception as error:
            self.outcome = f"{type(error).__name__}: {error}"

    def built(self):
        return self.outcome

    def tries(self, target):
        return objpool_worker.call().invoke(target)
