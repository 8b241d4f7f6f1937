# SPDX-License-Identifier: Apache-2.0
"""A program for multiprocess; its import line is all that was changed."""
import time

from objpool.compat import multiprocess


def f(x):
    return x * x


def slow(x):
    time.sleep(x)
    return x


if __name__ == "__main__":
    with multiprocess.Pool(processes=4) as pool:
        print(pool.map(f, range(10)))
        print(pool.map(lambda x: x + 1, range(5)))              # code goes by value
        print(sorted(pool.imap_unordered(f, range(5))))
        result = pool.apply_async(f, (20,))
        print(result.get(timeout=10))
        print(pool.starmap(pow, [(2, 5), (3, 2)]))
        add = pool.apply(lambda n: lambda x: x + n, (10,))       # and comes back
        print(add(1))

        iterator = pool.imap(f, range(3))
        print(next(iterator), next(iterator), iterator.next(timeout=10))

        try:
            pool.apply_async(slow, (60,)).get(timeout=0.01)
        except multiprocess.TimeoutError:
            print("it takes too long")
        try:
            pool.apply(lambda: 1 // 0)
        except ZeroDivisionError as error:
            print("error:", error)

    def count(queue, lock, numbers):
        for number in numbers:
            with lock:
                queue.put(number)

    queue, lock = multiprocess.Queue(), multiprocess.Lock()
    processes = [multiprocess.Process(target=count, args=(queue, lock, [i, i + 10])) for i in range(2)]
    for process in processes:
        process.start()
    print(sorted(queue.get(timeout=10) for _ in range(4)))
    for process in processes:
        process.join()
