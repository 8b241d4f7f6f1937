# SPDX-License-Identifier: Apache-2.0
"""A model that is loaded once, and serves two programs at the same time.

    python3 shared_model.py                 starts a pool with the model, and two programs that use it
    python3 shared_model.py ADDRESS NAME    is one of them
"""
import os
import subprocess
import sys

import numpy as np

import objpool


class Model:
    """A ridge regression: what is slow is its fit, which is done as the instance is built."""

    def __init__(self, samples=2000, features=20, seed=7):
        random = np.random.default_rng(seed)
        data = random.normal(size=(samples, features))
        truth = np.arange(features, dtype=float)
        target = data @ truth + random.normal(scale=0.01, size=samples)
        self.weights = np.linalg.solve(data.T @ data + 1e-6 * np.eye(features), data.T @ target)

    def predict(self, rows):
        return rows @ self.weights

    def where(self):
        return os.getpid()


def use(address, name):
    """What a program does with it: it knows the pool's name, and nothing of the class."""
    with objpool.connect(address) as client:
        model = client.pool("model")
        predicted = model.predict(np.eye(20))
        error = float(np.abs(predicted - np.arange(20)).max())
        print(f"{name}: largest error {error:.2f}, from worker {sorted(set(model.all.where()))}", flush=True)


def serve():
    client = objpool.connect("private")
    with client.create_pool(Model, name="model", workers=2, owner="daemon") as pool:
        print("loaded by", len(set(pool.all.where())), "workers", flush=True)
        programs = [subprocess.Popen([sys.executable, __file__, client.address, name], stdout=subprocess.PIPE, text=True)
                    for name in ("first", "second")]
        for program in programs:
            print(program.communicate()[0], end="")
            if program.returncode != 0:
                sys.exit("a program failed")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        use(*sys.argv[1:])
    else:
        serve()
