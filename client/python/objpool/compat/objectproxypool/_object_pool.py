# SPDX-License-Identifier: Apache-2.0
"""Pools whose workers each have an object, which functions get as their first argument."""
from .._chunks import OnObject
from .._crew import CALL, MAP, STAR, Task
from .._results import DoneResult, MapResult
from .._thread_crew import ThreadCrew
from ..multiprocess.pool import Pool
from ._iterables import lenzip


def get_max_workers_per_pool(dedicated=False):
    """inf: a pool may have any number of workers."""
    return float("inf")


class Synchronizer:
    """Given to a map, it makes rounds: no worker begins its next task before all workers have done theirs."""

    def __init__(self, worker_count, manager=None, timeout=None):
        self.worker_count, self.timeout = worker_count, timeout


class _Objects(Pool):
    """Functions are called with the worker's object, initializer(*initargs): map(f, xs) does f(object, x)."""

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None, *, dedicated=False):
        self.dedicated = dedicated
        super().__init__(processes, initializer, tuple(initargs), maxtasksperchild, context)

    def map(self, func, iterable, chunksize=None, synchronizer=None):
        return self.map_async(func, iterable, chunksize, synchronizer=synchronizer).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None, synchronizer=None):
        return self._start(OnObject(func), MAP, iterable, chunksize, callback, error_callback, synchronizer)

    def starmap(self, func, iterable, chunksize=None, synchronizer=None):
        return self.starmap_async(func, iterable, chunksize, synchronizer=synchronizer).get()

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None, synchronizer=None):
        return self._start(OnObject(func), STAR, iterable, chunksize, callback, error_callback, synchronizer)

    def kwstarmap(self, func, args, kwargs, chunksize=None, synchronizer=None):
        """[f(object, *args[i], name=kwargs[name][i], ...) for i in range(the length of the shortest)]"""
        return self.kwstarmap_async(func, args, kwargs, chunksize, synchronizer=synchronizer).get()

    def kwstarmap_async(self, func, args, kwargs, chunksize=None, callback=None, error_callback=None, synchronizer=None):
        calls = [(positional, dict(zip(kwargs, named))) for positional, *named in lenzip(args, *kwargs.values())]
        return self._start(OnObject(func), CALL, calls, chunksize, callback, error_callback, synchronizer)

    def broadcast(self, func, args, kwargs):
        """[func(object, *args, **kwargs)] of each object, exactly once, in the order of the workers."""
        self._check_running()
        tasks = [Task([(args, kwargs)], None) for _ in range(self._processes)]
        job = self._job(tasks)
        self._crew.broadcast(tasks, self._crew.work(OnObject(func), CALL))
        return job.get()

    def _job(self, tasks, callback=None, error_callback=None):
        job = MapResult(self, tasks, callback, error_callback)
        for task in tasks:
            task.job = job
        return job

    def _start(self, func, mode, iterable, chunksize, callback, error_callback, synchronizer):
        self._check_running()
        items = iterable if isinstance(iterable, (list, tuple, range)) else list(iterable)
        if self.dedicated:
            self._check_dedicated(len(items), chunksize)
        if not items:
            return DoneResult(True, [])
        if synchronizer is not None and not self.dedicated:
            return self._rounds(func, mode, items)
        if self.dedicated:
            chunksize = 1
        elif chunksize is None:
            chunksize = -(-len(items) // (4 * self._processes))
        elif chunksize < 1:
            raise ValueError(f"Chunksize must be 1+, not {chunksize}")
        tasks = [Task(items[i:i + chunksize], None) for i in range(0, len(items), chunksize)]
        job = self._job(tasks, callback, error_callback)
        work = self._crew.work(func, mode)
        (self._crew.submit_to_all if self.dedicated else self._crew.submit)(tasks, work)
        return job

    def _check_dedicated(self, count, chunksize):
        if chunksize not in (None, 1):
            raise ValueError("Chunksize must be 1 if the pool is dedicated.")
        if count != self._processes:
            raise ValueError(f"Length of iterable ({count}) must match the number of workers ({self._processes}) "
                             "if the pool is dedicated.")

    def _rounds(self, func, mode, items):
        """Gives item i of a round to worker i. A round begins when the round before is done; the last may have fewer items."""
        work = self._crew.work(func, mode)
        results, failure = [], None
        for begin in range(0, len(items), self._processes):
            tasks = [Task([item], None) for item in items[begin:begin + self._processes]]
            job = self._job(tasks)
            self._crew.submit_to_all(tasks, work)
            try:
                results += job.get()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                failure = failure or error
        return DoneResult(failure is None, failure or results)


class ObjectPool(_Objects):
    """The objects live in processes."""

    def _make_crew(self, processes, initializer, initargs, maxtasksperchild):
        from .._process_crew import ProcessCrew
        return ProcessCrew(processes, factory=initializer and (initializer, initargs), max_tasks=maxtasksperchild,
                           name="ObjectPoolWorker")


class ObjectThreadPool(_Objects):
    """The objects live in threads of this program."""

    def _make_crew(self, processes, initializer, initargs, maxtasksperchild):
        return ThreadCrew(processes, factory=initializer and (lambda slot: initializer(*initargs)))


class DistributedPool(Pool):
    """A pool without a limit of workers."""

    distributed_pools = False

    def __init__(self, worker_count=None):
        super().__init__(worker_count)
        self.pool, self.worker_count = self, self._processes

    def __exit__(self, *_):
        self.close()
        self.join()
