# SPDX-License-Identifier: Apache-2.0
"""A program for py_stateful_map; its import line is all that was changed. With tqdm, if it is there.

Workers that load something once, and then map an input as it is read.
"""
from objpool.compat.py_stateful_map import ArgumentPassing, ExceptionBehavior, StateFullWorkerPool

try:
    from tqdm import tqdm
except ImportError:
    def tqdm(iterable):
        return iterable


class Worker:
    """What takes long to load is loaded once, in the worker itself."""

    def __init__(self, vocabulary, device):
        self.words = {word: number for number, word in enumerate(vocabulary)}
        self.device = device

    def __call__(self, sentence, repeat=1):
        return [self.words[word] for word in sentence.split()] * repeat


def square(x):
    return x * x


VOCABULARY = ["the", "cat", "saw", "a", "dog"]
SENTENCES = ["the cat saw a dog", "a dog saw the cat", "the bird saw a cat"]

if __name__ == "__main__":
    with StateFullWorkerPool(2, Worker, {"vocabulary": VOCABULARY}, [{"device": 0}, {"device": 1}],
                             exception_behavior=ExceptionBehavior.DEFERRED) as pool:
        for result in tqdm(pool.map(SENTENCES, is_unordered=False)):
            print(result.obj_id, result.ret_val, repr(result.exception_obj))

    arguments = {"vocabulary": VOCABULARY, "device": 0}
    with StateFullWorkerPool(2, Worker, arguments, argument_passing=ArgumentPassing.AS_ARGS) as pool:
        print([result.ret_val for result in pool.map([("the cat", 2), ("a", 3)], is_unordered=False)])

    with StateFullWorkerPool(num_workers=2, worker_class_or_func=square, chunk_size=10) as pool:
        results = pool.map(range(100), is_unordered=True)
        print(len(results), sum(result.ret_val for result in tqdm(results)))
