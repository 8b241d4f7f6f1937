# SPDX-License-Identifier: Apache-2.0
"""A program for parallelize; its import line is all that was changed.

A function gets a slice of the list, and its results are put together again.
"""
from objpool.compat.parallelize import parallelize


def is_prime(n):
    return n > 1 and all(n % k for k in range(2, int(n ** 0.5) + 1))


def primes(numbers, at_least=0):
    return [n for n in numbers if is_prime(n) and n >= at_least]


if __name__ == "__main__":
    numbers = list(range(1000))
    print(len(parallelize.parallel(primes, numbers, n_jobs=4)))
    print(parallelize.parallel(primes, numbers, n_jobs=2, args=(980,)))
    print(parallelize.parallel(primes, numbers, n_jobs=3, write_to_file=True, kwargs={"at_least": 990}))
    print(parallelize.parallel(sum, numbers, n_jobs=4))
