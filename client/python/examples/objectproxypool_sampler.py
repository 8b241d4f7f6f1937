# SPDX-License-Identifier: Apache-2.0
"""A program for objectproxypool; its import line is all that was changed.

Four samplers, each in a process of its own, with a state of its own.
"""
import itertools
import os

import numpy as np

from objpool.compat.objectproxypool import ProxyPool, SharedArrayWrapper, Unpacker


class Sampler:
    def __init__(self, mean, deviation):
        self.mean, self.deviation = mean, deviation
        self.random = np.random.default_rng()
        self.offset = 0

    def seed(self, number):
        self.random = np.random.default_rng(number)
        return os.getpid()

    def draw(self, size):
        return self.random.normal(self.mean, self.deviation, size)

    def set_offset(self, offset):
        self.offset = offset

    def shifted(self, x, factor=1):
        return factor * x + self.offset

    def dot(self, weights, x):
        with Unpacker(weights) as weights:
            return weights @ x


if __name__ == "__main__":
    with ProxyPool(Sampler, 4, (10.0, 2.0), separate_processes=True) as samplers:
        pids = samplers.seed([1, 2, 3, 4], map_args=True, synchronize_workers=5)
        print("processes:", len(set(pids.tolist())))

        rows = samplers.draw(1000)                                      # each of them once
        print("rows:", rows.shape, "mean", round(float(rows.mean())))

        samplers.set_offset(100)
        print("mapped:", samplers.shifted(range(8), factor=itertools.repeat(2), map_args=True))

        shared = SharedArrayWrapper(np.eye(3))
        print("shared:", samplers.dot(shared.remoteArray, np.arange(3.0)).tolist()[0])

    with ProxyPool(Sampler, 3, (0.0, 1.0), dedicated=True) as samplers:
        samplers.set_offset([10, 20, 30], map_args=True)                # item i goes to object i
        print("dedicated:", samplers.shifted(1))
