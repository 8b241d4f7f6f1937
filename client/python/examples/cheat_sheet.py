# SPDX-License-Identifier: Apache-2.0
"""What can be given to Pool.map: partials, objects that can be called, bound methods, zipped arguments.

Only the import line was changed.
"""
import functools

from objpool.compat.multiprocess import Pool


def work(x, const_value):
    return (x + const_value) * 100


class Work:
    def __init__(self, const_value):
        self.const_value = const_value
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return work(x, self.const_value)

    def method(self, x):
        return self(x)

    def count(self, _):
        self.calls += 1
        return self.calls


def work_on_pair(pair):
    return work(*pair)


if __name__ == "__main__":
    numbers = range(0, 40, 2)
    expected = list(range(10000, 14000, 200))

    pool = Pool(2)
    assert pool.map(functools.partial(work, const_value=100), numbers) == expected
    pool.close()
    pool.join()

    with Pool() as pool:
        worker = Work(100)
        assert pool.map(worker, numbers) == expected
        assert pool.map(worker.method, numbers) == expected
        assert pool.map(work_on_pair, zip(numbers, [100] * 20)) == expected
        assert pool.starmap(work, zip(numbers, [100] * 20)) == expected
        print(expected[0], expected[1], "...", expected[-1])

        # A worker gets a copy of the object for each chunk: its state is that of the chunk, and never comes back.
        print(pool.map(worker.count, range(20), chunksize=3))
        print(pool.map(worker.count, range(20), chunksize=5))
        print(list(pool.imap(worker.count, range(5))), worker.calls)
