# SPDX-License-Identifier: Apache-2.0
"""The functions of parallelize: see the package."""
import functools
import gc
import itertools
import operator
import os
import pickle
import time

from .._chunks import OnObject

__all__ = ["parallel", "time_function", "merge_results", "capture_output", "write_output_to_temp_file", "retrieve_output",
           "make_divisions"]


def time_function(f):
    """A decorator that prints how long each call took."""
    @functools.wraps(f)
    def timed(*args, **kwargs):
        begun = time.perf_counter()
        result = f(*args, **kwargs)
        text = f"Completed {f.__name__!r} in {time.perf_counter() - begun:.4f} secs\n"
        print(text, end="", flush=True)     # in one write: others print at the same time
        return result
    return timed


def make_divisions(iterable, n_splits):
    """The n_splits + 1 indices between which the slices lie; the last slice takes the remainder."""
    if n_splits > len(iterable):
        raise ValueError("Number of splits must not be greater than length of iterable")
    unit = len(iterable) // n_splits
    return [unit * i for i in range(n_splits)] + [len(iterable)]


@time_function
def merge_results(results):
    """One list of the lists in [(index, list)], in order of the indices."""
    return list(itertools.chain.from_iterable(part for _, part in sorted(results, key=operator.itemgetter(0))))


def _dump(output, file):
    enabled = gc.isenabled()
    gc.disable()
    try:
        pickle.dump(output, file, -1)
    finally:
        if enabled:
            gc.enable()


@time_function
def write_output_to_temp_file(output):
    """The path of a new file with the output pickled."""
    import pathlib
    import tempfile
    descriptor, name = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as file:
            _dump(output, file)
    except BaseException:
        os.unlink(name)
        raise
    return pathlib.Path(name)


@time_function
def retrieve_output(outputs):
    """[(index, output)] of [(index, path)]. Removes the files."""
    found = []
    for index, path in outputs:
        try:
            with open(path, "rb") as file:
                found.append((index, pickle.load(file)))
        finally:
            os.unlink(path)
    return found


def capture_output(func, iterable, index, queue, write_to_file=False, *args, **kwargs):
    """Puts (index, func(iterable, *args, **kwargs)) into the queue, or (index, path of a file with it)."""
    output = func(iterable, *args, **kwargs)
    queue.put((index, write_output_to_temp_file(output) if write_to_file else output))


class _Slice:
    """What a worker does with its slice."""

    def __init__(self, func, write_to_file, args, kwargs):
        self.func, self.write_to_file, self.args, self.kwargs = func, write_to_file, args, kwargs

    def __call__(self, part):
        output = self.func(part, *self.args, **self.kwargs)
        return write_output_to_temp_file(output) if self.write_to_file else output


class _Slices:
    """All slices and what is done with them. A fork of the program has it from birth, and is only told which slice is its own."""

    def __init__(self, do, slices):
        self.do, self.slices = do, slices

    def __call__(self, index):
        return self.do(self.slices[index])


def _each_in_a_process(do, slices):
    """The results to come of all slices, and the pool, which the caller must end."""
    from ..multiprocess.pool import Pool     # workers need this module, but not Pool
    from .._home import forks_program
    if not forks_program(None):
        pool = Pool(len(slices))
        return pool, pool.apply_to_each(do, slices)
    inherited = _Slices(do, slices)
    pool = Pool.of(len(slices), lambda: inherited)
    return pool, pool.apply_to_each(OnObject("__call__"), range(len(slices)))


@time_function
def parallel(func, iterable, n_jobs=2, write_to_file=False, args=(), kwargs={}):
    """func(slice, *args, **kwargs) of n_jobs slices of a list, each in a process of its own. Result lists are joined into one.

    With write_to_file results come back through files. What func raises is raised here.
    """
    if not isinstance(iterable, list):
        raise TypeError("Iterable must be a list")
    divisions = make_divisions(iterable, n_jobs)
    slices = [iterable[begin:end] for begin, end in zip(divisions, divisions[1:])]
    pool, pending = _each_in_a_process(_Slice(func, write_to_file, args, kwargs), slices)
    with pool:
        results = _collect(pending, write_to_file)
    if write_to_file:
        results = [result for _, result in retrieve_output(enumerate(results))]
    return merge_results(enumerate(results)) if all(isinstance(result, list) for result in results) else results


def _collect(pending, write_to_file):
    """The results of all slices. Raises the first error, once no file is left behind."""
    outputs, failure = [], None
    for result in pending:
        try:
            outputs.append(result.get())
        except Exception as error:
            failure = failure or error
    if failure is not None:
        for path in outputs if write_to_file else ():
            os.unlink(path)
        raise failure
    return outputs
